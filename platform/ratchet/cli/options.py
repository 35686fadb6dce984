"""Options that many commands have."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Listing:
    """What every list is asked for with; `**vars()` of it is what the SDK's lists take."""

    filter: Filter = None
    order_by: OrderBy = None
    limit: Limit = 50
