"""The page in a real browser, with a real worker behind it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from otel_celery import conventions as c
from otel_celery.view.records import Failure
from otel_celery.view.server import Server
from otel_celery.view.store import Store
from tests.services import HOST, free_port, missing, running
from tests.unit.cli_wire import span, traces
from tests.waiting import eventually
from tests.worker import harness

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
expect, sync_playwright = playwright.expect, playwright.sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SENDER = """
import shop_of_cases as shop
for _ in range(3):
    shop.nested.delay()
for task in (shop.failure, shop.expected_failure, shop.killed, shop.retry):
    print(task.delay().id)
shop.canvas()["chord"].apply_async()
"""
PATIENCE = 60_000  # milliseconds: the machine may be busy
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATHS = ("/", "/queues", "/workers", "/failures", "/search", "/about")


class Shown(NamedTuple):
    """A page that has something to show."""

    url: str
    failed: str  # id of the task that raised


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Yield the address of a view that a worker has told of tasks good and bad."""
    if CHROMIUM is None:
        missing("chromium is not on PATH")
    folder = tmp_path_factory.mktemp("view")
    url = f"http://{HOST}:{free_port()}"
    command = [sys.executable, "-m", "otel_celery.cli", "view", "--port", url.rpartition(":")[2]]
    with running(command, folder / "view.log"), harness.broker(folder) as broker:
        eventually(lambda: answers(url))
        environ = harness.environment(
            broker, SimpleNamespace(url=url), OTEL_METRIC_EXPORT_INTERVAL="1000"
        )
        with harness.worker(folder, environ, "-c", "2", "-Q", "celery"):
            sent = subprocess.run(
                [sys.executable, "-c", SENDER],
                cwd=harness.HERE,
                env=environ,
                capture_output=True,
                text=True,
                timeout=180,
                check=True,
            )
            yield Shown(url, sent.stdout.split()[0])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/status", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def chromium(shown: Shown) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    return request.param


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(chromium: Browser, shown: Shown, size: dict[str, int], scheme: str) -> Iterator[Page]:
    """Yield a page of the browser that must not complain about anything."""
    context = chromium.new_context(base_url=shown.url, viewport=size, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(f"{shown.url}/")] == []


light = pytest.mark.parametrize("scheme", ["light"], indirect=True)
wide = pytest.mark.parametrize("size", [WIDE], ids=["wide"], indirect=True)


def opened(page: Page, path: str) -> Page:
    page.goto(path)
    page.wait_for_selector("[data-ready]")
    return page


