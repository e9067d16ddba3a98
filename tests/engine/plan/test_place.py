"""Where buffers lie: parts of a concatenation, borders, residuals, and what is written over."""

import pytest

from engine.plan.support import CONTEXT, buffer, correlation, placed, unit
from striate.engine.plan.computation import Copies, Pool
from striate.engine.plan.place import assign_layouts, overwritable
from striate.engine.plan.units import Enter, Leave, PoolGradient
from striate.engine.target import AVX512
from striate.geometry import Window
from striate.network import Builder
from striate.ops import Add, Concat, Conv, Relu


def values(units):
    return {value.name: value for unit in units for value in unit.outputs if not value.is_result}


def concatenated(left, right):
    b = Builder("concat", (16, 8, 8))
    x = b(Relu(), b.input, name="x")
    parts = [b(Conv(left, 1), x, name="left"), b(Conv(right, 1), x, name="right")]
    return placed(b.build(b(Conv(4, 1), b(Concat(), *parts, name="both"), name="last")))


def test_parts_of_a_concatenation_are_written_in_place():
    units = concatenated(32, 20)
    found = values(units)
    assert found["left"].home is found["right"].home and found["left"].home.name == "both"
    assert (found["left"].offset, found["right"].offset) == (0, 32)
    assert not any(isinstance(unit.body, Copies) for unit in units)


def test_a_part_that_begins_inside_a_block_is_copied():
    units = concatenated(20, 32)
    (both,) = (unit for unit in units if isinstance(unit.body, Copies))
    assert [piece.target for piece in both.body.pieces] == [0, 20]
    assert values(units)["left"].home is values(units)["right"].home is None


def test_a_value_that_stands_twice_is_copied():
    b = Builder("twice", (16, 8, 8))
    x = b(Conv(16, 1), b.input, name="x")
    units = placed(b.build(b(Conv(4, 1), b(Concat(), x, x, name="both"))))
    assert any(isinstance(unit.body, Copies) for unit in units)


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("8x8x3 -> conv 3x3 8", 3),  # pixel by pixel: a row of the window is one run
        ("8x8x4 -> conv 3x3 8", 4),
        ("8x8x5 -> conv 3x3 8", 16),
        ("8x8x3 -> maxpool 2", 16),
        ("8x8x3 -> dwconv 3x3", 16),
    ],
)
def test_few_channels_of_an_image_lie_side_by_side(text, lanes):
    first, *_ = placed(text)
    assert isinstance(first.body, Enter) and first.inputs[0].is_input
    assert first.outputs[0].lanes == lanes


def test_the_border_is_what_the_readers_want_together():
    units = placed("8x8x16 -> relu -> conv 5x5 16 pad 2 /2")
    assert values(units)["relu1"].pads == (2, 1, 2, 1)  # 8 rows with 2 before: the last window ends at row 8
    x, y = buffer(lanes=0), buffer("y", lanes=0)
    readers = [unit([x], [y]), unit([x], [buffer("z")])]
    wanted = {readers[0]: (1, 0, 2, 0), readers[1]: (0, 3, 1, 0)}
    assign_layouts(readers, AVX512, wanted.__getitem__)
    assert x.pads == (1, 3, 2, 0) and x.lanes == y.lanes == 16


def test_alike_buffers_get_one_border():
    a, b = buffer("a", pads=(1, 0, 0, 2)), buffer("b", pads=(0, 3, 0, 0))
    assign_layouts([unit([a], [b])], AVX512, lambda one: (0, 0, 0, 0), {a: b})
    assert a.pads == b.pads == (1, 3, 0, 2)


def test_results_are_copied_out():
    *_, last = placed("8x8x3 -> maxpool 2 -> relu", keep=["maxpool1", "relu1"])
    assert isinstance(last.body, Leave) and last.outputs[0].is_result and last.outputs[0].lanes == 1
    assert len([u for u in placed("8x8x3 -> relu") if isinstance(u.body, Leave)]) == 1


