"""A folder of code as the archive that is uploaded: what Git would leave out is left out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ratchet.sdk import ignore
from ratchet.sdk.errors import Invalid
from ratchet_pipelines import archives
from ratchet_pipelines.archives import Limits


@dataclass(frozen=True)
class Packed:
    path: Path
    digest: str


@contextmanager
def packed(code: Path) -> Iterator[Packed]:
    """The archive of a folder, for as long as it is needed; an archive is taken as it is.

    The same files give the same digest. Raises `Invalid` for what can't be packed: links that lead out of the
    folder, more than an archive may hold.
    """
    if code.is_file():
        yield Packed(code, archives.digest_of(code))
        return
    if not code.is_dir():
        raise Invalid(f"There is no folder and no archive {str(code)!r}.")
    folder = code.resolve()
    names = _names(folder)
    with tempfile.TemporaryDirectory(prefix="ratchet-code-") as scratch:
        path = Path(scratch) / "code.tar.gz"
        with path.open("xb") as file:
            archives.pack(folder, names, file)
        yield Packed(path, archives.digest_of(path))


def _names(folder: Path) -> list[str]:
    sizes = {}
    for path in ignore.files(folder):
        name = path.relative_to(folder).as_posix()
        target = path.resolve()
        if not target.is_file() or not target.is_relative_to(folder):
            raise Invalid(
                f"{name} is no file of the folder: links that lead out, and devices, are not uploaded.",
                hint=f"Leave it out: add it to {ignore.NAME}.",
            )
        sizes[name] = target.stat().st_size
    limits, total = Limits(), sum(sizes.values())
    if not sizes:
        raise Invalid(f"There is no file in {folder}.")
    if len(sizes) > limits.files or total > limits.expanded_bytes:
        largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
        raise Invalid(
            f"{folder} holds {len(sizes):,} files of {total:,} bytes; at most {limits.files:,} files of "
            f"{limits.expanded_bytes:,} bytes are taken.",
            hint=f"Add what is no code to {ignore.NAME}. The largest: {', '.join(largest)}.",
        )
    return list(sizes)
