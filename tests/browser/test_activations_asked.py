"""The view `activations` of a network that is too large for the page: Python's answers, or what it has stored."""

import base64
import json
import re

import numpy as np
import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.lab_page import settled
from browser.node import unpacked, write_page
from cli.run import run
from striate.diagnostics import StriateError
from striate.views.lab.activations import Activations
from striate.views.lab.networks import Networks

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(window, tmp_path):
    """opened(networks, fragment): the view in a page whose requests a function answers; and all answers."""

    def load(networks, fragment, size=DESK, fail=False):
        computing, answers = Activations(networks), []
        record = json.dumps(networks.record(networks.first)["page"])
        address = write_page(
            tmp_path / "page.html",
            f"""
            const request = async (name, body) => {{
              const answer = JSON.parse(await ask(JSON.stringify(body)))
              if (answer.problem) throw new Error(answer.problem)
              return answer
            }}
            const routes = memoryRoutes({json.dumps(fragment)})
            const host = {{kind: "lab", pictures: () => [], request, source: () => ({{}}), ...routes}}
            window.begin = () => mount(here, {record}, host)""",
        )

        def ask(text):
            body = json.loads(text)
            image = body["image"]
            pixels = np.frombuffer(base64.b64decode(image["pixels"]), np.uint8)
            pixels = pixels.reshape(image["height"], image["width"], image["channels"])
            try:
                if fail:
                    raise StriateError("the network is too large to run in the page")
                answer = computing.answer(networks.first, pixels, body["nodes"], body["percent"])
                answers.append((pixels, answer))
            except StriateError as error:
                return json.dumps({"problem": error.what})
            return json.dumps(answers[-1][1])

        shown = window(address, size)
        shown.page.expose_function("ask", ask)
        shown.page.evaluate("begin() && 0")
        return shown, answers

    return load


def test_resnet18(opened):
    networks = Networks("resnet18", "64x64x3")
    shown, answers = opened(networks, "#activations?node=layer1.0.conv1&image=slope")
    page = shown.page
    page.wait_for_selector(".maps canvas")
    pixels, answer = answers[-1]
    (known,) = striate.Model(networks.find(networks.first).net, seed=0).classify(
        np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), top=10
    )
    rows = page.locator("[data-probability]")
    assert rows.count() == 10
    told = {
        row.locator("bdi").inner_text(): float(row.get_attribute("data-probability")) for row in rows.all()
    }
    assert told == pytest.approx(dict(known), abs=1e-5)
    page.locator(".maps svg").press("End")
    shape = answer["values"]["layer1.0.conv1"]["shape"]
    values = unpacked(answer["values"]["layer1.0.conv1"]["values"]).reshape(shape)
    said = page.locator("[data-unit]").inner_text()
    assert said.startswith(f"layer1.0.conv1 channel 0 row {shape[1] - 1} column {shape[2] - 1} = ")
    assert float(re.search(r"= (\S+);", said)[1]) == pytest.approx(float(values[0, -1, -1]), rel=1e-3)
    page.get_by_role("button", name="Next node").click()
    page.wait_for_function(
        "document.querySelector('.maps svg')?.getAttribute('aria-label').startsWith('layer1.0.bn1')"
    )
    box = page.locator(".canvas").bounding_box()
    before = len(answers)
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 40, steps=4)
    page.mouse.up()
    for _ in range(100):
        page.wait_for_timeout(50)
        if len(answers) > before and (answers[-1][0] != pixels).any():
            break
    assert (answers[-1][0] != pixels).any(), "a stroke is computed"
    assert not shown.violations() and not shown.messages


def test_the_slider_asks_for_the_weights_before_training(large, opened):
    after, _, folder = large
    networks = Networks(str(folder / "run"))
    shown, answers = opened(networks, "#activations?node=conv1")
    shown.page.locator("[data-probability]").first.wait_for()
    shown.page.get_by_role("button", name="before training").click()
    before = striate.Model(after.net, seed=0)
    before.classes, before.transform, before.objective = after.classes, after.transform, after.objective
    (known,) = before.classify(answers[0][0].transpose(2, 0, 1)[None].copy(), top=10)
    share = f"document.querySelector('[data-class=\"0\"]').dataset.probability - {dict(known)['0']}"
    shown.page.wait_for_function(f"Math.abs({share}) < 1e-5")
    assert "fresh weights of the run's seed 0" in shown.page.locator("[data-percent]").inner_text()
    assert not shown.violations() and not shown.messages


