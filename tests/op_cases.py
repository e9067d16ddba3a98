"""Cases of every op: samples, sums for paper, errors and oracles from tests/fixtures/ops, and generated ones.

A fixture says what only a person can say; the rest is drawn from the op's own declaration::

    [[sample]]   fields, inputs, outputs, params, macs: shapes of one image, (C, H, W)
    [[paper]]    fields, inputs, weights, outputs: numbers, or formulas as texts ("1/6", "log(3)")
    [[error]]    fields, inputs, and the code and a piece of the message and of the fix
    [generate]   rank, size [from, to], channels; others: how further inputs differ; positive: no number below 0;
                 any_order: the oracle takes the axes as they stand, else it sees the channels second
    [generate.fields]   what a field is drawn from, where any value of its kind would seldom suit
    [oracle]     numpy, torch, onnx: expressions of x (or xs), op, w (weights), axes and c, the channels' axis

Generated cases are batches of two, their axes in any order; an op that refuses an order is drawn again.
"""

import dataclasses
import functools
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from network_strategies import values
from striate.diagnostics import StriateError
from striate.network import Node, declare
from striate.op import Declaration, Op, registry
from striate.op.fields import tuples
from striate.tensor import SPATIAL, TensorSpec

FOLDER = Path(__file__).parent / "fixtures" / "ops"
CLASSES = sorted(
    {cls for cls in registry().values() if cls.__module__.startswith("striate.ops.")}, key=lambda c: c.word
)
WORDS = [cls.word for cls in CLASSES]


@functools.cache
def fixture(word: str) -> dict[str, Any]:
    """The fixture of an op; empty tables where it says nothing."""
    path = FOLDER / f"{word}.toml"
    found = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return {"sample": [], "paper": [], "error": [], "generate": {}, "oracle": {}} | found


def entries(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """(word, entry) for every [[sample]], [[paper]] or [[error]] of all fixtures."""
    return [(word, entry) for word in WORDS for entry in fixture(word)[kind]]


def op_of(word: str, entry: dict[str, Any]) -> Op:
    return Op.from_dict({"op": word, **entry.get("fields", {})})


def spec_of(shape: list[int], axes: str = "", batch: int = 1) -> TensorSpec:
    """Spec of one image's shape; `axes` names them where they are not in the usual order."""
    usual = TensorSpec.image(tuple(shape), batch)
    return dataclasses.replace(usual, axes=("N", *axes)) if axes else usual


def declared(op: Op, specs: list[TensorSpec]) -> Declaration:
    """The declaration as a network asks for it: with the context of a node in its errors."""
    names = tuple(f"x{port}" for port in range(len(specs)))
    return declare(Node(f"{op.word}1", op, names), specs)


class Case(NamedTuple):
    """One op with inputs and weights that suit it."""

    op: Op
    declaration: Declaration
    inputs: list[np.ndarray]
    weights: dict[str, np.ndarray]


def _values(field: dataclasses.Field, rank: int, ranges: dict[str, Any]) -> st.SearchStrategy:
    """What a field is drawn from: a list of values ("default" is its own), whole numbers {from, to}, or its kind."""
    match ranges.get(field.name):
        case None:
            return values(field, rank)
        case {"from": low, "to": high}:
            one = st.integers(low, high)
            return one | st.tuples(*[one] * rank) if field.metadata["kind"] == "sizes" else one
        case chosen:
            return st.sampled_from(
                [field.default if value == "default" else tuples(value) for value in chosen]
            )


def _shape(draw: st.DrawFn, ranges: dict[str, Any]) -> list[int]:
    rank = draw(st.sampled_from(ranges.get("rank", [1, 2, 2, 3])))
    low, high = ranges.get("size", [1, 8])
    sizes = st.integers(low, high if rank < 3 else max(low, high - 3))
    return [
        draw(st.sampled_from(ranges.get("channels", [1, 2, 3, 4, 6]))),
        *(draw(sizes) for _ in range(rank)),
    ]


def _other(draw: st.DrawFn, first: list[int], axes: str, how: str) -> list[int]:
    """The shape of a further input: axes of size 1 ("broadcast"), "smaller" ones, or one axis that differs ("C")."""
    match how:
        case "broadcast":
            return [draw(st.sampled_from([1, size])) for size in first]
        case "smaller":
            return [draw(st.integers(1, size)) for size in first]
        case "product":  # of matrices
            return [
                *(draw(st.sampled_from([1, size])) for size in first[:-2]),
                first[-1],
                draw(st.integers(1, 4)),
            ]
    return [
        draw(st.integers(1, size + 2)) if axis == how else size
        for axis, size in zip(axes, first, strict=True)
    ]


def _ordered(draw: st.DrawFn, shape: list[int]) -> tuple[list[int], str]:
    """A shape (C, …) with its axes in some order, the usual one two times of three; and their letters."""
    usual = "C" + "".join(SPATIAL[len(shape) - 1])
    if len(usual) == 1 or draw(st.integers(0, 2)):
        return shape, usual
    order = draw(st.permutations(range(len(usual))))
    return [shape[k] for k in order], "".join(usual[k] for k in order)


@st.composite
def combinations(
    draw: st.DrawFn, word: str, ranges: dict[str, Any], batch: int = 1
) -> tuple[Op, list[TensorSpec]]:
    """An op of a word and what it reads; combinations that do not suit each other are drawn again."""
    cls = registry()[word]
    shape, axes = _ordered(draw, _shape(draw, ranges))
    name = draw(st.sampled_from([word, *cls.aliases]))
    presets = cls.aliases.get(name, {})
    fields = {
        field.name: draw(_values(field, len(shape) - 1, ranges.get("fields", {})))
        for field in dataclasses.fields(cls)
        if field.name not in presets
    }
    count = cls.arity or draw(st.integers(2, 3))
    shapes = [shape, *(_other(draw, shape, axes, ranges["others"]) for _ in range(count - 1))]
    try:
        op = cls(**(presets | fields))
        specs = [spec_of(s, axes, batch) for s in shapes]
        op.declare(*specs)
    except StriateError as error:
        assert error.fix, error
        reject()
    return op, specs


@st.composite
def cases(draw: st.DrawFn, word: str) -> Case:
    """An op of a word with fields, inputs and weights."""
    ranges = fixture(word)["generate"]
    op, specs = draw(combinations(word, ranges, batch=2))
    declaration = op.declare(*specs)
    case = Case(op, declaration, *numbers(declaration, draw(st.integers(0, 10**6))))
    return case._replace(inputs=[np.abs(x) + 0.1 for x in case.inputs]) if ranges.get("positive") else case


def numbers(declaration: Declaration, seed: int) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Random inputs and weights of a declaration; variances are positive."""
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(spec.shape) for spec in declaration.inputs]
    weights = {p.name: rng.standard_normal(p.shape) for p in declaration.parameters}
    for parameter in declaration.parameters:
        if parameter.kind == "variance":
            weights[parameter.name] = np.abs(weights[parameter.name]) + 0.1
    return inputs, weights


def runs(word: str) -> bool:
    """Whether an op declares what it computes."""
    samples = fixture(word)["sample"]
    if not samples:
        return True
    entry = samples[0]
    return bool(
        op_of(word, entry)
        .declare(*(spec_of(shape, entry.get("axes", "")) for shape in entry["inputs"]))
        .statements
    )


RUNNABLE = [word for word in WORDS if runs(word)]
