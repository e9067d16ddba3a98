"""The generic loop nest runs every op of the house as its statements say, in plain and in blocked memory."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from engine.kernels.support import border, filled, guarded, plain, step, targets, view
from exhaustive import EXHAUSTIVE
from op_cases import CLASSES, RUNNABLE, cases, declared, entries, fixture, numbers, op_of, spec_of
from striate.diagnostics import OpError
from striate.engine.codegen import llvm
from striate.engine.layout import Layout
from striate.engine.numpy_ import reference
from striate.engine.numpy_.vectorized import forward
from striate.engine.plan.nest import Axes, Nests, nests
from striate.engine.target import AVX2, TARGETS, Target
from striate.geometry import Adaptive, AxisMap, Linear, Nearest, Shift, TransposedWindow, Window
from striate.op import Declaration
from striate.ops import BatchNorm, Conv, MaxPool
from striate.statement import Domain, Inside, Statement, Tap, index, load
from striate.tensor import Parameter, TensorSpec


def placed(values: np.ndarray, place) -> np.ndarray:
    """Guarded memory that holds values in a layout or as a plain array."""
    if isinstance(place, Layout):
        return filled(
            place,
            values.reshape(place.images, place.channels, place.height, place.width),
            np.random.default_rng(0),
            np.nan,
        )
    memory = guarded(4 * values.size, 4)
    memory.view(np.float32)[:] = values.ravel()
    return memory


def executed(plan: Nests, tensors: dict[str, np.ndarray], target: Target, cuts: int = 3) -> None:
    """Run all steps, each in a few pieces, the last piece first."""
    for nest in plan.steps:
        record = nest.arguments({k: v.ctypes.data for k, v in tensors.items()})
        ends = sorted({0, nest.rows, *(nest.rows * k // cuts for k in range(cuts))})
        for start, stop in reversed(list(itertools.pairwise(ends))):
            step(target, nest.kernel, record, (start, stop), (0, 1))


def outcome(
    declaration: Declaration, known: dict[str, np.ndarray], layouts, target: Target
) -> dict[str, np.ndarray]:
    """Every target of the declaration, computed by nests."""
    plan = nests(declaration, layouts, target)
    known = {name: np.asarray(value, np.float32) for name, value in known.items()}
    memory = {name: placed(value, layouts.get(name, value.shape)) for name, value in known.items()}
    shapes = {f"y{k}": spec.shape for k, spec in enumerate(declaration.outputs)} | dict(plan.shapes)
    edges = {}
    for name, shape in shapes.items():
        memory[name] = placed(np.full(shape, np.nan), layouts.get(name, shape))
        if isinstance(layout := layouts.get(name), Layout):
            view(layout, memory[name])[:] = np.nan
            edges[name] = border(layout, memory[name])
    executed(plan, memory, target)
    found = {}
    for name, shape in shapes.items():
        layout = layouts.get(name)
        if isinstance(layout, Layout):
            np.testing.assert_array_equal(border(layout, memory[name]), edges[name])
            lanes = np.moveaxis(view(layout, memory[name]), 4, 2).reshape(
                layout.images, -1, layout.height, layout.width
            )
            assert not lanes[:, layout.channels :].any(), "what fills up a block is not 0"
            found[name] = plain(layout, memory[name]).reshape(shape)
        else:
            found[name] = memory[name].view(np.float32).reshape(shape)
    return found


def agrees(declaration: Declaration, known: dict[str, np.ndarray], layouts, target: Target) -> None:
    """The nests' outputs against whole-array numpy in float64 on the same float32 inputs."""
    known = {name: np.asarray(value, np.float32).astype(np.float64) for name, value in known.items()}
    inputs = [known[f"x{k}"] for k in range(len(declaration.inputs))]
    with np.errstate(all="ignore"):
        wanted = forward(declaration, inputs, known).tensors
    found = outcome(declaration, known, layouts, target)
    for name, array in found.items():
        size = np.abs(wanted[name][np.isfinite(wanted[name])]).max(initial=1)
        np.testing.assert_allclose(array, wanted[name], rtol=2e-5, atol=2e-6 * size, err_msg=name)


