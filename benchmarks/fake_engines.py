"""Ray's Jobs and Serve and MLflow's runs over HTTP, doing nothing: for loads that no real Ray on one machine takes.

A job runs for `FAKE_JOB_S` seconds and succeeds. What began more than ten minutes ago is forgotten, so that the process
that grows is the platform's. Served by `uvicorn --factory benchmarks.fake_engines:app`; both engines at one address.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

KEPT_S = 600
CPUS = 10_000.0


@dataclass
class Engines:
    job_s: float
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    serve: dict[str, Any] = field(default_factory=lambda: {"applications": {}})
    numbers: Iterable[int] = field(default_factory=itertools.count)
    submitted: int = 0
    doubled: int = 0

    def forget(self) -> None:
        """Dictionaries keep their order: the oldest come first."""
        old = time.time() - self.job_s - KEPT_S
        for kept in (self.jobs, self.runs):
            for key, value in list(itertools.islice(kept.items(), 50)):
                if value["began"] > old:
                    break
                del kept[key]

    def job(self, job_id: str) -> dict[str, Any] | None:
        found = self.jobs.get(job_id)
        if found is None:
            return None
        if found["status"] == "RUNNING" and time.time() >= found["began"] + self.job_s:
            found["status"], found["driver_exit_code"] = "SUCCEEDED", 0
        return found


def app() -> Starlette:
    engines = Engines(float(os.environ.get("FAKE_JOB_S", "1")))

    async def counts(_: Request) -> JSONResponse:
        return JSONResponse({"submitted": engines.submitted, "doubled": engines.doubled})

    routes = [Route("/counts", counts), Route("/healthz", healthy)]
    return Starlette(routes=[*ray(engines), *mlflow(engines), *routes])


async def healthy(_: Request) -> PlainTextResponse:
    return PlainTextResponse("success")


def ray(engines: Engines) -> list[Route]:
    async def submit(request: Request) -> JSONResponse:
        body = await request.json()
        engines.forget()
        name = body["submission_id"]
        if name in engines.jobs:
            engines.doubled += 1
            return JSONResponse({"error": f"{name} already exists"}, 500)
        engines.submitted += 1
        engines.jobs[name] = {
            **{"submission_id": name, "type": "SUBMISSION", "status": "RUNNING", "message": "", "error_type": None},
            **{"driver_exit_code": None, "metadata": body.get("metadata", {}), "began": time.time()},
        }
        return JSONResponse({"submission_id": name, "job_id": name})

    async def jobs(_: Request) -> JSONResponse:
        return JSONResponse([engines.job(name) for name in engines.jobs])

    async def job(request: Request) -> JSONResponse:
        found = engines.job(request.path_params["job"])
        return JSONResponse(found) if found else JSONResponse({"error": "unknown"}, 404)

    async def stop(request: Request) -> JSONResponse:
        found = engines.job(request.path_params["job"])
        if found and found["status"] == "RUNNING":
            found["status"] = "STOPPED"
        return JSONResponse({"stopped": True})

    async def logs(_: Request) -> JSONResponse:
        return JSONResponse({"logs": "Done.\n"})

    async def nodes(_: Request) -> JSONResponse:
        node = {"state": "ALIVE", "resources_total": {"CPU": CPUS, "memory": 2**50}}
        return JSONResponse({"data": {"result": {"result": [node]}}})

    async def serve(_: Request) -> JSONResponse:
        return JSONResponse(engines.serve)

    return [
        Route("/api/jobs/", submit, methods=["POST"]),
        Route("/api/jobs/", jobs),
        Route("/api/jobs/{job}", job),
        Route("/api/jobs/{job}/stop", stop, methods=["POST"]),
        Route("/api/jobs/{job}/logs", logs),
        Route("/api/v0/nodes", nodes),
        Route("/api/gcs_healthz", healthy),
        Route("/api/serve/applications/", serve, methods=["GET", "PUT"]),
    ]


def mlflow(engines: Engines) -> list[Route]:
    async def experiment(_: Request) -> JSONResponse:
        return JSONResponse({"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}, "experiment_id": "1"})

    async def create_run(request: Request) -> JSONResponse:
        body, number = await request.json(), next(iter(engines.numbers))
        run_id = f"{number:032x}"
        info = {"run_id": run_id, "experiment_id": "1", "status": "RUNNING", "start_time": 0, "run_name": ""}
        engines.runs[run_id] = {"info": info, "data": {"tags": body.get("tags", [])}, "began": time.time()}
        return JSONResponse({"run": engines.runs[run_id]})

    async def get_run(request: Request) -> JSONResponse:
        found = engines.runs.get(request.query_params["run_id"])
        if found is None:
            return JSONResponse({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}, 404)
        return JSONResponse({"run": found})

    async def search_runs(_: Request) -> JSONResponse:
        return JSONResponse({"runs": []})  # asked before a run is opened: nothing was opened before

    async def update_run(request: Request) -> JSONResponse:
        body = await request.json()
        if body["run_id"] in engines.runs and "status" in body:
            engines.runs[body["run_id"]]["info"]["status"] = body["status"]
        return JSONResponse({})

    api = "/api/2.0/mlflow"
    return [
        Route(f"{api}/experiments/get-by-name", experiment),
        Route(f"{api}/experiments/create", experiment, methods=["POST"]),
        Route(f"{api}/runs/create", create_run, methods=["POST"]),
        Route(f"{api}/runs/get", get_run),
        Route(f"{api}/runs/search", search_runs, methods=["POST"]),
        Route(f"{api}/runs/update", update_run, methods=["POST"]),
        Route(f"{api}/runs/log-batch", update_run, methods=["POST"]),
    ]
