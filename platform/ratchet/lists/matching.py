"""What a filter lets pass: as SQL, and of objects in memory. Both say the same of what is absent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, not_, or_

from ratchet.lists.fields import Kind
from ratchet.lists.filters import And, Comparison, Node, Not, Or, is_number


def narrowed(query: Select[Any], parts: Iterable[Node]) -> Select[Any]:
    return query.where(*map(sql, parts))


def sql(node: Node) -> ColumnElement[bool]:
    """In two-valued logic: a comparison with what is absent is false, whatever surrounds it."""
    match node:
        case And(parts):
            return and_(*map(sql, parts))
        case Or(parts):
            return or_(*map(sql, parts))
        case Not(part):
            return not_(func.coalesce(sql(part), false()))
        case Comparison():
            return _comparison(node)


def _comparison(node: Comparison) -> ColumnElement[bool]:
    column, value = node.field.sql(node.key, Kind.TEXT if node.kind is Kind.VALUE else node.kind), node.value
    found: ColumnElement[bool]
    if value is None:
        found = _absent(node) if node.operator == "=" else not_(_absent(node))
        return found
    match node.operator:
        case "=":
            found = column == value
        case "!=":
            found = column.is_distinct_from(value)
        case "<":
            found = column < value
        case "<=":
            found = column <= value
        case ">":
            found = column > value
        case ">=":
            found = column >= value
        case "~":
            found = column.icontains(value, autoescape=True)
        case _:
            found = column.in_(value)
    return found


def _absent(node: Comparison) -> ColumnElement[bool]:
    kinds = [Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN] if node.field.kind is Kind.VALUE else [node.kind]
    return and_(*(node.field.sql(node.key, kind).is_(None) for kind in kinds))


def holds(node: Node, item: Any) -> bool:
    """Whether an object in memory passes."""
    match node:
        case And(parts):
            return all(holds(part, item) for part in parts)
        case Or(parts):
            return any(holds(part, item) for part in parts)
        case Not(part):
            return not holds(part, item)
        case Comparison():
            return _compares(node, node.field.of(item, node.key))


TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, value: bool(found == value),
    "<": lambda found, value: bool(found < value),
    "<=": lambda found, value: bool(found <= value),
    ">": lambda found, value: bool(found > value),
    ">=": lambda found, value: bool(found >= value),
    "~": lambda found, value: value.lower() in found.lower(),
    "in": lambda found, value: found in value,
}


def _compares(comparison: Comparison, found: Any) -> bool:
    value = comparison.value
    if value is None:
        return (found is None) == (comparison.operator == "=")
    example = value[0] if comparison.operator == "in" else value
    same_kind = any(isinstance(found, kind) and isinstance(example, kind) for kind in (str, bool, datetime))
    same_kind = same_kind or (is_number(found) and is_number(example))
    if comparison.operator == "!=":
        return not same_kind or found != value
    return same_kind and TESTS[comparison.operator](found, value)
