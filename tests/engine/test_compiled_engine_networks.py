"""Whole networks through the compiled engine, against the numpy engine in float64."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import network_strategies
import striate
from engine.compiled import FAST, STRICT, agree, algorithms, described, drawn, images, made, margin, wanted
from engine.kernels.support import targets
from exhaustive import EXHAUSTIVE
from laws.networks import networks as windowed
from striate.engine.registry import get_engine
from striate.models import catalogue
from striate.network import Builder, Network
from striate.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Pad,
    Relu,
    Silu,
    Slice,
)  # fmt: skip

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

LARGEST = 3_000_000
"""Terms of an image's sums that a test computes in float64."""
TESTS = Path(__file__).parents[1]


def small(net: Network) -> bool:
    declared = net.declarations.values()
    volumes = [s.domain.volume for d in declared for s in d.statements]
    return (
        all(d.statements for d in declared)
        and sum(volumes) <= LARGEST
        and all(spec.elements for spec in net.specs.values())
    )


ANY = network_strategies.networks(max_nodes=10) | network_strategies.chains(max_nodes=10)
WINDOWED = st.sampled_from([1, 2, 2, 3]).flatmap(lambda rank: windowed(rank, "local", max_nodes=9))
NETWORKS = ANY | WINDOWED


@settings(max_examples=40)
@given(NETWORKS, st.integers(0, 3), st.sampled_from([1, 2, 3]), st.booleans())
def test_generated_networks(net, seed, threads, strict):
    """Outputs alone, where values may be fused away, and then every value by name."""
    assume(small(net))
    weights = drawn(net, seed)
    program = made(net, weights, threads, strict)
    for size, names in ((2, ()), (1, tuple(net.specs))):
        agree(net, weights, images(net, size, seed), program, names, STRICT if strict else FAST)


@settings(max_examples=15)
@given(NETWORKS, st.data())
def test_some_values_of_a_network(net, data):
    """Whatever is asked for, inputs and doubles included, is what the numpy engine gives."""
    assume(small(net))
    weights = drawn(net)
    names = data.draw(st.lists(st.sampled_from(sorted(net.specs)), min_size=1, max_size=4))
    agree(net, weights, images(net, 3), made(net, weights, threads=2), names)


def branched() -> Network:
    """Winograd, a strided and a 1x1 convolution, a residual, a concatenation, pooling, a classifier; two outputs."""
    build = Builder("branched", input=(3, 34, 33))
    x = build(Relu(), build(BatchNorm(), build(Conv(32, 7, stride=2, padding=3, bias=False), build.input)))
    x = build(MaxPool(3, stride=2, padding=1), x)
    y = build(Relu(), build(Conv(32, 3, padding=1), x))
    y = build(Relu(), build(Add(), build(Conv(32, 3, padding=1), y), x))
    z = build(Concat(), build(Conv(17, 1), y), build(Conv(32, 3, padding=1), y))
    w = build(Conv(100, 3, stride=2, padding=1), z)
    return build.build(build(Linear(10), build(Flatten(), w)), z)


