"""What may be done with a registered model's aliases. All of it is asked for here and done by the reconciler."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import new_id
from ratchet.errors import Conflict, FieldError, NotFound
from ratchet.models.schemas import CHAMPION, Gate, Kind
from ratchet.models.status import Status
from ratchet.models.tables import AliasMove, Promotion
from ratchet.reconciler.loop import make_due


def registered_name(project: str, model: str) -> str:
    """The model's name in MLflow, which all projects share."""
    return f"{project}.{model}"


def request_promotion(
    session: Session, project: str, model: str, version: int, alias: str, gate: Gate, actor: str, move: bool = True
) -> Promotion:
    """Ask that an alias move to a version if it passes the gate; without `move`, that the gate alone be evaluated."""
    data = gate.model_dump(mode="json")
    return _ask(session, project, model, version, alias, actor, kind=Kind.GATE, gate=data, move=move)


def promote_passed(session: Session, promotion: Promotion, actor: str, evidence: dict[str, Any]) -> Promotion:
    """Move the alias of a promotion whose gate has passed and that did not ask for the move; once, however often asked.

    `evidence` is what was found since, such as an A/B verdict; it is kept beside the gate's. The move is done when
    `moved_at` is set; it has failed when the status is `failed`.
    """
    if promotion.status != Status.PASSED:
        raise Conflict(
            f"Promotion {promotion.id} is {promotion.status}: its gate has not passed.",
            hint="An alias moves only to a version that has passed its gate.",
        )
    if promotion.move:
        return promotion
    promotion.move = True
    promotion.evidence = {**promotion.evidence, **evidence}
    _emit(session, promotion, actor, "promotion.move_requested", before={"move": False})
    make_due(session, promotion)
    return promotion


def set_alias(session: Session, project: str, model: str, alias: str, version: int, actor: str) -> Promotion:
    """Point an alias other than `champion` to a version, without a gate."""
    if alias == CHAMPION:
        raise Conflict(
            f"The alias {CHAMPION!r} moves only to a version that passes its gate.",
            code="gate_required",
            hint=f"POST /api/v1/projects/{project}/models/{model}/promotions with a gate.",
            errors=[FieldError(pointer="/alias", message="This alias can't be set directly.", value=alias)],
        )
    return _ask(session, project, model, version, alias, actor, kind=Kind.DIRECT, move=True)


def record_alias_move(
    session: Session,
    *,
    project: str,
    model: str,
    alias: str,
    from_version: int | None,
    to_version: int,
    actor: str,
    evidence: dict[str, Any],
    promotion_id: str | None = None,
) -> None:
    """Write down a move that was made in MLflow, in the transaction of whoever made it."""
    move = AliasMove(
        project=project,
        model=model,
        alias=alias,
        from_version=from_version,
        to_version=to_version,
        actor=actor,
        evidence=evidence,
        promotion_id=promotion_id,
    )
    session.add(move)
    events.emit(
        session,
        project=project,
        actor=actor,
        action="alias.moved",
        target=("model", model),
        before={"alias": alias, "version": from_version},
        after={"alias": alias, "version": to_version, "promotion": promotion_id},
        message=f"{alias} of {model}: {_version(from_version)} → {_version(to_version)}",
    )


def get_promotion(session: Session, project: str, model: str, promotion_id: str) -> Promotion:
    row = session.get(Promotion, promotion_id)
    if row is None or (row.project, row.model) != (project, model):
        raise NotFound(f"There is no promotion {promotion_id!r} of model {model!r}.")
    return row


def promotions(project: str, model: str, status: str | None = None) -> Select[Promotion]:
    """Every promotion of a model but those that only set an alias directly."""
    query = select(Promotion).where(
        Promotion.project == project, Promotion.model == model, Promotion.kind != Kind.DIRECT.value
    )
    return query if status is None else query.where(Promotion.status == status)


def last_asked(session: Session, project: str, model: str, alias: str) -> Promotion | None:
    """The newest promotion that moves the alias, or is to."""
    query = select(Promotion).where(
        Promotion.project == project, Promotion.model == model, Promotion.alias == alias, Promotion.move
    )
    return session.scalar(query.order_by(Promotion.id.desc()).limit(1))


def alias_moves(project: str, model: str, alias: str | None = None) -> Select[AliasMove]:
    query = select(AliasMove).where(AliasMove.project == project, AliasMove.model == model)
    return query if alias is None else query.where(AliasMove.alias == alias)


def passed(session: Session, project: str, model: str, version: int, alias: str) -> Promotion | None:
    """The newest promotion of the version to the alias whose gate has passed."""
    query = select(Promotion).where(
        Promotion.project == project,
        Promotion.model == model,
        Promotion.version == version,
        Promotion.alias == alias,
        Promotion.status == Status.PASSED.value,
        Promotion.gate_passed.is_(True),
    )
    return session.scalar(query.order_by(Promotion.id.desc()).limit(1))


def _ask(
    session: Session,
    project: str,
    model: str,
    version: int,
    alias: str,
    actor: str,
    *,
    kind: Kind,
    move: bool,
    gate: dict[str, Any] | None = None,
) -> Promotion:
    promotion = Promotion(
        id=new_id("promo"),
        project=project,
        model=model,
        version=version,
        alias=alias,
        kind=kind.value,
        gate=gate,
        move=move,
        status=Status.PENDING.value,
        evidence={},
        actor=actor,
    )
    session.add(promotion)
    session.flush()
    _emit(session, promotion, actor, "promotion.requested")
    return promotion


def _emit(
    session: Session, promotion: Promotion, actor: str, action: str, before: dict[str, Any] | None = None
) -> None:
    after = {name: getattr(promotion, name) for name in ("model", "version", "alias", "kind", "move", "gate")}
    events.emit(
        session,
        project=promotion.project,
        actor=actor,
        action=action,
        target=("promotion", promotion.id),
        before=before,
        after=after,
    )


def _version(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
