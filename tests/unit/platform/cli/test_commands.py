"""What commands send, print and end with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

JOB = {"id": "job-1", "kind": "train", "status": "queued", "name": "n"}


def events(*jobs: dict[str, Any]) -> str:
    log = 'id: 3\nevent: log\ndata: {"entries": [{"text": "epoch 1"}], "cursor": "c"}\n\n'
    return log + "".join(f"event: job\ndata: {json.dumps(job)}\n\n" for job in jobs)


def test_train_sends_what_the_flags_say_and_no_more(ratchet: Any, api: Any) -> None:
    api.will("POST", "/jobs", JOB, 202)
    flags = "--data sklearn://breast_cancer -t y -m bc --workers 2 -p epochs=20 -p hidden=[64,64] -p learning_rate=3e-3"
    result = ratchet("train", *flags.split())
    assert result.exit_code == 0, result.output
    assert api.body("POST", "/jobs") == {
        "kind": "train",
        "recipe": "tabular",
        "data": {"uri": "sklearn://breast_cancer", "target": "y"},
        "params": {"epochs": 20, "hidden": [64, 64], "learning_rate": 0.003},
        "model": "bc",
        "resources": {"workers": 2},
    }


def test_sweep_reads_ranges_and_lists(ratchet: Any, api: Any) -> None:
    api.will("POST", "/jobs", JOB, 202)
    search = ["-s", "learning_rate=log:1e-4..1e-1", "-s", "dropout=0..0.5", "-s", "batch_size=[16, 32]"]
    assert ratchet("sweep", "-d", "sklearn://digits", *search).exit_code == 0
    assert api.body("POST", "/jobs")["search"] == {
        "learning_rate": {"kind": "uniform", "low": 1e-4, "high": 1e-1, "log": True},
        "dropout": {"kind": "uniform", "low": 0.0, "high": 0.5, "log": False},
        "batch_size": {"kind": "choice", "values": [16, 32]},
    }


def test_what_jobs_the_flags_make_the_contract_accepts(ratchet: Any, api: Any) -> None:
    from pydantic import TypeAdapter

    from ratchet_pipelines.spec import JobSpec

    api.will("POST", "/jobs", JOB, 202)
    adapter: TypeAdapter[Any] = TypeAdapter(JobSpec)
    for command in (
        "train -d sklearn://x --memory 2 --gpus 1 --cpus 2 --seed 3 --deadline 60 --priority 5 --feature a --name n",
        "sweep -d sklearn://x -s a=0..1 --trials 3 -c 1 --metric val/accuracy --mode max",
        "evaluate bc:1 bc:2 -d sklearn://x",
    ):
        result = ratchet(*command.split())
        assert result.exit_code == 0, result.output
        adapter.validate_python(api.body("POST", "/jobs"))


def test_json_is_all_that_stdout_holds(ratchet: Any, api: Any) -> None:
    api.will("POST", "/jobs", {**JOB, "novelty": 1}, 202)
    result = ratchet("train", "-d", "sklearn://x", "--json")
    assert json.loads(result.stdout)["novelty"] == 1


def test_a_followed_job_that_fails_ends_with_7(ratchet: Any, api: Any) -> None:
    failed = {**JOB, "status": "failed", "reason": "data_error", "message": "There is no column 'y'."}
    api.will("POST", "/jobs", JOB, 202)
    api.will("GET", "/jobs/job-1/events", events({**JOB, "status": "running"}, failed))
    api.will("GET", "/jobs/job-1", failed)
    result = ratchet("train", "-d", "sklearn://x", "--follow")
    assert result.exit_code == 7
    assert "epoch 1" in result.stderr
    assert "[job-1] running" in result.stderr
    assert "There is no column 'y'." in result.stderr


def test_a_followed_job_that_succeeds_ends_with_0(ratchet: Any, api: Any) -> None:
    good = {**JOB, "status": "succeeded", "model": {"name": "bc", "version": 3}, "metrics": {"test/accuracy": 0.97}}
    api.will("GET", "/jobs/job-1/events", events(good))
    api.will("GET", "/jobs/job-1", good)
    result = ratchet("jobs", "follow", "job-1")
    assert result.exit_code == 0, result.output
    assert "bc:3" in result.stdout
    assert "0.97" in result.stdout


def test_a_list_is_whole_when_a_program_reads(ratchet: Any, api: Any) -> None:
    message = "long " * 60
    api.will("GET", "/jobs", {"items": [{**JOB, "message": message}], "next_page_token": ""})
    result = ratchet("jobs", "list")
    assert message.strip() in result.stdout
    assert len(result.stdout.strip().splitlines()) == 2
    assert "\x1b" not in result.stdout


def test_an_empty_list_says_how_to_begin(ratchet: Any, api: Any) -> None:
    api.will("GET", "/models", {"items": []})
    result = ratchet("models", "list")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "ratchet train" in result.stderr


def test_metrics_are_drawn(ratchet: Any, api: Any) -> None:
    points = [{"step": i, "value": value} for i, value in enumerate([1.0, 0.5, None, 0.25])]
    api.will("GET", "/jobs/job-1/metrics", {"series": [{"name": "val/loss", "points": points}]})
    line = ratchet("jobs", "metrics", "job-1").stdout.splitlines()[1].split()
    assert line == ["val/loss", "1", "0.25", "0.25", "1", "3", "█▃▁"]


def test_an_endpoint_is_made_from_short_forms(ratchet: Any, api: Any) -> None:
    api.will("POST", "/endpoints", {"name": "e", "status": "deploying", "generation": 1}, 202)
    result = ratchet("endpoints", "create", "e", "-v", "a=bc:3@80%", "-v", "b=bc:champion@0.2")
    assert result.exit_code == 0, result.output
    assert api.body("POST", "/endpoints")["variants"] == [
        {"name": "a", "model": "bc", "version": 3, "weight": 0.8},
        {"name": "b", "model": "bc", "alias": "champion", "weight": 0.2},
    ]


def test_deleting_asks_a_program_for_yes(ratchet: Any, api: Any) -> None:
    assert ratchet("endpoints", "delete", "e").exit_code == 2
    assert api.sent == []
    api.will("DELETE", "/endpoints/e", {}, 202)
    assert ratchet("endpoints", "delete", "e", "--yes").exit_code == 0


def test_a_refused_promotion_ends_with_7_and_shows_the_rules(ratchet: Any, api: Any) -> None:
    rules = [{"rule": "minimum", "passed": False, "detail": "accuracy 0.8 is below 0.9"}]
    refused = {
        "id": "p",
        "model": "bc",
        "version": 2,
        "alias": "champion",
        "status": "refused",
        "evidence": {"rules": rules},
    }
    api.will("POST", "/models/bc/promotions", {"id": "p", "status": "pending"}, 202)
    api.will("GET", "/models/bc/promotions/p", refused)
    result = ratchet("models", "promote", "bc:2", "-d", "sklearn://x", "--minimum", "0.9", "--wait")
    assert result.exit_code == 7
    assert "accuracy 0.8 is below 0.9" in result.stdout
    assert api.body("POST", "/models/bc/promotions")["gate"] == {
        "metric": "accuracy",
        "minimum": 0.9,
        "data": {"uri": "sklearn://x", "target": "target"},
    }


def test_a_new_token_is_alone_on_stdout(ratchet: Any, api: Any) -> None:
    api.will("POST", "/tokens", {"id": "tok-1", "scope": "predict", "token": "rt_secret"}, 201)
    assert ratchet("tokens", "create", "shop", "--scope", "predict").stdout == "rt_secret\n"


def test_a_webhook_is_made_and_its_secret_is_alone_on_stdout(ratchet: Any, api: Any) -> None:
    api.will("POST", "/webhooks", {"id": "whk-1", "name": "chat", "secret": "whsec_x"}, 201)
    result = ratchet("webhooks", "create", "chat", "https://hooks.example.com", "-e", "job.failed", "-e", "alert.*")
    assert result.stdout == "whsec_x\n"
    assert api.body("POST", "/webhooks") == {
        "name": "chat",
        "url": "https://hooks.example.com",
        "events": ["job.failed", "alert.*"],
    }
    api.will("POST", "/webhooks/chat/deliveries/dlv-1:redeliver", {"id": "dlv-1"}, 202)
    assert "dlv-1 is on its way" in ratchet("webhooks", "redeliver", "chat", "dlv-1").stderr


@pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 3), (404, 4), (409, 5), (422, 2), (500, 1)])
def test_exit_statuses(ratchet: Any, api: Any, status: int, code: int) -> None:
    api.will("GET", "/jobs/job-1", {"detail": "No."}, status)
    result = ratchet("jobs", "show", "job-1")
    assert result.exit_code == code
    assert result.stdout == ""
    assert "No." in result.stderr
    assert "Traceback" not in result.output


def test_an_unreachable_server_ends_with_6(ratchet: Any, api: Any) -> None:
    api.down = True
    result = ratchet("info")
    assert result.exit_code == 6
    assert "cannot be reached" in result.stderr


def test_an_error_is_json_with_json(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-1", {"detail": "No.", "code": "not_found"}, 404)
    result = ratchet("jobs", "show", "job-1", "--json")
    assert result.stdout == ""
    assert json.loads(result.stderr)["code"] == "not_found"


def test_a_fault_of_the_program_is_no_traceback(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs", {"unexpected": True})
    result = ratchet("jobs", "list")
    assert result.exit_code == 1
    assert "KeyError" in result.stderr
    assert "RATCHET_DEBUG=1" in result.stderr
    assert "Traceback" not in result.output


def test_a_misspelt_command_is_recognised(ratchet: Any) -> None:
    result = ratchet("jbos")
    assert result.exit_code == 2
    assert "Did you mean 'jobs'" in result.stderr


@pytest.mark.parametrize("command", [[], ["train"], ["apply"], ["jobs", "list"], ["endpoints", "create"]])
def test_help_leads_with_an_example(ratchet: Any, command: list[str]) -> None:
    result = ratchet(*command, "--help")
    assert result.exit_code == 0
    example = result.stdout.index("$ ratchet")
    assert example < result.stdout.index("Options")


def test_config_prints_no_secret_but_reads_it(ratchet: Any, api: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    urls = {"api": "http://127.0.0.1:9001/api/v1", "ray": "http://127.0.0.1:9003"}
    (home / "state.json").write_text(json.dumps({"urls": urls}))
    (home / "token").write_text("rt_secret")
    shown = ratchet("config").stdout
    assert "rt_secret" not in shown
    assert f'export MLFLOW_TRACKING_TOKEN="$(cat {home / "token"})"' in shown
    assert "export MLFLOW_TRACKING_URI=http://127.0.0.1:9001/mlflow" in shown
    assert "export RAY_ADDRESS=http://127.0.0.1:9003" in shown
    assert "MLFLOW_TRACKING_TOKEN=rt_secret" in ratchet("config", "--show-token").stdout
    assert json.loads(ratchet("config", "--json").stdout)["MLFLOW_TRACKING_TOKEN"] is None


def test_kinds_and_their_schemas(ratchet: Any, api: Any) -> None:
    api.will("GET", "/schemas", [{"kind": "train", "summary": "Train one model.", "schema_url": "/schemas/train.json"}])
    api.will("GET", "/schemas/train.json", {"title": "Train"})
    assert "http://ratchet.test/schemas/train.json" in ratchet("schema").stdout
    assert json.loads(ratchet("schema", "train").stdout) == {"title": "Train"}


def test_quiet_prints_what_the_next_command_takes(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs", {"items": [JOB, {**JOB, "id": "job-2"}]})
    api.will("GET", "/endpoints", {"items": [{"id": "ep-1", "name": "cancer"}]})
    api.will("GET", "/models", {"items": []})
    api.will("POST", "/jobs", JOB, 202)
    for command, lines in (
        (["jobs", "list"], "job-1\njob-2\n"),
        (["endpoints", "list"], "cancer\n"),
        (["models", "list"], ""),
        (["train", "-d", "sklearn://x"], "job-1\n"),
    ):
        result = ratchet(*command, "--quiet")
        assert (result.exit_code, result.stdout, result.stderr) == (0, lines, ""), command


def test_quiet_hides_no_secret_that_is_shown_once(ratchet: Any, api: Any) -> None:
    api.will("POST", "/tokens", {"id": "tok-1", "scope": "predict", "token": "rt_secret"}, 201)
    result = ratchet("tokens", "create", "shop", "--scope", "predict", "-q")
    assert (result.stdout, result.stderr) == ("rt_secret\n", "")


LISTS = ["jobs", "models", "endpoints", "abtests", "monitors", "pipelines", "webhooks", "projects", "events"]


@pytest.mark.parametrize("group", [*LISTS, "users", "members", "service-accounts", "tokens"])
def test_every_list_is_filtered_ordered_and_cut(ratchet: Any, api: Any, group: str) -> None:
    api.will("GET", f"/{group}", {"items": [{"id": f"x-{i}", "name": f"x-{i}"} for i in range(3)]})
    result = ratchet(group, "list", "--filter", 'name ~ "x"', "--order-by", "created_at desc", "-n", "3")
    assert result.exit_code == 0, result.output
    assert "--limit 30" in result.stderr
    query = api.queries[-1]
    assert (query["filter"], query["order_by"], query["page_size"]) == ('name ~ "x"', "created_at desc", "3")


def test_a_group_alone_prints_its_help_and_fails(ratchet: Any) -> None:
    result = ratchet("jobs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cancel" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["jobs", "list", "--kin", "train"], ["jobs", "list", "-n", "0"], ["jobs", "show"]]
)
def test_what_is_typed_wrong_says_where_the_help_is(ratchet: Any, arguments: list[str]) -> None:
    result = ratchet(*arguments)
    assert result.exit_code == 2
    assert f"See `ratchet {' '.join(arguments[:2])} --help`" in result.stderr
    assert json.loads(ratchet(*arguments, "--json").stderr)["exit_status"] == 2


def test_no_option_of_one_command_is_left_to_the_next(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-1", JOB)
    assert json.loads(ratchet("jobs", "show", "job-1", "--json").stdout)
    assert ratchet("jobs", "show").stderr.startswith("Error:")
    assert "status" in ratchet("jobs", "show", "job-1").stdout


def test_a_clone_sends_its_changes_as_a_merge_patch(ratchet: Any, api: Any) -> None:
    api.will("POST", "/jobs/job-1:clone", {**JOB, "id": "job-2"}, 202)
    result = ratchet("jobs", "clone", "job-1", "--set", "seed=7", "--set", "params.epochs=20", "--set", "model=null")
    assert result.exit_code == 0, result.output
    assert api.body("POST", "/jobs/job-1:clone") == {"seed": 7, "params": {"epochs": 20}, "model": None}


def test_a_retry_is_told_by_its_new_id(ratchet: Any, api: Any) -> None:
    api.will("POST", "/jobs/job-1:retry", {**JOB, "id": "job-2"}, 202)
    result = ratchet("jobs", "retry", "job-1")
    assert result.exit_code == 0, result.output
    assert "job-2" in result.stderr


def test_a_failed_job_is_shown_with_its_rank_its_last_line_and_what_to_do(ratchet: Any, api: Any) -> None:
    failure = {"error": "KeyError: 'x'", "rank": 3, "exit_code": 64, "log_tail": "[1] a\nb", "suggestion": "Change it."}
    api.will("GET", "/jobs/job-1", {**JOB, "status": "failed", "failure": failure})
    shown = ratchet("jobs", "show", "job-1").stdout
    for text in ("KeyError: 'x'", "3", "64", "[1] a\nb", "Change it."):
        assert text in shown


QUEUED = {
    "id": "job-2",
    "project": "default",
    "position": 3,
    "message": "Needs 4 GPUs at once; 1 of 8 are free.",
    "predicted_start_at": "2026-11-26T12:00:00Z",
    "predicted_start_basis": "history",
}


def test_the_queue_of_the_project_or_of_all(ratchet: Any, api: Any) -> None:
    api.will("GET", "/queue", {"items": [QUEUED], "length": 3, "free": {"gpus": 1}, "total": {"gpus": 8}})
    result = ratchet("queue", "--limit", "5")
    assert result.exit_code == 0, result.output
    assert "Needs 4 GPUs" in result.stdout
    assert api.queries[-1] == {"limit": "5"}
    assert json.loads(ratchet("queue", "--all", "--json").stdout)["items"][0]["position"] == 3


def test_a_quota_is_shown_and_set_whole(ratchet: Any, api: Any) -> None:
    answer = {"project": "default", "gpus": 8, "used": {"gpus": 3}}
    api.will("GET", "/quota", answer)
    api.will("PUT", "/quota", answer)
    assert json.loads(ratchet("quota", "show", "--json").stdout)["used"]["gpus"] == 3
    assert ratchet("quota", "set", "--gpus", "8", "--memory-gib", "1.5").exit_code == 0
    assert api.body("PUT", "/quota") == {
        "cpus": None,
        "gpus": 8.0,
        "memory_bytes": 1_610_612_736,
        "jobs": None,
        "gpu_hours": None,
        "weight": 1.0,
    }


def test_why_a_job_waits_with_its_predicted_start(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-2/wait", {**QUEUED, "waiting": True, "blocked_by": ["job-1"]})
    result = ratchet("jobs", "why", "job-2")
    assert result.exit_code == 0, result.output
    assert "how long past jobs of its kind took" in result.stdout
    assert "job-1" in result.stdout
