"""Costs under each convention: counts done by hand, MACs by a second road, a table that adds up."""

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from striate.analysis.conventions import CONVENTIONS, STRIATE, Case, Count
from striate.analysis.cost import convention, macs, macs_by_node, reconcile
from striate.diagnostics import UnknownNameError
from striate.network import Builder
from striate.op import registry
from striate.ops import Conv, ConvTranspose, Linear
from striate.ops.activation import Relu, Softmax
from striate.ops.norm import BatchNorm, LocalResponseNorm
from striate.ops.pool import AvgPool, GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten
from striate.ops.upsample import Upsample
from striate.statement import Call, Load, Tap
from striate.tensor import TensorSpec


def small():
    """4x4x2 -> conv 3x3 3 pad 1 -> bn -> relu -> maxpool 2 -> gap -> flatten -> fc 5 -> softmax."""
    b = Builder("small", input=(2, 4, 4))
    x = b(Conv(3, kernel=3, padding=1), b.input, name="conv")
    x = b(BatchNorm(), x, name="bn")
    x = b(Relu(), x, name="relu")
    x = b(MaxPool(2), x, name="pool")
    x = b(GlobalAvgPool(), x, name="gap")
    x = b(Flatten(), x, name="flatten")
    x = b(Linear(5), x, name="fc")
    return b.build(b(Softmax(), x, name="softmax"))


