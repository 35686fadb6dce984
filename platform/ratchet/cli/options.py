"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

_LIST = "List options"

Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="EXPRESSION",
        help='Those alone that it holds for, such as \'status = "running" and created_at > "2026-01-01"\'.',
        rich_help_panel=_LIST,
    ),
]
OrderBy = Annotated[
    str | None,
    typer.Option("--order-by", metavar="FIELDS", help="Such as 'priority desc, created_at'.", rich_help_panel=_LIST),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.", rich_help_panel=_LIST)]
LIMIT = 50
