from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ratchet.bundles.tables import Bundle
from ratchet.lists.fields import Fields, column


class BundleView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    project: str
    digest: str
    """What a custom job names: `{"kind": "archive", "digest": "sha256:…"}`."""
    format: str
    size_bytes: int
    files: int
    expanded_bytes: int
    """Of all files together, unpacked."""
    created_by: str
    created_at: datetime


BUNDLE_FIELDS = Fields(
    {
        "id": column(Bundle.id),
        "digest": column(Bundle.digest),
        "format": column(Bundle.format),
        "size_bytes": column(Bundle.size_bytes),
        "files": column(Bundle.files),
        "created_by": column(Bundle.created_by),
        "created_at": column(Bundle.created_at),
    }
)
