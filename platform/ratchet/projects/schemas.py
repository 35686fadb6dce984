from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ratchet.auth import Scope
from ratchet_pipelines.spec import Name


class NewProject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    description: str = Field(default="", max_length=1_000)


class ProjectView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    description: str
    created_at: datetime


class NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    scope: Scope
    expires_in_days: int | None = Field(default=90, ge=1, le=3_650)
    """No end when null."""


class TokenView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    scope: Scope
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenCreated(TokenView):
    token: str
    """The secret. It is shown this once."""


class NewSession(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=200)


class Me(BaseModel):
    actor: str
    scope: Scope
    projects: list[str]
