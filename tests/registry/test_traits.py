"""The traits of every op against its own statements: a wrong one fails, and so does a missing one.

A trait that an op declares holds in every generated case. A trait that it declares in none fails in at least one.
"""

import ast
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import striate
from op_cases import RUNNABLE, cases
from striate.checks import Config, check
from striate.diagnostics import OpError
from striate.engine.numpy_.reference import run
from striate.formats import parse
from striate.geometry import Window
from striate.op import Op, Trait, registry

each_word = pytest.mark.parametrize("word", RUNNABLE)


def numbers(case, seed):
    """Inputs of both signs, whatever a fixture asks for."""
    rng = np.random.default_rng(seed)
    return [5 * rng.standard_normal(spec.shape) for spec in case.declaration.inputs]


def outputs(case, inputs):
    with np.errstate(all="ignore"):
        return run(case.declaration, inputs, case.weights)


_now = (None, {})


def usual(case, seed=1):
    """Outputs for `numbers(case, seed)`, which several measures of one case ask for."""
    global _now
    if _now[0] is not case:
        _now = (case, {})
    made = _now[1]
    if seed not in made:
        made[seed] = outputs(case, numbers(case, seed))
    return made[seed]


def training(case):
    """The same op as it acts in training, its constant against division by zero made small; None where it cannot."""
    small = {"eps": 1e-12} if "eps" in {field.name for field in dataclasses.fields(case.op)} else {}
    op = dataclasses.replace(case.op, **small)
    try:
        declaration = op.declare_training(*case.declaration.inputs)
    except OpError:
        return None
    noise = {n.name: np.random.default_rng(3).integers(0, 2, n.shape) * 2.0 for n in declaration.noise}
    return case._replace(op=op, declaration=declaration, weights=case.weights | noise)


def alone(case):
    """Whether there is one input and one output, of the same axes and sizes."""
    return case.declaration.inputs == case.declaration.outputs


def differ(a, b):
    return ~((a == b) | (np.isnan(a) & np.isnan(b)))


