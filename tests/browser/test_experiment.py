"""The view `lab` in a saved page: the page shows the stimuli and computes the responses by itself."""

import json
import re
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.experiment_model import model, report
from browser.node_module import compute
from browser.reports import focus, settled, spoken
from cli.run import run
from striate.probe import stimuli
from striate.probe.by_hand import Hand, pooled
from striate.probe.stimuli import Slide
from striate.probe.tuning import tune

SLIDES = [
    ("bar", 30.0, 1.5, -2.0, 2.5, 4.0, 0), ("bar", 91.0, 0.0, 0.25, 1.0, None, 1),
    ("edge", 200.0, 1.0, 1.0, 1.0, None, 0),
    ("grating", 77.5, -0.3, 2.0, 1.75, None, 1), ("spot", 0.0, -3.0, 1.0, 4.5, None, 0),
]  # fmt: skip


@pytest.mark.node
def test_stimuli_are_the_numbers_of_python():
    draw = np.random.default_rng(5)
    kinds = [*SLIDES]
    for _ in range(60):
        numbers = [float(draw.uniform(*span)) for span in ((-180, 360), (-9, 9), (-9, 9), (0.5, 9), (1, 20))]
        kinds.append((str(draw.choice(stimuli.SLIDES)), *numbers, int(draw.integers(2))))
    screens = [stimuli.Screen((2, 9), (0, 10)), stimuli.Screen((0, 0), (3, 7))]
    keys = ("kind", "orientation", "x", "y", "width", "length", "dark")
    cases = [
        {"rows": screen.rows, "columns": screen.columns,
         "slides": [{key: value for key, value in zip(keys, one) if value is not None} for one in kinds]}
        for screen in screens
    ]  # fmt: skip
    found = compute(
        """const {slidePattern, gratingPattern, ladder} = page.more.stimuli
        const around = ({rows, columns}) =>
          ({rows: [rows[0] - 2, rows[1] + 1], columns: [columns[0] - 1, columns[1] + 3]})
        return cases.map(({slides, ...area}) => ({
          slides: slides.map((slide) => [...slidePattern(slide, area, area)]),
          // A larger area around the field: the same numbers on the field.
          around: slides.map((slide) => [...slidePattern(slide, around(area), area)]),
          ladder: ladder(area),
          waves: [0, 1, 2].map((k) => [...gratingPattern(0.3 + k, 0.1 * (k + 1), 2 * k, area, area)]),
        }))""",
        cases,
    )
    for screen, answer in zip(screens, found, strict=True):
        for one, numbers, around in zip(kinds, answer["slides"], answer["around"], strict=True):
            kind, turn, x, y, width, length, dark = one
            slide = Slide(
                kind, np.deg2rad(turn), x, y, width, np.inf if length is None else length, bool(dark)
            )
            wanted = slide.draw(screen)
            np.testing.assert_allclose(np.reshape(numbers, screen.shape), wanted, atol=1e-12)
            height, width = screen.shape
            larger = np.reshape(around, (height + 3, width + 4))[2 : 2 + height, 1 : 1 + width]
            np.testing.assert_allclose(larger, wanted, atol=1e-12)
        np.testing.assert_allclose(answer["ladder"], stimuli.ladder(screen, None), rtol=1e-12)
        waves = [
            stimuli.Gratings((0.3 + k,), (0.1 * (k + 1),), (2.0 * k,)).draw(screen, np.array([0]))
            for k in range(3)
        ]
        np.testing.assert_allclose(
            np.reshape(answer["waves"], (3, *screen.shape)), np.concatenate(waves), atol=1e-12
        )


