"""The clients against canned answers of the real servers, and their failures."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from ratchet.clients.mlflow import MlflowClient
from ratchet.clients.ports import EngineRefused, EngineUnavailable, RayStatus
from ratchet.clients.ray_jobs import RayJobsClient
from ratchet.clients.ray_serve import RayServeClient
from ratchet.clients.storage import FsspecStorage


class Server:
    """Answers by `METHOD path`; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, httpx2.Response | Exception | list[httpx2.Response]] = {}
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers[f"{request.method} {request.url.path}"]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self)


def ok(body: object) -> httpx2.Response:
    return httpx2.Response(200, json=body)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def ray(server: Server) -> RayJobsClient:
    return RayJobsClient("http://ray", lambda: "secret", transport=server.transport)


@pytest.fixture
def mlflow(server: Server) -> MlflowClient:
    return MlflowClient("http://mlflow/mlflow", transport=server.transport)


JOB = {"type": "SUBMISSION", "status": "FAILED", "driver_exit_code": 64, "message": "m", "error_type": "X"}


def submit(ray: RayJobsClient) -> None:
    ray.submit("job-1-1", entrypoint="true", env={"A": "b"}, metadata={"job": "job-1"})


def test_a_job_is_submitted_with_its_id_and_the_token(server, ray):
    server.answers["POST /api/jobs/"] = ok({"submission_id": "job-1-1"})
    submit(ray)
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer secret"
    body = json.loads(request.content)
    assert (body["submission_id"], body["entrypoint_num_cpus"]) == ("job-1-1", 0)
    assert body["runtime_env"] == {"env_vars": {"A": "b"}}


@pytest.mark.parametrize("answer", [httpx2.Response(500, text="already exists"), httpx2.ReadTimeout("slow")])
def test_after_a_500_or_a_timeout_the_id_is_asked_for_before_anything_else(server, ray, answer):
    server.answers["POST /api/jobs/"] = answer
    server.answers["GET /api/jobs/job-1-1"] = ok({**JOB, "status": "RUNNING"})
    submit(ray)
    server.answers["POST /api/jobs/"] = answer
    server.answers["GET /api/jobs/job-1-1"] = httpx2.Response(404, text="Job job-1-1 does not exist")
    with pytest.raises(EngineUnavailable):
        submit(ray)


def test_what_ray_says_of_a_job(server, ray):
    server.answers["GET /api/jobs/job-1-1"] = ok(JOB)
    info = ray.get("job-1-1")
    assert (info.status, info.exit_code, info.error_type) == (RayStatus.FAILED, 64, "X")
    server.answers["GET /api/jobs/job-1-1"] = httpx2.Response(404, text="Job job-1-1 does not exist")
    assert ray.get("job-1-1") is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.ConnectError("refused"), EngineUnavailable),
        (httpx2.ReadTimeout("slow"), EngineUnavailable),
        (httpx2.Response(502, text="bad gateway"), EngineUnavailable),
        (httpx2.Response(401, text="no token"), EngineUnavailable),
        (httpx2.Response(200, text="<html>"), EngineUnavailable),
        (httpx2.Response(400, text="bad runtime_env"), EngineRefused),
    ],
)
def test_every_failure_is_one_of_two(server, ray, answer, error):
    server.answers["GET /api/jobs/job-1-1"] = answer
    with pytest.raises(error):
        ray.get("job-1-1")


def test_a_token_that_cannot_be_read_is_a_failure_like_others(server):
    def unreadable() -> str:
        raise FileNotFoundError("ray.token")

    with pytest.raises(EngineUnavailable, match="token"):
        RayJobsClient("http://ray", unreadable, transport=server.transport).get("job-1-1")


def test_the_size_of_the_cluster_is_that_of_its_living_nodes(server, ray):
    nodes = [
        {"state": "ALIVE", "resources_total": {"CPU": 2.0, "GPU": 1.0, "memory": "1.500 GiB"}},
        {"state": "ALIVE", "resources_total": {"CPU": 4.0, "memory": 1024.0}},
        {"state": "DEAD", "resources_total": {"CPU": 64.0}},
    ]
    server.answers["GET /api/v0/nodes"] = ok({"result": True, "data": {"result": {"result": nodes}}})
    info = ray.cluster()
    assert (info.cpus, info.gpus, info.memory_bytes) == (6, 1, int(1.5 * 1024**3) + 1024)


