"""When a queued job will start: the queue played forward. Pure.

Each job that has to end first is taken to last as long as its like did: the median of the past ones of the same
project, kind and recipe that succeeded, or its deadline where there is none. Jobs start in the order of today's
decision, without backfilling, and nobody new comes: so it is an estimate, and it says what it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from ratchet.queue.amounts import NOTHING, Amount
from ratchet.queue.decide import Decision, Snapshot, Waiting

FRONT = -1
"""A job whose back-off is over came earlier than most: it is taken to be the first of its project."""


class Prediction(NamedTuple):
    starts_in_s: float
    by_history: bool
    """Every job that has to end first has a past to go by; else at least one was taken to last to its deadline."""


class _Happening(NamedTuple):
    """A job ends, its back-off does, or the month."""

    at_s: float
    job: str
    project: str
    room: Amount = NOTHING
    """What comes free in the cluster."""
    quota: Amount = NOTHING
    """What comes free of the project's quota."""


class _Future:
    def __init__(self, snapshot: Snapshot, decision: Decision, lasts_s: Mapping[str, float]) -> None:
        self.snapshot, self.lasts_s = snapshot, lasts_s
        self.now_s, self.by_history = 0.0, True
        self.free = snapshot.free
        self.left = {project: rules.quota.minus(snapshot.held(project)) for project, rules in snapshot.projects.items()}
        self.lines: dict[str, list[tuple[int, Waiting]]] = {}
        """The queued jobs of each project: heaps of (place, job)."""
        self.held = {job.id: job for job in decision.order if job.held_s > 0}
        self.coming = [_Happening(job.held_s, job.id, job.project) for job in self.held.values()]
        for project, rules in snapshot.projects.items():
            spent = NOTHING._replace(gpu_s=rules.spent_gpu_s)
            self.coming.append(_Happening(snapshot.month_ends_in_s, "", project, quota=spent))
        for running in snapshot.occupying:
            remaining = lasts_s[running.id] - running.ran_s if running.id in lasts_s else running.ends_in_s
            self._end(running.id, running.project, running.demand, min(max(remaining, 0), running.ends_in_s))
        for place, job in enumerate(decision.order):
            fits = job.demand.fits(snapshot.whole) and job.demand.fits(snapshot.rules(job.project).quota)
            if fits and job.id not in self.held:
                self.lines.setdefault(job.project, []).append((place, job))
        heapify(self.coming)

    def play(self) -> Iterator[tuple[Waiting, Prediction]]:
        """Each job as it starts."""
        while True:
            yield from ((job, Prediction(self.now_s, self.by_history)) for job in self._startable())
            if not self.coming or not (self.lines or self.held):
                return
            self._happen(heappop(self.coming))

    def _startable(self) -> Iterator[Waiting]:
        turns = [(line[0][0], project) for project, line in self.lines.items()]
        heapify(turns)
        while turns:
            _, project = heappop(turns)
            line = self.lines[project]
            job = line[0][1]
            left = self.left.get(project)
            if left is not None and not job.demand.fits(left):
                continue
            if not job.demand.fits(self.free):
                return
            heappop(line)
            if line:
                heappush(turns, (line[0][0], project))
            else:
                del self.lines[project]
            self._start(job)
            yield job

    def _start(self, job: Waiting) -> None:
        self.free = self.free.minus(job.demand)
        if job.project in self.left:
            self.left[job.project] = self.left[job.project].minus(job.demand)
        lasts = min(self.lasts_s.get(job.id, job.deadline_s), job.deadline_s)
        self._end(job.id, job.project, job.demand, lasts)

    def _end(self, job_id: str, project: str, demand: Amount, lasts_s: float) -> None:
        unused = max(demand.gpu_s - demand.gpus * lasts_s, 0)
        happening = _Happening(self.now_s + lasts_s, job_id, project, demand, demand._replace(gpu_s=unused))
        heappush(self.coming, happening)

    def _happen(self, happening: _Happening) -> None:
        self.now_s = max(self.now_s, happening.at_s)
        self.free = self.free.plus(happening.room)
        project = happening.project
        if project in self.left:
            self.left[project] = self.left[project].plus(happening.quota)
        if happening.job in self.held:
            heappush(self.lines.setdefault(project, []), (FRONT, self.held.pop(happening.job)))
        elif happening.job:
            self.by_history = self.by_history and happening.job in self.lasts_s


def predict(snapshot: Snapshot, decision: Decision, lasts_s: Mapping[str, float]) -> dict[str, Prediction]:
    """The start of each queued job, in seconds from now.

    `lasts_s` has how long a job is expected to run, by its id; for one that is not in it the deadline is taken. A job
    that nothing known would ever let start is left out.
    """
    return {job.id: prediction for job, prediction in _Future(snapshot, decision, lasts_s).play()}
