"""An API in a process of its own, killed while it takes jobs: who sends a request again finds it done, once."""

from __future__ import annotations

import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select
from tests.chaos.restarts import JOBS, SPEC, TOKEN, api, end, until
from tests.integration.private_ray import free_ports

from ratchet import db
from ratchet.jobs.tables import Job

pytestmark = pytest.mark.slow
KILLS, AT_ONCE = 3, 4
READY_WITHIN_S = 5.0


def test_an_api_that_is_killed_is_soon_back_and_has_each_job_once(database: str, tmp_path: Path) -> None:
    rng, url = random.Random(1), f"http://127.0.0.1:{free_ports(1)[0]}"
    acknowledged, unanswered, ready_s = dict[str, str](), set[str](), list[float]()

    def submit(http: httpx2.Client, key: str) -> str:
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
        return str(http.post(JOBS, json=SPEC, headers=headers).raise_for_status().json()["id"])

    def until_it_is_gone(caller: int) -> None:
        with httpx2.Client(base_url=url, timeout=10) as http:
            for number in itertools.count():
                key = f"{caller}-{number}"
                try:
                    acknowledged[key] = submit(http, key)
                except httpx2.TransportError:
                    unanswered.add(key)
                    return

    def answers() -> bool:
        try:
            return httpx2.get(f"{url}/readyz", timeout=1).status_code == 200
        except httpx2.TransportError:
            return False

    for kill in range(KILLS):
        started = time.monotonic()
        process = api(tmp_path, url, database)
        try:
            until(answers, 60)
            ready_s.append(time.monotonic() - started)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                callers = [pool.submit(until_it_is_gone, kill * AT_ONCE + number) for number in range(AT_ONCE)]
                time.sleep(rng.uniform(0.5, 1.5))
                process.kill()
            for caller in callers:
                caller.result()
        finally:
            end(process)
    process = api(tmp_path, url, database)
    try:
        until(answers, 60)
        with httpx2.Client(base_url=url, timeout=10) as http:
            for key, job_id in acknowledged.items():
                assert submit(http, key) == job_id
            acknowledged |= {key: submit(http, key) for key in unanswered}
    finally:
        end(process)
    engine = db.open_engine(database)
    with db.session_factory(engine)() as session:
        assert sorted(session.scalars(select(Job.id))) == sorted(acknowledged.values())
    engine.dispose()
    print(f"{len(acknowledged)} jobs, {len(unanswered)} unanswered; ready after {max(ready_s):.1f} s at most")
    assert max(ready_s) <= READY_WITHIN_S
