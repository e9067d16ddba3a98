"""The layer view by mouse, by keyboard alone and by touch."""

import pytest

import striate as st
from browser.conftest import PHONE
from browser.layer_bench import TINY, cell, formula, live, output, query

pytestmark = pytest.mark.browser

# -- mouse --------------------------------------------------------------------------------------------------------


def test_hover_previews_and_a_click_pins(bench):
    shown = bench("n=7&f=3&at=0.0")
    page = shown.page
    said = page.locator(".written .said")
    page.mouse.move(*cell(page, "output", 2, 3, (5, 5)))
    assert said.inner_text().startswith("output row 2 column 3")
    assert query(page)["at"] == "0.0" and live(page).startswith("output row 0 column 0")
    page.mouse.move(1, 1)
    assert said.inner_text().startswith("output row 0 column 0")
    page.mouse.click(*cell(page, "output", 2, 3, (5, 5)))
    page.mouse.move(1, 1)
    assert query(page)["at"] == "2.3" and said.inner_text().startswith("output row 2 column 3")
    # A pixel of the input: the outputs that it feeds.
    page.mouse.click(*cell(page, "pixel", 3, 3, (7, 7)))
    assert query(page)["pixel"] == "0.3.3" and "at" not in query(page)
    assert live(page) == "input row 3 column 3 is read by 9 windows: output rows 1 to 3, columns 1 to 3"
    assert page.locator("[data-grid=output] path.fed").get_attribute("d").count("M") == 9
    # A tap of the filter: every input that it touches.
    page.mouse.click(*cell(page, "tap", 0, 2, (3, 3)))
    assert query(page)["tap"] == "0.0.2"
    assert "by weight sharing it reads 25 input pixels" in live(page)
    assert page.locator("[data-grid=pixel] path.touched").get_attribute("d").count("M") == 25
    page.go_back()
    assert query(page)["pixel"] == "0.3.3"
    assert not shown.messages


def test_play_step_and_scrub(bench):
    page = bench("n=7&f=3").page
    page.get_by_role("button", name="Next position").click()
    page.get_by_role("button", name="Next position").click()
    assert query(page)["at"] == "0.2"
    page.get_by_role("button", name="Previous position").click()
    assert query(page)["at"] == "0.1"
    page.get_by_label("Position of the window").fill("24")
    assert query(page)["at"] == "4.4" and page.locator(".count").inner_text() == "25 of 25"
    before = page.evaluate("history.length")
    page.get_by_role("button", name="Play").click()
    page.get_by_text("3 of 25").wait_for()
    assert live(page) == ""  # it would speak without end
    page.get_by_role("button", name="Pause").click()
    at = query(page)["at"]
    assert at != "4.4" and page.evaluate("history.length") == before
    assert live(page).startswith(f"output row {at[0]} column {at[2]} = ")
    page.wait_for_timeout(600)
    assert query(page)["at"] == at  # it stands


def test_channels_of_the_output_are_chosen(bench):
    page = bench("n=8&f=1&c=6&k=64").page
    page.get_by_role("button", name="Filter 3 and output channel 3").click()
    assert query(page)["filter"] == "3"
    assert page.get_by_text("and 3 more channels").count()
    page.get_by_label("and 58 more").fill("63")
    page.get_by_label("and 58 more").press("Enter")
    assert query(page)["filter"] == "63"
    assert live(page).endswith("output channel 63")


def test_large_layers_shrink_and_stay_exact(bench):
    shown = bench("n=224&f=7&s=2&p=3&c=3&k=64&at=50.60")
    page = shown.page
    assert page.locator("svg[data-picture] .numbers").count() == 0
    value = output({"n": 224, "f": 7, "s": 2, "p": 3, "c": 3}, 0, 50, 60)
    assert page.locator("[data-total]").get_attribute("data-total") == str(value)
    deep = bench("n=512&f=7&p=3&c=64&k=4096&at=5.6").page
    assert deep.locator("[data-total]").get_attribute("data-total") == str(
        output({"n": 512, "f": 7, "p": 3, "c": 64}, 0, 5, 6)
    )
    assert not shown.messages


def test_a_layer_of_the_network(bench):
    page = bench("").page
    choice = page.get_by_label("A layer of lenet5")
    labels = choice.locator("option").all_inner_texts()
    net = st.create("lenet5")
    windowed = [node.name for node in net.nodes if net.inference.declarations[node.name].windows]
    assert [label.split(":")[0] for label in labels[1:]] == windowed
    choice.select_option(index=1)
    node = net.node(windowed[0])
    (rows, _) = net.inference.declarations[node.name].windows.values()
    assert f"({rows.input} + " in formula(page)
    assert choice.evaluate("one => one.selectedOptions[0].text").startswith(f"{windowed[0]}:")


def test_copies(bench, browser):
    shown = bench("n=7&f=3&s=3")
    page = shown.page
    texts = {}
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copied = text } }")
    for name in ("SVG", "PyTorch", "notation", "LaTeX", "link"):
        page.get_by_role("button", name=f"Copy {name}").click()
        page.get_by_text(f"{name} copied").wait_for()
        texts[name] = page.evaluate("window.copied")
    assert texts["PyTorch"] == "nn.Conv2d(1, 1, 3, stride=3)"
    assert texts["notation"] == "7x7x1 -> conv 3x3 /3"
    assert texts["link"] == page.url
    assert "\\frac{7 + 2 \\cdot 0 - 3}{3}" in texts["LaTeX"] and "2.33" in texts["LaTeX"]
    assert "var(" not in texts["SVG"] and "class=" not in texts["SVG"]
    assert texts["SVG"].count("<text") == page.locator("svg[data-picture] text").count()
    other = browser.new_page()
    other.set_content(texts["SVG"])
    assert other.locator("svg").bounding_box()["width"] > 300
    assert other.locator("text").first.evaluate("e => getComputedStyle(e).fontSize") == "15px"
    other.close()
    assert not shown.messages


