"""Training in machine code: gradients and statistics are the numpy engine's in float64, in any division of the work."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as some

import striate as st
from engine.compiled import described, drawn
from engine.kernels.support import targets
from engine.test_compiled_engine_networks import ANY, WINDOWED, lightest, reduced
from exhaustive import EXHAUSTIVE
from op_cases import RUNNABLE, cases, fixture
from striate.diagnostics import StriateError
from striate.engine.numpy_.numpy_engine import NumpyTraining, batched
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.target import AVX512
from striate.engine.training.compiled_training import CompiledTraining
from striate.engine.training.training_plan import plan
from striate.network import Builder
from striate.ops import AvgPool, Concat, Conv, Flatten, Linear, MaxPool, Relu, Relu6, Silu, Slice

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

TOLERANCE = 2e-5
"""Of a gradient's distance from the one in float64, relative to the largest of its tensor (or of a hundredth of the
largest of all, where a tensor's own gradient cancels)."""


def seeded(net, batch, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *net.input.without_batch)).astype(np.float32)
    seeds = [
        rng.standard_normal((batch, *net.specs[name].shape[1:])).astype(np.float32) for name in net.outputs
    ]
    return x, seeds


def stepped(program, x, seeds, kind=np.float32):
    outputs = program.forward(x.astype(kind), np.random.default_rng(5))
    return outputs, program.backward([seed.astype(kind) for seed in seeds]), dict(program.updates)


def compiled(net, weights, threads=2, target=None):
    return CompiledTraining(net, weights, PlanContext(target or targets()[0], threads))


def agree(net, batch, threads=2, target=None, weights=None, anywhere=False):
    """Outputs, gradients and statistics are those of float64, and they come from machine code, unless `anywhere`."""
    weights = drawn(net) if weights is None else weights
    x, seeds = seeded(net, batch)
    program = compiled(net, weights, threads, target)
    with np.errstate(all="ignore"):
        wanted = stepped(
            NumpyTraining(net, {k: v.astype(float) for k, v in weights.items()}), x, seeds, float
        )
        plain = stepped(NumpyTraining(net, weights), x, seeds)
    found = stepped(program, x, seeds)
    for a, b, c in zip(found[0], wanted[0], plain[0], strict=True):
        near(a, b, c, np.abs(b).max(initial=0), "output")
    largest = max((np.abs(g).max(initial=0) for g in wanted[1].values()), default=0.0)
    with np.errstate(invalid="ignore"):
        rounded = max((np.abs(plain[1][k] - g).max(initial=0) for k, g in wanted[1].items()), default=0.0)
    for kind in (1, 2):
        assert found[kind].keys() == wanted[kind].keys()
        for name, b in wanted[kind].items():
            scale = max(np.abs(b).max(initial=0), 1e-2 * largest)
            near(found[kind][name], b, plain[kind][name], scale, f"{name} of {described(net)}", rounded)
    assert program.compiled or anywhere, described(net)
    return program


def near(found, exact, plain, scale, what, rounded=0.0):
    """A network whose own arithmetic cancels is not blamed on an engine: several times numpy's float32 error pass.

    rounded: numpy's largest error in any gradient.
    """
    assert found.shape == exact.shape, what
    if not (np.isfinite(exact).all() and np.isfinite(plain).all()):
        return
    # What cancels to nothing leaves the rounding of its terms, which are about 1.
    allowed = max(TOLERANCE * scale, 8 * np.abs(plain - exact).max(initial=0), 2 * rounded, 2e-7)
    assert np.abs(found - exact).max(initial=0) <= allowed, what


