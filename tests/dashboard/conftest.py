"""The built dashboard over made-up data, in a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "platform" / "dashboard"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def _mock(*arguments: str) -> Iterator[str]:
    """The address of a made-up API that serves the built dashboard."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")
    command = [node, str(DASHBOARD / "dev" / "mock.mjs"), "--port", "0", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(scope="session")
def built() -> None:
    subprocess.run([sys.executable, str(ROOT / "hatch_build.py")], check=True, timeout=280)


@pytest.fixture(scope="session")
def mock(built: None) -> Iterator[str]:
    yield from _mock()


@pytest.fixture(scope="session")
def empty_mock(built: None) -> Iterator[str]:
    yield from _mock("--empty")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: Playwright keeps an event loop running, and no other test could run one of its own."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of: violations of the content policy, errors that no one caught."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Page:
    made = context.new_page()
    made.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    return made


@pytest.fixture
def signed_in(page: Page, mock: str) -> Page:
    page.goto(f"{mock}/#token=anything")
    page.get_by_role("heading", name="Overview").wait_for()
    return page
