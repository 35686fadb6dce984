"""Where the client finds the API and its token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratchet.sdk.config import resolve
from ratchet.sdk.errors import RatchetError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state.json").write_text(json.dumps({"urls": {"api": "http://127.0.0.1:9001/api/v1"}}))
    (tmp_path / "token").write_text("local-token\n")
    return tmp_path


def test_the_stack_of_this_machine_is_found(home: Path) -> None:
    found = resolve(environ={"RATCHET_HOME": str(home)})
    assert (found.url, found.token, found.project) == ("http://127.0.0.1:9001", "local-token", "default")


def test_the_environment_goes_before_the_stack(home: Path) -> None:
    environ = {
        "RATCHET_HOME": str(home),
        "RATCHET_URL": "https://r.example/",
        "RATCHET_TOKEN": "t",
        "RATCHET_PROJECT": "p",
    }
    found = resolve(environ=environ)
    assert (found.url, found.token, found.project) == ("https://r.example", "t", "p")


def test_arguments_go_before_the_environment(home: Path) -> None:
    environ = {
        "RATCHET_HOME": str(home),
        "RATCHET_URL": "https://r.example",
        "RATCHET_TOKEN": "t",
        "RATCHET_PROJECT": "p",
    }
    found = resolve("http://other", "mine", "q", environ=environ)
    assert (found.url, found.token, found.project) == ("http://other", "mine", "q")


def test_the_local_token_is_never_sent_elsewhere(home: Path) -> None:
    assert resolve("https://r.example", environ={"RATCHET_HOME": str(home)}).token is None


def test_the_local_token_goes_with_the_local_address_given_by_hand(home: Path) -> None:
    assert resolve("http://127.0.0.1:9001/", environ={"RATCHET_HOME": str(home)}).token == "local-token"


def test_a_token_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(" abc \n")
    assert resolve(environ={"RATCHET_HOME": str(tmp_path), "RATCHET_TOKEN_FILE": str(tmp_path / "t")}).token == "abc"


def test_a_token_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(RatchetError, match="cannot be read"):
        resolve(environ={"RATCHET_HOME": str(tmp_path), "RATCHET_TOKEN_FILE": str(tmp_path / "none")})


def test_the_token_is_not_in_the_repr(home: Path) -> None:
    assert "local-token" not in repr(resolve(environ={"RATCHET_HOME": str(home)}))
