"""HTTP for bundles."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request, Response
from fastapi import Path as InPath

from ratchet.auth import Reader, Writer
from ratchet.bundles import receive, service
from ratchet.bundles.schemas import BUNDLE_FIELDS, BundleView
from ratchet.db import ReadSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.routing import Router

router = Router(tags=["bundles"])
BUNDLES = "/projects/{project}/bundles"
CHECKS = CapacityLimiter(2)
"""Unpacking takes a processor: uploads wait for each other, and nothing else for them."""

BINARY = {"schema": {"type": "string", "format": "binary"}}
ARCHIVE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A zip or a tar.gz, as it is: told apart by its first bytes.",
        "content": {"application/zip": BINARY, "application/gzip": BINARY, "application/octet-stream": BINARY},
    }
}
BundlePage = Annotated[Page, Depends(listing(BUNDLE_FIELDS))]
Digest = Annotated[str, InPath(max_length=80)]


@router.post(
    BUNDLES,
    status_code=201,
    openapi_extra=ARCHIVE,
    responses={200: {"model": BundleView, "description": "It was here already."}},
)
async def upload_bundle(project: str, principal: Writer, request: Request, response: Response) -> BundleView:
    """Upload code for custom jobs. It is kept by its content: the same archive again is the same bundle.

    Refused are links, devices, paths that lead out of the archive's folder, and archives that unpack to more than
    1 GiB, more than 20,000 files or more than 100 times their size.
    """
    state = request.app.state
    with tempfile.TemporaryDirectory(prefix="ratchet-upload-") as folder:
        received = await receive.receive(request.stream(), Path(folder) / "archive")
        keep = partial(
            receive.keep,
            received,
            sessions=state.sessions,
            storage=state.clients.storage,
            project=project,
            actor=principal.actor,
        )
        view, new = await to_thread.run_sync(keep, limiter=CHECKS)
    if not new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/projects/{project}/bundles/{view.digest}"
    return view


@router.get(BUNDLES)
def list_bundles(project: str, principal: Reader, session: ReadSession, page: BundlePage) -> PageOf[BundleView]:
    """Newest first."""
    rows, following = service.list_bundles(session, project, page)
    return PageOf(items=[BundleView.model_validate(row) for row in rows], next_page_token=following)


@router.get(f"{BUNDLES}/{{digest}}")
def get_bundle(project: str, digest: Digest, principal: Reader, session: ReadSession) -> BundleView:
    """Whether a bundle is here, by its digest (`sha256:…`): what is need not be uploaded."""
    return BundleView.model_validate(service.get(session, project, digest))
