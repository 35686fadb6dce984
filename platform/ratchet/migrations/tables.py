"""Every table, imported once: what a migration is compared with."""

from __future__ import annotations

from ratchet import events, housekeeping, idempotency, keys
from ratchet.abtests import tables as abtests
from ratchet.audit import tables as audit
from ratchet.bundles import tables as bundles
from ratchet.db import Base
from ratchet.endpoints import tables as endpoints
from ratchet.identity import tables as identity
from ratchet.jobs import tables as jobs
from ratchet.models import tables as models
from ratchet.monitors import tables as monitors
from ratchet.pipelines import tables as pipelines
from ratchet.projects import tables as projects
from ratchet.queue import tables as queue
from ratchet.reconciler import tables as reconcilers
from ratchet.webhooks import tables as webhooks

ALL = (
    *(events, audit, idempotency, keys, identity, projects, jobs, queue, models, endpoints, abtests, monitors),
    *(pipelines, reconcilers, bundles, webhooks, housekeeping),
)
metadata = Base.metadata
