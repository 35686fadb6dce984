"""The kinds of documents, each listed once: what one may say, what there is of that name, and how it is made so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from sqlalchemy.orm import Session

from ratchet.abtests import service as abtests
from ratchet.abtests.schemas import NewABTest
from ratchet.abtests.tables import ABTest
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import EndpointUpdate, NewEndpoint
from ratchet.endpoints.tables import Endpoint
from ratchet.errors import Conflict, NotFound
from ratchet.monitors import service as monitors
from ratchet.monitors.schemas import MonitorSettings, NewMonitor
from ratchet.monitors.tables import Monitor
from ratchet.pipelines import service as pipelines
from ratchet.pipelines.schemas import NewPipeline, PipelineSettings
from ratchet.pipelines.tables import Pipeline
from ratchet_pipelines.spec import JobSpec

JOBS: dict[str, type[BaseModel]] = {
    model.model_fields["kind"].default: model for model in get_args(get_args(JobSpec)[0])
}
"""A job is run anew each time its document is applied: `jobs:plan` plans it, and there is no state to compare with."""


@dataclass(frozen=True)
class Kind:
    """Something that has a name, and is created or replaced."""

    model: type[BaseModel]
    """What a document says, but for its `kind`."""
    collection: str
    """Its part of the address: `endpoints`."""
    update: type[BaseModel] | None
    """What a PUT takes; None where nothing can be changed."""
    find: Callable[[Session, str, str], Any | None]
    """(session, project, name) to what there is."""
    document: Callable[[Any], BaseModel]
    """What there is, as the document that would say it."""
    create: Callable[[Session, str, Any, str], object]
    """(session, project, new, actor)"""
    replace: Callable[[Session, Any, Any, str], object] | None = None
    """(session, what there is, new, actor)"""


def _found(get: Callable[[Session, str, str], Any]) -> Callable[[Session, str, str], Any | None]:
    def find(session: Session, project: str, name: str) -> Any | None:
        try:
            return get(session, project, name)
        except NotFound:
            return None

    return find


def _alive(session: Session, project: str, name: str) -> Endpoint | None:
    row = endpoints.find(session, project, name)
    return row if row is not None and row.deleted_at is None else None


def _endpoint(row: Endpoint) -> NewEndpoint:
    return NewEndpoint(
        name=row.name,
        variants=endpoints.asked(row),
        replicas=row.replicas,
        cpus_per_replica=row.cpus_per_replica,
    )


def _replace_endpoint(session: Session, row: Endpoint, new: NewEndpoint, actor: str) -> object:
    if new.cpus_per_replica != row.cpus_per_replica:
        raise Conflict(
            f"The replicas of endpoint {row.name!r} have {row.cpus_per_replica:g} CPUs each, which can't be changed.",
            hint="Delete the endpoint and create it again, or give it another name.",
        )
    return endpoints.replace_variants(session, row, new.variants, actor, replicas=new.replicas)


def _like(model: type[BaseModel], row: Any) -> Any:
    """A document from the columns of the same names."""
    return model.model_validate({name: getattr(row, name) for name in model.model_fields})


def _abtest(row: ABTest) -> NewABTest:
    found: NewABTest = _like(NewABTest, row)
    return found


def _monitor(row: Monitor) -> NewMonitor:
    found: NewMonitor = _like(NewMonitor, row)
    return found


def _pipeline(row: Pipeline) -> NewPipeline:
    return NewPipeline(name=row.name, schedule=row.schedule, **row.spec)


KINDS: dict[str, Kind] = {
    "endpoint": Kind(
        model=NewEndpoint,
        collection="endpoints",
        update=EndpointUpdate,
        find=_alive,
        document=_endpoint,
        create=endpoints.create,
        replace=_replace_endpoint,
    ),
    "abtest": Kind(
        model=NewABTest,
        collection="abtests",
        update=None,
        find=_found(abtests.get),
        document=_abtest,
        create=lambda session, project, new, actor: abtests.create(session, project=project, new=new, actor=actor),
    ),
    "monitor": Kind(
        model=NewMonitor,
        collection="monitors",
        update=MonitorSettings,
        find=_found(monitors.get),
        document=_monitor,
        create=lambda session, project, new, actor: monitors.create(session, project=project, new=new, actor=actor),
        replace=lambda session, row, new, actor: monitors.replace(session, row, new, actor=actor),
    ),
    "pipeline": Kind(
        model=NewPipeline,
        collection="pipelines",
        update=PipelineSettings,
        find=_found(pipelines.get),
        document=_pipeline,
        create=lambda session, project, new, actor: pipelines.create(session, project=project, new=new, actor=actor),
        replace=lambda session, row, new, actor: pipelines.replace(session, row, new, actor=actor),
    ),
}

MODELS: dict[str, type[BaseModel]] = {**JOBS, **{kind: one.model for kind, one in KINDS.items()}}
"""What a document of each kind holds, jobs included."""
