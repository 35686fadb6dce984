"""Lists by pages (AIP-158): `page_size`, `filter`, `order_by`, an opaque `page_token`, and an empty `next_page_token`
at the end. A page may be shorter than asked before the end: no answer is to take longer because a list is long.

A page goes on after the last row of the one before, by the columns that order the list, so that what is added
meanwhile moves nothing. What an index serves is found at once. What no index serves (a part of a name, a metric) is
looked for among the next `STRETCH` rows only, and the token goes on from there; an order that no index serves is for
lists of at most `MAX_SORTED` rows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel
from sqlalchemy import Row, Select, and_, func, select
from sqlalchemy.orm import Session

from ratchet.errors import FieldError, Invalid
from ratchet.lists import filters, matching
from ratchet.lists.fields import Fields
from ratchet.lists.filters import Comparison, Node, Term
from ratchet.lists.ordering import Order

MAX_PAGE_SIZE = 1_000
FIRST_STRETCH = 1_000
STRETCH = 10_000
"""Rows that one answer looks at where no index finds them."""
MAX_SORTED = 15_000
"""Rows that one answer sorts where no index has them sorted."""
Item = TypeVar("Item")


class PageOf(BaseModel, Generic[Item]):
    items: list[Item]
    next_page_token: str = ""


@dataclass(frozen=True)
class Page:
    """Which page of which list is asked for, checked: the filter and the order name fields that there are."""

    fields: Fields
    size: int
    node: Node | None
    asked: Sequence[Term]
    after: Sequence[Any] | None
    """The last position of the page before."""
    sign: Callable[[str], str]

    def take(self, session: Session, query: Select[Any]) -> tuple[Sequence[Any], str]:
        """The rows of this page of `query`, which selects one mapped class, and the token of the next page."""
        order = Order.of(self.fields, self.asked)
        parts = filters.conjuncts(self.node)
        keys, rest = [matching.narrowed(query, parts)], list[Node]()
        if not any(_drives(part, {self.fields.key}) for part in parts):
            if order.indexed:
                keys, rest = self._indexed(query, order, parts)
            else:
                self._require_short(session, query, parts)
        positions, end = self._positions(session, order, keys, rest)
        return _rows(session, query, order.key, [position[-1] for position in positions]), self._token(end)

    def take_from(self, items: Iterable[Item]) -> tuple[list[Item], str]:
        """The same of a list in memory, whose fields are `fields.attribute`s."""
        order = Order.of(self.fields, self.asked)
        found = [item for item in items if self.node is None or matching.holds(self.node, item)]
        placed = [(order.position(item), item) for item in found]
        for index in reversed(range(len(order.descending))):
            placed.sort(key=lambda each: each[0][index], reverse=order.descending[index])
        if self.after is not None:
            placed = [each for each in placed if order.follows(each[0], self.after)]
        page = placed[: self.size]
        end = page[-1][0] if len(placed) > self.size else None
        return [item for _, item in page], self._token(end)

    def _indexed(self, query: Select[Any], order: Order, parts: Sequence[Node]) -> tuple[list[Select[Any]], list[Node]]:
        """Queries that an index answers, in their order, the rows of which are looked at; and what is left to check."""
        ranged = [part for part in parts if _ranges(part, order.terms[0])]
        driving = next((part for part in parts if order.plain and _drives(part, self.fields.indexed)), None)
        rest = [part for part in parts if part not in ranged and part is not driving]
        query = matching.narrowed(query, ranged)
        if driving is None:
            return [query], rest
        assert isinstance(driving, Comparison)
        values = driving.value if driving.operator == "in" else (driving.value,)
        return [query.where(driving.field.column == value) for value in values], rest

    def _positions(
        self, session: Session, order: Order, keys: Sequence[Select[Any]], rest: Sequence[Node]
    ) -> tuple[Sequence[Row[Any]], Row[Any] | None]:
        """The positions of this page's rows, and the last one looked at; None when nothing can follow."""
        if not rest:
            rows = session.execute(order.first(keys, self.after, self.size + 1)).all()
            return rows[: self.size], rows[self.size - 1] if len(rows) > self.size else None
        found: list[Row[Any]] = []
        condition = and_(*map(matching.sql, rest))
        after: Any = self.after
        for stretch in (FIRST_STRETCH, STRETCH):
            found += session.execute(
                order.passing(keys, after, stretch, condition).limit(self.size + 1 - len(found))
            ).all()
            if len(found) > self.size:
                return found[: self.size], found[self.size - 1]
            after = session.execute(order.first(keys, after, 1, skip=stretch - 1)).first()
            if after is None:
                return found, None
        return found, after

    def _require_short(self, session: Session, query: Select[Any], parts: Sequence[Node]) -> None:
        own = Order.of(self.fields)
        served = [part for part in parts if _drives(part, self.fields.indexed) or _ranges(part, own.terms[0])]
        some = matching.narrowed(query, served).with_only_columns(own.key).limit(MAX_SORTED + 1).subquery()
        if session.scalars(select(func.count()).select_from(some)).one() > MAX_SORTED:
            by = sorted({self.fields.order, *self.fields.indexed})
            error = FieldError(pointer="/order_by", message=f"More than {MAX_SORTED:,} rows would have to be sorted.")
            raise Invalid(
                f"The list is too long for this order: it would sort more than {MAX_SORTED:,} rows.",
                code="too_many_to_sort",
                errors=[error],
                hint=f"Narrow it by a filter on {', '.join(by)}, or order by one of them.",
            )

    def _token(self, end: Sequence[Any] | None) -> str:
        if end is None:
            return ""
        values = [value.isoformat() if isinstance(value, datetime) else value for value in end]
        payload = _base64(json.dumps(values, separators=(",", ":")).encode())
        return f"{payload}.{self.sign(payload)}"


