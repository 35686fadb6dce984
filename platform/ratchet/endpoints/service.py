"""What may be done with endpoints. All of it is written here and brought about by the reconciler."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from sqlalchemy import Select, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import new_id, now
from ratchet.endpoints.schemas import NewEndpoint, NewOutcome, NewVariant, Receipt, outcome_value
from ratchet.endpoints.status import Status, change
from ratchet.endpoints.tables import SERVING, Endpoint, Outcome, Serving, Variant
from ratchet.errors import Conflict, FieldError, Invalid, NotFound
from ratchet.reconciler.loop import make_due
from ratchet_pipelines.catalog import suggestion

WEIGHT_TOLERANCE = 1e-6
CHUNK = 300
"""Rows asked for in one statement: SQLite takes a limited number of parameters."""


def make_serving_due(session: Session) -> None:
    """Ask for a look at what is served, now: whoever changes what should be calls this."""
    row = session.get(Serving, SERVING)
    if row is None:
        row = Serving(id=SERVING)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another request made it meanwhile
            row = session.get_one(Serving, SERVING)
    make_due(session, row)


def create(session: Session, project: str, new: NewEndpoint, actor: str) -> Endpoint:
    _check(new.variants)
    if (known := find(session, project, new.name)) is not None:
        state = "is being deleted: create it again when it is gone" if known.deleted_at else "exists already"
        raise Conflict(f"Endpoint {new.name!r} {state}.", hint="PUT changes the variants of an endpoint that exists.")
    endpoint = Endpoint(
        id=new_id("ep"),
        project=project,
        name=new.name,
        status=Status.DEPLOYING.value,
        replicas=new.replicas,
        cpus_per_replica=new.cpus_per_replica,
        salt=_new_salt(),
        generation=1,
        observed_generation=0,
        variants=_rows(new.variants),
        actor=actor,
    )
    session.add(endpoint)
    session.flush()
    _emit(session, endpoint, actor, "endpoint.created", before=None)
    make_serving_due(session)
    return endpoint


def replace_variants(
    session: Session,
    endpoint: Endpoint,
    variants: Sequence[NewVariant],
    actor: str,
    why: str = "",
    replicas: int | None = None,
) -> Endpoint:
    """All variants anew, in this order. Nothing happens when that is what is there already."""
    _check(variants)
    _require_alive(endpoint)
    replicas = endpoint.replicas if replicas is None else replicas
    if (list(variants), replicas) == (asked(endpoint), endpoint.replicas):
        return endpoint
    before = _described(endpoint)
    known = list(endpoint.variants)
    endpoint.variants = []
    session.flush()  # the old rows are gone before new ones of the same names come
    endpoint.variants = _rows(variants, known)
    endpoint.replicas = replicas
    return _changed(session, endpoint, actor, before, why)


def set_weights(
    session: Session, endpoint: Endpoint, weights: Mapping[str, float], actor: str, why: str = ""
) -> Endpoint:
    """New shares of traffic, with nothing restarted; variants that are not named get none."""
    names = [row.name for row in endpoint.variants]
    for name in weights:
        if name not in names:
            near = suggestion(name, names)
            error = FieldError(pointer=f"/{name}", message=f"Variants: {', '.join(names)}.", value=weights[name])
            raise Invalid(f"Endpoint {endpoint.name!r} has no variant {name!r}.{near}", errors=[error])
    variants = [v.model_copy(update={"weight": float(weights.get(v.name, 0.0))}) for v in asked(endpoint)]
    return replace_variants(session, endpoint, variants, actor, why)


def deal_anew(session: Session, endpoint: Endpoint, actor: str, why: str = "") -> Endpoint:
    """A new salt: from the next generation on every caller's variant is drawn again."""
    _require_alive(endpoint)
    before = _described(endpoint)
    endpoint.salt = _new_salt()
    return _changed(session, endpoint, actor, before, why)


