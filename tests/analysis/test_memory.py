"""Memory by liveness: hand-counted examples, brute force over random networks, laws."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from striate.analysis.memory import activation_bytes, liveness, timeline
from striate.network import Builder
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.merge import Add, Concat, Multiply
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten, Permute, Split


def residual():
    """input 4x4x1 = 64 B; every other value 4x4x2 = 128 B, but the pooled 2x2x2 = 32 B."""
    b = Builder("residual", input=(1, 4, 4))
    a = b(Conv(2, kernel=3, padding=1), b.input, name="a")
    x = b(Relu(), a, name="x")
    y = b(Conv(2, kernel=3, padding=1), x, name="y")
    s = b(Add(), y, a, name="s")
    r = b(Relu(), s, name="r")
    return b.build(b(MaxPool(2), r, name="p"))


def test_inference_by_hand():
    run = timeline(residual())
    #        input+a    a+x       a+x+y      a+y+s      s+r       r+p
    assert [step.bytes for step in run.steps] == [64 + 128, 256, 384, 384, 256, 160]
    assert (run.peak_bytes, run.peak.node, run.start_bytes) == (384, "y", 64)
    assert run.live(2) == ("a", "x", "y")
    assert [step.freed for step in run.steps] == [("input",), (), ("x",), ("y", "a"), ("s",), ("r",)]


def test_in_place_by_hand():
    run = timeline(residual(), in_place=True)
    # a is read later, so x needs memory of its own; s takes over y, r takes over s
    assert [step.bytes for step in run.steps] == [192, 256, 384, 256, 128, 160]


def test_training_by_hand():
    run = timeline(residual(), training=True)
    values = 64 + 5 * 128 + 32
    assert [step.bytes for step in run.steps[:6]] == [192, 320, 448, 576, 704, values]
    assert [(step.node, step.bytes) for step in run.steps[6:]] == [
        ("p", values + 32 + 128),  # d(p), d(r)
        ("r", 704 + 128 + 128),  # d(r), d(s); p and d(p) are gone
        ("s", 576 + 128 + 2 * 128),  # d(s), d(y), d(a)
        ("y", 448 + 128 + 2 * 128),  # d(y), d(a), d(x)
        ("x", 320 + 2 * 128),  # d(x), and d(a) is added in place
        ("a", 192 + 128),  # d(a); the input gets no gradient
    ]
    assert run.peak_bytes == 960 and liveness(residual()) == (384, 960)


def test_results_live_to_the_end():
    b = Builder("two", input=(1, 4, 4))
    a = b(Relu(), b.input, name="a")
    net = b.build(a, b(GlobalAvgPool(), a, name="g"))
    assert [step.bytes for step in timeline(net).steps] == [128, 68]
    assert [step.bytes for step in timeline(net, training=True).steps] == [128, 132, 132 + 68, 128 + 64]


def test_who_may_overwrite():
    """Batch norm and the full-size side of a product may; a broadcast side, a permutation and a conv not."""
    b = Builder("gate", input=(2, 4, 4))
    c = b(Conv(2, kernel=1), b.input, name="c")
    n = b(BatchNorm(), c, name="n")
    g = b(GlobalAvgPool(), n, name="g")
    m = b(Multiply(), g, n, name="m")
    p = b(Permute("HWC"), m, name="p")
    net = b.build(b(Flatten(), p, name="f"))
    plain = [step.bytes for step in timeline(net).steps]
    assert plain == [256, 256, 136, 264, 256, 256]
    assert [step.bytes for step in timeline(net, in_place=True).steps] == [256, 128, 136, 136, 256, 128]


def test_split_outputs_count_together():
    b = Builder("split", input=(4, 2, 2))
    left, right = b(Split(parts=2), b.input, name="s")
    net = b.build(b(Concat(), right, left, name="c"))
    assert activation_bytes(net) == {"s": 64, "c": 64}
    assert [step.bytes for step in timeline(net).steps] == [128, 128]
    assert timeline(net, in_place=True).peak_bytes == 128


def test_nodes_without_output_are_left_out():
    b = Builder("cut", input=(1, 4, 4))
    x = b(Conv(2, kernel=3), b.input, name="fits")
    x = b(Conv(2, kernel=5), x, name="too_long")
    net = b.build(b(Relu(), x, name="after"))
    assert activation_bytes(net) == {"fits": 32}
    assert [(step.node, step.bytes) for step in timeline(net).steps] == [("fits", 64 + 32)]
    assert liveness(net) == (96, 96 + 32)


def test_the_input_belongs_to_the_caller():
    b = Builder("one", input=(1, 4, 4))
    assert timeline(b.build(b(Relu(), b.input)), in_place=True).peak_bytes == 128


# ---------------------------------------------------------------- laws on random networks
@st.composite
def networks(draw):
    """Chains with branches, merges, splits and several results; 4 channels of 4x4 nearly everywhere."""
    b = Builder("random", input=(4, 4, 4))
    values = [b.input]
    for _ in range(draw(st.integers(1, 12))):
        pick = st.sampled_from(values)
        match draw(st.integers(0, 5)):
            case 0:
                values.append(b(Relu(), draw(pick)))
            case 1:
                values.append(b(Conv(draw(st.sampled_from([2, 4, 8])), kernel=3, padding=1), draw(pick)))
            case 2:
                values.append(b(Concat(), draw(pick), draw(pick)))
            case 3:
                one = draw(pick)
                values.append(b(Add(), one, draw(st.sampled_from([v for v in values if v.spec == one.spec]))))
            case 4:
                whole = draw(pick)
                values.extend(
                    b(Split(parts=2), whole) if whole.spec.channels % 2 == 0 else [b(Relu(), whole)]
                )
            case 5:
                values.append(b(BatchNorm(), draw(pick)))
    results = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=2, unique_by=lambda v: v.name))
    return b.build(*results)


def brute_inference(net):
    """Straight from the definition: at step t, what is made by then and read at t or later, or a result."""
    specs, nodes = net.specs, net.nodes
    born = dict.fromkeys(net.inputs, 0) | {v: t for t, node in enumerate(nodes) for v in node.outputs}
    for t in range(len(nodes)):
        live = [
            v
            for v, start in born.items()
            if start <= t
            and (start == t or v in net.outputs or any(v in later.inputs for later in nodes[t:]))
        ]
        yield sum(specs[v].bytes for v in live)


def brute_training(net):
    specs, nodes = net.specs, net.nodes
    values = list(net.inputs)
    for node in nodes:
        values += node.outputs
        yield sum(specs[v].bytes for v in values)
    maker = {v: t for t, node in enumerate(nodes) for v in node.outputs}
    for t in reversed(range(len(nodes))):
        kept = [v for v in values if maker.get(v, -1) <= t]
        gradients = [
            v
            for v in kept
            if v in maker
            and (maker[v] == t or v in net.outputs or any(v in later.inputs for later in nodes[t:]))
        ]
        yield sum(specs[v].bytes for v in kept) + sum(specs[v].bytes for v in gradients)


@given(networks())
def test_brute_force_agrees(net):
    assert [step.bytes for step in timeline(net).steps] == list(brute_inference(net))
    assert [step.bytes for step in timeline(net, training=True).steps] == list(brute_training(net))


@given(networks())
def test_bounds(net):
    run, specs = timeline(net), net.specs
    one_op = max(sum(specs[v].bytes for v in {*node.inputs, *node.outputs}) for node in net.nodes)
    everything = sum(specs[v].bytes for v in net.inputs) + sum(activation_bytes(net).values())
    peak, training = liveness(net)
    assert one_op <= peak == run.peak_bytes <= everything <= training <= 2 * everything
    assert timeline(net, in_place=True).peak_bytes <= peak


@given(networks(), st.booleans())
def test_live_names_add_up(net, training):
    run, specs = timeline(net, training=training), net.specs
    for index, step in enumerate(run.steps):
        names = [name.removeprefix("d(").removesuffix(")") for name in run.live(index)]
        assert sum(specs[name].bytes for name in names) == step.bytes


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.timeout(60)  # a quadratic walk takes far longer
def test_a_long_chain_takes_linear_time(training):
    b = Builder("chain", input=(1, 8, 8))
    x = b.input
    for _ in range(10_000):
        x = b(Relu(), x)
    net = b.build(x)
    net.specs  # noqa: B018  inferred once, outside the measurement
    run = timeline(net, training=training)
    assert run.peak_bytes == (10_001 * 256 + 2 * 256 if training else 512)