SKIPPED = {
    "dense": lambda c: Conv(c, 3, padding=1),
    "wide": lambda c: Conv(c, 5, padding=2),
    "pointwise": lambda c: Conv(c, 1),
    "depthwise": lambda c: Conv(None, 3, padding=1, groups="depthwise"),
    "grouped": lambda c: Conv(c, 3, padding=1, groups=c // 4),
    "dilated": lambda c: Conv(c, 3, padding=2, dilation=2),
    "transposed": lambda c: ConvTranspose(c, 3, padding=1),
}


@pytest.mark.parametrize("strict", [False, True], ids=["fast", "strict"])
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("layer", SKIPPED)
def test_a_skip_over_one_layer(layer, target, strict):
    """The sum may not lie where the layer still reads its neighbors, whatever divides the work."""
    for channels, size in ((8, 5), (40, 12), (64, 7)):
        build = Builder("skip", input=(channels, size, size + 1))
        x = build(Relu(), build.input)
        net = build.build(build(Relu(), build(Add(), x, build(SKIPPED[layer](channels), x))))
        for threads, batch in ((1, 1), (2, 3)):
            program = made(net, drawn(net), threads, strict, target)
            agree(net, drawn(net), images(net, batch), program, tolerance=STRICT if strict else FAST)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("channels", [1, 16, 20])
def test_what_is_padded_within_a_concatenation(channels, target):
    """The padding is zeros also where the padded map lies in another's memory."""
    build = Builder("padded", input=(channels, 6, 5))
    x = build(Pad(2), build(Relu(), build.input))
    whole = build(Slice("C", 0, channels), x)
    both = build(Concat(), x, build(Relu(), x))
    net = build.build(build(LocalResponseNorm(3), both), build(Relu(), whole))
    for threads, batch in ((1, 1), (2, 3)):
        agree(net, drawn(net), images(net, batch), made(net, drawn(net), threads, target=target))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", [Identity, lambda: Dropout(0.5)], ids=["identity", "dropout"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_input_that_a_first_convolution_reads_and_others_under_another_name(channels, name, target):
    build = Builder("first", input=(channels, 9, 7))
    again = build(name(), build.input)
    first = build(Conv(channels, 3, padding=1), build.input)
    net = build.build(build(Silu(), again), build(Add(), first, again), build(Conv(8, 3), build.input))
    for threads, batch in ((1, 1), (2, 3)):
        agree(net, drawn(net), images(net, batch), made(net, drawn(net), threads, target=target))
        only = build.build(build(Add(), first, again))
        agree(only, drawn(only), images(only, batch), made(only, drawn(only), threads, target=target))


def test_the_same_whatever_the_threads():
    """No task depends on who runs it: with the same algorithms the results are the same to the last bit."""
    net = branched()
    weights, x = drawn(net), images(net, 3)
    programs = [made(net, weights, threads) for threads in (1, 2, 3, 5)]
    ways = {tuple(s.algorithm + s.tile for s in p.plan_for(3, net.outputs).plan.steps) for p in programs}
    results = [program(x) for program in programs]
    for result in results[1:]:
        for found, first in zip(result, results[0], strict=True):
            np.testing.assert_allclose(found, first, rtol=0, atol=FAST * np.abs(first).max())
            if len(ways) == 1:
                np.testing.assert_array_equal(found, first)


@settings(max_examples=10)
@given(NETWORKS, st.sampled_from([2, 5]))
def test_the_same_again(net, count):
    """Repeated runs are equal to the last bit, whatever ran in between; a batch is its images; weights stay."""
    assume(small(net))
    weights, x = drawn(net), images(net, count)
    kept = {name: array.copy() for name, array in weights.items()}
    program = made(net, weights, threads=2)
    with np.errstate(all="ignore"):
        first = program.values(x, net.outputs)
        single = [program.values(image[None], net.outputs) for image in x]
        again = program.values(x, net.outputs)
    for name, reference in wanted(net, weights, x).items():
        np.testing.assert_array_equal(first[name], again[name])
        together = np.concatenate([one[name] for one in single])
        finite = np.isfinite(reference).all(0)
        off = np.abs(together[finite] - first[name][finite]).max(initial=0.0)
        assert off <= 2 * margin(reference, FAST), f"{name} of {described(net)}"
    for name, array in weights.items():
        np.testing.assert_array_equal(array, kept[name])


def test_weights_that_change_do_not_change_what_is_ready():
    net = branched()
    weights, x = drawn(net), images(net, 1)
    program = made(net, weights)
    before = program(x)
    for array in weights.values():
        array += 1
    for found, first in zip(program(x), before, strict=True):
        np.testing.assert_array_equal(found, first)


def test_a_batch_beyond_the_caches():
    """Forty images, of which a few megabytes at a time are worked on."""
    net = branched()
    weights, x = drawn(net), images(net, 40)
    for threads in (1, 2):
        agree(net, weights, x, made(net, weights, threads))


def test_strict_takes_no_winograd():
    """The same network runs Winograd's algorithm when it may, and none of it when errors must be smallest."""
    build = Builder("plain", input=(64, 56, 56))
    net = build.build(build(Conv(64, 3, padding=1), build.input))
    weights, x = drawn(net), images(net, 1)
    for strict, tolerance in ((False, FAST), (True, STRICT)):
        program = made(net, weights, strict=strict)
        found = [
            name for name in algorithms(program, 1) if "winograd" in name.lower() or name.startswith("F(")
        ]
        assert bool(found) != strict, algorithms(program, 1)
        agree(net, weights, x, program, tolerance=tolerance)


@pytest.mark.parametrize("place", ["input", "weight"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "text",
    [
        "9x9x17 -> conv 3 20 pad 1 /2 -> relu -> maxpool 2",
        "9x9x17 -> conv 1 20 -> silu -> avgpool 2",
        "9x9x16 -> dwconv 3 pad same -> relu6 -> gap -> flatten -> fc 5",
        "9x9x16 -> conv 5 32 groups 2 -> sigmoid -> softmax",
        "9x9x3 -> tconv 2 4 /2 -> gn 2 -> hardswish",
        "9x9x3 -> conv 7 33 /2 -> ln -> gelu -> gmp",
        "16x14x1 -> conv 5 6 pad 3 -> tanh -> maxpool 2",
        "16x14x17 -> conv 7 2 pad 3 -> sigmoid",
    ],
)
def test_nan_and_infinity_travel(text, bad, place):
    """Where sums are plain, a number that is none spoils what it spoils in numpy, and nothing else."""
    net = striate.parse(text)
    weights, x = drawn(net), images(net, 2)
    if place == "input":
        x[1, 0, 4, 4] = bad
    else:
        next(iter(weights.values())).flat[3] = bad
    names = tuple(net.specs)
    with np.errstate(all="ignore"):
        numpy = get_engine("numpy").compile(net, weights).values(x, names)
        found = made(net, weights, threads=2, strict=True).values(x, names)
    for name in names:
        np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(numpy[name]), err_msg=name)
        infinite = np.isinf(numpy[name])
        np.testing.assert_array_equal(found[name][infinite], numpy[name][infinite], err_msg=name)


HEAVY = 3e7
"""Weights beyond which packing them twice takes long."""
SIZES = {"inception_v3": 107, "unet": 188, "googlenet": 64}
"""Inputs of the catalogue's families in these tests, where 64 does not do."""


def reduced(name: str) -> Network:
    """A network of the catalogue at the smallest input of a few that all its layers can do with."""
    net = striate.create(name)
    channels, height, _ = net.input.without_batch
    for size in (SIZES.get(name, 64), 96, 128, 188):
        if size >= height:
            return net
        try:
            made = striate.create(name, input=(channels, size, size))
            _ = made.specs
            return made
        except striate.StriateError:
            continue
    return net


def lightest() -> list[str]:
    """The entry of every family with the fewest parameters."""
    families: dict[str, catalogue.Entry] = {}
    for entry in catalogue.entries():
        kept = families.setdefault(entry.family.name, entry)
        if (entry.params or 1e12) < (kept.params or 1e12):
            families[entry.family.name] = entry
    return sorted(entry.name for entry in families.values())


def moved(net: Network) -> dict[str, np.ndarray]:
    """Initial weights, which keep numbers about as large as they are, and statistics and biases that have moved."""
    rng = np.random.default_rng(1)
    weights = dict(striate.Model(net, seed=0, engine="numpy").weights)
    for name, parameter in net.parameters.items():
        if parameter.kind == "variance":
            weights[name] = rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32)
        elif len(parameter.shape) == 1:
            weights[name] = weights[name] + (rng.standard_normal(parameter.shape) / 10).astype(np.float32)
    return weights


