"""What a network is run on: batches by name or in order, and plain words where they do not suit."""

import re

import numpy as np
import pytest

import striate as st
from exhaustive import EXHAUSTIVE
from generators import inputs as generated
from striate.diagnostics import FormatError, GraphError, OpError, UsageError
from striate.network import Builder
from striate.ops import Add, Concat, Flatten, Linear, Multiply, Reshape

ENGINES = ("numpy", "auto")


def two(**shapes):
    build = Builder("two", input=shapes or {"left": (1, 2, 2), "right": (4,)})
    first, *rest = (
        build(Flatten(), ref) if len(ref.spec.shape) > 2 else ref for ref in build.inputs.values()
    )
    return build.build(build(Linear(1, bias=False), build(Concat(), first, *rest), name="fc"))


def weighted(engine="numpy"):
    """2·(sum of left) + 3·(sum of right), on paper."""
    return st.Model(
        two(), weights={"fc.weight": np.array([[2.0] * 4 + [3.0] * 4], np.float32)}, engine=engine
    )


LEFT = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
RIGHT = np.array([[1, 1, 1, 1], [0, 0, 0, 10]], np.float32)
WANTED = [[2 * (0 + 1 + 2 + 3) + 3 * 4], [2 * (4 + 5 + 6 + 7) + 3 * 10]]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_way_to_give_two_batches(engine):
    model = weighted(engine)
    program = model.compile(batch=2)
    for run in (model.predict, program):
        for made in (
            run((LEFT, RIGHT)),
            run([LEFT, RIGHT]),
            run(LEFT, RIGHT),
            run({"left": LEFT, "right": RIGHT}),
            run({"right": RIGHT, "left": LEFT}),
        ):
            assert made.tolist() == WANTED
    assert model.predict(LEFT, RIGHT, batch=1).tolist() == WANTED
    assert model.predict(LEFT[::-1], RIGHT[::-1]).tolist() == WANTED[::-1]
    assert model.predict(LEFT[:0], RIGHT[:0]).shape == (0, 1)
    assert model.predict(LEFT.astype(int), RIGHT.astype(bool)).tolist()[0] == WANTED[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_float64_batch_keeps_all_batches_exact(engine):
    made = weighted(engine).predict(LEFT.astype(np.float64), RIGHT)
    assert made.dtype == np.float64 and made.tolist() == WANTED


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [(3, 4, 4), (3, 40, 40)], ids=["staged", "where they lie"])
def test_one_array_may_be_two_inputs_and_neither_is_changed(engine, size):
    build = Builder("sum", input={"a": size, "b": size})
    a, b = build.inputs.values()
    model = st.Model(build.build(build(Add(), a, b), build(Multiply(), b, b)), engine=engine)
    x = np.random.default_rng(0).standard_normal((3, *size)).astype(np.float32)
    before = x.copy()
    for view in (x, np.ascontiguousarray(x.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)):
        total, square = model.predict(view, view)
        assert np.array_equal(total, view + view) and np.allclose(square, view * view)
    y = x[::-1]
    total, _ = model.predict(a := x, y)
    assert np.array_equal(total, a + y) and np.array_equal(x, before)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        (LEFT, UsageError, "two takes 2 inputs (got one array)"),
        ((LEFT,), UsageError, "two takes 2 inputs (got one array)"),
        ((LEFT, RIGHT, RIGHT), UsageError, "two takes 2 inputs (got 3 arrays)"),
        ({"left": LEFT}, UsageError, "right is missing"),
        ({}, UsageError, "left is missing"),
        ({"left": LEFT, "rihgt": RIGHT}, UsageError, "write 'right'"),
        ({"left": LEFT, "right": RIGHT, "other": RIGHT}, UsageError, "no input 'other'"),
        ((LEFT, RIGHT[:1]), OpError, "left has 2 and right has 1"),
        ((RIGHT, LEFT), OpError, "left of two takes batches of shape (N, 1, 2, 2) (got (2, 4))"),
        ((LEFT, RIGHT[0]), OpError, "add the batch axis"),
        ((LEFT[:, :, :1], RIGHT), OpError, "net.with_input({'left': …})"),
        ((LEFT, RIGHT[:, :2]), OpError, "give rows of 4 numbers"),
        ((LEFT, np.array(["a"] * 2)), FormatError, "is not numeric"),
        ((LEFT, 3.0), OpError, "right of two takes batches"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ENGINES)
def test_batches_that_do_not_suit_are_refused_with_the_fix(given, kind, said, engine):
    model = weighted(engine)
    for run in (model.predict, model.compile()):
        with pytest.raises(kind) as caught:
            run(given)
        assert said in str(caught.value) and caught.value.fix
    with pytest.raises(kind):
        model.engine.training(model.net, model.weights).forward(given, np.random.default_rng(0))


