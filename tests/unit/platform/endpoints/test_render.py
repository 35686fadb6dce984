from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ratchet.endpoints.render import WantedEndpoint, WantedVariant, fingerprint, render, serving_config
from ratchet.settings import Settings
from ratchet_pipelines.spec import ServingConfig

SETTINGS = Settings(storage_uri="file:///srv/storage", serve_port=8123, mlflow_job_url="http://mlflow:5000")
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)


@st.composite
def endpoints(draw: st.DrawFn) -> WantedEndpoint:
    parts = draw(st.lists(st.integers(1, 100), min_size=1, max_size=5))
    variants = tuple(
        WantedVariant(f"v{index}", "p.m", draw(st.integers(1, 9)), None, part / sum(parts))
        for index, part in enumerate(parts)
    )
    return WantedEndpoint(
        id=draw(names),
        project=draw(names),
        name=draw(names),
        status="deploying",
        replicas=draw(st.integers(1, 9)),
        cpus_per_replica=draw(st.sampled_from([0.0, 0.5, 2.0])),
        salt=draw(st.text(max_size=8)),
        generation=draw(st.integers(1, 99)),
        observed_generation=0,
        variants=variants,
        rendered=None,
        token_hashes=tuple(draw(st.lists(st.sampled_from(["aa", "bb"]), unique=True))),
    )


many = st.lists(endpoints(), max_size=6, unique_by=lambda each: each.application)


@given(wanted=many, seed=st.integers())
def test_the_config_depends_on_what_is_wanted_alone_and_not_on_its_order(
    wanted: list[WantedEndpoint], seed: int
) -> None:
    shuffled = list(wanted)
    random.Random(seed).shuffle(shuffled)
    config = render(wanted, SETTINGS)
    assert render(shuffled, SETTINGS) == config
    assert fingerprint(render(shuffled, SETTINGS)) == fingerprint(config)


@given(wanted=many)
def test_every_endpoint_is_listed_once_with_a_config_that_its_replicas_take(wanted: list[WantedEndpoint]) -> None:
    applications = render(wanted, SETTINGS)["applications"]
    assert [app["name"] for app in applications] == sorted(each.application for each in wanted)
    assert len({app["route_prefix"] for app in applications}) == len(wanted)
    for app in applications:
        (deployment,) = app["deployments"]
        taken = ServingConfig.model_validate(deployment["user_config"])
        assert app["route_prefix"] == f"/{taken.project}/{taken.endpoint}"
        assert deployment["max_surge_percent"] == 100


def test_the_document_is_the_one_that_serve_takes() -> None:
    variants = (WantedVariant("a", "demo.m", 3, None, 1.0),)
    wanted = WantedEndpoint("ep-1", "demo", "iris", "ready", 2, 0.0, "salt", 7, 6, variants, None, ("aa",))
    config = render([wanted], SETTINGS)
    assert config["proxy_location"] == "HeadOnly"
    assert config["http_options"] == {"host": "127.0.0.1", "port": 8123}
    (app,) = config["applications"]
    (deployment,) = app.pop("deployments")
    assert app == {
        "name": "demo.iris",
        "route_prefix": "/demo/iris",
        "import_path": "ratchet_pipelines.serving.app:build",
        "runtime_env": {"env_vars": {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}},
        "args": {"storage": "file:///srv/storage", "project": "demo", "endpoint": "iris"},
    }
    assert (deployment["name"], deployment["num_replicas"]) == ("Endpoint", 2)
    assert deployment["ray_actor_options"] == {"num_cpus": 0.0}
    assert deployment["user_config"] == {
        "endpoint": "iris",
        "project": "demo",
        "salt": "salt",
        "variants": [{"name": "a", "model": {"name": "demo.m", "version": 3}, "weight": 1.0}],
        "token_hashes": ["aa"],
        "generation": 7,
    }


def test_what_serves_is_listed_on_while_an_alias_points_to_nothing() -> None:
    """Left out of the config, Serve would delete it."""
    resolved = (WantedVariant("a", "demo.m", 3, None, 1.0),)
    before = WantedEndpoint("ep-1", "demo", "iris", "ready", 1, 0.0, "salt", 1, 1, resolved, None, ("aa",))
    rendered = serving_config(before)
    open_ = (WantedVariant("a", "demo.m", None, "champion", 1.0),)
    after = WantedEndpoint("ep-1", "demo", "iris", "updating", 1, 0.0, "salt", 2, 1, open_, rendered, ("bb",))
    assert serving_config(after) == {**(rendered or {}), "token_hashes": ["bb"]}
    never = WantedEndpoint("ep-1", "demo", "iris", "deploying", 1, 0.0, "salt", 1, 0, open_, None, ())
    assert render([never], SETTINGS)["applications"] == []