LONGEST = (
    "vgg11", "wide_resnet50_2", "unet", "densenet121", "inception_v3", "efficientnet_v2_s", "fcn_resnet50",
    "convnext_tiny",
)  # fmt: skip
"""Families that take seconds each in float64."""


@pytest.mark.parametrize("name", [name for name in lightest() if EXHAUSTIVE or name not in LONGEST])
def test_one_network_of_every_family(name):
    net = reduced(name)
    weights, x = moved(net), images(net, 2)
    exact = get_engine("numpy").compile(net, weights).values(x.astype(np.float64), net.outputs)
    for threads in (1, 2) if sum(array.size for array in weights.values()) < HEAVY else (2,):
        found = made(net, weights, threads).values(x, net.outputs)
        for key, value in exact.items():
            largest = np.abs(value).max()
            assert 1e-20 < largest < 1e20 and found[key].shape == value.shape
            off = np.abs(found[key] - value).max()
            assert off <= FAST * largest, f"{name}, {threads} threads: {off / largest:.1e}"


def _check_a_few() -> None:
    """What another target's child process runs."""
    net = branched()
    agree(net, drawn(net), images(net, 3), made(net, drawn(net), threads=2))
    for name in ("lenet5", "squeezenet1_1"):
        net = reduced(name)
        weights = drawn(net)
        agree(net, weights, images(net, 1), made(net, weights, threads=2))


@pytest.mark.parametrize("name", [target.name for target in targets()[1:] or targets()])
def test_other_targets(name):
    """STRIATE_TARGET asks for narrower vectors, if there are any: the same results."""
    program = (
        "from engine.test_compiled_engine_networks import _check_a_few; from striate.engine.target import host;"
        f"assert host().name == {name!r}; _check_a_few()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "STRIATE_TARGET": name, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
