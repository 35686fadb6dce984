"""The grammar of `filter` and `order_by`, the same for every list.

    filter     = and, { "or", and } ;
    and        = term, { "and", term } ;
    term       = "not", term | "(", filter, ")" | comparison ;
    comparison = field, ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" ), value
               | field, [ "not" ], "in", "(", value, { ",", value }, ")" ;
    field      = name, [ ".", ( key | '"', key, '"' ) ] ;
    value      = string | number | "true" | "false" | "null" ;
    order_by   = field, [ "asc" | "desc" ], { ",", field, [ "asc" | "desc" ] } ;

`~` finds a part of a text, whatever its case. A comparison with what is absent is false, and its `not` is true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from ratchet.errors import FieldError, Invalid
from ratchet.lists.fields import Field, Fields, Kind
from ratchet_pipelines.catalog import suggestion

MAX_DEPTH = 20
MAX_COMPARISONS = 50
MAX_CHOICES = 100
MAX_ORDER_FIELDS = 4
MAX_INTEGER = 2**63 - 1
"""The largest whole number that a database holds."""

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<name>[A-Za-z_]\w*)(?:\.(?:"(?P<quoted>[^"]*)"|(?P<key>[\w./:-]+)))?
    | (?P<sign><=|>=|!=|[=<>~(),])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
KEY = re.compile(r"^[\w./: -]{1,250}$", re.ASCII)
"""What MLflow lets a metric or a parameter be called."""
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~")
CONSTANTS = {"true": True, "false": False, "null": None}
WORDS = {"and", "or", "not", "in", *CONSTANTS}


@dataclass(frozen=True)
class Comparison:
    name: str
    field: Field
    key: str | None
    operator: str
    """One of `OPERATORS`, or `in`."""
    value: Any
    """A tuple for `in`."""
    kind: Kind
    """What is compared: the field's kind, and for a map of values that of the value."""


