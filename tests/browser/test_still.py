"""Pages without a script in a browser: attributions, before and after training, nearest images."""

import numpy as np
import pytest

from browser.conftest import DESK, PHONE
from browser.reports import settled
from cli.conftest import pictures
from cli.run import run

pytestmark = pytest.mark.browser

NET = "8x8x1 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 3"
NARROW = {"width": 320, "height": 700}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> address."""
    folder = tmp_path_factory.mktemp("still")
    images = pictures(folder / "images", {"train": 30, "test": 6})
    trained, photo = str(folder / "run"), str(min(images.glob("test/*/*.png")))
    commands = {
        "run": (
            "train",
            "--data",
            str(images),
            "--model",
            NET,
            "--out",
            trained,
            "--epochs",
            "2",
            "--lr",
            "0.02",
        ),
        "attributions": ("attribute", trained, photo, "--method", "all"),
        "before": ("attribute", trained, photo, "--method", "all", "--before-training"),
        "nearest": ("nearest", trained, "--node", "conv1"),
        "unit": ("nearest", trained, "--node", "conv1", "--unit", "1"),
        "class": ("nearest", trained, "--node", "fc1", "--unit", "1"),
    }
    for name, words in commands.items():
        done = run(*words, *(() if name == "run" else ("-o", str(folder / f"{name}.html"))))
        assert done.code == 0, done.err
    return {name: (folder / f"{name}.html").as_uri() for name in commands if name != "run"}


NAMES = ("attributions", "before", "nearest", "unit", "class")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE, NARROW], ids=["desk", "phone", "narrow"])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_its_window_and_keeps_its_policy(pages, window, name, size, dark):
    shown = window(pages[name], size, dark)
    settled(shown, size)
    assert shown.page.locator("script").count() == 0
    loaded = shown.page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert loaded and min(loaded) > 0
    sizes = shown.page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('svg') && [...e.childNodes].some("
        "n => n.nodeType === 3 && n.data.trim())).map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_without_scripts_and_by_keys(pages, window, name):
    page = window(pages[name], java_script_enabled=False).page
    assert page.locator("h2").first.is_visible() and page.locator("img").first.is_visible()


def test_a_frame_lies_over_what_the_unit_sees(pages, window):
    shown = window(pages["unit"])
    boxes = shown.page.evaluate(
        "[...document.querySelectorAll('.whole')].filter(e => e.querySelector('i')).map(e => ["
        "e.querySelector('img').getBoundingClientRect(), e.querySelector('i').getBoundingClientRect()]"
        ".map(b => [b.x, b.y, b.width, b.height]))"
    )
    assert boxes
    for (x, y, wide, high), (left, top, across, down) in boxes:
        np.testing.assert_allclose((across / wide, down / high), (3 / 8, 3 / 8), atol=0.02)
        assert x - 0.5 <= left and y - 0.5 <= top
        assert left + across <= x + wide + 0.5 and top + down <= y + high + 0.5
