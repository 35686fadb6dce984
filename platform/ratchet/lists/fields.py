"""What a list can be filtered and ordered by: one table of fields for each resource, over SQL columns or over objects.

A `Fields` is declared beside the resource's view. Its names are those of the view, so that what a client reads it can
also ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Float, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ratchet.db import UtcDateTime


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    TIME = "time"
    BOOLEAN = "boolean"
    VALUE = "value"
    """Of an entry of a map: text, number or boolean, as each row has it."""


KINDS = {str: Kind.TEXT, float: Kind.NUMBER, int: Kind.INTEGER, bool: Kind.BOOLEAN}


@dataclass(frozen=True)
class Field:
    kind: Kind
    column: Any = None
    """An SQL expression; of a map the JSON column. None for a list that is not in the database."""
    value: Callable[[Any], Any] | None = None
    """Of an object in memory: its value."""
    choices: tuple[str, ...] = ()
    nullable: bool = False
    orderable: bool = True
    keyed: bool = False
    """A map: `metrics` of `metrics.loss`."""
    path: tuple[str, ...] = ()
    """Where in the JSON column the map is."""

    def sql(self, key: str | None, kind: Kind) -> Any:
        """The SQL expression; of a map that of one entry, null where it is absent or of another kind."""
        if not self.keyed:
            return self.column
        path = [*self.path, key or ""]
        dotted = "$" + "".join(f'."{part}"' for part in path)
        return JSON_OF[kind](self.column, literal(dotted), *(literal(part) for part in path))

    def of(self, item: Any, key: str | None) -> Any:
        """The value in an object in memory; None where there is none that can be compared."""
        assert self.value is not None
        found = self.value(item)
        if self.keyed:
            found = (found or {}).get(key)
        return found if isinstance(found, str | int | float | datetime) else None


def column(of: Any, choices: Iterable[str] | type[Enum] = (), orderable: bool = True) -> Field:
    """A field of a mapped column, with the kind of the column. `choices`: the only values it can have."""
    words = tuple(each.value for each in choices) if isinstance(choices, type) else tuple(choices)
    nullable = bool(getattr(getattr(of, "expression", of), "nullable", True))
    kind = Kind.TIME if isinstance(of.type, UtcDateTime) else KINDS[of.type.python_type]
    return Field(kind, of, choices=words, nullable=nullable, orderable=orderable)


def numbers(of: Any, *path: str) -> Field:
    """A map of numbers in a JSON column: `metrics.loss`."""
    return Field(Kind.NUMBER, of, nullable=True, keyed=True, path=path)


def values(of: Any, *path: str) -> Field:
    """A map of values in a JSON column: `params.lr`."""
    return Field(Kind.VALUE, of, nullable=True, keyed=True, path=path, orderable=False)


def attribute(name: str, kind: Kind, *, nullable: bool = False, keyed: bool = False) -> Field:
    """An attribute of objects in memory."""
    orderable = kind is not Kind.VALUE
    return Field(
        kind, value=lambda item: getattr(item, name), nullable=nullable or keyed, keyed=keyed, orderable=orderable
    )


@dataclass(frozen=True)
class Fields:
    """The fields of a list by name. `key` is the unique one that breaks ties; `order` is the order when none is asked.

    `indexed` are the fields with an index (scope, field, `order`, `key`): by them, by `order` and by `key` a list is
    found and ordered however long it is. Anything else is looked for a stretch at a time: see `ratchet.lists.paging`.
    """

    of: Mapping[str, Field]
    key: str = "id"
    order: str = "created_at"
    descending: bool = True
    indexed: frozenset[str] = field(default_factory=frozenset)

    @property
    def default_order(self) -> str:
        return f"{self.order} {'desc' if self.descending else 'asc'}"

    def described(self) -> dict[str, Any]:
        """For programs that help with a filter: the fields, their kinds and choices."""
        return {
            f"{name}.<key>" if each.keyed else name: {
                "kind": each.kind.value,
                **({"choices": list(each.choices)} if each.choices else {}),
                "orderable": each.orderable,
            }
            for name, each in self.of.items()
        }


class json_number(FunctionElement[float]):  # noqa: N801 (used like a SQL function)
    """The number at a path of a JSON column; null when what is there is no number."""

    type = Float()
    inherit_cache = True


class json_text(FunctionElement[str]):  # noqa: N801
    type = String()
    inherit_cache = True


class json_boolean(FunctionElement[bool]):  # noqa: N801
    type = Boolean()
    inherit_cache = True


JSON_OF: dict[Kind, type[FunctionElement[Any]]] = {
    Kind.NUMBER: json_number,
    Kind.INTEGER: json_number,
    Kind.TEXT: json_text,
    Kind.BOOLEAN: json_boolean,
}


def _sqlite(element: FunctionElement[Any], compiler: SQLCompiler, kinds: str, **options: Any) -> str:
    source, dotted, *_ = element.clauses
    of, at = compiler.process(source, **options), compiler.process(dotted, **options)
    return f"(CASE WHEN json_type({of}, {at}) IN ({kinds}) THEN json_extract({of}, {at}) END)"


def _postgresql(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    source, _, *path = element.clauses
    parts: list[ColumnElement[Any]] = [source, *path]
    return f"jsonb_extract_path({', '.join(compiler.process(part, **options) for part in parts)})"


@compiles(json_number, "sqlite")
def _number_sqlite(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    return _sqlite(element, compiler, "'integer', 'real'", **options)


@compiles(json_text, "sqlite")
def _text_sqlite(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    return _sqlite(element, compiler, "'text'", **options)


@compiles(json_boolean, "sqlite")
def _boolean_sqlite(element: json_boolean, compiler: SQLCompiler, **options: Any) -> str:
    return _sqlite(element, compiler, "'true', 'false'", **options)


@compiles(json_number, "postgresql")
def _number_postgresql(element: json_number, compiler: SQLCompiler, **options: Any) -> str:
    # JSON's numbers have no largest one; a row with 1e999 must not fail the list.
    of = _postgresql(element, compiler, **options)
    return (
        f"(CASE WHEN jsonb_typeof({of}) <> 'number' THEN NULL "
        f"WHEN abs(({of})::numeric) > 1e308 THEN NULL ELSE ({of})::double precision END)"
    )


@compiles(json_text, "postgresql")
def _text_postgresql(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    of = _postgresql(element, compiler, **options)
    return f"(CASE WHEN jsonb_typeof({of}) = 'string' THEN {of} #>> '{{}}' END)"


@compiles(json_boolean, "postgresql")
def _boolean_postgresql(element: json_boolean, compiler: SQLCompiler, **options: Any) -> str:
    of = _postgresql(element, compiler, **options)
    return f"(CASE WHEN jsonb_typeof({of}) = 'boolean' THEN ({of})::boolean END)"
