"""By which names this API may be asked. A page of another site whose name was made to point here is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from ratchet.errors import Forbidden
from ratchet.settings import Settings

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
ANY = "*"
UNCHECKED = {"/healthz", "/readyz", "/metrics"}
"""Asked by address, by probes and Prometheus; they tell nothing of anybody."""


class Hosts:
    def __init__(self, settings: Settings) -> None:
        ours = (_host(settings.public), _host(settings.internal_url), settings.host)
        self._known = LOOPBACK | {host.lower() for host in (*ours, *settings.allowed_hosts) if host}

    def refusal(self, scope: Scope) -> Forbidden | None:
        """Why a request may not come in by its Host header; None when it may."""
        if ANY in self._known or scope["path"] in UNCHECKED:
            return None
        given = [value for name, value in scope["headers"] if name == b"host"]
        host = _host("//" + given[0].decode("latin-1")) if len(given) == 1 else ""
        if host in self._known:
            return None
        return Forbidden(
            "This API is not known by the name in the Host header.",
            code="bad_host",
            hint="RATCHET_PUBLIC_URL or RATCHET_ALLOWED_HOSTS must have the name.",
        )


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
