"""The slider between the weights before training and the trained ones: both ends are Python's models."""

import base64
import json

import numpy as np
import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.node import PACK, node, packed, unpacked
from browser.reports import focus, settled
from browser.test_activations import assert_pythons, fragment, pixels_of, values_of
from cli.run import run
from page_elements import elements
from striate.views.page.before import mixed
from striate.views.page.model import model_parts

NET = "8x8x1 -> conv 3x3 8 pad 1 -> bn -> relu -> maxpool 2 -> flatten -> fc 10"
SLIDER = "Weights, from before to after training"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model before and after training on digits, and the folder with its run and its page."""
    folder = tmp_path_factory.mktemp("digits")
    before, model = striate.Model(NET, seed=0), striate.Model(NET, seed=0)
    model.fit("digits", epochs=3, out=folder / "run", verbose=False)
    assert run("report", str(folder / "run"), "-o", str(folder / "page.html")).code == 0
    after = striate.Model(folder / "run")
    before.classes, before.transform, before.objective = after.classes, after.transform, after.objective
    return before, after, folder


def between(before, after, percent):
    """The model with the weights on the straight line."""
    model = striate.Model(after)
    model.weights = mixed(before.weights, after.weights, percent / 100)
    return model


def record_of(folder):
    script, _ = elements((folder / "page.html").read_text("utf-8")).all("script")
    return json.loads(script.text)


def test_the_page_holds_the_weights_before_training(trained):
    before, after, folder = trained
    record = record_of(folder)
    assert record["drawing"]["before"] == "fresh weights of the run's seed 0"
    held = record["model"]["before"]
    assert [*held] == [name for name in after.weights if name in held]
    assert {"bn1.running_mean", "bn1.running_var"} <= {*held}, "statistics of batch norm are weights"
    for name, array in before.weights.items():
        kept = held.get(name, record["model"]["weights"][name])
        np.testing.assert_array_equal(unpacked(kept["data"]), array.ravel())
    assert (folder / "page.html").stat().st_size <= 1_000_000


@pytest.mark.node
def test_the_engine_mixes_as_python_does(trained):
    before, after, folder = trained
    model = record_of(folder)["model"]
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8), np.float32)
    shares = [0, 0.01, 0.3, 0.5, 0.99, 1]
    script = """
    const run = engine.compile(given.model)
    const ends = [engine.weightsOf(given.model.before), engine.weightsOf(given.model.weights)]
    console.log(JSON.stringify(given.shares.map((share) => {
      const weights = engine.mix(...ends, share)
      const values = run(new Map([["input", unpack(given.x)]]), weights)
      return [weights, values].map((all) => Object.fromEntries([...all].map(([name, one]) => [name, pack(one)])))
    })))
    """
    given = {"model": model, "x": packed(x), "shares": shares}
    for share, (weights, values) in zip(shares, node(PACK + script, given), strict=True):
        known = mixed(before.weights, after.weights, share)
        for name, array in known.items():
            np.testing.assert_array_equal(unpacked(weights[name]), array.ravel(), name)
        program = after.engine.compile(after.net, known)
        for name, array in program.values(x, [one.name for one in after.net.nodes]).items():
            np.testing.assert_allclose(unpacked(values[name]), array.ravel(), atol=1e-5 * abs(array).max())


def test_both_ends_of_the_line_are_exact(trained):
    before, after, _ = trained
    for share, end in ((0, before), (1, after)):
        for name, array in mixed(before.weights, after.weights, share).items():
            np.testing.assert_array_equal(array, end.weights[name])


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("percent", [0, 30, 100])
def test_every_position_has_pythons_numbers(trained, window, size, dark, percent):
    before, after, folder = trained
    shown = window(f"{(folder / 'page.html').as_uri()}#activations?trained={percent}", size, dark)
    assert_pythons(shown.page, between(before, after, percent))
    words = shown.page.locator("[data-percent]").inner_text()
    told = {0: "fresh weights of the run's seed 0", 100: "After training"}
    assert (
        told.get(percent, "30 % of the way along the straight line from the initial to the trained") in words
    )
    settled(shown, size)


@pytest.mark.browser
def test_the_keyboard_moves_maps_filters_and_probabilities(trained, window):
    before, after, folder = trained
    shown = window(f"{(folder / 'page.html').as_uri()}#activations?node=conv1&c=2&y=3&x=4")
    page = shown.page
    history = page.evaluate("history.length")
    picture = "document.querySelector('.filters canvas').toDataURL()"
    filters = page.evaluate(picture)
    focus(page, "input[type=range]")
    page.keyboard.press("Home")
    assert fragment(page).endswith("trained=0")
    assert page.evaluate(picture) != filters
    assert_pythons(page, before)
    value = values_of(before, pixels_of(page), "conv1")
    low, high = map(float, page.locator("[data-range]").get_attribute("data-range").split())
    close = 1e-5 * float(abs(value).max())
    assert (low, high) == pytest.approx((value.min(), value.max()), abs=close)
    page.keyboard.press("ArrowRight")
    slider = page.get_by_label(SLIDER, exact=True)
    assert slider.get_attribute("aria-valuetext").startswith("1 % of the way")
    assert_pythons(page, between(before, after, 1))
    page.keyboard.press("End")
    assert "trained" not in fragment(page) and page.evaluate(picture) == filters
    assert_pythons(page, after)
    assert page.evaluate("history.length") == history, "the slider does not fill the history"
    page.reload()
    assert_pythons(page, after)
    assert not shown.messages


@pytest.mark.browser
def test_touch_and_an_address_without_sense(trained, window):
    before, after, folder = trained
    address = f"{(folder / 'page.html').as_uri()}#activations?trained=many"
    shown = window(address, PHONE, has_touch=True, is_mobile=True)
    assert_pythons(shown.page, after)
    button = shown.page.get_by_role("button", name="before training")
    button.tap()
    assert button.get_attribute("aria-pressed") == "true"
    assert_pythons(shown.page, before)
    shown.page.get_by_label(SLIDER, exact=True).tap()  # in the middle
    assert_pythons(shown.page, between(before, after, int(fragment(shown.page).rpartition("=")[2])))
    settled(shown, PHONE)


@pytest.mark.browser
def test_a_page_without_the_weights_says_why(window, tmp_path):
    model = striate.Model(NET, seed=4)
    model.fit("digits", epochs=1, out=tmp_path / "run", verbose=False)
    assert run("report", str(tmp_path / "run"), "-o", str(tmp_path / "page.html")).code == 0
    shown = window(f"{(tmp_path / 'page.html').as_uri()}#activations?trained=0", PHONE)
    assert (
        "began with others than fresh weights of the run's seed 0"
        in shown.page.locator("[data-no-before]").inner_text()
    )
    assert shown.page.locator("input[type=range]").count() == 0
    assert_pythons(shown.page, striate.Model(tmp_path / "run"))
    settled(shown, PHONE)


def test_both_sets_of_weights_must_fit(tmp_path):
    net = "8x8x1 -> conv 3x3 16 pad 1 -> relu -> flatten -> fc 60 -> relu -> fc 10"
    model = striate.Model(net, seed=0)
    model.fit("digits", epochs=1, out=tmp_path / "run", verbose=False)
    parts = model_parts(striate.load(str(tmp_path / "run")), tmp_path / "run")
    assert "before" not in parts["model"] and "before" not in parts["drawing"]
    assert "a page holds at most 450 kB; striate lab shows both" in parts["drawing"]["no_before"]
    parts = model_parts(striate.load(str(tmp_path / "run")), tmp_path / "run", server=True)
    for name, array in parts["model"]["before"].items():
        kept = np.frombuffer(base64.b64decode(array["data"]), "<f4")
        np.testing.assert_array_equal(kept, striate.Model(net, seed=0).weights[name].ravel())


def test_models_without_a_run_have_no_slider():
    drawing = model_parts(striate.load("lenet5"))["drawing"]
    assert "before" not in drawing and "no_before" not in drawing