def test_a_refusal_is_told(opened):
    shown, _ = opened(Networks("resnet18", "64x64x3"), "#activations", fail=True)
    assert "too large to run" in shown.page.get_by_role("alert").inner_text()
    assert not shown.violations() and not shown.messages


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The report of a run whose weights are too large for a page, and the model."""
    folder = tmp_path_factory.mktemp("large")
    net = "8x8x1 -> conv 3x3 32 pad 1 -> relu -> flatten -> fc 72 -> relu -> fc 10"
    model = striate.Model(net, seed=0)
    model.fit("digits", epochs=1, out=folder / "run", verbose=False)
    assert run("report", str(folder / "run"), "-o", str(folder / "page.html")).code == 0
    return striate.Model(folder / "run"), (folder / "page.html").as_uri(), folder


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_saved_page_has_one_image_in_8_bits(large, window, size, dark):
    model, address, _ = large
    shown = window(f"{address}#activations?node=relu1&c=1&y=2&x=3", size, dark)
    page = shown.page
    stored = json.loads(page.locator("[data-striate-record]").inner_text())["eight_bit"]
    pixels = np.frombuffer(base64.b64decode(stored["sample"]["pixels"]), np.uint8).reshape(1, 1, 8, 8)
    (answer,) = model.classify(pixels, top=10)
    assert stored["shares"] == pytest.approx([share for _, share in sorted(answer)], abs=1e-5)
    told = page.locator("[data-state=eight-bit]").inner_text()
    assert "8-bit values" in told and "its weights have" in told and stored["sample"]["name"] in told
    (x,) = model._inputs.batches(pixels, 1)
    for node, one in stored["maps"].items():
        value = model.engine.compile(model.net, model.weights.current()).values(x, [node])[node][0]
        levels = np.frombuffer(base64.b64decode(one["data"]), np.uint8).reshape(one["shape"])
        step = (one["high"] - one["low"]) / 255
        np.testing.assert_allclose(one["low"] + step * levels, value[: len(levels)], atol=0.51 * step + 1e-5)
        assert one["channels"] == len(value)
    said = page.locator("[data-unit]").inner_text()
    value = model.engine.compile(model.net, model.weights.current()).values(x, ["relu1"])["relu1"][0, 1, 2, 3]
    step = (stored["maps"]["relu1"]["high"] - stored["maps"]["relu1"]["low"]) / 255
    assert float(re.search(r"is about (\S+);", said)[1]) == pytest.approx(value, abs=step)
    assert "16 of 32 channels" in page.locator("[data-range]").inner_text()
    assert page.locator("#striate-node option").count() == len(stored["maps"])
    assert page.get_by_role("button", name="Clear").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not shown.violations() and not shown.messages


@pytest.mark.lab
def test_the_page_of_the_lab(lab):
    """A network that was typed is computed in the page; ResNet-18 is asked for."""
    shown = lab()
    page = shown.page
    page.locator("#lab-text").fill("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 3")
    settled(page, "no finding|remark|warning")
    page.get_by_role("link", name="Activations").click()
    page.get_by_role("button", name="ring").click()
    page.locator("[data-probability]").nth(2).wait_for()
    assert "Untrained" in page.locator("[data-view=activations]").inner_text()
    told = [float(row.get_attribute("data-probability")) for row in page.locator("[data-probability]").all()]
    pixels = page.evaluate("""() => {
      const data = document.querySelector(".canvas canvas").getContext("2d").getImageData(0, 0, 8, 8).data
      return [...data].filter((_, k) => k % 4 === 0)
    }""")
    model = striate.Model("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 3", seed=0)
    (answer,) = model.classify(np.array(pixels, np.uint8).reshape(1, 1, 8, 8), top=3)
    assert told == pytest.approx([share for _, share in sorted(answer)], abs=1e-5)
    page.locator("#lab-text").fill(
        "64x64x3 -> conv 7x7 64 /2 -> relu -> conv 3x3 64 -> relu -> gap -> flatten -> fc 5"
    )
    settled(page, "no finding|remark|warning")
    page.locator("[data-probability]").nth(4).wait_for()
    page.locator(".maps canvas").first.wait_for()
    assert page.locator(".maps canvas").count() == 64
    assert not shown.messages
