"""The frame of the live page, in a saved report."""

import pytest

from browser.conftest import DESK, PHONE
from cli.run import run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "page.html"
    assert run("report", "lenet5", "-o", str(path)).code == 0
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_course_has_nine_lines_and_a_way_back(report, window, size, dark):
    shown = window(report, size, dark)
    page = shown.page
    assert page.locator("#drawing").is_visible()
    page.get_by_role("link", name="Course").click()
    assert page.locator("[data-view=course] li").count() == 9
    assert not page.locator("#drawing").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not shown.violations()
    page.go_back()
    page.locator("#drawing").wait_for(state="visible")
    page.go_forward()
    page.locator("#drawing").wait_for(state="hidden")
    page.get_by_role("link", name="Report").click()
    page.locator("#drawing").wait_for(state="visible")
    assert not shown.messages


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_view_says_which_line_of_the_course_it_shows(report, window, size):
    shown = window(f"{report}#course", size)
    page = shown.page
    titles = page.locator("[data-view=course] h2").all_inner_texts()
    page.locator("[data-view=course] h2 a").first.press("Enter")
    said = page.locator("[data-view=history] .line")
    assert said.locator("b").inner_text() == "1 History and inspiration."
    # The link that was followed is gone: the keys go on in the view.
    page.wait_for_function("document.activeElement.dataset.view === 'history'")
    assert not shown.violations()
    said = page.locator("[data-view] .line")
    for number, title in enumerate(titles[1:], 2):
        said.get_by_role("link", name=f"Next line: {title}").click()
        said.get_by_text(f"{number} {title}.").wait_for()
    page.get_by_role("link", name="Course").click()
    page.get_by_role("link", name="the whole network").click()
    assert page.locator("[data-view=pixels] .line b").inner_text() == "6 Borders get too little attention."
    page.wait_for_function("document.querySelector('[data-view]').getBoundingClientRect().top >= 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not shown.messages


def test_without_scripts_the_report_is_whole(report, window):
    shown = window(report, java_script_enabled=False)
    assert shown.page.locator("#drawing").is_visible()
    assert not shown.messages
