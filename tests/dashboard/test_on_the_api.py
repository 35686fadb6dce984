"""The dashboard on the API itself: its types, its session, its policy, its errors."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Page, expect
from sqlalchemy import select
from tests.accounts import token_of
from tests.unit.platform.jobs.conftest import write_log

from ratchet.app import create_app
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.clients.ports import MetricPoint
from ratchet.identity.roles import Role, Scope
from ratchet.jobs import service
from ratchet.jobs.status import AttemptStatus, JobStatus, Reason
from ratchet.jobs.tables import Job
from ratchet.settings import Settings

pytestmark = pytest.mark.real


@dataclass
class Server:
    url: str
    app: FastAPI
    token: str = ""
    """Of an editor."""
    admin: str = ""
    """Of a platform administrator."""

    def token_of(self, name: str, role: Role | None = None, scope: Scope = Scope.ADMIN) -> str:
        with self.app.state.sessions() as session:
            _, secret = token_of(session, name, role=role, scope=scope)
            session.commit()
        return secret

    def read(self, path: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.admin}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/v1/{path}", headers=headers)) as answer:
            found: list[dict[str, Any]] = json.load(answer)["items"]
        return found

    def call(self, method: str, path: str, **body: Any) -> None:
        headers = {"Authorization": f"Bearer {self.admin}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", json.dumps(body).encode(), headers, method=method)
        urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture
def server(built: None, sqlite_database: str, tmp_path: Path) -> Iterator[Server]:
    settings = Settings(database_url=sqlite_database, storage_uri=(tmp_path / "storage").as_uri(), log_format="text")
    app = create_app(settings, fake_clients())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        runner = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        started = threading.Event()
        original = runner.startup

        async def startup(sockets: list[socket.socket] | None = None) -> None:
            await original(sockets)
            started.set()

        runner.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=runner.run, args=([listener],), daemon=True)
        thread.start()
        assert started.wait(30)
        made = Server(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        made.token = made.token_of("writer", Role.EDITOR, Scope.WRITE)
        made.admin = made.token_of("root")
        yield made
        runner.should_exit = True
        thread.join(timeout=15)


def test_a_job_goes_from_the_form_into_the_queue_and_is_cancelled(
    server: Server, page: Page, complaints: list[str]
) -> None:
    page.goto(f"{server.url}/#token={server.token}")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    assert server.token not in page.url

    page.keyboard.press("c")
    page.get_by_label("Data", exact=False).first.fill("sklearn://breast_cancer")
    page.get_by_label("Model", exact=True).fill("cancer")
    page.get_by_label("Epochs").fill("0")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_label("Epochs")).to_have_attribute("aria-invalid", "true")
    assert [line for line in complaints if "422" not in line] == []

    page.get_by_label("Epochs").fill("3")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("queued").first).to_be_visible()
    page.get_by_role("tab", name="Spec").click()
    expect(page.get_by_role("region", name="CLI command")).to_contain_text("-p epochs=3")

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled").first).to_be_visible()
    assert [line for line in complaints if "422" not in line] == []


def test_the_queue_is_of_a_project_and_for_administrators_of_all(server: Server, page: Page) -> None:
    server.call("POST", "projects", name="vision")
    server.call("PUT", "projects/default/quota", cpus=4)
    for project, name in (("default", "tables"), ("vision", "images")):
        data = {"uri": "sklearn://breast_cancer"}
        server.call("POST", f"projects/{project}/jobs", kind="train", recipe="tabular", name=name, data=data)

    def opened(token: str) -> None:
        page.goto(f"{server.url}/#token={token}")
        page.get_by_role("heading", name="Overview").wait_for()
        page.goto(f"{server.url}/queue?all=true")
        expect(page.get_by_role("link", name="tables")).to_be_visible()

    opened(server.token)
    expect(page.get_by_role("link", name="images")).to_have_count(0)
    expect(page.get_by_label("All projects")).to_have_count(0)
    expect(page.get_by_role("meter", name="CPUs")).to_have_attribute("aria-valuetext", "0 of 4")
    page.context.clear_cookies()
    opened(server.admin)
    expect(page.get_by_role("link", name="images")).to_be_visible()
    page.get_by_label("All projects").click()
    expect(page.get_by_role("link", name="images")).to_have_count(0)
    page.get_by_role("link", name="tables").click()
    expect(page.get_by_role("link", name="position 1 in the queue")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/jobs", "/queue", "/models", "/endpoints", "/abtests", "/monitors", "/pipelines", "/events", "/access"]
)
def test_every_list_opens(server: Server, page: Page, complaints: list[str], path: str) -> None:
    page.goto(f"{server.url}/#token={server.token}")
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto(server.url + path)
    page.get_by_role("heading", level=1).wait_for()
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(page.locator(".problem")).to_have_count(0)
    assert complaints == []


def open_access(server: Server, page: Page, token: str, complaints: list[str]) -> None:
    page.goto(f"{server.url}/#token={token}")
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto(f"{server.url}/access")
    expect(page.get_by_role("heading", name="Your own tokens")).to_be_visible()
    page.wait_for_load_state("networkidle")  # what comes late moves what is clicked
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    assert complaints == []


def test_an_administrator_lets_in_changes_and_puts_out(server: Server, page: Page, complaints: list[str]) -> None:
    server.call("POST", "users", name="ann")
    open_access(server, page, server.admin, complaints)
    page.on("dialog", lambda dialog: dialog.accept())

    page.get_by_label("New member").fill("nobody")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is no user 'nobody'.")
    expect(page.get_by_role("alert")).to_contain_text("A user is there after their first login")

    page.get_by_label("New member").fill("ann")
    page.get_by_role("button", name="Add", exact=True).click()
    role = page.get_by_role("combobox", name="Role of ann")
    expect(role).to_have_value("editor")
    role.click()
    page.get_by_role("option", name="viewer").click()
    expect(role).to_have_value("viewer")

    [ann] = [member["id"] for member in server.read("projects/default/members") if member["name"] == "ann"]
    server.call("PATCH", f"projects/default/members/{ann}", role="admin")  # by somebody else, and not seen here yet
    page.get_by_role("button", name="Remove ann").click()
    expect(page.get_by_role("alert")).to_contain_text("It was changed since it was read.")
    expect(role).to_have_value("admin")
    page.get_by_role("button", name="Remove ann").click()
    expect(role).to_have_count(0)
    assert "ann" not in [member["name"] for member in server.read("projects/default/members")]


def test_who_gives_up_being_an_administrator_sees_so_at_once(server: Server, page: Page, complaints: list[str]) -> None:
    open_access(server, page, server.token_of("boss", Role.ADMIN), complaints)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("combobox", name="Role of boss").click()
    page.get_by_role("option", name="viewer").click()
    expect(page.get_by_text("You are boss, viewer.")).to_be_visible()
    expect(page.get_by_label("New member")).to_have_count(0)


def test_a_token_is_shown_once_and_revoked(server: Server, page: Page, complaints: list[str]) -> None:
    open_access(server, page, server.token, complaints)
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Tokens of default"))
    panel.get_by_label("New token").fill("ci")
    panel.get_by_role("combobox", name="Scope").click()
    expect(page.get_by_role("option", name="admin")).to_have_count(0)
    page.get_by_role("option", name="read").click()
    panel.get_by_role("button", name="Create").click()
    secret = panel.get_by_role("region", name="token", exact=True).inner_text()
    expect(panel.get_by_role("button", name="Copy token")).to_be_visible()
    [token] = server.read("projects/default/tokens")
    assert (token["name"], token["scope"], token["owner"]) == ("ci", "read", "writer")
    assert secret.startswith(token["prefix"])
    assert len(secret) > len(token["prefix"])

    page.reload()
    expect(panel.get_by_text(token["prefix"])).to_be_visible()
    assert secret not in page.content()
    page.on("dialog", lambda dialog: dialog.accept())
    panel.get_by_role("button", name="Revoke ci").click()
    expect(panel.get_by_text("revoked")).to_be_visible()
    assert server.read("projects/default/tokens")[0]["revoked_at"]


def test_the_quota_is_set_as_it_was_seen(server: Server, page: Page, complaints: list[str]) -> None:
    open_access(server, page, server.admin, complaints)
    page.get_by_role("button", name="Change the quota").click()
    page.get_by_label("Memory (GiB)").fill("1.5")
    server.call("PUT", "projects/default/quota", gpus=2)
    page.get_by_role("button", name="Set the quota").click()
    expect(page.get_by_role("alert")).to_contain_text("It was changed since it was read.")
    page.get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("meter", name="GPUs")).to_have_attribute("aria-valuetext", "0 of 2")
    page.get_by_role("button", name="Change the quota").click()
    page.get_by_label("Memory (GiB)").fill("1.5")
    page.get_by_role("button", name="Set the quota").click()
    expect(page.get_by_role("meter", name="Memory")).to_have_attribute("aria-valuetext", "0 B of 1.5 GiB")
    expect(page.get_by_role("meter", name="GPUs")).to_have_attribute("aria-valuetext", "0 of 2")


def test_a_webhook_is_sent_a_test(server: Server, page: Page, complaints: list[str]) -> None:
    server.call("POST", "projects/default/webhooks", name="chat", url="https://example.com/x", events=["job.*"])
    open_access(server, page, server.admin, complaints)
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()
    page.get_by_role("button", name="Send a test to chat").click()
    sent = page.get_by_role("list", name="Newest deliveries of chat")
    for what in ("pending", "webhook tested"):
        expect(sent).to_contain_text(what)


HOSTILE = """<img src=x onerror="document.title='run'"><script>document.title='run'</script>'"`${7*7}{{7*7}}"""
ANSI = "\x1b[31mred\x1b[0m \x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07"


