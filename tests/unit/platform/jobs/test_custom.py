"""Custom jobs on their way to Ray: where their driver runs, and that what a user writes stays data."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ratchet.bundles import service as bundles
from ratchet.clients.ports import Driver
from ratchet.jobs.copies import parse
from ratchet.jobs.render import driver_of
from ratchet_pipelines.archives import Content
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Custom, Envelope
from ratchet_pipelines.usercode import FILE_GIT_VARIABLE

DIGEST = "sha256:" + "a" * 64
GIT = {"kind": "git", "url": "https://example.com/code", "commit": "0" * 40}
CUSTOM: dict[str, Any] = {"kind": "custom", "code": GIT, "entrypoint": ["python", "train.py"]}
BATCH = {"kind": "batch_prediction", "model": {"name": "cancer", "version": 1}, "input": "sklearn://iris"}


def submitted(world, **spec: Any):
    """The job as Ray got it."""
    job_id = world.submit(**spec)
    world.reach(job_id, "running")
    return world.clients.jobs.jobs[f"{job_id}-1"]


@pytest.mark.parametrize(
    ("changes", "driver"),
    [
        ({}, Driver(cpus=1)),
        (
            {"resources": {"cpus_per_worker": 2, "memory_gib_per_worker": 0.5}},
            Driver(cpus=2, memory_bytes=512 * 1024**2),
        ),
        ({"resources": {"workers": 3}}, Driver()),
        ({"code": {"kind": "image", "uri": "train:v1"}}, Driver(cpus=1, image="train:v1")),
        ({"code": {"kind": "image", "uri": "train:v1"}, "resources": {"workers": 2}}, Driver(image="train:v1")),
    ],
)
def test_the_program_has_what_its_only_worker_asks_for(changes, driver):
    assert driver_of(parse({**CUSTOM, **changes})) == driver


def test_the_drivers_of_other_kinds_take_nothing():
    assert driver_of(parse({**BATCH, "resources": {"workers": 2}})) == Driver()


def test_what_a_kind_holds_at_once(world):
    job_id = world.submit(**BATCH, resources={"workers": 2, "cpus_per_worker": 0.5})
    assert world.job(job_id).cpus == 1
    job_id = world.submit(**CUSTOM, resources={"workers": 3})
    assert world.job(job_id).cpus == 3


def test_what_a_user_writes_stays_data_in_the_line_that_ray_makes_for_a_container(world):
    """Ray joins `--env NAME='VALUE'` into a line that a shell reads, and escapes nothing."""
    words = ["train", "it's", "a'; touch /tmp/x; '", "$(id)", "`id`", 'say "hi"', "ä\n\t\\"]
    image = {"kind": "image", "uri": "train:v1"}
    job = submitted(world, **{**CUSTOM, "code": image, "entrypoint": words, "env": {"X": "it's"}})
    assert (job.entrypoint, job.driver.image) == ("python -m ratchet_pipelines.run", "train:v1")
    (value,) = shlex.split(f"'{job.env[ENVELOPE_VARIABLE]}'")
    spec = Envelope.model_validate_json(value).spec
    assert isinstance(spec, Custom)
    assert (spec.entrypoint, spec.env) == (words, {"X": "it's"})


def test_repositories_on_the_cluster_are_read_only_where_that_is_allowed(world):
    assert FILE_GIT_VARIABLE not in submitted(world, **CUSTOM).env
    world.settings = world.settings.model_copy(update={"allow_file_git": True})
    assert submitted(world, **CUSTOM).env[FILE_GIT_VARIABLE] == "1"


def test_what_a_custom_job_logged_becomes_a_version_and_a_batch_prediction_s_model_does_not(world):
    custom = world.submit(**CUSTOM, model="cancer")
    world.reach(custom, "running")
    world.finish(custom)
    assert world.reach(custom, "succeeded").model_version == 1
    batch = world.submit(**BATCH)
    world.reach(batch, "running")
    world.finish(batch, **{"ratchet.output": "file:///out", "ratchet.predicted_by": "models:/default.cancer/1"})
    job = world.reach(batch, "succeeded")
    assert job.model_version is None
    assert (job.result["output"], job.result["predicted_by"]) == ("file:///out", "models:/default.cancer/1")


def test_an_archive_is_looked_for_in_the_job_s_own_project(world):
    with world.sessions() as session:
        content = Content("zip", 1, 8)
        bundles.add(session, project="default", digest=DIGEST, size_bytes=9, content=content, actor="ann")
        session.commit()
    assert submitted(world, **{**CUSTOM, "code": {"kind": "archive", "digest": DIGEST}})
