from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ratchet.lists.fields import Fields, column
from ratchet.projects.tables import Project
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


PROJECT_FIELDS = Fields(
    {
        "name": column(Project.name),
        "description": column(Project.description, orderable=False),
        "created_at": column(Project.created_at),
    },
    key="name",
    order="name",
    descending=False,
)
