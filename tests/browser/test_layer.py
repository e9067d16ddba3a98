"""The layer view in a saved report: its contract, and its numbers against Python's."""

import pytest

import striate as st
from browser.conftest import DESK, PHONE
from browser.layer_bench import TINY, formula, live, output
from striate.views.drawing import example

pytestmark = pytest.mark.browser

STATES = {
    "fits": "n=7&f=3&s=1&p=1&c=3&k=6",
    "remainder": "n=7&f=3&s=3&p=0",
    "impossible": "n=5&f=7",
}


# -- the contract -------------------------------------------------------------------------------------------------


def test_the_contract(bench):
    shown = bench("n=7&f=3&s=3&p=0&d=1&c=1&k=1&mode=zeros")
    page = shown.page
    assert formula(page) == "(7 + 2·0 − 3)/3 + 1 = 2.33"
    root = page.locator("[data-state]")
    assert root.get_attribute("data-state") == "remainder" and root.get_attribute("data-unread") == "13"
    assert "leaves a remainder" in page.locator(".layer > .formula").inner_text()
    assert "13 of 49 pixels are never read: row 6 and column 6" in page.locator(".verdict").inner_text()
    for text in ("stride 2", "pad 1", "input 9x9"):
        page.go_back() if page.locator("[data-state=fits]").count() else None
        page.get_by_role("button", name=text).click()
        page.locator("[data-state=fits]").wait_for()
    assert "n=9" in page.evaluate("location.hash")
    assert not shown.messages


LOOKS = {"desk": (DESK, False), "phone": (PHONE, True), "tiny": (TINY, False)}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", STATES)
def test_states_are_shown_without_a_fault(bench, state, look):
    size, dark = LOOKS[look]
    shown = bench(STATES[state], size, dark)
    page = shown.page
    assert page.locator("[data-state]").get_attribute("data-state") == state
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not shown.violations()
    small = page.evaluate(
        """[...document.querySelectorAll('[data-view] *')].filter(e => e.childNodes.length &&
           [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) &&
           parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML)"""
    )
    assert not small
    assert not shown.messages


@pytest.mark.parametrize("show", ["counts", "modes", "fc"])
def test_what_else_is_shown(bench, show):
    for route, size, dark in (
        ("n=5&f=3", TINY, True),
        ("n=32&f=5&c=3&k=6", DESK, False),
        ("n=4&f=9", TINY, False),
    ):
        shown = bench(f"{route}&show={show}", size, dark)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert not shown.violations()
        assert not shown.messages


def test_what_a_route_cannot_mean_is_told(bench):
    shown = bench("n=1e9&f=x&mode=%3Cb%3Emirror")
    text = shown.page.locator(".verdict").inner_text()
    assert "n=1e9 is not a whole number from 1 to 512" in text and "f=x" in text and "mode=<b>mirror" in text
    assert formula(shown.page) == "(7 + 2·0 − 3)/1 + 1 = 5"
    assert not shown.messages


def test_axes_apart(bench):
    page = bench("nh=5&nw=8&fh=3&fw=2&sh=1&sw=2&pt=1&pb=0&pl=0&pr=0").page
    assert page.locator("[data-formula]").all_inner_texts() == [
        "(5 + 1 + 0 − 3)/1 + 1 = 4", "(8 + 2·0 − 2)/2 + 1 = 4",
    ]  # fmt: skip
    assert page.get_by_label("Stride S, width", exact=True).input_value() == "2"


