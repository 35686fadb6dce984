"""Uploads of code: kept once by content, refused when they are not what they must be, and never held in memory."""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from ratchet.app import create_app
from ratchet.bundles import receive
from ratchet.bundles.tables import Bundle
from ratchet.clients.fakes import fake_clients
from ratchet.errors import RequestTimeout
from ratchet.events import Event
from ratchet.settings import Settings

BUNDLES = "/api/v1/projects/default/bundles"
MIB = 1024 * 1024


def archive(*names: str, content: bytes = b"print(1)") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in names:
            packed.writestr(name, content)
    return out.getvalue()


CODE = archive("train.py")


def upload(api, data: bytes | Iterator[bytes] = CODE, who: str = "writer", **headers: str):
    return api.http.post(BUNDLES, content=data, headers={**api.headers(who), **headers})


def rows(api) -> list[Bundle]:
    with api.sessions() as session:
        return list(session.scalars(select(Bundle)))


def test_an_archive_is_kept_under_its_digest(api):
    answer = upload(api)
    assert answer.status_code == 201, answer.text
    bundle = answer.json()
    digest = bundle["digest"]
    assert (bundle["format"], bundle["files"], bundle["expanded_bytes"]) == ("zip", 1, 8)
    assert (bundle["size_bytes"], bundle["created_by"]) == (len(CODE), rows(api)[0].created_by)
    assert api.clients.storage.files == {f"bundles/default/{digest.removeprefix('sha256:')}": CODE}
    assert answer.headers["Location"] == f"{BUNDLES}/{digest}"
    assert api.http.get(answer.headers["Location"], headers=api.headers("reader")).json() == bundle
    assert api.http.get(BUNDLES, headers=api.headers("reader")).json()["items"] == [bundle]
    with api.sessions() as session:
        event = session.scalars(select(Event).where(Event.action == "bundle.uploaded")).one()
    assert event.after["digest"] == digest


def test_the_same_again_is_the_same_bundle(api):
    first = upload(api)
    api.clients.storage.files.clear()
    again = upload(api, Idempotency_Key="other")
    assert (again.status_code, again.json()) == (200, first.json())
    assert api.clients.storage.files == {}
    assert len(rows(api)) == 1


def test_a_bundle_of_another_project_is_not_there(api):
    digest = upload(api).json()["digest"]
    other = BUNDLES.replace("default", "other")
    assert api.http.get(f"{other}/{digest}", headers=api.headers("stranger")).status_code == 404
    assert api.http.get(f"{BUNDLES}/{digest}", headers=api.headers("stranger")).status_code == 404
    assert upload(api, who="stranger").status_code == 404


@pytest.mark.parametrize("who", ["reader", "viewer", "predictor"])
def test_only_who_may_write_may_upload(api, who):
    assert upload(api, who=who).status_code == 403
    assert api.http.post(BUNDLES, content=CODE).status_code == 401
    assert (rows(api), api.clients.storage.files) == ([], {})


def link() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        info = tarfile.TarInfo("x")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        packed.addfile(info)
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(20 * MIB))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither a zip nor"),
        (b"hello", "neither a zip nor"),
        (CODE[:-5], "cut short"),
        (archive("../x"), "leads out"),
        (archive("/etc/cron.d/x"), "leads out"),
        (link(), "no links"),
        (bomb(), "100 times"),
    ],
    ids=["empty", "text", "cut short", "parent", "absolute", "link", "bomb"],
)
def test_a_refused_archive_says_why_and_leaves_nothing(api, tmp_path, monkeypatch, data, says):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    answer = upload(api, data)
    assert (answer.status_code, answer.json()["code"]) == (422, "archive_refused")
    assert says in answer.json()["detail"]
    assert (rows(api), api.clients.storage.files, list((tmp_path / "scratch").iterdir())) == ([], {}, [])


def test_storage_that_does_not_take_it_leaves_no_row(api):
    api.clients.faults.before("storage.upload")
    answer = upload(api)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert rows(api) == []
    assert upload(api).status_code == 201


def test_what_came_before_a_crash_is_taken_up_by_the_next_upload(api):
    api.clients.faults.after("storage.upload")
    assert upload(api).status_code == 503
    assert (len(api.clients.storage.files), rows(api)) == (1, [])
    assert upload(api).status_code == 201
    assert (len(api.clients.storage.files), len(rows(api))) == (1, 1)


