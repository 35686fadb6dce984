"""The SDK and the command line against the real API, over fakes of Ray and MLflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from ratchet.cli import context
from ratchet.cli.main import app
from ratchet.sdk import Client, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from ratchet.sdk.resources import Job
from ratchet_pipelines.spec import Data, Train

TRAIN = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "params": {"epochs": 3}, "model": "cancer"}


@pytest.fixture
def client(api: Any) -> Client:
    return connect(api, "admin")


def connect(api: Any, who: str, project: str = "default") -> Client:
    return Client(str(api.http.base_url), api.tokens[who], project, transport=api.http._transport)


def test_a_job_is_submitted_once_listed_and_cancelled(client: Client) -> None:
    job = client.jobs.submit(TRAIN, idempotency_key="k1")
    assert client.jobs.submit(TRAIN, idempotency_key="k1").id == job.id
    with pytest.raises(Invalid, match="another body"):
        client.jobs.submit({**TRAIN, "seed": 1}, idempotency_key="k1")
    assert [found.id for found in client.jobs.list()] == [job.id]
    assert [found.id for found in client.jobs.list(status="failed")] == []
    assert client.jobs.get(job.id).spec["params"] == {"epochs": 3}
    assert client.jobs.cancel(job).status == "cancelled"
    assert client.jobs.wait(job, check=False).status == "cancelled"


def test_a_spec_of_the_contract_can_be_submitted(client: Client) -> None:
    job = client.jobs.submit(Train(data=Data(uri="sklearn://digits")))
    assert (job.kind, job.spec["data"]["uri"]) == ("train", "sklearn://digits")


def test_a_list_longer_than_a_page_is_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.sdk.collection.PAGE_SIZE", 2)
    ids = [client.jobs.submit({**TRAIN, "seed": seed}).id for seed in range(5)]
    assert [job.id for job in client.jobs.list()] == ids[::-1]


def test_every_field_of_a_job_is_typed(client: Client) -> None:
    """What the API gives is what the SDK knows by name."""
    job = client.jobs.submit(TRAIN)
    assert not set(job.model_extra or {})
    assert set(Job.model_fields) == set(job.dump())


def test_a_plan_starts_nothing(client: Client) -> None:
    plan = client.jobs.plan({**TRAIN, "resources": {"workers": 2}})
    assert plan.cpus == 2
    assert plan.params["epochs"] == 3
    assert list(client.jobs.list()) == []


def test_why_a_job_waits(client: Client) -> None:
    assert client.jobs.explain_wait(client.jobs.submit(TRAIN)).position == 1


def test_an_ended_job_is_followed_to_its_end(client: Client) -> None:
    job = client.jobs.cancel(client.jobs.submit(TRAIN))
    updates = list(client.jobs.follow(job))
    assert updates[-1].job is not None
    assert updates[-1].job.status == "cancelled"


def test_a_bad_spec_names_the_field(client: Client) -> None:
    with pytest.raises(Invalid) as caught:
        client.jobs.submit({**TRAIN, "params": {"epocs": 3}})
    assert "epocs" in str(caught.value)
    assert "epochs" in str(caught.value)


def test_who_may_do_what(api: Any, client: Client) -> None:
    assert client.me().scope == "admin"
    with pytest.raises(Forbidden):
        connect(api, "reader").jobs.submit(TRAIN)
    with pytest.raises((Forbidden, NotFound)):
        list(connect(api, "stranger").jobs.list())
    with pytest.raises(Unauthorized):
        Client(str(api.http.base_url), "nonsense", transport=api.http._transport).info()


def test_a_token_is_made_used_and_revoked(api: Any, client: Client) -> None:
    made = client.tokens.create("ci", "read", expires_in_days=1)
    assert made.token is not None
    other = Client(str(api.http.base_url), made.token, transport=api.http._transport)
    assert other.me().projects == ["default"]
    assert made.id in {token.id for token in client.tokens.list()}
    client.tokens.revoke(made.id)
    with pytest.raises(Unauthorized):
        other.me()


def test_projects_events_and_recipes(client: Client) -> None:
    client.projects.create("fraud", description="Card fraud")
    with pytest.raises(Conflict):
        client.projects.create("fraud")
    assert client.projects.get("fraud").description == "Card fraud"
    job = client.jobs.submit(TRAIN)
    assert [event.action for event in client.events.list(target=job.id)] == ["job.submitted"]
    assert [recipe.name for recipe in client.recipes()] == ["tabular"]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for ask in (
        lambda: client.jobs.get("job-none"),
        lambda: client.models.get("none"),
        lambda: client.endpoints.get("none"),
        lambda: client.abtests.get("none"),
        lambda: client.monitors.get("none"),
        lambda: client.pipelines.get("none"),
        lambda: client.pipelines.get_run("none"),
        lambda: client.monitors.get_check("none"),
        lambda: client.projects.get("none"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_empty_lists(client: Client) -> None:
    for collection in (client.models, client.endpoints, client.abtests, client.monitors, client.pipelines):
        assert list(collection.list()) == []
    assert list(client.pipelines.runs()) == []


VARIANTS = [
    {"name": "a", "model": "cancer", "version": 1, "weight": 0.5},
    {"name": "b", "model": "cancer", "version": 2, "weight": 0.5},
]


def test_everything_around_an_endpoint(client: Client) -> None:
    made = client.endpoints.create("cancer", VARIANTS)
    assert (made.status, made.ready) == ("deploying", False)
    assert not set(made.model_extra or {}) - {"id", "cpus_per_replica", "created_by"}
    changed = client.endpoints.set_weights("cancer", {"a": 1.0})
    assert [variant.weight for variant in changed.variants] == [1.0, 0.0]
    assert client.endpoints.apply({"name": "cancer", "variants": VARIANTS}).generation == changed.generation + 1
    outcomes = [{"request_id": "r1", "value": 1}]
    assert client.endpoints.send_outcomes("cancer", outcomes).accepted == 1
    assert client.endpoints.send_outcomes("cancer", outcomes).duplicates == 1
    assert client.endpoints.predictions("cancer") == []
    assert client.endpoints.traffic("cancer") == []

    test = client.abtests.create({"name": "t", "endpoint": "cancer", "control": "a", "treatment": "b"})
    assert client.abtests.get(test.id).status == "running"
    assert client.abtests.stop(test).ended

    gate = {"metric": "accuracy", "minimum": 0.9, "data": {"uri": "sklearn://breast_cancer"}}
    client.pipelines.create({"name": "retrain", "train": TRAIN, "gate": gate, "endpoint": "cancer"})
    assert client.pipelines.get("retrain").spec["train"]["model"] == "cancer"
    run = client.pipelines.run("retrain")
    assert [found.id for found in client.pipelines.runs("retrain")] == [run.id]
    assert client.pipelines.cancel_run(run).status == "cancelled"

    monitor = client.monitors.create({"name": "m", "endpoint": "cancer", "pipeline": "retrain"})
    assert client.monitors.pause(monitor).status == "paused"
    assert client.monitors.resume("m").status == "active"
    assert list(client.monitors.checks("m")) == []
    assert list(client.monitors.alerts("m")) == []

    promotion = client.models.promote("cancer", 2, gate=gate)
    assert client.models.get_promotion("cancer", promotion.id).status == "pending"
    assert [found.id for found in client.models.promotions("cancer")] == [promotion.id]
    assert list(client.models.alias_moves("cancer")) == []

    client.endpoints.delete("cancer")


def test_the_command_line_over_the_real_api(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "make_client", lambda chosen: client)
    monkeypatch.setattr(client, "close", lambda: None)
    runner = CliRunner()

    def run(*arguments: str, input: str | None = None) -> Any:
        return runner.invoke(app, list(arguments), input=input, prog_name="ratchet")

    submitted = run("train", "-d", "sklearn://breast_cancer", "-p", "epochs=2", "--json")
    assert submitted.exit_code == 0, submitted.output
    job = json.loads(submitted.stdout)["id"]
    for command in (
        "jobs list",
        f"jobs show {job}",
        f"jobs why {job}",
        "info",
        "events list",
        "recipes",
        "recipes tabular",
    ):
        result = run(*command.split())
        assert result.exit_code == 0, (command, result.output)
        assert result.stdout, command
    refused = run("apply", "-f", "-", input="kind: train\ndata:\n  uri: sklearn://digits\nparams:\n  epocs: 3\n")
    assert refused.exit_code == 2
    assert "epocs" in refused.stderr
    assert "(line 5)" in refused.stderr
    assert "Did you mean" in refused.stderr
