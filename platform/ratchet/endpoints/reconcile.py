"""The one writer of Serve's config: renders all endpoints into one document, applies it, and reads back what serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.clients.ports import Clients, EngineRefused, EngineUnavailable
from ratchet.endpoints import service
from ratchet.endpoints.ingress import HttpIngress, Ingress
from ratchet.endpoints.observe import Observed, observe, refused, unreachable
from ratchet.endpoints.render import WantedEndpoint, WantedVariant, fingerprint, render, serving_config
from ratchet.endpoints.status import UNSETTLED, Status, change
from ratchet.endpoints.tables import Endpoint, Serving
from ratchet.identity.tokens import predict_token_hashes
from ratchet.models.service import registered_name
from ratchet.reconciler.loop import Reconciler
from ratchet.settings import Settings

AT_ONCE = timedelta(0)
SOON = timedelta(seconds=0.3)
"""While something is on its way."""
IDLE = timedelta(seconds=5)
ASK_FOR_S = 15.0
"""Beyond it no further endpoint is asked in this look, which must end before its lease does."""
ASKED_AT_ONCE = 16


@dataclass(frozen=True)
class Seen:
    endpoints: tuple[WantedEndpoint, ...]
    deleting: tuple[WantedEndpoint, ...]
    applied: str | None


@dataclass(frozen=True)
class Found:
    resolved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Versions that aliases point to now and did not before: by endpoint id, then variant name."""
    applied: str | None = None
    observed: Mapping[str, Observed] = field(default_factory=dict)
    """By endpoint id."""
    gone: frozenset[str] = frozenset()
    """Ids of deleted endpoints that Serve does not list any more."""


