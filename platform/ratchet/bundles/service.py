"""What may be done with bundles: keep one, once for each content; and find it again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.bundles.tables import Bundle
from ratchet.db import new_id
from ratchet.errors import NotFound
from ratchet.lists.paging import Page
from ratchet_pipelines.archives import Content


def find(session: Session, project: str, digest: str) -> Bundle | None:
    return session.scalar(select(Bundle).where(Bundle.project == project, Bundle.digest == digest))


def get(session: Session, project: str, digest: str) -> Bundle:
    row = find(session, project, digest)
    if row is None:
        raise NotFound(
            f"There is no bundle {digest[:80]!r} in the project {project!r}.",
            hint=f"Upload it: POST /api/v1/projects/{project}/bundles, or `ratchet run --code FOLDER`.",
        )
    return row


def list_bundles(session: Session, project: str, page: Page) -> tuple[Sequence[Bundle], str]:
    """Newest first; also the token of the next page."""
    return page.take(session, select(Bundle).where(Bundle.project == project))


def add(session: Session, *, project: str, digest: str, size_bytes: int, content: Content, actor: str) -> Bundle:
    """Write down an archive that is in storage."""
    row = Bundle(
        id=new_id("bun"),
        project=project,
        digest=digest,
        format=content.format,
        size_bytes=size_bytes,
        files=content.files,
        expanded_bytes=content.expanded_bytes,
        created_by=actor,
    )
    session.add(row)
    session.flush()
    events.emit(
        session,
        project=project,
        actor=actor,
        action="bundle.uploaded",
        target=("bundle", row.id),
        after={"digest": digest, "size_bytes": size_bytes, "files": content.files},
    )
    session.flush()
    session.refresh(row)
    return row
