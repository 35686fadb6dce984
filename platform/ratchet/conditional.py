"""`ETag`, `If-None-Match` and `If-Match` (RFC 9110): what has not changed is not sent again, and nobody changes what
they have not seen. The tag of a resource is a hash of its representation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from ratchet.errors import PreconditionFailed

MAX_TAGS = 1_000


def tag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def tag_of_view(view: BaseModel) -> str:
    """The tag that a GET of the resource has."""
    return tag_of(view.model_dump_json(by_alias=True).encode())


def tagged(request: Request, response: Response) -> Response:
    """The answer to a GET with its tag; 304 when the caller has it already. A tag that the handler gave is of what a
    change replaces: beside it there is more, which changes by itself and is sent each time."""
    if response.status_code != 200 or response.media_type != "application/json" or "ETag" in response.headers:
        return response
    tag = tag_of(bytes(response.body))
    response.headers["ETag"] = tag
    known = _tags(request.headers.get("if-none-match", ""))
    if "*" not in known and tag not in known:
        return response
    return Response(status_code=304, headers={"ETag": tag})


class IfMatch:
    """The tags with which a change comes; none, when it is to be made whatever was changed meanwhile."""

    def __init__(
        self,
        if_match: Annotated[
            str | None, Header(max_length=MAX_TAGS, description="The ETag that was read: 412 when it is another now.")
        ] = None,
    ) -> None:
        self.tags = None if if_match is None else _tags(if_match)

    def check(self, session: Session, row: Any | None, view: Callable[[], BaseModel | None]) -> None:
        """Hold the row, if there is one, so that nobody changes it before we do, and compare what a GET would show.

        Raises `PreconditionFailed` when the caller has seen something else, or there is nothing to be seen.
        """
        if self.tags is None:
            return
        try:
            if row is not None:
                session.refresh(row, with_for_update=True)
            seen = view()
        except InvalidRequestError:  # somebody has deleted it since we read it
            seen = None
        if seen is None or not self.tags & {"*", tag_of_view(seen)}:
            raise PreconditionFailed(
                "It was changed since it was read.", hint="Read it again, and send the change with its new ETag."
            )


IfMatchHeader = Annotated[IfMatch, Depends(IfMatch)]


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()}