BY_HAND = {
    "striate": {"conv": 16 * 3 * 18, "fc": 15},
    "torchvision": {"conv": 864, "fc": 15},
    "fvcore": {"conv": 864, "bn": 2 * 48, "gap": 12, "fc": 15},
    "thop": {"conv": 864, "bn": 4 * 48, "gap": 12 + 3, "fc": 15, "softmax": 3 * 5 - 1},
    "ptflops": {
        "conv": 864 + 48, "bn": 2 * 48, "relu": 2 * 48, "pool": 2 * 48, "gap": 2 * 12, "fc": 15 + 5,
        "softmax": 5,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CONVENTIONS)
def test_by_hand(name):
    counts = macs_by_node(small(), name)
    assert {node: count for node, count in counts.items() if count} == BY_HAND[name]
    assert macs(small(), name) == sum(BY_HAND[name].values())


def test_the_sentence_of_the_contract():
    assert STRIATE.sentence == (
        "mac=1; conv and fc multiplications only; bias, norm, pool and activation not counted"
    )
    assert macs(small()) == macs(small(), "striate")


def test_every_counted_word_is_an_op():
    words = set(registry())
    for one in CONVENTIONS.values():
        assert set(one.modules) <= words and set(one.functions or {}) <= words, one.name


def test_cases_ask_for_fields_that_ops_have():
    def fields(count):
        if isinstance(count, Case):
            yield count.field
            for inner in count.counts.values():
                yield from fields(inner)
        else:
            assert isinstance(count, Count)

    for one in CONVENTIONS.values():
        for word, count in [*one.modules.items(), *(one.functions or {}).items()]:
            known = set(registry()[word].__dataclass_fields__) | {"spatial"}
            assert set(fields(count)) <= known, (one.name, word)


def test_reconciliation():
    table = reconcile(small())
    rows = {row.node: row for row in table.rows}
    assert list(rows) == [node.name for node in small().nodes]
    assert table.totals == {name: macs(small(), name) for name in CONVENTIONS}
    assert rows["conv"].differences == {"ptflops": 48}
    assert rows["conv"].reasons == {"ptflops": "+1 per output element for the bias"}
    assert rows["gap"].reasons == {
        "fvcore": "+1 per input element (2-D only)",
        "thop": "+1 per input element, +1 per output element",
        "ptflops": "+2 per input element (counted twice: as a module, and as the function that the module calls)",
    }
    assert rows["softmax"].reasons["thop"] == "+3 per input element, -1 per normalized vector"
    assert rows["flatten"].differences == rows["flatten"].reasons == {}


def test_every_difference_has_its_reason_and_the_summary_adds_up():
    table = reconcile(small())
    for row in (*table.rows, *table.summary):
        assert row.differences.keys() == row.reasons.keys()
        assert all(row.reasons.values())
    for name in table.conventions:
        assert sum(row.counts[name] for row in table.summary) == table.totals[name]
    sizes = [max(map(abs, row.differences.values()), default=0) for row in table.summary]
    assert sizes == sorted(sizes, reverse=True)


def test_only_the_asked_conventions_beside_our_own():
    assert reconcile(small(), ["thop"]).conventions == ("striate", "thop")


def test_spelling():
    """thop sees modules only; ptflops counts a function once; a mean written out no tool sees."""
    net = small()
    functions = {"functions": ["relu", "gap", "bn"]}
    assert macs_by_node(net, "thop", **functions)["gap"] == 0
    assert macs_by_node(net, "thop", **functions)["bn"] == 0
    assert macs_by_node(net, "ptflops", **functions)["relu"] == 48
    assert macs(net, "fvcore", **functions) == macs(net, "fvcore")
    assert macs(net, "fvcore", expressions=["gap"]) == macs(net, "fvcore") - 12
    assert macs(net, **functions) == macs(net)
    rows = {row.node: row for row in reconcile(net, expressions=["gap"]).rows}
    assert rows["gap"].differences == {}
    rows = {row.node: row for row in reconcile(net, functions=["relu"]).rows}
    assert rows["relu"].reasons == {"ptflops": "+1 per input element"}


def test_rarer_counts_by_hand():
    b = Builder("rare", input=(2, 4, 4))
    x = b(LocalResponseNorm(size=5), b.input, name="lrn")
    x = b(ConvTranspose(4, kernel=2, stride=2, groups=2), x, name="up")  # 8x8x4, weight 2x2x2x2
    x = b(Upsample(scale=2, method="bilinear"), x, name="resize")  # 16x16x4
    net = b.build(b(AvgPool(2), x, name="pool"))  # 8x8x4
    taps = 8 * 8 * 4 * 1 * 4
    assert macs_by_node(net, "striate") == {"lrn": 0, "up": 16 * 2 * 2 * 4, "resize": 0, "pool": 0}
    assert macs_by_node(net, "thop") == {"lrn": 0, "up": taps, "resize": 11 * 1024, "pool": 256}
    assert macs_by_node(net, "ptflops") == {
        "lrn": 3 * 32 + 16 * 6, "up": 256 + 256, "resize": 2 * 1024, "pool": 2 * 1024
    }  # fmt: skip
    row = next(row for row in reconcile(net).rows if row.node == "up")
    assert row.reasons["thop"].startswith("-1 per multiplication, +1 per output element and filter element")


def test_unknown_names_get_the_nearest():
    with pytest.raises(UnknownNameError, match="ptflops"):
        convention("ptflop")
    with pytest.raises(UnknownNameError, match="relu"):
        macs(small(), functions=["rellu"])


def test_what_has_no_output_counts_nothing():
    b = Builder("cut", input=(1, 4, 4))
    x = b(Conv(2, kernel=3), b.input, name="fits")
    x = b(Conv(2, kernel=5), x, name="too_long")
    net = b.build(b(Relu(), x, name="after"))
    assert macs_by_node(net) == {"fits": 4 * 2 * 9}
    assert [row.node for row in reconcile(net).rows] == ["fits"]


# ---------------------------------------------------------------- the second road: count while walking
def _at(index, point):
    """Whether the index can be evaluated at a loop point: both variables are bound."""
    names = [index.out, index.tap] if isinstance(index, Tap) else [name for name, _ in index.terms]
    return all(name in point for name in names)


def counted(op, spec):
    """Multiplications with a parameter, one by one, as an interpreter walks the statements' domains."""
    declared = op.declare(spec)
    parameters = {parameter.name for parameter in declared.parameters}
    total = 0
    for statement in declared.statements:
        ranges = {**statement.domain.free, **statement.domain.reduced}
        for values in itertools.product(*map(range, ranges.values())):
            point = dict(zip(ranges, values, strict=True))
            pending = [statement.value]
            while pending:
                expr = pending.pop()
                if isinstance(expr, Call):
                    pending.extend(expr.args)
                    loads = [arg for arg in expr.args if isinstance(arg, Load)]
                    if expr.function == "mul" and any(arg.tensor in parameters for arg in loads):
                        assert all(_at(i, point) for arg in loads for i in arg.index)
                        total += 1
    return total


@given(
    channels=st.sampled_from([1, 2, 4]), filters=st.sampled_from([2, 4]), height=st.integers(3, 6),
    width=st.integers(3, 6), kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)), stride=st.integers(1, 3),
    padding=st.integers(0, 1), grouped=st.booleans(), transposed=st.booleans(), bias=st.booleans(),
)  # fmt: skip
def test_formula_and_counting_agree(
    channels, filters, height, width, kernel, stride, padding, grouped, transposed, bias
):
    groups = 2 if grouped and channels % 2 == 0 else 1
    kind = ConvTranspose if transposed else Conv
    padding = min(padding, (min(kernel) - 1) // 2) if transposed else padding
    op = kind(filters, kernel=kernel, stride=stride, padding=padding, groups=groups, bias=bias)
    spec = TensorSpec.image((channels, height, width))
    declared = op.declare(spec)
    positions = height * width if transposed else declared.outputs[0].elements // filters
    formula = positions * filters * (channels // groups) * kernel[0] * kernel[1]
    assert declared.macs == counted(op, spec) == formula


@given(st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_formula_and_counting_agree_for_fc(inputs, features, bias):
    spec = TensorSpec((1, inputs), ("N", "C"))
    op = Linear(features, bias=bias)
    assert op.declare(spec).macs == counted(op, spec) == inputs * features


def test_nothing_is_counted_per_batch():
    one, many = TensorSpec.image((2, 4, 4)), TensorSpec.image((2, 4, 4), batch=3)
    assert Conv(3, kernel=3).declare(many).macs == Conv(3, kernel=3).declare(one).macs
