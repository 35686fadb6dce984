"""What is refused at the door: each error names the field and the remedy."""

from __future__ import annotations

import pytest

from ratchet.errors import Invalid, NotFound
from ratchet.jobs import service
from ratchet.jobs.schemas import JOB_FIELDS
from ratchet.lists.paging import page

UNIFORM = {"kind": "uniform", "low": 1e-4, "high": 1e-1, "log": True}


def refused(world, **changes) -> Invalid:
    with pytest.raises(Invalid) as error:
        world.submit(**changes)
    assert world.jobs() == []
    return error.value


def test_an_unknown_recipe_is_answered_with_the_nearest_one(world):
    error = refused(world, recipe="tabluar")
    assert error.errors[0].pointer == "/recipe"
    assert "Did you mean 'tabular'?" in error.errors[0].message


def test_a_misspelt_parameter_is_answered_with_the_nearest_one(world):
    error = refused(world, params={"epochz": 3})
    assert error.errors[0].pointer == "/params/epochz"
    assert error.errors[0].message == "The recipe 'tabular' has no parameter 'epochz'. Did you mean 'epochs'?"
    assert "learning_rate" in error.hint


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"epochs": "many"}, "/params/epochs"),
        ({"dropout": 1.5}, "/params/dropout"),
        ({"hidden": [64, "x"]}, "/params/hidden/1"),
    ],
)
def test_a_parameter_of_the_wrong_type_or_range_is_named(world, params, pointer):
    error = refused(world, params=params)
    assert [field.pointer for field in error.errors] == [pointer]


@pytest.mark.parametrize(
    ("search", "pointer", "says"),
    [
        ({"learning_rat": UNIFORM}, "/search/learning_rat", "Did you mean 'learning_rate'?"),
        ({"dropout": {"kind": "choice", "values": [0.1, 2]}}, "/search/dropout/values/1", "less than 1"),
        ({"learning_rate": {"kind": "uniform", "low": 1, "high": 99}}, "/search/learning_rate/high", "less than"),
        ({"epochs": {"kind": "uniform", "low": 1, "high": 9}}, "/search/epochs", "kind 'choice'"),
        ({"batch_size": {"kind": "choice", "values": [32]}}, "/search/batch_size", "remove it from one"),
    ],
)
def test_what_a_sweep_searches_must_be_a_parameter_and_its_values_valid(world, search, pointer, says):
    error = refused(world, kind="sweep", search=search, params={"batch_size": 16})
    assert error.errors[0].pointer == pointer
    assert says in error.errors[0].message


@pytest.mark.parametrize(
    ("changes", "pointer", "remedy"),
    [
        ({"resources": {"workers": 5}}, "/resources/workers", "at most 4"),
        ({"resources": {"workers": 1, "gpus_per_worker": 1}}, "/resources/gpus_per_worker", "GPU"),
        ({"resources": {"workers": 1, "cpus_per_worker": 64}}, "/resources/cpus_per_worker", "less per worker"),
        (
            {"kind": "sweep", "search": {"learning_rate": UNIFORM}, "max_concurrent": 6, "resources": {"workers": 2}},
            "/max_concurrent",
            "at most 2",
        ),
    ],
)
def test_more_than_the_cluster_can_ever_hold_is_refused_with_what_there_is(world, changes, pointer, remedy):
    error = refused(world, **changes)
    assert error.errors[0].pointer == pointer
    assert "the whole cluster has" in error.detail
    assert remedy in error.hint


def test_a_spec_that_does_not_fit_into_an_environment_variable_is_refused(world):
    assert refused(world, params={f"p{i}": "x" * 1000 for i in range(70)}).code == "spec_too_large"


def test_a_plan_checks_the_same_and_writes_nothing(world):
    with world.sessions() as session:
        plan = service.plan(session, project="default", spec=world.spec(params={"epochs": 3}), settings=world.settings)
        with pytest.raises(Invalid):
            service.plan(session, project="default", spec=world.spec(recipe="x"), settings=world.settings)
        session.commit()
    assert (plan.cpus, plan.starts_now, plan.params["epochs"], plan.params["batch_size"]) == (1, True, 3, 32)
    assert world.jobs() == []


def test_a_job_of_another_project_is_not_there(world):
    job_id = world.submit()
    with world.sessions() as session, pytest.raises(NotFound):
        service.get(session, "other", job_id)


def test_lists_are_newest_first_by_pages_and_filtered(world):
    jobs = [world.submit() for _ in range(5)]
    world.cancel(jobs[0])
    with world.sessions() as session:
        rows, token = service.list_jobs(session, "default", page(JOB_FIELDS, 3))
        assert [row.id for row in rows] == jobs[:1:-1]
        rows, token = service.list_jobs(session, "default", page(JOB_FIELDS, 3, token))
        assert ([row.id for row in rows], token) == (jobs[1::-1], "")
        rows, _ = service.list_jobs(session, "default", page(JOB_FIELDS), status=["cancelled"])
        assert [row.id for row in rows] == jobs[:1]
        assert service.list_jobs(session, "other", page(JOB_FIELDS))[0] == []