def page(
    fields: Fields,
    size: int = 50,
    token: str = "",
    filter: str = "",
    order_by: str = "",
    *,
    path: str = "",
    key: bytes = b"",
) -> Page:
    """A page of the list at `path`, of which `key` signs the tokens; `Invalid` when there can be none."""
    node, asked = filters.parse(filter, fields), filters.parse_order(order_by, fields)
    bound = f"{path}\0{filter}\0{order_by}\0"

    def sign(payload: str) -> str:
        return _base64(hmac.digest(key, (bound + payload).encode(), hashlib.sha256)[:16])

    after = Order.of(fields, asked).read(_read_token(token, sign)) if token else None
    return Page(fields, min(size, MAX_PAGE_SIZE), node, asked, after, sign)


def listing(fields: Fields) -> Callable[..., Page]:
    """The dependency that reads the page that is asked for: `Annotated[Page, Depends(listing(FIELDS))]`."""
    names = ", ".join(f"{name}.<key>" if field.keyed else name for name, field in fields.of.items())
    size = Query(50, ge=1, description=f"At most {MAX_PAGE_SIZE:,}; more are taken for that.")
    token = Query(
        "", max_length=2_000, description="`next_page_token` of the page before, with the same other parameters."
    )
    filter_ = Query(
        "",
        max_length=2_000,
        description=f"Which: comparisons joined by and, or, not and parentheses. Fields: {names}.",
        json_schema_extra={"x-fields": fields.described()},
    )
    order = Query(
        "", max_length=500, description=f"Fields with asc or desc, by commas. By default {fields.default_order}."
    )

    def read(
        request: Request, page_size: int = size, page_token: str = token, filter: str = filter_, order_by: str = order
    ) -> Page:
        key: bytes = request.app.state.page_key
        return page(fields, page_size, page_token, filter, order_by, path=request.url.path, key=key)

    return read


def _rows(session: Session, query: Select[Any], key: Any, wanted: Sequence[Any]) -> Sequence[Any]:
    """The rows of these keys, in their order: only now are the wide columns read, and by the key alone."""
    if not wanted:
        return []
    entity = query.column_descriptions[0]["entity"]
    rows = session.scalars(select(entity).where(key.in_(wanted))).all()
    by_key = {getattr(row, key.key): row for row in rows}
    return [by_key[each] for each in wanted if each in by_key]


def _drives(part: Node, indexed: Collection[str]) -> bool:
    """Whether an index finds what it lets pass, in the list's own order."""
    if not isinstance(part, Comparison) or part.value is None:
        return False
    return part.operator in {"=", "in"} and part.name in indexed


def _ranges(part: Node, first: Term) -> bool:
    return isinstance(part, Comparison) and part.name == first.name and part.operator in {"<", "<=", ">", ">="}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _read_token(token: str, sign: Callable[[str], str]) -> Any:
    payload, _, signature = token.partition(".")
    if hmac.compare_digest(signature.encode(), sign(payload).encode()):
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    error = FieldError(pointer="/page_token", message="This is not a token of a page before.", value=token[:100])
    raise Invalid(
        "The page_token is not valid: it goes with one list, one filter and one order.",
        code="invalid_page_token",
        errors=[error],
        hint="Take next_page_token as it was given, and send the same filter and order_by with it.",
    )
