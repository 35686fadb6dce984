"""The log of a job, as it is read: pages, filters, the end of it, a download, and many who follow."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.clients.fakes import FakeStorage, fake_clients
from ratchet.jobs import logfiles
from ratchet.jobs.logfiles import Cursor, Position, Source
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.stream import Tail, Tails, follow
from ratchet_pipelines.logs.entries import Entry

BODY = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}
JOBS = "/api/v1/projects/default/jobs"


@pytest.fixture
def job(api, over) -> str:
    """A running job."""
    job_id = api.http.post(JOBS, json=BODY, headers=api.headers("writer")).json()["id"]
    over.reach(job_id, "running")
    return str(job_id)


def page(api, job_id: str, query: str = "") -> dict[str, Any]:
    answer = api.http.get(f"{JOBS}/{job_id}/logs?{query}", headers=api.headers("reader"))
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(found: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in found["entries"]]


def test_the_sources_follow_one_another_by_time_and_attempts_in_order(api, over, job):
    over.prints(job, "later", attempt=2, time=50)
    over.prints(job, "one", "three", time=100)
    over.prints(job, "two", source="rank-0", time=100.5)
    found = page(api, job)
    assert texts(found) == ["one", "two", "three", "later"]
    assert found["sources"] == ["driver", "rank-0"]
    assert [(entry["attempt"], entry["source"]) for entry in found["entries"]][1:3] == [(1, "rank-0"), (1, "driver")]
    assert found["entries"][0]["time"] == "1970-01-01T00:01:40Z"


def test_a_cursor_misses_nothing_of_a_source_that_writes_late(api, over, job):
    over.prints(job, "one", time=100)
    first = page(api, job)
    over.prints(job, "one", "three", time=100)
    over.prints(job, "zero", source="rank-1", time=50)  # written before, seen only now
    second = page(api, job, f"cursor={first['cursor']}")
    assert texts(second) == ["zero", "three"]
    assert texts(page(api, job, f"cursor={second['cursor']}")) == []


def test_pages_are_as_long_as_asked_for(api, over, job):
    over.prints(job, *map(str, range(7)))
    seen, cursor = [], ""
    while len(seen) < 7:
        found = page(api, job, f"limit=3&cursor={cursor}")
        assert 0 < len(found["entries"]) <= 3
        seen += texts(found)
        cursor = found["cursor"]
    assert seen == list(map(str, range(7)))


def test_a_process_that_was_started_anew_goes_on_under_its_name(api, over, job):
    over.prints(job, "first life", source="rank-0", started=1_000, time=1)
    found = page(api, job)
    over.prints(job, "second life", source="rank-0", started=2_000, time=2)
    assert texts(page(api, job, f"cursor={found['cursor']}")) == ["second life"]
    assert texts(page(api, job)) == ["first life", "second life"]


def test_what_was_read_of_a_process_that_is_gone_does_not_come_again(api, over, job):
    over.prints(job, "first life", source="rank-0", started=1_000)
    over.prints(job, "second life", source="rank-0", started=2_000)
    found = page(api, job)
    api.clients.storage.delete(f"jobs/{job}/logs")
    over.prints(job, "first life", source="rank-0", started=1_000)
    assert texts(page(api, job, f"cursor={found['cursor']}")) == []


def test_what_was_dropped_from_the_middle_is_marked(api, over, job):
    over.prints(job, "head", first=0)
    over.prints(job, "end", first=100, time=2_000)
    found = page(api, job)
    assert texts(found)[0::2] == ["head", "end"]
    assert "99 lines left out" in texts(found)[1]
    assert texts(page(api, job, "search=head")) == ["head"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("source=rank-0", ["WARNING slow", "loss 0.5"]),
        ("level=warning", ["WARNING slow", "ValueError: bad"]),
        ("level=error", ["ValueError: bad"]),
        ("search=LOSS", ["loss 0.5"]),
        ("search=%5Eloss%20%5B0-9.%5D%2B%24&regex=true", ["loss 0.5"]),
        ("search=loss.5", []),
        ("attempt=2", ["again"]),
        ("tail=true&limit=2", ["ValueError: bad", "again"]),
        ("tail=true&limit=1&source=rank-0", ["loss 0.5"]),
    ],
)
def test_filters(api, over, job, query, expected):
    over.prints(job, "WARNING slow", "loss 0.5", source="rank-0", time=1)
    over.prints(job, "ValueError: bad", time=10)
    over.prints(job, "again", attempt=2)
    assert texts(page(api, job, query)) == expected


def test_after_its_end_the_log_goes_on_where_it_was_read_to(api, over, job):
    over.prints(job, *map(str, range(10)))
    found = page(api, job, "tail=true&limit=2")
    over.prints(job, *map(str, range(12)))
    assert texts(page(api, job, f"tail=true&cursor={found['cursor']}")) == ["10", "11"]


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("cursor=nonsense", "/query/cursor"),
        ("cursor=" + packed('[[1, "a", Infinity, 0]]'), "/query/cursor"),
        ("cursor=" + packed("[" * 900_000), "/query/cursor"),
        ("search=(&regex=true", "/query/search"),
        ("search=(?=a)&regex=true", "/query/search"),
        ("level=loud", "/query/level"),
        ("source=..", "/query/source"),
    ],
)
def test_what_makes_no_sense_is_named(api, job, query, pointer):
    answer = api.http.get(f"{JOBS}/{job}/logs?{query}", headers=api.headers("reader"))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_log_is_complete_when_the_job_and_every_process_have_ended(api, over, job):
    over.prints(job, "one", ended=True)
    over.prints(job, "two", source="rank-0")
    assert not page(api, job)["complete"]
    over.finish(job)
    over.reach(job, "succeeded")
    found = page(api, job)
    assert texts(found) == ["one", "two"]
    assert not found["complete"]  # rank 0 was killed perhaps, and its last lines are on their way
    over.prints(job, "two", "three", source="rank-0", ended=True)
    assert page(api, job)["complete"]


def test_rays_log_is_copied_where_the_driver_wrote_none(api, over, job):
    api.clients.jobs.jobs[f"{job}-1"].logs = "hello\nTraceback (most recent call last):\n  File\nOSError: no disk\n"
    api.clients.jobs.fail(f"{job}-1", exit_code=70)
    over.reach(job, "failed")
    found = page(api, job)
    assert [(entry["level"], entry["text"].count("\n")) for entry in found["entries"]] == [("info", 0), ("error", 2)]
    assert found["complete"]
    over.prints(job, "it came late")
    assert texts(page(api, job)) == ["it came late"]


def test_what_the_driver_wrote_is_not_copied_from_ray_again(api, over, job):
    over.prints(job, "epoch 1", "Done", ended=True)
    over.finish(job)
    over.reach(job, "succeeded")
    assert "jobs.logs" not in api.clients.faults.calls
    assert texts(page(api, job)) == ["epoch 1", "Done"]


def test_a_download_is_the_whole_as_text(api, over, job):
    over.prints(job, "one\ntwo", time=1)
    answer = api.http.get(f"{JOBS}/{job}/logs:download", headers=api.headers("reader"))
    assert answer.headers["content-type"].startswith("text/plain")
    assert job in answer.headers["content-disposition"]
    assert answer.text == "1970-01-01T00:00:01.000Z info    1/driver | one\n    two\n"
    assert api.http.get(f"{JOBS}/{job}/logs:download", headers=api.headers("stranger")).status_code == 404


printed = st.lists(
    st.tuples(st.sampled_from(["driver", "rank-0", "rank-1"]), st.integers(1, 4), st.floats(0, 5)), max_size=12
)


@settings(max_examples=40)
@given(printed=printed, limit=st.integers(1, 5), data=st.data())
def test_whatever_is_written_between_two_looks_every_line_is_read_once_and_in_its_order(printed, limit, data):
    """`printed`: which process writes how many lines, at what time, before the next look."""
    storage = FakeStorage()
    written: dict[str, list[Entry]] = {}
    seen: list[tuple[str, int]] = []
    cursor = Cursor()

    def look() -> None:
        nonlocal cursor
        part = logfiles.read(
            logfiles.loader(storage), logfiles.index(storage, "job-1"), cursor, LogFilter(), limit, budget_bytes=60
        )
        seen.extend((line.source.name, line.entry.number) for line in part.lines)
        cursor = Cursor.parse(str(part.cursor))

    for name, count, moment in printed:
        mine = written.setdefault(name, [])
        mine += [Entry(len(mine) + number, moment, "info", "x") for number in range(count)]
        for first in range(0, len(mine), 3):  # chunks of three lines; the last one grows
            lines = b"".join(entry.dump().encode() + b"\n" for entry in mine[first : first + 3])
            storage.files[f"jobs/job-1/logs/1/{name}/{1:013d}-{first:010d}.jsonl"] = lines
        for _ in range(data.draw(st.integers(0, 2))):
            look()
    total = sum(map(len, written.values()))
    for _ in range(4 * total + 4):
        look()
    for name, mine in written.items():
        assert [number for source, number in seen if source == name] == [entry.number for entry in mine]
    assert len(seen) == total


def test_a_cursor_is_what_it_was_written_as():
    far = {
        Source(1, f"rank-{rank}"): Position(1_764_169_234_567 + rank, 10**6 + 7919 * rank, 9_991 * rank % 262_144, True)
        for rank in range(1_000)
    }
    cursor = Cursor(far)
    assert Cursor.parse(str(cursor)) == cursor
    assert len(str(cursor)) < 20_000


# -- following


def test_one_who_comes_back_is_sent_the_rest_and_filters_hold(api, over, job, make_follower):
    over.prints(job, "one", "WARNING two")
    follower = make_follower(api, job)
    follower.tail.look()
    cursor = Cursor.parse(follower.take()[0].id)
    over.prints(job, "one", "WARNING two", "three", "ERROR four")
    again = make_follower(api, job, cursor=cursor, wanted=LogFilter(level="warning"))
    again.tail.look()
    sent = [json.loads(event.raw_data) for event in again.take() if event.event == "log"]
    assert [entry["text"] for update in sent for entry in update["entries"]] == ["ERROR four"]


def test_the_end_of_a_job_is_told_after_the_last_of_its_log(api, over, job, make_follower):
    over.prints(job, "one")
    follower = make_follower(api, job)
    over.finish(job)
    over.reach(job, "succeeded")
    follower.tail.look()
    assert [event.event for event in follower.take()] == ["log", "metrics"]
    over.prints(job, "one", "two", ended=True)
    follower.tail.look()
    assert [event.event for event in follower.take()] == ["log", "job"]
    assert follower.ended


def test_a_storage_that_is_silent_for_a_while_costs_nothing_but_time(api, over, job, make_follower):
    follower = make_follower(api, job)
    follower.tail.look()
    follower.take()
    over.prints(job, "one")
    api.clients.faults.down = {"storage"}
    assert not follower.tail.look()
    api.clients.faults.down = set()
    assert follower.tail.look()
    assert [event.event for event in follower.take()] == ["log"]


def test_a_hundred_who_follow_a_job_look_at_it_through_one(api, over, job):
    over.prints(job, "one")
    clients = fake_clients()
    clients.storage.files.update(api.clients.storage.files)
    tails, made = Tails(), []

    def make():
        tail = Tail(api.sessions, clients, "http://ratchet.test", "default", job)
        made.append(tail)
        return tail

    async def read_on() -> str:
        seen = []
        async with tails.of(job, make) as tail:
            async for event in follow(tail, Cursor(), LogFilter()):
                if event is not None and event.event == "log":
                    seen += [entry["text"] for entry in json.loads(event.raw_data)["entries"]]
                    if seen[-1] == "last":
                        return " ".join(seen)
        raise AssertionError("the stream ended")

    async def run() -> list[str]:
        readers = [asyncio.create_task(read_on()) for _ in range(100)]
        while not made or made[0].followers < 100:  # noqa: ASYNC110
            await asyncio.sleep(0)
        before = clients.faults.calls.count("storage.read")
        clients.storage.files[f"jobs/{job}/logs/1/driver/{1_000:013d}-{0:010d}.jsonl"] += (
            Entry(1, 1, "info", "last").dump().encode() + b"\n"
        )
        found = await asyncio.gather(*readers)
        # Each may have read what was there before it came; what came since was read once for all.
        assert clients.faults.calls.count("storage.read") <= before + 101
        return found

    assert asyncio.run(run()) == ["one last"] * 100
    assert len(made) == 1
    assert tails._tails == {}
