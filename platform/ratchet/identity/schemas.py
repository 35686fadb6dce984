from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ratchet.identity.roles import Role, Scope
from ratchet.identity.tables import Account, AccountKind, Membership, Source, Token
from ratchet.lists.fields import Fields, Kind, attribute, column
from ratchet_pipelines.spec import Name

UserName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
Email = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: UserName
    """How the audit log calls this person; an e-mail address will do."""
    email: Email | None = None
    """A first OpenID login with this address, verified, becomes this user."""
    platform_admin: bool = False


class UserChanges(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email | None = None
    platform_admin: bool | None = None
    disabled: bool | None = None
    """A disabled user's tokens and sessions open nothing, until it is enabled again."""


class UserView(BaseModel):
    id: str
    name: str
    email: str | None
    platform_admin: bool
    disabled: bool
    signs_in_by: str | None
    """The OpenID provider; null for who has tokens alone."""
    last_login_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: Account) -> UserView:
        return cls(
            id=row.id,
            name=row.name,
            email=row.email,
            platform_admin=row.platform_admin,
            disabled=row.disabled_at is not None,
            signs_in_by=row.issuer,
            last_login_at=row.last_login_at,
            created_at=row.created_at,
        )


USER_FIELDS = Fields(
    {
        "id": column(Account.id),
        "name": column(Account.name),
        "email": column(Account.email),
        "platform_admin": column(Account.platform_admin),
        "disabled": column(Account.disabled_at.is_not(None)),
        "signs_in_by": column(Account.issuer),
        "last_login_at": column(Account.last_login_at),
        "created_at": column(Account.created_at),
    }
)


class NewMember(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=254)]
    """A user's name, id or e-mail address."""
    role: Role


class MemberChanges(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role


class MemberView(BaseModel):
    id: str
    """The account's."""
    kind: AccountKind
    name: str
    role: Role
    source: Source
    """`oidc`: given by the groups of the last login, and taken by the next."""
    created_at: datetime

    @classmethod
    def of(cls, row: Membership, account: Account) -> MemberView:
        return cls(
            id=account.id,
            kind=AccountKind(account.kind),
            name=account.name,
            role=Role(row.role),
            source=Source(row.source),
            created_at=row.created_at,
        )


MEMBER_FIELDS = Fields(
    {
        "id": attribute("id", Kind.TEXT),
        "kind": attribute("kind", Kind.TEXT),
        "name": attribute("name", Kind.TEXT),
        "role": attribute("role", Kind.TEXT),
        "source": attribute("source", Kind.TEXT),
        "created_at": attribute("created_at", Kind.TIME),
    },
    order="name",
    descending=False,
)


class NewServiceAccount(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    role: Role = Role.VIEWER


class NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    scope: Scope
    expires_in_days: int | None = Field(default=90, ge=1, le=3_650)
    """No end when null."""


class NewProjectToken(NewToken):
    service_account: Name | None = None
    """The service account of this project that it is for; your own when null."""


class TokenView(BaseModel):
    id: str
    name: str
    owner: str
    project: str | None
    """The only project that it opens; all of its owner's when null."""
    scope: Scope
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To within a minute."""

    @classmethod
    def of(cls, row: Token, owner: str) -> TokenView:
        return cls(
            id=row.id,
            name=row.name,
            owner=owner,
            project=row.project,
            scope=Scope(row.scope),
            prefix=row.prefix,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )


TOKEN_FIELDS = Fields(
    {
        "id": attribute("id", Kind.TEXT),
        "name": attribute("name", Kind.TEXT),
        "owner": attribute("owner", Kind.TEXT),
        "project": attribute("project", Kind.TEXT, nullable=True),
        "scope": attribute("scope", Kind.TEXT),
        "prefix": attribute("prefix", Kind.TEXT),
        "created_at": attribute("created_at", Kind.TIME),
        "expires_at": attribute("expires_at", Kind.TIME, nullable=True),
        "revoked_at": attribute("revoked_at", Kind.TIME, nullable=True),
        "last_used_at": attribute("last_used_at", Kind.TIME, nullable=True),
    }
)


class TokenCreated(TokenView):
    token: str
    """The secret. It is shown this once."""


class NewSession(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=200)


class Me(BaseModel):
    id: str
    actor: str
    scope: Scope
    platform_admin: bool
    projects: list[str]
    roles: dict[str, Role]
    """What you may do in each project, as far as the token reaches."""


class OidcConfig(BaseModel):
    name: str
    """What to call the provider on the login page."""
    login_url: str
    """Where to lead the browser; `?next=` names the page to come back to."""


class AuthConfig(BaseModel):
    """How one signs in: always with a token, and at an OpenID provider where there is one."""

    oidc: OidcConfig | None
