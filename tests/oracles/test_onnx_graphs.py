"""Shapes of nine real networks, value by value, against ONNX's own inference."""

import functools

import pytest

from oracles import onnx_graph
from striate.analysis import analyze, macs
from striate.models.catalogue import create
from striate.network import Network

pytestmark = pytest.mark.onnx


@functools.cache
def network(name: str):
    model = onnx_graph.load(name)
    return model, *onnx_graph.read(name, model)


@pytest.mark.parametrize("name", onnx_graph.NAMES)
def test_every_shape_is_as_onnx_infers_it(name):
    model, net, values = network(name)
    inferred = onnx_graph.shapes(model)
    assert set(values.values()) == {*net.inputs, *(value for node in net.nodes for value in node.outputs)}
    for value, ours in values.items():
        assert net.specs[ours].shape == inferred[value], (value, net.producers.get(ours))


@pytest.mark.parametrize("name", onnx_graph.NAMES)
def test_parameters_have_the_shapes_of_the_file(name):
    """Convolutions and fully connected layers: weight and bias, in the graph's order."""
    import onnx

    model, net, values = network(name)
    inferred = onnx_graph.shapes(model)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            own = [p.shape for p in net.declarations[values[node.output[0]]].parameters]
            assert own == [inferred[value] for value in node.input[1:]]
    onnx.checker.check_model(model)


def layers(net: Network) -> list[tuple]:
    """(weight, output) shapes of every convolution and fully connected layer, the latter as a 1x1 convolution."""
    found = []
    for node in net.nodes:
        if node.op.word in ("conv", "fc"):
            weight, output = net.declarations[node.name].parameters[0].shape, net.specs[node.name].shape
            found.append(((*weight, 1, 1)[:4], (*output, 1, 1)[:4]))
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("densenet121", "densenet121"),
        ("resnet50", "resnet50"),
        ("squeezenet", "squeezenet1_1"),
        ("vgg19", "vgg19"),
    ],
)
def test_the_catalogue_has_the_same_layers(name, ours):
    _, theirs, _ = network(name)
    mine = create(ours, input=theirs.input.without_batch)
    assert layers(mine) == layers(theirs)
    assert macs(mine) == macs(theirs)
    assert last_field(mine) == last_field(theirs)


def last_field(net: Network) -> int:
    """Receptive field of the last convolution on a map."""
    fields = [facts.receptive_field["h"] for facts in analyze(net).nodes if facts.op == "conv"]
    return [field.size for field in fields if field.step][-1]


@pytest.mark.parametrize(
    ("name", "ours"), [("inception_v1", "googlenet_2014"), ("bvlc_alexnet", "alexnet_2012")]
)
def test_the_catalogue_differs_by_its_rounding_only(name, ours):
    """The files' pools round down or pad one side, the papers' round up: the same filters on maps of another size."""
    _, theirs, _ = network(name)
    mine = create(ours, input=theirs.input.without_batch)
    filters = [
        [d.parameters[0].shape for n, d in net.declarations.items() if net.node(n).op.word == "conv"]
        for net in (mine, theirs)
    ]
    assert sorted(filters[0]) == sorted(filters[1])
    assert layers(mine) != layers(theirs)