class ServingReconciler(Reconciler[Serving, Seen, Found]):
    table = Serving
    workers = 1

    def __init__(self, settings: Settings, clients: Clients, ingress: Ingress | None = None) -> None:
        self.settings = settings
        self.serve = clients.serve
        self.mlflow = clients.mlflow
        self.ingress = ingress or HttpIngress(settings.serving_internal)

    def load(self, session: Session, row: Serving) -> Seen | None:
        rows = session.scalars(select(Endpoint).order_by(Endpoint.project, Endpoint.name)).all()
        hashes = {project: tuple(predict_token_hashes(session, project)) for project in {row.project for row in rows}}
        wanted = [(each.deleted_at is not None, _wanted(each, hashes[each.project])) for each in rows]
        return Seen(
            endpoints=tuple(endpoint for deleted, endpoint in wanted if not deleted),
            deleting=tuple(endpoint for deleted, endpoint in wanted if deleted),
            applied=row.applied,
        )

    def act(self, seen: Seen) -> Found:
        resolved = self._follow_aliases(seen.endpoints)
        if resolved:
            # Recorded first, under a generation of its own: what is served must never be more than what is written.
            return Found(resolved=resolved, applied=seen.applied)
        try:
            listed = self.serve.get().get("applications", {})
            config = render(seen.endpoints, self.settings)
            if self._is_due(seen, config, listed):
                self.serve.put(config)
                listed = self.serve.get().get("applications", {})
        except EngineUnavailable as error:
            return Found(applied=seen.applied, observed={e.id: unreachable(e, error.message) for e in _all(seen)})
        except EngineRefused as error:
            return Found(applied=None, observed={e.id: refused(e, error.message) for e in seen.endpoints})
        return Found(
            applied=fingerprint(config),
            observed=self._observe(seen.endpoints, listed),
            gone=frozenset(endpoint.id for endpoint in seen.deleting if endpoint.application not in listed),
        )

    def _follow_aliases(self, endpoints: Sequence[WantedEndpoint]) -> dict[str, dict[str, int]]:
        """The versions that aliases point to now, where they differ. MLflow not answering changes nothing."""
        names = {variant.model for endpoint in endpoints for variant in endpoint.variants if variant.alias}
        try:
            models = {name: self.mlflow.get_registered_model(name) for name in sorted(names)}
        except (EngineUnavailable, EngineRefused):
            return {}
        moved: dict[str, dict[str, int]] = {}
        for endpoint in endpoints:
            for variant in endpoint.variants:
                model = models.get(variant.model)
                version = model.aliases.get(variant.alias) if model is not None and variant.alias else None
                if version is not None and version != variant.version:
                    moved.setdefault(endpoint.id, {})[variant.name] = version
        return moved

    @staticmethod
    def _is_due(seen: Seen, config: Mapping[str, Any], listed: Mapping[str, Any]) -> bool:
        """Whether Serve must be told. A PUT starts Serve, which takes memory: not when there is nothing to say."""
        wanted = {application["name"] for application in config["applications"]}
        alive = {name for name, details in listed.items() if details.get("status") != "DELETING"}
        if not wanted and not alive:
            return False
        return fingerprint(config) != seen.applied or wanted != alive

    def _observe(self, endpoints: Sequence[WantedEndpoint], listed: Mapping[str, Any]) -> dict[str, Observed]:
        until = time.monotonic() + ASK_FOR_S

        def one(endpoint: WantedEndpoint) -> tuple[str, Observed] | None:
            application = listed.get(endpoint.application)
            if time.monotonic() > until:
                return None
            replica = self.ingress.status(endpoint.path, endpoint.replicas) if application is not None else None
            return endpoint.id, observe(endpoint, application, replica)

        if not endpoints:
            return {}
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="ask-endpoints") as pool:
            return dict(found for found in pool.map(one, endpoints) if found is not None)

    def record(self, session: Session, row: Serving, seen: Seen, found: Found) -> timedelta | None:
        row.applied = found.applied
        for wanted in seen.endpoints:
            endpoint = session.get(Endpoint, wanted.id)
            if endpoint is None or endpoint.generation != wanted.generation or endpoint.deleted_at is not None:
                continue  # changed meanwhile: this was seen of what it was
            if wanted.id in found.resolved:
                service.follow_alias(session, endpoint, found.resolved[wanted.id])
            elif wanted.id in found.observed:
                endpoint.rendered = serving_config(wanted)
                _record(session, endpoint, found.observed[wanted.id])
        for wanted in seen.deleting:
            self._record_deleted(session, wanted, found)
        if found.resolved:
            return AT_ONCE
        session.flush()
        return SOON if _unsettled(session) else IDLE

    @staticmethod
    def _record_deleted(session: Session, wanted: WantedEndpoint, found: Found) -> None:
        endpoint = session.get(Endpoint, wanted.id)
        if endpoint is None:
            return
        if wanted.id in found.gone:
            events.emit(
                session,
                project=endpoint.project,
                actor=events.SYSTEM,
                action="endpoint.deleted",
                target=("endpoint", endpoint.id),
                before={"name": endpoint.name},
            )
            session.delete(endpoint)
        elif wanted.id in found.observed:
            observed = found.observed[wanted.id]
            endpoint.engine_status = observed.engine_status
            change(session, endpoint, Status.DELETING, reason=observed.reason, message=observed.message)


def _wanted(row: Endpoint, hashes: tuple[str, ...]) -> WantedEndpoint:
    return WantedEndpoint(
        id=row.id,
        project=row.project,
        name=row.name,
        status=row.status,
        replicas=row.replicas,
        cpus_per_replica=row.cpus_per_replica,
        salt=row.salt,
        generation=row.generation,
        observed_generation=row.observed_generation,
        variants=tuple(
            WantedVariant(each.name, registered_name(row.project, each.model), each.version, each.alias, each.weight)
            for each in row.variants
        ),
        rendered=row.rendered,
        token_hashes=hashes,
    )


def _record(session: Session, endpoint: Endpoint, observed: Observed) -> None:
    endpoint.engine_status = observed.engine_status
    endpoint.observed_generation = observed.serving
    for row in endpoint.variants:
        if row.name in observed.variants:
            row.state, row.message = observed.variants[row.name]
    change(session, endpoint, observed.status, reason=observed.reason, message=observed.message)


def _all(seen: Seen) -> tuple[WantedEndpoint, ...]:
    return (*seen.endpoints, *seen.deleting)


def _unsettled(session: Session) -> bool:
    """Whether an endpoint is on its way and Serve answers: when it does not, there is no hurry."""
    query = select(Endpoint.id).where(
        Endpoint.status.in_([status.value for status in UNSETTLED]),
        Endpoint.reason.is_distinct_from("serve_unreachable"),
    )
    return session.scalar(query.limit(1)) is not None
