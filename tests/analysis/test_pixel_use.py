"""Pixel use of whole networks: what the maps say, and that exact answers stay small, fast and linear."""

import cProfile
import pstats
import subprocess
import sys
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.analysis import analyze, misalignments, pixels, sizes
from striate.checks import check
from striate.diagnostics import LimitError, OpError, ShapeError
from striate.formats import parse
from striate.models.catalogue import create
from striate.network import Builder, Network
from striate.op import Op
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add, Concat, Multiply
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten, Identity


def chain(size: int, *ops: Op) -> Network:
    build = Builder("chain", input=(1, size, size))
    x = build.input
    for op in ops:
        x = build(op, x)
    return build.build(x)


# ---------------------------------------------------------------- what the map says
def test_a_stride_that_loses_rows_leaves_pixels_unread():
    use = pixels(parse("7x7x1 -> conv 3x3 /3"))
    assert use.unread == 13 == sum(count == 0 for row in use.counts for count in row)
    assert (use.total, use.most, use.uniform) == (36, 1, False)
    assert (use.corner, use.center) == (1, 1)
    assert use.corner_to_center == 1
    assert use.border_to_center == Fraction(11, 24)


def test_dilation_leaves_a_grid_of_holes():
    use = pixels(parse("6x6x1 -> conv 2x2 /4 dil 2"))
    assert use.counts[0] == [1, 0, 1, 0, 0, 0]
    assert use.unread == 32


def test_paths_multiply_along_a_chain_and_add_over_branches():
    one = pixels(chain(9, Conv(1, 3, padding=1)))
    assert pixels(chain(9, Conv(1, 3, padding=1), Conv(1, 3, padding=1))).center == one.center**2
    build = Builder("sum", input=(1, 9, 9))
    net = build.build(build(Add(), build.input, build(Conv(1, 3, padding=1), build.input)))
    assert pixels(net).counts == [[n + 1 for n in row] for row in one.counts]
    twice = build.build(build(Concat(), build.input, build.input))
    assert pixels(twice).counts == [[2] * 9] * 9


def test_outputs_are_counted_together_or_one_by_one():
    build = Builder("two", input=(1, 6, 6))
    x = build(Conv(1, 3, padding=1), build.input, name="first")
    net = build.build(x, build(MaxPool(2), x, name="second"))
    both, first, second = pixels(net), pixels(net, "first"), pixels(net, "second")
    assert both.total == first.total + second.total
    assert pixels(net, "input").counts == [[1] * 6] * 6


def test_global_gates_add_no_paths():
    build = Builder("se", input=(4, 8, 8))
    gated = build(Multiply(), build.input, build(GlobalAvgPool(), build.input))
    assert pixels(build.build(gated)).counts == [[1] * 8] * 8
    # With nothing local beside it, the mean is how the pixels are used.
    assert pixels(chain(8, GlobalAvgPool())).counts == [[1] * 8] * 8


def test_a_fully_connected_layer_uses_all_pixels_equally():
    assert pixels(chain(8, Flatten(), Linear(10))).uniform


def test_blocks_keep_the_total():
    use = pixels(create("lenet5"))
    small = use.reduced(10)
    assert small.shape == (10, 10)
    assert small.total == use.total
    assert small.at(0, 0) == sum(use.at(y, x) for y, x in product(range(3), repeat=2))


