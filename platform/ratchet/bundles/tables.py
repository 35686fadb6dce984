from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified


class Bundle(Identified, Base):
    """An archive that was checked and is in storage. The file is written first: what has a row has its file."""

    __tablename__ = "bundles"
    __table_args__ = (
        Index("uq_bundles_project_digest", "project", "digest", unique=True),
        Index(None, "project", "created_at", "id"),
    )

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"))
    digest: Mapped[str]
    """`sha256:` and the SHA-256 of the archive."""
    format: Mapped[str]
    """`zip` or `tar.gz`."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int]
    expanded_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all files together, unpacked."""
    created_by: Mapped[str]
