"""Who asks, found by a secret: one query, and for two seconds from memory.

What a principal may do is all in one value, so that a check asks nothing of the database. A refusal is never given from
memory: a role that was just given holds at once, one that was taken ends within the two seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, event, or_, select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import db_now, read_only
from ratchet.errors import Unauthorized
from ratchet.identity import jobtokens
from ratchet.identity.jobtokens import JobClaim
from ratchet.identity.roles import Role, Scope, narrowed
from ratchet.identity.tables import Account, Membership, Token
from ratchet.jobs.tables import Attempt, Job
from ratchet.projects.tables import Project
from ratchet.settings import Settings

REMEMBER_S = 2.0
MAX_REMEMBERED = 10_000
_CHANGED = "identity_changed"


@dataclass(frozen=True)
class Principal:
    """An account, as far as the secret that it came with reaches."""

    id: str
    """The account's."""
    actor: str
    scope: Scope
    project: str | None = None
    """The only project that the token opens."""
    platform_admin: bool = False
    roles: Mapping[str, Role] = field(default_factory=dict)
    """By project, as far as the token's scope reaches. A platform administrator's are not listed."""
    token_id: str = ""
    job: JobClaim | None = None
    """For an attempt's token: what it is for."""
    tracking_only: bool = False
    """It opens MLflow behind `/mlflow`, and nothing of `/api/v1`."""

    def role_in(self, project: str) -> Role | None:
        if self.platform_admin and self.project in (None, project):
            return self.scope.role
        return self.roles.get(project)

    def may(self, role: Role, project: str) -> bool:
        mine = self.role_in(project)
        return mine is not None and mine.includes(role)

    def reaches(self, other: Principal) -> bool:
        """Whether it may do all that the other may."""
        return self.platform_admin >= other.platform_admin and all(
            self.may(role, project) for project, role in other.roles.items()
        )

    @property
    def is_platform_admin(self) -> bool:
        """Whether it may do what concerns the whole installation, with this token."""
        return self.platform_admin and self.project is None and self.scope is Scope.ADMIN


class AttemptEnded(Unauthorized):
    """The token is one of ours, so nobody guesses: a job's process that goes on for a moment after its end."""

    code = "attempt_ended"


@dataclass(frozen=True)
class _Remembered:
    principal: Principal
    until: float


class Principals:
    """Finds principals for one process. Safe to share between threads."""

    def __init__(self, sessions: sessionmaker[Session], settings: Settings) -> None:
        self._sessions = sessions
        self._settings = settings
        self._remembered: dict[str, _Remembered] = {}
        self._familiar: set[str] = set()
        self._projects: set[str] = set()
        self._used: set[str] = set()
        event.listen(sessions, "after_commit", self._forget_if_changed)

    def known(self, secret: str) -> Principal | None:
        """From memory, without a query; None when it must be looked up."""
        known = self._remembered.get(token_hash(secret))
        return known.principal if known is not None and known.until > time.monotonic() else None

    def familiar(self, secret: str) -> bool:
        """Whether this process has found it before, and not refused it since: it is no guess."""
        return token_hash(secret) in self._familiar

    def find(self, secret: str, project: str | None) -> Principal:
        """From memory, or else as `look_up` does."""
        return self.known(secret) or self.look_up(secret, project)

    def look_up(self, secret: str, project: str | None) -> Principal:
        """In one query; `Unauthorized` when the secret is nobody's. `project` is asked for along with it: `exists`."""
        key = token_hash(secret)
        try:
            principal = self._of_job(secret) if secret.startswith(jobtokens.PREFIX) else self._load(key, project)
        except Unauthorized:
            self._remembered.pop(key, None)
            self._familiar.discard(key)
            raise
        if len(self._familiar) >= MAX_REMEMBERED:
            self._remembered.clear()
            self._familiar.clear()
        self._familiar.add(key)
        self._remembered[key] = _Remembered(principal, time.monotonic() + REMEMBER_S)
        if principal.token_id:
            self._used.add(principal.token_id)
        return principal

    def exists(self, project: str) -> bool:
        """Whether there is such a project, as of the last `look_up` that named it: a project is never deleted."""
        return project in self._projects

    def forget(self) -> None:
        self._remembered.clear()

    def note_use(self) -> None:
        """Write down when the tokens seen since the last call were used."""
        used, self._used = self._used, set()
        if used:
            with self._sessions() as session:
                session.execute(
                    update(Token)
                    .where(Token.id.in_(used))
                    .values(last_used_at=db_now(), updated_at=Token.updated_at)
                    .execution_options(synchronize_session=False)
                )
                session.commit()

    def _load(self, key: str, project: str | None) -> Principal:
        there = select(Project.name).where(Project.name == project).scalar_subquery()
        of_token = or_(Token.project.is_(None), Token.project == Membership.project)
        query = (
            select(Token, Account, Membership.project, Membership.role, there)
            .join(Account, Account.id == Token.owner_id)
            .outerjoin(Membership, and_(Membership.account_id == Account.id, of_token))
            .where(Token.hash == key, alive())
        )
        with read_only(self._sessions) as session:
            # The lookup is by the hash of 256 random bits: its timing tells nothing of the secret.
            rows = session.execute(query).all()
        if not rows:
            if (replicas := self._of_replicas(key)) is not None:
                return replicas
            raise _unknown()
        token, account, _, _, found = rows[0]
        if found is not None:
            self._projects.add(found)
        scope = Scope(token.scope)
        roles = {name: narrowed(Role(role), scope) for _, _, name, role, _ in rows if name is not None}
        return Principal(
            id=account.id,
            actor=account.name,
            scope=scope,
            project=token.project,
            platform_admin=account.platform_admin,
            roles={name: role for name, role in roles.items() if role is not None},
            token_id=token.id,
        )

    def _of_job(self, secret: str) -> Principal:
        """Of a job's attempt, while it lives: it reads its project in MLflow, and writes its own run."""
        claim = jobtokens.verify(self._settings.secret_key, secret)
        if claim is None:
            raise _unknown()
        alive = select(Job.project).join(Attempt, Attempt.job_id == Job.id)
        alive = alive.where(Job.id == claim.job_id, Attempt.number == claim.attempt, Attempt.ended_at.is_(None))
        with read_only(self._sessions) as session:
            project = session.scalar(alive)
        if project is None:
            raise AttemptEnded("The attempt that this token was made for has ended.")
        return Principal(
            id=claim.job_id,
            actor=f"job/{claim.job_id}",
            scope=Scope.READ,
            project=project,
            roles={project: Role.VIEWER},
            job=claim,
            tracking_only=True,
        )

    def _of_replicas(self, key: str) -> Principal | None:
        """Of the replicas, which read every project's models."""
        token = self._settings.read_serving_token()
        if not token or not hmac.compare_digest(token_hash(token), key):
            return None
        return Principal(id="replicas", actor="replicas", scope=Scope.READ, platform_admin=True, tracking_only=True)

    def _forget_if_changed(self, session: Session) -> None:
        if session.info.pop(_CHANGED, False):
            self.forget()


def changed(session: Session) -> None:
    """Say that an account, a role or a token changes: once that is committed, this process forgets what it knew."""
    session.info[_CHANGED] = True


def _unknown() -> Unauthorized:
    return Unauthorized(
        "The token is not known, has expired or was revoked.", hint="`ratchet config` shows where yours is kept."
    )


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def alive() -> ColumnElement[bool]:
    """Of a token joined with its owner's account."""
    return and_(
        Token.revoked_at.is_(None),
        or_(Token.expires_at.is_(None), Token.expires_at > db_now()),
        Account.disabled_at.is_(None),
    )