def test_a_flattened_map_is_read_in_place_by_a_fully_connected_layer_alone():
    """Others get it in plain order: copied out, and in again as blocks of its own."""
    assert not any(unit.nodes == ["flatten1"] for unit in placed("4x4x8 -> maxpool 2 -> flatten -> fc 3"))
    units = [
        unit for unit in placed("4x4x8 -> maxpool 2 -> flatten -> sigmoid") if unit.nodes == ["flatten1"]
    ]
    assert [type(unit.body) for unit in units] == [Leave, Enter]
    assert [unit.outputs[0].lanes for unit in units] == [1, 16]


def chained(pads=0):
    """A residual whose convolution wants a border of its own."""
    b = Builder("residual", (16, 8, 8))
    x = b(Relu(), b.input, name="x")
    y = b(Conv(16, 3, padding=1), b(Conv(16, 3, padding=1), x, name="inner"), name="outer")
    return placed(b.build(b(Add(), x, y, name="sum")))


def test_a_residual_and_the_sum_have_one_layout_and_one_memory():
    units = chained()
    found = values(units)
    (outer,) = (unit for unit in units if "outer" in unit.nodes)
    assert outer.residual is found["x"] and found["x"].pads == (1, 1, 1, 1)  # of the inner one's windows
    assert found["sum"].root is found["x"]  # nobody reads x later


def test_a_residual_of_another_layout_is_added_by_a_unit_of_its_own():
    x, y, skip = buffer(), buffer("y"), buffer("skip", lanes=8)
    one = unit([x], [y], correlation(), nodes=["conv", "sum"], residual=skip, low=0.0)
    conv, total = assign_layouts([one], AVX512, lambda _: (0, 0, 0, 0))
    assert conv.residual is None and not conv.clamped and conv.outputs[0].name == "y before the sum"
    assert total.inputs == [conv.outputs[0], skip] and total.outputs == [y] and total.nodes == ["sum"]
    assert total.body.value.function == "max"  # clamped after the sum


def overwritten(one):
    return {value.name for value in overwritable(one)}


def test_what_is_read_where_it_is_written_may_be_written_over():
    x, y, skip = buffer(), buffer("y"), buffer("skip")
    assert overwritten(unit([x], [y], correlation())) == set()  # neighboring windows still read it
    assert overwritten(unit([x], [y], correlation(), residual=skip)) == {"skip"}
    assert overwritten(unit([x], [y], correlation(), residual=x)) == set()
    assert overwritten(unit([x], [y], correlation(), residual=buffer("given", is_input=True))) == set()
    part = buffer("part", (1, 16, 4, 4), home=buffer("whole", (1, 32, 4, 4)))
    assert overwritten(unit([x], [y], correlation(), residual=part)) == set()  # others lie in its memory


def test_a_maximums_input_gives_its_memory_to_the_gradient_where_windows_are_disjoint():
    inputs = [buffer(name) for name in ("dy", "x", "y")]
    for stride, names in ((2, {"x"}), (1, set())):
        window = Window(4, 2, stride)
        body = PoolGradient(Pool("max", (window, window)))
        assert overwritten(unit(inputs, [buffer("dx")], body)) == names


def test_the_output_of_an_elementwise_unit_takes_its_operands_memory_if_that_is_the_last_use():
    units = placed("8x8x16 -> maxpool 2 -> sigmoid -> maxpool 2")
    assert values(units)["sigmoid1"].root is values(units)["maxpool1"]
    kept = placed("8x8x16 -> maxpool 2 -> sigmoid -> maxpool 2", keep=["maxpool1", "maxpool2"])
    assert values(kept)["sigmoid1"].root is not values(kept)["maxpool1"]


def test_placing_uses_the_context_of_the_border_alone():
    assert [unit.name for unit in placed("8x8x3 -> relu", context=CONTEXT)] == ["input", "relu1", "relu1"]


@pytest.mark.parametrize("names", [("a", "b", "c", "d"), ("d", "b", "a", "c"), ("c", "d", "b", "a")])
def test_results_are_copied_in_the_order_in_which_they_are_asked_for(names):
    """Whatever the hash seed of the process: a set of four names is in all three orders for none."""
    b = Builder("four", (16, 8, 8))
    outputs = {name: b(Conv(16, 1), b.input, name=name) for name in "abcd"}
    units = placed(b.build(*(outputs[name] for name in names)))
    assert [unit.outputs[0].name for unit in units if isinstance(unit.body, Leave)] == [*names]