def delete(session: Session, endpoint: Endpoint, actor: str) -> Endpoint:
    """Ask that it be served no more; the row goes when Serve has let go of it."""
    if endpoint.deleted_at is None:
        endpoint.deleted_at = now(session)
        change(session, endpoint, Status.DELETING, actor=actor)
        make_serving_due(session)
    return endpoint


def find(session: Session, project: str, name: str) -> Endpoint | None:
    return session.scalar(select(Endpoint).where(Endpoint.project == project, Endpoint.name == name))


def get(session: Session, project: str, name: str) -> Endpoint:
    row = find(session, project, name)
    if row is None:
        names = list(session.scalars(select(Endpoint.name).where(Endpoint.project == project)))
        raise NotFound(
            f"There is no endpoint {name!r} in project {project!r}.{suggestion(name, names)}",
            hint=f"GET /api/v1/projects/{project}/endpoints lists them.",
        )
    return row


def endpoints(project: str, status: str | None = None) -> Select[Endpoint]:
    query = select(Endpoint).where(Endpoint.project == project)
    return query if status is None else query.where(Endpoint.status == status)


def asked(endpoint: Endpoint) -> list[NewVariant]:
    """The variants as they were asked for."""
    return [
        NewVariant(
            name=row.name,
            model=row.model,
            version=None if row.alias else row.version,
            alias=row.alias,
            weight=row.weight,
        )
        for row in endpoint.variants
    ]


def follow_alias(session: Session, endpoint: Endpoint, versions: Mapping[str, int]) -> None:
    """Record what the aliases of variants point to now (by variant name): a change of what should be served."""
    before = _described(endpoint)
    for row in endpoint.variants:
        if row.name in versions:
            row.version, row.state, row.message = versions[row.name], "pending", None
    moved = ", ".join(f"{row.name} → v{row.version}" for row in endpoint.variants if row.name in versions)
    _changed(session, endpoint, events.SYSTEM, before, f"An alias moved: {moved}.")


def record_outcomes(session: Session, endpoint: Endpoint, outcomes: Sequence[NewOutcome]) -> Receipt:
    """Keep what came true. The same value again is counted and changes nothing; another value is refused, all of it."""
    # One writer at a time for an endpoint, so that the same outcome sent twice at once is seen as a duplicate.
    session.execute(select(Endpoint.id).where(Endpoint.id == endpoint.id).with_for_update())
    new: dict[tuple[str, int], tuple[str | None, float | None]] = {}
    differing: list[FieldError] = []
    known = _known(session, endpoint, outcomes)
    duplicates = 0
    for index, outcome in enumerate(outcomes):
        key = (outcome.request_id, outcome.row)
        earlier = known.get(key, new.get(key))
        if earlier is None:
            new[key] = outcome.columns
        elif earlier == outcome.columns:
            duplicates += 1
        else:
            text, number = earlier
            message = f"Row {outcome.row} of request {outcome.request_id} has the outcome {text or number!r} already."
            differing.append(FieldError(pointer=f"/outcomes/{index}/value", message=message, value=outcome.value))
    if differing:
        raise Conflict(
            f"{len(differing)} outcome(s) differ from what was recorded before; nothing was recorded.",
            code="outcome_differs",
            hint="An outcome is recorded once. Leave out those listed and send the rest again.",
            errors=differing[:100],
        )
    if new:
        rows = [
            {"endpoint_id": endpoint.id, "request_id": request, "row": row, "text": text, "number": number}
            for (request, row), (text, number) in new.items()
        ]
        session.execute(Outcome.__table__.insert(), rows)  # type: ignore[attr-defined]
    return Receipt(accepted=len(new), duplicates=duplicates)


def outcomes_of(
    session: Session, endpoint: Endpoint, keys: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], str | float]:
    """What is known to have come true of the rows (request id, index) asked for."""
    found: dict[tuple[str, int], str | float] = {}
    for start in range(0, len(keys), CHUNK):
        part = tuple_(Outcome.request_id, Outcome.row).in_(keys[start : start + CHUNK])
        for row in session.scalars(select(Outcome).where(Outcome.endpoint_id == endpoint.id, part)):
            value = outcome_value(row)
            if value is not None:
                found[row.request_id, row.row] = value
    return found


