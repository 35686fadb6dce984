"""Who may use the installation: users, members of projects, service accounts, tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ratchet.sdk.collection import Scope
from ratchet.sdk.modes import Mode, operation, stream
from ratchet.sdk.resources import Member, Token, User


class Users(Scope[Mode]):
    """Everybody here; for platform administrators."""

    @stream
    def list(self, /, *, limit: int | None = None, **filters: Any) -> AsyncIterator[User]:
        return self._pages(User, self._global("users"), filters, limit=limit)

    @operation
    async def get(self, id: str) -> User:
        return await self._get(User, self._global("users", id))

    @operation
    async def create(self, name: str, *, email: str | None = None, platform_admin: bool = False) -> User:
        body = {"name": name, "email": email, "platform_admin": platform_admin}
        return await self._post(User, self._global("users"), body)

    @operation
    async def change(self, /, id: str, **changes: Any) -> User:
        """`email`, `platform_admin`, `disabled`: those that are given."""
        return User.model_validate(await self._transport.json("PATCH", self._global("users", id), json=changes))


class Members(Scope[Mode]):
    """The users and service accounts of the project, and what each may do."""

    @stream
    def list(self, /, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Member]:
        return self._pages(Member, self._address("members"), filters, limit=limit)

    @operation
    async def add(self, user: str, role: str) -> Member:
        """`user`: a name, an id or an e-mail address; `role`: `viewer`, `editor` or `admin`."""
        return await self._post(Member, self._address("members"), {"user": user, "role": role})

    @operation
    async def change(self, id: str, role: str) -> Member:
        return Member.model_validate(
            await self._transport.json("PATCH", self._address("members", id), json={"role": role})
        )

    @operation
    async def remove(self, id: str) -> None:
        await self._delete(self._address("members", id))


class ServiceAccounts(Scope[Mode]):
    """Accounts of the project for programs."""

    @stream
    def list(self, /, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Member]:
        return self._pages(Member, self._address("service-accounts"), filters, limit=limit)

    @operation
    async def create(self, name: str, role: str = "viewer") -> Member:
        body = {"name": name, "role": role}
        return await self._post(Member, self._address("service-accounts"), body)

    @operation
    async def delete(self, id: str) -> None:
        """With its tokens."""
        await self._delete(self._address("service-accounts", id))


class Tokens(Scope[Mode]):
    """Those that open this project alone; with `everywhere` your own for all that you may do."""

    @stream
    def list(self, /, *, everywhere: bool = False, limit: int | None = None, **filters: Any) -> AsyncIterator[Token]:
        return self._pages(Token, self._of(everywhere), filters, limit=limit)

    @operation
    async def create(
        self,
        name: str,
        scope: str,
        *,
        expires_in_days: int | None = None,
        service_account: str | None = None,
        everywhere: bool = False,
    ) -> Token:
        """A new token; `scope` is `admin`, `write`, `read` or `predict`. Its secret is in this answer alone."""
        body: dict[str, Any] = {"name": name, "scope": scope}
        if expires_in_days is not None:
            body["expires_in_days"] = expires_in_days
        if service_account is not None:
            body["service_account"] = service_account
        return await self._post(Token, self._of(everywhere), body)

    @operation
    async def revoke(self, id: str, *, everywhere: bool = False) -> None:
        await self._delete(f"{self._of(everywhere)}/{id}")

    def _of(self, everywhere: bool) -> str:
        return self._global("me", "tokens") if everywhere else self._address("tokens")
