"""Bundles: code for custom jobs, uploaded once for each content."""

from __future__ import annotations

from pathlib import Path

from ratchet.sdk.collection import Collection
from ratchet.sdk.errors import NotFound
from ratchet.sdk.modes import Mode, operation
from ratchet.sdk.resources import Bundle

UPLOAD_TIMEOUT_S = 600.0


class Bundles(Collection[Mode, Bundle]):
    resource = Bundle
    name = "bundles"

    @operation
    async def upload(self, code: str | Path) -> Bundle:
        """Uploads a folder, without what its `.gitignore` names, or a zip or tar.gz; or nothing, when it is there."""
        from ratchet.sdk.code import packed

        with packed(Path(code)) as archive:
            try:
                return await self.get(archive.digest)
            except NotFound:
                answer = await self._transport.json(
                    "POST",
                    self._address("bundles"),
                    file=archive.path,
                    headers={"Content-Type": "application/octet-stream"},
                    timeout=UPLOAD_TIMEOUT_S,
                )
        return Bundle.model_validate(answer)
