"""From a statement to the description of a loop nest; what runs it is tested with the kernel."""

import json

import numpy as np
import pytest

from engine.plan.support import network
from striate.engine.kernels.argument_record import record
from striate.engine.layout import Layout
from striate.engine.plan.nest import NestKernel, extent, lower, nests
from striate.engine.target import AVX2, AVX512
from striate.geometry import Window
from striate.statement import Affine, Const, Domain, Statement, Tap, index, load


def described(nest):
    return json.loads(nest.kernel.parameters[0])


def one(statement, places, target=AVX512, more=False):
    (found,) = lower([(statement, more)], places, target)
    return found


def copied(free, target=("i", "j"), source=("i", "j"), **more):
    return Statement("y", index(*target), load("x", *source), Domain(free), **more)


@pytest.mark.parametrize(
    ("items", "shape"),
    [
        (("i", "j"), (4, 6)),
        ((Affine((("i", 2), ("j", 1)), 3),), (15,)),  # 2·3 + 5 + 3, and one past it
        ((Tap(Window(9, 3), "i", "u"), "j"), (9, 6)),
    ],
)
def test_a_temporary_is_as_large_as_what_is_written(items, shape):
    statement = Statement("t", index(*items), Const(1.0), Domain({"i": 4, "j": 6, "u": 3}))
    assert extent(statement) == shape


def test_loops_rows_and_lanes_of_a_copy():
    """4 x 32 numbers in plain order: a row is two vectors. How many rows there are is not in the kernel's text."""
    found = one(copied({"i": 4, "j": 32}), {"x": (4, 32), "y": (4, 32)})
    said = described(found)
    assert found.tensors == ("y", "x") and found.origins == (0, 0) and found.tables == () and not found.adds
    assert (said["loops"], said["vector"], said["width"]) == ([0, 32], 1, 16)
    assert (found.rows, said["rows"], said["free"]) == (4, 1, 2)
    assert (said["value"], said["reduce"]) == ("a", "")


def test_lanes_are_those_of_the_target():
    assert described(one(copied({"i": 4, "j": 32}), {"x": (4, 32), "y": (4, 32)}, AVX2))["width"] == 8


def test_a_loop_of_one_is_none():
    """The only loop left is cut into two vectors, which are the rows."""
    found = one(copied({"i": 1, "j": 32}), {"x": (1, 32), "y": (1, 32)})
    assert described(found)["loops"] == [32] and found.rows == 2


def test_blocked_channels_begin_inside_the_border():
    layout = Layout(1, 16, 4, 4, 16, 1, 1, 1, 1)
    names = ("n", "c", "i", "j")
    free = dict(zip(names, (1, 16, 4, 4), strict=True))
    found = one(copied(free, names, names), {"x": layout, "y": (1, 16, 4, 4)})
    assert found.origins == (0, layout.origin) == (0, 64 * (6 + 1))
    assert found.arguments({"y": 1000, "x": 2000}) == record(16, {0: 1000, 8: 2000 + 448})


def test_what_statements_leave_out_is_zero_first():
    part = copied({"i": 2, "j": 32})
    zeros, rest = lower([(part, False)], {"x": (4, 32), "y": (4, 32)}, AVX512)
    assert zeros.tensors == ("y",) and zeros.rows == 4 and described(zeros)["loops"] == [0, 32]
    assert rest.tensors == ("y", "x") and rest.rows == 2
    both = [(part, False), (copied({"i": 2, "j": 32}, (Affine((("i", 1),), 2), "j")), False)]
    assert len([*lower(both, {"x": (4, 32), "y": (4, 32)}, AVX512)]) == 2


def test_what_is_added_to_reads_its_target():
    part, places = copied({"i": 4, "j": 32}), {"x": (4, 32), "y": (4, 32)}
    first, second = lower([(part, False), (part, True)], places, AVX512)
    assert not first.adds and described(first)["starts"] == []
    assert second.adds and described(second)["start"] == "a"
    assert described(second)["starts"][0][0] == 0  # slot 0 is the target
    assert [nest.adds for nest in lower([(part, True)], places, AVX512)] == [False, True]  # to zeros


