"""Secrets in text, masked: by how they look, by the name they stand under, and the values that are known to be some."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

MASK = "***"
ENVELOPE = "RATCHET_JOB"
"""`spec.ENVELOPE_VARIABLE`; the specs themselves take longer to import than this may."""
MIN_LENGTH = 8
"""A shorter value is not looked for: it may be a word, and masking it would make a log unreadable."""

NAME = re.compile(
    r"(?i)passw(?:or)?d|secret|(?:^|_|-)(?:token|passphrase|pwd|credentials?|api_?key|access_?key|auth|dsn|"
    r"connection_?string)(?:$|_|-)|_key$"
)
"""The names of environment variables that hold a secret."""
HARMLESS = frozenset({"RATCHET_TOKEN_FILE", "SSH_AUTH_SOCK", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"})

SHAPES = (
    r"\br[jst]_[A-Za-z0-9._-]{20,}",  # this platform's: of jobs, sessions, and people
    r"\bwhsec_[A-Za-z0-9+/=]{16,}",  # Standard Webhooks
    r"\bgh[opsur]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # a JSON Web Token
    r"(?i:(?<=\bbearer )|(?<=\bbasic ))[A-Za-z0-9._~+/=-]{8,}",
)
SHAPE = re.compile("|".join(f"(?:{shape})" for shape in SHAPES))
SHAPE_PARTS = (
    *(
        "rj_",
        "rs_",
        "rt_",
        "whsec_",
        "gho_",
        "ghp_",
        "ghs_",
        "ghu_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "hf_",
        "sk-",
        "xox",
    ),
    *("akia", "asia", "aiza", "eyj", "bearer ", "basic "),
)
"""A text without any of these has no `SHAPE`: looked for first, since that takes a fiftieth of the time."""
URL_PASSWORD = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,15}://[^\s/:@'\"]{0,200}):[^\s@'\"]{1,500}@(?=[^\s])")
URL_PARAMETER = re.compile(
    r"(?i)([?&](?:[a-z0-9_.-]{0,40}(?:token|signature|secret|password|api_?key|credential)|sig|key)=)[^&\s'\"]+"
)
NAMED = re.compile(
    r"(?i)((?<![a-z])(?:[a-z0-9]{1,30}[_-]){0,4}(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|"
    r"secret[_-]?key|private[_-]?key|access[_-]?token|auth[_-]?token|refresh[_-]?token|client[_-]?secret)"
    r"[\"']?\s{0,3}(?:=>|[=:])\s{0,3})(\"[^\"]{1,2000}\"|'[^']{1,2000}'|[^\s,;\"'&)}\]]{4,})"
)
"""`password=…`, `"api_key": "…"`. Not a bare `token`, of which the logs of language models are full."""
NAME_PARTS = ("passw", "passphrase", "pwd", "secret", "key", "token")
NO_SECRET = frozenset({"none", "null", "true", "false", "undefined", "required", MASK})
KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
KEY_ENDS = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY-----")


def masked(text: str) -> str:
    """The text with whatever looks like a secret masked."""
    lower = text.lower()
    if any(part in lower for part in SHAPE_PARTS):
        text = SHAPE.sub(MASK, text)
    if "://" in text:
        text = URL_PASSWORD.sub(rf"\1:{MASK}@", text)
        text = URL_PARAMETER.sub(rf"\1{MASK}", text)
    return NAMED.sub(_value, text) if any(part in lower for part in NAME_PARTS) else text


def _value(match: re.Match[str]) -> str:
    name, value = match.groups()
    bare = value.strip("\"'")
    if bare.lower() in NO_SECRET:
        return match.group()
    mark = value[0] if value[0] in "\"'" else ""
    return f"{name}{mark}{MASK}{mark}"


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """The values of the variables that are named as secrets, each line of one on its own, also as URLs write them."""
    found = set()
    for name, value in environment.items():
        if name not in HARMLESS and NAME.search(name):
            lines = {line.strip() for line in value.splitlines()}
            found |= {form for line in lines for form in (line, quote(line, safe="")) if len(line) >= MIN_LENGTH}
    return found


class Redactor:
    """Masks line by line; a private key goes over several."""

    def __init__(self, known: set[str]) -> None:
        """`known` are values to mask wherever they stand."""
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None
        self._in_key = False

    @classmethod
    def of_process(cls) -> Redactor:
        """Knows the secrets of this process's environment, and of the one that a job's spec gives its program."""
        known = secrets_of(os.environ)
        with contextlib.suppress(ValueError, KeyError, AttributeError, TypeError):
            known |= secrets_of(json.loads(os.environ[ENVELOPE])["spec"]["env"])
        return cls(known)

    def text(self, text: str) -> str:
        return "\n".join(map(self.line, text.split("\n")))

    def line(self, text: str) -> str:
        if self._in_key or "PRIVATE KEY-----" in text:
            return self._key(text)
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return masked(text)

    def _key(self, text: str) -> str:
        if not self._in_key:
            begins = KEY_BEGINS.search(text)
            if begins is None:
                return masked(text)
            rest = text[begins.end() :]
            self._in_key = True
            return masked(text[: begins.end()]) + self._key(rest)
        ends = KEY_ENDS.search(text)
        if ends is None:
            return MASK
        self._in_key = False
        return MASK + text[ends.start() :]
