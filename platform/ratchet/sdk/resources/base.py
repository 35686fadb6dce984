"""What all of them are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Resource(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    def dump(self) -> dict[str, Any]:
        """As JSON-ready data, unknown fields included."""
        return self.model_dump(mode="json")
