"""Signing in at an OpenID provider: the authorization code flow with PKCE, state and nonce.

OpenID Connect Core 1.0, section 3.1; RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ratchet.errors import Unauthorized, Unavailable
from ratchet.settings import Settings

TIMEOUT_S = 5.0
DISCOVERED_FOR_S = 3_600.0
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a key of the provider's. Never `none`, and none that is made with a secret that we have."""
LEEWAY_S = 60


@dataclass(frozen=True)
class Pending:
    """A login under way. The browser keeps it in a cookie: it alone can end what it began."""

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def begin(cls, next_page: str) -> Pending:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, local_page(next_page))

    @classmethod
    def read(cls, cookie: str) -> Pending | None:
        try:
            found = json.loads(base64.urlsafe_b64decode(cookie))
            state, nonce, verifier = (str(found[name]) for name in ("state", "nonce", "verifier"))
            return cls(state, nonce, verifier, local_page(str(found["next"])))
        except (ValueError, KeyError, TypeError):
            return None

    def cookie(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def local_page(path: str) -> str:
    """A path of this address; `/` for whatever would lead elsewhere."""
    odd = not path.startswith("/") or path[1:2] in ("/", "\\") or any(ord(letter) < 33 for letter in path)
    return "/" if odd or "\\" in path else path


class Provider:
    """The OpenID provider of the settings. Each call has a time-out; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._found: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._until = 0.0

    @cached_property
    def _client(self) -> httpx2.Client:
        return httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False)  # reads certificates, which most never need

    @property
    def redirect_uri(self) -> str:
        return f"{self._settings.public}/api/v1/auth/callback"

    def login_url(self, pending: Pending) -> str:
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self._settings.oidc_scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        address = str(self._discovered()["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    def claims(self, code: str, pending: Pending) -> dict[str, Any]:
        """Who signed in. `Unauthorized` when the provider does not confirm it."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": pending.verifier,
        }
        secret = self._settings.read_oidc_secret()
        # Each of the two is encoded as in a form before they are joined (RFC 6749, 2.3.1).
        auth = (quote_plus(self._settings.oidc_client_id), quote_plus(secret)) if secret else None
        if auth is None:
            form["client_id"] = self._settings.oidc_client_id
        answer = self._ask("POST", self._discovered()["token_endpoint"], data=form, auth=auth)
        claims = self._verified(str(answer.get("id_token", "")), pending.nonce)
        if self._settings.oidc_groups_claim not in claims and "userinfo_endpoint" in self._discovered():
            headers = {"Authorization": f"Bearer {answer.get('access_token', '')}"}
            more = self._ask("GET", self._discovered()["userinfo_endpoint"], headers=headers)
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._discovered()["issuer"]},
            aud={"essential": True, "value": self._settings.oidc_client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._decoded(token)
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise _refused(f"its answer is not to be trusted ({type(error).__name__})") from error
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._settings.oidc_client_id:
            raise _refused("its answer is for another client")
        return dict(claims)

    def _decoded(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError):
            with self._lock:  # the provider may have new keys
                self._until = 0.0
            return jwt.decode(token, self._key_set(), algorithms=ALGORITHMS).claims

    def _discovered(self) -> Mapping[str, Any]:
        self._discover()
        return self._found

    def _key_set(self) -> KeySet:
        self._discover()
        assert self._keys is not None
        return self._keys

    def _discover(self) -> None:
        with self._lock:
            if time.monotonic() < self._until:
                return
            issuer = self._settings.oidc_issuer.rstrip("/")
            found = self._ask("GET", f"{issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != issuer:
                raise Unavailable("The OpenID provider calls itself by another name than the settings do.")
            self._keys = KeySet.import_key_set(self._ask("GET", found["jwks_uri"]))  # type: ignore[arg-type]
            self._found = found
            self._until = time.monotonic() + DISCOVERED_FOR_S

    def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, url, **options)
            body = answer.json() if answer.status_code < 500 else None
        except (httpx2.HTTPError, ValueError) as error:
            raise Unavailable("The OpenID provider does not answer.") from error
        if not isinstance(body, dict):
            raise Unavailable(f"The OpenID provider answered {answer.status_code}.")
        if not answer.is_success:
            raise _refused(f"it said {str(body.get('error', answer.status_code))[:80]!r}")
        return body


def _refused(why: str) -> Unauthorized:
    return Unauthorized(
        f"The OpenID provider did not confirm the login: {why}.", code="login_refused", hint="Sign in once more."
    )
