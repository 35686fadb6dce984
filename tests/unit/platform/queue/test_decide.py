"""The decision: never over a limit, all or nothing, in order, and nobody waits for ever."""

from __future__ import annotations

import math
import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from ratchet.jobs.status import Reason
from ratchet.queue.amounts import GIB, UNLIMITED, Amount
from ratchet.queue.decide import AGEING_S, Occupying, Rules, Snapshot, Waiting, decide, fewest, rank

PROJECTS = ["a", "b", "c"]
TOTAL = Amount(8, 4, 16 * GIB, 6)


def amount(cpus=1.0, gpus=0.0, memory_gib=0.0, deadline_s=3600.0) -> Amount:
    return Amount(cpus, gpus, memory_gib * GIB, 1, gpus * deadline_s)


def waiting(id="job-1", project="a", priority=0, deadline_s=3600.0, waited_s=0.0, held_s=0.0, **needs) -> Waiting:
    return Waiting(id, project, priority, amount(**needs, deadline_s=deadline_s), deadline_s, waited_s, held_s)


def occupying(id="run-1", project="a", priority=0, ends_in_s=3600.0, ran_s=60.0, waited_s=0.0, **other) -> Occupying:
    flags = {name: other.pop(name, False) for name in ("preemptible", "leaving")}
    return Occupying(id, project, priority, amount(**other), ends_in_s, waited_s, ran_s, **flags)


needs = st.fixed_dictionaries(
    {
        "cpus": st.sampled_from([0.1, 0.5, 1, 2, 5, 9]),
        "gpus": st.sampled_from([0, 0, 1, 3]),
        "memory_gib": st.sampled_from([0, 0, 4, 12]),
    }
)
common = {"project": st.sampled_from(PROJECTS), "priority": st.integers(-3, 3)}
jobs = st.builds(
    lambda need, **rest: {**need, **rest},
    needs,
    **common,
    deadline_s=st.sampled_from([60, 600, 7200]),
    waited_s=st.sampled_from([0, AGEING_S, 5 * AGEING_S]),
    held_s=st.sampled_from([0, 0, 0, 30]),
)
runs = st.builds(
    lambda need, **rest: {**need, **rest},
    needs,
    **common,
    ends_in_s=st.sampled_from([30, 300, 3600]),
    ran_s=st.integers(0, 1000),
    preemptible=st.booleans(),
    leaving=st.sampled_from([False, False, True]),
)
rules = st.builds(
    Rules,
    st.builds(
        Amount,
        st.sampled_from([math.inf, 2, 6]),
        st.sampled_from([math.inf, 1, 3]),
        st.sampled_from([math.inf, 8 * GIB]),
        st.sampled_from([math.inf, 1, 3]),
        st.sampled_from([math.inf, 3600.0, 40_000.0]),
    ),
    st.sampled_from([0.5, 1, 4]),
    st.sampled_from([0, 1800.0]),
)


@st.composite
def snapshots(draw) -> Snapshot:
    held = [occupying(f"run-{i}", **each) for i, each in enumerate(draw(st.lists(runs, max_size=6)))]
    return Snapshot(
        TOTAL,
        [waiting(f"job-{i}", **each) for i, each in enumerate(draw(st.lists(jobs, max_size=12)))],
        held,
        draw(st.dictionaries(st.sampled_from(PROJECTS), rules, max_size=3)),
    )


def started(snapshot: Snapshot) -> list[Waiting]:
    by_id = {job.id: job for job in snapshot.waiting}
    return [by_id[job_id] for job_id in decide(snapshot).starts]


@given(snapshots())
def test_no_start_exceeds_the_cluster_or_a_quota(snapshot):
    starts = started(snapshot)
    taken = [job.demand for job in [*snapshot.occupying, *starts]]
    for which, limit in enumerate(TOTAL[:4]):
        if any(job.demand[which] for job in starts):
            assert sum(each[which] for each in taken) <= limit + 1e-6
    for project in PROJECTS:
        mine = [job.demand for job in starts if job.project == project]
        for which, limit in enumerate(snapshot.rules(project).quota):
            if any(demand[which] for demand in mine):
                assert sum(each[which] for each in [snapshot.held(project), *mine]) <= limit + 1e-6


