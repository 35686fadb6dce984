"""Endpoints: what is served, predictions from it, and what came true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ratchet.sdk.collection import Collection, body_of, name_of
from ratchet.sdk.errors import Conflict, RatchetError, WorkFailed
from ratchet.sdk.modes import Mode, operation
from ratchet.sdk.resources import Endpoint, OutcomesReceipt, Prediction, TrafficPoint
from ratchet.sdk.transport import Transport

OUTCOMES_PER_REQUEST = 10_000


class Endpoints(Collection[Mode, Endpoint]):
    resource = Endpoint
    name = "endpoints"

    def __init__(self, transport: Transport, project: str, *, blocking: bool) -> None:
        super().__init__(transport, project, blocking=blocking)
        self._urls: dict[str, str] = {}

    @operation
    async def create(self, name: str, variants: Sequence[Mapping[str, Any]], *, replicas: int = 1) -> Endpoint:
        """Deploys a new endpoint. A variant is `{"name", "model", "version" or "alias", "weight"}`."""
        body = {"name": name, "variants": [dict(variant) for variant in variants], "replicas": replicas}
        return await self._post(Endpoint, self._address("endpoints"), body)

    @operation
    async def update(
        self, endpoint: str | Endpoint, variants: Sequence[Mapping[str, Any]], *, replicas: int | None = None
    ) -> Endpoint:
        """Replaces the variants; what serves goes on serving until the new ones are loaded and tried."""
        body: dict[str, Any] = {"variants": [dict(variant) for variant in variants]}
        if replicas is not None:
            body["replicas"] = replicas
        return await self._put(Endpoint, self._address("endpoints", name_of(endpoint)), body)

    @operation
    async def apply(self, spec: Mapping[str, Any]) -> Endpoint:
        """Creates the endpoint that the spec describes, or changes the one of that name to be it."""
        spec = body_of(spec)
        try:
            return await self._post(Endpoint, self._address("endpoints"), spec)
        except Conflict:
            return await self.update(spec["name"], spec["variants"], replicas=spec.get("replicas"))

    @operation
    async def set_weights(self, endpoint: str | Endpoint, weights: Mapping[str, float]) -> Endpoint:
        """Changes the shares of traffic, with nothing restarted. Variants that are not named get none."""
        current = await self.get(name_of(endpoint))
        names = [variant.name for variant in current.variants]
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise RatchetError(
                f"Endpoint {current.name} has no variant {unknown[0]!r}.", hint=f"Its variants: {', '.join(names)}."
            )
        variants = [
            {
                "name": variant.name,
                "model": variant.model,
                # A variant that follows an alias goes on following it.
                **({"alias": variant.alias} if variant.alias else {"version": variant.version}),
                "weight": weights.get(variant.name, 0.0),
            }
            for variant in current.variants
        ]
        return await self.update(current.name, variants)

    @operation
    async def delete(self, endpoint: str | Endpoint) -> None:
        self._urls.pop(name_of(endpoint), None)
        await self._delete(self._address("endpoints", name_of(endpoint)))

    @operation
    async def wait_ready(
        self,
        endpoint: str | Endpoint,
        *,
        timeout: float | None = 300,
        on_change: Callable[[Endpoint], None] | None = None,
    ) -> Endpoint:
        """The endpoint once what was last asked for is what serves; `WorkFailed` when it cannot be.

        A Serve that does not answer is waited for: it may be starting.
        """
        name = name_of(endpoint)
        now = await self._wait(
            lambda: self.get(name),
            lambda now: now.ready or _is_broken(now),
            what=f"Endpoint {name}",
            timeout=timeout,
            on_change=on_change,
        )
        if not now.ready:
            raise WorkFailed(f"Endpoint {name} is {now.status}: {now.message or now.reason or 'no reason given'}", now)
        return now

    @operation
    async def predict(
        self,
        endpoint: str | Endpoint,
        inputs: Sequence[Mapping[str, Any]] | Mapping[str, Any],
        *,
        key: str | None = None,
        request_id: str | None = None,
        timeout: float = 10,
    ) -> Prediction:
        """Predictions for 1 to 1,000 rows, each a mapping of column to value.

        Callers with the same `key` meet the same variant. Goes to the endpoint's own address, not through the API; it
        is asked for once and remembered.
        """
        rows = [dict(inputs)] if isinstance(inputs, Mapping) else [dict(row) for row in inputs]
        body = {"inputs": rows, "key": key, "request_id": request_id}
        answer = await self._transport.json(
            "POST",
            await self._prediction_url(endpoint) + "/predict",
            json={name: value for name, value in body.items() if value is not None},
            repeatable=False,  # a repetition would be logged as a second request
            timeout=timeout,
        )
        return Prediction.model_validate(answer)

    async def _prediction_url(self, endpoint: str | Endpoint) -> str:
        name = name_of(endpoint)
        if name not in self._urls:
            known = endpoint if isinstance(endpoint, Endpoint) and endpoint.url else await self.get(name)
            if not known.url:
                raise RatchetError(
                    f"Endpoint {name} has no address yet (status: {known.status}).",
                    hint="Wait for it with client.endpoints.wait_ready().",
                )
            self._urls[name] = known.url.rstrip("/").removesuffix("/predict")
        return self._urls[name]

    @operation
    async def send_outcomes(self, endpoint: str | Endpoint, outcomes: Sequence[Mapping[str, Any]]) -> OutcomesReceipt:
        """What came true: `{"request_id", "row" (default 0), "value"}` each. Sending one twice counts once."""
        address = self._address("endpoints", name_of(endpoint), "outcomes")
        accepted = duplicates = 0
        for start in range(0, len(outcomes), OUTCOMES_PER_REQUEST):
            part = [dict(outcome) for outcome in outcomes[start : start + OUTCOMES_PER_REQUEST]]
            receipt = await self._post(OutcomesReceipt, address, {"outcomes": part})
            accepted += receipt.accepted
            duplicates += receipt.duplicates
        return OutcomesReceipt(accepted=accepted, duplicates=duplicates)

    @operation
    async def predictions(self, endpoint: str | Endpoint, *, limit: int = 100) -> list[dict[str, Any]]:
        """The newest rows of the prediction log."""
        address = self._address("endpoints", name_of(endpoint), "predictions")
        answer = await self._transport.json("GET", address, params={"limit": limit})
        rows: list[dict[str, Any]] = answer["items"]
        return rows

    @operation
    async def traffic(self, endpoint: str | Endpoint) -> list[TrafficPoint]:
        """Requests by variant and minute, newest first."""
        answer = await self._transport.json("GET", self._address("endpoints", name_of(endpoint), "traffic"))
        return [TrafficPoint.model_validate(item) for item in answer["items"]]


def _is_broken(endpoint: Endpoint) -> bool:
    starting = (endpoint.reason or "").endswith("_unreachable")
    return endpoint.status == "failed" or (endpoint.status == "degraded" and not starting)
