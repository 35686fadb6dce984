"""The kinds of documents, each listed once: what one may say, what there is of that name, and how it is made so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel
from sqlalchemy.orm import Session

from ratchet.abtests import service as abtests
from ratchet.abtests.schemas import NewABTest
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import EndpointUpdate, EndpointView, NewEndpoint
from ratchet.endpoints.tables import Endpoint
from ratchet.errors import Conflict, NotFound
from ratchet.monitors import service as monitors
from ratchet.monitors.schemas import MonitorSettings, NewMonitor
from ratchet.pipelines import service as pipelines
from ratchet.pipelines.schemas import NewPipeline, PipelineSettings
from ratchet.pipelines.tables import Pipeline
from ratchet.queue import quotas
from ratchet.queue.schemas import NewQuota
from ratchet.settings import Settings
from ratchet.webhooks import service as webhooks
from ratchet.webhooks.schemas import NewWebhook, WebhookChanges, WebhookView
from ratchet_pipelines.spec import JobSpec

JOBS: dict[str, type[BaseModel]] = {
    model.model_fields["kind"].default: model for model in get_args(get_args(JobSpec)[0])
}
"""A job is run anew each time its document is applied: `jobs:plan` plans it, and there is no state to compare with."""


@dataclass(frozen=True)
class Kind:
    """Something that is created or replaced."""

    model: type[BaseModel]
    """What a document says, but for its `kind`."""
    part: str
    """Its part of the address: `endpoints`."""
    update: type[BaseModel] | None
    """What a change takes; None where nothing can be changed."""
    find: Callable[[Session, str, str], Any | None]
    """(session, project, name) to what there is."""
    view: Callable[[Session, Any, Settings], BaseModel] | None
    """(session, what there is, settings) to what a GET shows of it, by whose tag a change is held to what was seen.
    None where a change takes no tag."""
    document: Callable[[Any], BaseModel]
    """What there is, as the document that would say it."""
    create: Callable[[Session, str, Any, str, Settings], object]
    """(session, project, new, actor, settings)"""
    replace: Callable[[Session, Any, Any, str, Settings], object] | None = None
    """(session, what there is, new, actor, settings)"""
    method: Literal["PUT", "PATCH"] = "PUT"
    """By which it is changed."""
    named: bool = True
    """Whether there are many in a project, each with a name; else there is always one."""

    def address(self, project: str, name: str = "") -> str:
        found = f"/api/v1/projects/{project}/{self.part}"
        return f"{found}/{name}" if name and self.named else found


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


def _replace_endpoint(session: Session, row: Endpoint, new: NewEndpoint, actor: str, settings: Settings) -> object:
    if new.cpus_per_replica != row.cpus_per_replica:
        raise Conflict(
            f"The replicas of endpoint {row.name!r} have {row.cpus_per_replica:g} CPUs each, which can't be changed.",
            hint="Delete the endpoint and create it again, or give it another name.",
        )
    return endpoints.replace_variants(session, row, new.variants, actor, replicas=new.replicas)


def _columns(model: type[BaseModel]) -> Callable[[Any], BaseModel]:
    """A document from the attributes of the same names."""
    return lambda row: model.model_validate({name: getattr(row, name) for name in model.model_fields})


def _pipeline(row: Pipeline) -> NewPipeline:
    return NewPipeline(name=row.name, schedule=row.schedule, **row.spec)


KINDS: dict[str, Kind] = {
    "endpoint": Kind(
        model=NewEndpoint,
        part="endpoints",
        update=EndpointUpdate,
        find=_alive,
        view=lambda session, row, settings: EndpointView.of(row, settings.serving),
        document=_endpoint,
        create=lambda session, project, new, actor, settings: endpoints.create(session, project, new, actor),
        replace=_replace_endpoint,
    ),
    "abtest": Kind(
        model=NewABTest,
        part="abtests",
        update=None,
        find=_found(abtests.get),
        view=None,
        document=_columns(NewABTest),
        create=lambda session, project, new, actor, settings: abtests.create(
            session, project=project, new=new, actor=actor
        ),
    ),
    "monitor": Kind(
        model=NewMonitor,
        part="monitors",
        update=MonitorSettings,
        find=_found(monitors.get),
        view=lambda session, row, settings: monitors.view(session, row),
        document=_columns(NewMonitor),
        create=lambda session, project, new, actor, settings: monitors.create(
            session, project=project, new=new, actor=actor
        ),
        replace=lambda session, row, new, actor, settings: monitors.replace(session, row, new, actor=actor),
    ),
    "pipeline": Kind(
        model=NewPipeline,
        part="pipelines",
        update=PipelineSettings,
        find=_found(pipelines.get),
        view=lambda session, row, settings: pipelines.view(session, row),
        document=_pipeline,
        create=lambda session, project, new, actor, settings: pipelines.create(
            session, project=project, new=new, actor=actor
        ),
        replace=lambda session, row, new, actor, settings: pipelines.replace(session, row, new, actor=actor),
    ),
    "webhook": Kind(
        model=NewWebhook,
        part="webhooks",
        update=WebhookChanges,
        find=_found(webhooks.get),
        view=lambda session, row, settings: WebhookView.of(row),
        document=_columns(NewWebhook),
        create=lambda session, project, new, actor, settings: webhooks.create(
            session, project, new, settings, actor=actor
        ),
        replace=lambda session, row, new, actor, settings: webhooks.change(
            session, row, WebhookChanges(**new.model_dump(exclude={"name"})), settings, actor=actor
        ),
        method="PATCH",
    ),
    "quota": Kind(
        model=NewQuota,
        part="quota",
        update=NewQuota,
        find=lambda session, project, name: quotas.get(session, project),
        view=None,
        document=_columns(NewQuota),
        create=lambda session, project, new, actor, settings: quotas.put(session, project, new, actor=actor),
        replace=lambda session, view, new, actor, settings: quotas.put(session, view.project, new, actor=actor),
        named=False,
    ),
}

MODELS: dict[str, type[BaseModel]] = {**JOBS, **{kind: one.model for kind, one in KINDS.items()}}
"""What a document of each kind holds, jobs included."""