@given(snapshots())
def test_each_job_is_started_whole_or_told_why_it_waits(snapshot):
    decision = decide(snapshot)
    assert sorted(job.id for job in decision.order) == sorted(job.id for job in snapshot.waiting)
    assert sorted([*decision.starts, *decision.waits]) == sorted(job.id for job in snapshot.waiting)
    assert all(wait.message for wait in decision.waits.values())


@given(snapshots(), st.randoms(use_true_random=False))
def test_the_answer_depends_on_what_is_and_not_on_how_it_is_listed(snapshot, shuffled):
    other = Snapshot(
        snapshot.total,
        shuffled.sample(list(snapshot.waiting), len(snapshot.waiting)),
        shuffled.sample(list(snapshot.occupying), len(snapshot.occupying)),
        snapshot.projects,
    )
    first, second = decide(snapshot), decide(other)
    assert (first.order, first.starts, first.preemptions) == (second.order, second.starts, second.preemptions)
    assert first.waits == second.waits


@given(snapshots())
def test_preempted_is_what_may_be_and_no_more_than_makes_the_room(snapshot):
    decision = decide(snapshot)
    if not decision.preemptions:
        return
    running = {job.id: job for job in snapshot.occupying}
    (head,) = [job for job in snapshot.waiting if job.id in {each.by for each in decision.preemptions}]
    victims = [running[each.victim] for each in decision.preemptions]
    for victim in victims:
        assert victim.preemptible
        assert not victim.leaving
        assert victim.priority < head.priority
        assert rank(victim) < rank(head)
    room = snapshot.free
    for job in started(snapshot):
        room = room.minus(job.demand)
    for job in snapshot.occupying:
        if job.leaving:
            room = room.plus(job.demand)
    assert not head.demand.fits(room)
    for victim in victims:
        room = room.plus(victim.demand)
    assert head.demand.fits(room)
    assert not any(head.demand.fits(room.minus(victim.demand)) for victim in victims)


def first_fit_s(snapshot: Snapshot, head: Waiting, starts: list[Waiting]) -> float:
    """When the head fits at the latest: each job ends by its deadline."""
    room = snapshot.free
    for job in starts:
        room = room.minus(job.demand)
    if head.demand.fits(room):
        return 0
    ends = [(job.ends_in_s, job.demand) for job in snapshot.occupying] + [
        (job.deadline_s, job.demand) for job in starts
    ]
    for at, demand in sorted(ends, key=lambda each: each[0]):
        room = room.plus(demand)
        if head.demand.fits(room):
            return at
    raise AssertionError("an empty cluster holds it")


@given(snapshots())
def test_no_start_puts_off_the_turn_of_the_first_that_waits_for_room(snapshot):
    decision = decide(snapshot)
    able = [job for job in decision.order if not job.held_s and job.demand.fits(snapshot.whole)]
    head = next((job for job in able if decision.waits.get(job.id, (None,))[0] is Reason.WAITING_FOR_ROOM), None)
    if head is None:
        return
    before = [job for job in able[: able.index(head)] if job.id in decision.starts]
    everyone = [job for job in able if job.id in decision.starts]
    assert first_fit_s(snapshot, head, everyone) <= first_fit_s(snapshot, head, before)


def test_a_short_job_goes_beside_a_large_one_that_waits_and_a_long_one_does_not():
    running = [occupying(cpus=6, ends_in_s=600)]
    large = waiting("job-1", cpus=8)
    line = [large, waiting("job-2", cpus=1, deadline_s=7200), waiting("job-3", cpus=1, deadline_s=500)]
    decision = decide(Snapshot(TOTAL, line, running))
    assert decision.starts == ["job-3"]
    assert decision.waits["job-1"] == (
        Reason.WAITING_FOR_ROOM,
        "Needs 8 CPUs at once; 2 of 8 are free.",
    )
    assert decision.waits["job-2"].reason is Reason.WAITING_FOR_TURN


