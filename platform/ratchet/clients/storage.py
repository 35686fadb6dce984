"""The platform's files through fsspec: a folder, S3, GCS or Azure, by the scheme of the root."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from ratchet.clients.ports import EngineFull, EngineRefused, EngineUnavailable

LOCAL_LOOK_S = 0.05
REMOTE_LOOK_S = 1.0


class FsspecStorage:
    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._opened: tuple[Any, str] | None = None

    def uri(self, path: str) -> str:
        return f"{self._root}/{_checked(path)}"

    def write(self, path: str, data: bytes) -> None:
        self._put(path, lambda part: self._files.pipe_file(part, data))

    def upload(self, path: str, file: Path) -> None:
        self._put(path, lambda part: self._files.put_file(str(file), part))

    def _put(self, path: str, write: Callable[[str], None]) -> None:
        target = self._locate(path)
        part = f"{target}.{secrets.token_hex(4)}.part"
        try:
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            write(part)
            self._files.mv(part, target)
        except OSError as error:
            self._discard(part)
            kind = EngineFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else EngineUnavailable
            raise kind("storage", f"{self.uri(path)} can't be written: {error}") from error

    def read(self, path: str) -> bytes | None:
        try:
            data: bytes = self._files.cat_file(self._locate(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EngineUnavailable("storage", f"{self.uri(path)} can't be read: {error}") from error
        return data

    def list(self, folder: str) -> Sequence[str]:
        base = self._locate("")
        try:
            found = self._files.find(self._locate(folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EngineUnavailable("storage", f"{self.uri(folder)} can't be listed: {error}") from error
        return sorted(path.removeprefix(base).lstrip("/") for path in found if not path.endswith(".part"))

    def sizes(self, folder: str) -> Mapping[str, int]:
        base = self._locate("")
        if self._local:
            return {path.removeprefix(base).lstrip("/"): size for path, size in _walk(self._locate(folder))}
        try:
            found = self._files.find(self._locate(folder), detail=True)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise EngineUnavailable("storage", f"{self.uri(folder)} can't be listed: {error}") from error
        return {
            path.removeprefix(base).lstrip("/"): int(about.get("size") or 0)
            for path, about in found.items()
            if not path.endswith(".part")
        }

    def delete(self, folder: str) -> None:
        try:
            self._files.rm(self._locate(folder), recursive=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EngineUnavailable("storage", f"{self.uri(folder)} can't be deleted: {error}") from error

    @property
    def look_every_s(self) -> float:
        return LOCAL_LOOK_S if self._local else REMOTE_LOOK_S

    @property
    def _local(self) -> bool:
        return self._root.startswith("file:")

    def _discard(self, part: str) -> None:
        with suppress(OSError):
            self._files.rm_file(part)

    @property
    def _files(self) -> Any:
        return self._open()[0]

    def _locate(self, path: str) -> str:
        base = self._open()[1].rstrip("/")
        return f"{base}/{_checked(path)}" if path else base

    def _open(self) -> tuple[Any, str]:
        """Opened late: importing the file system of a cloud takes a second, and most processes never need it."""
        if self._opened is None:
            try:
                self._opened = fsspec.core.url_to_fs(self._root, use_listings_cache=False)
            except (ImportError, ValueError) as error:
                raise EngineUnavailable("storage", f"{self._root} can't be opened: {error}") from error
        return self._opened


def _walk(folder: str) -> Iterator[tuple[str, int]]:
    """The files below a folder of this machine, which come and go meanwhile: fsspec gives up at the first that went."""
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif not entry.name.endswith(".part"):
                with suppress(FileNotFoundError):
                    yield entry.path, entry.stat().st_size


def _checked(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise EngineRefused("storage", f"{path!r} does not lie below the storage root")
    return path
