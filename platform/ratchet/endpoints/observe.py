"""What an endpoint's state is, from what Serve says of its application and the replicas of themselves: all pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratchet.endpoints.render import WantedEndpoint
from ratchet.endpoints.status import Status

MESSAGE_LINES = 3
MESSAGE_CHARACTERS = 1_000


@dataclass(frozen=True)
class Observed:
    status: Status
    engine_status: str | None
    """Serve's word for the application; `unreachable` when Serve does not answer."""
    reason: str | None = None
    message: str | None = None
    serving: int = 0
    """The generation that answers; 0 when none does."""
    variants: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """State and message, by the variant's name."""


def observe(
    endpoint: WantedEndpoint, application: Mapping[str, Any] | None, replica: Mapping[str, Any] | None
) -> Observed:
    """`application` is Serve's `ApplicationDetails`; `replica` what a replica answers; None where there is none."""
    serving = int(replica.get("generation", 0)) if replica is not None else 0
    variants = _variants(endpoint, replica)
    engine = str(application["status"]) if application is not None else None

    def found(settled: bool, reason: str | None = None, message: str | None = None) -> Observed:
        """On its way, or settled in a state that is not what was asked for."""
        if settled:
            status = Status.DEGRADED if answers(variants, serving) else Status.FAILED
        else:
            status = Status.UPDATING if answers(variants, serving) else Status.DEPLOYING
        return Observed(status, engine, reason, message, serving, variants)

    if endpoint.unresolved:
        missing = endpoint.unresolved[0]
        message = f"Variant {missing.name}: no version of {missing.model} has the alias {missing.alias!r}."
        return found(True, "alias_missing", message)
    if application is None or engine in ("NOT_STARTED", "DELETING"):
        return found(False, "waiting_for_serve")
    if engine == "DEPLOY_FAILED":
        return found(True, "deploy_failed", _message(application))
    if engine == "UNHEALTHY":
        return found(True, "unhealthy", _message(application))
    failed = {name: message for name, (state, message) in variants.items() if state == "failed"}
    if failed:
        message = " ".join(f"Variant {name}: {message or 'no reason given'}" for name, message in failed.items())
        return found(True, "variant_failed", message[-MESSAGE_CHARACTERS:])
    if engine != "RUNNING":
        return found(False, None, _message(application) or None)
    if replica is None:
        ready = endpoint.status in (Status.READY, Status.DEGRADED)
        message = "Serve says that it runs, and the ingress does not answer for it."
        return Observed(Status.DEGRADED, engine, "ingress_unreachable", message) if ready else found(False)
    if serving != endpoint.generation:
        return found(False)
    return Observed(Status.READY, engine, serving=serving, variants=variants)


def unreachable(endpoint: WantedEndpoint, message: str) -> Observed:
    """Serve's API does not answer. What served may go on serving: nobody can say."""
    status = Status(endpoint.status)
    status = Status.DEGRADED if status is Status.READY else status
    return Observed(status, "unreachable", "serve_unreachable", message, endpoint.observed_generation)


def refused(endpoint: WantedEndpoint, message: str) -> Observed:
    """Serve will not have the config."""
    status = Status.DEGRADED if endpoint.observed_generation > 0 else Status.FAILED
    return Observed(status, None, "serve_refused", _last_lines(message), endpoint.observed_generation)


def answers(variants: Mapping[str, tuple[str, str | None]], serving: int) -> bool:
    """Whether callers get predictions: a replica that started with a part of its models serves those, generation 0."""
    return serving > 0 or any(state == "ready" for state, _ in variants.values())


def _variants(endpoint: WantedEndpoint, replica: Mapping[str, Any] | None) -> dict[str, tuple[str, str | None]]:
    rows = {(row["name"], row["model"], row["version"]): row for row in (replica or {}).get("variants", [])}
    states: dict[str, tuple[str, str | None]] = {}
    for variant in endpoint.variants:
        row = rows.get((variant.name, variant.model, variant.version))
        states[variant.name] = ("pending", None) if row is None else (row["state"], row.get("message") or None)
    return states


def _message(application: Mapping[str, Any]) -> str:
    """The last lines of what Serve says: its messages are tracebacks, whose end names the error."""
    deployments = application.get("deployments", {}).values()
    said = [str(application.get("message") or ""), *(str(each.get("message") or "") for each in deployments)]
    return _last_lines(next((message for message in said if message.strip()), ""))


def _last_lines(message: str) -> str:
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    return " ".join(lines[-MESSAGE_LINES:])[-MESSAGE_CHARACTERS:]
