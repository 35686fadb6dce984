"""What watches and decides: A/B tests, monitors and pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ratchet.sdk.collection import Collection, body_of, id_of, name_of
from ratchet.sdk.errors import WorkFailed
from ratchet.sdk.resources import ABTest, Alert, Check, Monitor, Pipeline, PipelineRun


class ABTests(Collection[ABTest]):
    resource = ABTest
    name = "abtests"

    def create(self, spec: Mapping[str, Any]) -> ABTest:
        """Compares two variants of an endpoint on live traffic; see the API's schema for the fields."""
        return self._post(ABTest, self._address("abtests"), body_of(spec))

    def stop(self, abtest: str | ABTest) -> ABTest:
        """Ends it without a decision."""
        return self._post(ABTest, self._address("abtests", f"{id_of(abtest)}:stop"))

    def wait(
        self,
        abtest: str | ABTest,
        *,
        timeout: float | None = None,
        on_change: Callable[[ABTest], None] | None = None,
    ) -> ABTest:
        """The test once it has decided or was stopped."""
        id = id_of(abtest)
        return self._wait(
            lambda: self.get(id), lambda now: now.ended, what=f"A/B test {id}", timeout=timeout, on_change=on_change
        )


class Monitors(Collection[Monitor]):
    resource = Monitor
    name = "monitors"

    def create(self, spec: Mapping[str, Any]) -> Monitor:
        return self._post(Monitor, self._address("monitors"), body_of(spec))

    def check(self, monitor: str | Monitor) -> Check:
        """Checks now; the next scheduled check is unchanged."""
        return self._post(Check, self._address("monitors", f"{name_of(monitor)}:check"), repeatable=False)

    def pause(self, monitor: str | Monitor) -> Monitor:
        return self._post(Monitor, self._address("monitors", f"{name_of(monitor)}:pause"))

    def resume(self, monitor: str | Monitor) -> Monitor:
        return self._post(Monitor, self._address("monitors", f"{name_of(monitor)}:resume"))

    def checks(self, monitor: str | Monitor) -> Iterator[Check]:
        return self._pages(Check, self._address("monitors", name_of(monitor), "checks"))

    def get_check(self, id: str) -> Check:
        return self._get(Check, self._address("checks", id))

    def wait_check(
        self,
        check: str | Check,
        *,
        timeout: float | None = None,
        on_change: Callable[[Check], None] | None = None,
    ) -> Check:
        """The check once it has a verdict; `WorkFailed` when it failed."""
        id = id_of(check)
        now = self._wait(
            lambda: self.get_check(id),
            lambda now: now.ended,
            what=f"Check {id}",
            timeout=timeout,
            on_change=on_change,
        )
        if now.status == "failed":
            raise WorkFailed(f"Check {id} failed: {now.message or 'see its job ' + (now.job or '')}", now)
        return now

    def alerts(self, monitor: str | Monitor) -> Iterator[Alert]:
        return self._pages(Alert, self._address("monitors", name_of(monitor), "alerts"))

    def report(self, check: str | Check) -> str:
        """The check's report, as HTML."""
        return self._transport.request("GET", self._address("checks", id_of(check), "report")).text


class Pipelines(Collection[Pipeline]):
    resource = Pipeline
    name = "pipelines"

    def create(self, spec: Mapping[str, Any]) -> Pipeline:
        return self._post(Pipeline, self._address("pipelines"), body_of(spec))

    def run(self, pipeline: str | Pipeline) -> PipelineRun:
        return self._post(PipelineRun, self._address("pipelines", f"{name_of(pipeline)}:run"), repeatable=False)

    def cancel_run(self, run: str | PipelineRun) -> PipelineRun:
        return self._post(PipelineRun, self._address("pipeline-runs", f"{id_of(run)}:cancel"))

    def runs(self, pipeline: str | Pipeline | None = None, **filters: Any) -> Iterator[PipelineRun]:
        """The runs of one pipeline, or of all."""
        if pipeline is not None:
            filters["pipeline"] = name_of(pipeline)
        return self._pages(PipelineRun, self._address("pipeline-runs"), filters)

    def get_run(self, run: str | PipelineRun) -> PipelineRun:
        return self._get(PipelineRun, self._address("pipeline-runs", id_of(run)))

    def wait_run_change(self, run: PipelineRun, *, timeout: float | None = None) -> PipelineRun:
        """The run once it is otherwise than it was: a step further, or with more to say."""
        return self._wait(
            lambda: self.get_run(run), lambda now: now != run, what=f"Run {run.id}", timeout=timeout, on_change=None
        )

    def wait_run(
        self,
        run: str | PipelineRun,
        *,
        timeout: float | None = None,
        on_change: Callable[[PipelineRun], None] | None = None,
        check: bool = True,
    ) -> PipelineRun:
        """The run once it has ended; `WorkFailed` names the step at which it failed, unless `check` is off."""
        id = id_of(run)
        now = self._wait(
            lambda: self.get_run(id), lambda now: now.ended, what=f"Run {id}", timeout=timeout, on_change=on_change
        )
        if check and now.status != "succeeded":
            broken = next((step for step in now.steps if step.status == "failed"), None)
            where = f" at step {broken.name!r}: {broken.message or 'no reason given'}" if broken else ""
            raise WorkFailed(f"Run {id} of pipeline {now.pipeline} {now.status}{where}", now)
        return now
