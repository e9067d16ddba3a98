"""Facts of networks of several inputs are told of each input, and equal what each branch says by itself."""

import json

import numpy as np
import pytest

import striate as st
from cli.run import run as shell
from generators import inputs as generated
from striate.analysis import exact_field, misalignments, pixels, receptive_fields, sizes
from striate.checks import check
from striate.diagnostics import GraphError, OpError
from striate.network import Builder
from striate.ops import Add, Concat, Conv, Flatten, Linear, MaxPool, Relu
from striate.views.json_records import show_record

LEFT = (Conv(1, kernel=3, bias=False), Conv(1, kernel=2, stride=2, bias=False))
RIGHT = (Conv(1, kernel=5, stride=2, bias=False),)


def branch(build, x, ops):
    for op in ops:
        x = build(op, x)
    return x


def pair(left=(1, 12, 12), right=(1, 13, 13), left_ops=LEFT, right_ops=RIGHT, merge=None):
    build = Builder("pair", input={"left": left, "right": right, "extra": (4,)})
    a = branch(build, build.inputs["left"], left_ops)
    b = branch(build, build.inputs["right"], right_ops)
    if merge is not None:
        return build.build(build(merge, a, b, name="met"))
    flat = [build(Flatten(), a, name="flat_a"), build(Flatten(), b, name="flat_b"), build.inputs["extra"]]
    return build.build(build(Linear(1), build(Concat(), *flat)))


def alone(shape, ops):
    build = Builder("alone", input=shape)
    return build.build(branch(build, build.input, ops))


@pytest.mark.parametrize(("name", "ops", "last"), [("left", LEFT, "conv2"), ("right", RIGHT, "conv3")])
def test_fields_and_sizes_are_those_of_the_branch(name, ops, last):
    net = pair()
    one = alone(net.inputs[name].without_batch, ops)
    assert receptive_fields(net, name)[last] == receptive_fields(one)[one.outputs[0]]
    assert receptive_fields(net)[last] == receptive_fields(one)[one.outputs[0]]
    other = "right" if name == "left" else "left"
    assert not receptive_fields(net, other)[last]
    assert exact_field(net, last, (1, 2), name) == exact_field(one, one.outputs[0], (1, 2))
    # what is fully connected after it lets any size through: the branch alone decides
    found, wanted = sizes(net, 30, name), sizes(one, 30)
    assert found.axes["h"].rule == wanted.axes["h"].rule and found.nearest == wanted.nearest


def test_paths_are_what_an_impulse_gives():
    """Weights of one: an impulse at a pixel of one input, the other dark, sums up to its paths."""
    net = pair(merge=Add(), left=(1, 12, 12), right=(1, 13, 13))
    model = st.Model(net, engine="numpy")
    for array in model.weights.values():
        array[...] = 1
    for name in ("left", "right"):
        use, spec = pixels(net, input=name), net.inputs[name]
        images = np.eye(spec.elements, dtype=np.float32).reshape(-1, *spec.without_batch)
        given = {n: np.zeros((len(images), *s.without_batch), np.float32) for n, s in net.inputs.items()}
        summed = model.predict({**given, name: images}).sum((1, 2, 3))
        assert np.array_equal(summed.reshape(spec.spatial), use.counts)


def test_inputs_of_one_size_change_together():
    ops = (Conv(2, kernel=3, padding=1), Relu(), MaxPool(2), MaxPool(2))
    net = pair((1, 32, 32), (3, 32, 32), ops, ops, Add())
    one = alone((1, 32, 32), ops)
    for name in ("left", "right"):
        assert sizes(net, 100, name) == sizes(one, 100)
    # inputs of other sizes stay: the merge asks for the one that meets them
    other = pair((1, 32, 32), (1, 64, 64), ops, (*ops, MaxPool(2)), Add())
    assert sizes(other, 100, "left").axes["h"].residues == (32,)


def test_branches_of_different_inputs_are_never_called_misaligned():
    padded = (Conv(1, kernel=3, padding=((0, 2), (0, 2))),)
    centered = (Conv(1, kernel=3, padding=1),)
    assert not misalignments(pair((1, 8, 8), (1, 8, 8), padded, centered, Add()))
    build = Builder("twice", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    a, b = build.inputs.values()
    met = build(Add(), build(padded[0], b), build(centered[0], b))
    (fault, _) = misalignments(net := build.build(build(Add(), a, met)))
    assert fault.input == "right" and fault.pixels == 1
    (found,) = [f for f in check(net).findings if f.code == "R001"]
    assert "H and W of right" in found.message and found.fixes


def test_one_input_must_be_meant():
    net = pair()
    for ask in (sizes, pixels, lambda net: exact_field(net, "conv1", (0, 0))):
        with pytest.raises(GraphError, match="3 inputs"):
            ask(net)
    with pytest.raises(GraphError) as caught:
        pixels(net, input="lft")
    assert caught.value.fix == "write 'left'"
    with pytest.raises(OpError, match="no height and width"):
        pixels(net, input="extra")


@pytest.mark.parametrize("seed", range(12))
def test_any_network_of_several_inputs_is_shown_and_checked(seed):
    net = generated.build(seed)
    record = show_record(net)
    assert record["inputs"] == {name: list(spec.without_batch) for name, spec in net.inputs.items()}
    for node in record["nodes"]:
        first = next(iter(node["receptive_fields"].values()), {})
        assert node["receptive_field"] == first
    assert json.loads(json.dumps(record)) == record
    check(net)


TOML = """
[network]
name = "two"
[network.inputs]
left = "7x7x1"
right = "8"
[[node]]
name = "conv"
op = "conv 3x3 /3"
inputs = ["left"]
[[node]]
name = "flat"
op = "flatten"
[[node]]
name = "join"
op = "concat"
inputs = ["flat", "right"]
"""


def run(*words):
    found = shell(*map(str, words))
    return found.code, found.out + found.err


def test_the_command_line_tells_of_each_input(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TOML)
    code, text = run("sizes", path)
    assert code == 0 and "two, left" in text and "N = 0 mod 3" in text
    record = json.loads(run("sizes", path, "--json")[1])
    assert record["inputs"]["left"]["h"]["fits"] is False and list(record["inputs"]) == ["left"]
    record = json.loads(run("pixels", path, "--json")[1])
    assert record["inputs"]["left"]["unread"] == 13
    assert run("pixels", path)[0] == 0 and "left" in run("pixels", path, "--compare")[1]
    assert json.loads(run("pixels", path, "--compare", "--json", "--of", "left")[1])["inputs"]["left"][
        "modes"
    ]
    assert run("check", path)[0] == 1
    record = json.loads(run("show", path, "--json", "--input", "left=9x9", "--input", "right=64")[1])
    assert record["inputs"] == {"left": [1, 9, 9], "right": [64]}
    assert run("check", path, "--input", "left=9x9")[0] == 0
    for words, said in (
        (("--input", "9x9"), "--input left=7x7x1 --input right=8"),
        (("--input", "left=9x9", "--input", "3"), "--input NAME=3"),
        (("--input", "left=9x9", "--input", "left=3"), "left has two sizes"),
    ):
        code, text = run("show", path, *words)
        assert code == 2 and said in text, text
    assert "two has 2 inputs" in run("bench", path)[1]