@pytest.mark.node
def test_measures_are_those_of_python():
    """Of responses of every kind: tuned, with a bias, silent, the same for all orientations."""
    draw = np.random.default_rng(2)
    turns, rates = stimuli.turns(stimuli.ORIENTATIONS), stimuli.ladder(stimuli.Screen((0, 8), (0, 8)), None)
    phase = np.array(stimuli.phases(16))
    tuned = (
        np.exp(2 * np.cos(2 * (np.array(turns) - 1.0)))[:, None, None]
        * np.cos(phase - 0.4)
        * np.hanning(10)[1:-1, None]
    )
    cases = [
        (tuned, 0.0), (tuned + 2.0, 2.0), (tuned - 3.0, -3.0), (-abs(tuned), 0.0), (tuned * 0 + 1.0, 1.0),
        (draw.random(tuned.shape), 0.2),
    ]  # fmt: skip
    found = compute(
        "return cases.map(([raw, blank, rates]) => page.more.tuning.tune(raw, blank, rates))",
        [(raw.tolist(), blank, rates) for raw, blank in cases],
    )
    silent = []
    for (raw, blank), answer in zip(cases, found, strict=True):
        wanted = tune(np.maximum(raw, 0), max(blank, 0), turns, rates)
        if wanted is None or answer["type"] == "none":
            silent.append(answer["type"])
            assert wanted is None or wanted.drive < 1e-9
            continue
        assert answer["orientation"] == pytest.approx(wanted.orientation, abs=1e-6)
        assert answer["cv"] == pytest.approx(wanted.cv, abs=1e-9)
        assert answer["osi"] == pytest.approx(wanted.osi, abs=1e-9)
        assert answer["f1_f0"] == pytest.approx(wanted.f1_f0, abs=1e-9)
    assert silent == ["none", "none"]


@pytest.fixture(scope="module")
def page_address(tmp_path_factory):
    return report(tmp_path_factory.mktemp("experiment"))


@pytest.fixture
def opened(page_address, window):
    """opened(parameters, …): the view, once the first response is there."""

    def load(parameters="", size=DESK, dark=False, **options):
        shown = window(f"{page_address}#lab?{parameters}", size, dark, **options)
        shown.page.locator("[data-response]").wait_for()
        return shown

    return load


def response(page):
    """The number that is shown, as it was computed."""
    return float(page.locator("[data-response]").get_attribute("data-response"))


def parameters(page):
    return dict(re.findall(r"[?&](\w+)=([^&]*)", page.evaluate("location.hash")))


def changed(page, before):
    """Wait for another response than `before`."""
    page.wait_for_function(
        "before => document.querySelector('[data-response]').dataset.response !== before", arg=str(before)
    )
    return response(page)


def raw(page):
    return page.locator("[data-response]").get_attribute("data-response")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_shows_what_python_computes(opened, size, dark):
    for kind, turn, x, y, width, length, is_dark in SLIDES[:4]:
        ends = "" if length is None else f"&l={length}"
        shown = opened(
            f"node=conv1&kind={kind}&o={turn}&x={x}&y={y}&w={width}&dark={is_dark}{ends}", size, dark
        )
        slide = Slide(kind, np.deg2rad(turn), x, y, width, 14.0 if length is None else length, bool(is_dark))
        wanted = Hand(model(), "conv1").responses([slide])[0]
        assert response(shown.page) == pytest.approx(wanted[1], abs=2e-5)
        if kind == "bar":
            continue
        field = shown.page.locator("[data-field]").first.get_attribute("data-field")
        assert field == "7 15 7 15"
        assert "blank screen" in shown.page.locator(".response").inner_text()
    settled(shown, size)


@pytest.mark.browser
def test_the_mouse_moves_and_turns_the_stimulus(opened):
    shown = opened("node=conv1&o=0&w=2&l=9")
    page = shown.page
    box = page.locator(".screen").bounding_box()
    middle = [box["x"] + box["width"] * 11.5 / 24, box["y"] + box["height"] * 11.5 / 24]
    before = raw(page)
    handle = page.locator("[data-handle]").bounding_box()
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(middle[0] + 50, middle[1] - 86.6, steps=6)  # 60 degrees
    page.mouse.up()
    turned = changed(page, before)
    page.wait_for_function("() => location.hash.includes('o=60')")
    wanted = Hand(model(), "conv1").responses([Slide("bar", np.deg2rad(60), 0, 0, 2, 9)])[0]
    assert turned == pytest.approx(wanted[1], abs=2e-5) and turned > float(before)
    before = raw(page)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + box["width"] / 24 * 3, middle[1] + box["height"] / 24 * 2, steps=4)
    page.mouse.up()
    moved = changed(page, before)
    page.wait_for_function("() => location.hash.includes('x=')")
    at = parameters(page)
    assert float(at["x"]) == pytest.approx(3, abs=0.3) and float(at["y"]) == pytest.approx(-2, abs=0.3)
    again = opened(page.evaluate("location.hash").partition("?")[2])
    assert response(again.page) == pytest.approx(moved, abs=1e-6)
    assert not shown.messages


