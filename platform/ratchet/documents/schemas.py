from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class KindView(BaseModel):
    """A kind of document."""

    kind: str
    job: bool
    """Whether it is a job: run anew each time it is applied."""
    summary: str
    schema_url: str
    """Where its JSON schema is, from the root of this address."""


class Document(BaseModel):
    """What should be: its `kind`, and beside it what a document of that kind says."""

    model_config = ConfigDict(extra="allow")

    kind: str


class Documents(BaseModel):
    model_config = ConfigDict(extra="forbid")

    documents: list[Document] = Field(min_length=1, max_length=100)
    """In the order in which they are to be applied: each may refer to what one before it makes."""


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    NONE = "none"
    """It is as the document says already."""


class Difference(BaseModel):
    field: str
    """Such as `variants.a.weight`: a part of a list is named by its `name`, else by its index."""
    before: Any
    after: Any


class RequestView(BaseModel):
    method: Literal["POST", "PUT", "PATCH"]
    path: str
    body: dict[str, Any]
    if_match: str | None
    """The tag of what the plan was made from: with it the change is refused (412) when another came meanwhile."""


class DocumentPlan(BaseModel):
    """What applying a document would do."""

    kind: str
    name: str
    """Empty for what a project has one of."""
    action: Action
    differences: list[Difference]
    """What would change of what there is."""
    request: RequestView | None
    """The request that does it; null when there is nothing to do."""


class DocumentPlans(BaseModel):
    items: list[DocumentPlan]
    """One a document, in their order."""
