"""The page of `striate lab` for everybody: by keyboard alone, light and dark, at every width."""

import pytest

from browser.conftest import DESK, PHONE
from browser.lab_page import STRIDE, settled

pytestmark = [pytest.mark.browser, pytest.mark.lab]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "size", [DESK, PHONE, {"width": 320, "height": 640}], ids=["desk", "phone", "narrow"]
)
def test_it_is_accessible_and_fits(lab, size, dark):
    shown = lab(size=size, dark=dark)
    page = shown.page
    if size is not DESK:
        page.locator("aside summary").first.click()
    for text, found in ((STRIDE, "1 error"), ("7x7x1 -> convv 3x3", "cannot be read")):
        page.locator("#lab-text").fill(text)
        settled(page, found)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert not shown.violations()
    assert not shown.messages


def test_the_keyboard_alone_fixes_a_network(lab):
    page = lab().page
    page.locator("#lab-text").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(STRIDE)
    settled(page, "1 error")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("stride 1"):
            break
    page.keyboard.press("Enter")
    settled(page, "remark|no findings")
    assert page.locator("#lab-text").input_value() == "7x7x1 -> conv 3x3"
