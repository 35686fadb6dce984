"""Code from the storage and from Git: what arrives is what was asked for, or nothing does."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from ratchet_pipelines import archives
from ratchet_pipelines.custom import fetch as module
from ratchet_pipelines.custom.fetch import fetch
from ratchet_pipelines.errors import BadEnvironmentError, UserError
from ratchet_pipelines.usercode import FILE_GIT_VARIABLE, Archive, Git, bundle_path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "code"
    folder.mkdir()
    yield folder
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")) == []


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


# -- archives


@pytest.fixture
def uploaded(tmp_path: Path) -> str:
    """The digest of an archive in the storage of the project `p`."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text("print(1)")
    packed = io.BytesIO()
    archives.pack(source, ["train.py"], packed)
    return store(tmp_path, packed.getvalue())


def store(tmp_path: Path, data: bytes, digest: str | None = None) -> str:
    (tmp_path / "packed").write_bytes(data)
    digest = digest or archives.digest_of(tmp_path / "packed")
    target = tmp_path / "storage" / bundle_path("p", digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return digest


def fetch_archive(tmp_path: Path, digest: str, folder: Path, project: str = "p") -> None:
    fetch(Archive(digest=digest), storage=(tmp_path / "storage").as_uri(), project=project, folder=folder)


def test_an_archive_from_the_storage(tmp_path, uploaded, folder):
    fetch_archive(tmp_path, uploaded, folder)
    assert files(folder) == {"train.py": "print(1)"}


def test_an_archive_of_another_project_is_not_found(tmp_path, uploaded, folder):
    with pytest.raises(BadEnvironmentError, match="can't be read"):
        fetch_archive(tmp_path, uploaded, folder, project="q")


def test_an_archive_that_was_changed_in_the_storage_is_not_unpacked(tmp_path, uploaded, folder):
    store(tmp_path, b"something else", uploaded)
    with pytest.raises(BadEnvironmentError, match="SHA-256"):
        fetch_archive(tmp_path, uploaded, folder)
    assert files(folder) == {}


def test_an_archive_is_checked_again_where_it_is_unpacked(tmp_path, folder):
    digest = store(tmp_path, b"no archive at all")
    with pytest.raises(UserError, match="refused"):
        fetch_archive(tmp_path, digest, folder)


# -- Git


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A repository and its commits: the first is reachable but no branch's head."""
    path = tmp_path_factory.mktemp("git") / "code"
    porcelain.init(str(path))
    (path / "pkg").mkdir()
    (path / "train.py").write_text("print(1)")
    (path / "pkg" / "run.sh").write_text("#!/bin/sh\n")
    (path / "pkg" / "run.sh").chmod(0o755)
    (path / "link.py").symlink_to("train.py")
    (path / "pkg" / "up.py").symlink_to("../train.py")
    commits = [commit(path, ["train.py", "pkg/run.sh", "link.py", "pkg/up.py"])]
    (path / "train.py").write_text("print(2)")
    commits.append(commit(path, ["train.py"]))
    return path, commits


def commit(path: Path, names: list[str]) -> str:
    porcelain.add(str(path), [str(path / name) for name in names])
    return porcelain.commit(str(path), message=b"x", author=b"a <a@b.c>", committer=b"a <a@b.c>").decode()


def fetch_git(url: str, commit: str, folder: Path) -> None:
    fetch(Git.model_construct(url=url, commit=commit), storage="file:///s", project="p", folder=folder)


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_GIT_VARIABLE, "1")


@pytest.mark.parametrize(("place", "content"), [(0, "print(1)"), (1, "print(2)")])
def test_a_commit_is_checked_out_as_it_was(repository, allowed, folder, place, content):
    path, commits = repository
    fetch_git(path.as_uri(), commits[place], folder)
    assert files(folder) == dict.fromkeys(["train.py", "link.py", "pkg/up.py"], content) | {"pkg/run.sh": "#!/bin/sh\n"}
    assert os.access(folder / "pkg/run.sh", os.X_OK)
    assert not (folder / ".git").exists()


def test_a_folder_of_the_cluster_is_no_repository_unless_it_is_allowed(repository, folder):
    path, commits = repository
    with pytest.raises(UserError, match="https://"):
        fetch_git(path.as_uri(), commits[0], folder)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(repository) -> Iterator[str]:
    backend = DictBackend({"/code": Repo(str(repository[0]))})
    server = make_server("127.0.0.1", 0, make_wsgi_chain(backend), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_commit_over_http(repository, served, folder):
    fetch_git(f"{served}/code", repository[1][1], folder)
    assert files(folder)["train.py"] == "print(2)"


def test_a_commit_that_the_server_does_not_give_alone_is_found_in_its_branches(repository, served, folder):
    fetch_git(f"{served}/code", repository[1][0], folder)
    assert files(folder)["train.py"] == "print(1)"


def test_a_commit_that_is_not_there(repository, served, folder):
    with pytest.raises(UserError, match="is not there"):
        fetch_git(f"{served}/code", "0" * 40, folder)


def test_a_server_that_does_not_answer_may_be_asked_again(served, folder):
    with pytest.raises(BadEnvironmentError, match="can't be fetched"):
        fetch_git(f"{served}/other", "0" * 40, folder)
    with pytest.raises(BadEnvironmentError, match="can't be fetched"):
        fetch_git("http://127.0.0.1:1/code", "0" * 40, folder)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "no.py", "self", "loop/../x"])
def test_a_link_that_leads_elsewhere_is_refused(tmp_path, allowed, folder, target):
    path = tmp_path / "linked"
    porcelain.init(str(path))
    (path / "x").write_text("x")
    (path / "self").symlink_to(target)
    with pytest.raises(UserError, match="links to"):
        fetch_git(path.as_uri(), commit(path, ["x", "self"]), folder)


def test_a_commit_has_the_limits_of_an_archive(repository, allowed, folder, monkeypatch):
    monkeypatch.setattr(module, "Limits", lambda: archives.Limits(files=2))
    with pytest.raises(UserError, match="more than 2 files"):
        fetch_git(repository[0].as_uri(), repository[1][0], folder)
