"""Code in an archive (zip or tar.gz): packed alike from like files, checked before it is kept, unpacked where it runs.

An archive is what a stranger sent. It is read by one walk, which trusts nothing that the archive says of itself: the
check throws the content away, the unpacking writes it down. Nothing here is heavier than the standard library.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

BLOCK = 64 * 1024
MAX_HEADER_BYTES = 1024 * 1024
"""The most that is read of a tar at once: a longer header holds no path."""
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
"""Of a zip's table of contents, which Python's reader keeps whole."""
END_BYTES, ZIP64_BYTES = 22, 20
"""Of the record that ends a zip, and of the one before it that says that it is a Zip64."""
RATIO_FROM_BYTES = 1024 * 1024
"""What unpacks to less is no bomb, however well it was packed."""
MAX_PATH_CHARACTERS = 1024
MAX_PART_BYTES = 255

# What Python's readers were seen to raise for archives with bytes changed, beside the errors of their own.
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, LookupError, NotImplementedError, OverflowError, RecursionError, ValueError),
)

Format = Literal["zip", "tar.gz"]


class ArchiveError(ValueError):
    """The archive is refused; the message says why."""


@dataclass(frozen=True)
class Limits:
    files: int = 20_000
    expanded_bytes: int = 1024**3
    ratio: int = 100
    """Bytes unpacked for each byte packed."""


@dataclass(frozen=True)
class Content:
    format: Format
    files: int
    expanded_bytes: int


@dataclass(frozen=True)
class _Entry:
    name: str
    executable: bool
    stream: IO[bytes] | None
    """None for a folder. To be read before the next entry is asked for."""


def check(path: Path, limits: Limits | None = None) -> Content:
    """What is in the archive at `path`; `ArchiveError` when it may not be unpacked. Writes nothing."""
    return _walk(path, limits or Limits(), None)


def unpack(path: Path, folder: Path, limits: Limits | None = None) -> Content:
    """Unpack the archive into `folder`, which must exist and be empty; `ArchiveError` as `check`."""
    return _walk(path, limits or Limits(), folder)


def pack(folder: Path, names: Iterable[str], target: IO[bytes]) -> None:
    """Write the files `names` of `folder` as a tar.gz. The same files give the same bytes, whenever and by whomever."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w:", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(names):
            info = tarfile.TarInfo(name)
            with (folder / name).open("rb") as file:
                status = os.fstat(file.fileno())
                info.size = status.st_size
                info.mode = 0o755 if status.st_mode & 0o111 else 0o644
                tar.addfile(info, file)


