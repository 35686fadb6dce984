"""Planted secrets do not come through; what only looks like one does."""

from __future__ import annotations

import pytest

from ratchet_pipelines.logs.redact import ENVELOPE, Redactor, masked, secrets_of
from ratchet_pipelines.spec import ENVELOPE_VARIABLE

CANARIES = [
    "rt_" + "aB3" * 14,
    "rj_job-1." + "aB3" * 14,
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ghp_" + "x1Y2" * 9,
    "github_pat_" + "11ABCDE0" * 4,
    "glpat-abcDEF123_456-789xyz",
    "hf_" + "QwErTy" * 5,
    "sk-proj-" + "abc123" * 5,
    "xoxb-1234567890-abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "S" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("line", ["{}", "before {} after", "token='{}'", '{{"x": "{}"}}', "curl -H 'X: {}'"])
def test_secrets_are_known_by_their_looks(line: str, canary: str) -> None:
    assert canary not in masked(line.format(canary))
    assert "***" in masked(line.format(canary))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann:hunter2@db:5432/x", "postgresql://ann:***@db:5432/x"),
        ("redis://:hunter2@cache/0", "redis://:***@cache/0"),
        ("GET https://x/y?page=2&access_token=abc&z=1", "GET https://x/y?page=2&access_token=***&z=1"),
        ("https://s3/x?X-Amz-Signature=abcdef&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic ***"),
        ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=*** next"),
        ("{'api_key': 'hunter2', 'x': 1}", "{'api_key': '***', 'x': 1}"),
        ('"client_secret" : "hunter2"', '"client_secret" : "***"'),
        ("aws_secret_access_key = hunter2", "aws_secret_access_key = ***"),
    ],
)
def test_secrets_are_known_by_their_place(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Epoch 3 of 20: val/loss 0.41, train/tokens 81920",
        "num_tokens=1024 max_tokens: 77 pad_token='[PAD]'",
        "task-abcdefghijklmnopqrstuvwxyz started",
        "password=None secret: required",
        "see https://example.org/docs?page=3#token",
        "start_of_epoch basic block sk-learn",
        "http://127.0.0.1:8265/api/jobs",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert masked(text) == text


def test_the_values_of_variables_that_are_named_as_secrets() -> None:
    environment = {
        "MLFLOW_TRACKING_TOKEN": "abc/def+ghi",
        "DB_PASSWORD": "correct horse",
        "SIGNING_KEY": "line-one-of-key\nline-two-of-key",
        "RATCHET_TOKEN_FILE": "/etc/ratchet/token",
        "SHORT_TOKEN": "abc",
        "PATH": "/usr/local/bin",
    }
    redactor = Redactor(secrets_of(environment))
    assert redactor.line("with abc/def+ghi, abc%2Fdef%2Bghi and correct horse") == "with ***, *** and ***"
    assert redactor.line("line-two-of-key") == "***"
    assert redactor.line("/etc/ratchet/token /usr/local/bin abc") == "/etc/ratchet/token /usr/local/bin abc"


def test_a_private_key_over_many_lines() -> None:
    redactor = Redactor(set())
    lines = [
        "key: -----BEGIN RSA PRIVATE KEY-----",
        "MIIEpAIBAAKCAQEA",
        "x1y2",
        "-----END RSA PRIVATE KEY----- done",
        "on",
    ]
    shown = [redactor.line(line) for line in lines]
    assert "MIIEpAIBAAKCAQEA" not in "".join(shown)
    assert (shown[1:3], shown[4]) == (["***", "***"], "on")
    assert shown[3].endswith("done")


def test_a_long_line_takes_no_long_time() -> None:
    for part in ("a.", "a-b:", "password ", "key_", "://a:", "eyJ."):
        masked(part * (16_000 // len(part)))


def test_the_variables_that_a_spec_gives_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENVELOPE == ENVELOPE_VARIABLE
    monkeypatch.setenv(ENVELOPE, '{"spec": {"env": {"DB_PASSWORD": "canary-canary"}}}')
    assert Redactor.of_process().line("canary-canary") == "***"
    monkeypatch.setenv(ENVELOPE, "[")
    assert Redactor.of_process().line("canary-canary") == "canary-canary"