def test_weights_of_another_shape_are_refused_as_for_one_input():
    with pytest.raises(FormatError, match="has shape") as caught:
        st.Model(two(), weights={"fc.weight": np.zeros((1, 9), np.float32)})
    assert caught.value.why == "this is its shape in two with input 2x2x1 and 4"


def test_one_input_by_name_and_in_a_tuple():
    model = st.Model(st.parse("4x4x2 -> conv 3x3 3 -> flatten -> fc 2"))
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32)
    wanted = model.predict(x)
    for made in (model.predict((x,)), model.predict({"input": x}), model.compile()({"input": x})):
        assert np.array_equal(made, wanted)
    assert np.array_equal(model.predict(list(x)), wanted)
    assert np.array_equal(model.predict(tuple(x)), wanted)
    with pytest.raises(UsageError, match="takes 1 input"):
        model.predict(x, x)


def test_a_gate_of_numbers_per_channel():
    build = Builder("gate", input={"image": (2, 3, 3), "gate": (2,)})
    gate = build(Reshape((2, 1, 1)), build.inputs["gate"])
    model = st.Model(build.build(build(Multiply(), build.inputs["image"], gate)))
    x, g = np.ones((4, 2, 3, 3), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
    assert np.array_equal(model.predict(x, g)[:, :, 1, 1], g)


def test_a_builder_of_several_inputs():
    build = Builder("two", input={"left": (3, 8, 8), "right": (4,)})
    assert list(build.inputs) == ["left", "right"]
    assert build.inputs["left"].spec.shape == (1, 3, 8, 8)
    with pytest.raises(GraphError, match="2 inputs") as caught:
        _ = build.input
    assert caught.value.fix == "name one of them: build.inputs['left']"
    assert Builder("one", input={"x": (3, 8, 8)}).input.name == "x"
    assert list(Builder("one").inputs) == ["input"]
    for wrong in ({}, {"": (3, 8, 8)}, {1: (3, 8, 8)}):
        with pytest.raises(GraphError):
            Builder("none", input=wrong)
    with pytest.raises(GraphError, match="two nodes"):
        build(Linear(2), build.inputs["right"], name="left")


def test_other_sizes_by_name():
    net = two()
    assert net.with_input({"left": (2, 3, 3)}).inputs["left"].shape == (1, 2, 3, 3)
    assert net.with_input({"left": (2, 3, 3)}).inputs["right"] == net.inputs["right"]
    with pytest.raises(GraphError, match="no input 'rigth'") as caught:
        net.with_input({"rigth": (4,)})
    assert caught.value.fix == "write 'right'"
    with pytest.raises(GraphError, match="2 inputs"):
        net.with_input((3, 4, 4))


@pytest.mark.parametrize("seed", range(2, 300 if EXHAUSTIVE else 8))
def test_engines_files_and_exporters_agree(seed):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch")
    assert generated.trial(seed) is None


@pytest.mark.parametrize("seed", [121, 164])
def test_a_gradient_that_lies_in_another_has_no_maker(seed):
    """A clamp after a concatenation, in front of nothing that learns: what arrives is a part of what the sum got."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch")
    assert generated.trial(seed) is None


WRONG = {  # network's input -> shapes that a person gives instead
    (3, 32, 24): [(3, 32, 24), (32, 24, 3), (5, 32, 24, 3), (2304,), (5, 2304), (5, 1, 32, 24)],
    (1, 28, 28): [(28, 28), (5, 28, 28), (28, 28, 1), (5, 28, 28, 1), (784,), (5, 784), (1, 28, 28)],
}


@pytest.mark.parametrize(("input", "shape"), [(input, shape) for input in WRONG for shape in WRONG[input]])
@pytest.mark.parametrize("batch", [1, 2, 64])
def test_the_fix_of_a_wrong_shape_works(input, shape, batch):
    """The message describes the whole array, however it is cut into batches, and its line of Python helps."""
    c, h, w = input
    model = st.Model(st.parse(f"{h}x{w}x{c} -> conv 3x3 4 -> gap -> flatten"), engine="numpy")
    x = np.random.default_rng(0).random(shape, np.float32)
    with pytest.raises(OpError, match=re.escape(f"(got {shape})")) as caught:
        model.predict(x, batch=batch)
    (fix,) = re.findall(r"(?:x|np)[.\[].*", caught.value.fix)
    right = eval(fix, {"x": x, "np": np})
    assert model.predict(right).shape == (len(right), 4) and right.size in (x.size, c * x.size)


def test_lists_of_different_lengths():
    with pytest.raises(FormatError, match="different lengths"):
        st.Model(st.parse("4 -> fc 2"), engine="numpy").predict([[1, 2, 3, 4], [1]])
