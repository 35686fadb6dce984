"""One API and one reconciler to a SQLite file: a second of either is refused, and told why.

SQLite itself would let them in, and they would mostly wait for each other's write lock. Postgres takes any number.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url


class TakenError(Exception):
    """Another process has the part already; the message says which, and what to do."""


@contextmanager
def hold(database_url: str, part: str) -> Iterator[None]:
    """Be the only `part` (`API`, `reconciler`) of a SQLite file while the context lasts. Raises `TakenError`.

    The lock is the kernel's, on a file beside the database: it goes with its process, however that ends.
    """
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        yield
        return
    path = Path(f"{url.database}.{part.lower()}.lock")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise TakenError(
                f"Another {part} (process {holder}) works on {url.database}, and SQLite takes one API and one "
                f"reconciler. Stop the other one, or set RATCHET_DATABASE_URL to a Postgres, which takes any number."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
