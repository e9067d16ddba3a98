"""torchvision's published parameters, cost and smallest inputs, and where its networks do not fit exactly."""

import functools

import pytest

from oracles.numbers import take
from striate.analysis import macs, receptive_fields, sizes
from striate.geometry import AxisMap, ReceptiveField, Window
from striate.models import catalogue
from striate.network import Network

ROWS = take("torchvision_classification", "rows")
TRAPS = take("torchvision_classification", "traps")


def name_of(weights: str) -> str:
    """``ResNet18_Weights.IMAGENET1K_V1`` -> ``resnet18``."""
    return weights.partition("_Weights.")[0].lower()


def trainable(net: Network) -> int:
    return sum(p.elements for p in net.parameters.values() if p.trainable)


@functools.cache
def network(name: str, size: int | None = None) -> Network:
    return catalogue.create(name, input=(3, size, size) if size else None)


@pytest.mark.parametrize("weights", ROWS)
def test_parameters_and_cost(weights):
    row, name = ROWS[weights], name_of(weights)
    entry = catalogue.get(name)
    assert trainable(catalogue.create(name, **entry.params_with)) == row["num_params"]
    assert (entry.params, entry.gmacs) == (row["num_params"], row["gmacs"])
    net = catalogue.create(name, input=(3, row["input"], row["input"]), **entry.gmacs_with)
    assert round(macs(net, "torchvision") / 1e9, 3) == row["gmacs"]


@pytest.mark.parametrize(
    "name", sorted({name_of(weights) for weights, row in ROWS.items() if row["min_size"]})
)
def test_smallest_accepted_input(name):
    least = {tuple(row["min_size"]) for weights, row in ROWS.items() if name_of(weights) == name}
    assert len(least) == 1
    net = network(name)
    accepted = [n for n in range(1, 65) if not net.with_input((3, n, n)).inference.problems]
    assert least == {(accepted[0], accepted[0])}
    assert accepted == [*range(accepted[0], 65)]


def test_traps():
    google, inception, least = TRAPS
    assert google.startswith("googlenet num_params excludes the auxiliary heads")
    net = catalogue.create("googlenet", aux=True)
    assert round(trainable(net) / 1e6, 2) == 13.00
    assert trainable(network("googlenet")) == ROWS["GoogLeNet_Weights.IMAGENET1K_V1"]["num_params"]

    assert inception == "inception_v3 num_params includes the auxiliary head"
    entry = catalogue.get("inception_v3")
    assert trainable(catalogue.create("inception_v3", **{**entry.params_with, "aux": True})) == entry.params
    assert trainable(catalogue.create("inception_v3", aux=False)) < entry.params

    assert least == "min_size is the smallest accepted input, not an exact-fit size"
    assert not sizes(network("resnet18")).axes["h"].fits(1)


# ---------------------------------------------------------------- where the networks do not fit
MODELS = take("exact_fit_torchvision", "models")


def last_map(net: Network) -> str:
    """The last value that is still a map: a unit of it has neighbors."""
    fields = receptive_fields(net)
    return [v for n in net.nodes for v in n.outputs if "H" in fields[v] and fields[v]["H"].field.step][-1]


def longest_path(net: Network) -> list[AxisMap]:
    """Maps along H on the path to the last map that sees most, from the input on."""
    fields, value, found = receptive_fields(net), last_map(net), []
    while value in net.producers:
        node = net.producers[value]
        axis_map = net.declarations[node.name].readings[0].get("H")
        if axis_map is not None and isinstance(axis_map.map, Window):
            found.append(axis_map.map)
        value = max(node.inputs, key=lambda v: fields[v]["H"].field.size)
    return found[::-1]


def inexact(window: Window) -> bool:
    return window.remainder != 0 or window.overhang != 0