def test_a_sum_is_reduced_in_its_own_loop():
    """Of 16 rows each: reduced over 100 numbers, the only free loop is the row."""
    statement = Statement("y", index("i"), load("x", "i", "k"), Domain({"i": 16}, {"k": 100}), "sum")
    found = one(statement, {"x": (16, 100), "y": (16,)})
    said = described(found)
    assert said["reduce"] == "sum" and said["free"] == 1 and len(said["loops"]) == 2


def test_positions_of_a_window_that_is_not_padded_with_zeros_are_a_table():
    """Circular: 5 numbers and one before; outputs read 4, 0, 1 … as offsets in numbers."""
    tap = Tap(Window(5, 1, 1, 1, 1, 1, mode="circular"), "i", "u")
    statement = Statement("y", index("i"), load("x", tap), Domain({"i": 7}, {"u": 1}), "sum")
    (table,) = one(statement, {"x": (5,), "y": (7,)}).tables
    assert np.frombuffer(table, np.int32).tolist() == [4, 0, 1, 2, 3, 4, 0]


def test_a_window_inside_the_map_is_arithmetic():
    tap = Tap(Window(9, 3), "i", "u")
    statement = Statement("y", index("i"), load("x", tap), Domain({"i": 7}, {"u": 3}), "sum")
    assert one(statement, {"x": (9,), "y": (7,)}).tables == ()


def test_a_window_beyond_the_map_is_tested_against_its_size():
    """Offset, divisor, modulus, size to test, lanes, bytes to the next block and number; a lane lies 4 bytes apart."""
    tap = Tap(Window(9, 3, 1, 1, 1, 1), "i", "u")
    statement = Statement("y", index("i"), load("x", tap), Domain({"i": 9}, {"u": 3}), "sum")
    (read,) = described(one(statement, {"x": (9,), "y": (9,)}))["reads"]
    assert read[2][0][2:] == [-1, 1, 0, 9, 0, 0, 4] and read[3:] == [4, 1]


def test_blocked_channels_are_read_a_vector_at_a_time():
    layout = Layout(1, 32, 4, 4, 16)
    names = ("n", "c", "i", "j")
    free = dict(zip(names, (1, 32, 4, 4), strict=True))
    said = described(one(copied(free, names, names), {"x": layout, "y": layout}))
    assert said["width"] == 16 and [*free].index("c") - 1 == said["vector"]  # the loop over images is none
    assert said["reads"][0][2][0][5:] == [0, 16, 1024, 4] and said["reads"][0][3:] == [4, 0]


def test_a_scattered_target_is_turned_round():
    """Two outputs 2 apart, 3 taps: positions 0 1 2 3 4 receive 1, 1, 2, 1, 1 values; tables name them, and which
    are real."""
    tap = Tap(Window(5, 3, 2), "i", "u")
    statement = Statement("y", (tap,), load("x", "i", "u"), Domain({"i": 2}, {"u": 3}), "sum")
    found = one(statement, {"x": (2, 3), "y": (5,)})
    outputs, taps = (np.frombuffer(table, np.int32).reshape(5, 2) for table in found.tables[:2])
    real = np.frombuffer(found.tables[2], np.float32).reshape(5, 2) > 0
    pairs = [sorted(zip(o[r].tolist(), u[r].tolist())) for o, u, r in zip(outputs, taps, real, strict=True)]
    assert pairs == [[(0, 0)], [(0, 1)], [(0, 2), (1, 0)], [(1, 1)], [(1, 2)]]


def test_a_declaration_with_its_temporaries():
    net = network("4x4x2 -> softmax")
    found = nests(net.declarations["softmax1"], {}, AVX512)
    assert found.shapes == {"t0": (1, 4, 4), "t1": (1, 4, 4)} and found.temporaries == {"t0": 64, "t1": 64}
    assert [step.tensors[0] for step in found.steps] == ["t0", "t1", "y0"]
    assert all(isinstance(step, NestKernel) for step in found.steps)
