"""The dashboard on the API itself: its types, its session, its policy, its errors."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Page, expect
from tests.accounts import token_of

from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.identity.roles import Role, Scope
from ratchet.settings import Settings

pytestmark = pytest.mark.real


@dataclass
class Server:
    url: str
    token: str
    admin: str
    """Of a platform administrator."""

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
        with app.state.sessions() as session:
            _, token = token_of(session, "writer", role=Role.EDITOR, scope=Scope.WRITE)
            _, admin = token_of(session, "root")
            session.commit()
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", token, admin)
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
    "path", ["/jobs", "/queue", "/models", "/endpoints", "/abtests", "/monitors", "/pipelines", "/events"]
)
def test_every_list_opens(server: Server, page: Page, complaints: list[str], path: str) -> None:
    page.goto(f"{server.url}/#token={server.token}")
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto(server.url + path)
    page.get_by_role("heading", level=1).wait_for()
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(page.locator(".problem")).to_have_count(0)
    assert complaints == []


def test_the_committed_description_is_the_apis_own() -> None:
    """`python -m ratchet.openapi > platform/dashboard/openapi.json && npm run types` brings it up to date."""
    committed = json.loads((Path(__file__).parents[2] / "platform" / "dashboard" / "openapi.json").read_text())
    assert committed == create_app(Settings(database_url="sqlite://")).openapi()
