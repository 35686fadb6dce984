"""What a spec must be beyond its types: a recipe that exists, parameters it knows, workers the cluster can hold."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ratchet.errors import FieldError, Invalid, field_errors
from ratchet.queue.amounts import EPSILON, UNITS, UNLIMITED, Amount, number, said
from ratchet_pipelines import catalog
from ratchet_pipelines.spec import MAX_SPEC_BYTES, BatchPrediction, Choice, Custom, JobSpec, Sweep, Train, Uniform

GANGS = Train | Sweep | BatchPrediction | Custom
"""The kinds that take `resources`."""
PER_WORKER = ("cpus_per_worker", "gpus_per_worker", "memory_gib_per_worker")
"""The fields of `resources` that the first of an `Amount` come from."""
MONTH = Amount._fields.index("gpu_s")
SAMPLED_WHOLE = "A parameter of whole numbers has no values between: list them with kind 'choice'."


def check(spec: JobSpec, room: Amount = UNLIMITED, quota: Amount = UNLIMITED) -> None:
    """Raises `Invalid`, which names each field that is wrong and what to do. `room` is the whole cluster's."""
    size = len(spec.model_dump_json().encode())
    if size > MAX_SPEC_BYTES:
        raise Invalid(
            f"The spec has {size:,} bytes; at most {MAX_SPEC_BYTES:,} are taken.",
            code="spec_too_large",
            hint="Put large values into a file and give its URI.",
        )
    if isinstance(spec, Train | Sweep):
        _check_recipe(spec)
    whose = "the whole cluster has"
    _check_fits(spec, room, whose=whose, code="too_large_for_cluster", otherwise="add nodes")
    whose = "the quota of the project is"
    _check_fits(spec, quota, whose=whose, code="exceeds_quota", otherwise="have the quota raised")


def demand(spec: JobSpec) -> Amount:
    """What a job holds at once. An evaluation or a drift check is one process."""
    resources = spec.resources
    match spec:
        case Train() | BatchPrediction() | Custom():
            cpus, gpus, memory_bytes = resources.cpus, resources.gpus, resources.memory_bytes
        case Sweep():
            trials = spec.concurrent_trials
            cpus, gpus, memory_bytes = resources.cpus * trials, resources.gpus * trials, resources.memory_bytes * trials
        case _:
            cpus, gpus, memory_bytes = 1, 0, 0
    return Amount(cpus, gpus, memory_bytes, 1, gpus * spec.deadline_s)


def resolved_params(spec: JobSpec) -> dict[str, Any]:
    """The parameters with the recipe's defaults; for a sweep those that all trials share."""
    if not isinstance(spec, Train | Sweep):
        return {}
    return catalog.parse_params(catalog.find(spec.recipe), spec.params).model_dump(mode="json")


def _check_recipe(spec: Train | Sweep) -> None:
    try:
        recipe = catalog.find(spec.recipe)
    except LookupError as error:
        field = FieldError(pointer="/recipe", message=str(error), value=spec.recipe)
        raise Invalid(str(error), code="unknown_recipe", errors=[field]) from error
    errors = _param_errors(recipe, spec.params, ["params"])
    if isinstance(spec, Sweep):
        for name, space in spec.search.items():
            errors += _search_errors(recipe, spec, name, space)
    if errors:
        where = ", ".join(error.pointer for error in errors[:3])
        known = ", ".join(recipe.params.model_fields)
        raise Invalid(
            f"{len(errors)} parameter(s) of the recipe {recipe.name!r} are not valid: {where}.",
            code="invalid_params",
            errors=errors,
            hint=f"{recipe.name!r} takes: {known}.",
        )


def _param_errors(recipe: catalog.Recipe, params: dict[str, Any], prefix: list[str | int]) -> list[FieldError]:
    try:
        catalog.parse_params(recipe, params)
    except ValidationError as error:
        found = field_errors(error, prefix)
        for item, raw in zip(found, error.errors(), strict=True):
            if raw["type"] == "extra_forbidden":
                item.message = _unknown(recipe, str(raw["loc"][-1]))
        return found
    return []


def _search_errors(recipe: catalog.Recipe, spec: Sweep, name: str, space: Uniform | Choice) -> list[FieldError]:
    pointer = "/search/" + name.replace("~", "~0").replace("/", "~1")
    if name not in recipe.params.model_fields:
        return [FieldError(pointer=pointer, message=_unknown(recipe, name), value=name)]
    if name in spec.params:
        return [
            FieldError(pointer=pointer, message=f"{name!r} is also given in params: remove it from one of the two.")
        ]
    if isinstance(space, Choice):
        values = [(f"{pointer}/values/{i}", value) for i, value in enumerate(space.values)]
    elif recipe.params.model_fields[name].annotation is int:
        return [FieldError(pointer=pointer, message=SAMPLED_WHOLE)]
    else:
        values = [(f"{pointer}/low", space.low), (f"{pointer}/high", space.high)]
    errors = []
    for where, value in values:
        for error in _param_errors(recipe, {name: value}, []):
            errors.append(FieldError(pointer=where, message=error.message, value=error.value))
    return errors


def _unknown(recipe: catalog.Recipe, name: str) -> str:
    known = list(recipe.params.model_fields)
    return f"The recipe {recipe.name!r} has no parameter {name!r}.{catalog.suggestion(name, known)}"


def _check_fits(spec: JobSpec, room: Amount, *, whose: str, code: str, otherwise: str) -> None:
    """A job that could never start is refused: it would wait for ever. `whose` room it is, and how else to get more."""
    need = demand(spec)
    if need.fits(room):
        return
    which = need.lacking(room)
    pointer, value, remedy = _remedy(spec, need, room, which)
    message = (
        f"{_who(spec, which)} {said(need, which)}{' at once' if which < MONTH else ''}; {whose} {number(room, which)}."
    )
    field = FieldError(pointer=pointer, message=message, value=value)
    raise Invalid(message, code=code, errors=[field], hint=f"{remedy}, or {otherwise}.")


def _who(spec: JobSpec, which: int) -> str:
    if which >= len(PER_WORKER) or not isinstance(spec, GANGS):
        return "It needs"
    each = getattr(spec.resources, PER_WORKER[which])
    workers = f"{spec.resources.workers} worker(s) of {each:g} {UNITS[which]}"
    trials = spec.concurrent_trials if isinstance(spec, Sweep) else 1
    return f"{trials} trials at once with {workers} need" if trials > 1 else f"{workers} need"


def _remedy(spec: JobSpec, need: Amount, room: Amount, which: int) -> tuple[str, Any, str]:
    """The field to change, its value, and what to make of it."""
    if which == MONTH:
        most = int(room.gpu_s // need.gpus)
        return "/deadline_s", spec.deadline_s, f"Set deadline_s to at most {most}"
    if which >= len(PER_WORKER):
        return "", None, "Submit it to another project"
    resources = spec.resources
    trials = spec.concurrent_trials if isinstance(spec, Sweep) else 1
    worker = Amount(*[each / resources.workers / trials for each in need])
    most = int((room[which] + EPSILON) // worker[which])
    if most < 1:
        name = PER_WORKER[which]
        remedy = f"There is no room for one worker with {said(worker, which)}: ask for less per worker"
        return f"/resources/{name}", getattr(resources, name), remedy
    if trials > 1 and resources.workers <= most:
        return "/max_concurrent", trials, f"Set max_concurrent to at most {most // resources.workers}"
    return "/resources/workers", resources.workers, f"Set resources.workers to at most {most}"