@pytest.fixture
def small(sqlite_database: str, tmp_path: Path) -> Iterator[TestClient]:
    """An API that takes 8 MiB of an archive, and 1 KiB of anything else."""
    settings = Settings(
        database_url=sqlite_database, storage_uri=tmp_path.as_uri(), max_body_bytes=1024, max_bundle_bytes=8 * MIB
    )
    with TestClient(create_app(settings, fake_clients()), base_url="http://ratchet.test") as http:
        yield http


def test_bundles_have_a_limit_of_their_own(api, small):
    refused = small.post(BUNDLES, content=bytes(8 * MIB + 1), headers=api.headers("writer"))
    assert refused.status_code == 413
    assert "8,388,608" in refused.json()["detail"]
    other = small.post("/api/v1/projects/default/jobs", content=bytes(1025), headers=api.headers("writer"))
    assert other.status_code == 413


def test_a_body_without_end_is_cut_where_its_limit_is(api, small, tmp_path, monkeypatch):
    """Sent in chunks, so that nothing says beforehand how much it will be; what was received is thrown away."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    taken, answer = [], []

    async def chunk():
        taken.append(1)
        return {"type": "http.request", "body": bytes(MIB), "more_body": True}

    async def send(message):
        answer.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in api.headers("writer").items()]
    headers.append((b"host", b"ratchet.test"))
    scope = {"type": "http", "method": "POST", "path": BUNDLES, "headers": headers, "query_string": b""}
    scope |= {"scheme": "http", "server": ("ratchet.test", 80), "client": ("127.0.0.1", 1), "http_version": "1.1"}
    asyncio.run(small.app(scope, chunk, send))
    assert answer[0]["status"] == 413
    assert len(taken) == 9
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_slow_upload_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(receive, "SILENCE_S", 0.01)

    async def body():
        yield b"PK"
        await asyncio.Event().wait()

    with pytest.raises(RequestTimeout):
        asyncio.run(receive.receive(body(), tmp_path / "x"))


def test_an_upload_that_comes_in_drops_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(receive, "WHOLE_S", 0.02)

    async def body():
        while True:
            await asyncio.sleep(0)
            yield b"x"

    with pytest.raises(RequestTimeout):
        asyncio.run(receive.receive(body(), tmp_path / "x"))


def test_two_uploads_of_the_same_at_once_are_one_bundle(sessions, tmp_path, monkeypatch):
    """Both are checked and stored before either is written down."""
    clients, barrier, found = fake_clients(), threading.Barrier(2), []
    (tmp_path / "a").write_bytes(CODE)
    checked = receive._checked

    def meet(received):
        barrier.wait(10)
        return checked(received)

    monkeypatch.setattr(receive, "_checked", meet)

    def keep() -> None:
        received = receive.Received(tmp_path / "a", "sha256:" + "a" * 64, len(CODE))
        kept = receive.keep(received, sessions=sessions, storage=clients.storage, project="default", actor="ann")
        found.append(kept)

    threads = [threading.Thread(target=keep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(new for _, new in found) == [False, True]
    assert found[0][0].id == found[1][0].id


@given(st.binary(max_size=200))
def test_what_is_received_is_what_was_sent(data: bytes):
    async def body():
        for at in range(0, len(data), 7):
            yield data[at : at + 7]

    with tempfile.TemporaryDirectory() as folder:
        received = asyncio.run(receive.receive(body(), Path(folder) / "x"))
        assert received.path.read_bytes() == data
        assert received.size_bytes == len(data)


def test_a_custom_job_needs_its_bundle_in_its_own_project(api):
    digest = "sha256:" + "a" * 64
    spec = {"kind": "custom", "code": {"kind": "archive", "digest": digest}, "entrypoint": ["python", "train.py"]}
    for path in ("jobs", "jobs:plan"):
        answer = api.http.post(f"/api/v1/projects/default/{path}", json=spec, headers=api.headers("writer"))
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_bundle")
        assert answer.json()["errors"][0]["pointer"] == "/code/digest"
    spec["code"]["digest"] = upload(api).json()["digest"]
    answer = api.http.post("/api/v1/projects/default/jobs", json=spec, headers=api.headers("writer"))
    assert answer.status_code == 202, answer.text
    other = api.http.post("/api/v1/projects/other/jobs", json=spec, headers=api.headers("stranger"))
    assert other.json()["code"] == "unknown_bundle"
