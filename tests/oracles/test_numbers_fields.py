"""Published receptive fields: TF-Slim's networks, Distill's table, two-branch graphs, torchvision's networks."""

import functools
from fractions import Fraction

import pytest

from oracles.numbers import take
from oracles.tfslim import NETS, profiled_flops, slim
from striate.analysis import analyze, misalignments, receptive_fields
from striate.geometry import ReceptiveField, Window
from striate.models.catalogue import create
from striate.network import Builder, Network
from striate.ops.conv import Conv
from striate.ops.merge import Add
from striate.ops.reshape import Pad

TABLE = take("rf_table_tfslim", "rows")
LAYERS = take("architectures_tfslim", "layers")
UNSPECIFIED = (224, 225, 226, 231, 255, 321)
"""Sizes that stand for "any": padding that does not depend on the size is the same at all of them."""


@functools.cache
def network(name: str, resolution: int) -> tuple[Network, dict[str, str]]:
    return slim(name, resolution)


@functools.cache
def fields(name: str, resolution: int):
    return receptive_fields(network(name, resolution)[0])


def endpoint(name: str, full: str) -> str:
    return full.removeprefix(f"{name}/")


def of(field: ReceptiveField) -> tuple[int, Fraction, int]:
    """(size, effective stride, effective padding) as the tables print them."""
    return field.size, field.jump, -field.start


def agrees(published: tuple, found: list[tuple]) -> bool:
    """Whether rows found at several sizes are the published one; padding None: it differs between sizes."""
    size, stride, padding = published
    paddings = {p for _, _, p in found}
    same = paddings == {padding} if padding is not None else len(paddings) > 1
    return same and {(r, s) for r, s, _ in found} == {(size, stride)}


# ---------------------------------------------------------------- the networks, whole, with their branches
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[2]}@{row[1]}")
def test_tfslim_table(row):
    name, resolution, full, _, *published = row
    at = [resolution] if resolution else UNSPECIFIED
    found = []
    for size in at:
        known = fields(name, size)[network(name, size)[1][endpoint(name, full)]]
        assert known["H"].field == known["W"].field
        found.append(of(known["H"].field))
    assert agrees(tuple(published), found)


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row[3] is not None], ids=lambda row: f"{row[2]}@{row[1]}"
)
def test_tfslim_flops(row):
    name, resolution, full, gflops, *_ = row
    net, ends = network(name, resolution)
    assert round(profiled_flops(net)[ends[endpoint(name, full)]] / 1e9, 3) == gflops


def test_every_flop_cell_is_a_number_where_the_resolution_is():
    assert all((row[1] is None) == (row[3] is None) for row in TABLE)


SUMMARY = take("rf_summary_distill", "rows")


@pytest.mark.parametrize("row", SUMMARY, ids=lambda row: row[0])
def test_distill_table(row):
    name, *published, gflops = row
    net, _ = network(name, 224)
    assert of(fields(name, 224)[net.outputs[0]]["H"].field) == tuple(published)
    flops = profiled_flops(net)[net.outputs[0]]
    assert round(flops / 1e9, 2) == pytest.approx(gflops)
    assert not misalignments(net)


def test_every_network_of_the_tables_is_built():
    assert {row[0] for row in (*TABLE, *SUMMARY)} == set(NETS)
    assert set(LAYERS) == {row[0] for row in TABLE}


# ---------------------------------------------------------------- the same from the longest path, layer by layer
def chain(name: str, resolution: int) -> list[tuple[str, Window]]:
    """Windows of a layer list on one axis: S is SAME, V is VALID, a number is explicit padding."""
    n, found = resolution, []
    for layer in LAYERS[name]:
        label, kernel, stride, padding = layer[:4]
        given = {"S": "same", "V": "valid"}.get(padding, (padding, padding))
        window = Window.resolve(n, kernel, stride, 1, given)
        found.append((layer[4] if len(layer) > 4 else label, window))
        n = window.output
    return found


def reaches(label: str, end: str) -> bool:
    last = end.rsplit("/", 1)[-1]
    return label in (last, end) or label.startswith((f"{end}/", f"{end}_unit"))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[2]}@{row[1]}")
def test_tfslim_layer_lists(row):
    name, resolution, full, _, *published = row
    found = []
    for size in [resolution] if resolution else UNSPECIFIED:
        windows = chain(name, size)
        last = max(k for k, (label, _) in enumerate(windows) if reaches(label, endpoint(name, full)))
        field = ReceptiveField()
        for _, window in windows[: last + 1]:
            field = field.through(window)
        found.append(of(field))
    assert agrees(tuple(published), found)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_lists_by_counting_pixels(name):
    """The derived lists by a second road: the pixels after one unit, walked back tap by tap."""
    windows = [window for _, window in chain(name, 224)]
    field = functools.reduce(ReceptiveField.through, windows, ReceptiveField())
    for i in (0, 3):
        units = {i}
        for window in reversed(windows):
            units = {window.raw(unit, u) for unit in units for u in range(window.kernel)}
        assert field.span(i) == (min(units), max(units))
    net, _ = network(name, 224)
    assert fields(name, 224)[net.outputs[0]]["H"].field == field


