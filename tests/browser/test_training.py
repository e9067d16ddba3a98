"""The view `training` of the live page: numbers of the run, by mouse, keyboard and touch."""

import json

import pytest

from browser.conftest import DESK, PHONE
from cli.run import run
from page_elements import elements

pytestmark = pytest.mark.browser

NAMES = ["one\"'&amp;", "two", "zero <b>0</b>"]
"""Class names that are no markup."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of a report of a run on images of three classes, and its record."""
    import numpy as np

    import striate

    folder = tmp_path_factory.mktemp("training")
    random = np.random.default_rng(0)
    digits = np.arange(90) % 3
    labels = np.array(NAMES)[digits]
    images = random.normal(size=(90, 1, 8, 8)).astype("f4") + digits[:, None, None, None]
    model = striate.Model("8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 3")
    model.fit(
        (images[:60], labels[:60]), (images[60:], labels[60:]), epochs=4, out=folder / "run", verbose=False
    )
    assert run("report", str(folder / "run"), "-o", str(folder / "page.html")).code == 0
    script, _ = elements((folder / "page.html").read_text("utf-8")).all("script")
    record = json.loads("".join(script.children))
    return f"{(folder / 'page.html').as_uri()}#training", record["run"]


def reading(window):
    return window.page.locator("[data-epoch]")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_it_shows_the_run(page, window, size, dark):
    address, record = page
    shown = window(address, size, dark)
    assert (
        f"{len(record['curves']['epochs'])} epochs, done." in shown.page.locator("[role=status]").inner_text()
    )
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert shown.page.locator("[data-view=training] tbody th").all_inner_texts() == NAMES
    assert not shown.violations()
    assert not shown.messages


def test_the_keyboard_alone_reads_every_epoch(page, window):
    address, record = page
    shown = window(address)
    curves = shown.page.get_by_role("application", name="Curves")
    curves.focus()
    curves.press("Home")
    measures = record["curves"]["measures"]
    for k, epoch in enumerate(record["curves"]["epochs"]):
        assert reading(shown).get_attribute("data-epoch") == str(epoch)
        numbers = reading(shown).locator("dd").all_inner_texts()
        assert float(numbers[0]) == pytest.approx(measures["validation_loss"][k], rel=1e-3)
        assert numbers[2] == f"{100 * measures['validation_accuracy'][k]:.1f}%"
        curves.press("ArrowRight")
    assert shown.page.url.endswith(f"epoch={record['curves']['epochs'][-1]}")
    curves.press("Escape")
    assert "epoch=" not in shown.page.url


def test_a_cell_of_the_matrix_keeps_its_images(page, window):
    address, record = page
    shown = window(address)
    matrix = shown.page.get_by_role("application", name="true classes")
    counts = record["evaluation"]["confusion_matrix"]
    matrix.focus()
    for key, (row, column) in (
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("ArrowLeft", (1, 0)),
        ("ArrowUp", (0, 0)),
    ):
        matrix.press(key)
        text = shown.page.locator("[data-cell]").inner_text()
        assert text.startswith(
            f"true class {NAMES[row]}, predicted {NAMES[column]}: {counts[row][column]} of {sum(counts[row])}"
        )
    matrix.press("Enter")
    kept = [one for one in record["evaluation"]["worst"] if one["label"] == one["predicted"] == NAMES[0]]
    assert shown.page.locator("[data-view=training] .images li").count() == len(kept)
    assert "cell=0" in shown.page.url
    shown.page.reload()  # the address restores what was chosen
    assert shown.page.locator("[data-view=training] .images li").count() == len(kept)
    shown.page.get_by_role("button", name="Show all").click()
    assert shown.page.locator("[data-view=training] .images li").count() == len(record["evaluation"]["worst"])
    assert not shown.messages


def test_mouse_and_touch_choose_an_epoch(page, window):
    address, _ = page
    shown = window(address)
    chart = shown.page.locator(".chart svg").first
    box = chart.bounding_box()
    shown.page.mouse.move(box["x"] + 60, box["y"] + 60)
    assert reading(shown).get_attribute("data-epoch") == "1"
    shown = window(address, PHONE, has_touch=True, is_mobile=True)
    shown.page.locator(".chart svg").first.tap(position={"x": 56, "y": 80})
    assert reading(shown).get_attribute("data-epoch") == "1"
    assert shown.page.url.endswith("epoch=1")