def test_hostile_text_is_shown_as_text(server: Server, page: Page, complaints: list[str]) -> None:
    """In whatever somebody, or somebody's program, may write: an address, an error, a metric's name, a log."""
    server.call("POST", "projects", name="vision", description=HOSTILE)
    data = {"uri": f"https://example.com/{HOSTILE}"}
    server.call("POST", "projects/default/jobs", kind="train", data=data, params={"epochs": 3})
    clients: FakeClients = server.app.state.clients
    run = clients.mlflow.create_run("1", "run", {})
    clients.mlflow.runs[run.run_id] = replace(run, metrics={f"val/{HOSTILE}": 0.5})
    clients.mlflow.history[run.run_id, f"val/{HOSTILE}"] = [MetricPoint(1, 0.5, 1), MetricPoint(2, 0.5, 2)]
    with server.app.state.sessions() as session:
        job = session.scalars(select(Job)).one()
        job.run_id, job.metrics, job.result = run.run_id, {f"test/{HOSTILE}": 0.5}, {"output": HOSTILE}
        service.move(session, job, JobStatus.STARTING, message=HOSTILE, actor="system")
        service.start_attempt(session, job)
        service.end_attempt(session, job, AttemptStatus.FAILED, Reason.USER_ERROR, HOSTILE)
        service.move(session, job, JobStatus.FAILED, reason=Reason.USER_ERROR, message=HOSTILE, actor="system")
        session.commit()
    write_log(clients, job.id, HOSTILE, ANSI, ended=True)

    page.goto(f"{server.url}/#token={server.token}")
    page.get_by_role("heading", name="Overview").wait_for()
    for path in ("/", "/jobs", "/events", f"/jobs?filter={quote(HOSTILE)}"):
        page.goto(server.url + path)
        page.get_by_role("heading", level=1).wait_for()
        expect(page.get_by_role("status", name="Loading")).to_have_count(0)
        assert page.title() != "run"
        expect(page.locator("img[src=x]")).to_have_count(0)
    for tab in ("curves", "log", "spec"):
        page.goto(f"{server.url}/jobs/{job.id}?tab={tab}")
        panel = page.get_by_role("tabpanel")
        expect(panel).to_contain_text("onerror=")
        expect(page.locator(".page")).to_contain_text("<script>")
        expect(page.locator("img[src=x], a[href^='javascript:']")).to_have_count(0)
        assert page.title() != "run"
    assert [line for line in complaints if "422" not in line] == []  # the filter is none


