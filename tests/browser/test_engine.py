"""The forward engine of the page: every value of every node is Python's, for any network that the page runs."""

import base64
import contextlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import striate
from browser.node import PACK, node, packed, unpacked
from network_strategies import networks
from op_cases import WORDS, entries, op_of, spec_of
from striate.diagnostics import StriateError
from striate.engine.numpy_ import reference
from striate.network import Builder, Network, Node
from striate.ops import Concat
from striate.statement import FUNCTIONS
from striate.views.page.forward import forward_nodes, forward_weights
from striate.views.page.model import model_parts

unpacked_right = unpacked
CLOSE = 1e-5  # of the largest value
RUN = (
    PACK
    + """
const answers = given.map(({model, inputs}) => {
  const run = engine.compile(model)
  const values = run(new Map(Object.entries(inputs).map(([name, text]) => [name, unpack(text)])))
  return Object.fromEntries([...values].map(([name, array]) => [name, pack(array)]))
})
console.log(JSON.stringify(answers))
"""
)


def random_arrays(net, seed):
    """Weights by full name, and inputs by name."""
    draw = np.random.default_rng(seed)
    weights = {}
    for name, spec in net.parameters.items():
        array = draw.standard_normal(spec.shape, np.float32)
        weights[name] = abs(array) + np.float32(0.1) if spec.kind == "variance" else array
    inputs = {name: draw.standard_normal(spec.shape, np.float32) for name, spec in net.inputs.items()}
    return weights, inputs


def steps(net):
    return sum(one.domain.volume for each in net.declarations.values() for one in each.statements)


def smaller(word, entry):
    """A sample as a network, of 12 pixels a side where its op allows it."""
    op, axes = op_of(word, entry), entry.get("axes", "")
    shapes = [[shape[0], *(min(size, 12) for size in shape[1:])] for shape in entry["inputs"]]
    for tried in (shapes, entry["inputs"]):
        inputs = {f"in{k}": spec_of(shape, axes) for k, shape in enumerate(tried)}
        one = Node(word, op, tuple(inputs))
        net = Network(word, inputs, (one,), one.outputs)
        with contextlib.suppress(StriateError):
            _ = net.specs
            return net
    return net


def runnable(net):
    return all(net.declarations[one.name].statements for one in net.nodes)


def assert_same_arithmetic(*nets, seed=0):
    """Each node's values are those of the reference interpreter for the same inputs of the node."""
    arrays = [random_arrays(net, seed) for net in nets]
    given = []
    for net, (weights, inputs) in zip(nets, arrays, strict=True):
        nodes, tables = forward_nodes(net)
        shapes = {name: [*spec.shape] for name, spec in net.inputs.items()}
        model = {"inputs": shapes, "nodes": nodes, "tables": tables, "weights": forward_weights(net, weights)}
        given.append({"model": model, "inputs": {name: packed(x) for name, x in inputs.items()}})
    json.dumps(given, allow_nan=False)
    for net, (weights, _), values in zip(nets, arrays, node(RUN, given), strict=True):
        found = {value: unpacked(text).reshape(net.specs[value].shape) for value, text in values.items()}
        assert set(found) == {*net.inputs, *(value for one in net.nodes for value in one.outputs)}
        for one in net.nodes:
            declaration = net.declarations[one.name]
            parameters = {p.name: weights[one.key(p.name)] for p in declaration.parameters}
            with np.errstate(all="ignore"):
                wanted = reference.run(declaration, [found[value] for value in one.inputs], parameters)
                for value, array in zip(one.outputs, wanted, strict=True):
                    array = array.astype(np.float32)
                    close = CLOSE * float(abs(array[np.isfinite(array)]).max(initial=0))
                    np.testing.assert_allclose(found[value], array, rtol=0, atol=close, err_msg=str(one))


@pytest.mark.node
def test_the_functions_are_those_of_statements():
    assert node("console.log(JSON.stringify(Object.keys(engine.FUNCTIONS)))") == [*FUNCTIONS]


@pytest.mark.node
def test_every_op_of_the_registry():
    """The engine lacks no op that declares what it computes: all their samples."""
    nets = {}
    for word, entry in entries("sample"):
        found = smaller(word, entry)
        if runnable(found):
            nets.setdefault(word, []).append(found)
    assert [word for word in WORDS if word not in nets] == ["opaque"]
    small = [
        net for found in nets.values() for net in found if net is min(found, key=steps) or steps(net) < 2e4
    ]
    assert_same_arithmetic(*small)


