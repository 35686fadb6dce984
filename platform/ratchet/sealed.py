"""Secrets that must be known again to be used, as they lie in the database: encrypted with the platform's key."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken

PREFIX = "sealed:"


def seal(key: bytes, secret: str) -> str:
    return PREFIX + _box(key).encrypt(secret.encode()).decode()


def unseal(key: bytes, kept: str) -> str | None:
    """The secret; None when it was sealed with another key. What is from before there was a seal is given as it is."""
    if not kept.startswith(PREFIX):
        return kept
    try:
        return _box(key).decrypt(kept.removeprefix(PREFIX)).decode()
    except InvalidToken:
        return None


def _box(key: bytes) -> Fernet:
    """The platform's key is random: it needs no stretching, but a use of its own (it signs tokens, too)."""
    return Fernet(base64.urlsafe_b64encode(hmac.new(key, b"sealed secrets", hashlib.sha256).digest()))
