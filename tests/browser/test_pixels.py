"""The view of pixel use: mouse, keyboard alone, touch; counts of any length are Python's."""

import random

import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.reports import answers, focus, report, settled, spoken
from laws.pictured import SHAPED
from striate.analysis import pixels
from striate.views.page.pixels import pixels_part
from striate.views.pixel_record import MODES
from striate.views.text.pixels import large

DEEP = "40x40x1" + " -> conv 3x3 pad 1" * 24
STRIDE_3 = "7x7x1 -> conv 3x3 /3"


@pytest.fixture(scope="module")
def stride(tmp_path_factory):
    return report(tmp_path_factory.mktemp("stride"), STRIDE_3)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return report(tmp_path_factory.mktemp("resnet"), "resnet18")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE, {"width": 320, "height": 700}], ids=["desk", "phone", "small"])
def test_pixels_that_are_never_read_are_counted(stride, window, size, dark):
    shown = window(f"{stride}#pixels", size, dark)
    page = shown.page
    assert page.locator("[data-unread='13']").is_visible()
    assert "13 of 49 pixels" in page.locator("[data-unread]").inner_text()
    assert page.locator("[data-view] .counts text").count() == 36
    script = "e => e.getScreenCTM().a * e.parentNode.getAttribute('font-size')"
    assert page.locator("[data-view] .counts text").first.evaluate(script) > 11.9
    settled(shown, size)


@pytest.mark.browser
def test_a_click_reads_a_count_and_a_mode_is_chosen(window, tmp_path):
    shown = window(f"{report(tmp_path, '5x5x1 -> conv 3x3')}#pixels")
    page = shown.page
    grid = page.locator(".cells-grid")
    box = grid.bounding_box()
    grid.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    assert page.locator("[data-count]").get_attribute("data-count") == "9"
    assert page.locator("[data-view] .counts text").all_text_contents() == list("1232124642369632464212321")
    page.locator("[data-mode=full]").click()
    assert "used equally often" in page.locator("[data-unread]").inner_text()
    assert "mode=full" in page.url
    assert not shown.messages


@pytest.mark.browser
def test_the_keyboard_reads_counts_aloud(resnet, window):
    shown = window(f"{resnet}#pixels")
    page = shown.page
    use = pixels(striate.create("resnet18"))
    focus(page, ".cells-grid")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    count = use.at(222, 222)
    assert f"row 222, column 222: {large(count)} paths" in spoken(page)
    assert page.locator("[data-count]").get_attribute("data-count") == str(count)
    page.reload()
    assert page.locator("[data-count]").get_attribute("data-count") == str(count)
    assert not shown.messages


@pytest.mark.browser
def test_touch_reads_a_count(stride, window):
    shown = window(f"{stride}#pixels", PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    box = page.locator(".cells-grid").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 5, box["y"] + 5)
    assert "row 0, column 6: never read" in spoken(page)
    page.locator("[data-mode='zero same']").tap()
    assert page.locator("[data-unread='0']").count() == 1
    settled(shown, PHONE)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["siamese", "volume", "signal", "vector", "failing"])
def test_every_kind_of_input(name, window, tmp_path):
    shown = window(f"{report(tmp_path, SHAPED[name]())}#pixels", PHONE)
    page = shown.page
    if name == "vector":
        assert "no input has height and width" in page.locator("[data-view] .missing").inner_text()
    else:
        assert page.locator(".cells-grid").is_visible()
        assert page.locator("[data-mode]").count() == len(MODES) + 1
    if name == "siamese":
        page.get_by_role("button", name="right").click()
        assert "input=right" in page.url
    settled(shown, PHONE)


def generated(seed):
    draw = random.Random(seed)
    words = [f"{draw.randint(18, 30)}x{draw.randint(18, 30)}x2"]
    for _ in range(draw.randint(1, 4)):
        kernel = draw.randint(1, 3)
        mode = draw.choice(["zeros", "reflect", "circular"])
        words.append(f"conv {kernel}x{kernel} 2 /{draw.randint(1, 2)} pad {kernel // 2} mode {mode}")
    return striate.parse(" -> ".join(words))


NETWORKS = {
    "deep": lambda: striate.parse(DEEP),
    "lenet5": lambda: striate.create("lenet5"),
    **{name: SHAPED[name] for name in ("residual", "inception", "unet", "signal", "volume", "siamese")},
}


@pytest.mark.node
@pytest.mark.parametrize("name", [*NETWORKS, *range(8)])
def test_counts_are_those_of_python(name):
    net = generated(name) if isinstance(name, int) else NETWORKS[name]()
    part = pixels_part(net)
    draw = random.Random(7)
    for source, (own, *_) in part["inputs"].items():
        use = pixels(net, None, source)
        places = [[draw.randrange(n) for n in use.shape] for _ in range(300)]
        numbers = [use.at(*place) for place in places]
        script = """
          const map = new page.CountMap(data.own)
          answer = data.places.map((place) => [String(map.at(place)), page.large(map.at(place))])"""
        found = answers(script, {"own": own, "places": places})
        assert found == [[str(n), large(n)] for n in numbers]
        assert [own[key] for key in ("pixels", "unread", "corner", "center", "most")] == [
            str(n) for n in (use.cells, use.unread, use.corner, use.center, use.most)
        ]


@pytest.mark.node
@pytest.mark.parametrize("name", ["deep", "residual", "volume", 3])
def test_colors_are_shares_of_the_most_used_pixel(name):
    net = generated(name) if isinstance(name, int) else NETWORKS[name]()
    ((own, *_),) = pixels_part(net)["inputs"].values()
    use = pixels(net).middle
    middle = [n // 2 for n in own["shape"][:-2]]
    script = "answer = new page.CountMap(data.own).levels(data.middle, data.own.most)"
    levels = answers(script, {"own": own, "middle": middle})
    most = int(own["most"])
    for row, counts in zip(levels, use.rows(), strict=True):
        for level, n in zip(row, counts, strict=True):
            assert (level is None) == (n == 0)
            assert n == 0 or abs(level - 255 * n / most) <= 0.51


@pytest.mark.node
def test_large_numbers_are_printed_as_python_prints_them():
    draw = random.Random(3)
    numbers = [0, 1, 999, 10**12 - 1, 10**12, 9_995_000_000_000, 9_994_999_999_999, 10**15 - 1, 10**400 - 1]
    numbers += [draw.randrange(10 ** draw.randint(1, 60)) for _ in range(500)]
    script = "answer = data.map((text) => page.large(BigInt(text)))"
    assert answers(script, list(map(str, numbers))) == [large(n) for n in numbers]


def test_what_is_left_out_is_left_out_in_words(tmp_path):
    """A map whose vectors would be too long is told as shades; nothing of it is lost silently."""
    ((own, *modes),) = pixels_part(striate.create("densenet121"))["inputs"].values()
    assert not own["vectors"] and own["levels"] and own["most"]
    assert {one["mode"] for one in modes} == set(MODES)
    assert all("problem" in one or one["most"] for one in modes)
