"""`python -m ratchet.reconciler`: every loop of the platform, listed once."""

from __future__ import annotations

import signal
import sys
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from ratchet import db, exclusive, logs
from ratchet.abtests.reconcile import ABTestReconciler
from ratchet.audit.reconcile import EventSealer
from ratchet.clients import connect
from ratchet.clients.ports import Clients
from ratchet.endpoints.reconcile import ServingReconciler
from ratchet.housekeeping import HousekeepingReconciler
from ratchet.jobs.cluster import ClusterReconciler
from ratchet.jobs.reconcile import JobReconciler
from ratchet.jobs.retention import LogRetentionReconciler
from ratchet.migrations import tables
from ratchet.models.reconcile import PromotionReconciler
from ratchet.monitors.reconcile import CheckReconciler, MonitorReconciler
from ratchet.pipelines.reconcile import PipelineReconciler, PipelineRunReconciler
from ratchet.queue.reconcile import QueueReconciler
from ratchet.reconciler import observe
from ratchet.reconciler.loop import Loop, Reconciler
from ratchet.settings import Settings
from ratchet.webhooks.reconcile import DeliveryReconciler, OutboxReconciler


def reconcilers(settings: Settings, clients: Clients) -> list[Reconciler[Any, Any, Any]]:
    return [
        ClusterReconciler(clients),
        QueueReconciler(settings),
        JobReconciler(settings, clients),
        PromotionReconciler(clients),
        ServingReconciler(settings, clients),
        ABTestReconciler(settings),
        MonitorReconciler(settings),
        CheckReconciler(settings, clients),
        PipelineReconciler(),
        PipelineRunReconciler(),
        EventSealer(),
        LogRetentionReconciler(settings, clients),
        OutboxReconciler(),
        DeliveryReconciler(settings),
        HousekeepingReconciler(),
    ]


def main() -> None:
    settings = Settings()
    logs.configure(settings.log_format)
    try:
        with exclusive.hold(settings.database, "reconciler"):
            run(settings)
    except exclusive.TakenError as error:
        sys.exit(str(error))


def run(settings: Settings) -> None:
    engine = db.open_engine(settings.database)
    sessions: sessionmaker[Session] = db.session_factory(engine)
    assert tables.metadata.sorted_tables  # all of them are imported: a row refers to tables of other domains
    loop = Loop(sessions, reconcilers(settings, connect(settings)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    if engine.dialect.name == "sqlite":  # which takes one reconciler, and this is it
        loop.take_over()
    observe.serve(settings.reconciler_port, loop.healthy)
    logs.logger("reconciler").info(
        "started", instance=loop.heartbeat.id, reconcilers=[each.name for each in loop.reconcilers]
    )
    loop.run()


if __name__ == "__main__":
    main()
