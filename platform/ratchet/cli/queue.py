"""`ratchet queue` and `ratchet quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App
from ratchet.cli.context import client

if TYPE_CHECKING:
    from ratchet.sdk.resources import Queue, Quota

GIB = 2**30

quota = App("Quotas: what a project may hold at once, and its weight in the fair share.")


def add_to(app: App) -> None:
    app.add("queue", "ratchet queue", "ratchet queue --all --json", panel="Resources")(queue)
    app.add_typer(quota, name="quota", rich_help_panel="Administer")


def queue(
    everyone: Annotated[bool, typer.Option("--all", help="The jobs of all projects (platform admins).")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="At most this many.")] = 50,
) -> None:
    """Show the queued jobs in the order of their turns: what each waits for, and when it will start."""
    with client() as ratchet:
        found = ratchet.queue.show(limit=limit, all_projects=everyone)
    output.emit(found, lambda: _queue(found))


def _queue(found: Queue) -> None:
    output.table(
        [">PLACE", "ID", "PROJECT", "KIND", ">PRIORITY", "STARTS", "BY", "WAITS FOR"],
        (
            [
                job.position,
                job.id,
                job.project,
                job.kind,
                job.priority,
                job.predicted_start_at or "unknown",
                job.predicted_start_basis,
                job.message,
            ]
            for job in found.items
        ),
        empty="Nothing waits.",
    )
    free, total = found.free, found.total
    output.say(f"Free: {free.cpus:g} of {total.cpus:g} CPUs, {free.gpus:g} of {total.gpus:g} GPUs.")


@quota.add("show", "ratchet quota show", "ratchet quota show --project fraud --json")
def show() -> None:
    """Show a project's limits, and what it holds of them."""
    with client() as ratchet:
        found = ratchet.queue.quota()
    output.emit(found, lambda: _quota(found))


@quota.add("set", "ratchet quota set --project fraud --gpus 8 --gpu-hours 500", "ratchet quota set --weight 2")
def set_quota(
    cpus: Annotated[float | None, typer.Option("--cpus", min=0, help="CPUs held at once.")] = None,
    gpus: Annotated[float | None, typer.Option("--gpus", min=0, help="GPUs held at once.")] = None,
    memory_gib: Annotated[
        float | None, typer.Option("--memory-gib", min=0, help="Memory held at once, in GiB.")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=0, help="Jobs alive at once.")] = None,
    gpu_hours: Annotated[
        float | None, typer.Option("--gpu-hours", min=0, help="GPU-hours in a calendar month.")
    ] = None,
    weight: Annotated[float, typer.Option("--weight", min=0.001, help="Its part in the fair share.")] = 1,
) -> None:
    """Set all limits of a project at once: one that is not given is lifted. Takes a platform admin."""
    memory_bytes = None if memory_gib is None else int(memory_gib * GIB)
    with client() as ratchet:
        found = ratchet.queue.set_quota(
            cpus=cpus, gpus=gpus, memory_bytes=memory_bytes, jobs=jobs, gpu_hours=gpu_hours, weight=weight
        )
    output.emit(found, lambda: _quota(found))


def _quota(found: Quota) -> None:
    used = found.used
    memory = None if found.memory_bytes is None else found.memory_bytes / GIB
    rows = [
        ("CPUs", used.cpus, found.cpus),
        ("GPUs", used.gpus, found.gpus),
        ("memory, GiB", used.memory_bytes / GIB, memory),
        ("jobs", used.jobs, found.jobs),
        ("GPU-hours this month", used.gpu_hours, found.gpu_hours),
    ]
    output.table(
        ["OF", ">USED", ">LIMIT"],
        ([name, f"{value:.4g}", "none" if limit is None else f"{limit:g}"] for name, value, limit in rows),
        empty="",
    )
    output.say(f"Weight in the fair share: {found.weight:g}.")
