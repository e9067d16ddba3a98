"""The view `activations`: every number on it is Python's for the pixels on it; mouse, keyboard and touch."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.node import write_page
from cli.run import run
from striate.views.json_records import show_record
from striate.views.page.model import model_parts
from striate.views.page.record import live_record

pytestmark = pytest.mark.browser

NET = """8x8x1 -> conv 3x3 8 pad 1 -> relu -> conv 3x3 8 pad 1 mode circular -> bn -> relu
-> maxpool 2 -> flatten -> fc 10"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that was trained on digits, and the address of its report."""
    folder = tmp_path_factory.mktemp("digits")
    model = striate.Model(NET, seed=0)
    model.fit("digits", epochs=3, out=folder / "run", verbose=False)
    assert run("report", str(folder / "run"), "-o", str(folder / "page.html")).code == 0
    return striate.Model(folder / "run"), (folder / "page.html").as_uri()


def pixels_of(page):
    """What stands on the drawing, from the canvas itself."""
    found = page.evaluate("""() => {
      const data = document.querySelector(".canvas canvas").getContext("2d").getImageData(0, 0, 8, 8).data
      return [...data].filter((_, k) => k % 4 === 0)
    }""")
    return np.array(found, np.uint8).reshape(1, 1, 8, 8)


def shares_of(page):
    rows = page.locator("[data-probability]")
    return np.array([float(row.get_attribute("data-probability")) for row in rows.all()])


def assert_pythons(page, model):
    """The probabilities are those of `classify` for the pixels of the drawing."""
    (answer,) = model.classify(pixels_of(page), top=10)
    wanted = np.array([share for _, share in sorted(answer)])
    np.testing.assert_allclose(shares_of(page), wanted, rtol=0, atol=1e-5 * wanted.max())
    best = page.locator(".verdict").inner_text()
    assert best == f"Most probable: {answer[0][0]}, {100 * answer[0][1]:.1f}%."


def values_of(model, pixels, node):
    """All values of a node for the pixels, in Python."""
    (x,) = model._inputs.batches(pixels, 1)
    return model.engine.compile(model.net, model.weights.current()).values(x, [node])[node][0]


def fragment(page):
    return page.evaluate("location.hash")


def unit(page):
    return page.locator("[data-unit]").inner_text()


def draw_seven(page):
    box = page.locator(".canvas").bounding_box()
    place = lambda y, x: (box["x"] + box["width"] * x / 8, box["y"] + box["height"] * y / 8)  # noqa: E731
    page.get_by_role("button", name="Clear").click()
    page.mouse.move(*place(1, 2))
    page.mouse.down()
    for y, x in ((1, 6), (4, 4), (7, 3)):
        page.mouse.move(*place(y, x), steps=6)
    page.mouse.up()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "size", [DESK, PHONE, {"width": 320, "height": 640}], ids=["desk", "phone", "narrow"]
)
def test_it_opens_with_an_image_of_the_data(trained, window, size, dark):
    model, address = trained
    shown = window(f"{address}#activations", size, dark)
    assert pixels_of(shown.page).any()
    assert_pythons(shown.page, model)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not shown.violations()
    assert not shown.messages


def test_a_drawn_digit_is_classified_as_python_does(trained, window):
    model, address = trained
    shown = window(f"{address}#activations?node=conv2&c=3&y=4&x=2")
    draw_seven(shown.page)
    pixels = pixels_of(shown.page)
    assert (pixels > 0).sum() > 8
    assert_pythons(shown.page, model)
    shown.page.reload()  # the address restores the drawing and the unit
    np.testing.assert_array_equal(pixels_of(shown.page), pixels)
    assert_pythons(shown.page, model)
    assert unit(shown.page).startswith("conv2 channel 3 row 4 column 2 = ")
    assert not shown.messages


def test_every_node_shows_its_values(trained, window):
    model, address = trained
    shown = window(f"{address}#activations")
    page, pixels = shown.page, pixels_of(shown.page)
    for node in model.net.nodes:
        page.get_by_label("Maps of", exact=True).select_option(node.name)
        values = values_of(model, pixels, node.name)
        low, high = map(float, page.locator("[data-range]").get_attribute("data-range").split())
        close = 1e-5 * float(abs(values).max())
        assert low == pytest.approx(values.min(), abs=close) and high == pytest.approx(
            values.max(), abs=close
        )
        maps = page.locator(".maps svg")
        maps.press("End")
        if values.ndim == 3:
            row, column = (size - 1 for size in values.shape[1:])
            assert unit(page).startswith(f"{node.name} channel 0 row {row} column {column} = ")
            told = float(re.search(r"= (\S+);", unit(page))[1])
            assert told == pytest.approx(values[0, row, column], rel=1e-3, abs=close)
    assert not shown.messages


def test_the_keyboard_alone(trained, window):
    model, address = trained
    shown = window(f"{address}#activations?node=relu1&image=none")
    page = shown.page
    drawing = page.get_by_role("application", name="Drawing of 8 by 8 pixels")
    drawing.focus()
    page.keyboard.press("ArrowUp")  # the cursor appears in the middle
    for _ in range(3):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    np.testing.assert_array_equal(np.argwhere(pixels_of(page)[0, 0]), [[4, 4], [5, 4], [6, 4]])
    assert page.locator(".canvas [aria-live]").inner_text() == "row 7 column 4 = 0"
    assert_pythons(page, model)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert not pixels_of(page).any(), "Tab leads to Clear"
    maps = page.get_by_role("application", name="relu1: 8 maps of 8 by 8")
    maps.focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert unit(page).startswith("relu1 channel 1 row 1 column 1 = ")
    assert "reads rows 0 to 2 and columns 0 to 2 of the image." in unit(page)
    assert page.locator("[data-field]").get_attribute("data-field") == "0 2 0 2"
    page.keyboard.press("Enter")
    assert fragment(page).endswith("c=1&y=1&x=1")
    page.keyboard.press("Escape")
    assert "c=1" not in fragment(page) and page.locator("[data-unit]").count() == 0
    assert not shown.messages