@dataclass(frozen=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    part: Node


Node = Comparison | And | Or | Not


@dataclass(frozen=True)
class Term:
    """One field of an order."""

    name: str
    field: Field
    key: str | None
    descending: bool


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    key: str | None
    at: int


def parse(text: str, fields: Fields) -> Node | None:
    """The filter, its values of the kinds of their fields; None for an empty one. `Invalid` points at the character."""
    return _Parser("filter", text, fields).filter() if text.strip() else None


def parse_order(text: str, fields: Fields) -> list[Term]:
    """The order that is asked for, without what breaks ties; empty when none is."""
    return _Parser("order_by", text, fields).order() if text.strip() else []


def conjuncts(node: Node | None) -> list[Node]:
    """What must all hold."""
    if node is None:
        return []
    return [each for part in node.parts for each in conjuncts(part)] if isinstance(node, And) else [node]


class _Parser:
    def __init__(self, parameter: str, text: str, fields: Fields) -> None:
        self.parameter = parameter
        self.text = text
        self.fields = fields
        self.tokens = self._scan()
        self.token = next(self.tokens)
        self.comparisons = 0

    def filter(self) -> Node:
        found = self._or(0)
        if self.token.kind != "end":
            self._fail(self.token, f"{self._shown()} is not expected here.")
        return found

    def order(self) -> list[Term]:
        terms: list[Term] = []
        while True:
            start = self.token
            name, field, key = self._field()
            if not field.orderable:
                self._fail(start, f"A list can't be ordered by {name!r}.")
            word = self.token.text.lower() if self.token.kind == "name" else ""
            if word in {"asc", "desc"}:
                self._next()
            if any((term.name, term.key) == (name, key) for term in terms):
                self._fail(start, f"{name!r} is there twice.")
            terms.append(Term(name, field, key, descending=word == "desc"))
            if len(terms) > MAX_ORDER_FIELDS:
                self._fail(start, f"At most {MAX_ORDER_FIELDS} fields.")
            if self.token.kind == "end":
                return terms
            self._expect(",")

    # -- the grammar, a method for each line of it

    def _or(self, depth: int) -> Node:
        parts = [self._and(depth)]
        while self._take_word("or"):
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self, depth: int) -> Node:
        parts = [self._term(depth)]
        while self._take_word("and"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _term(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._fail(self.token, f"This is nested more than {MAX_DEPTH} deep.")
        if self._take_word("not"):
            return Not(self._term(depth + 1))
        if self.token.text == "(" and self.token.kind == "sign":
            self._next()
            found = self._or(depth + 1)
            self._expect(")")
            return found
        return self._comparison()

    def _comparison(self) -> Node:
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            self._fail(self.token, f"There are more than {MAX_COMPARISONS} comparisons.")
        name, field, key = self._field()
        if self._take_word("not"):
            if not self._is_word("in"):
                self._fail(self.token, f"'in' is expected after 'not', not {self._shown()}.")
            return Not(self._in(name, field, key))
        if self._is_word("in"):
            return self._in(name, field, key)
        sign = self.token
        if sign.kind != "sign" or sign.text not in OPERATORS:
            self._fail(sign, f"An operator is expected here ({' '.join(OPERATORS)} in), not {self._shown()}.")
        self._next()
        start = self.token
        value, kind = self._value(name, field)
        if value is None and sign.text not in {"=", "!="}:
            self._fail(sign, "null can be compared with = and != alone.")
        if sign.text == "~" and kind is not Kind.TEXT:
            self._fail(sign, f"~ looks into texts, and {name!r} is a {kind.value}.")
        if kind is Kind.BOOLEAN and sign.text not in {"=", "!="}:
            self._fail(start, "true and false can be compared with = and != alone.")
        return Comparison(name, field, key, sign.text, value, kind)

    def _in(self, name: str, field: Field, key: str | None) -> Comparison:
        self._next()
        self._expect("(")
        found, kinds = [], set()
        while True:
            start = self.token
            value, kind = self._value(name, field)
            if value is None:
                self._fail(start, "null can't be in a list: write `or … = null`.")
            found.append(value)
            kinds.add(kind)
            if len(found) > MAX_CHOICES:
                self._fail(start, f"There are more than {MAX_CHOICES} values.")
            if len(kinds) > 1:
                self._fail(start, "The values of a list must be of one kind.")
            if self.token.text == ")" and self.token.kind == "sign":
                break
            self._expect(",")
        self._next()
        return Comparison(name, field, key, "in", tuple(dict.fromkeys(found)), kinds.pop())

    def _field(self) -> tuple[str, Field, str | None]:
        token = self.token
        if token.kind != "name" or token.text.lower() in WORDS:
            self._fail(token, f"A field is expected here, not {self._shown()}.")
        dotted = token.text if token.key is None else f"{token.text}.{token.key}"
        field, key = self.fields.of.get(dotted), None
        if field is None and token.key is not None:
            field, key = self.fields.of.get(token.text), token.key
            field = field if field is not None and field.keyed else None
        if field is None:
            names = [f"{name}.<key>" if each.keyed else name for name, each in self.fields.of.items()]
            self._fail(token, f"There is no field {dotted[:80]!r}.{suggestion(dotted, list(self.fields.of))}", names)
        if field.keyed and (key is None or not KEY.match(key)):
            self._fail(token, f"Write {token.text}.<key>, and a key that has other signs in double quotes.")
        self._next()
        return (token.text if field.keyed else dotted), field, key

    def _value(self, name: str, field: Field) -> tuple[Any, Kind]:
        token, kind = self.token, field.kind
        value: Any
        if token.kind == "string":
            value = re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
            if "\0" in value:  # Postgres has no such text, and SQLite ends it there
                self._fail(token, "A text can't hold the character NUL.")
        elif token.kind == "number":
            value = self._number(token)
        elif token.kind == "name" and token.key is None and token.text.lower() in CONSTANTS:
            value = CONSTANTS[token.text.lower()]
        elif token.kind == "name":
            self._fail(token, f'Put quotes round a text: "{token.text[:40]}".')
        else:
            self._fail(token, f"A value is expected here, not {self._shown()}.")
        self._next()
        if value is None:
            return None, kind
        if kind is Kind.VALUE:
            return value, (
                Kind.TEXT if isinstance(value, str) else Kind.BOOLEAN if isinstance(value, bool) else Kind.NUMBER
            )
        return self._typed(token, name, field, value), kind

    def _typed(self, token: _Token, name: str, field: Field, value: Any) -> Any:
        match field.kind:
            case Kind.TIME if isinstance(value, str):
                return self._time(token, value)
            case Kind.TEXT if isinstance(value, str):
                if field.choices and value not in field.choices:
                    help_ = suggestion(value, list(field.choices)) or f" One of: {', '.join(field.choices)}."
                    self._fail(token, f"{name!r} is never {value[:40]!r}.{help_}")
                return value
            case Kind.BOOLEAN if isinstance(value, bool):
                return value
            case Kind.NUMBER | Kind.INTEGER if is_number(value):
                return value
        self._fail(token, f"{name!r} ({field.kind.value}) can't be compared with {token.text[:40]}.")

    def _number(self, token: _Token) -> int | float:
        whole = re.fullmatch(r"[+-]?\d{1,19}", token.text)
        value = int(token.text) if whole else float(token.text)
        if not math.isfinite(value) or (whole and abs(value) > MAX_INTEGER):
            self._fail(token, "This number is too large.")
        return value

    def _time(self, token: _Token, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self._fail(token, f'{text[:40]!r} is no time: write "2026-11-26T15:00:00Z", or a day alone.')

    # -- tokens

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while True:
            found = TOKEN.match(self.text, at)
            if found is None or found.lastgroup is None:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                self._fail(_Token("?", "", None, start), f"{self.text[start : start + 10]!r} is not understood.")
            kind = "name" if found["name"] else str(found.lastgroup)
            yield _Token(kind, found[kind], found["quoted"] or found["key"], found.start(kind))
            if kind == "end":
                return
            at = found.end()

    def _next(self) -> None:
        self.token = next(self.tokens)

    def _is_word(self, word: str) -> bool:
        return self.token.kind == "name" and self.token.key is None and self.token.text.lower() == word

    def _take_word(self, word: str) -> bool:
        if not self._is_word(word):
            return False
        self._next()
        return True

    def _expect(self, sign: str) -> None:
        if self.token.kind != "sign" or self.token.text != sign:
            self._fail(self.token, f"{sign!r} is expected here, not {self._shown()}.")
        self._next()

    def _shown(self) -> str:
        return "the end" if self.token.kind == "end" else repr(self.token.text[:40])

    def _fail(self, token: _Token, message: str, names: Sequence[str] = ()) -> NoReturn:
        near = self.text[token.at : token.at + 40]
        error = FieldError(pointer=f"/{self.parameter}", message=f"At character {token.at + 1}: {message}", value=near)
        raise Invalid(
            f"The {self.parameter} can't be read at character {token.at + 1}: {message}",
            code=f"invalid_{self.parameter}",
            errors=[error],
            hint=f"The fields are {', '.join(names)}." if names else "docs/api.md has the grammar.",
        )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
