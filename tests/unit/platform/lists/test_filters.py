"""The grammar of filters and orders: what it says, what it refuses and where, and that SQL means the same as Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.accounts import token_of

from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.errors import Invalid
from ratchet.jobs.schemas import JOB_FIELDS
from ratchet.jobs.tables import Job
from ratchet.lists import filters, paging
from ratchet.lists.fields import Field, Fields
from ratchet.settings import Settings

JOBS = "/api/v1/projects/default/jobs"
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("stats = 'x'", 1, "Did you mean 'status'?"),
        ("status = running", 10, 'Put quotes round a text: "running"'),
        ("status = 'runing'", 10, "Did you mean 'running'?"),
        ("name ~ 3", 8, "'name' (text) can't be compared with 3"),
        ("attempt = 'one'", 11, "'attempt' (integer) can't be compared with 'one'"),
        ("created_at > 'yesterday'", 14, "is no time"),
        ("metrics.loss ~ 'x'", 16, "'metrics' (number) can't"),
        ("metrics < 3", 1, "Write metrics.<key>"),
        ("name", 5, "An operator is expected here"),
        ("name =", 7, "A value is expected here, not the end."),
        ("name = 'a' or", 14, "A field is expected here, not the end."),
        ("name = 'a' name = 'b'", 12, "'name' is not expected here."),
        ("(name = 'a'", 12, "')' is expected here, not the end."),
        ("name in ('a', null)", 15, "null can't be in a list"),
        ("params.x in ('a', 1)", 19, "must be of one kind"),
        ("name not 'a'", 10, "'in' is expected after 'not'"),
        ("name < null", 6, "null can be compared with = and != alone."),
        ("name = 'a", 8, "is not understood"),
        ("name ~ '\0'", 8, "can't hold the character NUL"),
        ("attempt = 9999999999999999999", 11, "too large"),
        ("cpus = 1e999", 8, "too large"),
        ('metrics."a;b" = 1', 1, "Write metrics.<key>"),
        ("not " * 30 + "name = 'a'", 85, "nested more than 20 deep"),
        ("(" * 30 + "name = 'a'", 22, "nested more than 20 deep"),
        (" or ".join(["cpus = 1"] * 51), 601, "more than 50 comparisons"),
        (f"cpus in ({','.join(['1'] * 101)})", 210, "more than 100 values"),
    ],
)
def test_what_can_not_be_read_says_where_and_why(text: str, at: int, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        filters.parse(text, JOB_FIELDS)
    (error,) = refused.value.errors
    assert error.pointer == "/filter"
    assert says in error.message
    if "is not understood" not in says:
        assert error.message.startswith(f"At character {at}: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "There is no field 'nothing'"),
        ("message", "can't be ordered by 'message'"),
        ("params.lr", "can't be ordered by 'params'"),
        ("name down", "',' is expected here"),
        ("name, name desc", "is there twice"),
        ("name,", "A field is expected here, not the end."),
        ("id, name, kind, status, cpus", "At most 4 fields."),
    ],
)
def test_an_order_that_can_not_be_read(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        filters.parse_order(text, JOB_FIELDS)
    assert refused.value.errors[0].pointer == "/order_by"
    assert says in refused.value.errors[0].message


# -- the same in SQL and in Python

WORDS = ["a", "ab", "b", "ba", "c"]
COMPARISONS = [
    *(f'name {sign} "{word}"' for sign in ("=", "!=", "<", ">=", "~") for word in WORDS),
    *(f'status {sign} "{status}"' for sign in ("=", "!=") for status in ("queued", "running", "failed")),
    'status in ("queued", "running")',
    'status not in ("queued", "running")',
    'kind in ("train", "sweep")',
    'reason = "user_error"',
    'reason != "user_error"',
    "reason = null",
    "started_at != null",
    *(f"attempt {sign} {number}" for sign in ("=", "!=", "<", "<=", ">", ">=") for number in (0, 1, 1.5)),
    'created_at > "2026-11-01T00:30:00Z"',
    'created_at <= "2026-11-01T00:10:00+00:00"',
    'started_at < "2026-11-01T00:20:00Z"',
    'created_at >= "2026-11-01"',
    "metrics.loss < 0.5",
    "metrics.val/loss >= 0.5",
    'metrics."val loss" != 0.25',
    "metrics.loss = null",
    'params.opt = "adam"',
    'params.opt != "adam"',
    "params.opt > 3",
    "params.lr = 0.1",
    "params.lr != 0.1",
    "params.flag = true",
    "params.flag != true",
    "params.absent = null",
    "params.lr != null",
]
FILTERS = st.recursive(
    st.sampled_from(COMPARISONS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map("not {}".format),
    ),
    max_leaves=4,
)
ORDERS = st.sampled_from(
    [
        *("", "name", "status desc", "kind asc", "created_at", "id desc", "name desc, attempt", "started_at desc"),
        *("reason", "metrics.loss", "metrics.loss desc, name", "created_at asc, id desc", "attempt, created_at desc"),
        "cpus desc, id",
    ]
)
VALUES: dict[str, Any] = {
    **{name: (lambda row, name=name: getattr(row, name)) for name in JOB_FIELDS.of},
    "params": lambda row: row.spec["params"],
}
IN_MEMORY = Fields(
    {
        name: Field(
            field.kind, None, VALUES.get(name), field.choices, field.nullable, field.orderable, field.keyed, field.path
        )
        for name, field in JOB_FIELDS.of.items()
    }
)


@pytest.fixture
def rows(sessions: Any) -> list[Job]:
    """Jobs with every kind of value, absent ones too, some of them made in the same moment."""
    some = random.Random(7)
    with sessions() as session:
        for number in range(60):
            moment = START + timedelta(minutes=some.randrange(40))
            params = {
                "opt": some.choice(["adam", "sgd", 3, None, ["a"]]),
                "lr": some.choice([0.1, 1, "0.1", {}]),
                "flag": some.choice([True, False, "true", 1]),
            }
            losses = [0.25, 0.5, 0.75, None]
            job = Job(
                id=f"job-{number:03}",
                project="default",
                kind=some.choice(["train", "sweep", "evaluate"]),
                name=some.choice(WORDS),
                spec={"params": {key: value for key, value in params.items() if some.random() < 0.8}},
                created_by="test",
                cpus=some.choice([1.0, 2.0]),
                gpus=0,
                status=some.choice(["queued", "running", "failed"]),
                reason=some.choice(["user_error", "cancelled", None]),
                attempt=some.randrange(3),
                metrics={name: some.choice(losses) for name in ("loss", "val/loss", "val loss") if some.random() < 0.8},
                created_at=moment,
                started_at=some.choice([None, moment + timedelta(minutes=1)]),
                due_at=None,
            )
            session.add(job)
        session.commit()
        return list(session.scalars(select(Job)))


def pages(fields: Fields, size: int, filter: str, order_by: str, take: Any) -> Iterator[list[str]]:
    token = ""
    while True:
        items, token = take(paging.page(fields, size, token, filter, order_by))
        yield [item.id for item in items]
        if not token:
            return


def test_sql_and_python_pass_the_same_and_no_page_loses_or_doubles_one(
    sessions: Any, rows: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FIRST_STRETCH", 5)
    monkeypatch.setattr(paging, "STRETCH", 20)

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(filter=st.one_of(st.just(""), FILTERS), order_by=ORDERS, size=st.sampled_from([3, 8, 100]))
    def same(filter: str, order_by: str, size: int) -> None:
        (whole,) = pages(IN_MEMORY, 1_000, filter, order_by, lambda page: page.take_from(rows))
        with sessions() as session:
            found = list(pages(JOB_FIELDS, size, filter, order_by, lambda page: page.take(session, select(Job))))
        assert [each for page in found for each in page] == whole
        in_memory = pages(IN_MEMORY, size, filter, order_by, lambda page: page.take_from(rows))
        assert [each for page in in_memory for each in page] == whole

    same()


def test_what_no_index_serves_is_bounded(sessions: Any, rows: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "FIRST_STRETCH", 5)
    monkeypatch.setattr(paging, "STRETCH", 10)
    monkeypatch.setattr(paging, "MAX_SORTED", 30)
    with sessions() as session:
        items, token = paging.page(JOB_FIELDS, 50, "", "metrics.nothing > 0").take(session, select(Job))
        assert (items, bool(token)) == ([], True)
        with pytest.raises(Invalid) as refused:
            paging.page(JOB_FIELDS, order_by="cpus").take(session, select(Job))
        assert refused.value.code == "too_many_to_sort"
        few = paging.page(JOB_FIELDS, filter='status = "running" and metrics.loss > 0', order_by="cpus")
        assert few.take(session, select(Job))[0]


# -- over HTTP


def test_a_token_goes_with_its_list_its_filter_and_its_order(api: Any) -> None:
    for _ in range(3):
        made = {"kind": "train", "data": {"uri": "sklearn://iris"}}
        assert api.http.post(JOBS, json=made, headers=api.headers()).status_code == 202

    def ask(path: str = JOBS, **params: Any) -> Any:
        return api.http.get(path, params={"page_size": 1, **params}, headers=api.headers())

    token = ask(filter='kind = "train"', order_by="name").json()["next_page_token"]
    assert len(ask(filter='kind = "train"', order_by="name", page_token=token).json()["items"]) == 1
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    for other in (
        {"page_token": token},
        {"page_token": token, "filter": 'kind = "train"'},
        {"page_token": token, "filter": 'kind = "sweep"', "order_by": "name"},
        {"page_token": forged, "filter": 'kind = "train"', "order_by": "name"},
        {"page_token": "%%%"},
        {"page_token": "é"},
    ):
        answer = ask(**other)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_page_token"), other
    answer = ask("/api/v1/projects/default/events", page_token=token)
    assert answer.json()["code"] == "invalid_page_token"


def test_a_bad_filter_is_a_422_that_points_at_the_character(api: Any) -> None:
    answer = api.http.get(JOBS, params={"filter": 'status = "runing"'}, headers=api.headers("reader"))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_filter")
    assert problem["errors"][0] == {
        "pointer": "/filter",
        "message": "At character 10: 'status' is never 'runing'. Did you mean 'running'?",
        "value": '"runing"',
    }


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE jobs; --",
        "%",
        "_",
        "/",
        "\\\\",
        "' OR '1'='1",
        "\u00e9\U0001f600",
        "${jndi:ldap://x}",
    ],
)
def test_what_a_filter_holds_is_a_value_and_nothing_else(api: Any, text: str) -> None:
    made = {"kind": "train", "name": "mine", "data": {"uri": "sklearn://iris"}}
    assert api.http.post(JOBS, json=made, headers=api.headers()).status_code == 202
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for filter in (f"name = {quoted}", f"name ~ {quoted}", f"name in ({quoted})", f"params.x = {quoted}"):
        answer = api.http.get(JOBS, params={"filter": filter}, headers=api.headers())
        assert (answer.status_code, answer.json()["items"]) == (200, []), filter
    for order in (text, f"name {text}", f"name, {text}"):
        answer = api.http.get(JOBS, params={"order_by": order}, headers=api.headers())
        assert answer.status_code == 422, order
    assert len(api.http.get(JOBS, headers=api.headers()).json()["items"]) == 1


EXAMPLES = {"text": '"a"', "integer": "1", "number": "0.5", "time": '"2026-11-26"', "boolean": "true", "value": "1"}


def test_every_field_of_every_list_can_be_filtered_and_ordered_by(database: str, tmp_path: Any) -> None:
    app = create_app(Settings(database_url=database, storage_uri=(tmp_path / "s").as_uri()), fake_clients())
    asked = 0
    with TestClient(app, base_url="http://ratchet.test") as http:
        with app.state.sessions() as session:
            _, token = token_of(session, "admin")
            session.commit()
        headers = {"Authorization": f"Bearer {token}"}
        for path, operations in app.openapi()["paths"].items():
            for parameter in operations.get("get", {}).get("parameters", []):
                for name, field in parameter["schema"].get("x-fields", {}).items():
                    name = name.replace("<key>", "loss")
                    value = f'"{field["choices"][0]}"' if "choices" in field else EXAMPLES[field["kind"]]
                    params = {"filter": f"{name} = {value} or {name} = null or not {name} != {value}"}
                    if field["orderable"]:
                        params["order_by"] = f"{name} desc"
                    where = path.replace("{project}", "default")
                    answer = http.get(where.format_map(_Anything()), params=params, headers=headers)
                    missing = "{" in where and answer.status_code == 404
                    assert missing or answer.status_code == 200, (path, params, answer.text)
                    asked += answer.status_code == 200
    assert asked > 60


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "nothing"
