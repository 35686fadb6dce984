"""The Python client of Ratchet, over its REST API alone.

    from ratchet.sdk import Client

    with Client() as ratchet:
        job = ratchet.jobs.submit({"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"})
        job = ratchet.jobs.wait(job, on_change=lambda job: print(job.status))

`AsyncClient` has the same methods, to be awaited:

    async with AsyncClient() as ratchet:
        async for update in ratchet.jobs.follow(await ratchet.jobs.submit(spec)):
            print(update.kind, update.data)

Importing this package loads nothing else; a name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratchet.sdk import resources as resources
    from ratchet.sdk.client import AsyncClient as AsyncClient
    from ratchet.sdk.client import Client as Client
    from ratchet.sdk.errors import Conflict as Conflict
    from ratchet.sdk.errors import Forbidden as Forbidden
    from ratchet.sdk.errors import Invalid as Invalid
    from ratchet.sdk.errors import JobFailed as JobFailed
    from ratchet.sdk.errors import NotFound as NotFound
    from ratchet.sdk.errors import RatchetError as RatchetError
    from ratchet.sdk.errors import RateLimited as RateLimited
    from ratchet.sdk.errors import ServerError as ServerError
    from ratchet.sdk.errors import ServerUnavailable as ServerUnavailable
    from ratchet.sdk.errors import Unauthorized as Unauthorized
    from ratchet.sdk.errors import WaitTimeout as WaitTimeout
    from ratchet.sdk.errors import WorkFailed as WorkFailed

_HOME = {
    **dict.fromkeys(["AsyncClient", "Client"], "ratchet.sdk.client"),
    **dict.fromkeys(
        [
            "Conflict",
            "Forbidden",
            "Invalid",
            "JobFailed",
            "NotFound",
            "RateLimited",
            "RatchetError",
            "ServerError",
            "ServerUnavailable",
            "Unauthorized",
            "WaitTimeout",
            "WorkFailed",
        ],
        "ratchet.sdk.errors",
    ),
}

__all__ = [  # noqa: PLE0604, RUF100
    "AsyncClient",
    "Client",
    "Conflict",
    "Forbidden",
    "Invalid",
    "JobFailed",
    "NotFound",
    "RatchetError",
    "RateLimited",
    "ServerError",
    "ServerUnavailable",
    "Unauthorized",
    "WaitTimeout",
    "WorkFailed",
    "resources",
]


def __getattr__(name: str) -> Any:
    if name == "resources":
        return import_module("ratchet.sdk.resources")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
