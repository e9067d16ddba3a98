"""Debian's Chromium, driven by Playwright: offline, a context for each test, and every message is kept."""

import dataclasses
import os
from pathlib import Path

import pytest

from cli.run import run
from conftest import chromium

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@dataclasses.dataclass
class Window:
    """A page and what the browser complained about."""

    page: object
    messages: list

    def violations(self):
        """What axe-core finds, as lines."""
        # The page's policy refuses scripts that are not its own: the check is evaluated in the page, not added to it.
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            for node in one["nodes"]
        ]


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"] if os.geteuid() == 0 else []
        )
        yield running
        running.close()


@pytest.fixture
def window(browser):
    """window(address, size=DESK, dark=False, offline=True, **options of the context): a loaded page."""
    contexts = []

    def load(address, size=DESK, dark=False, offline=True, **options):
        context = browser.new_context(
            viewport=size, color_scheme="dark" if dark else "light", offline=offline, **options
        )
        contexts.append(context)
        page = context.new_page()
        messages = []
        page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: messages.append(f"error: {error}"))
        page.on("requestfailed", lambda request: messages.append(f"failed: {request.url}"))
        page.goto(address)
        return Window(page, messages)

    yield load
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A `striate lab` without a model, in an empty folder."""
    from lab_server import Served

    running = Served(cwd=tmp_path_factory.mktemp("lab"))
    yield running
    running.end()


@pytest.fixture
def lab(served, window):
    """lab(fragment="", size=DESK, **options of window): its page, opened by the link."""

    def load(fragment="", size=DESK, **options):
        shown = window(served.link + fragment, size, offline=False, **options)
        shown.page.locator("#lab-count:not([data-busy=true])").wait_for(state="attached")
        return shown

    return load


@pytest.fixture(scope="session")
def lenet5_report(tmp_path_factory):
    """Address of a saved report of LeNet-5."""
    path = tmp_path_factory.mktemp("report") / "page.html"
    assert run("report", "lenet5", "-o", str(path)).code == 0
    return path.as_uri()


@pytest.fixture
def bench(lenet5_report, window):
    """bench(parameters, …): the layer view of a route."""

    def load(parameters="", size=DESK, dark=False, **options):
        shown = window(f"{lenet5_report}#layer?{parameters}", size, dark, **options)
        shown.page.locator("[data-view=layer] .layer").wait_for()
        return shown

    return load