# ---------------------------------------------------------------- Distill's formulas and examples
FORMULAS = take("rf_summary_distill", "formulas")
EXAMPLES = take("rf_summary_distill", "examples")


def by_formula(layers: list[tuple[int, int, int, int]], u: int) -> dict[str, object]:
    """Each formula of the article, spelled out for layers (k, s, p, d) and unit u."""
    size, stride, padding = 1, 1, 0
    for k, s, p, d in layers:
        size += (d * (k - 1)) * stride
        padding += p * stride
        stride *= s
    return {
        "rf": size,
        "stride": stride,
        "padding": padding,
        "left": -padding + u * stride,
        "right": -padding + u * stride + size - 1,
        "center": Fraction(-2 * padding + 2 * u * stride + size - 1, 2),
        "dilation": [d * (k - 1) + 1 for k, _, _, d in layers],
        "aligned_iff": Fraction(size - 1, 2) - padding,
    }


@pytest.mark.parametrize("formula", FORMULAS)
def test_distill_formulas(formula):
    layers = [(7, 2, 3, 1), (3, 2, 1, 1), (3, 1, 2, 2), (5, 3, 0, 1)]
    windows = [Window(500, k, s, d, p, p) for k, s, p, d in layers]
    field = functools.reduce(ReceptiveField.through, windows, ReceptiveField())
    u = 6
    found = {
        "rf": field.size,
        "stride": field.jump,
        "padding": -field.start,
        "left": field.span(u)[0],
        "right": field.span(u)[1],
        "center": field.center(u),
        "dilation": [window.extent for window in windows],
        "aligned_iff": field.offset,
    }
    assert found[formula] == by_formula(layers, u)[formula]


def test_distill_examples():
    small, resnet = EXAMPLES
    assert small["layers"] == "k3 p1 s3 ; k2 p0 s1"
    field = ReceptiveField().through(Window(12, 3, 3, 1, 1, 1)).through(Window(4, 2))
    assert field.span(small["feature"]) == (small["u0"], small["v0"])

    name, end = resnet["model"].split()
    _, ends = network(name, 224)
    known = fields(name, 224)[ends[end]]
    x, y = resnet["feature_xy"]
    assert [known["W"].field.center(x), known["H"].field.center(y)] == resnet["center_xy"]


# ---------------------------------------------------------------- two branches and a sum
GRAPHS = take("rf_graph_tests", "tests")


def two_branches(branches: list, size: int) -> Network:
    build = Builder("graph", input=(1, size, size))
    ends = []
    for branch in branches:
        x = build.input
        for first, *rest in branch:
            if first.startswith("pad "):
                before, after = map(int, first.removeprefix("pad ").split(","))
                x = build(Pad(((before, after), (before, after))), x)
            else:
                stride, padding = rest
                policy = {"V": "valid", "S": "same"}[padding]
                x = build(Conv(1, int(first[1:]), int(stride[1:]), policy), x)
        ends.append(x)
    return build.build(build(Add(), *ends, name="sum"))


@pytest.mark.parametrize("graph", GRAPHS, ids=str)
def test_branches_that_meet_in_a_sum(graph):
    verdicts, found = set(), []
    for size in [graph["input"]] if graph.get("input") else range(5, 20):
        net = two_branches(graph["branches"], size)
        if len({net.inference.specs[value] for value in net.node("sum").inputs}) > 1:
            continue  # At this size the branches differ in length.
        field = receptive_fields(net)["sum"]["H"].field
        verdicts.add(not misalignments(net))
        found.append(of(field))
    assert found
    assert verdicts == ({True, False} if graph["aligned"] == "undecidable" else {graph["aligned"]})
    if "rf" in graph:
        assert agrees((graph["rf"], graph["stride"], graph["padding"]), found)


# ---------------------------------------------------------------- torchvision's networks
PUBLISHED = take("rf_torchvision_published", "items")


@pytest.mark.parametrize("item", PUBLISHED, ids=lambda item: item["model"])
def test_torchvision_networks(item):
    name, _, part = item["model"].partition(" ")
    net = create(name)
    nodes = [facts for facts in analyze(net).nodes if facts.name.startswith(part or "features")]
    for axis in "hw":
        size, stride, padding = of(nodes[-1].receptive_field[axis])
        assert size == item["rf"]
        assert stride == item.get("stride", stride)
        assert padding == item.get("padding", padding)