@given(st.integers(1, 40), st.integers(1, 12))
def test_blocks_are_consecutive_rows(n, limit):
    use = pixels(chain(n, Conv(1, 3, padding="full"), Conv(1, 3, 2, padding="full")))
    small = use.reduced(limit)
    m = min(n, limit)
    edges = [k * n // m for k in range(m + 1)]
    for y, x in [(0, 0), (m - 1, 0), (m - 1, m - 1)]:
        cells = product(range(edges[y], edges[y + 1]), range(edges[x], edges[x + 1]))
        assert small.at(y, x) == sum(use.at(*cell) for cell in cells)


def test_maps_in_one_and_three_dimensions():
    build = Builder("line", input=(1, 7))
    assert pixels(build.build(build(Conv(1, 3), build.input))).counts == [1, 2, 3, 3, 3, 2, 1]
    build = Builder("volume", input=(1, 3, 4, 5))
    use = pixels(build.build(build(Conv(1, 2), build.input)))
    assert use.counts[1][1] == [4, 8, 8, 8, 4]
    assert len(use.counts), len(use.counts[0]) == (3, 4)
    assert use.center == 8


def test_what_cannot_be_counted_is_refused_in_words():
    flat = Builder("flat", input=(10,))
    with pytest.raises(OpError, match="no height and width"):
        pixels(flat.build(flat(Linear(3), flat.input)))
    with pytest.raises(ShapeError):
        pixels(chain(3, Conv(1, 5)))


# ---------------------------------------------------------------- exact, small and linear
HUGE = """
import tracemalloc
from striate.analysis import analyze, exact_field, pixels, sizes
from striate.checks import check
from striate.formats import parse
tracemalloc.start()
net = parse("100000x100000x1 -> conv 3x3 /2 pad 1 -> conv 5x5 -> maxpool 3x3 /2 -> conv 7x7 pad 3")
use, last = pixels(net), net.outputs[0]
check(net), exact_field(net, last, (12_000, 3))
print(use.unread, use.corner, use.center, use.total, analyze(net).node(last).receptive_field["h"].size)
print(sizes(net).axes["h"].rule)
print(tracemalloc.get_traced_memory()[1])
"""


def test_a_huge_input_is_exact_in_a_few_megabytes():
    run = subprocess.run(
        [sys.executable, "-c", HUGE], capture_output=True, text=True, timeout=120, check=True
    )
    facts, rule, peak = run.stdout.splitlines()
    unread, corner, center, total, size = map(int, facts.split())
    text = "240x240x1 -> conv 3x3 /2 pad 1 -> conv 5x5 -> maxpool 3x3 /2 -> conv 7x7 pad 3"
    small = pixels(parse(text))
    assert (corner, center) == (small.corner, small.center), "corners and middles look alike at both sizes"
    # The pool loses one row, behind which lie two rows of the input.
    assert unread == 100_000**2 - 99_998**2
    assert small.unread == 240**2 - 238**2
    assert size == 1 + 2 + 4 * 2 + 2 * 2 + 6 * 4
    assert rule == sizes(parse(text)).axes["h"].rule
    line = Builder("line", input=(1, 100_000))
    x = line(MaxPool(3, 2), line(Conv(1, 5), line(Conv(1, 3, 2, 1), line.input)))
    assert total == pixels(line.build(line(Conv(1, 7, padding=3), x))).total ** 2
    assert int(peak) < 16 * 2**20, f"{int(peak) / 2**20:.1f} MB"


def test_a_branched_map_that_fits_no_memory_is_refused():
    build = Builder("wide", input=(1, 3000, 3000))
    x = build.input
    for _ in range(13):
        x = build(Add(), x, build(Conv(1, 3, padding=1), x))
    use = pixels(build.build(x))
    assert use.at(1500, 1500) == 10**13, "each block: through the shortcut, or through one of nine taps"
    with pytest.raises(LimitError, match="pixels is too large for an array"):
        _ = use.counts


def work(net: Network) -> int:
    """Function calls of all analyses of a network: a measure of work that no machine changes."""
    profile = cProfile.Profile()
    profile.enable()
    analyze(net)
    pixels(net)
    sizes(net)
    misalignments(net)
    check(net)
    profile.disable()
    return pstats.Stats(profile).total_calls


def long_chain(length: int) -> Network:
    """Every op differs from its neighbors, so that nothing is answered from memory."""
    ops = [Relu() if k % 2 else Conv(1, 3, padding=1) for k in range(length)]
    return chain(24, *ops)


@pytest.mark.parametrize("branched", [False, True])
def test_work_grows_linearly_with_the_network(branched):
    def network(length: int) -> Network:
        if not branched:
            return long_chain(length)
        build = Builder("blocks", input=(1, 24, 24))
        x = build.input
        for _ in range(length // 3):
            x = build(Relu(), build(Add(), x, build(Identity(), x)))
        return build.build(x)

    counts = [work(network(length)) for length in (300, 600, 1200)]
    assert counts[1] < 2.3 * counts[0]
    assert counts[2] < 2.3 * counts[1]


@pytest.mark.timeout(120)
def test_ten_thousand_nodes():
    net = long_chain(10_000)
    facts = analyze(net)
    assert len(facts.nodes) == 10_000
    assert facts.nodes[-1].receptive_field["h"].size == 1 + 2 * 5_000
    assert pixels(net).unread == 0
    assert sizes(net).axes["h"].rule == "any N >= 1"
    assert not misalignments(net)
    check(net)


@pytest.mark.parametrize("text", ["adaptiveavgpool", "adaptivemaxpool"])
def test_work_of_adaptive_pooling_is_linear_in_its_outputs(text):
    def calls(size):
        net = parse(f"8x8x1 -> {text} {size}")
        profile = cProfile.Profile()
        profile.runcall(pixels, net)
        return pstats.Stats(profile).total_calls

    few, many = calls(211), calls(2110)  # primes: no bin is like another
    assert many < 11 * few


def test_functions_of_single_numbers_hand_a_map_on_as_it_is():
    """A branched map is a sum of many products: nothing is computed of them where no window reads."""

    def calls(functions):
        build = Builder("blocks", input=(1, 24, 24))
        x = build.input
        for k in range(8):
            y = build(Conv(1, 3 + 2 * (k % 2), padding=1 + k % 2), x)
            for _ in range(functions):
                y = build(Relu(), y)
            x = build(Add(), x, y)
        net = build.build(x)
        net.specs  # noqa: B018 - computed when it is first asked for, and not counted
        profile = cProfile.Profile()
        profile.runcall(pixels, net)
        return pstats.Stats(profile).total_calls

    assert (calls(20) - calls(0)) / (8 * 20) < 100


def test_rows_and_the_map_agree_where_branches_meet():
    build = Builder("blocks", input=(1, 5, 7))
    x = build.input
    for k in range(6):
        x = build(Add(), build(Conv(1, (1 + 2 * (k % 2), 3), padding=(k % 2, 1)), x), x)
    use = pixels(build.build(build(Conv(1, 2, stride=3), x)))
    assert [[use.at(y, x) for x in range(7)] for y in range(5)] == use.counts == list(use.rows())
    assert use.total == sum(map(sum, use.counts)) and use.most == max(map(max, use.counts))
    assert use.unread == sum(row.count(0) for row in use.counts)