def blocked(draw, declaration: Declaration, target: Target) -> dict[str, Layout]:
    """Blocked layouts with borders of any size for the four-dimensional inputs and outputs."""
    found = {}
    named = {f"x{k}": s for k, s in enumerate(declaration.inputs)} | {
        f"y{k}": s for k, s in enumerate(declaration.outputs)
    }
    for name, spec in named.items():
        if len(spec.shape) == 4 and draw(st.booleans()):
            lanes = draw(st.sampled_from([target.lanes, target.lanes, 1, min(spec.shape[1], 4)]))
            pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
            found[name] = Layout(*spec.shape, lanes).with_border(*pads)
    return found


def values(declaration: Declaration, seed: int) -> dict[str, np.ndarray]:
    inputs, weights = numbers(declaration, seed)
    rng = np.random.default_rng(seed)
    noise = {
        n.name: rng.choice([0.0, 1 / (1 - n.rate) if n.rate < 1 else 0.0], n.shape) for n in declaration.noise
    }
    return {f"x{k}": x for k, x in enumerate(inputs)} | weights | noise


@pytest.mark.parametrize("target", targets()[: 2 if EXHAUSTIVE else 1], ids=lambda t: t.name)
@pytest.mark.parametrize("word", RUNNABLE)
@settings(max_examples=5)
@given(data=st.data())
def test_generated_cases(word, target, data):
    case = data.draw(cases(word))
    known = {f"x{k}": x for k, x in enumerate(case.inputs)} | case.weights
    agrees(case.declaration, known, {}, target)
    agrees(case.declaration, known, blocked(data.draw, case.declaration, target), target)


@pytest.mark.parametrize("target", targets()[:2], ids=lambda t: t.name)
@pytest.mark.parametrize("word", [cls.word for cls in CLASSES if "declare_training" in vars(cls)])
@settings(max_examples=5)
@given(data=st.data())
def test_training_declarations(word, target, data):
    case = data.draw(cases(word))
    try:
        declaration = case.op.declare_training(*case.declaration.inputs)
    except OpError:
        reject()
    for layouts in ({}, blocked(data.draw, declaration, target)):
        agrees(declaration, values(declaration, 0), layouts, target)


def sample(word: str, entry: dict) -> Declaration:
    return declared(op_of(word, entry), [spec_of(s, entry.get("axes", "")) for s in entry["inputs"]])


SAMPLES = [
    (word, entry)
    for word, entry in entries("sample")
    if word in RUNNABLE and sum(s.domain.volume for s in sample(word, entry).statements) <= 3_000_000
]


@pytest.mark.parametrize(("word", "entry"), SAMPLES, ids=lambda v: v if isinstance(v, str) else "")
def test_samples(word, entry):
    declaration, target = sample(word, entry), targets()[0]
    for lanes in (0, target.lanes):
        layouts = {
            f"{letter}{k}": Layout(*spec.shape, lanes)
            for letter, specs in (("x", declaration.inputs), ("y", declaration.outputs))
            for k, spec in enumerate(specs)
            if lanes and len(spec.shape) == 4
        }
        agrees(declaration, values(declaration, 0), layouts, target)


# ---------------------------------------------------------------- what no op of the house does


def alone(statement: Statement, shape: tuple[int, ...], **sources: tuple[int, ...]) -> Declaration:
    """A declaration of one statement that makes y0 of a shape."""
    parameters = tuple(Parameter(name, size) for name, size in sources.items())
    spec = TensorSpec((1,), ("N",))
    return Declaration(
        Conv(1), (spec,), (TensorSpec(shape, ("N", "C", "H", "W")[: len(shape)]),), parameters, (statement,)
    )


def landing(m: AxisMap) -> np.ndarray:
    """1 at (input, output, tap) where a tap lands."""
    found = np.zeros((m.input, m.output, m.taps))
    for i, u in np.ndindex(m.output, m.taps):
        if (x := m.position(i, u)) is not None:
            found[x, i, u] = 1
    return found


