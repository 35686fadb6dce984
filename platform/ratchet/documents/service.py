"""What documents would change: found by doing it, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from ratchet import conditional
from ratchet.documents.kinds import JOBS, KINDS, Kind
from ratchet.documents.schemas import Action, Difference, Document, DocumentPlan, RequestView
from ratchet.errors import Conflict, FieldError, Invalid, RatchetError, field_errors
from ratchet.settings import Settings
from ratchet_pipelines.catalog import suggestion


def plan(
    session: Session, *, project: str, documents: Sequence[Document], actor: str, settings: Settings
) -> list[DocumentPlan]:
    """The plans of documents that are to be applied in this order, after the same checks as the requests that do it:
    the very same is done in a savepoint, so that each sees the ones before, and all of it is rolled back.

    Raises what the first request that fails would, with pointers that begin at its document: `/documents/1/name`.
    """
    plans = []
    with session.begin_nested() as savepoint:
        for i, document in enumerate(documents):
            try:
                plans.append(_plan(session, project, document, actor, settings))
            except RatchetError as error:
                where = f"/documents/{i}"
                found = error.errors or [FieldError(pointer="", message=error.detail)]
                error.errors = [one.model_copy(update={"pointer": where + one.pointer}) for one in found]
                raise
        savepoint.rollback()
    return plans


def _plan(session: Session, project: str, document: Document, actor: str, settings: Settings) -> DocumentPlan:
    kind, new = _read(document)
    name = str(new.model_dump()["name"]) if kind.named else ""
    row = kind.find(session, project, name)
    before = None if row is None else kind.document(row).model_dump(mode="json")
    seen = None if row is None or kind.view is None else conditional.tag_of_view(kind.view(session, row, settings))
    differences = [] if before is None else list(_differences(before, new.model_dump(mode="json")))
    if row is None:
        kind.create(session, project, new, actor, settings)
    elif differences and kind.replace is None:
        raise Conflict(
            f"The {document.kind} {name!r} is there and can't be changed; {differences[0].field} differs.",
            hint="Give the new one another name.",
        )
    elif differences and kind.replace is not None:
        kind.replace(session, row, new, actor, settings)
    action = Action.CREATE if row is None else Action.UPDATE if differences else Action.NONE
    request = _request(kind, project, name, new, action, seen)
    return DocumentPlan(kind=document.kind, name=name, action=action, differences=differences, request=request)


def _read(document: Document) -> tuple[Kind, BaseModel]:
    kind = KINDS.get(document.kind)
    if kind is None:
        is_job = document.kind in JOBS
        message = "This is a kind of job." if is_job else f"There is no such kind.{suggestion(document.kind, [*KINDS])}"
        hint = "Jobs are planned by jobs:plan." if is_job else f"Kinds: {', '.join(KINDS)}."
        error = FieldError(pointer="/kind", message=message, value=document.kind)
        raise Invalid(f"A document of kind {document.kind!r} can't be planned here.", errors=[error], hint=hint)
    try:
        return kind, kind.model.model_validate(document.model_extra or {})
    except ValidationError as error:
        fields = field_errors(error)
        raise Invalid(f"{len(fields)} field(s) of the {document.kind} are not valid.", errors=fields) from error


def _request(
    kind: Kind, project: str, name: str, new: BaseModel, action: Action, seen: str | None
) -> RequestView | None:
    body = new.model_dump(mode="json", exclude_none=True)
    if action is Action.CREATE:
        return RequestView(method="POST", path=kind.address(project), body=body, if_match=None)
    if action is Action.UPDATE and kind.update is not None:
        kept = {field: value for field, value in body.items() if field in kind.update.model_fields}
        return RequestView(method=kind.method, path=kind.address(project, name), body=kept, if_match=seen)
    return None


def _differences(before: Any, after: Any, field: str = "") -> Iterator[Difference]:
    """The leaves that differ, in the order of the document."""
    before, after = _named(before), _named(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**after, **before}:
            yield from _differences(before.get(name), after.get(name), f"{field}.{name}".lstrip("."))
    elif before != after:
        yield Difference(field=field, before=before, after=after)


def _named(part: Any) -> Any:
    """A list as a mapping: by name where each part has one, else by index."""
    if not isinstance(part, list) or not any(isinstance(item, dict) for item in part):
        return part
    named = all(isinstance(item, dict) and "name" in item for item in part)
    return {str(item["name"] if named else i): item for i, item in enumerate(part)}
