"""Metrics that MLflow could not be told yet, in a file of the job's storage: its next attempt tells them.

A point may be sent again after a crash. MLflow keeps one point for each time, step and value of a metric in a run, so
that it is there once.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import fsspec

from ratchet_pipelines.spec import Envelope

logger = logging.getLogger(__name__)

Entry = tuple[str, str, float, int, int]
"""(run id, metric, value, Unix time in ms, step)"""


@dataclass
class Spool:
    """The file of one attempt, in a folder that all attempts of a job share."""

    folder: str
    """A URI."""
    attempt: int
    _written: bool = False
    _left: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, envelope: Envelope) -> Spool:
        return cls(f"{envelope.storage}/jobs/{envelope.job}/metrics", envelope.attempt)

    def left(self) -> list[Entry]:
        """What earlier attempts could not send. Their files stay until `clear`."""
        try:
            files, folder = self._open()
            names = sorted(files.ls(folder, detail=False)) if files.exists(folder) else []
            self._left = [name for name in names if name.endswith(".json") and name != self._name(folder)]
            found = [entry for name in self._left for entry in _read(files, name)]
            return [(str(run), str(key), float(value), int(at), int(step)) for run, key, value, at, step in found]
        except Exception as error:  # whatever the storage raises, the training goes on
            logger.warning("The metrics that earlier attempts left could not be read (%s).", error)
            return []

    def keep(self, waiting: list[Entry]) -> None:
        """Write all that waits in place of what was written before: a crash leaves one of the two, whole."""
        try:
            files, folder = self._open()
            files.makedirs(folder, exist_ok=True)
            files.pipe_file(f"{self._name(folder)}.part", json.dumps(waiting).encode())
            files.mv(f"{self._name(folder)}.part", self._name(folder))
            self._written = True
        except Exception as error:
            logger.warning("The metrics that wait could not be written down (%s); they are in memory.", error)

    def clear(self) -> None:
        """Everything was sent: this attempt's file goes, and those of earlier ones."""
        if not (self._written or self._left):
            return
        try:
            files, folder = self._open()
            for name in [*self._left, *([self._name(folder)] if self._written else [])]:
                files.rm_file(name)
            self._written, self._left = False, []
        except Exception as error:
            logger.warning("Metrics that were sent could not be taken off the list (%s).", error)

    def _name(self, folder: str) -> str:
        return f"{folder}/{self.attempt}.json"

    def _open(self) -> tuple[Any, str]:
        files, folder = fsspec.core.url_to_fs(self.folder)
        return files, str(folder).rstrip("/")


def _read(files: Any, name: str) -> list[list[Any]]:
    try:
        found: list[list[Any]] = json.loads(files.cat_file(name))
    except ValueError:  # damaged from outside: the others are still worth having
        return []
    return found
