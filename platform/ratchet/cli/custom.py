"""`run` and `batch`: a program of the user's own, and the predictions of a whole table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli.app import App
from ratchet.cli.train import PANEL, ModelName, Room, Submission, start

if TYPE_CHECKING:
    from ratchet.sdk.client import Client


def add_to(app: App) -> None:
    app.add(
        "run",
        "ratchet run --code ./train --follow -- python train.py --lr 0.1",
        "ratchet run --git https://example.com/code.git@COMMIT --gpus 1 -- python -m train",
        "ratchet run --image registry.example.com/train:v1 -- python /app/train.py",
        panel=PANEL,
    )(run)
    app.add(
        "batch",
        "ratchet batch cancer:champion --input s3://bucket/rows.parquet --follow",
        "ratchet batch cancer:3 -i file:///data/rows -o file:///data/answers --workers 4",
        panel=PANEL,
    )(batch)


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- PROGRAM [ARGUMENT]…", help="What to run.")],
    room: Room,
    submission: Submission,
    code: Annotated[
        str | None,
        typer.Option("--code", metavar="PATH", help="A folder (without what .gitignore names), a zip or a tar.gz."),
    ] = None,
    git: Annotated[
        str | None, typer.Option("--git", metavar="URL@COMMIT", help="A Git repository at a full commit.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="NAME", help="A container image.")] = None,
    working_dir: Annotated[
        str | None, typer.Option("--dir", metavar="PATH", help="The folder of the code to start in.")
    ] = None,
    env: Annotated[list[str], typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable; no secrets.")] = [],  # noqa: B006  typer reads it, and gives a new list each time
    model: ModelName = None,
) -> None:
    """Run a program of your own on the cluster.

    Plain `mlflow` calls in it log into the job's run. A folder is packed and uploaded once for each content. What
    follows `--` is the program and its arguments, and no shell is in between.
    """
    from ratchet.cli.errors import UsageError

    if [code, git, image].count(None) != 2:
        raise UsageError("Say where the code is: one of --code PATH, --git URL@COMMIT and --image NAME.")
    spec = {
        "kind": "custom",
        "entrypoint": command,
        "working_dir": working_dir,
        "env": dict(_variable(pair) for pair in env) or None,
        "model": model,
        **room.spec,
    }
    if code is not None:
        chosen = code
        start(spec, submission, prepare=lambda ratchet: {"code": _uploaded(ratchet, chosen)})
        return
    spec["code"] = _commit(git) if git is not None else {"kind": "image", "uri": image}
    start(spec, submission)


def batch(
    model: Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="NAME:VERSION or NAME:ALIAS.")],
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="URI", help="A Parquet or CSV URI, or sklearn://NAME.")
    ],
    room: Room,
    submission: Submission,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="URI", help="A new folder; one in the platform's storage.")
    ] = None,
    chunk_rows: Annotated[
        int | None, typer.Option("--chunk-rows", min=1, help="Rows that are predicted at once.")
    ] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Before the names of the answers.")] = None,
) -> None:
    """Predict every row of a table; every column is kept, the answers are put beside them, as Parquet."""
    from ratchet.sdk.jobs import model_choice

    spec = {
        "kind": "batch_prediction",
        "model": model_choice(model),
        "input": input,
        "output": output,
        "chunk_rows": chunk_rows,
        "prefix": prefix,
        **room.spec,
    }
    start(spec, submission)


def _uploaded(ratchet: Client, path: str) -> dict[str, Any]:
    from ratchet.cli import output

    bundle = ratchet.bundles.upload(path)
    output.note(f"Code {bundle.digest[:19]}… ({bundle.files} files, {bundle.size_bytes:,} bytes).")
    return {"kind": "archive", "digest": bundle.digest}


def _commit(text: str) -> dict[str, Any]:
    from ratchet.cli.errors import UsageError

    url, _, commit = text.rpartition("@")
    if not url or not re.fullmatch("[0-9a-f]{40}", commit):
        raise UsageError(
            f"--git {text}: write URL@COMMIT, with the commit in full.", hint="`git rev-parse HEAD` says it."
        )
    return {"kind": "git", "url": url, "commit": commit}


def _variable(pair: str) -> tuple[str, str]:
    from ratchet.cli.errors import UsageError

    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise UsageError(f"--env {pair}: write it as --env NAME=VALUE.")
    return name, value
