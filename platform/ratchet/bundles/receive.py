"""An upload, from the first byte to the row: received to a file, checked, put into storage, written down.

No session is open while bytes are received, checked or stored.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from ratchet.bundles import service
from ratchet.bundles.schemas import BundleView
from ratchet.clients.ports import Storage
from ratchet.db import read_only
from ratchet.errors import Invalid, RequestTimeout
from ratchet_pipelines import archives
from ratchet_pipelines.archives import ArchiveError, Content
from ratchet_pipelines.usercode import bundle_path

SILENCE_S = 30.0
"""An upload of which nothing comes for this long is cut."""
WHOLE_S = 900.0


@dataclass(frozen=True)
class Received:
    path: Path
    digest: str
    size_bytes: int


async def receive(body: AsyncIterator[bytes], path: Path) -> Received:
    """Write the body to a new file. `RequestTimeout` when it comes too slowly; the middleware bounds its size."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        try:
            async with asyncio.timeout(WHOLE_S):
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        block = await anext(body, None)
                    if block is None:
                        break
                    size += len(block)
                    digest.update(block)
                    file.write(block)
        except TimeoutError as error:
            raise RequestTimeout(
                f"The upload came too slowly: at most {SILENCE_S:g} s of silence, and {WHOLE_S:g} s in all."
            ) from error
    return Received(path, f"sha256:{digest.hexdigest()}", size)


def keep(
    received: Received, *, sessions: sessionmaker[Session], storage: Storage, project: str, actor: str
) -> tuple[BundleView, bool]:
    """The bundle, and whether it is new. `Invalid` says why an archive is refused."""
    with read_only(sessions) as session:
        known = service.find(session, project, received.digest)
        if known is not None:
            return BundleView.model_validate(known), False
    content = _checked(received)
    storage.upload(bundle_path(project, received.digest), received.path)
    try:
        with sessions() as session:
            size = received.size_bytes
            row = service.add(
                session, project=project, digest=received.digest, size_bytes=size, content=content, actor=actor
            )
            view = BundleView.model_validate(row)
            session.commit()
            return view, True
    except IntegrityError:  # somebody else uploaded the same meanwhile
        with read_only(sessions) as session:
            return BundleView.model_validate(service.get(session, project, received.digest)), False


def _checked(received: Received) -> Content:
    try:
        return archives.check(received.path)
    except ArchiveError as error:
        raise Invalid(
            f"The archive is refused: {error}.",
            code="archive_refused",
            hint="Send a zip or a tar.gz of plain files below one folder; `ratchet run --code FOLDER` packs one.",
        ) from error