@pytest.mark.browser
def test_the_keyboard_alone(opened):
    shown = opened("node=conv1&o=55&w=2&l=9")
    page = shown.page
    focus(page, ".screen svg")
    before = raw(page)
    page.keyboard.press("]")
    page.keyboard.press("[")
    page.keyboard.press("[")
    found = changed(page, before)
    hand = Hand(model(), "conv1")
    assert found == pytest.approx(hand.responses([Slide("bar", np.deg2rad(60), 0, 0, 2, 9)])[0][1], abs=2e-5)
    page.wait_for_function("() => document.querySelector('.said').innerText.includes('60°')")
    said = spoken(page)
    assert "response" in said and "bright bar at 60°, in the middle of the field" in said
    page.keyboard.press("Enter")
    assert page.locator(".over [data-mark]").get_attribute("data-mark") == "+"
    before = raw(page)
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "+", "-", "Space"):
        page.keyboard.press(key)
    changed(page, before)
    page.wait_for_function("() => location.hash.includes('dark=1') && location.hash.includes('y=2')")
    assert {key: parameters(page)[key] for key in ("x", "y", "dark", "o")} == {
        "x": "1", "y": "2", "dark": "1", "o": "60",
    }  # fmt: skip
    page.keyboard.press("Enter")
    assert page.locator(".over [data-mark]").count() == 2
    page.keyboard.press("Delete")
    page.keyboard.press("Home")
    page.wait_for_function("() => !location.hash.includes('y=2')")
    assert page.locator(".over [data-mark]").count() == 1
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.closest('.screen')"), "the screen is one tab stop"
    settled(shown, DESK)


