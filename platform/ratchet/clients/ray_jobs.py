"""Ray's Jobs REST API, and the size of the cluster by its state API (both on the dashboard's port)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from ratchet.clients.http import TIMEOUT_S, Http
from ratchet.clients.ports import ON_HEAD, ClusterInfo, Driver, EngineRefused, EngineUnavailable, JobInfo, RayStatus

PROBE_TIMEOUT_S = 1.0
WATCH_TIMEOUT_S = 2.5
MAX_NODES = 10_000
"""`RAY_MAX_LIMIT_FROM_API_SERVER`: more can't be asked for."""


class RayJobsClient:
    def __init__(
        self, address: str, token: Callable[[], str] = str, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._http = Http("Ray", address, token, transport=transport)

    def submit(
        self,
        submission_id: str,
        *,
        entrypoint: str,
        env: Mapping[str, str],
        metadata: Mapping[str, str],
        driver: Driver = ON_HEAD,
    ) -> None:
        body = {
            "submission_id": submission_id,
            "entrypoint": entrypoint,
            "entrypoint_num_cpus": driver.cpus,
            "entrypoint_num_gpus": driver.gpus,
            "entrypoint_memory": driver.memory_bytes,
            "runtime_env": {"env_vars": dict(env), **({"image_uri": driver.image} if driver.image else {})},
            "metadata": dict(metadata),
        }
        try:
            self._http.request("POST", "/api/jobs/", json=body)
        except EngineUnavailable:
            # Ray answers a submission id that it has with 500, and a time-out says nothing: ask for the id itself.
            if self.get(submission_id) is None:
                raise

    def get(self, submission_id: str) -> JobInfo | None:
        found = self._known("GET", f"/api/jobs/{submission_id}", timeout_s=WATCH_TIMEOUT_S)
        if found is None:
            return None
        return JobInfo(
            submission_id=submission_id,
            status=_status(found.get("status")),
            message=str(found.get("message") or ""),
            error_type=found.get("error_type"),
            exit_code=found.get("driver_exit_code"),
        )

    def stop(self, submission_id: str) -> None:
        self._known("POST", f"/api/jobs/{submission_id}/stop")

    def logs(self, submission_id: str) -> str | None:
        found = self._known("GET", f"/api/jobs/{submission_id}/logs")
        return None if found is None else str(found.get("logs") or "")

    def cluster(self) -> ClusterInfo:
        answer = self._http.json(
            "GET", "/api/v0/nodes", params={"limit": MAX_NODES, "timeout": 2}, timeout_s=WATCH_TIMEOUT_S
        )
        try:
            nodes = [node for node in answer["data"]["result"]["result"] if node["state"] == "ALIVE"]
            totals = [node["resources_total"] for node in nodes]
        except (KeyError, TypeError) as error:
            raise EngineUnavailable("Ray", "Ray did not say which nodes it has.") from error
        if not any(totals):  # the dashboard answers some seconds before the first node has joined
            raise EngineUnavailable("Ray", "Ray has no node yet.")
        return ClusterInfo(
            cpus=sum(float(total.get("CPU", 0)) for total in totals),
            gpus=sum(float(total.get("GPU", 0)) for total in totals),
            memory_bytes=sum(_bytes(total.get("memory", 0)) for total in totals),
        )

    def alive(self) -> None:
        self._http.request("GET", "/api/gcs_healthz", timeout_s=PROBE_TIMEOUT_S)

    def live_jobs(self, instance: str) -> list[str]:
        listed = self._http.request("GET", "/api/jobs/").json()
        return [
            job["submission_id"]
            for job in listed
            if job.get("submission_id")
            and (job.get("metadata") or {}).get("instance") == instance
            and not _status(job.get("status")).terminal
        ]

    def _known(self, method: str, path: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any] | None:
        try:
            return self._http.json(method, path, timeout_s=timeout_s)
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise


def _status(text: Any) -> RayStatus:
    try:
        return RayStatus(str(text))
    except ValueError as error:
        raise EngineUnavailable("Ray", f"Ray gave a job status that is not known: {text!r}.") from error


UNITS = {"B": 1, "KB": 1024, "KiB": 1024, "MB": 1024**2, "MiB": 1024**2, "GB": 1024**3, "GiB": 1024**3}


def _bytes(value: Any) -> int:
    """Ray's state API gives memory as a number or, made readable, as text such as `3.456 GiB`."""
    if isinstance(value, int | float):
        return int(value)
    number, _, unit = str(value).partition(" ")
    return int(float(number) * UNITS[unit or "B"])
