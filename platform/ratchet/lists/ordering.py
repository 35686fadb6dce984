"""The order of a list, in SQL and in memory: each row has one position in it, and a page goes on after a position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, tuple_, union_all

from ratchet.lists.fields import Fields, Kind
from ratchet.lists.filters import Term

NOTHING: dict[Kind, Any] = {
    Kind.TEXT: "",
    Kind.NUMBER: 0.0,
    Kind.INTEGER: 0,
    Kind.BOOLEAN: False,
    Kind.TIME: datetime.fromisoformat("0001-01-02T00:00:00+00:00"),
}
"""Stands for what is absent in an order, where a flag before it says that it is."""


@dataclass(frozen=True)
class Order:
    """The columns that order a list, the unique key last, so that every row has one position."""

    terms: Sequence[Term]
    indexed: bool
    """An index gives this order."""
    plain: bool
    """It is the list's own order, or its reverse."""

    @classmethod
    def of(cls, fields: Fields, asked: Sequence[Term] = ()) -> Order:
        """What is asked, then the list's own order and its key in the direction of the last."""
        own, names = list(dict.fromkeys([fields.order, fields.key])), [term.name for term in asked]
        last = asked[-1].descending if asked else fields.descending
        if fields.key in names:  # it tells every two rows apart: nothing after it orders anything
            terms = list(asked[: names.index(fields.key) + 1])
        else:
            terms = [*asked, *(Term(name, fields.of[name], None, last) for name in own if name not in names)]
        before = [term.name for term in terms[: -len(own)]]
        served = [term.name for term in terms[-len(own) :]] == own and len({term.descending for term in terms}) == 1
        by_field = len(before) == 1 and before[0] in fields.indexed
        return cls(terms, indexed=served and (not before or by_field), plain=served and not before)

    @property
    def key(self) -> Any:
        return self.terms[-1].field.column

    @property
    def descending(self) -> list[bool]:
        """The direction of each part of a position: what is absent comes last, either way."""
        return [way for term in self.terms for way in ([False] if term.field.nullable else []) + [term.descending]]

    def columns(self) -> list[ColumnElement[Any]]:
        found: list[ColumnElement[Any]] = []
        for term in self.terms:
            column = term.field.sql(term.key, term.field.kind)
            if term.field.nullable:
                found.append(case((column.is_(None), 1), else_=0))
                column = func.coalesce(column, literal(NOTHING[term.field.kind], column.type))
            found.append(column)
        return found

    def directed(self, columns: Iterable[Any]) -> list[ColumnElement[Any]]:
        return [column.desc() if down else column.asc() for column, down in zip(columns, self.descending, strict=True)]

    def first(
        self,
        keys: Sequence[Select[Any]],
        after: Sequence[Any] | None,
        size: int,
        skip: int = 0,
        more: Sequence[ColumnElement[Any]] = (),
    ) -> Select[Any]:
        """The first positions after one, of the rows of all `keys` together; `more` are columns beside them."""
        bare = self.columns()
        parts = []
        for query in keys:
            if after is not None:
                query = query.where(_beyond(bare, self.descending, list(after)))
            parts.append(query.with_only_columns(*_labelled(bare), *more).order_by(*self.directed(bare)))
        if len(parts) == 1:
            return parts[0].limit(size).offset(skip or None)
        every = union_all(*(select(*part.limit(size + skip).subquery().c) for part in parts)).subquery()
        return select(*every.c).order_by(*self.directed(list(every.c)[: len(bare)])).limit(size).offset(skip or None)

    def passing(
        self, keys: Sequence[Select[Any]], after: Sequence[Any] | None, size: int, condition: ColumnElement[bool]
    ) -> Select[Any]:
        """Those of the first `size` positions for which a condition holds.

        It is a column of the rows that are looked at, and asked for outside: a planner can't turn it into a search of
        the whole table.
        """
        *positions, passes = self.first(keys, after, size, more=[condition.label("passes")]).subquery().c
        return select(*positions).where(passes).order_by(*self.directed(positions))

    def position(self, item: Any) -> list[Any]:
        found: list[Any] = []
        for term in self.terms:
            value = term.field.of(item, term.key)
            if term.field.nullable:
                found.append(int(value is None))
                value = NOTHING[term.field.kind] if value is None else value
            found.append(value)
        return found

    def follows(self, position: Sequence[Any], after: Sequence[Any]) -> bool:
        for here, there, down in zip(position, after, self.descending, strict=True):
            if here != there:
                return bool(here < there) if down else bool(here > there)
        return False

    def read(self, values: Any) -> list[Any]:
        """A position from a token that was signed here."""
        flag = [Kind.INTEGER]
        kinds = [each for term in self.terms for each in (flag if term.field.nullable else []) + [term.field.kind]]
        return [
            datetime.fromisoformat(value) if kind is Kind.TIME else value
            for kind, value in zip(kinds, values, strict=True)
        ]


def _beyond(columns: Sequence[Any], descending: Sequence[bool], after: Sequence[Any]) -> ColumnElement[bool]:
    """Further on than a position; in one comparison of rows where the directions agree, which an index can begin at."""
    here, down, last = columns[0], descending[0], after[0]
    if len(set(descending)) == 1:
        row = tuple_(*columns)
        there = tuple_(*(literal(value, column.type) for value, column in zip(after, columns, strict=True)))
        return row < there if down else row > there
    further: ColumnElement[bool] = here < last if down else here > last
    return or_(further, and_(here == last, _beyond(columns[1:], descending[1:], after[1:])))


def _labelled(columns: Sequence[ColumnElement[Any]]) -> list[Any]:
    return [column.label(f"position_{index}") for index, column in enumerate(columns)]