NETWORKS = {
    "linear": "5x5x3 -> flatten -> fc 7 -> relu -> fc 4",
    "first layers": "11x9x3 -> conv 3x3 20 /2 pad 1 -> relu -> conv 5x5 17 pad 2 -> tanh -> flatten -> fc 5",
    "plane": "12x12x1 -> conv 5x5 6 -> relu -> maxpool 2 -> conv 5x5 16 pad 2 -> relu -> maxpool 2 -> flatten -> fc 10",
    "few channels": "17x12x2 -> conv 5x3 3 pad 2 -> relu -> conv 5x5 20 pad 1 dil 2 -> relu -> conv 7x7 4 pad 3"
    " -> flatten -> fc 3",
    "norms": "9x9x3 -> conv 3 33 pad 1 bias off -> bn -> relu -> conv 3 16 /2 -> bn -> silu -> gap -> flatten -> fc 3",
    "windows": "16x16x8 -> maxpool 3 /2 pad 1 -> conv 1 24 -> avgpool 2 -> conv 3 40 pad 2 dil 2 -> flatten -> fc 3",
    "groups": "8x8x32 -> conv 3 64 pad 1 groups 2 -> dwconv 3 /2 pad 1 -> relu6 -> dwconv 5 pad 2 -> flatten -> fc 3",
    "transposed": "5x5x16 -> tconv 2x2 20 /2 -> relu -> tconv 3x3 3 pad 1 -> flatten -> fc 3",
    "noise": "6x6x4 -> conv 3x3 16 -> relu -> dropout 0.4 -> flatten -> dropout 0.2 -> fc 3",
    "winograd": "14x14x40 -> conv 3x3 48 pad 1 -> relu -> conv 3x3 32 pad 1 -> flatten -> fc 3",
}
RARER = {
    "pixel norms": "7x9x3 -> conv 3 37 -> ln -> relu -> conv 1 20 -> ln -> gap -> ln -> flatten -> fc 3",
    "group norms": "7x9x3 -> conv 3 40 -> gn 5 -> relu -> conv 1 18 -> in affine -> conv 1 6 -> gn 3 -> flatten"
    " -> fc 3",
    "near channels": "7x9x3 -> conv 3 40 -> lrn 5 alpha 0.5 -> relu -> conv 1 12 -> lrn 3 -> gap -> flatten -> fc 3",
    "shared out": "7x9x3 -> conv 3 20 -> softmax -> conv 1 8 -> logsoftmax -> flatten -> fc 5 -> softmax",
    "small groups": "9x8x12 -> conv 3 24 groups 6 pad 1 -> relu -> conv 3 48 groups 12 /2 -> tconv 2x2 32 /2 groups 4"
    " -> conv 3 32 groups 8 pad 1 -> conv 1 20 groups 4 -> gap -> flatten -> fc 3",
    "channels last": "6x5x3 -> conv 3 20 pad 1 -> permute HWC -> ln -> fc 30 -> gelu -> fc 17 -> permute CHW"
    " -> layerscale 0.5 -> stochasticdepth 0.4 -> gap -> flatten -> fc 3",
    "padding": "7x6x3 -> conv 3 20 pad 2 mode reflect -> relu -> conv 5 6 pad 2 mode circular -> flatten -> fc 3",
    "flat output": "5x5x3 -> conv 3 20 pad 1 -> relu -> maxpool 2 -> flatten",
    "volumes": "4x5x6x3 -> conv 3 8 pad 1 -> bn -> relu -> maxpool 2 -> tconv 2 5 -> flatten -> fc 3",
}


