"""Whether the platform asks a training for its room."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from ratchet_pipelines import notes

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


@contextlib.contextmanager
def watch(uri: str | None) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the file at `uri` is there. Looked for in a thread, for a storage may take its
    time, and a training step must not wait for it. Without a `uri` nothing is ever asked."""
    asked, closing = threading.Event(), threading.Event()

    def look() -> None:
        assert uri is not None
        while not closing.is_set() and not asked.is_set():
            try:
                if notes.exists(uri):
                    asked.set()
            except Exception as error:  # whatever the storage raises, the training goes on
                logger.warning("Whether the room is wanted could not be seen (%s); looking again.", error)
            closing.wait(LOOK_EVERY_S)

    if uri is not None:
        threading.Thread(target=look, name="preemption", daemon=True).start()
    try:
        yield asked.is_set
    finally:
        closing.set()
