"""The view of the network: mouse, keyboard alone, touch; fields and reach are Python's."""

import json
import random

import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.reports import answers, focus, report, settled, spoken
from laws.pictured import SHAPED, many
from striate.analysis.fields import fields_by_input
from striate.views.json_records import show_record
from striate.views.page.network import network_record

FAILING = "12x12x3 -> conv 3x3 4 -> deep: conv 13x13 -> relu"


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    return report(tmp_path_factory.mktemp("lenet"), "lenet5")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return report(tmp_path_factory.mktemp("resnet"), "resnet18")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_node_is_opened_with_the_mouse(lenet, window, size, dark):
    shown = window(f"{lenet}#network", size, dark)
    page = shown.page
    settled(shown, size)
    page.locator("[data-view=network] [data-node=conv2] rect").first.click()
    details = page.locator("[data-opened=conv2]")
    assert "(14 + 0 - 5)/1 + 1 = 10" in details.inner_text()
    assert "14x14 pixels, jump 2, start 0" in details.inner_text()
    settled(shown, size)
    page.get_by_role("link", name="Open in the layer bench").click()
    assert page.url.endswith("#layer?n=14&f=5&s=1&p=0&d=1&c=6&k=16")


@pytest.mark.browser
def test_a_unit_and_a_pixel_are_clicked(lenet, window):
    page = window(f"{lenet}#network?node=conv2").page
    inputs, outputs = page.locator("[data-opened] .cells-grid").all()
    box = outputs.bounding_box()
    outputs.click(position={"x": box["width"] * 0.45, "y": box["height"] * 0.35})  # unit 3, 4 of 10 x 10
    assert json.loads(page.locator("[data-field]").get_attribute("data-field")) == {
        "h": [6, 19],
        "w": [8, 21],
    }
    box = inputs.bounding_box()
    inputs.click(position={"x": box["width"] * 7.5 / 32, "y": box["height"] * 6.5 / 32})
    assert json.loads(page.locator("[data-reach]").get_attribute("data-reach")) == [[[0, 3]], [[0, 3]]]
    assert page.url.endswith("unit=3%2C4&pixel=6%2C7")
    page.reload()
    assert "rows 6 to 19, columns 8 to 21" in page.locator("[data-field]").inner_text()


@pytest.mark.browser
def test_the_keyboard_walks_along_the_lines(lenet, window):
    shown = window(f"{lenet}#network")
    page = shown.page
    focus(page, ".stage")
    page.keyboard.press("Home")
    assert "input" in spoken(page)
    for name in ("conv1", "pool1", "conv2"):
        page.keyboard.press("ArrowRight")
        assert f"{name}:" in spoken(page)
    page.keyboard.press("ArrowLeft")
    assert "pool1:" in spoken(page)
    page.keyboard.press("Enter")
    assert page.locator("[data-opened=pool1] h2:focus").count() == 1
    focus(page, "[aria-label^='Output of pool1']")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert "row 1, column 0" in spoken(page)
    assert "unit=1%2C0" in page.url
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "stage"
    assert not shown.messages


@pytest.mark.browser
def test_the_keyboard_reaches_every_branch(resnet, window):
    page = window(f"{resnet}#network?kind=graph").page
    drawn = page.evaluate(
        "[...document.querySelectorAll('[data-view] .stage [data-node]')].map(e => e.dataset.node)"
    )
    stage = page.locator("[data-view] .stage")
    leads = {}
    for name in set(drawn):
        leads[name] = set()
        for arrow in ("Down", "Up", "Left", "Right"):
            page.evaluate(
                "name => location.hash = `#network?kind=graph&node=${encodeURIComponent(name)}`", name
            )
            page.wait_for_selector(".mark-at.opened")
            stage.press(f"Arrow{arrow}")
            leads[name].add(spoken(page).partition(":")[0].partition(",")[0])
    reached, rest = set(), ["input"]
    while rest:
        name = rest.pop()
        if name not in reached:
            reached.add(name)
            rest += leads.get(name, ())
    assert not set(drawn) - reached


@pytest.mark.browser
def test_touch_opens_a_node_and_a_unit(lenet, window):
    shown = window(f"{lenet}#network", PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    page.locator("[data-view=network] [data-node=conv1] rect").first.tap()
    assert page.locator("[data-opened=conv1]").is_visible()
    grid = page.locator("[aria-label^='Output of conv1']")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.touchscreen.tap(box["x"] + 3, box["y"] + 3)
    assert json.loads(page.locator("[data-field]").get_attribute("data-field")) == {"h": [0, 4], "w": [0, 4]}
    settled(shown, PHONE)


@pytest.mark.browser
def test_the_picture_is_zoomed(lenet, window):
    page = window(f"{lenet}#network").page
    svg = page.locator("[data-view] .stage svg")
    before = svg.bounding_box()["width"]
    page.get_by_role("button", name="Larger").click()
    assert svg.bounding_box()["width"] > before * 1.2
    page.locator(".stage").hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, 400)
    page.keyboard.up("Control")
    assert svg.bounding_box()["width"] < before