def close(a, b, tolerance=1e-9):
    return np.allclose(a, b, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- one measure for each trait: holds, does not, or None
def linear(case):
    x, z = numbers(case, 1), numbers(case, 2)
    both, nothing = [a + b for a, b in zip(x, z)], [np.zeros_like(a) for a in x]
    four = (usual(case, 1), usual(case, 2), outputs(case, both), outputs(case, nothing))
    return all(close(a + b, c + d) for a, b, c, d in zip(*four))


def keeps_sign(case):
    return all((y >= 0).all() for y in outputs(case, [np.abs(x) for x in numbers(case, 1)]))


def not_negative(case):
    return all((y >= 0).all() for y in usual(case))


def keeps_positive(case):
    positive = [np.abs(x) for x in numbers(case, 1)]
    return alone(case) and close(outputs(case, positive)[0], positive[0])


def channelwise(case):
    if len(case.inputs) > 1 or len(case.declaration.outputs) > 1:
        return False
    (x,), (y,) = case.declaration.inputs, case.declaration.outputs
    if "C" not in y.axes or x.channels != y.channels:
        return False
    if x.channels == 1:
        return None
    (before,) = numbers(case, 1)
    for channel in range(x.channels):
        after = before.copy()
        after[(slice(None),) * x.axes.index("C") + (channel,)] += 1
        changed = differ(usual(case)[0], outputs(case, [after])[0])
        if np.delete(changed, channel, y.axes.index("C")).any():
            return False
    return True


def pointwise(case):
    """One number in, one number out."""
    if not alone(case):
        return False
    (before,) = numbers(case, 1)
    after = before.copy()
    after.flat[0] += 1
    changed = differ(usual(case)[0], outputs(case, [after])[0])
    return not changed.flat[1:].any()


def view(case):
    if len(case.inputs) > 1:
        return False
    (x,), found = numbers(case, 1), usual(case)
    return len(found) == 1 and found[0].size == x.size and close(found[0].ravel(), x.ravel())


def transparent(case):
    return alone(case) and view(case)


def weighted_sum(case):
    return case.declaration.macs > 0


def convolution(case):
    windows = case.declaration.windows.values()
    return case.declaration.macs > 0 and bool(windows) and all(isinstance(w, Window) for w in windows)


def normalization(case):
    """Another mean and another scale of its input make no difference, other numbers do."""
    case = training(case)
    if case is None:
        return None
    x, other = numbers(case, 1), numbers(case, 2)
    first = outputs(case, x)
    if all(close(a, b) for a, b in zip(first, outputs(case, other))):
        return None
    moved = outputs(case, [3 * one + 5 for one in x])
    return all(close(a, b, 1e-6) for a, b in zip(first, moved))


def whole_batch(case):
    case = training(case)
    if case is None:
        return None
    x = numbers(case, 1)
    for factor in (2, -3):
        changed = [np.concatenate([factor * one[:1] + 1, one[1:]]) for one in x]
        if any(not close(a[1], b[1]) for a, b in zip(outputs(case, x), outputs(case, changed))):
            return True
    return False


def random(case):
    declaration = case.op.declare_training(*case.declaration.inputs)
    return bool(declaration.noise)


def shares_out(y, x):
    """y >= 0 sums to 1 along an axis, along which log(y) - x is constant."""
    with np.errstate(all="ignore"):
        apart = np.log(y) - x
    return (y >= 0).all() and any(
        close(y.sum(k), 1) and close(apart, apart.mean(k, keepdims=True), 1e-6) for k in range(1, y.ndim)
    )


def distribution(case):
    x = numbers(case, 1)
    return alone(case) and shares_out(usual(case)[0], x[0])


def log_distribution(case):
    x = numbers(case, 1)
    return alone(case) and shares_out(np.exp(usual(case)[0]), x[0])


def logistic(case):
    x = numbers(case, 1)
    if not alone(case):
        return False
    (y,) = usual(case)
    with np.errstate(all="ignore"):
        return close(np.log(y / (1 - y)), x[0], 1e-6)


MEASURES = {
    Trait.LINEAR: linear,
    Trait.KEEPS_SIGN: keeps_sign,
    Trait.NOT_NEGATIVE: not_negative,
    Trait.KEEPS_POSITIVE: keeps_positive,
    Trait.CHANNELWISE: channelwise,
    Trait.VIEW: view,
    Trait.TRANSPARENT: transparent,
    Trait.WEIGHTED_SUM: weighted_sum,
    Trait.CONVOLUTION: convolution,
    Trait.NORMALIZATION: normalization,
    Trait.WHOLE_BATCH: whole_batch,
    Trait.RANDOM: random,
    Trait.DISTRIBUTION: distribution,
    Trait.LOG_DISTRIBUTION: log_distribution,
    Trait.LOGISTIC: logistic,
}


def traits_declared_wrong(case):
    return [t.name for t in MEASURES if t in case.op.traits and measured(t, case) is False]


def measured(trait, case):
    holds = MEASURES[trait](case)
    return None if holds is None else bool(holds)


def fits(cls, examples=15):
    """What is wrong about the traits of an op: declared and refuted, or never declared and never refuted."""
    faults, declared, refuted, held = set(), Trait.NONE, set(), set()
    alike = {True: [], False: []}  # linear or not -> pointwise or not

    @settings(max_examples=examples)
    @given(cases(cls.word))
    def look(case):
        nonlocal declared
        declared |= case.op.traits
        faults.update(f"{case.op} is not {name}" for name in traits_declared_wrong(case))
        for trait in MEASURES:
            if trait not in case.op.traits and trait not in refuted:
                holds = measured(trait, case)
                (refuted if holds is False else held).update([trait] if holds is not None else [])
        if case.declaration.inputs[0].elements > 1:
            alike[linear(case)].append(pointwise(case))

    look()
    faults |= {f"{cls.word} is {t.name}" for t in held - refuted if t not in declared}
    kinds = [t for t in (Trait.ACTIVATION, Trait.FUNCTION) if t in declared]
    nonlinear = bool(alike[False]) and all(alike[True] + alike[False])
    if len(kinds) != nonlinear:
        faults.add(f"{cls.word} is {'' if nonlinear else 'not '}nonlinear number by number, and says {kinds}")
    return sorted(faults)


@each_word
def test_traits_are_what_the_statements_say(word):
    assert fits(registry()[word]) == []


def test_every_trait_is_measured():
    assert {*MEASURES, Trait.ACTIVATION, Trait.FUNCTION} == {*Trait.__members__.values()} - {Trait.NONE}


@pytest.mark.parametrize(
    ("word", "traits"),
    [
        ("softsign", Trait.ACTIVATION),
        ("softsign", Trait.KEEPS_SIGN),
        ("softsign", Trait.ACTIVATION | Trait.NOT_NEGATIVE),
        ("bn", Trait.LINEAR | Trait.CHANNELWISE | Trait.NORMALIZATION),
        ("flatten", Trait.LINEAR | Trait.KEEPS_SIGN),
        ("conv", Trait.WEIGHTED_SUM),
        ("dropout", Trait.TRANSPARENT),
        ("fc", Trait.CONVOLUTION),
    ],
)
def test_a_wrong_or_missing_trait_is_noticed(word, traits, monkeypatch):
    cls = registry()[word]
    monkeypatch.setattr(cls, "traits", traits)
    assert fits(cls)


# ---------------------------------------------------------------- what normalizations average over, what does nothing
@each_word
def test_what_a_mean_runs_over(word):
    @settings(max_examples=15)
    @given(cases(word))
    def holds(case):
        (x, *_) = case.declaration.inputs
        over = case.op.averaged(x)
        assert bool(Trait.NORMALIZATION in case.op.traits) or not over
        case = training(case) if over else None
        if case is None or math.prod(over.values()) == 1:
            return
        assert math.prod(case.declaration.statements[0].domain.reduced.values()) == math.prod(over.values())
        (before,) = numbers(case, 1)
        steps = np.arange(x.channels).reshape([-1 if axis == "C" else 1 for axis in x.axes])
        moved = [outputs(case, [before + shift * steps])[0] for shift in (30, -30)]
        same = all(close(outputs(case, [before])[0], one, 1e-6) for one in moved)
        assert same == (over.get("C", 1) == 1) or x.channels == 1

    holds()


@each_word
def test_what_does_nothing_says_why(word):
    """And an op that can say so does, whenever it hands its input on."""
    cls = registry()[word]

    @settings(max_examples=15)
    @given(cases(word))
    def holds(case):
        passes = transparent(case)
        why = case.op.idle(case.declaration)
        assert passes or not why, (case.op, why)
        if cls.idle is not Op.idle and Trait.RANDOM not in case.op.traits and passes:
            assert why or case.declaration.inputs[0].elements < 4, case.op

    holds()


# ---------------------------------------------------------------- rooms ask the op
def codes(text):
    return [finding.code for finding in check(parse(text), Config(select=("N",))).findings]


def traits_of(word):
    """Traits that do not depend on fields."""
    traits = registry()[word].traits
    return traits if isinstance(traits, Trait) else Trait.NONE


ACTIVATIONS = [word for word in RUNNABLE if Trait.ACTIVATION in traits_of(word)]


@pytest.mark.parametrize("word", ACTIVATIONS)
def test_rules_know_every_activation(word):
    found = codes(f"8x8x3 -> flatten -> fc 10 -> softmax -> {word}")
    assert ("N003" if Trait.KEEPS_POSITIVE in traits_of(word) else "N004") in found
    if Trait.KEEPS_SIGN in traits_of(word):
        assert "N003" in codes(f"8x8x3 -> sigmoid -> {word} -> relu")


def test_softsign():
    assert codes("8x8x3 -> flatten -> fc 10 -> softmax -> softsign") == ["N004"]
    assert codes("8x8x3 -> relu -> softsign -> relu") == ["N003"]


ROOMS = (
    "checks", "analysis", "views", "train", "cli", "model.py",
    "engine/training", "engine/torch/training.py", "engine/torch/sharing.py",
)  # fmt: skip


def asked_by_word(source):
    """Lines that compare the word of a node's op, or look for a field of it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            asked = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "word"]
            if any(isinstance(n.value, ast.Attribute | ast.Name) and "op" in ast.unparse(n.value).split(".")[-1:]
                   for n in asked):  # fmt: skip
                yield node.lineno, ast.unparse(node)
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "hasattr"
            and ".op" in ast.unparse(node.args[0])
        ):
            yield node.lineno, ast.unparse(node)


def test_rooms_above_the_ops_compare_no_words():
    root = Path(striate.__file__).parent
    files = [
        p for room in ROOMS for p in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    ]
    assert len(files) > 60
    found = [(p.name, *at) for p in files for at in asked_by_word(p.read_text("utf-8"))]
    assert [text for *_, text in found] == ["node.op.word in words"]  # Context.of, for rules about one op


def test_the_scan_sees_a_compared_word():
    assert len([*asked_by_word('a = node.op.word in ("conv", "fc")\nb = hasattr(node.op, "kernel")\n')]) == 2
    assert [*asked_by_word("same = after.op.word + node.name")] == []


@pytest.mark.torch
def test_ops_that_parts_of_a_batch_share_are_those_that_say_so():
    from striate.engine.torch.sharing import SHARED

    declared = {word for word in RUNNABLE for t in (Trait.WHOLE_BATCH, Trait.RANDOM) if t in traits_of(word)}
    assert declared == {*SHARED}