@pytest.mark.parametrize(("role", "scope"), [(Role.VIEWER, Scope.READ), (Role.EDITOR, Scope.WRITE)])
def test_what_one_may_not_do_is_not_shown(
    server: Server, page: Page, complaints: list[str], role: Role, scope: Scope
) -> None:
    server.call("POST", "projects/default/service-accounts", name="shop")
    open_access(server, page, server.token_of("some", role, scope), complaints)
    expect(page.get_by_role("region", name="Members")).to_contain_text(role.value)
    expect(page.get_by_role("region", name="Service accounts")).to_contain_text("default/shop")
    expect(page.get_by_label("Owner")).to_have_count(0)
    for name in ("Add", "Remove writer", "Delete default/shop", "Change the quota"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    editor = role is Role.EDITOR
    expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_have_count(int(editor))
    expect(page.get_by_role("heading", name="Tokens of default")).to_have_count(int(editor))
    expect(page.get_by_role("button", name="Create")).to_have_count(2 if editor else 0)
    assert complaints == []


def test_the_committed_description_is_the_apis_own() -> None:
    """`python -m ratchet.openapi > platform/dashboard/openapi.json && npm run types` brings it up to date."""
    committed = json.loads((Path(__file__).parents[2] / "platform" / "dashboard" / "openapi.json").read_text())
    assert committed == create_app(Settings(database_url="sqlite://")).openapi()
