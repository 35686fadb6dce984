"""What a spec must be beyond its types: a recipe that exists, parameters it knows, workers the cluster can hold."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ratchet.errors import FieldError, Invalid, field_errors
from ratchet.jobs.tables import Cluster
from ratchet_pipelines import catalog
from ratchet_pipelines.spec import MAX_SPEC_BYTES, BatchPrediction, Choice, Custom, JobSpec, Sweep, Train, Uniform

GANGS = Train | Sweep | BatchPrediction | Custom
"""The kinds that take `resources`."""
SAMPLED_WHOLE = "A parameter of whole numbers has no values between: list them with kind 'choice'."


def check(spec: JobSpec, cluster: Cluster | None) -> None:
    """Raises `Invalid`, which names each field that is wrong and what to do."""
    size = len(spec.model_dump_json().encode())
    if size > MAX_SPEC_BYTES:
        raise Invalid(
            f"The spec has {size:,} bytes; at most {MAX_SPEC_BYTES:,} are taken.",
            code="spec_too_large",
            hint="Put large values into a file and give its URI.",
        )
    if isinstance(spec, Train | Sweep):
        _check_recipe(spec)
    if cluster is not None and cluster.last_seen_at is not None:
        _check_room(spec, cluster)


def demand(spec: JobSpec) -> tuple[float, float]:
    """(CPUs, GPUs) that a job holds at once. An evaluation or a drift check is one process."""
    match spec:
        case Train() | BatchPrediction() | Custom():
            return spec.resources.cpus, spec.resources.gpus
        case Sweep():
            return spec.resources.cpus * spec.concurrent_trials, spec.resources.gpus * spec.concurrent_trials
        case _:
            return 1, 0


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


def _check_room(spec: JobSpec, cluster: Cluster) -> None:
    cpus, gpus = demand(spec)
    resources = spec.resources
    short = [
        (each, unit, wanted, there)
        for each, unit, wanted, there in (
            (resources.cpus_per_worker, "CPU", cpus, cluster.cpus),
            (resources.gpus_per_worker, "GPU", gpus, cluster.gpus),
        )
        if wanted > there
    ]
    if not short:
        return
    each, unit, wanted, there = short[0]
    most = int(there // each) if each else 0
    trials = spec.concurrent_trials if isinstance(spec, Sweep) else 1
    who = f"{resources.workers} worker(s) of {each:g} {unit}(s)" if isinstance(spec, GANGS) else "It"
    if trials > 1:
        who = f"{trials} trials at once with {who}"
    if most < 1:
        pointer = f"/resources/{unit.lower()}s_per_worker"
        remedy = f"The cluster has no room for one such worker: ask for less per worker or add nodes with {unit}s."
    elif trials > 1 and resources.workers <= most:
        pointer = "/max_concurrent"
        remedy = f"Set max_concurrent to at most {most // resources.workers}, or add nodes."
    else:
        pointer = "/resources/workers"
        remedy = f"Set resources.workers to at most {most}, or add nodes."
    message = f"{who} need {wanted:g} {unit}s at once; the whole cluster has {there:g}."
    field = FieldError(pointer=pointer, message=message, value=resources.workers)
    raise Invalid(message, code="too_large_for_cluster", errors=[field], hint=remedy)
