"""Arguments in PyTorch's order: never another op without a word."""

import dataclasses
import warnings

import numpy as np
import pytest

import striate.functional as F
from striate import models
from striate.diagnostics import GraphError, OpError
from striate.network import Builder
from striate.op import spelling
from striate.ops import BatchNorm, Conv, ConvTranspose, GroupNorm, InstanceNorm, Linear, Relu


def told(call, *args):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call(*args)
    return [str(one.message) for one in said]


def convolutions():
    """(channels of the input, filters, kernel, stride) of every convolution in the catalogue."""
    for name in models.list_models():
        net = models.create(name)
        for node in net:
            if isinstance(node.op, Conv) and {
                type(node.op.filters),
                type(node.op.kernel),
                type(node.op.stride),
            } == {int}:
                yield net.specs[node.inputs[0]].channels, node.op.filters, node.op.kernel, node.op.stride


def test_the_catalogue_in_our_order_and_in_that_of_pytorch():
    """Our order is never doubted; theirs is, but for 1x1 filters that make a handful of channels."""
    known = {*convolutions()}
    assert len(known) > 300
    for channels, filters, kernel, stride in known:
        assert not told(spelling.check_filters, "Conv", (filters, kernel, stride), channels)
    silent = {
        (channels, filters, kernel)
        for channels, filters, kernel, _ in known
        if not told(spelling.check_filters, "Conv", (channels, filters, kernel), channels)
    }
    assert {(filters <= 4, kernel) for _, filters, kernel in silent} == {(True, 1)}


@pytest.mark.parametrize("cls", [Conv, ConvTranspose])
def test_a_builder_tells_what_is_read_and_what_to_write(cls):
    build = Builder(input=(3, 32, 32))
    with pytest.warns(UserWarning, match=r"3 filters of 16x16, stride 3") as said:
        build(cls(3, 16, 3), build.input)
    name = cls.__name__
    (one,) = said
    assert f"write {name}(16, kernel=3)" in str(one.message) and f"{name}(3, kernel=16, stride=3)" in str(
        one.message
    )
    assert one.filename == __file__, "the warning points at the line of the user"


@pytest.mark.parametrize(
    "op", [Conv(3, kernel=16, stride=3), Conv(16, 3, 2), Conv(3, 3, 2), Conv(8, 16, 16), Conv(3, (16, 16), 3)]
)
def test_what_is_named_or_usual_is_not_doubted(op):
    build = Builder(input=(3, 32, 32))
    assert not told(build, op, build.input)


def test_a_changed_op_is_not_doubted_and_equals_its_like():
    op = Conv(3, 16, 3)
    assert op == Conv(3, kernel=16, stride=3) and hash(op) == hash(Conv(3, kernel=16, stride=3))
    build = Builder(input=(3, 32, 32))
    assert not told(build, dataclasses.replace(op, stride=3), build.input)


def test_on_arrays_too():
    x, w = np.ones((1, 3, 32, 32), np.float32), {"weight": np.ones((3, 3, 16, 16)), "bias": np.ones(3)}
    with pytest.warns(UserWarning, match="as in PyTorch"):
        F.apply(Conv(3, 16, 3), x, weights=w)


@pytest.mark.parametrize(
    ("cls", "args", "fix"),
    [
        (Linear, (64, 10), "Linear(10)"),
        (BatchNorm, (64,), "the number of channels follows"),
        (InstanceNorm, (64,), "the number of channels follows"),
        (GroupNorm, (8, 64), "the number of channels follows"),
    ],
)
def test_sizes_of_the_input_are_not_taken_for_something_else(cls, args, fix):
    with pytest.raises(OpError, match=f"{args[-1]} comes as (bias|eps) of {cls.__name__}") as caught:
        cls(*args)
    assert fix in caught.value.fix


def test_ours_in_order_is_as_before():
    assert Linear(10, False) == Linear(10, bias=False) and BatchNorm(1e-3) == BatchNorm(eps=1e-3)
    assert GroupNorm(8, 1e-3) == GroupNorm(groups=8, eps=1e-3) and BatchNorm(eps=2).eps == 2


def test_an_activation_is_an_op_of_its_own():
    with pytest.raises(OpError, match="Conv does not take activation") as caught:
        Conv(16, 3, activation="relu")
    assert "Relu()" in caught.value.fix


@pytest.mark.parametrize(("given", "fix"), [("relu", "Relu()"), (Relu, "give Relu()"), (None, "Relu()")])
def test_a_node_is_an_op(given, fix):
    build = Builder(input=(3, 8, 8))
    with pytest.raises(GraphError, match="is not an op") as caught:
        build(given, build.input)
    assert fix in caught.value.fix
