"""`python -m ratchet.migrate`: bring the database's schema to this version, waiting for a database that starts."""

from __future__ import annotations

from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from ratchet import db, logs
from ratchet.settings import Settings


@retry(
    retry=retry_if_exception_type(OperationalError),
    wait=wait_exponential(max=5),
    stop=stop_after_delay(60),
    reraise=True,
)
def upgrade(url: str) -> None:
    db.upgrade(url)


def main() -> None:
    settings = Settings()
    logs.configure(settings.log_format)
    upgrade(settings.database)
    logs.logger("migrate").info("schema_is_current")


if __name__ == "__main__":
    main()
