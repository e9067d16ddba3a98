"""The page of `striate lab` in a browser: edit, check, fix, link."""

import re

import pytest

from browser.lab_page import STRIDE, settled
from lab_server import Served

pytestmark = [pytest.mark.browser, pytest.mark.lab]


def test_what_is_typed_is_checked_and_a_fix_changes_the_text(lab):
    shown = lab()
    page = shown.page
    text = page.locator("#lab-text")
    text.fill(STRIDE)
    settled(page, "1 error")
    assert "(7 + 0 - 3)/3 + 1 = 2.33" in page.locator("[data-code=G002]").text_content()
    page.get_by_role("button", name="stride 2 (-> 3x3)").click()
    settled(page, "remark")
    assert text.input_value() == "7x7x1 -> conv 3x3 /2"
    page.keyboard.press("Control+z")
    settled(page, "1 error")
    assert text.input_value() == STRIDE
    page.get_by_role("button", name="input 9x9").click()
    settled(page, "remark|no finding")
    assert text.input_value() == "9x9x1 -> conv 3x3 /3"
    page.get_by_role("button", name="Undo fix").click()
    settled(page, "1 error")
    assert text.input_value() == STRIDE
    text.fill("7x7x1 -> convv 3x3")
    settled(page, "cannot be read")
    assert "did you mean 'conv'?" in page.locator(".problem").text_content()
    assert not shown.messages


def test_the_last_text_wins(lab):
    page = lab().page
    page.locator("#lab-text").fill("")
    page.locator("#lab-text").press_sequentially("9x9x1 -> [conv 3x3 -> relu]*3 -> conv 2x2", delay=15)
    settled(page, "remark|warning|no finding")
    page.wait_for_timeout(500)
    assert page.title().startswith("net")
    answer = page.evaluate("decodeURIComponent(location.hash).replaceAll('+', ' ')")
    assert answer.endswith("-> conv 2x2")


def test_the_input_size_is_another_one(lab):
    shown = lab()
    page = shown.page
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "1 error")
    page.locator("#lab-input").fill("9x9x1")
    settled(page, "no findings|remark|warning")
    page.locator("#lab-input").fill("10x10y")
    settled(page, "cannot be read")
    page.locator("#lab-input").fill("11x11x1")
    settled(page, "1 error")
    page.get_by_role("button", name=re.compile("^input ")).first.click()
    settled(page, "remark|no findings")
    assert page.locator("#lab-text").input_value() == STRIDE
    assert page.locator("#lab-input").input_value() in ("9x9x1", "12x12x1")
    assert not shown.messages


def test_a_model_of_the_catalogue_opens_as_a_text(lab):
    shown = lab()
    page = shown.page
    page.locator("#lab-open").fill("resnet18")
    page.locator("#lab-open").press("Enter")
    page.locator("aside summary bdi", has_text="resnet18").wait_for(state="attached")
    settled(page, "error|warning|remark")
    assert "[network]" in page.locator("#lab-text").input_value()
    assert "lab-model=resnet18" in page.url and "lab-text" not in page.url
    page.locator("#lab-open").fill("resnet1")
    page.locator("#lab-open").press("Enter")
    settled(page, "cannot be read")
    assert "did you mean" in page.locator(".problem").text_content()
    assert not shown.messages


def test_a_link_restores_the_network_and_the_view_and_never_holds_the_token(lab, served, window):
    page = lab("#course").page
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "1 error")
    page.locator("#lab-input").fill("9x9x1")
    settled(page, "no findings|remark|warning")
    assert "token" not in page.url
    fragment = page.url.partition("#")[2]
    again = lab(f"#{fragment}").page
    settled(again, "no findings|remark|warning")
    assert again.locator("#lab-text").input_value() == STRIDE
    assert again.locator("#lab-input").input_value() == "9x9x1"
    assert again.locator("[data-view=course]").is_visible()
    again.locator("#lab-text").fill(STRIDE + " -> fc 3")
    settled(again, "cannot be read")
    again.evaluate("location.hash = 'course?lab-text=' + encodeURIComponent('5x5x1 -> conv 3x3')")
    settled(again, "remark|no findings")
    assert again.locator("#lab-text").input_value() == "5x5x1 -> conv 3x3"


def test_going_back_keeps_what_was_typed(lab):
    page = lab("#course").page
    page.locator("[data-view=course] h2 a").nth(4).click()
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "1 error")
    page.go_back()
    page.locator("[data-view=course]").wait_for()
    assert page.locator("#lab-text").input_value() == STRIDE
    assert "lab-text" in page.url


def test_each_line_of_the_course_is_two_clicks_away(lab):
    shown = lab()
    page = shown.page
    assert page.locator("[data-view=course] li").count() == 9
    lines = page.locator("[data-view=course] h2 a")
    for number in range(9):
        page.get_by_role("link", name="Course").click()
        route = lines.nth(number).get_attribute("href")
        lines.nth(number).click()
        view = route.removeprefix("#").partition("?")[0]
        assert page.evaluate("location.hash").startswith(f"#{view}")
        for part in filter(None, route.partition("?")[2].split("&")):
            assert part in page.evaluate("location.hash")


def test_two_tabs_have_networks_of_their_own(lab):
    one, other = lab(), lab()
    one.page.locator("#lab-text").fill(STRIDE)
    other.page.locator("#lab-text").fill("7x7x1 -> conv 3x3")
    settled(one.page, "1 error")
    settled(other.page, "remark|no findings")
    assert not one.messages and not other.messages


def test_a_code_is_explained(lab):
    page = lab().page
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "1 error")
    page.locator("[data-code=G002] summary").click()
    page.locator("[data-code=G002] details p").first.wait_for()
    assert "stride" in page.locator("[data-code=G002] details").text_content()


def test_hostile_names_stay_text(lab):
    shown = lab()
    page = shown.page
    page.locator("#lab-text").fill('8x8x1 -> "<img src=x onerror=alert(1)>": conv 3x3 /4')
    settled(page, "1 warning")
    page.wait_for_timeout(300)
    assert "<img" in page.locator(".findings").text_content()
    assert page.locator("img[src=x]").count() == 0
    assert not shown.messages


def test_an_ended_server_is_told_and_asked_again(tmp_path, window, interruptible):
    first = Served(cwd=tmp_path)
    shown = window(first.link, offline=False)
    page = shown.page
    settled(page, "warning")
    first.interrupt()
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "striate lab has ended")
    assert page.locator("#lab-text").input_value() == STRIDE
    again = Served("--port", str(first.port), cwd=tmp_path)
    try:
        page.get_by_role("button", name="Ask again").click()  # another server, which does not know the cookie
        settled(page, "striate lab has ended")
        page.goto(again.link + "#" + page.url.partition("#")[2])
        settled(page, "error|warning")
    finally:
        again.end()