def test_every_page_fits_its_screen_and_can_be_read(page, size):
    """Nothing runs out of the screen sideways, and text stands out from its ground."""
    for path in PATHS:
        opened(page, path)
        if path == "/":
            expect(page.get_by_role("row").filter(has_text="shop_of_cases.nested")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        assert page.evaluate(TOO_FAINT) == [], path


# Text whose colour is less than 4.5 to 1 from what it stands on (WCAG AA).
TOO_FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const found = parts(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!said || !node.checkVisibility() || node.closest("noscript")) continue;
    const [one, other] = [light(parts(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faint.push(`${node.textContent.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


def wait_for_updates(page: Page) -> None:
    """Return when the page has asked twice more."""
    for _ in range(2):
        with page.expect_response("**/api/*"):
            pass


def cell(page: Page, row: str, label: str):
    """Return a cell by the name of its row and of its column."""
    return page.get_by_role("row").filter(has_text=row).locator(f'td[data-label="{label}"]')


@light
def test_tasks_are_counted_as_they_ended(page):
    opened(page, "/")
    expect(cell(page, "shop_of_cases.nested", "Success")).to_have_text("3")
    expect(cell(page, "shop_of_cases.failure", "Failed")).to_have_text("1")
    expect(cell(page, "shop_of_cases.expected_failure", "Also")).to_have_text("1 expected")
    expect(cell(page, "shop_of_cases.expected_failure", "Failed")).to_have_text("\N{EN DASH}")
    expect(cell(page, "shop_of_cases.killed", "Also")).to_have_text("1 lost")
    expect(cell(page, "shop_of_cases.retry", "Retried")).to_have_text("1")
    expect(page.locator("figure canvas")).to_be_visible()


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@wide
@light
def test_the_page_changes_by_itself_and_rests_while_nobody_looks(page, shown):
    opened(page, "/")
    expect(page.locator("#live")).to_have_text("live")
    wait_for_updates(page)
    page.evaluate(HIDE, True)
    expect(page.locator("#live")).to_have_text("paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)  # it would have asked twice
    assert [url for url in asked if url.endswith("/api/tasks")] == []
    page.evaluate(HIDE, False)
    expect(page.locator("#live")).to_have_text("live")


@wide
@light
def test_queues_and_workers_are_shown(page):
    opened(page, "/queues")
    expect(cell(page, "celery", "Waiting")).to_have_text("0")
    expect(cell(page, "celery", "Taken by")).to_have_text(harness.NODE)
    page.get_by_role("link", name="Workers").click()
    expect(cell(page, harness.NODE, "Status")).to_contain_text("alive")
    expect(cell(page, harness.NODE, "Active")).to_contain_text("0 of 2")
    expect(cell(page, harness.NODE, "Memory")).to_contain_text("MiB")
    expect(cell(page, harness.NODE, "Pool and queues")).to_contain_text("prefork, celery")


def test_a_failure_leads_to_its_traceback_and_its_trace(page, size):
    opened(page, "/failures")
    row = page.locator("details").filter(has_text="shop_of_cases.failure")
    row.locator("summary").click()
    expect(row.get_by_label("Traceback")).to_contain_text("ValueError: boom")
    row.get_by_role("link", name="Trace", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("publish shop_of_cases.failure")
    chosen = page.locator('[role="treeitem"][aria-selected="true"]')
    expect(chosen).to_contain_text("process shop_of_cases.failure")
    expect(page.get_by_label("Traceback")).to_contain_text("ValueError: boom")
    assert page.evaluate(TOO_FAINT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@light
def test_a_task_is_found_by_its_id(page, shown):
    opened(page, "/")
    page.keyboard.press("/")
    page.keyboard.type(shown.failed)
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text=shown.failed)).to_have_count(1)
    expect(page.get_by_text("1 of ")).to_be_visible()


@wide
@light
def test_a_search_is_by_task_state_and_worker(page):
    opened(page, "/search")
    rows = page.locator("tbody tr")
    page.get_by_label("State", exact=True).select_option("lost")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("shop_of_cases.killed")
    page.get_by_label("State", exact=True).select_option("")
    page.get_by_label("Task", exact=True).select_option("shop_of_cases.add")
    expect(rows).to_have_count(2)
    page.get_by_label("Worker", exact=True).select_option(harness.NODE)
    expect(rows).to_have_count(2)
    assert "worker=" in page.url
    page.get_by_label("Anything").fill("no such thing")
    page.get_by_role("button", name="Find").click()
    expect(rows).to_have_count(0)


@wide
@light
def test_a_canvas_is_a_tree(page):
    """The body of a chord stands below the task of its header that completed it."""
    opened(page, "/search?task=shop_of_cases.total")
    page.locator("tbody a").click()
    spans = page.get_by_role("treeitem")
    body = spans.filter(has_text="process shop_of_cases.total")
    expect(body).to_be_visible()
    expect(spans.filter(has_text="process shop_of_cases.add")).to_have_count(1)
    levels = [int(level) for level in spans.evaluate_all("all => all.map((one) => one.ariaLevel)")]
    assert max(levels) == 4
    assert body.get_attribute("aria-level") == "4"


@wide
@light
def test_all_of_it_can_be_done_from_the_keyboard(page):
    opened(page, "/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    first, second = page.locator("tbody th a").nth(0), page.locator("tbody th a").nth(1)
    expect(second).to_be_visible()  # a key that finds no row to go to is gone
    page.keyboard.press("ArrowDown")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(second).to_be_focused()
    task = second.inner_text()
    wait_for_updates(page)  # the focus stays where it is
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")
    expect(first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("tbody th a").first).to_be_focused()
    expect(page.locator("tbody th a").first).to_contain_text(task)
    page.keyboard.press("Enter")
    page.wait_for_selector('[role="treeitem"]')
    shown = page.locator('[role="treeitem"]:visible')
    many = shown.count()
    page.keyboard.press("ArrowDown")
    expect(shown.first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(shown).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(shown).to_have_count(many)
    page.keyboard.press("Enter")
    expect(shown.first).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Search")


def test_whoever_has_the_token_gets_in(chromium):
    """Asked for once, kept in a cookie that scripts cannot read."""
    token = "a-token-of-some-length"
    with Server(Store(), token=token) as server:
        context = chromium.new_context(base_url=server.endpoint)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto("/workers")
        expect(page).to_have_url(f"{server.endpoint}/token")
        page.get_by_label("Token").fill("not that one, I fear")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token")).to_have_value("")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", name="No task has ended yet")).to_be_visible()
        expect(page.get_by_label("Commands")).to_contain_text(f"ENDPOINT={server.endpoint}")
        assert page.evaluate("document.cookie") == ""
        context.close()


def test_a_server_that_is_gone_is_said_so_and_found_again(chromium):
    with Server(Store()) as server:
        page = chromium.new_page()
        page.goto(server.endpoint)
        expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#live")).to_have_text("no answer")
    with Server(Store(), port=server.port):
        expect(page.locator("#live")).to_have_text("live")
        page.close()


def test_what_people_call_their_tasks_is_text_and_nothing_else(chromium):
    name = "<img src=x onerror=alert(1)>"
    told = {c.TASK_STATE: c.FAILURE, c.TASK_NAME: name, c.MESSAGE_ID: name, c.ERROR_TYPE: name}
    failed = span(1, name, "consumer", (0, 1), error=name)
    failed = failed._replace(attributes=told, failure=Failure(name, name, name))
    store = Store()
    store.add_traces(traces(failed))
    with Server(store) as server:
        page = chromium.new_page(base_url=server.endpoint)
        for path in ("/failures", "/search", f"/traces/{failed.trace_id}?span={failed.span_id}"):
            opened(page, path)
            expect(page.get_by_text(name).locator("visible=true").first).to_be_visible()
            assert page.locator("main img").count() == 0
        page.close()