@pytest.mark.node
def test_the_test_can_fail(monkeypatch):
    monkeypatch.setitem(globals(), "unpacked", lambda text: unpacked_right(text) + np.float32(0.01))
    with pytest.raises(AssertionError, match="conv 3x3 2"):
        assert_same_arithmetic(striate.parse("4x4x1 -> conv 3x3 2 -> relu"))


@pytest.mark.node
@settings(max_examples=40)
@given(networks().filter(runnable), st.integers(0, 99))
def test_any_network(net, seed):
    assert_same_arithmetic(net, seed=seed)


TRANSFORMS = {
    "none": (1, None),
    "gray": (1, [{"step": "normalize", "mean": [0.13], "std": [0.31]}]),
    "color": (3, [{"step": "normalize", "mean": [0.48, 0.45, 0.41], "std": [0.22, 0.23, 0.24]}]),
    "repeated": (3, [{"step": "normalize", "mean": [0.2], "std": [0.3]}, {"step": "channels", "count": 3}]),
    "luma": (1, [{"step": "channels", "count": 1}, {"step": "normalize", "mean": [0.2], "std": [0.3]}]),
    "luma at the end": (
        1,
        [{"step": "normalize", "mean": [0.2, 0.3, 0.4], "std": [0.3] * 3}, {"step": "channels", "count": 1}],
    ),
    "resized": (1, [{"step": "fit", "size": [9, 7]}, {"step": "normalize", "mean": [0.6], "std": [0.3]}]),
}  # fmt: skip
ENDS = {
    "": {},
    " -> softmax": {},
    " -> sigmoid": {},
    " -> fc 1": {},
    " -> tanh": {"loss": "mean_squared_error"},
}
ANSWER = """
const answers = given.map(({model, pixels}) => {
  const image = engine.bytesOf(pixels)
  const input = engine.inputOf(model, image)
  const values = engine.compile(model)(new Map([[Object.keys(model.inputs)[0], input]]))
  return {input: [...input], probabilities: engine.probabilities(model, values)}
})
console.log(JSON.stringify(answers))
"""


@pytest.mark.node
def test_pixels_to_probabilities():
    """An image goes through the model's own transformation, and its classes are those of `classify`."""
    draw, given, wanted = np.random.default_rng(0), [], []
    for (channels, steps_of), (end, objective) in itertools.product(TRANSFORMS.values(), ENDS.items()):
        model = striate.Model(
            f"9x7x{channels} -> conv 3x3 4 pad 1 -> relu -> gap -> flatten -> fc 3{end}", seed=1
        )
        if steps_of:
            model.transform = {"steps": steps_of}
        model.objective = objective
        record = model_parts(model._record)
        pixels = draw.integers(0, 256, record["drawing"]["image"], np.uint8)
        given.append({"model": record["model"], "pixels": base64.b64encode(pixels.tobytes()).decode()})
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        (x,) = model._inputs.batches(batch, 1)
        count = max(2, model.net.specs[model.net.outputs[0]].shape[1])
        (answer,) = model.classify(batch, top=count)
        wanted.append((x, [share for _, share in sorted(answer)]))
        names = [name for name, _ in sorted(answer)]
        assert record["drawing"]["classes"] == names
    for found, (x, shares) in zip(node(ANSWER, given), wanted, strict=True):
        np.testing.assert_array_equal(np.array(found["input"], np.float32), x.ravel())
        np.testing.assert_allclose(found["probabilities"], shares, rtol=0, atol=CLOSE * max(shares))


def pair():
    build = Builder("pair", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    return build.build(build(Concat(), *build.inputs.values()))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (lambda: striate.load("resnet18"), "1,814.1 M multiply-accumulates for an image, a page at most 10 M"),
        (lambda: striate.parse("8x8x1 -> flatten -> fc 3000"), "780 kB, and a page holds at most 450 kB"),
        (lambda: striate.parse("900x900x3 -> maxpool 9 /1"), "M steps of arithmetic"),
        (lambda: striate.parse("1d 32x1 -> conv 3"), "is not an image"),
        (lambda: striate.parse("8x8x2 -> conv 3x3"), "an image of 2 channels cannot be drawn"),
        (lambda: striate.parse("4x4x1 -> deep: conv 5x5 -> relu"), "deep"),
        (pair, "it has the inputs left, right"),
    ],
)  # fmt: skip
def test_what_the_page_cannot_run_is_told(net, reason):
    record = model_parts(net())
    assert "model" not in record
    assert "does not run inside the page" in record["no_model"] and reason in record["no_model"]


def test_fresh_weights_are_told():
    assert not model_parts(striate.load("lenet5"))["drawing"]["trained"]
    assert model_parts(striate.Model("lenet5")._record)["drawing"]["trained"]
