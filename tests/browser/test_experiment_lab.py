"""The view `lab` in `striate lab`: Python computes the responses, the protocol, and the border."""

import re

import numpy as np
import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.experiment_model import TEXT, model
from browser.lab_page import settled as checked
from browser.reports import settled
from browser.test_experiment import changed, raw, response
from lab_server import Served
from striate.probe.border import border
from striate.probe.by_hand import Hand, pooled
from striate.probe.stimuli import Slide

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """`striate lab` with the model."""
    folder = tmp_path_factory.mktemp("experiment")
    model().save(folder / "model")
    served = Served("model", cwd=folder)
    yield served
    served.end()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_python_computes_the_responses(running, window, size):
    shown = window(f"{running.link}#lab?node=conv1&o=60&w=2&l=9", size, offline=False)
    page = shown.page
    page.locator("[data-response]").wait_for()
    hand = Hand(model(), "conv1")
    wanted = hand.responses([Slide("bar", np.deg2rad(60), 0, 0, 2, 9)])[0]
    page.wait_for_function("() => document.querySelector('[data-response]').dataset.response")
    assert response(page) == pytest.approx(wanted[1], abs=2e-5)
    before = raw(page)
    page.locator(".screen svg").press("ArrowRight")
    moved = hand.responses([Slide("bar", np.deg2rad(60), 1, 0, 2, 9)])[0]
    assert changed(page, before) == pytest.approx(moved[1], abs=2e-5)
    page.locator("[data-sweep]").click()
    page.locator("[data-swept]").wait_for(timeout=15_000)
    settled(shown, size)


def test_the_protocol_the_pool_and_the_border(running, window):
    shown = window(f"{running.link}#lab?node=conv1&o=40", offline=False)
    page = shown.page
    page.locator("[data-run]").click()
    page.locator("[data-compared]", has_text="measured").wait_for(timeout=60_000)
    unit = striate.probe(model(), "conv1")[0]
    told = re.search(r"you: 40°, measured: ([\d.]+)°", page.locator("[data-compared]").inner_text())
    assert float(told[1]) == pytest.approx(unit.orientation_deg, abs=0.06)
    assert unit.type in page.locator(".found .facts").inner_text()
    assert "direction selectivity: not defined for one frame" in page.locator("[data-view=lab]").inner_text()
    page.locator(".slider", has_text="pool of").locator("input").press("ArrowRight")
    page.locator("[data-pool='2']").wait_for(timeout=60_000)
    ratio = float(page.locator("[data-pool='2']").get_attribute("data-ratio"))
    assert ratio == pytest.approx(pooled(model(), "conv1", 2)[0].f1_f0, abs=1e-4)
    page.locator("[data-border]").click()
    page.locator("[data-place]").nth(11).wait_for(timeout=60_000)
    result = border(model(), "conv1")
    for mode, recordings in result.recordings.items():
        for place, recording in recordings.items():
            row = page.locator(f"[data-place='{mode} {place}']").inner_text()
            cv = recording[0].cv
            assert ("no response" if cv is None else f"{cv:.2f}") in row
    settled(shown, DESK)


def test_a_typed_network(lab):
    """What was typed has fresh weights, and the page says so; a node without a map says why."""
    shown = lab()
    page = shown.page
    page.locator("#lab-text").fill("12x12x3 -> conv 5x5 4 -> relu -> gap -> flatten -> fc 3")
    checked(page, "no finding|remark|warning")
    page.get_by_role("link", name="Experiment", exact=True).click()
    page.locator("[data-response]").wait_for()
    page.wait_for_function("() => document.querySelector('[data-response]').dataset.response")
    assert "Untrained" in page.locator("[data-view=lab]").inner_text()
    page.get_by_label("Color").select_option("red-green")
    page.wait_for_function("() => location.hash.includes('color=red-green')")
    assert page.get_by_label("Unit").get_attribute("max") == "3"
    page.get_by_label("Unit").fill("3")
    page.get_by_label("Unit").press("Enter")
    page.get_by_text("unit 3 at").wait_for()
    fresh = striate.Model("12x12x3 -> conv 5x5 4 -> relu -> gap -> flatten -> fc 3", seed=0)
    blank = Hand(fresh, "conv1").responses([])[3, 0]
    assert f"blank screen {float(f'{blank:.3g}'):g}" in page.locator(".response").inner_text()
    page.locator("#lab-text").fill("1d 16x3 -> conv 3")
    checked(page, "no finding|remark|warning")
    page.get_by_text("No node of the network has a map").wait_for()
    page.locator("#lab-text").fill(TEXT)
    checked(page, "no finding|remark|warning")
    page.locator("[data-response]").wait_for()
    assert not shown.messages