def test_what_is_left_beside_the_one_that_waits_is_given_away_once():
    running = [occupying(cpus=4, ends_in_s=600)]
    long = {"cpus": 2, "deadline_s": 7200}
    line = [waiting("job-1", cpus=6), waiting("job-2", **long), waiting("job-3", **long)]
    assert decide(Snapshot(TOTAL, line, running)).starts == ["job-2"]


def test_the_project_with_the_smaller_share_by_weight_goes_first_and_age_decides_within_it():
    line = [waiting(f"job-{i}", project="a") for i in range(3)] + [
        waiting(f"job-{i}", project="b") for i in range(3, 9)
    ]
    rules = {"b": Rules(weight=2)}
    order = [job.id for job in decide(Snapshot(Amount(8, 0, 0, 99), line, [], rules)).order]
    assert order == ["job-0", "job-3", "job-4", "job-1", "job-5", "job-6", "job-2", "job-7", "job-8"]


def test_shares_are_of_what_a_project_holds_most_of():
    # a holds half of the GPUs, b a quarter of the CPUs: b is poorer, though it holds more CPUs.
    running = [occupying("run-1", project="a", cpus=1, gpus=2), occupying("run-2", project="b", cpus=2)]
    line = [waiting("job-1", project="a"), waiting("job-2", project="b")]
    assert [job.id for job in decide(Snapshot(TOTAL, line, running)).order] == ["job-2", "job-1"]


def test_a_project_at_its_quota_waits_and_holds_nobody_else_up():
    rules = {"a": Rules(UNLIMITED._replace(jobs=1))}
    line = [waiting("job-1", "a"), waiting("job-2", "a"), waiting("job-3", "b")]
    decision = decide(Snapshot(TOTAL, line, [occupying(project="a")], rules))
    assert decision.starts == ["job-3"]
    assert decision.waits["job-1"].message == "Needs 1 job; its project has 1 of its quota of 1."
    assert decision.waits["job-2"].reason is Reason.WAITING_FOR_QUOTA


def test_a_later_job_of_a_project_starts_beside_an_earlier_one_that_waits_for_its_quota_but_not_in_its_place():
    rules = {"a": Rules(UNLIMITED._replace(gpus=2, cpus=4))}
    running = [occupying(project="a", cpus=1, gpus=1)]
    line = [waiting("job-1", cpus=1, gpus=2), waiting("job-2", cpus=1, gpus=1), waiting("job-3", cpus=2)]
    assert decide(Snapshot(TOTAL, line, running, rules)).starts == ["job-3"]


def test_a_month_without_gpu_hours_left_holds_up_gpus_alone():
    rules = {"a": Rules(UNLIMITED._replace(gpu_s=100 * 3600, cpus=4), spent_gpu_s=99 * 3600)}
    line = [waiting("job-1", gpus=1, cpus=4, deadline_s=7200), waiting("job-2", cpus=4)]
    decision = decide(Snapshot(TOTAL, line, [], rules))
    assert decision.starts == ["job-2"]
    assert decision.waits["job-1"].message.startswith(
        "Needs 2 GPU-hours a month; its project has 99 of its quota of 100."
    )


def test_a_back_off_and_a_cluster_that_is_too_small_hold_nobody_up():
    line = [waiting("job-1", held_s=5), waiting("job-2", cpus=9), waiting("job-3")]
    decision = decide(Snapshot(TOTAL, line, []))
    assert decision.starts == ["job-3"]
    assert decision.waits["job-1"].reason is Reason.WAITING_FOR_RETRY
    assert decision.waits["job-2"].message == "Needs 9 CPUs at once; the whole cluster has 8: it must grow first."


def test_while_the_cluster_is_not_seen_nothing_starts():
    decision = decide(Snapshot(TOTAL, [waiting()], [], unseen="Ray is down"))
    assert (decision.starts, decision.waits["job-1"]) == ([], (Reason.WAITING_FOR_CLUSTER, "Ray is down"))


