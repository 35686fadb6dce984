"""Clones and retries: new jobs made of old ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.jobs import render
from ratchet.jobs.copies import MOST_EARLIER, merge_patch
from ratchet.jobs.steps import CREDENTIAL_VARIABLE
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Envelope

BODY = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer", "params": {"epochs": 3}}
JOBS = "/api/v1/projects/default/jobs"


def post(api, path: str, body: Any = None, who: str = "writer"):
    return api.http.post(f"{JOBS}{path}", json=body, headers=api.headers(who))


def failed(api, over) -> str:
    job_id = post(api, "", BODY).json()["id"]
    over.reach(job_id, "running")
    over.clients.jobs.fail(f"{job_id}-1", exit_code=64)
    over.reach(job_id, "failed")
    return job_id


def test_a_clone_has_the_spec_with_the_changes_and_says_whose(api, over):
    source = post(api, "", {**BODY, "seed": 3, "name": "first"}).json()
    answer = post(api, f"/{source['id']}:clone", {"seed": 4, "params": {"epochs": None, "dropout": 0.5}, "name": None})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{JOBS}/{job['id']}")
    assert (job["cloned_from"], job["retry_of"], job["status"]) == (source["id"], None, "queued")
    assert job["spec"] == {**source["spec"], "seed": 4, "params": {"dropout": 0.5}, "name": None}
    assert job["name"] == job["id"] != source["id"]


def test_a_clone_without_changes_and_as_a_merge_patch(api, over):
    source = post(api, "", BODY).json()
    assert post(api, f"/{source['id']}:clone").json()["spec"] == source["spec"]
    headers = {**api.headers("writer"), "Content-Type": "application/merge-patch+json"}
    patched = api.http.post(f"{JOBS}/{source['id']}:clone", content=b'{"seed": 9}', headers=headers)
    assert patched.json()["spec"]["seed"] == 9


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"sede": 1}, "/sede"),
        ({"params": {"epochz": 1}}, "/params/epochz"),
        ({"data": None}, "/data"),
        ({"data": {"uri": 3}}, "/data/uri"),
        ({"kind": "evaluate"}, "/models"),
    ],
)
def test_a_clone_that_is_not_valid_names_the_field_and_starts_nothing(api, over, changes, pointer):
    source = post(api, "", BODY).json()
    answer = post(api, f"/{source['id']}:clone", changes)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert len(over.jobs()) == 1


def test_a_retry_is_a_new_job_that_goes_on_where_the_old_ones_stopped(api, over):
    first = failed(api, over)
    second = post(api, f"/{first}:retry").json()
    assert (second["retry_of"], second["spec"]) == (first, over.job(first).spec)
    over.reach(second["id"], "running")
    over.clients.jobs.fail(f"{second['id']}-1", exit_code=64)
    over.reach(second["id"], "failed")
    third = post(api, f"/{second['id']}:retry").json()["id"]
    job = over.reach(third, "running")
    envelope = Envelope.model_validate_json(over.clients.jobs.jobs[f"{third}-1"].env[ENVELOPE_VARIABLE])
    assert envelope.resume_from == [second["id"], first]
    assert job.run_id != over.job(first).run_id
    assert over.job(first).status == "failed"


def test_only_a_job_that_failed_or_was_cancelled_is_retried(api, over):
    running = post(api, "", BODY).json()["id"]
    over.reach(running, "running")
    answer = post(api, f"/{running}:retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_ended")
    over.finish(running)
    over.reach(running, "succeeded")
    answer = post(api, f"/{running}:retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_succeeded")


@pytest.mark.parametrize(
    ("who", "verb", "status"),
    [("reader", "clone", 403), ("reader", "retry", 403), ("stranger", "clone", 404), ("stranger", "retry", 404)],
)
def test_who_may_not(api, over, who, verb, status):
    assert post(api, f"/{failed(api, over)}:{verb}", who=who).status_code == status


def test_a_chain_of_retries_is_looked_back_over_for_a_while_only(world):
    from ratchet.jobs import copies, service

    with world.sessions() as session:
        row = service.submit(session, project="default", spec=world.spec(), actor="ann")
        for _ in range(MOST_EARLIER + 5):
            row = service.submit(session, project="default", spec=world.spec(), actor="ann", retry_of=row.id)
        assert len(copies.earlier(session, row)) == MOST_EARLIER


def test_a_plan_shows_what_a_start_sends(api, over):
    over.settings = api.settings
    plan = post(api, ":plan", BODY, who="reader").json()
    job_id = post(api, "", BODY).json()["id"]
    run_id = over.reach(job_id, "running").run_id
    sent = over.clients.jobs.jobs[f"{job_id}-1"]
    assert sent.metadata.pop("request_id")  # of the request that submitted it

    def drafted(text: str) -> str:
        return text.replace(job_id, render.DRAFT).replace(run_id, "0" * 32)

    shown = plan["request"]
    assert shown["entrypoint"] == sent.entrypoint
    assert shown["metadata"] == {name: drafted(value) for name, value in sent.metadata.items()}
    assert {**shown["env"], CREDENTIAL_VARIABLE: "-"} == {
        name: "-" if name == CREDENTIAL_VARIABLE else drafted(value) for name, value in sent.env.items()
    }
    assert plan["spec"] == over.job(job_id).spec


# Appendix A of RFC 7396.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_as_the_rfc_says(target, patch, result):
    assert merge_patch(target, patch) == result


values = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.booleans()),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(target=values, patch=values)
def test_a_patch_applied_twice_changes_nothing_more(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