@pytest.mark.parametrize("text", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_gradients_are_those_of_float64(text, batch):
    if batch == 1 and "bn" in text:
        batch = 8
    agree(st.parse(text), batch)


@pytest.mark.parametrize("text", RARER.values(), ids=RARER)
def test_gradients_of_rarer_layers(text):
    agree(st.parse(text), 3)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize(
    "name",
    ["plane", "few channels", "norms", "groups", "winograd", "pixel norms", "near channels", "small groups"],
)
def test_every_vector_width(name, target):
    agree(st.parse({**NETWORKS, **RARER}[name]), 3, target=target)


def test_the_way_back_to_few_channels_has_pixels_in_the_lanes():
    """Where nothing else arrives there: what arrived is added in the store, which this kernel has no place for."""

    def algorithms(text):
        net = batched(st.parse(text), 4)
        steps = plan(net, PlanContext(AVX512, 1)).steps
        return {step.algorithm for step in steps if "through conv2" in step.unit.name}

    assert algorithms("32x32x1 -> conv 5x5 6 -> maxpool 2 -> conv 5x5 16") == {"to planes", "planar"}
    assert "planar" not in algorithms("32x32x1 -> conv 5x5 6 -> maxpool 2 -> conv 5x5 16 /2")
    assert "planar" not in algorithms("32x32x1 -> conv 5x5 16 -> maxpool 2 -> conv 5x5 16")
    build = Builder("two readers", input=(1, 32, 32))
    x = build(Conv(6, 5), build.input)
    net = build.build(
        build(Linear(3), build(Flatten(), build(Concat(), build(Conv(9, 5), x), build(Conv(9, 5), x))))
    )
    steps = plan(batched(net, 4), PlanContext(AVX512, 1)).steps
    back = [step.algorithm for step in steps if step.unit.name.startswith("gradient through conv")]
    assert sorted(set(back) - {"pack"}) == ["direct", "planar", "to planes"], back
    agree(net, 2)


FEW = ["alexnet", "cifar_resnet20", "lenet5", "shufflenet_v2_x0_5", "squeezenet1_1"]
"""Families whose gradients take the least time in float64."""


def smooth(net):
    """The network without corners: a unit at its corner goes one way in one precision and the other way in another.

    Fully connected layers of 4,096 become smaller ones: they are not computed otherwise.
    """

    def other(op):
        if isinstance(op, Relu | Relu6):
            return Silu()
        if isinstance(op, MaxPool):
            return AvgPool(op.kernel, stride=op.stride, padding=op.padding, ceil=op.ceil)
        if isinstance(op, Linear) and op.features == 4096:
            return dataclasses.replace(op, features=256)
        return op

    nodes = (dataclasses.replace(node, op=other(node.op)) for node in net.nodes)
    return dataclasses.replace(net, nodes=tuple(nodes))


@pytest.mark.parametrize("name", lightest() if EXHAUSTIVE else FEW)
def test_families(name):
    """Gradients and statistics are as near to float64 as the numpy engine's in float32."""
    net = smooth(st.create(name, input=(3, 32, 32)) if name == "convnext_tiny" else reduced(name))
    batch = 2 if name == "unet" else 4
    weights, (x, seeds) = dict(st.Model(net, seed=0).weights), seeded(net, batch)
    program = compiled(net, weights)
    exact = NumpyTraining(net, {k: v.astype(float) for k, v in weights.items()})
    found, wanted = stepped(program, x, seeds), stepped(exact, x, seeds, float)
    plain = stepped(NumpyTraining(net, weights), x, seeds)
    assert program.compiled
    for kind in (1, 2):
        assert found[kind].keys() == wanted[kind].keys()
        off, usual = (
            max((apart(made[kind][name], value) for name, value in wanted[kind].items()), default=0.0)
            for made in (found, plain)
        )
        assert off <= max(2e-5, 6 * usual)


def apart(found, wanted):
    """The largest distance compared with the largest number; nothing where all cancels out."""
    largest = np.abs(wanted).max()
    return float(np.abs(found - wanted).max() / largest) if largest > 1e-12 else 0.0


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(ANY | WINDOWED, some.sampled_from([2, 3, 5]), some.sampled_from([1, 2, 3]))
def test_generated_networks(net, batch, threads):
    try:
        agree(net, batch, threads, anywhere=True)
    except StriateError as error:
        assert "batch norm cannot train" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "1x1x4 -> conv 1 4 -> channelshuffle 2 -> flatten",
        "1x1x4 -> affine weight 1 -> channelshuffle 2 -> flatten",
        "3x2x4 -> conv 1 4 -> permute HWC -> channelshuffle 2 -> permute WCH",
    ],
)
def test_a_gradient_that_arrives_under_other_axes(text):
    """That of a flattened 1x1 map has no axes of space, that of a permuted one has them in another order."""
    agree(st.parse(text), 2)


