"""Whether a principal may make a call of MLflow's API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.identity.jobtokens import JobClaim
from ratchet.identity.principals import Principal
from ratchet.identity.roles import Role
from ratchet.tracking.owners import (
    PARENT_TAG,
    Owner,
    Owners,
    project_of_experiment,
    project_of_model,
)
from ratchet.tracking.rules import Call, Kind, Rule, Subject

PROJECT_OF = {
    "experiments": project_of_experiment,
    "registered_models": project_of_model,
    "model_versions": project_of_model,
}


@dataclass(frozen=True)
class Refusal:
    """An answer in MLflow's own form, which its clients understand."""

    status: int
    code: str
    message: str


def missing(subject: Subject) -> Refusal:
    """Not 403: whether another tenant's thing exists is nobody's business."""
    return Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"There is no {subject.kind.value} {subject.id[:200]!r}.")


def forbidden(message: str) -> Refusal:
    return Refusal(403, "PERMISSION_DENIED", message)


async def check(principal: Principal, rule: Rule, call: Call, owners: Owners) -> Refusal | None:
    subjects = [subject for find in rule.finders for subject in find(call)]
    if not subjects and rule.finders:
        return Refusal(400, "INVALID_PARAMETER_VALUE", "The request does not say what it is about.")
    refusal = await check_subjects(principal, rule.role, subjects, owners)
    if refusal is not None or principal.job is None or rule.role is Role.VIEWER:
        return refusal
    return await _check_job(principal.job, rule, call, subjects, owners)


async def check_subjects(
    principal: Principal, role: Role, subjects: Sequence[Subject], owners: Owners
) -> Refusal | None:
    for subject in subjects:
        owner = await owners.of(subject)
        if owner is None or (mine := principal.role_in(owner.project)) is None:
            return missing(subject)
        needed = subject.role or role
        # A job's token reads its project and writes its own run: which one that is, `_check_job` says.
        if principal.job is None and not mine.includes(needed):
            return forbidden(f"This needs the role {needed.value!r} in the project {owner.project!r}.")
    return None


async def _check_job(
    claim: JobClaim, rule: Rule, call: Call, subjects: Sequence[Subject], owners: Owners
) -> Refusal | None:
    """What a job changes must be its own run, a child of it, or what belongs to one of them."""
    if not rule.job:
        return forbidden("A job's token does not reach this.")
    own = [subject for subject in subjects if subject.kind is not Kind.EXPERIMENT]
    if not own:  # it makes a run
        parents = [
            tag.get("value") for tag in call.values("tags") if isinstance(tag, dict) and tag.get("key") == PARENT_TAG
        ]
        in_own = call.values("experiment_id") == [claim.experiment_id]
        return (
            None if in_own and parents == [claim.run_id] else forbidden("A job makes child runs of its own run alone.")
        )
    for subject in own:
        owner = await owners.of(subject)
        if owner is None or not _belongs(owner, claim):
            return forbidden(f"The {subject.kind.value} {subject.id[:200]!r} is none of this job's run.")
    return None


def _belongs(owner: Owner, claim: JobClaim) -> bool:
    return owner.run_id != "" and claim.run_id in (owner.run_id, owner.parent_run_id)


def filtered(principal: Principal, rule: Rule, body: bytes) -> bytes:
    """A list's answer with what is the principal's alone."""
    key = rule.filters or ""
    answer: dict[str, Any] = json.loads(body)
    if key in answer:
        answer[key] = [each for each in answer[key] if _visible(principal, key, each)]
    return json.dumps(answer).encode()


def _visible(principal: Principal, key: str, item: Mapping[str, Any]) -> bool:
    return principal.role_in(PROJECT_OF[key](str(item.get("name", "")))) is not None