def test_a_mouse_previews_and_a_click_keeps(trained, window):
    _, address = trained
    shown = window(f"{address}#activations?node=conv1")
    maps = shown.page.locator(".maps svg")
    box = shown.page.locator(".maps canvas").first.bounding_box()
    cell = box["width"] / 8
    shown.page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 0.5 * cell)
    assert unit(shown.page).startswith("conv1 channel 0 row 0 column 2 = ")
    assert "columns 1 to 3 of the image, padding included" in unit(shown.page)
    assert "c=" not in fragment(shown.page)
    shown.page.mouse.click(box["x"] + 2.5 * cell, box["y"] + 0.5 * cell)
    assert fragment(shown.page).endswith("c=0&y=0&x=2")
    shown.page.mouse.move(5, 5)
    assert unit(shown.page).startswith("conv1 channel 0 row 0 column 2 = ")
    assert maps.count() == 1 and not shown.messages


def test_touch_at_phone_width(trained, window):
    model, address = trained
    shown = window(f"{address}#activations?node=conv1", PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    page.get_by_role("button", name="Clear").tap()
    page.locator(".canvas svg").tap(position={"x": 120, "y": 120})
    assert pixels_of(page).any()
    assert_pythons(page, model)
    page.locator(".maps svg").tap(position={"x": 10, "y": 30})
    assert unit(page).startswith("conv1 channel 0 row ")
    assert "c=0" in fragment(page)
    page.get_by_role("button", name="ring").tap()
    assert_pythons(page, model)
    assert not shown.violations() and not shown.messages


def test_an_image_file_stays_in_the_page(trained, window, tmp_path):
    from PIL import Image

    model, address = trained
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    shown = window(f"{address}#activations")
    shown.page.locator("input[type=file]").set_input_files(tmp_path / "image.png")
    shown.page.wait_for_function("!document.querySelector('.samples [aria-pressed=true]')")
    np.testing.assert_array_equal(pixels_of(shown.page)[0, 0], pixels)
    assert_pythons(shown.page, model)
    (tmp_path / "text.png").write_text("no image")
    shown.page.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    assert "cannot read this file" in shown.page.get_by_role("alert").inner_text()
    np.testing.assert_array_equal(pixels_of(shown.page)[0, 0], pixels)
    assert not shown.messages


def test_untrained_and_large_networks_are_told(window, tmp_path):
    for name, text in (("lenet5", "Untrained"), ("resnet18", "1,814.1 M multiply-accumulates")):
        assert run("report", name, "-o", str(tmp_path / f"{name}.html")).code == 0
        shown = window(f"{(tmp_path / f'{name}.html').as_uri()}#activations")
        assert text in shown.page.locator("[data-view=activations]").inner_text()
        assert not shown.violations() and not shown.messages
    assert "striate lab MODEL" in shown.page.locator(".missing").inner_text()


def test_an_image_with_colors(window, tmp_path):
    """Color goes through the page as it goes through Python, and names of classes stay text."""
    draw = np.random.default_rng(0)
    names = ["<b>ant</b>", 'bee "&"', "\u05d0\u05d1"]
    model = striate.Model("8x8x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 3", seed=0)
    x, y = draw.integers(0, 256, (30, 3, 8, 8), np.uint8), np.array(names)[np.arange(30) % 3]
    model.fit(x, y, epochs=1, out=tmp_path / "run", verbose=False)
    assert run("report", str(tmp_path / "run"), "-o", str(tmp_path / "page.html")).code == 0
    shown = window(f"{(tmp_path / 'page.html').as_uri()}#activations?image=slope")
    found = shown.page.evaluate("""() => {
      const data = document.querySelector(".canvas canvas").getContext("2d").getImageData(0, 0, 8, 8).data
      return [...data].filter((_, k) => k % 4 < 3)
    }""")
    pixels = np.array(found, np.uint8).reshape(8, 8, 3).transpose(2, 0, 1)[None]
    (answer,) = striate.Model(tmp_path / "run").classify(np.ascontiguousarray(pixels), top=3)
    rows = shown.page.locator("[data-probability]")
    assert sorted(rows.locator("bdi").all_inner_texts()) == sorted(names)
    told = {
        row.locator("bdi").inner_text(): float(row.get_attribute("data-probability")) for row in rows.all()
    }
    assert told == pytest.approx(dict(answer), abs=1e-5)
    assert not shown.violations() and not shown.messages


def test_the_picture_holds_its_cells(trained, window, tmp_path):
    """`toSVG` gives what is seen: the maps are in it as images."""
    net = striate.load("lenet5")
    record = json.dumps(live_record(show_record(net), model=model_parts(net)))
    address = write_page(
        tmp_path / "page.html",
        f"""
        const routes = memoryRoutes("#activations?node=conv2&c=1&y=0&x=0")
        window.mounted = mount(here, {record}, {{kind: "notebook", pictures: () => [], ...routes}})""",
    )
    page = window(address).page
    page.wait_for_selector(".maps canvas")
    page.wait_for_timeout(100)
    picture = ElementTree.fromstring(page.evaluate("mounted.toSVG()"))
    images = [one.get("href") for one in picture.iter("{http://www.w3.org/2000/svg}image")]
    assert len(images) == 16 and len({*images}) == 16
    page.evaluate("mounted.destroy()")
    assert not page.locator("#here *").count()