def digest_of(path: Path) -> str:
    """`sha256:` and the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def safe_path(name: str) -> str:
    """A path below the folder, in its shortest form (empty for the folder itself); `ArchiveError` for any other."""
    shown = ascii(name[:100])
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or (parts and parts[0][1:2] == ":"):
        raise ArchiveError(f"the path {shown} leads out of its folder")
    if any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in name):
        raise ArchiveError(f"the path {shown} holds control characters")
    try:
        too_long = len(name) > MAX_PATH_CHARACTERS or any(len(part.encode()) > MAX_PART_BYTES for part in parts)
    except UnicodeEncodeError as error:
        raise ArchiveError(f"the path {shown} is not UTF-8") from error
    if too_long:
        raise ArchiveError(f"the path {shown}… is too long")
    return "/".join(parts)


class Tree:
    """The files and folders of a folder that is being filled: each path once, and no file where a folder is."""

    def __init__(self, folder: Path | None, limits: Limits, packed_bytes: int | None = None) -> None:
        self._folder = folder
        self._limits = limits
        self._most = limits.expanded_bytes
        if packed_bytes is not None:
            self._most = min(self._most, max(RATIO_FROM_BYTES, limits.ratio * packed_bytes))
        self._kinds: dict[str, str] = {}
        self.entries = 0
        self.files = 0
        self.bytes = 0

    def add_folder(self, name: str) -> None:
        self._count()
        path = safe_path(name)
        if path:
            self._take_folder(path)

    def add_file(self, name: str, stream: IO[bytes], *, executable: bool) -> None:
        """Takes the whole of `stream`, written down or thrown away."""
        self._count()
        path = safe_path(name)
        parent = path.rpartition("/")[0]
        if parent:
            self._take_folder(parent)
        if not path or path in self._kinds:
            raise ArchiveError(f"the path {name[:100]!a} is there twice")
        self._kinds[path] = "file"
        self.files += 1
        with self._sink(path, executable) as sink:
            while block := stream.read(BLOCK):
                self.bytes += len(block)
                self._require_small()
                sink.write(block)

    def add_link(self, name: str, target: str) -> None:
        """A link to a file or folder that was added, by a relative path that goes through no other link."""
        self._count()
        path = safe_path(name)
        at = path.split("/")[:-1]
        for part in target.split("/"):
            if part == "..":
                at = at[:-1] if at else ["", ""]
            elif part not in ("", "."):
                at = [*at, part]
            if target.startswith("/") or (at and self._kinds.get("/".join(at)) not in ("file", "folder")):
                raise ArchiveError(f"{name[:100]!a} links to {target[:100]!a}, which is no file or folder in it")
        if path in self._kinds:
            raise ArchiveError(f"the path {name[:100]!a} is there twice")
        if "/" in path:
            self._take_folder(path.rpartition("/")[0])
        self._kinds[path] = "link"
        if self._folder is not None:
            (self._folder / path).symlink_to(target)

    def _count(self) -> None:
        self.entries += 1
        if self.entries > self._limits.files:
            raise ArchiveError(f"it holds more than {self._limits.files:,} files and folders")

    def _require_small(self) -> None:
        if self.bytes > self._limits.expanded_bytes:
            raise ArchiveError(f"it unpacks to more than {self._limits.expanded_bytes:,} bytes")
        if self.bytes > self._most:
            raise ArchiveError(f"it unpacks to more than {self._limits.ratio} times its size")

    def _take_folder(self, path: str) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            if self._kinds.setdefault("/".join(parts[:depth]), "folder") != "folder":
                raise ArchiveError(f"{path[:100]!a} is a file and a folder")
        if self._folder is not None:
            (self._folder / path).mkdir(parents=True, exist_ok=True)

    def _sink(self, path: str, executable: bool) -> IO[bytes]:
        if self._folder is None:
            return Path(os.devnull).open("wb")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(self._folder / path, flags, 0o755 if executable else 0o644), "wb")


def _walk(path: Path, limits: Limits, folder: Path | None) -> Content:
    tree = Tree(folder, limits, path.stat().st_size)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            found: Format = "tar.gz"
            entries = _tar_entries(file, limits)
        elif start == b"PK\x03\x04":
            found, entries = "zip", _zip_entries(file, limits)
        else:
            raise ArchiveError("it is neither a zip nor a tar.gz, or it holds no file")
        try:
            for entry in entries:
                if entry.stream is None:
                    tree.add_folder(entry.name)
                else:
                    tree.add_file(entry.name, entry.stream, executable=entry.executable)
        except ArchiveError:
            raise
        except DAMAGED as error:
            raise ArchiveError(f"it is damaged: {error}") from error
    if not tree.files:
        raise ArchiveError("it holds no file")
    return Content(found, tree.files, tree.bytes)


def _tar_entries(file: IO[bytes], limits: Limits) -> Iterator[_Entry]:
    stream = _Gunzipped(file, limits.expanded_bytes)
    with tarfile.open(fileobj=stream, mode="r:") as tar:  # type: ignore[call-overload]
        for info in tar:
            plain = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and info.sparse is None and info.size >= 0
            if not plain and not info.isdir():
                raise ArchiveError(f"{info.name[:100]!a} is no plain file or folder: no links, no devices")
            yield _Entry(info.name, bool(info.mode & 0o111), tar.extractfile(info) if plain else None)
    if stream.last.strip(b"\0"):  # tarfile takes a header that it can't read for the end
        raise ArchiveError("it is damaged: a header is not valid")
    while stream.read(BLOCK):  # what follows the end mark: its checksum stands behind it
        pass


class _Gunzipped:
    """What tarfile reads: one gzip member, forward alone, in small reads, up to a number of bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)
        self._ready = b""
        self._at = 0
        self._limit = limit
        self.last = b""
        """What was read last."""

    def tell(self) -> int:
        return self._at

    def seek(self, to: int) -> int:
        if to < self._at:
            raise ArchiveError("it is damaged: an entry lies before the one that it follows")
        while self._at < to and self.read(min(BLOCK, to - self._at)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ArchiveError("it holds a header that is too long")
        parts, wanted = [], size
        while wanted and (self._ready or self._fill()):
            part, self._ready = self._ready[:wanted], self._ready[wanted:]
            parts.append(part)
            wanted -= len(part)
        self._at += size - wanted
        if self._at > self._limit:
            raise ArchiveError(f"it unpacks to more than {self._limit:,} bytes")
        self.last = b"".join(parts)
        return self.last

    def _fill(self) -> bool:
        while not self._ready:
            if self._inflate.eof:
                if self._inflate.unused_data or self._file.read(1):
                    raise ArchiveError("something follows the end of its gzip stream")
                return False
            packed = self._inflate.unconsumed_tail or self._file.read(BLOCK)
            if not packed:
                raise ArchiveError("it is cut short")
            self._ready = self._inflate.decompress(packed, BLOCK)
        return True


def _zip_entries(file: IO[bytes], limits: Limits) -> Iterator[_Entry]:
    _require_short_directory(file, limits)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > info.is_dir():
                raise ArchiveError(f"{info.filename[:100]!a} is no plain file or folder: no links, no devices")
            if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError(f"{info.filename[:100]!a} is encrypted or packed in an unusual way")
            if info.header_offset < 0:
                raise ArchiveError("it is damaged: an entry lies before its start")
            if info.is_dir():
                yield _Entry(info.orig_filename, False, None)
                continue
            with archive.open(info) as stream:
                # The name as it stands in the archive: Python cuts it at a NUL.
                yield _Entry(info.orig_filename, bool(info.external_attr >> 16 & 0o111), stream)


def _require_short_directory(file: IO[bytes], limits: Limits) -> None:
    """Refuse a table of contents that would fill the memory, before Python reads it; and Zip64, which no code needs."""
    size = file.seek(0, os.SEEK_END)
    tail_start = file.seek(max(0, size - END_BYTES - 0xFFFF - ZIP64_BYTES))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + END_BYTES:
        raise ArchiveError("it is cut short")
    directory_bytes = struct.unpack_from("<L", tail, at + 12)[0]
    if tail[:at][-ZIP64_BYTES:].startswith(b"PK\x06\x07") or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ArchiveError("its table of contents is too long")
    file.seek(max(0, tail_start + at - directory_bytes))
    if file.read(directory_bytes).count(b"PK\x01\x02") > limits.files:
        raise ArchiveError(f"it holds more than {limits.files:,} files and folders")
    file.seek(0)
