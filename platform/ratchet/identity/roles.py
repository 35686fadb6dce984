"""Roles and scopes: a role says what an account may do in a project, a scope what a token may do of that."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    """Sees everything of the project, and may ask its endpoints for predictions."""
    EDITOR = "editor"
    """Starts and changes jobs, models, endpoints, monitors."""
    ADMIN = "admin"
    """Also says who is a member."""

    def includes(self, other: Role) -> bool:
        return _RANK[self] >= _RANK[other]


class Scope(StrEnum):
    ADMIN = "admin"
    """Everything that its owner may do."""
    WRITE = "write"
    READ = "read"
    PREDICT = "predict"
    """Ask endpoints for predictions, and nothing else."""

    @property
    def role(self) -> Role | None:
        """The highest role that a token of this scope can act in; None: it opens nothing of the API."""
        return _ROLES.get(self)

    def includes(self, other: Scope) -> bool:
        if other is Scope.PREDICT:
            return self is not Scope.READ
        mine, wanted = self.role, other.role
        return mine is not None and wanted is not None and mine.includes(wanted)


_RANK = {Role.VIEWER: 1, Role.EDITOR: 2, Role.ADMIN: 3}
_ROLES = {Scope.ADMIN: Role.ADMIN, Scope.WRITE: Role.EDITOR, Scope.READ: Role.VIEWER}


def narrowed(role: Role, scope: Scope) -> Role | None:
    """What is left of a role under a scope."""
    limit = scope.role
    if limit is None:
        return None
    return role if limit.includes(role) else limit
