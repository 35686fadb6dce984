"""Registered models: versions, aliases and promotions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ratchet.sdk.collection import Collection, name_of
from ratchet.sdk.errors import WorkFailed
from ratchet.sdk.modes import Mode, operation, stream
from ratchet.sdk.resources import AliasMove, Model, Promotion


class Models(Collection[Mode, Model]):
    resource = Model
    name = "models"

    @operation
    async def promote(
        self,
        model: str | Model,
        version: int,
        *,
        gate: Mapping[str, Any],
        alias: str = "champion",
        move: bool = True,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Promotion:
        """Asks for an alias to be moved to a version. The gate decides: the version is measured, together with the one
        that has the alias, on the same test split, and the alias moves when every rule holds.

        Without `move` the gate alone is evaluated: what an A/B test or a pipeline may then move the alias on.

        With `wait`, returns the decided promotion; see `wait_promotion`.
        """
        body = {"version": version, "alias": alias, "gate": dict(gate), "move": move}
        promotion = await self._post(Promotion, self._address("models", name_of(model), "promotions"), body)
        return await self.wait_promotion(model, promotion, timeout=timeout) if wait else promotion

    @operation
    async def set_alias(self, model: str | Model, alias: str, version: int) -> Promotion:
        """Points an alias to a version without a gate; the API refuses it for `champion`."""
        address = self._address("models", name_of(model), "aliases", alias)
        return await self._put(Promotion, address, {"version": version})

    @stream
    def promotions(self, model: str | Model) -> AsyncIterator[Promotion]:
        return self._pages(Promotion, self._address("models", name_of(model), "promotions"))

    @operation
    async def get_promotion(self, model: str | Model, id: str) -> Promotion:
        return await self._get(Promotion, self._address("models", name_of(model), "promotions", id))

    @operation
    async def wait_promotion(
        self,
        model: str | Model,
        promotion: str | Promotion,
        *,
        timeout: float | None = None,
        on_change: Callable[[Promotion], None] | None = None,
    ) -> Promotion:
        """The promotion once it is decided: `passed` or `refused`. `WorkFailed` when it could not be decided."""
        id = promotion if isinstance(promotion, str) else promotion.id
        decided = await self._wait(
            lambda: self.get_promotion(model, id),
            lambda now: now.ended,
            what=f"Promotion {id}",
            timeout=timeout,
            on_change=on_change,
        )
        if decided.status == "failed":
            raise WorkFailed(
                f"Promotion {id} failed: {decided.message or decided.reason or 'no reason given'}", decided
            )
        return decided

    @operation
    async def wait_alias(
        self, model: str | Model, version: int, *, alias: str = "champion", timeout: float | None = None
    ) -> Model:
        """The model once the alias points to the version."""
        name = name_of(model)
        return await self._wait(
            lambda: self.get(name),
            lambda now: now.aliases.get(alias) == version,
            what=f"Alias {alias} of {name} at version {version}",
            timeout=timeout,
            on_change=None,
        )

    @stream
    def alias_moves(self, model: str | Model) -> AsyncIterator[AliasMove]:
        """Who moved which alias, when, from what, on what evidence."""
        return self._pages(AliasMove, self._address("models", name_of(model), "alias-moves"))
