"""Play the loop: train, sweep, gate, deploy, compare, watch, retrain, promote. The stack stays up at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo.data import TARGET, Data, rows
from demo.show import Show, StationFailed
from demo.traffic import Callers, Sent
from ratchet.sdk import Client
from ratchet.sdk.resources import Check, Job, PipelineRun

METRIC = {"kind": "accuracy"}
WAIT_S = 240
PATIENT = 9
"""Attempts of a request while the API does not answer: a restart of it must not end the demo."""


class Demo:
    def __init__(self, show: Show) -> None:
        self.show = show
        self.home = Path(os.environ.get("RATCHET_HOME", "~/.ratchet")).expanduser()
        self.client: Client
        self.callers: Callers
        self.data: Data
        self.name = ""

    def play(self) -> None:
        self.start()
        self.train()
        self.sweep()
        self.gate()
        self.deploy()
        self.compare()
        self.watch()
        self.drift()
        self.retrain()
        base = self.client.connection.url
        self.show.table(
            {
                "dashboard": base,
                "endpoint": f"{base}/endpoints/{self.name}",
                "MLflow": f"{base}/mlflow/",
                "how to go on": "ratchet config; ratchet jobs list; make down stops the stack",
            }
        )

    def start(self) -> None:
        with self.show.station("start", "One machine, one command: Ray, MLflow, the API and the reconciler.") as at:
            at.tell("ratchet up")
            ratchet = Path(sys.executable).parent / "ratchet"
            started = subprocess.run([ratchet, "up", "--detach"], check=False)  # noqa: S603
            at.require(started.returncode == 0, "`ratchet up` did not succeed; `ratchet doctor` says what is missing")
            self.client = Client(attempts=PATIENT)
            taken = {each.name for each in [*self.client.models.list(), *self.client.endpoints.list()]}
            self.name = next(name for name in _names() if name not in taken)
            self.data = Data(self.home / "demo" / self.name)
            number = self.data.write()
            at.done(f"{number} rows to train on; {len(self.data.live)} more will be the live traffic")

    def train(self) -> None:
        words = "A first model: a small network, two passes over the data, by two DDP workers."
        with self.show.station("train", words) as at:
            params = {"hidden": [8], "epochs": 2, "learning_rate": 0.003, "batch_size": 32}
            job = self._run_job(at, {"kind": "train", "params": params, "resources": {"workers": 2}, **self._job})
            at.require(job.model is not None, "the job made no model version")
            accuracy = job.metrics.get("test/accuracy")
            at.require(accuracy is not None, "the test accuracy is not in MLflow")
            at.done(f"version 1 of {self.name}; test accuracy {accuracy:.3f}")

    def sweep(self) -> None:
        words = "Ray Tune tries eight settings; ASHA stops those that fall behind. The best is registered."
        with self.show.station("sweep", words) as at:
            search = {
                "learning_rate": {"kind": "uniform", "low": 1e-3, "high": 3e-2, "log": True},
                "dropout": {"kind": "uniform", "low": 0.0, "high": 0.3},
                "hidden": {"kind": "choice", "values": [[32], [64, 64], [128, 64]]},
            }
            spec = {"kind": "sweep", "search": search, "trials": 8, "params": {"epochs": 20}, **self._job}
            job = self._run_job(at, spec)
            trials = list(self.client.jobs.trials(job))
            at.require(len(trials) == 8, f"{len(trials)} trials are in MLflow instead of 8")
            at.require(job.model is not None and job.model.version == 2, "the best trial was not registered")
            at.done(f"8 trials; the best is version 2, test accuracy {job.metrics['test/accuracy']:.3f}")

    def gate(self) -> None:
        words = "An alias moves on evidence: version 1 becomes champion; version 2 must be no worse on the same rows."
        with self.show.station("gate", words) as at:
            gate = {"metric": "accuracy", "minimum": 0.5, "max_regression": 0.02, "data": self._data}
            for version, move in ((1, True), (2, False)):
                asked = self.client.models.promote(self.name, version, gate=gate, move=move)
                at.tell(f"measuring version {version}")
                decided = self.client.models.wait_promotion(self.name, asked, timeout=WAIT_S)
                at.require(decided.status == "passed", f"version {version}: {decided.status}, {decided.message}")
            model = self.client.models.get(self.name)
            at.require(model.aliases.get("champion") == 1, f"the aliases are {model.aliases}")
            at.done(f"champion is version 1; {decided.message}")

    def deploy(self) -> None:
        with self.show.station("deploy", "Both versions behind one endpoint, half of the callers each.") as at:
            variants = [
                {"name": f"v{version}", "model": self.name, "version": version, "weight": 0.5} for version in (1, 2)
            ]
            self.client.endpoints.create(self.name, variants)
            ready = self.client.endpoints.wait_ready(
                self.name, timeout=WAIT_S, on_change=lambda seen: at.tell(f"{seen.status} {seen.message or ''}")
            )
            at.require(bool(ready.url), "the endpoint has no address")
            token = self.client.connection.token
            assert token is not None
            self.callers = Callers(self.client, self.name, str(ready.url), token)
            at.done(f"{ready.url}")

    def compare(self) -> None:
        words = "Callers come; what was true comes back later. The interval holds however often one looks."
        with self.show.station("compare", words) as at:
            spec = {"name": self.name, "endpoint": self.name, "control": "v1", "treatment": "v2", "metric": METRIC}
            test = self.client.abtests.create({**spec, "min_units": 800, "max_units": 8_000})
            self.client.endpoints.wait_ready(self.name, timeout=WAIT_S)
            sent = self._traffic(at, rows(self.data.live), test.id, at_most=8_000)
            verdict = self.client.abtests.wait(test.id, timeout=WAIT_S, on_change=lambda seen: at.tell(seen.message))
            at.require(verdict.decision == "promote", f"the verdict is {verdict.decision}: {verdict.message}")
            self._require_champion(at, 2)
            at.done(f"{sent.requests:,} requests. {verdict.message}")

    def watch(self) -> None:
        words = "A monitor compares what comes in with what the champion was trained on. Nothing has changed yet."
        with self.show.station("watch", words) as at:
            self.client.pipelines.create(
                {
                    "name": self.name,
                    "train": {"kind": "train", "params": {"epochs": 20, "hidden": [64, 64]}, **self._job},
                    "gate": {"metric": "accuracy", "minimum": 0.8, "max_regression": 0.0, "data": self._data},
                    "endpoint": self.name,
                    "abtest": {"metric": METRIC, "min_units": 100, "max_units": 8_000},
                }
            )
            # Fewer rows than one pass over the live rows: none is in the window twice, so they are independent.
            spec = {"name": self.name, "endpoint": self.name, "schedule": "*/15 * * * *", "pipeline": self.name}
            self.client.monitors.create({**spec, "max_rows": 200, "min_rows": 100})
            self._traffic(at, rows(self.data.live), None, at_most=len(self.data.live))
            check = self._check(at)
            at.require(check.verdict == "no_drift", f"the verdict is {check.verdict}: {check.message}")
            at.done(str(check.message))

    def drift(self) -> None:
        words = "The instrument is changed and measures larger. The labels of half of the new rows have come in."
        with self.show.station("drift", words) as at:
            shifted = self.data.shifted()
            half = len(shifted) // 2
            added = self.data.add_labelled(shifted[:half])
            sent = self._traffic(at, rows(shifted), None, at_most=len(shifted))
            check = self._check(at)
            at.require(check.verdict == "drift", f"the verdict is {check.verdict}: {check.message}")
            alerts = list(self.client.monitors.alerts(self.name))
            at.require(len(alerts) == 1, f"{len(alerts)} alerts instead of one")
            at.require(bool(alerts[0].pipeline_run), "the alert started no pipeline run")
            accuracy = sum(sent.right.values()) / sent.requests
            at.done(f"alert; live accuracy {accuracy:.3f}; {added} labelled rows more to train on. {check.message}")

    def retrain(self) -> None:
        words = "The alert has started the pipeline: train, gate, register, deploy, A/B test, promote."
        with self.show.station("retrain", words) as at:
            alert = next(iter(self.client.monitors.alerts(self.name)))
            run_id = str(alert.pipeline_run)
            live = rows(self.data.shifted()[len(self.data.live) // 2 :])
            run = self.client.pipelines.get_run(run_id)
            while not run.ended:
                run = self.client.pipelines.wait_run_change(run, timeout=WAIT_S)
                at.tell(_steps(run))
                test = next((step.ref for step in run.steps if step.name == "abtest"), None)
                if test is not None and not self.client.abtests.get(test["id"]).ended:
                    self.client.endpoints.wait_ready(self.name, timeout=WAIT_S)
                    self._traffic(at, live, test["id"], at_most=8_000)
            at.require(run.status == "succeeded", f"the run {run.status}: {run.message}")
            at.require(run.trigger.kind == "alert", f"the run was started by {run.trigger.kind}")
            self._require_champion(at, 3)
            sent = self._traffic(at, live, None, at_most=len(live))
            at.require(set(sent.by_variant) == {"v3"}, f"traffic goes to {dict(sent.by_variant)}")
            at.done(f"champion is version 3; live accuracy {sent.right['v3'] / sent.requests:.3f}. {run.message}")

    @property
    def _data(self) -> dict[str, Any]:
        return {"uri": self.data.uri, "target": TARGET}

    @property
    def _job(self) -> dict[str, Any]:
        return {"data": self._data, "model": self.name}

    def _run_job(self, at: Any, spec: dict[str, Any]) -> Job:
        job = self.client.jobs.submit(spec)
        return self.client.jobs.wait(
            job, timeout=WAIT_S, on_change=lambda seen: at.tell(f"{seen.id} {seen.status} {seen.message or ''}")
        )

    def _traffic(self, at: Any, live: list[Any], abtest: str | None, *, at_most: int) -> Sent:
        """Requests and outcomes; when an A/B test is named, until it has its verdict."""

        def decided() -> bool:
            return abtest is not None and self.client.abtests.get(abtest).ended

        def tell(sent: Sent) -> None:
            at.tell(f"{sent.requests:,} requests: {dict(sorted(sent.by_variant.items()))}")

        return self.callers.send(live, at_most=at_most, until=decided, tell=tell)

    def _check(self, at: Any) -> Check:
        check = self.client.monitors.check(self.name)
        return self.client.monitors.wait_check(
            check, timeout=WAIT_S, on_change=lambda seen: at.tell(f"check {seen.status}")
        )

    def _require_champion(self, at: Any, version: int) -> None:
        self.client.models.wait_alias(self.name, version, timeout=WAIT_S)
        moves = list(self.client.models.alias_moves(self.name))
        moved = [move for move in moves if move.alias == "champion" and move.to_version == version]
        at.require(len(moved) == 1, f"the champion's moves are {[(m.from_version, m.to_version) for m in moves]}")


def _names() -> Any:
    yield "tumours"
    number = 2
    while True:
        yield f"tumours-{number}"
        number += 1


def _steps(run: PipelineRun) -> str:
    signs = {"succeeded": "✓", "running": "…", "failed": "✗"}
    return "  ".join(f"{signs.get(step.status, '·')} {step.name}" for step in run.steps)


def main() -> int:
    show = Show()
    try:
        Demo(show).play()
    except StationFailed as failed:
        show.console.print(
            f"✗ The demo stopped at station {failed.station!r}. {failed.why}", style="bold red", markup=False
        )
        show.console.print("The stack is up: `ratchet jobs list`, `ratchet status` and its logs say more.")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