maps = st.one_of(
    st.builds(
        Window, st.integers(4, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 3),
        st.integers(0, 3), st.booleans(), st.sampled_from(["zeros", "circular", "reflect", "replicate", "symmetric"]),
    ),
    st.builds(Shift, st.integers(2, 9), st.integers(-1, 4), st.integers(-1, 4), st.integers(1, 2)),
    st.builds(Adaptive, st.integers(2, 9), st.integers(1, 9)),
    st.builds(TransposedWindow, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
    st.builds(Linear, st.integers(1, 6), st.integers(1, 9)),
    st.builds(Nearest, st.integers(1, 6), st.integers(1, 9)),
).filter(lambda m: m.output > 0)  # fmt: skip


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
@given(
    first=maps,
    second=maps,
    channels=st.integers(1, 20),
    reduce=st.sampled_from(["sum", "max"]),
    data=st.data(),
)
def test_any_map_reads(target, first, second, channels, reduce, data):
    """y[n,c,i,j] = start ⊕ over u, v of x[n,c,map(i,u),map(j,v)] · w[u,v,c]"""
    taps = Tap(first, "i", "u"), Tap(second, "j", "v")
    free = {"n": 2, "c": channels, "i": first.output, "j": second.output}
    value = load("x", "n", "c", *taps, outside=-0.5) * load("w", "u", "v", "c") + Inside(taps[0]) * 0.25
    start = data.draw(st.sampled_from([None, load("b", "c")])) if reduce == "sum" else None
    statement = Statement(
        "y0", index(*free), value, Domain(free, {"u": first.taps, "v": second.taps}), reduce, start
    )
    shape = (2, channels, first.input, second.input)
    declaration = alone(
        statement, tuple(free.values()), x=shape, w=(first.taps, second.taps, channels), b=(channels,)
    )
    known = {"x": shape, "y0": tuple(free.values())}
    check(declaration, known, lambda known: reference.run(declaration, [np.zeros(1)], known)[0], target, data)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
@settings(max_examples=10)
@given(first=maps, second=maps, channels=st.integers(1, 20), data=st.data())
def test_any_map_scatters(target, first, second, channels, data):
    """y[n,c,map(i,u),map(j,v)] += x[n,c,i,j] · w[u,v,c]: what the adjoint of a reading statement is."""
    taps = Tap(first, "i", "u"), Tap(second, "j", "v")
    free = {"n": 2, "c": channels, "i": first.output, "j": second.output}
    value = load("x", "n", "c", "i", "j") * load("w", "u", "v", "c")
    domain = Domain(free, {"u": first.taps, "v": second.taps})
    shape = (2, channels, first.input, second.input)
    declaration = alone(
        Statement("y0", (*index("n", "c"), *taps), value, domain, "sum"),
        shape, x=tuple(free.values()), w=(first.taps, second.taps, channels),
    )  # fmt: skip

    def wanted(known):
        rows, columns = landing(first), landing(second)
        return np.einsum("ncij,uvc,hiu,wjv->nchw", known["x"], known["w"], rows, columns, optimize=True)

    check(declaration, {"x": tuple(free.values()), "y0": shape}, wanted, target, data)


def check(declaration: Declaration, shapes: dict[str, tuple[int, ...]], wanted, target: Target, data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    known = {p.name: rng.standard_normal(p.shape).astype(np.float32) for p in declaration.parameters}
    layouts = {}
    for name, shape in shapes.items():
        lanes = data.draw(st.sampled_from([0, 1, target.lanes, 3]))
        if lanes:
            layouts[name] = Layout(*shape, lanes).with_border(*data.draw(st.tuples(*[st.integers(0, 2)] * 4)))
    found = outcome(declaration, known | {"x0": np.zeros(1)}, layouts, target)["y0"]
    np.testing.assert_allclose(found, wanted(known), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_long_sums_are_exact_to_the_last_place(target):
    """A mean of 130 000 numbers that are all near 1: one float32 total would be off by 1e-3."""
    rng = np.random.default_rng(0)
    x = (1 + rng.random((1, 2, 255, 255)) / 8).astype(np.float32)
    declaration = BatchNorm().declare_training(TensorSpec(x.shape, ("N", "C", "H", "W")))
    known = {"x0": x} | {p.name: np.ones(p.shape) for p in declaration.parameters}
    for layouts in ({}, {"x0": Layout(*x.shape, target.lanes, 1, 1, 1, 1)}):
        found = outcome(declaration, known, layouts, target)
        exact = x.astype(np.float64)
        np.testing.assert_allclose(found["t0"], exact.mean((0, 2, 3)), rtol=2e-7)
        np.testing.assert_allclose(found["t1"], exact.var((0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_axes_in_any_order(target):
    """(N, H, W, C) with blocked channels: the last block is filled up with zeros."""
    lanes, (n, h, w, c) = target.lanes, (2, 3, 4, target.lanes + 3)
    x = np.random.default_rng(0).standard_normal((n, h, w, c)).astype(np.float32)
    statement = Statement("y0", index(*"nhwc"), load("x", *"nhwc") * 2.0, Domain(dict(zip("nhwc", x.shape))))
    layout = Layout(n, c, h, w, lanes)
    axes = Axes(
        ((n, 0, 0, layout.image), (h, 0, 0, layout.row), (w, 0, 0, layout.pixel), (c, lanes, layout.block, 4))
    )
    memory = {"x": placed(x, x.shape), "y0": filled(layout, None, np.random.default_rng(0), np.nan)}
    executed(nests(alone(statement, x.shape, x=x.shape), {"y0": axes}, target), memory, target)
    found = np.moveaxis(view(layout, memory["y0"]), 4, 2).reshape(n, -1, h, w)
    np.testing.assert_array_equal(np.moveaxis(found[:, :c], 1, 3), 2 * x)
    assert not found[:, c:].any()


@pytest.mark.parametrize("target", targets(), ids=lambda t: t.name)
def test_what_is_no_number_travels(target):
    x = np.array([1, np.nan, 3, np.inf, -np.inf, 2, 0, -1], np.float32).reshape(1, 2, 1, 4)
    declaration = MaxPool((1, 2)).declare(TensorSpec(x.shape, ("N", "C", "H", "W")))
    found = outcome(declaration, {"x0": x}, {}, target)["y0"]
    np.testing.assert_array_equal(found.ravel(), [np.nan, np.inf, 2, 0])


@pytest.mark.parametrize("word", RUNNABLE)
def test_a_batch_of_none_has_no_rows(word):
    entry = fixture(word)["sample"][0]
    declaration = op_of(word, entry).declare(*(spec_of(s, entry.get("axes", ""), 0) for s in entry["inputs"]))
    for nest in nests(declaration, {}, targets()[0]).steps:
        counts = nest.tensors == ("t1",) and len(nest.tables) > 0  # of taps, the same for every image
        assert nest.rows == 0 or counts


def test_a_kernel_serves_every_batch():
    """Only the number of rows depends on it."""
    plans = [
        nests(MaxPool(3, 2).declare(TensorSpec((n, 16, 9, 9), ("N", "C", "H", "W"))), {}, AVX2)
        for n in (2, 5)
    ]
    (two,), (five,) = (plan.steps for plan in plans)
    assert two.kernel == five.kernel
    assert two.rows * 5 == five.rows * 2


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("word", ["softmax", "tconv", "lrn", "upsample", "gelu"])
def test_object_code_needs_nothing_else(name, word):
    """No call of a mathematical library, on any target."""
    target = TARGETS[name]
    declaration = sample(word, fixture(word)["sample"][0])
    for nest in nests(declaration, {}, target).steps:
        text = llvm.assembly(target, nest.kernel.text(target))
        assert not re.findall(r"^\s+(?:callq?|bl)\s.*", text, re.M)
