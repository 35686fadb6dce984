"""`python -m ratchet.serve_api`: the API, in one process."""

from __future__ import annotations

import uvicorn

from ratchet.app import create_app
from ratchet.settings import Settings


def main() -> None:
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
