"""What the platform adds to the start of a job: from its submission until Ray has noted it, through the platform and
past it, in turns.

    python -m benchmarks.added_latency [--rounds 20]

    platform   by the SDK: POST /api/v1/projects/default/jobs with a program that ends at once. Checked, written down,
               queued, decided, claimed, with an MLflow run opened for it, and given to Ray
    plain      by `ray.job_submission.JobSubmissionClient`: the very entrypoint and environment that Ray was
               given by the platform

The clock starts before the call that submits, with both clients connected, and stops at the moment that Ray itself
notes. One of each is run beforehand and not counted. `submit_to_first_step` goes on to what the job itself then does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.submit_to_first_step import connect, stack, until

from ratchet.sdk import Client

WANTED_MS = 200.0


def platform(client: Client, ray: Any, code: dict[str, str]) -> tuple[float, Any]:
    """Milliseconds, and the job as Ray has it."""
    spec = {"kind": "custom", "code": code, "entrypoint": ["true"]}
    clock = time.time()
    ended = client.jobs.wait(client.jobs.submit(spec), timeout=60)
    noted = ray.get_job_info(ended.attempts[0].submission_id)
    return noted.start_time - clock * 1000, noted


def plain(ray: Any, pattern: Any, number: int) -> float:
    clock = time.time()
    name = ray.submit_job(
        entrypoint=pattern.entrypoint,
        submission_id=f"plain-{time.time_ns()}-{number}",
        runtime_env=pattern.runtime_env,
        entrypoint_num_cpus=0,
    )
    until(lambda: status.value if (status := ray.get_job_status(name)).is_terminal() else None)
    started: float = ray.get_job_info(name).start_time
    return started - clock * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with stack() as state, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.txt").write_text("nothing")
        client, ray = connect(state, Path(state.home) / "token", Path(state.home) / "ray.token")
        taken: dict[str, list[float]] = {"platform": [], "plain": []}
        with client:
            code = {"kind": "archive", "digest": client.bundles.upload(folder).digest}
            for number in range(rounds + 1):
                through, pattern = platform(client, ray, code)
                past = plain(ray, pattern, number)
                print(f"round {number:2}  platform {through:6.0f} ms   plain {past:6.0f} ms", flush=True)
                if number:
                    taken["platform"].append(through)
                    taken["plain"].append(past)
    p50 = {way: statistics.median(each) for way, each in taken.items()}
    added = p50["platform"] - p50["plain"]
    verdict = "met" if added <= WANTED_MS else "MISSED"
    print(
        f"until Ray has it, median of {rounds}: platform {p50['platform']:.0f} ms, plain {p50['plain']:.0f} ms; "
        f"added {added:.0f} ms, wanted at most {WANTED_MS:.0f}: {verdict}"
    )
    raise SystemExit(added > WANTED_MS)


if __name__ == "__main__":
    main()
