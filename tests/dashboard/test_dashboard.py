"""The dashboard as a person meets it."""

from __future__ import annotations

import json
import urllib.request

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.real

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
PAGES = {
    "/": "Overview",
    "/jobs": "Jobs",
    "/jobs/{job}": "cancer-retrain",
    "/jobs/{job}?tab=log": "cancer-retrain",
    "/jobs/{sweep}": "cancer-sweep",
    "/jobs/{failed}": "cancer-target",
    "/jobs/{custom}": "own-program",
    "/jobs/{queued}": "cancer-large",
    "/jobs/new": "New job",
    "/queue": "Queue",
    "/queue?all=true": "Queue",
    "/models": "Models",
    "/models/cancer": "cancer",
    "/endpoints": "Endpoints",
    "/endpoints/cancer": "cancer",
    "/abtests": "A/B tests",
    "/abtests/{abtest}": "challenger-5",
    "/abtests/{broken}": "lost-rows",
    "/monitors": "Monitors",
    "/monitors/cancer-drift": "cancer-drift",
    "/pipelines": "Pipelines",
    "/pipeline-runs/{run}": "retrain-cancer",
    "/events": "Events",
    "/access": "Access",
}


@pytest.fixture(scope="session")
def ids(mock: str) -> dict[str, str]:
    def items(kind: str) -> list[dict[str, str]]:
        request = urllib.request.Request(f"{mock}/api/v1/projects/default/{kind}", headers={"Cookie": "session=yes"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: list[dict[str, str]] = json.load(answer)["items"]
        return found

    jobs, tests = items("jobs"), items("abtests")
    return {
        "job": jobs[0]["id"],
        "sweep": jobs[1]["id"],
        "queued": jobs[2]["id"],
        "failed": next(job["id"] for job in jobs if job["name"] == "cancer-target"),
        "custom": next(job["id"] for job in jobs if job["kind"] == "custom"),
        "abtest": tests[0]["id"],
        "broken": tests[2]["id"],
        "run": items("pipeline-runs")[0]["id"],
    }


def test_a_link_with_a_token_signs_in_and_forgets_it(page: Page, mock: str) -> None:
    page.goto(f"{mock}/#token=secret")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert "secret" not in page.url


def test_without_a_session_every_page_asks_for_a_token_and_then_opens(page: Page, mock: str) -> None:
    page.goto(f"{mock}/models/cancer")
    page.get_by_label("Access token").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Access token").fill("right")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="cancer")).to_be_visible()
    assert page.url == f"{mock}/models/cancer"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_within_the_policy_and_can_be_used_by_all(
    signed_in: Page, mock: str, ids: dict[str, str], complaints: list[str], path: str, scheme: str
) -> None:
    page = signed_in
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(mock + path.format(**ids))
    expect(page.get_by_role("heading", level=1)).to_contain_text(PAGES[path])
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(page.get_by_text("The server could not be reached")).to_have_count(0)
    found = Axe().run(page, options=RULES).response["violations"]
    told = [(rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in found]
    assert told == []
    assert complaints == []


def test_the_filter_of_jobs_is_in_the_address(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs?status=failed")
    expect(page.get_by_role("link", name="cancer-target")).to_be_visible()
    expect(page.get_by_role("link", name="cancer-large")).to_have_count(0)
    page.get_by_label("Status", exact=True).first.click()
    page.get_by_role("option", name="queued").click()
    expect(page.get_by_role("link", name="cancer-large")).to_be_visible()
    assert page.url.endswith("status=queued")
    page.go_back()
    expect(page.get_by_role("link", name="cancer-target")).to_be_visible()


def test_a_filter_is_in_the_address_and_its_error_at_the_box(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs")
    box = page.get_by_role("textbox", name="Filter")
    box.fill('name ~ "sweep"')
    box.press("Enter")
    expect(page.get_by_role("link", name="cancer-retrain")).to_have_count(0)
    expect(page.get_by_role("link", name="cancer-sweep")).to_be_visible()
    page.reload()
    expect(box).to_have_value('name ~ "sweep"')
    box.fill('colour = "red"')
    box.press("Enter")
    expect(page.get_by_text("At character 1: There is no field 'colour'. Here: colour = \"red\"")).to_be_visible()
    expect(box).to_have_attribute("aria-invalid", "true")


def test_where_there_is_a_provider_a_button_leads_to_it_and_back(page: Page, mock: str) -> None:
    page.goto(f"{mock}/models/cancer")
    page.get_by_role("link", name="Sign in with Example").click()
    expect(page.get_by_role("heading", level=1, name="cancer")).to_be_visible()
    assert page.url == f"{mock}/models/cancer"


def test_a_login_that_failed_says_why_in_the_pages_own_words(page: Page, mock: str) -> None:
    page.goto(f"{mock}/sign-in?error=login_refused&next=%2Fmodels%2Fcancer")
    expect(page.get_by_role("alert")).to_contain_text("The provider did not sign you in")
    page.get_by_label("Access token").fill("right")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="cancer")).to_be_visible()


def test_no_other_text_of_the_address_is_shown(page: Page, mock: str) -> None:
    page.goto(f"{mock}/sign-in?error=Call+0900-EVIL")
    expect(page.get_by_label("Access token")).to_be_visible()
    expect(page.get_by_text("EVIL")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_waiting_job_says_why(signed_in: Page, mock: str, ids: dict[str, str]) -> None:
    signed_in.goto(f"{mock}/jobs/{ids['queued']}")
    expect(signed_in.get_by_text("Waits at position 3 in the queue.")).to_be_visible()
    expect(signed_in.get_by_text("4 of 24 are free").first).to_be_visible()
    expect(signed_in.get_by_text("Starts in 6 min at the latest, by deadlines.")).to_be_visible()


def test_the_queue_is_reached_from_a_waiting_job_and_says_what_each_job_waits_for(
    signed_in: Page, mock: str, ids: dict[str, str]
) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs/{ids['queued']}")
    page.get_by_role("link", name="position 3 in the queue").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="cancer-large"))
    for what in ("3", "8 CPUs", "4 of 24 are free", "in 20 min by how long such jobs took"):
        expect(row).to_contain_text(what)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="vision-1"))
    for what in ("4 CPUs, 2 GPUs, 48 GiB", "quota of 2", "at the latest, by deadlines"):
        expect(row).to_contain_text(what)
    expect(page.get_by_role("meter", name="GPU hours of the month")).to_have_attribute("aria-valuetext", "212.4 of 500")
    expect(page.get_by_text("24 GiB, no limit")).to_be_visible()
    expect(page.get_by_role("navigation", name="Sections").get_by_role("link", name="Queue 4 waiting")).to_be_visible()


