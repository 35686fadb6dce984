"""`login`, `logout`, `users`, `members`, `service-accounts` and `tokens`: who may do what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App, is_interactive
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.client import Client

users = App("Everybody here; for platform administrators.")
members = App("The members of the project, and what each may do.")
service_accounts = App("Accounts of the project for programs.")
tokens = App("Tokens: what a program signs in with.")

RoleOption = Annotated[str, typer.Option("--role", "-r", help="viewer, editor or admin.")]
Mine = Annotated[bool, typer.Option("--mine", help="For all that you may do, not for the project alone.")]
Member = Annotated[
    str, typer.Argument(metavar="MEMBER", help="The name or the id, as `ratchet members list` shows it.")
]


def add_to(app: App, panel: str) -> None:
    app.add("login", "ratchet login --url https://ratchet.example.org", panel=panel)(login)
    app.add("logout", "ratchet logout", panel=panel)(logout)
    for name, group in (
        ("users", users),
        ("members", members),
        ("service-accounts", service_accounts),
        ("tokens", tokens),
    ):
        app.add_typer(group, name=name, rich_help_panel=panel)


def login() -> None:
    """Keep a token for an address, and use that address from now on.

    The token is asked for, or read from stdin or from --token-file. `ratchet logout` forgets it.
    """
    from getpass import getpass

    from ratchet.cli.errors import UsageError
    from ratchet.sdk.client import Client
    from ratchet.sdk.config import base_url, home_folder, logins, read_token, resolve, save_logins

    chosen = output.options
    url = base_url(chosen.url or resolve(None, "", chosen.project).url)
    if chosen.token_file is not None:
        token = read_token(chosen.token_file)
    else:
        token = (getpass(f"Token for {url}: ") if is_interactive() else sys.stdin.readline()).strip()
    if not token:
        raise UsageError("No token was given.", hint="`ratchet tokens create NAME --scope write` makes one.")
    with Client(url, token, chosen.project) as ratchet:
        me = ratchet.me()
    home = home_folder()
    noted = logins(home)
    path = save_logins(home, {**noted, "url": url, "tokens": {**noted.get("tokens", {}), url: token}})
    output.emit(
        {"url": url, "actor": me.actor, "scope": me.scope},
        lambda: output.say(f"You are {me.actor} ({me.scope}) at {url}. The token is kept in {path}."),
    )


def logout() -> None:
    """Forget the token that `ratchet login` kept, for the address that is in use. The token itself lives on."""
    from ratchet.sdk.config import base_url, home_folder, logins, save_logins

    home = home_folder()
    noted = logins(home)
    url = base_url(output.options.url or noted.get("url") or "")
    kept = {address: token for address, token in noted.get("tokens", {}).items() if address != url}
    known = url in noted.get("tokens", {})
    if known:
        save_logins(home, {"tokens": kept, **({"url": noted["url"]} if noted.get("url") != url else {})})
    output.emit(
        {"url": url, "forgotten": known},
        lambda: output.say(f"The token for {url} is forgotten." if known else "No token was kept."),
    )


@users.add("list", "ratchet users list")
def list_users(listed: Listing) -> None:
    """List users."""
    with client() as ratchet:
        found = list(ratchet.users.list(**vars(listed)))
    output.listing(
        found,
        ["ID", "NAME", "E-MAIL", "PLATFORM ADMIN", "DISABLED", "LAST LOGIN"],
        lambda one: [
            one.id,
            one.name,
            one.email,
            "yes" if one.platform_admin else "",
            "yes" if one.disabled else "",
            one.last_login_at,
        ],
        empty="No users.",
        limit=listed.limit,
    )


@users.add("create", "ratchet users create ann --email ann@example.org")
def create_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the audit log calls this person.")],
    email: Annotated[str | None, typer.Option("--email", help="A first login with it becomes this user.")] = None,
    platform_admin: Annotated[bool, typer.Option("--platform-admin", help="May do everything, everywhere.")] = False,
) -> None:
    """Create a user before their first login."""
    with client() as ratchet:
        made = ratchet.users.create(name, email=email, platform_admin=platform_admin)
    output.emit(made, lambda: output.say(f"Created {made.name} ({made.id})."))


@users.add("change", "ratchet users change usr-… --disabled", "ratchet users change usr-… --platform-admin")
def change_user(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `ratchet users list` shows it.")],
    email: Annotated[str | None, typer.Option("--email", help="Their address.")] = None,
    platform_admin: Annotated[
        bool | None, typer.Option("--platform-admin/--no-platform-admin", help="May do everything, everywhere.")
    ] = None,
    disabled: Annotated[bool | None, typer.Option("--disabled/--enabled", help="Shut out, tokens and all.")] = None,
) -> None:
    """Change a user: the address, whether they administer the platform, whether they may come in."""
    given = {"email": email, "platform_admin": platform_admin, "disabled": disabled}
    with client() as ratchet:
        changed = ratchet.users.change(id, **{name: value for name, value in given.items() if value is not None})
    output.emit(changed, lambda: output.say(f"Changed {changed.name}."))


@members.add("list", "ratchet members list")
def list_members(listed: Listing) -> None:
    """List members, service accounts too."""
    with client() as ratchet:
        found = list(ratchet.members.list(**vars(listed)))
    output.listing(
        found,
        ["ID", "NAME", "KIND", "ROLE", "FROM"],
        lambda one: [one.id, one.name, one.kind, one.role, one.source],
        empty="No members yet: ratchet members add NAME --role editor",
        limit=listed.limit,
    )


@members.add("add", "ratchet members add ann@example.org --role editor")
def add_member(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user's name, id or e-mail address.")],
    role: RoleOption,
) -> None:
    """Let a user into the project."""
    with client() as ratchet:
        made = ratchet.members.add(user, role)
    output.emit(made, lambda: output.say(f"{made.name} is {made.role} here."))


@members.add("role", "ratchet members role ann --role admin")
def change_member(member: Member, role: RoleOption) -> None:
    """Give a member another role."""
    with client() as ratchet:
        changed = ratchet.members.change(_account(ratchet, member), role)
    output.emit(changed, lambda: output.say(f"{changed.name} is {changed.role} here."))


@members.add("remove", "ratchet members remove ann")
def remove_member(member: Member) -> None:
    """Put a user out of the project."""
    with client() as ratchet:
        ratchet.members.remove(_account(ratchet, member))
    output.emit({"member": member, "status": "removed"}, lambda: output.say(f"{member} is no member any more."))


@service_accounts.add("list", "ratchet service-accounts list")
def list_service_accounts(listed: Listing) -> None:
    """List service accounts."""
    with client() as ratchet:
        found = list(ratchet.service_accounts.list(**vars(listed)))
    output.listing(
        found,
        ["ID", "NAME", "ROLE", "CREATED"],
        lambda one: [one.id, one.name, one.role, one.created_at],
        empty="No service accounts yet: ratchet service-accounts create shop",
        limit=listed.limit,
    )


@service_accounts.add("create", "ratchet service-accounts create shop --role viewer")
def create_service_account(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the program is.")], role: RoleOption = "viewer"
) -> None:
    """Create an account for a program. It outlives whoever made it."""
    with client() as ratchet:
        made = ratchet.service_accounts.create(name, role)
    output.emit(
        made,
        lambda: output.say(
            f"Created {made.name} ({made.role}). A token for it: "
            f"ratchet tokens create {name} --scope predict --service-account {name}"
        ),
    )


@service_accounts.add("delete", "ratchet service-accounts delete shop")
def delete_service_account(member: Member) -> None:
    """Delete a service account and its tokens."""
    with client() as ratchet:
        ratchet.service_accounts.delete(_account(ratchet, member))
    output.emit({"member": member, "status": "deleted"}, lambda: output.say(f"{member} and its tokens are gone."))


@tokens.add("list", "ratchet tokens list", "ratchet tokens list --mine")
def list_tokens(
    listed: Listing,
    mine: Mine = False,
) -> None:
    """List tokens; a token itself is never shown again."""
    with client() as ratchet:
        found = list(ratchet.tokens.list(everywhere=mine, **vars(listed)))
    output.listing(
        found,
        ["ID", "NAME", "OWNER", "SCOPE", "BEGINS", "CREATED", "EXPIRES", "USED", "REVOKED"],
        lambda one: [
            *(one.id, one.name, one.owner, one.scope, one.prefix, one.created_at),
            *(one.expires_at or "never", one.last_used_at, one.revoked_at),
        ],
        empty="No tokens yet.",
        limit=listed.limit,
    )


@tokens.add(
    "create",
    "ratchet tokens create ci --scope write",
    "ratchet tokens create shop --scope predict --service-account shop --days 365",
)
def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scope: Annotated[str, typer.Option("--scope", "-s", help="admin, write, read or predict.")],
    days: Annotated[int | None, typer.Option("--days", min=1, help="It ends after this long; 90 by default.")] = None,
    service_account: Annotated[
        str | None, typer.Option("--service-account", help="For this one of the project, not for you.")
    ] = None,
    mine: Mine = False,
) -> None:
    """Make a token. It is printed once, to stdout, and cannot be had again."""
    with client() as ratchet:
        made = ratchet.tokens.create(
            name, scope, expires_in_days=days, service_account=service_account, everywhere=mine
        )
    output.say(f"Token {made.id} ({made.scope}). Keep it now: it is not shown again.")
    if output.options.json:
        output.print_json(made)
    else:
        typer.echo(made.token)


@tokens.add("revoke", "ratchet tokens revoke tok-…")
def revoke_token(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `ratchet tokens list` shows it.")], mine: Mine = False
) -> None:
    """End a token at once."""
    with client() as ratchet:
        ratchet.tokens.revoke(id, everywhere=mine)
    output.emit({"id": id, "status": "revoked"}, lambda: output.say(f"{id} is revoked."))


def _account(ratchet: Client, member: str) -> str:
    """The id of a member that is given by name or id; a service account's also without its project."""
    from ratchet.sdk.errors import NotFound

    for one in ratchet.members.list():
        if member in (one.id, one.name, one.name.partition("/")[2]):
            return one.id
    raise NotFound(f"There is no member {member!r} in the project.", hint="`ratchet members list` shows them.")
