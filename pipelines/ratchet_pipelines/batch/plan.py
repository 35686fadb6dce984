"""What a batch prediction is to do: fixed when it first starts, kept beside its results, read by every attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
from pydantic import BaseModel, ConfigDict, ValidationError

from ratchet_pipelines.errors import DataError, UserError
from ratchet_pipelines.spec import ModelVersion

PLAN = "_plan.json"
DONE = "_SUCCESS"
"""As Spark and Hadoop mark a folder that is complete. Readers pass over names with a leading `_` or `.`."""


class Part(BaseModel):
    """One input file."""

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Chunk:
    """Some rows of one input file."""

    number: int
    path: str
    first: int
    rows: int

    @property
    def name(self) -> str:
        """Of its output file."""
        return f"part-{self.number:06}.parquet"


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True)

    job: str
    model: ModelVersion
    input: str
    """The address of the Parquet that is read: the spec's, or what was made of it."""
    parts: list[Part]
    chunk_rows: int
    prefix: str

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def chunks(self) -> Iterator[Chunk]:
        """All of them: at most `chunk_rows` rows each, none across two files."""
        number = 0
        for part in self.parts:
            for first in range(0, part.rows, self.chunk_rows):
                yield Chunk(number, part.path, first, min(self.chunk_rows, part.rows - first))
                number += 1


@dataclass(frozen=True)
class Folder:
    """Where the results go."""

    uri: str

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        files, root = fsspec.core.url_to_fs(self.uri)
        return files, root.rstrip("/")

    def names(self) -> list[str]:
        """Of the files in it; empty when there is no such folder."""
        files, root = self._opened
        try:
            found = files.ls(root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def read(self, name: str) -> bytes | None:
        files, root = self._opened
        try:
            data: bytes = files.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all to a reader."""
        files, root = self._opened
        files.makedirs(root, exist_ok=True)
        hidden = f"{root}/.{name}"
        files.pipe_file(hidden, data)
        files.mv(hidden, f"{root}/{name}")

    def plan_of(self, jobs: Sequence[str]) -> Plan | None:
        """The plan that an earlier attempt of one of the jobs made: the job itself, or one that it takes up again.

        None where there is none yet. Raises `UserError` when there is anything else: results of another job, or files
        that nobody knows of.
        """
        kept = self.read(PLAN)
        if kept is None:
            if self.names():
                raise UserError(f"{self.uri} is not empty: name a new folder for the results.")
            return None
        try:
            plan = Plan.model_validate_json(kept)
        except ValidationError as error:
            raise DataError(f"The {PLAN} of {self.uri} can't be read: name a new folder for the results.") from error
        if plan.job not in jobs:
            raise UserError(f"{self.uri} holds the results of {plan.job}: name a new folder.")
        return plan

    def keep(self, plan: Plan) -> None:
        self.write(PLAN, plan.model_dump_json(indent=1).encode())
