"""A folder as it is uploaded: what Git leaves out is left out, and the same files are the same archive."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.sdk import code as module
from ratchet.sdk import ignore
from ratchet.sdk.code import packed
from ratchet.sdk.errors import Invalid
from ratchet_pipelines.archives import Limits


def fill(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    with packed(folder) as archive, tarfile.open(archive.path) as tar:
        return tar.getnames()


def test_what_the_rules_name_is_left_out(tmp_path):
    fill(tmp_path, train_DOT_py="", data__big_DOT_csv="", pkg__a_DOT_log="", pkg__a_DOT_py="", pkg__keep_DOT_log="")
    fill(tmp_path, _DOT_gitignore="*.log\n/data/\n# no.py\n", pkg___DOT_gitignore="!keep.log\n")
    fill(tmp_path, _DOT_git__config="")
    (tmp_path / "pkg" / "__pycache__").mkdir()
    (tmp_path / "pkg" / "__pycache__" / "a.pyc").write_text("")
    assert names(tmp_path) == [".gitignore", "pkg/.gitignore", "pkg/a.py", "pkg/keep.log", "train.py"]


def test_the_rules_of_the_repository_around_a_folder_count(tmp_path):
    fill(tmp_path, _DOT_git__config="", _DOT_gitignore="*.log\n/sub/secret\n")
    fill(tmp_path / "sub", a_DOT_py="", a_DOT_log="", secret="")
    assert names(tmp_path / "sub") == ["a.py"]


def test_the_same_files_are_the_same_archive(tmp_path):
    folders = [fill(tmp_path / name, a_DOT_py="1", b_DOT_py="2") for name in ("x", "y")]
    os.utime(folders[0] / "a.py", (1, 1))
    with packed(folders[0]) as first, packed(folders[1]) as second:
        assert first.digest == second.digest
    (folders[1] / "a.py").chmod(0o755)
    with packed(folders[0]) as first, packed(folders[1]) as second:
        assert first.digest != second.digest


def test_a_link_inside_becomes_what_it_points_to_and_one_outside_is_refused(tmp_path):
    folder = fill(tmp_path / "code", a_DOT_py="1")
    (folder / "b.py").symlink_to("a.py")
    assert names(folder) == ["a.py", "b.py"]
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(Invalid, match="out is no file of the folder"):
        names(folder)
    (folder / ".gitignore").write_text("out\n")
    assert "out" not in names(folder)


def test_an_archive_is_taken_as_it_is(tmp_path):
    (tmp_path / "code.zip").write_bytes(b"PK")
    with packed(tmp_path / "code.zip") as archive:
        assert archive.path == tmp_path / "code.zip"


def test_nothing_and_too_much_are_said_before_anything_is_sent(tmp_path, monkeypatch):
    with pytest.raises(Invalid, match="no folder"), packed(tmp_path / "nowhere"):
        pass
    with pytest.raises(Invalid, match="no file in"):
        names(tmp_path)
    fill(tmp_path, a="1", big="22")
    monkeypatch.setattr(module, "Limits", lambda: Limits(files=1))
    with pytest.raises(Invalid, match="2 files of 3 bytes") as refused:
        names(tmp_path)
    assert "big, a" in refused.value.hint


PATTERNS = st.lists(
    st.text(st.sampled_from("ab*?/!.[]-\\# "), min_size=1, max_size=7)
    | st.sampled_from(["**/a", "a/**", "a/**/b", "/a", "a/", "!a", "!b/", "[ab]", "[!a]", "*.b", "\\!a", "a\\ ", "**"]),
    max_size=4,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ignored")
    subprocess.run(["git", "init", "-q", folder], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
    for name in ("a", "b", "a.b", "ab", "c/a", "c/b", "c/a.b", "c/d/a", "c/d/b", "d/a/b", "d/b/a", "!a", "#a", "[a]"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


@settings(max_examples=60)
@given(PATTERNS, PATTERNS)
def test_the_rules_are_git_s_own(repository: Path, root: list[str], inner: list[str]) -> None:
    (repository / ".gitignore").write_text("\n".join(root) + "\n")
    (repository / "c" / ".gitignore").write_text("\n".join(inner) + "\n")
    found = {str(path.relative_to(repository)) for path in ignore.files(repository)}
    listed = subprocess.run(
        ["git", "-C", repository, "ls-files", "-z", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "XDG_CONFIG_HOME": tempfile.gettempdir()},
    )
    assert found == set(filter(None, listed.stdout.split("\0")))


def bundle(**fields: Any) -> dict[str, Any]:
    return {"id": "bun-1", "digest": "sha256:" + "a" * 64, "files": 1, **fields}


def test_code_is_uploaded_when_it_is_not_there(client, server, tmp_path):
    fill(tmp_path, a_DOT_py="1")
    server.will(404, {"title": "x", "detail": "no bundle"})
    server.will(201, bundle())
    assert client.bundles.upload(tmp_path).id == "bun-1"
    with packed(tmp_path) as archive:
        assert server.requests[0].url.path.endswith(f"/bundles/{archive.digest}")
        assert server.requests[1].read() == archive.path.read_bytes()


def test_code_that_is_there_is_not_sent_again(client, server, tmp_path):
    fill(tmp_path, a_DOT_py="1")
    server.will(200, bundle())
    assert client.bundles.upload(str(tmp_path)).files == 1
    assert [request.method for request in server.requests] == ["GET"]


def test_a_custom_job_from_a_folder(client, server, tmp_path):
    import json

    fill(tmp_path, a_DOT_py="1")
    server.will(200, bundle())
    server.will(202, {"id": "job-1", "status": "queued"})
    job = client.jobs.custom(["python", "a.py"], code=tmp_path, env={"LR": "1"})
    assert job.id == "job-1"
    assert json.loads(server.requests[1].content) == {
        "kind": "custom",
        "code": {"kind": "archive", "digest": bundle()["digest"]},
        "entrypoint": ["python", "a.py"],
        "env": {"LR": "1"},
    }


def test_a_batch_prediction(client, server):
    import json

    for model in ("cancer:champion", "cancer:3", {"name": "cancer", "version": 3}):
        server.will(202, {"id": "job-1", "status": "queued"})
        client.jobs.batch_predict(model, "sklearn://iris", chunk_rows=5)
    sent = [json.loads(request.content) for request in server.requests]
    assert [spec["model"] for spec in sent] == [
        {"name": "cancer", "alias": "champion"},
        {"name": "cancer", "version": 3},
        {"name": "cancer", "version": 3},
    ]
    assert sent[0] == {
        "kind": "batch_prediction",
        "model": {"name": "cancer", "alias": "champion"},
        "input": "sklearn://iris",
        "chunk_rows": 5,
    }
    with pytest.raises(Invalid, match="NAME:VERSION"):
        client.jobs.batch_predict("cancer", "sklearn://iris")
