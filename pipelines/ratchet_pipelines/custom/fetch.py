"""The code of a custom job, brought to where it runs: an archive from the platform's storage, or a commit from Git."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import fsspec

from ratchet_pipelines import archives
from ratchet_pipelines.archives import ArchiveError, Limits, Tree
from ratchet_pipelines.errors import BadEnvironmentError, UserError
from ratchet_pipelines.usercode import FILE_GIT_VARIABLE, Archive, Git, bundle_path

GIT_TIMEOUT_S = 60.0
"""Of each connection and each wait for data."""
SSH = "ssh -oBatchMode=yes -oConnectTimeout=20"
"""Never asks anything: there is nobody to answer."""
SUBMODULE = 0o160000


def fetch(code: Archive | Git, *, storage: str, project: str, folder: Path) -> None:
    """Put the code into `folder`, which must exist and be empty.

    Raises:
        UserError: The code can't be used, and never could: an archive that is refused, a commit that is not there.
        BadEnvironmentError: It can't be had from here now: the storage or the repository does not answer.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        if isinstance(code, Archive):
            _archive(code.digest, f"{storage}/{bundle_path(project, code.digest)}", Path(scratch), folder)
        else:
            _git(code, Path(scratch), folder)


def _archive(digest: str, uri: str, scratch: Path, folder: Path) -> None:
    packed = scratch / "archive"
    try:
        with fsspec.open(uri, "rb") as source, packed.open("wb") as target:
            shutil.copyfileobj(source, target, archives.BLOCK)
    except (OSError, ImportError) as error:
        raise BadEnvironmentError(f"The code {digest} can't be read from {uri}: {error}") from error
    if archives.digest_of(packed) != digest:
        raise BadEnvironmentError(f"The code at {uri} is not what was uploaded: its SHA-256 is another.")
    try:
        archives.unpack(packed, folder)
    except ArchiveError as error:
        raise UserError(f"The archive {digest} is refused: {error}.") from error


def _git(code: Git, scratch: Path, folder: Path) -> None:
    if code.url.startswith("file:") and os.environ.get(FILE_GIT_VARIABLE) != "1":
        raise UserError(f"{code.url} is a folder of the cluster's: this platform takes code from https:// and ssh://.")
    from dulwich.objects import Commit, Tag
    from dulwich.repo import Repo

    with Repo.init_bare(str(scratch)) as repo:
        _fetch_commit(code, repo)
        store: Any = repo.object_store
        found = store[commit] if (commit := code.commit.encode()) in store else None
        if not isinstance(found, Commit):
            what = "is a tag: give the commit that it points to" if isinstance(found, Tag) else "is not there"
            raise UserError(f"The commit {code.commit} of {code.url} {what}.")
        try:
            _check_out(repo, found.tree, folder)
        except ArchiveError as error:
            raise UserError(f"The commit {code.commit} of {code.url} is refused: {error}.") from error


def _fetch_commit(code: Git, repo: Any) -> None:
    """The commit alone where the server gives it; else all of the repository's branches and tags."""
    from dulwich.client import default_urllib3_manager, get_transport_and_path_from_url
    from dulwich.config import StackedConfig
    from dulwich.errors import GitProtocolError

    wanted = code.commit.encode()
    config = StackedConfig.default()
    pool: Any = default_urllib3_manager(config, timeout=GIT_TIMEOUT_S)
    client: Any
    client, path = get_transport_and_path_from_url(
        code.url, config=config, ssh_command=SSH, quiet=True, pool_manager=pool
    )
    try:
        try:
            client.fetch(path, repo, determine_wants=lambda refs, depth=None: [wanted], depth=1)
        except (GitProtocolError, KeyError):
            client.fetch(path, repo)
    except Exception as error:  # there is no common class of what dulwich and those below it raise
        why = str(error) or type(error).__name__
        raise BadEnvironmentError(f"{code.url} can't be fetched: {why}") from error


def _check_out(repo: Any, tree_id: bytes, folder: Path) -> None:
    tree, links = Tree(folder, Limits()), []
    for entry in repo.object_store.iter_tree_contents(tree_id):
        name = os.fsdecode(entry.path)
        if entry.mode == SUBMODULE:
            print(f"{name} is a submodule: its code is not fetched.", flush=True)  # noqa: T201 - the job's log
            tree.add_folder(name)
            continue
        content = repo.object_store[entry.sha].data
        if stat.S_ISLNK(entry.mode):
            links.append((name, os.fsdecode(content)))
        else:
            tree.add_file(name, io.BytesIO(content), executable=bool(entry.mode & 0o111))
    for name, target in links:  # last, so that nothing is ever written through one
        tree.add_link(name, target)
