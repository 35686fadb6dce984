"""Who starts now, who is asked to make room, why each of the others waits. Pure: the same snapshot, the same answer.

Order      By rank: the priority, and one more for every `AGEING_S` that a job has waited, so that whatever waits is
           first in the end. Within a rank the project goes first that holds the smallest share of what it holds most
           of, divided by its weight (weighted dominant resource fairness, Ghodsi et al. 2011); within a project, age.
Gang       A job gets all it asks for, or nothing.
Head       The first job that the cluster has no room for is promised the moment at which, by the deadlines of all that
           run, there will be room. Another may start before it only if it ends by then, or if there is room for both
           (EASY backfilling, Lifka 1995): so no start ever puts that moment off.
Quota      The first job of a project that waits for the project's quota holds what it needs of it: a later one of the
           project starts only beside it. Other projects are not held up.
Preemption For the head alone: of the jobs that may be preempted, have a lower priority and a lower rank, the fewest and
           youngest that make enough room. None when all of them together would not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import groupby
from typing import NamedTuple

from ratchet.jobs.status import Reason
from ratchet.queue.amounts import NOTHING, UNITS, UNLIMITED, Amount, number, said

AGEING_S = 1800
"""A waiting job gains one point of priority in this time: over 100 points no priority keeps it back."""


class Waiting(NamedTuple):
    """A queued job."""

    id: str
    project: str
    priority: int
    demand: Amount
    deadline_s: float
    """It ends at the latest so long after its start."""
    waited_s: float = 0
    """In the queue, over all its attempts."""
    held_s: float = 0
    """It may not start before: the back-off after a lost attempt."""


class Occupying(NamedTuple):
    """A job that holds room."""

    id: str
    project: str
    priority: int
    demand: Amount
    ends_in_s: float
    """By then it has ended: its deadline."""
    waited_s: float = 0
    """In the queue, before its start."""
    ran_s: float = 0
    preemptible: bool = False
    """It runs, and may be preempted."""
    leaving: bool = False
    """It was asked to end."""


class Rules(NamedTuple):
    """Of one project."""

    quota: Amount = UNLIMITED
    weight: float = 1
    spent_gpu_s: float = 0
    """This month, by attempts that have ended."""


@dataclass(frozen=True)
class Snapshot:
    """The queue and all that it is decided by."""

    total: Amount
    """What the whole cluster has; `jobs` is how many may be alive at once."""
    waiting: Sequence[Waiting]
    occupying: Sequence[Occupying]
    projects: Mapping[str, Rules] = field(default_factory=dict)
    """Those without limits and of weight 1 may be left out."""
    unseen: str | None = None
    """Why the cluster can't be seen; while it can't, nothing starts."""
    month_ends_in_s: float = 0

    def rules(self, project: str) -> Rules:
        return self.projects.get(project, DEFAULT_RULES)

    def held(self, project: str) -> Amount:
        """What the project holds, and what it has spent of the month."""
        total = NOTHING._replace(gpu_s=self.rules(project).spent_gpu_s)
        for job in self.occupying:
            if job.project == project:
                total = total.plus(job.demand)
        return total

    @property
    def whole(self) -> Amount:
        """What the cluster has: the month is a matter of the quotas."""
        return self.total._replace(gpu_s=UNLIMITED.gpu_s)

    @property
    def free(self) -> Amount:
        room = self.whole
        for job in self.occupying:
            room = room.minus(job.demand)
        return room


DEFAULT_RULES = Rules()


class Wait(NamedTuple):
    reason: Reason
    message: str


class Preemption(NamedTuple):
    victim: str
    by: str
    """The job that goes first."""


@dataclass
class Decision:
    order: list[Waiting]
    """Everything queued, in the order of its turn; at the end what waits for something else than its turn."""
    starts: list[str] = field(default_factory=list)
    preemptions: list[Preemption] = field(default_factory=list)
    waits: dict[str, Wait] = field(default_factory=dict)


TURN = Wait(
    Reason.WAITING_FOR_TURN,
    "Others go first: jobs of a higher priority, of a project with a smaller share, or that came earlier.",
)
BEHIND_QUOTA = Wait(Reason.WAITING_FOR_QUOTA, "Jobs of its project that go first wait for the project's quota.")
RETRY = Wait(Reason.WAITING_FOR_RETRY, "An attempt was lost; the next waits out its back-off.")


def rank(job: Waiting | Occupying) -> int:
    return job.priority + int(job.waited_s // AGEING_S)


def decide(snapshot: Snapshot) -> Decision:
    line, aside = _line(snapshot)
    decision = Decision(line + [job for job, _ in aside])
    if snapshot.unseen is not None:
        wait = Wait(Reason.WAITING_FOR_CLUSTER, snapshot.unseen)
        decision.waits = {job.id: wait for job in decision.order}
        return decision
    decision.waits = {job.id: wait for job, wait in aside}
    _Pass(snapshot, decision).take(line)
    return decision


class _Pass:
    """One way along the line."""

    def __init__(self, snapshot: Snapshot, decision: Decision) -> None:
        self.snapshot, self.decision = snapshot, decision
        self.free = snapshot.free
        self.left: dict[str, Amount] = {}
        """Of the quota of each project that has one."""
        self.waits_for_quota: set[str] = set()
        self.ends = [(job.ends_in_s, job.demand) for job in snapshot.occupying]
        self.head: Waiting | None = None
        self.promised_in_s = 0.0
        self.beside = NOTHING
        """What will be free beside the head when its turn has come."""

    def take(self, line: Sequence[Waiting]) -> None:
        limited = {project: rules for project, rules in self.snapshot.projects.items() if rules.quota != UNLIMITED}
        self.left = {project: rules.quota.minus(self.snapshot.held(project)) for project, rules in limited.items()}
        waits = self.decision.waits
        for job in line:
            left = self.left.get(job.project)
            if left is not None and not job.demand.fits(left):
                waits[job.id] = self._for_quota(job, limited[job.project].quota, left)
            elif self.head is None:
                if job.demand.fits(self.free):
                    self._start(job)
                else:
                    waits[job.id] = self._promise(job)
            elif not job.demand.fits(self.free):
                waits[job.id] = TURN
            elif job.deadline_s <= self.promised_in_s:
                self._start(job)
            elif job.demand.fits(self.beside):
                self.beside = self.beside.minus(job.demand)
                self._start(job)
            else:
                waits[job.id] = TURN

    def _start(self, job: Waiting) -> None:
        self.decision.starts.append(job.id)
        self.free = self.free.minus(job.demand)
        self.ends.append((job.deadline_s, job.demand))
        self._hold(job.project, job.demand)

    def _hold(self, project: str, demand: Amount) -> None:
        if project in self.left:
            self.left[project] = self.left[project].minus(demand)

    def _for_quota(self, job: Waiting, quota: Amount, left: Amount) -> Wait:
        if not job.demand.fits(quota):
            which = job.demand.lacking(quota)
            message = f"Needs {said(job.demand, which)}; the quota of its project is {number(quota, which)}."
            return Wait(Reason.WAITING_FOR_QUOTA, message)
        if job.project in self.waits_for_quota:
            return BEHIND_QUOTA
        self.waits_for_quota.add(job.project)
        which = job.demand.lacking(left)
        month = UNITS[which].endswith("month")
        # Until the month turns it holds up what needs GPUs, but not what needs none.
        self._hold(job.project, NOTHING._replace(gpu_s=job.demand.gpu_s) if month else job.demand)
        held = number(quota.minus(left), which)
        message = f"Needs {said(job.demand, which)}; its project has {held} of its quota of {number(quota, which)}."
        if month:
            message += " Running jobs count with their GPUs for their whole deadline, as this one does."
        return Wait(Reason.WAITING_FOR_QUOTA, message)

    def _promise(self, job: Waiting) -> Wait:
        """Make it the head: its turn comes when enough of what runs has ended."""
        self.head = job
        self._hold(job.project, job.demand)
        room = self.free
        for ends_in_s, demand in sorted(self.ends, key=lambda each: each[0]):
            if job.demand.fits(room) and ends_in_s > self.promised_in_s:
                break
            room, self.promised_in_s = room.plus(demand), ends_in_s
        self.beside = room.minus(job.demand)
        return Wait(Reason.WAITING_FOR_ROOM, self._wanted(job) + self._make_room(job))

    def _wanted(self, job: Waiting) -> str:
        which = job.demand.lacking(self.free)
        total = self.snapshot.whole
        if which == Amount._fields.index("jobs"):
            return f"{said(total.minus(self.free), which)} on the cluster, and at most {number(total, which)} may be."
        return (
            f"Needs {said(job.demand, which)} at once; {number(self.free, which)} of {number(total, which)} are free."
        )

    def _make_room(self, job: Waiting) -> str:
        room = self.free
        for each in self.snapshot.occupying:
            if each.leaving:
                room = room.plus(each.demand)
        if job.demand.fits(room):
            return " Room is being made for it."
        mine = rank(job)
        lower = [
            each
            for each in self.snapshot.occupying
            if each.preemptible and not each.leaving and each.priority < job.priority and rank(each) < mine
        ]
        victims = fewest(job.demand, room, lower)
        self.decision.preemptions = [Preemption(victim.id, job.id) for victim in victims]
        return f" {len(victims)} job(s) of a lower priority are asked to make room." if victims else ""


def fewest(demand: Amount, room: Amount, candidates: Sequence[Occupying]) -> list[Occupying]:
    """The jobs to stop, so that the demand fits: one if one is enough, none of them needless; none when all are not.

    Of the lowest priority first, then the youngest: it loses least.
    """
    candidates = sorted(candidates, key=lambda job: (job.priority, job.ran_s, job.id))
    alone = next((job for job in candidates if demand.fits(room.plus(job.demand))), None)
    if alone is not None:
        return [alone]
    taken: list[Occupying] = []
    for job in candidates:
        if demand.fits(room):
            break
        taken.append(job)
        room = room.plus(job.demand)
    if not demand.fits(room):
        return []
    for job in reversed(taken[:]):
        if demand.fits(room.minus(job.demand)):
            taken.remove(job)
            room = room.minus(job.demand)
    return taken


def _line(snapshot: Snapshot) -> tuple[list[Waiting], list[tuple[Waiting, Wait]]]:
    """The jobs whose turn will come, in order; and those that wait for something else, with what."""
    total = snapshot.whole
    ready: list[tuple[int, str, Waiting]] = []
    aside: list[tuple[Waiting, Wait]] = []
    for job in snapshot.waiting:
        if job.held_s > 0:
            aside.append((job, RETRY))
        elif not job.demand.fits(total):
            aside.append((job, _too_large(job, total)))
        else:
            ready.append((-job.priority - int(job.waited_s // AGEING_S), job.id, job))
    ready.sort()
    aside.sort(key=lambda each: (-rank(each[0]), each[0].id))
    return _fair(snapshot, ready), aside


def _too_large(job: Waiting, total: Amount) -> Wait:
    which = job.demand.lacking(total)
    message = (
        f"Needs {said(job.demand, which)} at once; the whole cluster has {number(total, which)}: it must grow first."
    )
    return Wait(Reason.WAITING_FOR_ROOM, message)


def _fair(snapshot: Snapshot, ready: list[tuple[int, str, Waiting]]) -> list[Waiting]:
    """Rank by rank: always the next job of the project with the smallest share, as if those before it had started."""
    shares = _Shares(snapshot)
    line: list[Waiting] = []
    for _, group in groupby(ready, key=lambda each: each[0]):
        jobs: dict[str, list[Waiting]] = {}
        for _, _, job in group:
            jobs.setdefault(job.project, []).append(job)
        turns = [(shares.of(project), queue[0].id, project, 0) for project, queue in jobs.items()]
        heapify(turns)
        while turns:
            _, _, project, at = turns[0]
            queue = jobs[project]
            job = queue[at]
            line.append(job)
            share = shares.add(project, job.demand)
            if at + 1 < len(queue):
                heapreplace(turns, (share, queue[at + 1].id, project, at + 1))
            else:
                heappop(turns)
    return line


class _Shares:
    """What each project holds, as a part of the cluster."""

    def __init__(self, snapshot: Snapshot) -> None:
        total = snapshot.total
        self.per = tuple(1 / each if each > 0 else 0.0 for each in (total.cpus, total.gpus, total.memory_bytes))
        self.weights = {project: rules.weight for project, rules in snapshot.projects.items()}
        self.parts: dict[str, tuple[float, float, float]] = {}
        for job in snapshot.occupying:
            self.add(job.project, job.demand)

    def of(self, project: str) -> float:
        """The largest of its shares of CPUs, GPUs and memory, divided by its weight."""
        return max(self.parts.get(project, (0.0, 0.0, 0.0))) / self.weights.get(project, 1)

    def add(self, project: str, demand: Amount) -> float:
        cpus, gpus, memory = self.parts.get(project, (0.0, 0.0, 0.0))
        per = self.per
        cpus, gpus, memory = cpus + demand[0] * per[0], gpus + demand[1] * per[1], memory + demand[2] * per[2]
        self.parts[project] = (cpus, gpus, memory)
        share = cpus if cpus > gpus else gpus
        return (share if share > memory else memory) / self.weights.get(project, 1)
