"""Which configuration a replica serves, and the way from one to the next.

A configuration whose models are all loaded is put in force at once (that is how weights change). One that names new
models is worked on in the background while the one before goes on serving: each new model is fetched and tried in a
process of its own, then loaded; when all are ready the replica switches, and unloads what is no longer named. When one
fails, nothing is switched. Only a fresh replica, that has nothing to go on with, waits for its first models before it
takes traffic, and serves those variants that could be loaded.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from ratchet_pipelines.serving.assign import Assignment
from ratchet_pipelines.serving.models import LoadedModel, ModelError, ModelUnavailableError, Tried, fetch_and_try
from ratchet_pipelines.spec import ModelVersion, ServingConfig, Variant

State = Literal["loading", "ready", "failed"]

CONCURRENT_TRIALS = 2
FIRST_RETRY_S = 15.0
LAST_RETRY_S = 300.0
"""A model that could not be fetched is tried again after 15 s, 30 s, … up to every 300 s."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """A model that serves."""

    model: LoadedModel
    seconds: float
    """How long it takes to predict one row, in this process."""
    files: Path
    """Its own folder, removed with it."""


@dataclass(frozen=True)
class Active:
    """The configuration in force, made ready for the request path."""

    config: ServingConfig
    assignment: Assignment
    models: tuple[Ready | None, ...]
    """By variant; None where a fresh replica could not load it."""


@dataclass
class Target:
    """A configuration on its way to be in force, and how far its models are."""

    config: ServingConfig
    states: dict[ModelVersion, tuple[State, str]] = field(default_factory=dict)


class Tokens:
    """The tokens that may ask. Compared under a secret key of this process, so that timing tells nothing of them."""

    def __init__(self, hashes: list[str]) -> None:
        self._key = secrets.token_bytes(32)
        self._blinded = frozenset(self._blind(digest.lower()) for digest in hashes)

    def _blind(self, digest: str) -> bytes:
        return hmac.digest(self._key, digest.encode(), "sha256")

    def allow(self, token: bytes) -> bool:
        return self._blind(sha256(token).hexdigest()) in self._blinded


class Replica:
    """The variants of one endpoint in one process."""

    def __init__(self) -> None:
        self.active: Active | None = None
        self.tokens = Tokens([])
        self._target: Target | None = None
        self._models: dict[ModelVersion, Ready] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="ratchet-serving-"))
        self._work: asyncio.Task[None] | None = None
        self._trials = asyncio.Semaphore(CONCURRENT_TRIALS)

    async def configure(self, config: ServingConfig) -> None:
        """Make `config` the desired one. Returns when it is in force, or when work on it goes on behind what serves."""
        await self._stop_work()
        self.tokens = Tokens(config.token_hashes)  # who may ask changes at once, whatever becomes of the models
        self._target = Target(config)
        if self._missing(config) and self.active is not None:
            # Serve sends no traffic to a replica until its `reconfigure` returns.
            self._work = asyncio.create_task(self._work_towards(self._target))
        else:
            again = await self._attempt(self._target)
            if again:
                self._work = asyncio.create_task(self._work_towards(self._target, FIRST_RETRY_S))

    async def _stop_work(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None

    async def _work_towards(self, target: Target, wait_s: float = 0.0) -> None:
        while True:
            await asyncio.sleep(wait_s)
            if not await self._attempt(target):
                return
            wait_s = min(max(FIRST_RETRY_S, wait_s * 2), LAST_RETRY_S)

    async def _attempt(self, target: Target) -> bool:
        """Load what is missing and switch when nothing is; True when it is worth trying again later."""
        missing = self._missing(target.config)
        target.states.update(dict.fromkeys(missing, ("loading", "")))
        again = any(await asyncio.gather(*(self._load(model, target) for model in missing)))
        if not self._missing(target.config):
            self._switch(target.config)
            self._target = None
        elif self.active is None or any(ready is None for ready in self.active.models):
            self._switch(target.config)  # a fresh replica: some variants are better than none
        return again

    def _missing(self, config: ServingConfig) -> list[ModelVersion]:
        return [model for model in dict.fromkeys(v.model for v in config.variants) if model not in self._models]

    async def _load(self, model: ModelVersion, target: Target) -> bool:
        try:
            async with self._trials:
                tried = await fetch_and_try(model.uri, self._folder)
                ready = await asyncio.to_thread(_load_tried, tried)
        except ModelError as error:
            target.states[model] = ("failed", str(error))
            return isinstance(error, ModelUnavailableError)
        except Exception as error:  # a model's own code: it passed its trial, yet nothing of it may end the replica
            _logger.exception("loading %s failed", model.uri)
            target.states[model] = ("failed", f"{model.uri} can't be loaded: {type(error).__name__}: {error}"[:1000])
            return False
        self._models[model] = ready
        target.states[model] = ("ready", "")
        return False

    def _switch(self, config: ServingConfig) -> None:
        """Put `config` in force, in one step of the event loop, and unload what it does not name."""
        models = tuple(self._models.get(variant.model) for variant in config.variants)
        self.active = Active(config, Assignment(config.salt, config.variants), models)
        named = {variant.model for variant in config.variants}
        for model in [model for model in self._models if model not in named]:
            shutil.rmtree(self._models.pop(model).files, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        """What serves (`generation`), then the variants wanted beyond it with how far they are."""
        active, target = self.active, self._target
        complete = active is not None and None not in active.models
        rows: list[dict[str, Any]] = []
        if active is not None and complete:
            rows = [_row(variant, "ready", "") for variant in active.config.variants]
        known = {(row["name"], row["model"], row["version"]) for row in rows}
        for variant in target.config.variants if target is not None else []:
            if (variant.name, variant.model.name, variant.model.version) not in known:
                ready = variant.model in self._models
                rows.append(_row(variant, *(("ready", "") if ready else self._state(variant.model))))
        wanted = target or active
        return {
            "generation": active.config.generation if active is not None and complete else 0,
            "wanted_generation": wanted.config.generation if wanted is not None else 0,
            "variants": rows,
        }

    def _state(self, model: ModelVersion) -> tuple[State, str]:
        return self._target.states.get(model, ("loading", "")) if self._target is not None else ("loading", "")

    def failure(self, index: int) -> str:
        """Why the variant at `index` of the configuration in force can't answer."""
        if self.active is None:
            return "The endpoint's models are still loading."
        return self._state(self.active.config.variants[index].model)[1] or "The variant's model is still loading."

    async def close(self) -> None:
        await self._stop_work()
        shutil.rmtree(self._folder, ignore_errors=True)


def _load_tried(tried: Tried) -> Ready:
    model = LoadedModel(tried.model)
    return Ready(model, model.try_example(), tried.files)


def _row(variant: Variant, state: State, message: str) -> dict[str, Any]:
    return {
        "name": variant.name,
        "model": variant.model.name,
        "version": variant.model.version,
        "weight": variant.weight,
        "state": state,
        "message": message,
    }
