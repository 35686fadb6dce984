"""Jobs: submit, watch, follow, wait."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ratchet.sdk.bundles import Bundles
from ratchet.sdk.collection import PATIENCE_S, Collection, body_of, id_of
from ratchet.sdk.errors import Invalid, JobFailed, ServerUnavailable
from ratchet.sdk.modes import Async, Mode, operation, stream
from ratchet.sdk.resources import Job, LogEntry, LogPage, Plan, Series, Trial, Waiting
from ratchet.sdk.transport import backoff

Spec = Mapping[str, Any] | BaseModel
"""A mapping, or one of `ratchet_pipelines.spec`'s models."""


@dataclass(frozen=True)
class Update:
    """Something that happened to a followed job."""

    kind: str
    """`job` (its state; `job` is set), `metrics` or `log`; a newer server may send others."""
    data: Any
    """The event's data as the server sent it."""
    id: str
    """Where the stream can be taken up again."""
    job: Job | None = None


class Jobs(Collection[Mode, Job]):
    resource = Job
    name = "jobs"

    @operation
    async def submit(self, spec: Spec, *, idempotency_key: str | None = None) -> Job:
        """Puts a job into the queue.

        The request carries an Idempotency-Key (a new one when none is given), so that a repetition after a lost
        answer never starts a second job.
        """
        return await self._post(Job, self._address("jobs"), body_of(spec), idempotency_key=idempotency_key)

    @operation
    async def custom(
        self,
        /,
        entrypoint: Sequence[str],
        *,
        code: str | Path | Mapping[str, Any],
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """Runs a program of your own: `custom(["python", "train.py"], code="./train", env={"LR": "0.1"})`.

        `code` is a folder or an archive, which is uploaded, or where the code is: `{"kind": "git", "url": …,
        "commit": …}`, `{"kind": "image", "uri": …}`. `fields` are those of the spec.
        """
        if not isinstance(code, Mapping):
            bundles: Bundles[Async] = self._part(Bundles)
            code = {"kind": "archive", "digest": (await bundles.upload(code)).digest}
        spec = {"kind": "custom", "code": dict(code), "entrypoint": list(entrypoint), **fields}
        return await self.submit(spec, idempotency_key=idempotency_key)

    @operation
    async def batch_predict(
        self,
        /,
        model: str | Mapping[str, Any],
        input: str,
        output: str | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """Predicts every row of a table: `batch_predict("cancer:champion", "s3://bucket/rows.parquet")`.

        `model` is `NAME:VERSION`, `NAME:ALIAS` or `{"name": …, "version": …}`; `fields` are those of the spec. When the
        job has ended, `job.result["output"]` is the folder of the results.
        """
        spec = {"kind": "batch_prediction", "model": model_choice(model), "input": input, **fields}
        if output is not None:
            spec["output"] = output
        return await self.submit(spec, idempotency_key=idempotency_key)

    @operation
    async def plan(self, spec: Spec) -> Plan:
        """What `submit` would do, checked by the server, with nothing started."""
        return await self._post(Plan, self._address("jobs:plan"), body_of(spec))

    @operation
    async def explain_wait(self, job: str | Job) -> Waiting:
        """Why the job waits, and its place in the queue."""
        return await self._get(Waiting, self._address("jobs", id_of(job), "wait"))

    @operation
    async def cancel(self, job: str | Job) -> Job:
        return await self._post(Job, self._address("jobs", f"{id_of(job)}:cancel"))

    @operation
    async def clone(
        self, job: str | Job, changes: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Job:
        """Submits the job's spec anew with changes: a merge patch, in which None puts a field back to its default."""
        address = self._address("jobs", f"{id_of(job)}:clone")
        return await self._post(Job, address, dict(changes or {}), idempotency_key=idempotency_key)

    @operation
    async def retry(self, job: str | Job, *, idempotency_key: str | None = None) -> Job:
        """Submits a job that failed or was cancelled anew; the new one goes on from the old one's last checkpoint."""
        return await self._post(Job, self._address("jobs", f"{id_of(job)}:retry"), idempotency_key=idempotency_key)

    @operation
    async def wait(
        self,
        job: str | Job,
        *,
        timeout: float | None = None,
        on_change: Callable[[Job], None] | None = None,
        check: bool = True,
    ) -> Job:
        """The job once it has ended. `JobFailed` when it failed or was cancelled, unless `check` is off."""
        id = id_of(job)
        ended = await self._wait(
            lambda: self.get(id), lambda job: job.ended, what=f"Job {id}", timeout=timeout, on_change=on_change
        )
        if check:
            raise_for_status(ended)
        return ended

    @stream
    async def follow(self, job: str | Job, *, last_event_id: str = "") -> AsyncIterator[Update]:
        """What happens to the job from now on, until it has ended.

        A broken connection is taken up again where it broke, for up to two minutes without an answer.
        """
        async for update in self._follow(id_of(job), last_event_id, {}):
            yield update

    async def _follow(self, id: str, last_event_id: str, params: Mapping[str, Any]) -> AsyncIterator[Update]:
        ended, failures, reached = False, 0, time.monotonic()
        while not ended:
            try:
                address = self._address("jobs", id, "events")
                async with self._transport.events(address, params=params, last_event_id=last_event_id) as events:
                    async for event in events:
                        failures, reached = 0, time.monotonic()
                        last_event_id = event.id or last_event_id
                        if not event.data:
                            continue
                        update = _update(event.event, event.json(), event.id)
                        ended = ended or (update.job is not None and update.job.ended)
                        yield update
            except ServerUnavailable:
                if time.monotonic() - reached > PATIENCE_S:
                    raise
            if not ended:
                failures += 1
                await self._transport.sleep(backoff(failures))

    @operation
    async def metrics(self, job: str | Job) -> list[Series]:
        answer = await self._transport.json("GET", self._address("jobs", id_of(job), "metrics"))
        return [Series.model_validate(series) for series in answer["series"]]

    @stream
    async def logs(
        self,
        job: str | Job,
        *,
        follow: bool = False,
        source: str | None = None,
        level: str | None = None,
        search: str | None = None,
        regex: bool = False,
        attempt: int | None = None,
        tail: int | None = None,
    ) -> AsyncIterator[LogEntry]:
        """The entries of the job's log as far as it is written, oldest first; with `follow`, to its end.

        `level` is the least grave that is given, `tail` how many of the last to begin with.
        """
        id = id_of(job)
        wanted = {"source": source, "level": level, "search": search, "regex": regex or None, "attempt": attempt}
        page = await self._log_page(id, {**wanted, **({} if tail is None else {"tail": True, "limit": tail})})
        while True:
            for entry in page.entries:
                yield entry
            if page.complete or (tail is not None and not follow):
                return
            before, page = page.cursor, await self._log_page(id, {**wanted, "cursor": page.cursor})
            if not page.entries and page.cursor == before:
                break
        if not follow or page.complete:
            return
        async for update in self._follow(id, page.cursor, wanted):
            if update.kind == "log":
                for found in update.data["entries"]:
                    yield LogEntry.model_validate(found)

    async def _log_page(self, id: str, params: Mapping[str, Any]) -> LogPage:
        return await self._get(LogPage, self._address("jobs", id, "logs"), params)

    @stream
    async def log_file(
        self,
        job: str | Job,
        *,
        source: str | None = None,
        level: str | None = None,
        search: str | None = None,
        regex: bool = False,
        attempt: int | None = None,
    ) -> AsyncIterator[str]:
        """The whole log as text, in parts: a line for each entry, with its time, level and source."""
        wanted = {"source": source, "level": level, "search": search, "regex": regex or None, "attempt": attempt}
        async for part in self._transport.text(self._address("jobs", id_of(job), "logs:download"), params=wanted):
            yield part

    @stream
    def trials(self, job: str | Job) -> AsyncIterator[Trial]:
        """The trials of a sweep."""
        return self._pages(Trial, self._address("jobs", id_of(job), "trials"))


def model_choice(model: str | Mapping[str, Any]) -> dict[str, Any]:
    """`cancer:3` and `cancer:champion` as a spec has them."""
    if isinstance(model, Mapping):
        return dict(model)
    name, _, which = model.partition(":")
    if not name or not which:
        raise Invalid(f"{model!r} is no version of a model: write NAME:VERSION or NAME:ALIAS.")
    return {"name": name, **({"version": int(which)} if which.isdigit() else {"alias": which})}


def raise_for_status(job: Job) -> None:
    """`JobFailed` when the job ended otherwise than well."""
    if job.status in ("failed", "cancelled"):
        why = f" ({job.reason})" if job.reason and job.reason != job.status else ""
        raise JobFailed(
            f"Job {job.id} {'was cancelled' if job.status == 'cancelled' else 'failed'}{why}"
            f"{': ' + job.message if job.message else ''}",
            job,
        )


def _update(kind: str, data: Any, id: str) -> Update:
    return Update(kind, data, id, Job.model_validate(data) if kind == "job" else None)