def test_a_volume_of_one_position_that_is_flattened():
    build = Builder("volume", input=(3, 1, 1, 1))
    agree(build.build(build(Flatten(), build(Conv(4, 1), build.input))), 3)


PLAIN = frozenset()
"""Ops whose gradients are left to the numpy engine."""


def around(case):
    """The op of a case after a layer that learns, so that its inputs' gradients are asked for, too."""
    specs = case.declaration.inputs
    if any(type(spec).image(spec.without_batch).axes != spec.axes for spec in specs):
        return None
    largest = tuple(max(sizes) for sizes in zip(*(spec.without_batch for spec in specs), strict=True))
    build = Builder("one", input=largest)
    layer = Conv(largest[0], 1) if len(largest) > 1 else Linear(largest[0])
    inputs = []
    for port, spec in enumerate(specs):
        value = build(layer, build.input, name=f"before{port}")
        for axis, size, most in zip(spec.axes[1:], spec.without_batch, largest, strict=True):
            if size < most:
                start = most - size if port else 0
                value = build(Slice(axis, start, start + size), value)
        inputs.append(value)
    return build.build(*build(case.op, *inputs, name="op"))


@pytest.mark.parametrize("word", RUNNABLE)
def test_every_op(word):
    """Of any number of inputs and outputs; those that need positive numbers get them."""
    ran = []

    @settings(max_examples=3)
    @given(cases(word))
    def holds(case):
        try:
            net = around(case)
        except StriateError as error:
            assert error.fix
            reject()
        assume(net is not None)
        weights = drawn(net) | {f"op.{k}": v.astype(np.float32) for k, v in case.weights.items()}
        if fixture(word)["generate"].get("positive"):
            weights["before0.weight"] /= 8
            weights["before0.bias"][:] = 3
        try:
            ran.append(agree(net, 3, weights=weights, anywhere=True).compiled)
        except StriateError as error:
            assert error.fix

    holds()
    assert ran
    assert all(ran) == (word not in PLAIN)


@pytest.mark.parametrize("name", ["cifar_resnet20", *(name for name in RARER if name != "volumes")])
def test_threads_and_repeats_change_no_bit(name):
    net = st.parse(RARER[name]) if name in RARER else st.create(name, input=(3, 16, 16))
    weights, (x, seeds) = drawn(net), seeded(net, 6)
    first = stepped(compiled(net, weights, 1), x, seeds)
    for threads in (1, 2, 3):
        program = compiled(net, weights, threads)
        for _ in range(2):
            again = stepped(program, x, seeds)
            for name, gradient in first[1].items():
                assert (again[1][name] == gradient).all(), name


def test_changed_weights_and_other_batches_are_seen():
    net = st.parse(NETWORKS["norms"])
    weights = drawn(net)
    program = compiled(net, weights)
    for batch in (4, 7, 4):
        for array in weights.values():
            array *= np.float32(1.1)
        x, seeds = seeded(net, batch, batch)
        found = stepped(program, x, seeds)
        wanted = stepped(NumpyTraining(net, weights), x, seeds)
        for name, gradient in wanted[1].items():
            scale = max(np.abs(g).max() for g in wanted[1].values())
            assert np.abs(found[1][name] - gradient).max() <= 1e-4 * scale, name


def test_gradients_of_two_runs_are_apart():
    """A caller may keep what it was given: the next run writes elsewhere."""
    net = st.parse(NETWORKS["linear"])
    program = compiled(net, drawn(net))
    x, seeds = seeded(net, 3)
    first = stepped(program, x, seeds)[1]
    kept = {name: gradient.copy() for name, gradient in first.items()}
    stepped(program, 2 * x, seeds)
    assert all((first[name] == kept[name]).all() for name in kept)
