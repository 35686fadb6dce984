"""The installation: what it is, and who may use it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratchet.sdk.resources.base import Resource


class Urls(Resource):
    mlflow: str = ""
    serving: str = ""


class Cluster(Resource):
    status: str = ""
    cpus: float | None = None
    gpus: float | None = None
    memory_bytes: int | None = None
    last_seen_at: datetime | None = None


class Info(Resource):
    version: str = ""
    mode: str = ""
    urls: Urls = Urls()
    cluster: Cluster | None = None
    """The room of the Ray cluster as last seen; None before the first look."""


class Me(Resource):
    actor: str = ""
    scope: str = ""
    """admin | write | read | predict"""
    platform_admin: bool = False
    projects: list[str] = Field(default_factory=list)
    roles: dict[str, str] = Field(default_factory=dict)
    """By project: viewer | editor | admin, as far as the token reaches."""


class User(Resource):
    id: str
    name: str = ""
    email: str | None = None
    platform_admin: bool = False
    disabled: bool = False
    signs_in_by: str | None = None
    """The OpenID provider; None for who has tokens alone."""
    last_login_at: datetime | None = None
    created_at: datetime | None = None


class Member(Resource):
    id: str
    kind: str = ""
    """user | service_account"""
    name: str = ""
    role: str = ""
    """viewer | editor | admin"""
    source: str = ""
    """manual | oidc: the groups of the last login"""
    created_at: datetime | None = None


class Project(Resource):
    identity = "name"

    name: str = ""
    description: str | None = None
    created_at: datetime | None = None


class Webhook(Resource):
    identity = "name"

    id: str
    name: str = ""
    url: str = ""
    events: list[str] = Field(default_factory=list)
    enabled: bool = True
    reason: str = ""
    """Why the platform disabled it."""
    failures: int = 0
    previous_until: datetime | None = None
    secret: str | None = Field(default=None, repr=False)
    """What signs: only in the answer that made it."""
    created_by: str = ""
    created_at: datetime | None = None


class Delivery(Resource):
    id: str
    webhook: str = ""
    event: int | None = None
    action: str = ""
    status: str = ""
    """pending | delivered | dead"""
    attempts: int = 0
    status_code: int | None = None
    message: str = ""
    log: list[dict[str, Any]] = Field(default_factory=list)
    due_at: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None


class Token(Resource):
    id: str
    name: str = ""
    owner: str = ""
    project: str | None = None
    scope: str = ""
    token: str | None = Field(default=None, repr=False)
    """The secret itself: only in the answer that created it."""
    prefix: str = ""
    """How the secret begins, to tell tokens apart."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Recipe(Resource):
    identity = "name"

    name: str
    summary: str = ""
    params_schema: dict[str, Any] = Field(default_factory=dict)


class Kind(Resource):
    """A kind of file that `ratchet apply` takes."""

    identity = "kind"

    kind: str
    job: bool = False
    """Whether it is a job: run anew each time it is applied."""
    summary: str = ""
    schema_url: str = ""
    """Where its JSON schema is, from the root of the API's address."""


class Difference(Resource):
    field: str = ""
    """Such as `variants.a.weight`."""
    before: Any = None
    after: Any = None


class Request(Resource):
    method: str
    path: str
    body: dict[str, Any] = Field(default_factory=dict)
    if_match: str | None = None
    """The tag of what the plan was made from."""


class DocumentPlan(Resource):
    """What applying a document would do."""

    identity = "name"

    kind: str
    name: str = ""
    action: str = ""
    """create | update | none"""
    differences: list[Difference] = Field(default_factory=list)
    request: Request | None = None
    """The request that does it; None when there is nothing to do."""


class Target(Resource):
    kind: str = ""
    id: str = ""


class Event(Resource):
    """One line of the audit log."""

    id: str | int
    at: datetime | None = None
    project: str = ""
    actor: str = ""
    action: str = ""
    target: Target | None = None
    before: Any = None
    after: Any = None
    message: str | None = None


class Break(Resource):
    """The first entry of the audit log at which the chain of hashes does not hold."""

    kind: str = ""
    """altered | deleted | inserted | unsealed | truncated | anchor"""
    seq: int = 0
    event_id: int | None = None
    message: str = ""


class Verification(Resource):
    """What a check of the audit log found."""

    ok: bool = False
    broken: Break | None = None
    checked: int = 0
    """Links of the chain that hold."""
    anchor: str = ""
    """The last of them: keep it where the platform can't write, and give it to the next check."""
    complete: bool = False
    pending: int = 0
    """Events that are not sealed yet."""
    backdated: int = 0
    """Entries whose time lies more than ten minutes before that of one sealed earlier."""
