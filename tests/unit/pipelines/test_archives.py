"""Archives from strangers: nothing is written outside the folder, nothing unpacks to more than it may."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet_pipelines import archives
from ratchet_pipelines.archives import ArchiveError, Limits

FILES = {"train.py": b"print('hello')\n", "pkg/__init__.py": b"", "pkg/data/values.csv": b"1,2\n" * 100}
SMALL = Limits(files=50, expanded_bytes=4 * 1024**2)


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def zip_member(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[[bytes], dict[str, bytes]]:
    """Unpacks into a folder between two others, and looks that neither check nor unpacking left anything elsewhere."""

    def run(data: bytes) -> dict[str, bytes]:
        archive, folder = tmp_path / "archive", tmp_path / "here"
        archive.write_bytes(data)
        folder.mkdir()
        try:
            found = archives.check(archive, SMALL)
            assert archives.unpack(archive, folder, SMALL) == found
        except ArchiveError:
            with pytest.raises(ArchiveError):  # the cluster refuses what the platform refuses
                archives.unpack(archive, folder, SMALL)
            raise
        finally:
            assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "here"]
            assert not [path for path in folder.rglob("*") if path.is_symlink()]
            assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= SMALL.expanded_bytes
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return run


def test_what_is_packed_is_what_is_unpacked(tmp_path, unpack):
    for name, content in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "source/train.py").chmod(0o700)
    packed = []
    for names in (list(FILES), list(reversed(FILES))):
        os.utime(tmp_path / "source/train.py", (len(packed), len(packed)))
        packed.append(io.BytesIO())
        archives.pack(tmp_path / "source", names, packed[-1])
    assert packed[0].getvalue() == packed[1].getvalue()
    shutil.rmtree(tmp_path / "source")
    assert unpack(packed[0].getvalue()) == FILES
    assert os.access(tmp_path / "here/train.py", os.X_OK)
    assert not os.access(tmp_path / "here/pkg/__init__.py", os.X_OK)


def test_a_zip_and_a_tar_with_folders_and_dots_in_their_paths(unpack, tmp_path):
    assert unpack(zip_of(("./pkg/", b""), ("./pkg/a.py", b"1"), ("b.py", b"2"))) == {"pkg/a.py": b"1", "b.py": b"2"}


def test_a_tar_with_folders(unpack):
    folder = member("./", b"", type=tarfile.DIRTYPE)
    assert unpack(tar_of(folder, member("./pkg/", b"", type=tarfile.DIRTYPE), member("pkg/a", b"1"))) == {"pkg/a": b"1"}


PATHS = ["../x", "pkg/../../x", "/x", "/etc/passwd", "C:/x", "..\\x", "a\\b", "x\ny", "x\x1b[2J", "a/" * 600, "n" * 300]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_folder(unpack, path):
    with pytest.raises(ArchiveError):
        unpack(tar_of(member("ok"), member(path)))


@pytest.mark.parametrize("path", [*PATHS, "x\0y"])
def test_no_path_of_a_zip_leads_out_of_the_folder(unpack, path):
    info = zipfile.ZipInfo("placeholder")
    info.filename = path
    data = zip_of(("ok", b"x"), (info, b"x"))
    with pytest.raises(ArchiveError):
        unpack(data)


@pytest.mark.parametrize(
    "type",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"V"],
)
def test_links_and_devices_are_refused(unpack, type):
    with pytest.raises(ArchiveError, match="no plain file"):
        unpack(tar_of(member("ok"), member("ok2", b"", type=type, linkname="/etc")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(unpack, kind):
    with pytest.raises(ArchiveError, match="no plain file"):
        unpack(zip_of((zip_member("link", kind | 0o777), b"/etc")))


def test_writing_through_a_link_is_impossible(unpack):
    link = member("out", b"", type=tarfile.SYMTYPE, linkname="..")
    with pytest.raises(ArchiveError):
        unpack(tar_of(link, member("out/x")))


def test_zeros_in_a_tar_are_a_bomb(unpack):
    with pytest.raises(ArchiveError, match="100 times"):
        unpack(tar_of(member("zeros", bytes(3 * 1024**2))))


def test_zeros_in_a_zip_are_a_bomb(unpack):
    with pytest.raises(ArchiveError, match="100 times"):
        unpack(zip_of(("zeros", bytes(3 * 1024**2))))


def test_a_zip_whose_entries_share_their_bytes_is_a_bomb(unpack):
    """As in `zbsm.zip`: many entries of the directory, one stretch of data."""
    data = zip_of(("a", os.urandom(200_000)))
    at = data.index(b"PK\x01\x02")
    entry, end = data[at : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    copies = b"".join(entry[:-1] + bytes([97 + i]) for i in range(26))
    end = end[:8] + struct.pack("<HHLL", 26, 26, len(copies), at) + end[20:]
    with pytest.raises(ArchiveError):
        unpack(data[:at] + copies + end)


def test_a_small_file_may_be_packed_well(unpack):
    assert unpack(zip_of(("zeros", bytes(500_000)))) == {"zeros": bytes(500_000)}


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_what_unpacks_to_more_than_the_limit_is_refused(unpack, make):
    content = os.urandom(SMALL.expanded_bytes // 2 + 1)
    members = [("a", content), ("b", content)]
    with pytest.raises(ArchiveError, match="more than"):
        unpack(make(*(members if make is zip_of else [member(*each) for each in members])))


def test_too_many_files(unpack):
    with pytest.raises(ArchiveError, match="more than 50 files"):
        unpack(tar_of(*(member(f"f{i}") for i in range(51))))


def test_too_many_files_in_a_zip_are_refused_before_its_directory_is_read(unpack, monkeypatch):
    data = zip_of(*((f"f{i}", b"x") for i in range(51)))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(ArchiveError, match="more than 50 files"):
        unpack(data)


def test_a_tar_header_that_would_fill_the_memory_is_refused(unpack):
    """A pax header is read whole by tarfile: one of gigabytes of zeros is a bomb that no file's size shows."""
    out = io.BytesIO()
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2 * 1024**2
    with gzip.GzipFile(fileobj=out, mode="wb") as zipped:
        zipped.write(header.tobuf() + b"\0" * header.size + bytes(1024))
    with pytest.raises(ArchiveError, match="too long"):
        unpack(out.getvalue())