@pytest.mark.parametrize("nodes", [[], [{"state": "DEAD", "resources_total": {"CPU": 2.0}}]])
def test_a_cluster_that_no_node_has_joined_is_not_taken_for_one_of_no_size(server, ray, nodes):
    """Else every job that is submitted right after the start would be refused as too large for it."""
    server.answers["GET /api/v0/nodes"] = ok({"result": True, "data": {"result": {"result": nodes}}})
    with pytest.raises(EngineUnavailable, match="no node yet"):
        ray.cluster()


def test_the_serve_config_is_put_whole(server):
    server.answers["PUT /api/serve/applications/"] = httpx2.Response(200)
    RayServeClient("http://ray", transport=server.transport).put({"applications": []})
    assert json.loads(server.requests[0].content) == {"applications": []}


API = "/mlflow/api/2.0/mlflow"
MISSING = httpx2.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"})
EXISTS = httpx2.Response(400, json={"error_code": "RESOURCE_ALREADY_EXISTS", "message": "is there"})


def test_an_experiment_that_another_made_meanwhile_is_taken(server, mlflow):
    found = ok({"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}})
    server.answers[f"GET {API}/experiments/get-by-name"] = [MISSING, found]
    server.answers[f"POST {API}/experiments/create"] = EXISTS
    assert mlflow.ensure_experiment("default") == "7"


def test_a_run_is_found_by_its_tag(server, mlflow):
    run = {
        "info": {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "start_time": 5},
        "data": {"metrics": [{"key": "val/loss", "value": "NaN"}], "tags": [{"key": "ratchet.job", "value": "job-1"}]},
    }
    server.answers[f"POST {API}/runs/search"] = ok({"runs": [run]})
    found = mlflow.find_run("1", "ratchet.job", "job-1")
    assert found.tags == {"ratchet.job": "job-1"}
    assert json.loads(server.requests[0].content)["filter"] == "tags.`ratchet.job` = 'job-1'"


def test_pages_are_followed_to_their_end(server, mlflow):
    version = {"name": "p.m", "version": "2", "source": "models:/m-1", "run_id": "r", "creation_timestamp": 1}
    server.answers[f"GET {API}/model-versions/search"] = [
        ok({"model_versions": [version], "next_page_token": "t"}),
        ok({"model_versions": [{**version, "version": "1"}]}),
    ]
    assert [each.version for each in mlflow.list_versions("p.m")] == [2, 1]
    assert server.requests[1].url.params["page_token"] == "t"


def test_a_quote_cannot_leave_a_filter(mlflow):
    with pytest.raises(EngineRefused):
        mlflow.find_version("x' OR name LIKE '%", "r")


def test_an_alias_that_is_not_there_is_deleted(server, mlflow):
    server.answers[f"DELETE {API}/registered-models/alias"] = MISSING
    mlflow.delete_alias("p.m", "champion")


def test_files_are_written_whole_and_below_the_root(tmp_path: Path):
    storage = FsspecStorage(tmp_path.as_uri())
    storage.write("jobs/job-1/driver-1.log", b"line\n")
    storage.write("jobs/job-1/driver-1.log", b"line 2\n")
    assert storage.read("jobs/job-1/driver-1.log") == b"line 2\n"
    assert storage.read("jobs/job-2/driver-1.log") is None
    assert storage.list("jobs") == ["jobs/job-1/driver-1.log"]
    assert storage.list("reports") == []
    (tmp_path / "jobs/job-1/half.part").write_bytes(b"x")
    assert storage.sizes("jobs") == {"jobs/job-1/driver-1.log": 7}
    assert storage.sizes("reports") == {}
    storage.write("old/a/b", b"")
    storage.delete("old")
    storage.delete("old")
    assert storage.list("old") == []
    assert storage.uri("jobs/a") == f"{tmp_path.as_uri()}/jobs/a"
    with pytest.raises(EngineRefused):
        storage.read("../etc/passwd")


def test_a_root_that_cannot_be_written_is_a_failure_like_others(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineUnavailable):
        FsspecStorage((tmp_path / "file").as_uri()).write("a/b", b"")