@pytest.mark.browser
def test_a_folded_group_opens_its_nodes(window, tmp_path):
    page = window(f"{report(tmp_path, 'resnet50')}#network?node=layer1.1").page
    assert "Drawn once; it appears 2 times in a row" in page.locator("[data-opened]").inner_text()
    names = page.locator("[data-opened] .members button").all_inner_texts()
    assert names[0] == "layer1.1.conv1" and "layer1.2.conv3" in names and "layer2.0.conv1" not in names
    page.get_by_role("button", name="layer1.2.conv2", exact=True).click()
    assert page.locator("[data-opened='layer1.2.conv2']").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_network_that_fails_is_told_up_to_there(window, tmp_path, size):
    shown = window(f"{report(tmp_path, FAILING)}#network", size)
    page = shown.page
    facts = page.locator(".details").inner_text()
    assert "12 x 12 x 3" in facts and "at least 112" in facts and "at least 10,800" in facts
    assert "nodes\n3" in facts and "All nodes: 3" in page.locator(".nodes").inner_text()
    page.get_by_role("button", name="deep").click()
    said = page.locator("[data-opened=deep]").inner_text()
    assert "(10 + 0 - 13)/1 + 1 = -2" in said and "pad 2" in said and "no output" in said
    assert "relu1" in page.locator(".nodes").inner_text()
    settled(shown, size)


@pytest.mark.browser
def test_a_thousand_nodes_are_listed(window, tmp_path):
    shown = window(f"{report(tmp_path, many(1000))}#network", PHONE)
    page = shown.page
    rows = page.get_by_role("listbox")
    assert page.get_by_role("option").count() < 40
    rows.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.locator("[data-opened]").get_attribute("data-opened") == many(1000).nodes[-1].name
    page.get_by_role("searchbox").fill("no such node")
    assert page.get_by_role("option").count() == 0
    assert not shown.messages


NETWORKS = {
    **{name: SHAPED[name] for name in ("signal", "volume", "siamese", "unet", "residual", "split")},
    "lenet5": lambda: striate.create("lenet5"),
    "upsampled": lambda: striate.parse(
        "24x20x2 -> conv 3x3 4 /2 -> upsample 3 -> conv 5x5 4 dilation 2 -> tconv 3x3 2 /2"
    ),
    "turned": lambda: striate.parse("9x14x2 -> conv 3x3 4 /2 -> permute CWH -> conv 2x2 3"),
}


def generated(seed):
    """A chain of windows."""
    draw = random.Random(seed)
    size = draw.randint(20, 60)
    words = [f"{size}x{draw.randint(20, 60)}x1"]
    for _ in range(draw.randint(1, 4)):
        kernel, stride = draw.randint(1, 4), draw.randint(1, 2)
        kind = draw.choice(["conv", "conv", "maxpool", "tconv"])
        layer = f"{kind} {kernel}x{kernel}" + (" 2" if kind != "maxpool" else "") + f" /{stride}"
        words.append(layer + (f" pad {draw.randint(0, kernel // 2)}" if kind == "conv" else ""))
    return striate.parse(" -> ".join(words))


@pytest.mark.node
@pytest.mark.parametrize("name", [*NETWORKS, *range(12)])
def test_fields_and_reach_are_those_of_python(name):
    net = generated(name) if isinstance(name, int) else NETWORKS[name]()
    show = show_record(net)
    every = fields_by_input(net)
    wanted, asked = [], []
    for node in show["nodes"]:
        for source, fields in every.items():
            seen = fields.get(net.node(node["name"]).outputs[0], {})
            axes = {1: "l", 2: "hw", 3: "dhw"}.get(len(node["output"]) - 1, "")
            for axis, one in seen.items():
                carrier = (one.axis or "").lower()
                units = node["output"][1 + axes.index(carrier)] if carrier in axes and carrier else 1
                spans = [list(one.field.span(i)) for i in range(min(units, 50))]
                reach = [i for i, (lo, hi) in enumerate(spans) if lo <= 7 <= hi]
                wanted.append(
                    [node["name"], source, axis.lower(), carrier if one.field.step else "", spans, reach]
                )
                asked.append([node["name"], source, axis.lower(), units])
    script = """
      const by = new Map(data.page.show.nodes.map((node) => [node.name, node]))
      answer = data.asked.map(([name, source, axis, units]) => {
        const seen = page.fields.seenBy(data.page, by.get(name), source)[axis]
        const spans = Array.from({ length: Math.min(units, 50) }, (_, i) => seen.span(i))
        return [name, source, axis, seen.axis, spans, spans.flatMap(([lo, hi], i) => (lo <= 7 && 7 <= hi ? [i] : []))]
      })"""
    page = {"show": show, "network": network_record(net, show)}
    assert answers(script, {"page": page, "asked": asked}) == wanted


@pytest.mark.node
@pytest.mark.parametrize("seed", range(8))
def test_the_units_that_a_pixel_reaches_are_those_whose_field_holds_it(seed):
    net = generated(100 + seed)
    show = show_record(net)
    node = show["nodes"][-1]
    fields = fields_by_input(net)["input"][node["name"]]
    pixels = [(y, x) for y in range(0, show["input"][1], 5) for x in range(0, show["input"][2], 4)]
    wanted = []
    for pixel in pixels:
        units = [
            [i for i in range(n) if fields[axis].field.span(i)[0] <= at <= fields[axis].field.span(i)[1]]
            for axis, n, at in zip("HW", node["output"][1:], pixel)
        ]
        wanted.append(units if all(units) else None)
    script = """
      const node = data.page.show.nodes.at(-1)
      const by = page.fields.seenBy(data.page, node, "input")
      answer = data.pixels.map(([h, w]) => page.fields.reachOf(by, node, { h, w }))
      answer = answer.map((reach) => reach && reach.map((runs) =>
        runs.flatMap(([lo, hi]) => Array.from({ length: hi - lo + 1 }, (_, k) => lo + k))))"""
    page = {"show": show, "network": network_record(net, show)}
    assert answers(script, {"page": page, "pixels": pixels}) == wanted