@pytest.mark.parametrize("type", [b"0", b"5"])
def test_an_entry_of_negative_size_does_not_go_round_for_ever(unpack, type):
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[124:136], header[156:157] = b"\xff" * 10 + b"\xfc\x00", type
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(ArchiveError):
        unpack(gzip.compress(bytes(header) + bytes(1024)))


# Named: an archive's bytes hold the time at which it was made.
DAMAGED = {
    "empty": b"",
    "two bytes": b"PK",
    "a zip without members": b"PK\x05\x06" + bytes(18),
    "text": b"hello, I am no archive",
    "gzip of text": gzip.compress(b"hello, I am no tar"),
    "gzip of nothing but zeros": gzip.compress(bytes(10240)),
    "a tar cut short": tar_of(member("a"))[:-4],
    "a tar with something after": tar_of(member("a")) + b"more",
    "two tars": tar_of(member("a")) + tar_of(member("b")),
    "a zip cut short": zip_of(("a", b"x" * 1000))[:-30],
    "a folder alone": tar_of(member("a", b"", type=tarfile.DIRTYPE)),
    "one name in two spellings": tar_of(member("a"), member("./a")),
    "a file, then a folder": tar_of(member("a"), member("a/b")),
    "a folder, then a file": tar_of(member("a/b"), member("a")),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_or_contradictory_archives_are_refused(unpack, data):
    with pytest.raises(ArchiveError):
        unpack(data)


def test_a_tar_that_is_damaged_in_its_middle_is_not_taken_for_a_shorter_one(unpack):
    raw = bytearray(gzip.decompress(tar_of(member("a"), member("b"), member("c"))))
    raw[1024 + 148] ^= 1  # the checksum of b's header
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(gzip.compress(bytes(raw)))


def test_a_zip_whose_content_does_not_fit_its_checksum_is_refused(unpack):
    data = bytearray(zip_of(("a", b"x" * 100), compression=zipfile.ZIP_STORED))
    data[40] ^= 1
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(bytes(data))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_whose_memory_has_no_bound_are_refused(unpack, compression):
    with pytest.raises(ArchiveError, match="unusual"):
        unpack(zip_of(("a", b"x"), compression=compression))


ARCHIVES = [
    tar_of(member("a/b", b"1" * 600), member("c", b"2")),
    zip_of(("a/b", b"1" * 600), ("c", b"2")),
    zlib.decompress(zlib.compress(zip_of(("a", b"x"), compression=zipfile.ZIP_STORED))),
]


@settings(max_examples=200)
@given(st.sampled_from(ARCHIVES), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
def test_whatever_is_changed_in_an_archive_it_is_refused_or_stays_inside(data: bytes, changes: list[tuple[int, int]]):
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(changed)] = value
    with tempfile.TemporaryDirectory() as name:
        archive, folder = Path(name) / "archive", Path(name) / "a" / "b" / "here"
        archive.write_bytes(bytes(changed))
        folder.mkdir(parents=True)
        with contextlib.suppress(ArchiveError):
            archives.unpack(archive, folder, SMALL)
        assert {path for path in Path(name).rglob("*") if folder not in path.parents} == {
            archive,
            folder,
            folder.parent,
            folder.parent.parent,
        }


@given(st.text(max_size=40))
def test_a_safe_path_stays_below_its_folder(name: str):
    try:
        path = archives.safe_path(name)
    except ArchiveError:
        return
    whole = os.path.normpath(f"/folder/{path}")
    assert whole == "/folder" or whole.startswith("/folder/")
    assert archives.safe_path(path) == path
