"""The two clients, blocking and for an event loop: one object, with each part of the API as an attribute."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from ratchet.sdk.admin import Events, Projects
from ratchet.sdk.bundles import Bundles
from ratchet.sdk.collection import Scope
from ratchet.sdk.config import Connection, resolve
from ratchet.sdk.documents import Documents
from ratchet.sdk.endpoints import Endpoints
from ratchet.sdk.identity import Members, ServiceAccounts, Tokens, Users
from ratchet.sdk.jobs import Jobs
from ratchet.sdk.models import Models
from ratchet.sdk.modes import Async, Mode, Sync, operation
from ratchet.sdk.queue import JobQueue
from ratchet.sdk.resources import Info, Me, Recipe
from ratchet.sdk.transport import ATTEMPTS, TIMEOUT_S, Transport, options_of
from ratchet.sdk.watch import ABTests, Monitors, Pipelines
from ratchet.sdk.webhooks import Webhooks
from ratchet.sdk.wire import AsyncWire, BlockingWire, Wire


class Api(Scope[Mode]):
    """The whole API: what both clients have."""

    def __init__(self, connection: Connection, wire: Wire, attempts: int) -> None:
        self.connection = connection
        super().__init__(Transport(connection, wire, attempts=attempts), connection.project, blocking=wire.blocking)
        self.jobs: Jobs[Mode] = self._part(Jobs)
        self.bundles: Bundles[Mode] = self._part(Bundles)
        self.queue: JobQueue[Mode] = self._part(JobQueue)
        self.models: Models[Mode] = self._part(Models)
        self.endpoints: Endpoints[Mode] = self._part(Endpoints)
        self.abtests: ABTests[Mode] = self._part(ABTests)
        self.monitors: Monitors[Mode] = self._part(Monitors)
        self.pipelines: Pipelines[Mode] = self._part(Pipelines)
        self.documents: Documents[Mode] = self._part(Documents)
        self.projects: Projects[Mode] = self._part(Projects)
        self.users: Users[Mode] = self._part(Users)
        self.members: Members[Mode] = self._part(Members)
        self.service_accounts: ServiceAccounts[Mode] = self._part(ServiceAccounts)
        self.tokens: Tokens[Mode] = self._part(Tokens)
        self.events: Events[Mode] = self._part(Events)
        self.webhooks: Webhooks[Mode] = self._part(Webhooks)

    @property
    def project(self) -> str:
        return self._project

    @operation
    async def info(self) -> Info:
        """Version, mode, addresses, and the state of the cluster."""
        return await self._get(Info, self._global("info"))

    @operation
    async def me(self) -> Me:
        """Whom the token belongs to and what it may do."""
        return await self._get(Me, self._global("me"))

    @operation
    async def recipes(self) -> list[Recipe]:
        """What can be trained, with the JSON schema of each one's parameters."""
        return [Recipe.model_validate(item) for item in await self._transport.json("GET", self._global("recipes"))]

    @operation
    async def close(self) -> None:
        """Closes the connections. A client that is used in a `with` block is closed at its end."""
        await self._transport.wire.close()


class Client(Api[Sync]):
    """Talks to one Ratchet about one project. Safe to share between threads.

    Without arguments it takes `RATCHET_URL`, `RATCHET_TOKEN` (or `RATCHET_TOKEN_FILE`) and `RATCHET_PROJECT`, else the
    stack that `ratchet up` started on this machine. `attempts` is how often a request is made while nobody answers:
    5 wait about 3 seconds in all, 9 about 50; `timeout` is how many seconds the answer to one may take.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        token_file: Path | None = None,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT_S,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        connection = resolve(url, token, project, token_file)
        super().__init__(connection, BlockingWire(transport, **options_of(connection, timeout)), attempts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(Api[Async]):
    """`Client` for an event loop: the same arguments and the same methods, each to be awaited, or iterated over with
    `async for`. One for each loop."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        token_file: Path | None = None,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        connection = resolve(url, token, project, token_file)
        super().__init__(connection, AsyncWire(transport, **options_of(connection, timeout)), attempts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
