"""The view that compares: a saved page holds the network at a second size, the lab any two."""

import json

import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.reports import MODULE, focus, report, settled
from laws.pictured import SHAPED
from striate.analysis import sizes
from striate.views.diff_record import diff_record
from striate.views.drawing.comparison import diff_picture
from striate.views.json_records import show_record
from striate.views.page.comparison import comparison_part

FAILING = "12x12x3 -> conv 3x3 4 -> deep: conv 13x13 -> relu"


@pytest.fixture(scope="module")
def stride(tmp_path_factory):
    return report(tmp_path_factory.mktemp("stride"), "7x7x1 -> conv 3x3 /3 -> relu")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE, {"width": 320, "height": 700}], ids=["desk", "phone", "small"])
def test_a_saved_page_compares_with_a_size_that_fits(stride, window, size, dark):
    shown = window(f"{stride}#compare", size, dark)
    page = shown.page
    text = page.locator("[data-view=compare]").inner_text()
    assert "7x7 does not fit exactly; 6x6 is the nearest size that does" in text
    assert "1 x 7 x 7" in text and "1 x 6 x 6" in text and "striate diff" in text
    assert page.locator("[data-view=compare] .stage svg").is_visible()
    settled(shown, size)


@pytest.mark.browser
def test_the_picture_is_reached_and_scrolled_with_keys(stride, window):
    shown = window(f"{stride}#compare", PHONE)
    page = shown.page
    focus(page, ".stage")
    for _ in range(6):
        page.get_by_role("button", name="Larger").press("Enter")
    focus(page, ".stage")
    before = page.evaluate("document.activeElement.scrollTop")
    for _ in range(40):
        page.keyboard.press("ArrowDown")
        if page.evaluate("document.activeElement.scrollTop") > before:
            break
    assert page.evaluate("document.activeElement.scrollTop") > before
    focus(page, "summary")
    opened = page.locator("details.changes").first.get_attribute("open")
    page.keyboard.press("Enter")
    assert page.locator("details.changes").first.get_attribute("open") != opened
    assert not shown.messages


@pytest.mark.browser
def test_touch_opens_what_changed(window, tmp_path):
    shown = window(f"{report(tmp_path, 'lenet5')}#compare", PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    group = page.locator("details.seen")
    assert not group.locator("table").is_visible()
    group.locator("summary").tap()
    assert group.locator("table").is_visible()
    settled(shown, PHONE)


@pytest.mark.browser
def test_without_height_and_width_it_says_why(window, tmp_path):
    shown = window(f"{report(tmp_path, SHAPED['vector']())}#compare", PHONE)
    assert "no input has height and width" in shown.page.locator("[data-view] .missing").inner_text()
    settled(shown, PHONE)


LAB = """<!DOCTYPE html><html lang="en"><title>lab</title><main><h1>lab</h1><div id="here"></div></main>
<script type="module">
import {{ mount, memoryRoutes }} from "{module}"
window.asked = []
window.mounted = mount(document.getElementById("here"), {record}, {{
  kind: "lab", pictures: () => [], source: () => ({{ model: "lenet5" }}), ...memoryRoutes("#compare"),
  request: async (name, body) => {{ window.asked.push([name, body]); return {answer} }},
}})
</script>"""


@pytest.mark.browser
def test_the_lab_is_asked_for_any_two(browser, tmp_path):
    """The page asks with both sources and shows what comes back."""
    from striate.views.drawing.svg import svg
    from striate.views.page.record import live_record

    nets = striate.load("lenet5"), striate.load("lenet5", input="28x28x1")
    shows = tuple(map(show_record, nets))
    answer = {"diff": diff_record(*shows), "svg": svg(diff_picture(nets, shows).scene["drawing"])}
    (tmp_path / "striate.js").write_bytes(MODULE.read_bytes())
    text = LAB.format(
        module="./striate.js", record=json.dumps(live_record(shows[0])), answer=json.dumps(answer)
    ).replace("</svg>", "<\\/svg>")
    (tmp_path / "lab.html").write_text(text, "utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.route("**/*", lambda route: route.fulfill(path=str(tmp_path / route.request.url.rpartition("/")[2])))
    page.goto("http://lab.test/lab.html")
    page.get_by_label("Input size").nth(1).fill("28x28x1")
    page.get_by_label("Network (empty: as A)").fill("8x8x1 -> conv 3x3")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage svg")
    assert page.evaluate("window.asked") == [
        ["compare", {"a": {"model": "lenet5"}, "b": {"text": "8x8x1 -> conv 3x3", "input": "28x28x1"}}]
    ]
    assert "1 x 28 x 28" in page.locator(".totals").inner_text()
    context.close()


@pytest.mark.parametrize(
    "model", ["lenet5", "resnet18", "googlenet", "7x7x1 -> conv 3x3 /3", "1d 1000x1 -> conv 9 8 /4"]
)
def test_the_second_size_fits_and_the_differences_are_those_of_diff(model):
    net = striate.load(model)
    part = comparison_part(net, show_record(net))
    ((name, other),) = part["diff"]["b"]["inputs"].items()
    solved = sizes(net)
    own = net.inputs[name].spatial
    assert all(axis.fits(n) for axis, n in zip(solved.axes.values(), other[1:]))
    if all(axis.fits(n) for axis, n in zip(solved.axes.values(), own)):
        for axis, n, m in zip(solved.axes.values(), own, other[1:]):
            assert m > n and not any(axis.fits(k) for k in range(n + 1, m))
    else:
        for axis, n, m in zip(solved.axes.values(), own, other[1:]):
            assert abs(m - n) == min(abs(k - n) for k in range(1, 2 * n) if axis.fits(k))
    whole = diff_record(show_record(net), show_record(net.with_input({name: other})))
    assert [(c["a"], c["b"]) for c in part["diff"]["changed"]] == [(c["a"], c["b"]) for c in whole["changed"]]
    for short, full in zip(part["diff"]["changed"], whole["changed"]):
        rest = {"window", "activation_bytes"}
        assert short["facts"] == {key: pair for key, pair in full["facts"].items() if key not in rest}
    assert part["svg"].startswith("<svg")


def test_a_network_that_fails_is_compared_with_a_size_at_which_it_does_not():
    net = striate.parse(FAILING)
    part = comparison_part(net, show_record(net))
    assert part["diff"]["b"]["inputs"] == {"input": [3, 15, 15]}
    assert part["diff"]["a"]["nodes"] == 1 and part["diff"]["b"]["nodes"] == 3
