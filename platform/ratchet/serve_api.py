"""`python -m ratchet.serve_api`: the API, in one process."""

from __future__ import annotations

import sys

import uvicorn

from ratchet import exclusive
from ratchet.app import create_app
from ratchet.settings import Settings


def main() -> None:
    settings = Settings()
    try:
        with exclusive.hold(settings.database, "API"):
            uvicorn.run(
                create_app(settings),
                host=settings.host,
                port=settings.port,
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
