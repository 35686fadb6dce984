"""Lists by pages (AIP-158): `page_size`, an opaque `page_token`, and an empty `next_page_token` at the end."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm import Session

from ratchet.errors import FieldError, Invalid

MAX_PAGE_SIZE = 1_000
MAX_INTEGER = 2**63 - 1
"""The largest key that a database holds."""
Item = TypeVar("Item")


class PageOf(BaseModel, Generic[Item]):
    items: list[Item]
    next_page_token: str = ""


class Page:
    """Which page is asked for. Newest first: ids sort by time, and a page goes on below the last of the one before."""

    def __init__(
        self,
        page_size: Annotated[int, Query(ge=1, description=f"At most {MAX_PAGE_SIZE}.")] = 50,
        page_token: Annotated[str, Query(max_length=200)] = "",
    ) -> None:
        self.size = min(page_size, MAX_PAGE_SIZE)
        self.below = _decode(page_token)

    def take(self, session: Session, query: Select[Any], key: Any) -> tuple[Sequence[Any], str]:
        """The rows of this page, and the token of the next. `key` is the column that orders the list."""
        if self.below:
            query = query.where(key < self._last(key.type.python_type))
        rows = session.scalars(query.order_by(key.desc()).limit(self.size + 1)).all()
        if len(rows) <= self.size:
            return rows, ""
        return rows[: self.size], _encode(str(getattr(rows[self.size - 1], key.key)))

    def _last(self, kind: type) -> str | int:
        """The key of the last row of the page before: a token of another list may be none of this one's."""
        if kind is not int:
            return self.below
        if not (self.below.isdecimal() and int(self.below) <= MAX_INTEGER):
            raise _not_a_token(self.below)
        return int(self.below)


PageQuery = Annotated[Page, Depends(Page)]


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(token: str) -> str:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = "\0"
    if not all(character.isalnum() or character == "-" for character in text):
        raise _not_a_token(token)
    return text


def _not_a_token(value: str) -> Invalid:
    error = FieldError(pointer="/page_token", message="This is not a token of a page before.", value=value)
    return Invalid("The page_token is not valid.", errors=[error], hint="Take next_page_token as it was given.")
