"""What watches and decides: A/B tests, monitors and pipelines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ratchet.sdk.collection import Collection, body_of, id_of, name_of
from ratchet.sdk.errors import WorkFailed
from ratchet.sdk.modes import Mode, operation, stream
from ratchet.sdk.resources import ABTest, Alert, Check, Monitor, Pipeline, PipelineRun


class ABTests(Collection[Mode, ABTest]):
    resource = ABTest
    name = "abtests"

    @operation
    async def create(self, spec: Mapping[str, Any]) -> ABTest:
        """Compares two variants of an endpoint on live traffic; see the API's schema for the fields."""
        return await self._post(ABTest, self._address("abtests"), body_of(spec))

    @operation
    async def stop(self, abtest: str | ABTest) -> ABTest:
        """Ends it without a decision."""
        return await self._post(ABTest, self._address("abtests", f"{id_of(abtest)}:stop"))

    @operation
    async def wait(
        self,
        abtest: str | ABTest,
        *,
        timeout: float | None = None,
        on_change: Callable[[ABTest], None] | None = None,
    ) -> ABTest:
        """The test once it has decided or was stopped."""
        id = id_of(abtest)
        return await self._wait(
            lambda: self.get(id), lambda now: now.ended, what=f"A/B test {id}", timeout=timeout, on_change=on_change
        )


class Monitors(Collection[Mode, Monitor]):
    resource = Monitor
    name = "monitors"

    @operation
    async def create(self, spec: Mapping[str, Any]) -> Monitor:
        return await self._post(Monitor, self._address("monitors"), body_of(spec))

    @operation
    async def update(self, monitor: str | Monitor, spec: Mapping[str, Any]) -> Monitor:
        """All settings anew, but for the name; what is left out is as it is by default."""
        return await self._put(Monitor, self._address("monitors", name_of(monitor)), body_of(spec))

    @operation
    async def check(self, monitor: str | Monitor) -> Check:
        """Checks now; the next scheduled check is unchanged."""
        return await self._post(Check, self._address("monitors", f"{name_of(monitor)}:check"))

    @operation
    async def pause(self, monitor: str | Monitor) -> Monitor:
        return await self._post(Monitor, self._address("monitors", f"{name_of(monitor)}:pause"))

    @operation
    async def resume(self, monitor: str | Monitor) -> Monitor:
        return await self._post(Monitor, self._address("monitors", f"{name_of(monitor)}:resume"))

    @stream
    def checks(self, monitor: str | Monitor) -> AsyncIterator[Check]:
        return self._pages(Check, self._address("monitors", name_of(monitor), "checks"))

    @operation
    async def get_check(self, id: str) -> Check:
        return await self._get(Check, self._address("checks", id))

    @operation
    async def wait_check(
        self,
        check: str | Check,
        *,
        timeout: float | None = None,
        on_change: Callable[[Check], None] | None = None,
    ) -> Check:
        """The check once it has a verdict; `WorkFailed` when it failed."""
        id = id_of(check)
        now = await self._wait(
            lambda: self.get_check(id),
            lambda now: now.ended,
            what=f"Check {id}",
            timeout=timeout,
            on_change=on_change,
        )
        if now.status == "failed":
            raise WorkFailed(f"Check {id} failed: {now.message or 'see its job ' + (now.job or '')}", now)
        return now

    @stream
    def alerts(self, monitor: str | Monitor) -> AsyncIterator[Alert]:
        return self._pages(Alert, self._address("monitors", name_of(monitor), "alerts"))

    @operation
    async def report(self, check: str | Check) -> str:
        """The check's report, as HTML."""
        return (await self._transport.request("GET", self._address("checks", id_of(check), "report"))).text


class Pipelines(Collection[Mode, Pipeline]):
    resource = Pipeline
    name = "pipelines"

    @operation
    async def create(self, spec: Mapping[str, Any]) -> Pipeline:
        return await self._post(Pipeline, self._address("pipelines"), body_of(spec))

    @operation
    async def update(self, pipeline: str | Pipeline, spec: Mapping[str, Any]) -> Pipeline:
        """All settings anew, but for the name; what is left out is as it is by default."""
        return await self._put(Pipeline, self._address("pipelines", name_of(pipeline)), body_of(spec))

    @operation
    async def run(self, pipeline: str | Pipeline) -> PipelineRun:
        return await self._post(PipelineRun, self._address("pipelines", f"{name_of(pipeline)}:run"))

    @operation
    async def cancel_run(self, run: str | PipelineRun) -> PipelineRun:
        return await self._post(PipelineRun, self._address("pipeline-runs", f"{id_of(run)}:cancel"))

    @stream
    def runs(
        self, /, pipeline: str | Pipeline | None = None, *, limit: int | None = None, **filters: Any
    ) -> AsyncIterator[PipelineRun]:
        """The runs of one pipeline, or of all."""
        if pipeline is not None:
            filters["pipeline"] = name_of(pipeline)
        return self._pages(PipelineRun, self._address("pipeline-runs"), filters, limit=limit)

    @operation
    async def get_run(self, run: str | PipelineRun) -> PipelineRun:
        return await self._get(PipelineRun, self._address("pipeline-runs", id_of(run)))

    @operation
    async def wait_run_change(self, run: PipelineRun, *, timeout: float | None = None) -> PipelineRun:
        """The run once it is otherwise than it was: a step further, or with more to say."""
        return await self._wait(
            lambda: self.get_run(run), lambda now: now != run, what=f"Run {run.id}", timeout=timeout, on_change=None
        )

    @operation
    async def wait_run(
        self,
        run: str | PipelineRun,
        *,
        timeout: float | None = None,
        on_change: Callable[[PipelineRun], None] | None = None,
        check: bool = True,
    ) -> PipelineRun:
        """The run once it has ended; `WorkFailed` names the step at which it failed, unless `check` is off."""
        id = id_of(run)
        now = await self._wait(
            lambda: self.get_run(id), lambda now: now.ended, what=f"Run {id}", timeout=timeout, on_change=on_change
        )
        if check and now.status != "succeeded":
            broken = next((step for step in now.steps if step.status == "failed"), None)
            where = f" at step {broken.name!r}: {broken.message or 'no reason given'}" if broken else ""
            raise WorkFailed(f"Run {id} of pipeline {now.pipeline} {now.status}{where}", now)
        return now