# -- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route, filter, i, j",
    [
        ({"n": 7, "f": 3, "s": 1, "p": 1, "c": 3, "k": 6}, 0, 2, 3),
        ({"n": 9, "f": 3, "s": 2, "p": 1, "d": 2, "c": 2, "k": 4}, 3, 0, 3),
        ({"n": 12, "f": 5, "s": 1, "c": 8, "k": 2}, 1, 7, 0),
        ({"n": 6, "f": 1, "c": 6, "k": 3}, 2, 5, 5),
    ],
)
def test_the_written_sum_is_numpys(bench, route, filter, i, j):
    text = "&".join(f"{name}={value}" for name, value in route.items())
    page = bench(f"{text}&filter={filter}&at={i}.{j}").page
    value = output(route, filter, i, j)
    total = page.locator("[data-total]")
    assert int(total.get_attribute("data-total")) == value
    products = route["f"] ** 2 * route["c"]
    bias = example.bias(filter)
    assert live(page) == (
        f"output row {i} column {j} = {value:.1f}, sum of {products} products plus bias {bias}, output channel {filter}"
    )
    # What is written adds up: the products of each channel, and the channels.
    for line in page.locator("[data-partial]").all_inner_texts():
        sum_, _, result = line.replace("−", "-").rpartition(" = ")
        assert sum(eval(term.replace("·", "*")) for term in sum_.split(" + ")) == int(result)
    sum_, _, result = total.inner_text().replace("−", "-").replace("(bias)", "").rpartition("=")
    assert eval(sum_) == int(result) == value


def test_the_live_region_has_the_words_of_the_contract(bench):
    page = bench("n=7&f=3&c=3&at=2.3").page
    value = output({"c": 3}, 0, 2, 3)
    assert live(page) == f"output row 2 column 3 = {value}.0, sum of 27 products plus bias 1"
    assert page.locator("[data-live]").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("route", ["n=5&f=3", "n=3&f=2", "n=7&f=3&s=3", "n=6&f=3&s=2&p=1&mode=reflect"])
def test_counts_are_pythons(bench, route):
    page = bench(f"{route}&show=counts").page
    notation = page.evaluate(
        "document.querySelector('svg[data-picture]').getAttribute('aria-label').split(', output')[0]"
    )
    use = st.pixels(st.parse(notation))
    numbers = page.locator("[data-grid=pixel] .numbers text").all_text_contents()
    assert [int(text) for text in numbers] == [n for row in use.counts for n in row]
    text = page.locator("[data-counts]").inner_text()
    if use.corner_to_center is not None and not use.uniform:
        assert (
            f"corner {use.corner} of {use.center} at the center = {float(use.corner_to_center):.3g}" in text
        )
        assert f"border {float(use.border_to_center):.3g} of the center" in text
    assert page.locator("[data-state]").get_attribute("data-unread") == str(use.unread)


def test_padding_modes_are_pythons(bench):
    from striate.views.pixel_record import compare_record

    page = bench("n=5&f=3&show=modes").page
    for mode in compare_record(st.parse("5x5x1 -> conv 3x3"))["modes"]:
        part = page.locator(f"[data-mode='{mode['mode']}']")
        numbers = [int(text) for text in part.locator("svg text").all_text_contents()]
        assert numbers == [n for row in mode["counts"] for n in row], mode["mode"]
        assert ("equally often" in part.inner_text()) == mode["uniform"]


def test_fully_connected_at_true_scale(bench):
    from striate.views.json_records import show_record
    from striate.views.node_record import detail_record

    page = bench("n=32&f=5&c=3&k=6&show=fc").page
    net = st.parse("32x32x3 -> conv 5x5 6")
    detail = detail_record(net, "conv1", show_record(net))
    text = page.locator(".fc").inner_text()
    full = detail["fully_connected"]
    for expected in (detail["arithmetic"]["params"], detail["arithmetic"]["macs"], full["arithmetic"]):
        assert expected in text
    for unit, amounts in {
        "parameters": (detail["params"], full["params"]),
        "MACs": (detail["macs"], full["macs"]),
    }.items():
        cells = page.locator(f"[data-unit={unit}]")
        assert [int(cells.nth(k).get_attribute("data-amount")) for k in (0, 1)] == list(amounts)
        sides = [float(cells.nth(k).locator("rect").get_attribute("width")) for k in (0, 1)]
        assert sides[0] ** 2 / sides[1] ** 2 == pytest.approx(amounts[0] / amounts[1], rel=1e-6)