def test_a_refused_clipboard_shows_the_text_selected(bench):
    page = bench("n=7&f=3&s=3").page
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    page.get_by_role("button", name="Copy notation").click()
    area = page.get_by_label("Text to copy")
    area.wait_for()
    assert area.input_value() == "7x7x1 -> conv 3x3 /3"
    assert area.evaluate("one => one.selectionEnd - one.selectionStart") == len("7x7x1 -> conv 3x3 /3")


# -- keyboard -----------------------------------------------------------------------------------------------------


def focused(page):
    return page.evaluate("document.activeElement.dataset?.grid ?? ''")


def test_by_keyboard_alone(bench):
    shown = bench("n=7&f=3&at=0.0")
    page = shown.page
    stops = []
    for _ in range(80):
        page.keyboard.press("Tab")
        if name := focused(page):
            stops.append(name)
        if name == "output":
            break
    assert stops == ["pixel", "tap", "output"]  # one stop each
    for key, at in [("ArrowRight", "0.1"), ("ArrowDown", "1.1"), ("ArrowLeft", "1.0"), ("ArrowUp", "0.0"),
                    ("ArrowUp", "0.0"), ("End", "4.4"), ("ArrowRight", "4.4"), ("Home", "0.0")]:  # fmt: skip
        page.keyboard.press(key)
        assert query(page)["at"] == at, key
    page.keyboard.press("Space")
    page.locator("svg.moving").wait_for()
    page.keyboard.press("Space")
    page.locator("svg.moving").wait_for(state="detached")
    page.keyboard.press("Space")
    page.locator("svg.moving").wait_for()
    page.keyboard.press("Escape")
    page.locator("svg.moving").wait_for(state="detached")
    assert "at" not in query(page) and live(page).startswith("output row 0 column 0")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "tap"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert query(page)["tap"] == "0.1.0"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("End")
    assert query(page)["pixel"] == "0.6.6"
    assert live(page).startswith("input row 6 column 6 is read by 1 window")
    # The numbers are typed.
    page.get_by_label("Stride S", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    assert formula(page) == "(7 + 2·0 − 3)/3 + 1 = 2.33"
    page.keyboard.press("ArrowDown")
    assert query(page)["s"] == "2"
    page.keyboard.press("Control+A")
    page.keyboard.type("0")
    assert page.get_by_label("Stride S", exact=True).get_attribute("aria-invalid") == "true"
    assert query(page)["s"] == "2"
    assert not shown.messages


def test_the_focus_of_a_grid_is_seen(bench):
    page = bench("n=7&f=3").page
    page.locator("[data-grid=output]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-grid=output] .ring").evaluate("e => getComputedStyle(e).display") == "inline"
    assert page.locator("[data-grid=tap] .ring").evaluate("e => getComputedStyle(e).display") == "none"


# -- touch, motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PHONE, TINY], ids=["phone", "tiny"])
def test_by_touch(bench, size):
    shown = bench("n=7&f=3", size, has_touch=True, is_mobile=True)
    page = shown.page

    def tap(grid, row, column, count):
        page.locator(f"[data-grid={grid}]").scroll_into_view_if_needed()
        page.touchscreen.tap(*cell(page, grid, row, column, count))

    tap("output", 1, 2, (5, 5))
    assert query(page)["at"] == "1.2"
    tap("pixel", 6, 0, (7, 7))
    assert query(page)["pixel"] == "0.6.0"
    tap("tap", 2, 2, (3, 3))
    assert query(page)["tap"] == "0.2.2"
    page.get_by_role("button", name="Stride S: more").tap()
    page.get_by_role("button", name="Stride S: more").tap()
    assert formula(page) == "(7 + 2·0 − 3)/3 + 1 = 2.33"
    page.get_by_role("button", name="pad 1").tap()
    assert page.locator("[data-state]").get_attribute("data-state") == "fits"
    small = page.evaluate(
        """[...document.querySelectorAll('[data-view] button, [data-view] select, [data-view] input')]
           .map(e => [e.outerHTML, e.getBoundingClientRect()])
           .filter(([, r]) => r.width && (r.width < 24 || r.height < 24)).map(([text]) => text)"""
    )
    assert not [text for text in small if "checkbox" not in text]
    page.mouse.wheel(0, 2000)
    assert page.locator("[data-formula]").bounding_box()["y"] < size["height"]  # always on screen
    assert not shown.messages


def test_reduced_motion_has_no_transition(bench):
    for motion, seconds in (("reduce", "0s"), ("no-preference", "0.14s")):
        page = bench("n=7&f=3", reduced_motion=motion).page
        assert not page.locator("svg.moving").count()  # nothing plays by itself
        page.get_by_role("button", name="Play").click()
        page.locator("svg.moving").wait_for()
        duration = page.locator("svg.moving rect.window").first.evaluate(
            "e => getComputedStyle(e).transitionDuration"
        )
        assert set(duration.split(", ")) == {seconds}
