"""Every operation of the API, with what its own description allows and with what it does not: no server error, and
answers as described."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from httpx2 import InvalidURL
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, ScenarioFinished
from schemathesis.generation import GenerationMode
from schemathesis.python.asgi import HOST
from schemathesis.specs.openapi.checks import response_schema_conformance
from tests.accounts import token_of

from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.errors import PROBLEM, Problem
from ratchet.settings import Settings

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("RATCHET_TEST_EXAMPLES", "12"))
"""For an operation: the same dozen at every run, unless more are asked for, which are drawn anew."""
BASE = "/api/v1/projects/default"
GATE = {"metric": "accuracy", "data": {"uri": "sklearn://breast_cancer"}}
NOT_SUPPORTED = {501, 503}
"""What the fakes behind the API can't do, and what does not answer."""

SCHEMA = schemathesis.openapi.from_dict(create_app(Settings(database_url="sqlite://")).openapi())
ENDLESS = "/jobs/{job_id}/events"
"""A stream that ends with its job: what is asked of a job that runs is never answered to its end."""
OPERATIONS = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if not found.ok().path.endswith(ENDLESS)
}


NOT_SET_UP = {"GET /api/v1/auth/login", "GET /api/v1/auth/callback"}
"""This platform has no OpenID provider: see `identity/test_login.py`."""


def cases(label: str, known: dict[str, str]) -> st.SearchStrategy[Case]:
    """What the description allows, of things that exist and of things that do not; and what it does not allow."""
    operation = OPERATIONS[label]
    names = {each.name: known[each.name] for each in operation.path_parameters}
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=names)
    anything = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    refused = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, path_parameters=names)
    return st.one_of(allowed, allowed.map(of_what_there_is), anything, refused)


def of_what_there_is(case: Case) -> Case:
    """With the names in its body those of things that exist: else hardly any request would come so far as to work."""
    if isinstance(case.body, dict):
        there = {
            "endpoint": "cancer",
            "pipeline": "retrain",
            "control": "a",
            "treatment": "b",
            "recipe": "tabular",
            "user": "ann",
        }
        case.body = {name: there.get(name, value) for name, value in case.body.items()}
    return case


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_an_operation_answers_as_described(api: Any, known: dict[str, str], label: str) -> None:
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES == 12,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(label, known))
    def every_case(case: Case) -> None:
        sent = case.as_transport_kwargs(base_url="http://ratchet.test")
        try:
            answer = api.http.request(**{**sent, "headers": {**sent["headers"], **api.headers()}})
        except InvalidURL:  # longer than this client sends
            reject()
        statuses.add(answer.status_code)
        if answer.status_code not in NOT_SUPPORTED:
            case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])
        if answer.is_error:
            assert answer.headers["Content-Type"] == PROBLEM
            assert Problem.model_validate_json(answer.content).status == answer.status_code

    every_case()
    assert statuses - {404} or label in NOT_SET_UP, "nothing that exists was asked for"


CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "content_type_conformance",
    "status_code_conformance",
)
WITHOUT_A_TOKEN = {"/healthz", "/readyz", "/schemas", "/schemas/{kind}.json", "/api/v1/session", "/api/v1/auth/config"}
"""What anyone may ask. Signing out of no session is no failure."""


@pytest.mark.parametrize("signed_in", [True, False], ids=["with a token", "without"])
def test_every_phase_of_schemathesis_finds_nothing(sqlite_database: str, tmp_path: Path, signed_in: bool) -> None:
    """Examples, coverage (each constraint at and past its edge), fuzzing, and requests that follow from each other."""
    where = {"database_url": sqlite_database, "storage_uri": (tmp_path / "storage").as_uri()}
    app = create_app(Settings(**where, log_format="text", public_url=f"http://{HOST}"), fake_clients())
    with TestClient(app, base_url=f"http://{HOST}"):
        with app.state.sessions() as session:
            _, token = token_of(session, "admin")
            session.commit()
        config = SchemathesisConfig.from_dict(
            {
                "headers": {"Authorization": f"Bearer {token}"} if signed_in else {},
                "generation": {"max-examples": 2, "deterministic": True, "database": "none"},
                "checks": {"enabled": False, **{check: {"enabled": True} for check in CHECKS}},
            }
        )
        schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
        ended = schema.exclude(path_regex=r"/jobs/\{job_id\}/events$|/auth/(login|callback)$")
        failures, answered = set(), {}
        for event in from_schema(ended).execute():
            assert not isinstance(event, FatalError), event
            if isinstance(event, ScenarioFinished):
                found, statuses = _outcome(event)
                failures |= found
                for path, status in statuses:
                    answered.setdefault(path, set()).add(status)
    assert failures == set()
    open_to_all = {path for path, statuses in answered.items() if any(status < 300 for status in statuses)}
    if signed_in:
        assert len(open_to_all) > 30
    else:
        assert open_to_all <= WITHOUT_A_TOKEN


def _outcome(event: ScenarioFinished) -> tuple[set[tuple[str, str]], set[tuple[str, int]]]:
    """What failed, as (operation, why), and what was answered, as (path, status)."""
    recorder = event.recorder
    answers = {
        (recorder.cases[case].value.operation.path, interaction.response.status_code)
        for case, interaction in recorder.interactions.items()
        if interaction.response is not None and case in recorder.cases
    }
    failures = {
        (recorder.cases[case].value.operation.label, check.failure_info.failure.message[:300])
        for case, checks in recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    }
    return failures, answers


TOO_LARGE = 2**70
NUL = "\0"


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_what_no_database_can_hold_is_refused(any_api: Any) -> None:
    """Schemathesis draws few numbers this large; the two databases refuse them, and NULs, each in its own way."""
    api = any_api
    posts: list[tuple[str, dict[str, Any]]] = [
        ("/models/m/promotions", {"version": TOO_LARGE, "gate": GATE}),
        ("/endpoints", {"name": "big", "variants": [{"name": "a", "model": "m", "version": TOO_LARGE}]}),
        ("/endpoints", {"name": "big", "variants": [{"name": "a", "model": "m", "version": 2**31}]}),
    ]
    for path, body in posts:
        answer = api.http.post(BASE + path, json=body, headers=api.headers())
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), (path, answer.text)
    for path in ("/events", "/models/m/alias-moves"):
        for token in (str(TOO_LARGE), "job-1", "\u00b2"):
            token = base64.urlsafe_b64encode(token.encode()).decode()
            answer = api.http.get(BASE + path, params={"page_token": token}, headers=api.headers())
            assert answer.status_code == 422, (path, token, answer.text)
            assert answer.json()["errors"][0]["pointer"] == "/page_token"
    for path in ("/jobs/a%00", "/abtests/%00", "/monitors/%00", "/endpoints/%00", "/checks/%00", "/jobs?status=%00"):
        answer = api.http.get(BASE + path, headers=api.headers())
        assert answer.status_code in {200, 404, 422}, (path, answer.text)
    made = {"kind": "train", "data": {"uri": "x", "target": NUL}}
    assert api.http.post(f"{BASE}/jobs", json=made, headers=api.headers()).status_code in {202, 422}


@pytest.fixture
def any_api(database: str, sessions: Any, tmp_path: Path) -> Iterator[Any]:
    """The API over either database."""
    settings = Settings(database_url=database, storage_uri=(tmp_path / "storage").as_uri(), log_format="text")
    with TestClient(create_app(settings, fake_clients()), base_url="http://ratchet.test") as http:
        with sessions() as session:
            _, token = token_of(session, "admin")
            session.commit()
        yield SimpleNamespace(http=http, headers=lambda: {"Authorization": f"Bearer {token}"})