def _known(
    session: Session, endpoint: Endpoint, outcomes: Sequence[NewOutcome]
) -> dict[tuple[str, int], tuple[str | None, float | None]]:
    """(text, number) of the outcomes recorded before, by request and row."""
    ids = sorted({outcome.request_id for outcome in outcomes})
    known: dict[tuple[str, int], tuple[str | None, float | None]] = {}
    for start in range(0, len(ids), CHUNK):
        query = select(Outcome.request_id, Outcome.row, Outcome.text, Outcome.number).where(
            Outcome.endpoint_id == endpoint.id, Outcome.request_id.in_(ids[start : start + CHUNK])
        )
        known.update({(request, row): (text, number) for request, row, text, number in session.execute(query)})
    return known


def _check(variants: Sequence[NewVariant]) -> None:
    names = [variant.name for variant in variants]
    for index, name in enumerate(names):
        if name in names[:index]:
            error = FieldError(pointer=f"/variants/{index}/name", message="Another variant has this name.", value=name)
            raise Invalid(f"Two variants have the name {name!r}.", errors=[error])
    total = sum(variant.weight for variant in variants)
    if abs(total - 1) > WEIGHT_TOLERANCE:
        error = FieldError(pointer="/variants", message=f"The weights must sum to 1; they sum to {total:g}.")
        shares = ", ".join(f"{variant.name} {variant.weight:g}" for variant in variants)
        raise Invalid(f"The weights sum to {total:g}, not 1 ({shares}).", errors=[error])


def _new_salt() -> str:
    return secrets.token_hex(16)


def _require_alive(endpoint: Endpoint) -> None:
    if endpoint.deleted_at is not None:
        raise Conflict(f"Endpoint {endpoint.name!r} is being deleted.", code="deleting")


def _rows(variants: Sequence[NewVariant], known: Sequence[Variant] = ()) -> list[Variant]:
    """New rows. A variant that was there with the same version or alias keeps what is known of it."""
    rows = []
    for position, new in enumerate(variants):
        row = Variant(name=new.name, position=position, model=new.model, alias=new.alias, weight=new.weight)
        old = next((each for each in known if _same(each, new)), None)
        row.version = old.version if old is not None else new.version
        row.state, row.message = (old.state, old.message) if old is not None else ("pending", None)
        rows.append(row)
    return rows


def _same(row: Variant, new: NewVariant) -> bool:
    same = row.alias == new.alias if new.alias is not None else row.version == new.version
    return same and (row.name, row.model) == (new.name, new.model)


def _changed(session: Session, endpoint: Endpoint, actor: str, before: dict[str, object], why: str) -> Endpoint:
    """What should be served has changed: a new generation, on its way."""
    endpoint.generation += 1
    session.flush()
    _emit(session, endpoint, actor, "endpoint.changed", before=before, message=why)
    serves = endpoint.observed_generation > 0
    change(session, endpoint, Status.UPDATING if serves else Status.DEPLOYING, actor=actor, message=why or None)
    make_serving_due(session)
    return endpoint


def _described(endpoint: Endpoint) -> dict[str, object]:
    return {
        "generation": endpoint.generation,
        "replicas": endpoint.replicas,
        "variants": [
            {"name": row.name, "model": row.model, "version": row.version, "alias": row.alias, "weight": row.weight}
            for row in endpoint.variants
        ],
    }


def _emit(
    session: Session,
    endpoint: Endpoint,
    actor: str,
    action: str,
    before: dict[str, object] | None,
    message: str = "",
) -> None:
    events.emit(
        session,
        project=endpoint.project,
        actor=actor,
        action=action,
        target=("endpoint", endpoint.id),
        before=before,
        after={"name": endpoint.name, **_described(endpoint)},
        message=message,
    )