def test_who_has_access_and_whether_events_arrive(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/access")

    def row(name: str) -> Locator:
        return page.get_by_role("region", name="Tokens", exact=True).get_by_role("row").filter(has_text=name)

    for name, state in (("shop", "active"), ("old-laptop", "revoked"), ("trial", "expired")):
        expect(row(name)).to_contain_text(state)
    expect(row("rt_4k39q…")).to_contain_text("laptop")
    expect(page.get_by_role("button", name="Revoke shop")).to_be_visible()
    expect(page.get_by_role("button", name="Revoke trial")).to_have_count(0)
    sent = page.get_by_role("list", name="Newest deliveries of chat")
    for what in ("delivered", "alert raised 503 · 8 attempts", "The receiver answered 503."):
        expect(sent).to_contain_text(what)
    expect(page.get_by_text("12 deliveries in a row were given up")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_failed_job_says_why_and_what_to_do(signed_in: Page, mock: str, ids: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs/{ids['failed']}")
    expect(page.get_by_role("heading", name="Why it failed")).to_be_visible()
    expect(page.get_by_text("Check that the address of the data is right")).to_be_visible()
    facts = page.locator(".facts").first
    for what in ("DataError: The table has no column", "rank 1", "66"):
        expect(facts).to_contain_text(what)
    expect(page.get_by_role("region", name="end of the log")).to_contain_text("DataError")


def test_every_status_and_kind_has_its_word(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs?status=unknown")
    expect(page.get_by_role("cell", name="unknown", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="custom", exact=True)).to_be_visible()
    page.goto(f"{mock}/jobs?kind=batch_prediction")
    expect(page.get_by_role("cell", name="preempting", exact=True)).to_be_visible()


def test_the_log_is_shown_as_it_is_streamed(signed_in: Page, mock: str, ids: dict[str, str]) -> None:
    signed_in.goto(f"{mock}/jobs/{ids['job']}?tab=log")
    expect(signed_in.get_by_role("log")).to_contain_text("epoch")
    signed_in.get_by_label("Search the log").fill("warning")
    expect(signed_in.get_by_text("1 of ")).to_be_visible()


def test_the_log_is_of_a_source_and_a_level(signed_in: Page, mock: str, ids: dict[str, str]) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs/{ids['job']}?tab=log")
    log = page.get_by_role("log")
    expect(log).to_contain_text("epoch")
    page.get_by_role("combobox", name="Source").click()
    page.get_by_role("option", name="rank-1").click()
    expect(page.get_by_text("2 of ")).to_be_visible()
    expect(log).not_to_contain_text("epoch")
    page.get_by_role("combobox", name="Level").click()
    page.get_by_role("option", name="Warnings and errors").click()
    expect(page.get_by_text("1 of ")).to_be_visible()
    address = page.get_by_role("link", name="Download").get_attribute("href") or ""
    assert address.endswith(f"/jobs/{ids['job']}/logs:download?source=rank-1&level=warning")


def test_an_error_stands_at_its_field(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs/new")
    page.get_by_label("Dropout").fill("1.5")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Input should be less than 1")).to_be_visible()
    expect(page.get_by_label("Dropout")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Data", exact=False).first).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Dropout").fill("0.5")
    page.get_by_label("Data", exact=False).first.fill("sklearn://breast_cancer")
    expect(page.get_by_label("CLI command", exact=True)).to_contain_text("-p dropout=0.5")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1, name="cancer-retrain")).to_be_visible()


def test_a_broken_split_is_told_before_the_verdict(signed_in: Page, mock: str, ids: dict[str, str]) -> None:
    signed_in.goto(f"{mock}/abtests/{ids['broken']}")
    expect(signed_in.get_by_role("alert")).to_contain_text("not what it should be")


def test_the_keyboard_reaches_the_rows_and_the_finder(signed_in: Page, mock: str) -> None:
    page = signed_in
    page.goto(f"{mock}/jobs")
    expect(page.get_by_role("link", name="cancer-sweep")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="cancer-sweep")).to_be_focused()
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Find a page").fill("monitors")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Monitors")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/queue", "/models", "/endpoints", "/abtests", "/monitors", "/pipelines", "/access"]
)
def test_an_empty_project_says_how_to_begin(page: Page, empty_mock: str, path: str) -> None:
    page.goto(f"{empty_mock}/#token=anything")
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto(empty_mock + path)
    expect(page.get_by_text("ratchet ").first).to_be_visible()
    expect(page.get_by_role("button", name="Copy").first).to_be_visible()