@pytest.mark.parametrize("name", MODELS)
def test_where_it_does_not_fit(name):
    row = MODELS[name]
    net = network(name, row["input"])
    path = longest_path(net)
    if name == "mobilenet_v2":
        path = [w for w in path if w.kernel > 1]  # The row's layer numbers leave its 1x1 convolutions out.
    found = [
        {
            "layer": at,
            "k": w.kernel,
            "s": w.stride,
            "p": w.before,
            "ceil": w.ceil,
            "in": w.input,
            "out": w.output,
            "remainder": w.remainder,
            "real_rows_dropped": w.lost,
            "partial_window_overhang": w.overhang,
        }
        for at, w in enumerate(path)
        if inexact(w)
    ]
    assert found == row["inexact"]
    assert len(found) == row["n_inexact_layers"]
    assert all(w.lost == max(0, w.remainder - w.after) for w in path), "the row's definition of a dropped row"


@pytest.mark.parametrize("name", MODELS)
def test_field_of_the_last_map(name):
    row = MODELS[name]
    net = network(name, row["input"])
    value = last_map(net)
    assert net.specs[value].spatial == (row["final_map"],) * 2
    field = receptive_fields(net)[value]["H"].field
    published = (row["rf_size"], row["effective_stride"], row["effective_padding"])
    assert (field.size, field.jump, -field.start) == published
    # By a second road: the pixels after one unit of the longest path, tap by tap.
    units = {0}
    for window in reversed(longest_path(net)):
        units = {window.raw(unit, u) for unit in units for u in range(window.kernel)}
    assert (min(units), max(units)) == (field.start, field.start + field.size - 1)
    assert functools.reduce(ReceptiveField.through, longest_path(net), ReceptiveField()) == field


@pytest.mark.parametrize("name", MODELS)
def test_sizes_that_fit(name):
    row = MODELS[name]
    net = network(name, row["input"])
    solved = sizes(net).axes
    for axis in "hw":
        listed = row["exact_fit_sizes_up_to_400"]
        assert [n for n in range(1, 401) if solved[axis].fits(n)] == listed
        rule = solved[axis].rule.replace(", N", " (N") + ")"
        assert rule == row["exact_fit_rule"]
    # By a second road: walk every size down the longest path.
    path = longest_path(net)

    def fits(n: int) -> bool:
        for w in path:
            here = Window(n, w.kernel, w.stride, w.dilation, w.before, w.after, w.ceil)
            if not here.output or inexact(here) or (here.stride > 1 and here.output >= n):
                return False
            n = here.output
        return True

    assert [n for n in range(1, 401) if fits(n)] == listed


# ---------------------------------------------------------------- the headline, network by network
HEADLINE = take("exact_fit_torchvision", "headline")
PADDED = "AlexNet, ResNet*, DenseNet*, MobileNetV2, EfficientNet-B0, ShuffleNetV2"
NAMES = {
    "loses": ["squeezenet1_0", "squeezenet1_1"],
    "wastes": [
        *["alexnet", "mobilenet_v2", "efficientnet_b0", "shufflenet_v2_x1_0"],
        *["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"],
        *["densenet121", "densenet161", "densenet169", "densenet201"],
    ],
    "hangs over": ["googlenet", "squeezenet1_0"],
    "fits": ["vgg11", "vgg13", "vgg16", "vgg19", "convnext_tiny", "inception_v3"],
}


def test_the_headline_names_these_networks():
    first, second, third, fourth = HEADLINE.rstrip(".").split("; ")
    assert first.startswith(
        "At the training crop only SqueezeNet 1.0 and 1.1 lose a real row and column (conv1)"
    )
    assert second == f"{PADDED} only waste one padded row/column per strided layer (uneven padding)"
    assert third == "GoogLeNet and SqueezeNet 1.0 also have ceil_mode partial windows"
    assert fourth == "VGG*, ConvNeXt, Inception v3@299 fit exactly"


@pytest.mark.parametrize("name", sorted({name for names in NAMES.values() for name in names}))
def test_headline(name):
    net = network(name, 299 if name == "inception_v3" else 224)
    every = [w for d in net.declarations.values() for w in d.windows.values() if isinstance(w, Window)]
    windows = [w for w in every if not w.gap]  # A 1x1 shortcut skips rows on purpose.
    assert any(w.lost for w in windows) is (name in NAMES["loses"])
    assert any(w.overhang for w in windows) is (name in NAMES["hangs over"])
    if name in NAMES["wastes"]:
        assert {w.wasted_padding for w in windows if w.stride > 1 and inexact(w)} == {1}
    assert any(map(inexact, windows)) is not (name in NAMES["fits"])
