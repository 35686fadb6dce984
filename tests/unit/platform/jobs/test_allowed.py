"""Whoever follows a job is looked at again: a stream and a download end with the right to read them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from ratchet import auth, db
from ratchet.db import db_now
from ratchet.errors import NotFound, Unauthorized
from ratchet.identity import principals
from ratchet.identity.principals import REMEMBER_S
from ratchet.identity.roles import Role
from ratchet.identity.tables import Account, Membership, Token
from ratchet.jobs import live, stream

JOBS = "/api/v1/projects/default/jobs"
BODY = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}
TURN_S = 0.05


@pytest.fixture
def job(api, over) -> str:
    """A running job."""
    job_id = str(api.http.post(JOBS, json=BODY, headers=api.headers("writer")).json()["id"])
    over.reach(job_id, "running")
    over.prints(job_id, "one", ended=True)
    return job_id


@pytest.fixture
def quick(monkeypatch):
    for module in (principals, stream, auth):
        monkeypatch.setattr(module, "REMEMBER_S", TURN_S)


@pytest.fixture
def elsewhere(api) -> Callable[..., None]:
    """A change that another process makes: this one's memory is not told."""
    other = db.session_factory(api.http.app.state.engine)

    def change(statement: Any) -> None:
        with other() as session:
            session.execute(statement)
            session.commit()

    return change


@pytest.fixture
def follow(api, over, job, elsewhere):
    """Follows the job in a thread, once its stream is open; what is still open at the end ends with the job."""
    pool = ThreadPoolExecutor(1)
    tails = api.http.app.state.tails

    def start(headers: dict[str, str]) -> Future[Any]:
        found = pool.submit(api.http.get, f"{JOBS}/{job}/events", headers=headers)
        while not tails._tails and not found.done():
            time.sleep(0.01)
        return found

    yield start
    over.finish(job)
    over.reach(job, "succeeded")
    pool.shutdown()


READER = select(Account.id).where(Account.name == "reader").scalar_subquery()
LOST = {
    "revoked": update(Token).where(Token.owner_id == READER).values(revoked_at=db_now()),
    "expired": update(Token).where(Token.owner_id == READER).values(expires_at=db_now()),
    "disabled": update(Account).where(Account.name == "reader").values(disabled_at=db_now()),
    "no_member": delete(Membership).where(Membership.account_id == READER),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("by", ["token", "cookie"])
def test_a_stream_ends_with_the_right_to_read_it(api, quick, follow, elsewhere, job, lost, by):
    headers = api.headers("reader")
    if by == "cookie":
        assert api.http.post("/api/v1/session", json={"token": api.tokens["reader"]}).status_code == 204
        headers = {}
    found = follow(headers)
    elsewhere(LOST[lost])
    answer = found.result(timeout=5)
    assert answer.status_code == 200
    assert '"one"' in answer.text
    again = api.http.get(f"{JOBS}/{job}/events", headers=headers)
    assert again.status_code == (404 if lost == "no_member" else 401)


def test_a_narrower_role_that_may_read_reads_on(api, quick, follow, elsewhere, over, job):
    found = follow(api.headers("editor"))
    elsewhere(update(Membership).where(Membership.project == "default").values(role=Role.VIEWER.value))
    with pytest.raises(TimeoutError):
        found.result(timeout=10 * TURN_S)
    over.finish(job)
    over.reach(job, "succeeded")
    assert "succeeded" in found.result(timeout=5).text


def test_it_ends_within_the_time_that_is_promised():
    assert 2 * REMEMBER_S <= 4  # what is remembered, and a stream's longest pause


def test_a_download_breaks_off(api, quick, elsewhere, over, job, monkeypatch):
    """A clean end would pass for the whole."""

    def parts():
        yield b"one\n"
        elsewhere(LOST["revoked"])
        api.http.app.state.principals.forget()
        yield b"two\n"

    monkeypatch.setattr(live, "log_file", lambda *_: parts())
    with pytest.raises(RuntimeError):
        api.http.get(f"{JOBS}/{job}/logs:download", headers=api.headers("reader"))


# -- the cost of it


def asked_by(api, who: str) -> Request:
    headers = [(b"authorization", f"Bearer {api.tokens[who]}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    request = Request({**scope, "app": api.http.app, "path_params": {"project": "default"}})
    request.state.refusal = lambda principal: None if principal.role_in("default") else NotFound("No project.")
    return request


async def silence(turns: int):
    for _ in range(turns):
        await asyncio.sleep(TURN_S)
        yield None


@pytest.mark.parametrize(("who", "queries"), [(["reader"] * 100, 5), (["reader", "editor"] * 50, 10)])
def test_a_hundred_streams_ask_once_in_a_while_for_each_token_and_one_at_a_time(
    api, quick, monkeypatch, who: list[str], queries: int
):
    keeper, asked, at_once = api.http.app.state.principals, [], []
    look_up = keeper.look_up

    def count(*arguments):
        at_once.append(1)
        assert len(at_once) == 1
        asked.append(arguments)
        try:
            return look_up(*arguments)
        finally:
            at_once.pop()

    monkeypatch.setattr(keeper, "look_up", count)

    async def read(request: Request) -> None:
        async for _ in auth.while_allowed(request, silence(5)):
            raise AssertionError("nothing came")

    async def run() -> None:
        await asyncio.gather(*(read(asked_by(api, name)) for name in who))

    keeper.forget()
    asyncio.run(run())
    assert 1 <= len(asked) <= queries + len(set(who))


def test_while_the_database_is_silent_nothing_is_given_and_nothing_ends(api, quick, monkeypatch):
    keeper, failures = api.http.app.state.principals, [OperationalError("", {}, Exception("gone"))] * 3
    look_up = keeper.look_up

    def fail(*arguments):
        if failures:
            raise failures.pop()
        return look_up(*arguments)

    monkeypatch.setattr(keeper, "look_up", fail)

    async def items():
        yield "one"

    async def run() -> None:
        keeper.forget()
        given = auth.while_allowed(asked_by(api, "reader"), items())
        assert [(item, len(failures)) async for item in given] == [("one", 0)]

    asyncio.run(run())


def test_streams_of_a_token_that_was_revoked_lock_out_no_address(api, quick, elsewhere):
    elsewhere(LOST["revoked"])

    async def run() -> list[Any]:
        streams = [auth.while_allowed(asked_by(api, "reader"), silence(1)) for _ in range(100)]
        return await asyncio.gather(*(anext(each) for each in streams), return_exceptions=True)

    assert {type(ended) for ended in asyncio.run(run())} == {Unauthorized}
    assert api.http.get("/api/v1/me", headers={"Authorization": "Bearer wrong"}).status_code == 401
