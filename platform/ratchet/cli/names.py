"""The short forms in which people write things: `cancer:3`, `a=cancer:3@0.5`."""

from __future__ import annotations

import re
from typing import Any

from ratchet.cli.errors import UsageError


def model_version(text: str) -> tuple[str, int]:
    """`cancer:3`."""
    name, _, version = text.rpartition(":")
    if not name or not version.isdigit() or int(version) < 1:
        raise UsageError(f"{text!r} is no version of a model: write NAME:VERSION, such as cancer:3.")
    return name, int(version)


def variant(text: str) -> dict[str, Any]:
    """`NAME=MODEL:VERSION` or `NAME=MODEL:ALIAS`, with `@WEIGHT` when there are more than one."""
    match = re.fullmatch(r"([^=]+)=([^=@]+):([^:@]+)(?:@(.+))?", text)
    if match is None:
        raise UsageError(
            f"{text!r} is no variant.",
            hint="Write NAME=MODEL:VERSION@WEIGHT, such as a=cancer:3@0.5 or b=cancer:champion@0.5.",
        )
    name, model, which, weight = match.groups()
    chosen: dict[str, Any] = {"version": int(which)} if which.isdigit() else {"alias": which}
    return {"name": name, "model": model, **chosen, **({} if weight is None else {"weight": share(weight, text)})}


def variants(texts: list[str]) -> list[dict[str, Any]]:
    """Variants with their weights; without any, the traffic is shared out evenly."""
    found = [variant(text) for text in texts]
    given = ["weight" in one for one in found]
    if any(given) and not all(given):
        raise UsageError("Give every variant a weight (@0.5), or none.")
    return found if all(given) else [{**one, "weight": 1 / len(found)} for one in found]


def weights(texts: list[str]) -> dict[str, float]:
    """`a=0.9 b=0.1`."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r}: write NAME=WEIGHT, such as a=0.9.")
        found[name] = share(number, text)
    return found


def share(text: str, where: str) -> float:
    """`0.25` or `25%`."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"{where}: {text!r} is no share; write 0.25 or 25%.") from None
    if not 0 <= number <= 1:
        raise UsageError(f"{where}: a share is between 0 and 1, or between 0% and 100%.")
    return number