def test_the_youngest_of_the_lowest_priority_makes_room_and_only_when_it_is_enough():
    running = [
        occupying("run-1", cpus=3, priority=1, preemptible=True),
        occupying("run-2", cpus=2, priority=0, ran_s=900, preemptible=True),
        occupying("run-3", cpus=2, priority=0, ran_s=9, preemptible=True),
    ]
    by_priority = {
        cpus: [each.victim for each in decide(Snapshot(TOTAL, [waiting(cpus=cpus, priority=5)], running)).preemptions]
        for cpus in (1, 3, 4, 8)
    }
    assert by_priority == {1: [], 3: ["run-3"], 4: ["run-1"], 8: ["run-3", "run-2", "run-1"]}
    assert decide(Snapshot(TOTAL, [waiting(cpus=3, priority=0)], running)).preemptions == []


def test_nobody_else_is_preempted_while_room_is_being_made():
    running = [occupying("run-1", cpus=4, leaving=True), occupying("run-2", cpus=4, preemptible=True)]
    decision = decide(Snapshot(TOTAL, [waiting(cpus=4, priority=1)], running))
    assert decision.preemptions == []
    assert decision.waits["job-1"].message.endswith("Room is being made for it.")


def test_a_job_that_was_first_by_waiting_is_not_preempted_at_once():
    aged = occupying("run-1", cpus=8, priority=0, waited_s=6 * AGEING_S, preemptible=True)
    assert decide(Snapshot(TOTAL, [waiting(cpus=8, priority=5)], [aged])).preemptions == []


def test_one_whose_room_is_not_needed_after_all_is_left_alone():
    small = occupying("run-1", cpus=1, priority=0)
    others = [occupying(f"run-{i}", cpus=3, priority=i) for i in (2, 3)]
    assert [job.id for job in fewest(amount(5), amount(0), [small, *others])] == ["run-2", "run-3"]


def test_no_candidate_is_taken_when_all_of_them_are_not_enough():
    assert fewest(amount(4), amount(1), [occupying(cpus=1), occupying("run-2", cpus=1)]) == []


# -- nobody waits for ever

arrivals = st.lists(
    st.tuples(st.sampled_from(PROJECTS), st.integers(-2, 2), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 3])),
    min_size=1,
    max_size=5,
)


@given(first=arrivals, stream=arrivals, seed=st.integers(0, 9))
def test_nobody_waits_for_ever_whoever_keeps_coming(first, stream, seed):
    """At every tick new jobs come, of any priority, more than the cluster can start; those of the beginning all start.

    A job is first at the latest when it has waited longer than the priorities are apart, plus what goes before it.
    """
    draw, tick = random.Random(seed), AGEING_S
    waits: dict[str, list] = {}
    alive: dict[str, list] = {}
    numbers = iter(range(10**6))
    limits = defaultdict(Rules, {"a": Rules(UNLIMITED._replace(jobs=2))})

    def come(project, priority, cpus, ticks) -> str:
        job = waiting(f"job-{next(numbers):06d}", project, priority, deadline_s=ticks * tick, cpus=cpus)
        waits[job.id] = [job, 0]
        return job.id

    mine = {come(*each) for each in first}
    longest = 3
    for _ in range(4 + len(first) + longest * (len(mine) + 4) + 8 * len(stream)):
        if not mine & waits.keys():
            return
        for each in draw.choices(stream, k=2):
            come(*each)
        running = [
            occupying(id, job.project, job.priority, left * tick, cpus=job.demand.cpus)
            for id, (job, left) in alive.items()
        ]
        line = [job._replace(waited_s=ticks * tick) for job, ticks in waits.values()]
        for id in decide(Snapshot(Amount(8, 0, 0, 6), line, running, limits)).starts:
            job, _ = waits.pop(id)
            alive[id] = [job, job.deadline_s // tick]
        for entry in waits.values():
            entry[1] += 1
        for entry in alive.values():
            entry[1] -= 1
        for id in [id for id, (_, left) in alive.items() if left <= 0]:
            del alive[id]
    raise AssertionError(f"{sorted(mine & waits.keys())} still wait")
