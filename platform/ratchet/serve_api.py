"""`python -m ratchet.serve_api`: the API, in one process."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet import exclusive
from ratchet.app import create_app
from ratchet.settings import Settings

HEAD_S = 10.0
"""A connection is closed when the head of a request has not come whole by then, from its first byte or, of the first
request, from the connection on."""


class Protocol(HttpToolsProtocol):
    """uvicorn's own waits for the head of a request for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._late is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def main() -> None:
    settings = Settings()
    try:
        with exclusive.hold(settings.database, "API"):
            app = create_app(settings)
            # What is there by now stays: to look through it for garbage again and again costs requests 5 %.
            gc.freeze()
            gc.set_threshold(10_000)
            uvicorn.run(
                app,
                host=settings.host,
                port=settings.port,
                http=Protocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=settings.trusted_proxies,
                timeout_graceful_shutdown=5,
            )
    except exclusive.TakenError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