@pytest.mark.browser
def test_touch(opened):
    shown = opened("node=conv1&unit=0&kind=spot&w=2", PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    box = page.locator(".screen").bounding_box()
    before = raw(page)
    page.touchscreen.tap(box["x"] + box["width"] * 13.5 / 24, box["y"] + box["height"] * 11.5 / 24)
    changed(page, before)
    for name in ("edge", "dark", "Mark + or −", "corner"):
        button = page.get_by_role("button", name=name, exact=True).last
        area = button.bounding_box()
        assert area["height"] >= 24 and area["width"] >= 24
        button.tap()
    page.wait_for_function("() => location.hash.includes('at=corner')")
    page.get_by_text("padding is part of what the unit sees").wait_for()
    settled(shown, PHONE)


@pytest.mark.browser
def test_marks_show_where_the_unit_is_excited_and_inhibited(opened):
    """A spot over a unit whose response to the blank screen is not 0: some places add, others take away."""
    shown = opened("node=conv2&kind=spot&w=1.5")
    page = shown.page
    page.get_by_label("mark while moving").check()
    page.locator(".screen svg").focus()
    for key in ["ArrowLeft"] * 6 + ["ArrowRight"] * 12:
        before = raw(page)
        page.keyboard.press(key)
        page.wait_for_timeout(40)
    del before
    marks = [mark.get_attribute("data-mark") for mark in page.locator(".over [data-mark]").all()]
    assert len(marks) > 8 and {"+", "-"} <= set(marks)
    page.wait_for_timeout(400)
    again = opened(page.evaluate("location.hash").partition("?")[2])
    assert [
        mark.get_attribute("data-mark") for mark in again.page.locator(".over [data-mark]").all()
    ] == marks
    page.get_by_role("button", name="Clear marks").click()
    assert page.locator(".over [data-mark]").count() == 0
    settled(shown, DESK)


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_sweep_goes_there_and_back(opened, motion):
    shown = opened("node=conv1&o=60&w=2&l=9", reduced_motion=motion)
    page = shown.page
    page.locator("[data-sweep]").click()
    if motion == "reduce":
        page.locator("[data-swept]").wait_for(timeout=2000)
    else:
        page.locator(".chart .dot").wait_for()
        page.locator("[data-swept]").wait_for(timeout=15_000)
    lines = [line.get_attribute("points").split() for line in page.locator("figure polyline").all()]
    assert len(lines) == 2 and set(lines[0]) >= set(lines[1]) and len(lines[0]) == 61
    heights = [float(point.split(",")[1]) for point in lines[0]]
    places = np.linspace(-1, 1, 61) * (np.hypot(9, 9) + 2) / 2
    turn = np.deg2rad(60)
    slides = [Slide("bar", turn, p * np.sin(turn), -p * np.cos(turn), 2, 9) for p in places]
    wanted = Hand(model(), "conv1").responses(slides)[0][1:]
    scaled = (wanted - min(0, wanted.min())) / (max(wanted) - min(0, wanted.min()))
    np.testing.assert_allclose((190 - 24 - np.array(heights)) / (190 - 46), scaled, atol=2e-3)
    assert "not defined" in page.locator("[data-swept]").inner_text()
    settled(shown, DESK)


@pytest.mark.browser
def test_no_sound_before_it_is_asked_for(opened):
    shown = opened("node=conv1&o=60")
    page = shown.page
    page.evaluate("""() => {
      window.made = []
      const Context = window.AudioContext
      window.AudioContext = class extends Context { constructor() { super(); made.push(this) } }
    }""")
    page.locator(".screen svg").press("ArrowUp")
    page.wait_for_timeout(100)
    assert page.evaluate("made.length") == 0
    button = page.locator("[data-sound]")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    page.wait_for_function("() => made.length === 1")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    page.wait_for_function("() => made[0].state === 'closed'")
    assert not shown.messages


@pytest.mark.browser
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_protocol_is_compared_with_the_guess(opened, size):
    shown = opened("node=conv1&o=40", size)
    page = shown.page
    page.locator("[data-run]").click()
    page.locator("[data-compared]", has_text="measured").wait_for(timeout=60_000)
    said = page.locator("[data-compared]").inner_text()
    unit = striate.probe(model(), "conv1")[0]
    assert said.startswith("you: 40°, measured: ")
    told = float(re.search(r"measured: ([\d.]+)°", said)[1])
    assert told == pytest.approx(unit.orientation_deg, abs=0.5) and told == pytest.approx(60, abs=1)
    facts = page.locator(".found .facts").inner_text()
    assert f"{unit.cv:.2f}" in facts and f"{unit.f1_f0:.2f}" in facts and "simple" in facts
    assert page.locator(".found .chart").count() == 1 and page.locator(".polar").count() == 1
    settled(shown, size)


@pytest.mark.browser
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_complex_cells_out_of_simple_ones(opened, size):
    shown = opened("node=conv1", size)
    page = shown.page
    page.get_by_role("button", name="All sizes").click()
    page.locator("[data-pool='3']").wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    ratios = {
        int(row.get_attribute("data-pool")): float(row.get_attribute("data-ratio"))
        for row in page.locator("[data-pool]").all()
    }
    assert ratios[1] > ratios[2] > ratios[3]
    for side in (1, 2, 3):
        assert ratios[side] == pytest.approx(pooled(model(), "conv1", side)[0].f1_f0, abs=0.02)
    broken = page.evaluate("""() => [...document.querySelectorAll(".experiment th")].filter((cell) => {
      const range = document.createRange()
      range.selectNodeContents(cell)
      const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top)))
      return lines.size > cell.innerText.split(" ").length
    }).map((cell) => cell.innerText)""")
    assert not broken, "a word is not broken into lines"
    settled(shown, size)


@pytest.mark.browser
def test_a_page_without_weights_says_what_is_missing(window, tmp_path):
    assert run("report", "resnet18", "-o", str(tmp_path / "page.html")).code == 0
    shown = window(f"{(tmp_path / 'page.html').as_uri()}#lab")
    text = shown.page.locator("[data-view=lab] .missing").inner_text()
    assert "multiply-accumulates" in text and "striate lab MODEL" in text
    settled(shown, DESK)


@pytest.mark.browser
def test_names_in_the_address_are_taken_for_what_they_are(opened):
    for part in (
        "node=constructor", "node=toString&unit=9e99", "at=constructor", "at=9.9e9", "kind=__proto__", "color=valueOf",
        "o=NaN&x=Infinity&w=-3", "marks=1_2_q*_*x_y_p*3_4_p",
    ):  # fmt: skip
        shown = opened(part)
        assert not shown.messages, part


def test_the_record_holds_the_screen(page_address):
    text = Path(urlparse(page_address).path).read_text("utf-8")
    record = json.loads(re.search(r"data-striate-record>(.*?)</script>", text, re.DOTALL)[1])
    held = record["experiment"]
    assert held["screen"]["height"] == 24 and held["screen"]["gray"] == [0.5]
    assert [one["node"] for one in held["nodes"]] == ["conv1", "relu1", "maxpool1", "conv2"]
