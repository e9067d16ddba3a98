"""Published convolution arithmetic: sizes, transposed sizes, ceil and SAME rules, and how often pixels are used."""

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from laws.networks import poked_paths
from oracles.numbers import take
from striate.analysis import pixels, sizes
from striate.geometry import TransposedWindow, Window
from striate.models.catalogue import create
from striate.network import Builder, Network
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.pool import MaxPool
from striate.tensor import TensorSpec


def stack(n: int, *convs: Conv) -> Network:
    build = Builder("stack", input=(1, n, n))
    x = build.input
    for conv in convs:
        x = build(conv, x)
    return build.build(x)


def side(op, n: int) -> int:
    """Height after an op on an n x n image; its width is the same."""
    height, width = op.declare(TensorSpec.image((1, n, n))).outputs[0].spatial
    assert height == width
    return height


# ---------------------------------------------------------------- Dumoulin & Visin: the 15 relationships
RELATIONS = take("conv_arithmetic", "relationships")


def value(formula: str, **names: int) -> int:
    """Right-hand side of a printed formula: ``o=floor((i+2p-k)/s)+1``."""
    text = formula.partition("=")[2].replace("i'", "i").replace("2p", "2*p")
    text = re.sub(r"(?<=[a-z)])(?<!floor)\(", "*(", text)
    return int(eval(text, {"floor": math.floor}, names))


class Case:
    """i, k, s, p, d and a of one example, narrowed to what a relationship speaks of."""

    def __init__(self, name: str, draw: Callable[[st.SearchStrategy], int]) -> None:
        self.k, self.d, self.a = draw(st.integers(1, 7)), 1, 0
        self.s = 1 if "s=1" in name or "half" in name or "full" in name else draw(st.integers(1, 4))
        self.p = 0 if "p=0" in name or "pooling" in name else draw(st.integers(0, self.k - 1))
        self.i = draw(st.integers(self.k, 30))
        if "half" in name:
            n = draw(st.integers(0, 3))
            self.k, self.p = 2 * n + 1, n
        if "full" in name:
            self.p = self.k - 1
        if "dilated" in name:
            self.d = draw(st.integers(1, 3))
        rest = (self.i + 2 * self.p - self.k) % self.s
        if "general, a" in name:
            self.a = rest
        elif "%s==0" in name:
            self.i += (self.s - rest) % self.s

    @property
    def names(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in "ikspda"}


@pytest.mark.parametrize("name", [name for name in RELATIONS if " T " not in name and name[0].isdigit()])
@given(data=st.data())
def test_relationships(name, data):
    case = Case(name, data.draw)
    window = Window(case.i, case.k, case.s, case.d, case.p, case.p)
    assume(window.output)
    expected = value(RELATIONS[name], **case.names)
    op = Conv(1, case.k, case.s, case.p, case.d)
    if name.endswith("pooling"):
        op = MaxPool(case.k, case.s)
    assert window.output == side(op, case.i) == expected


@pytest.mark.parametrize("name", [name for name in RELATIONS if " T " in name])
@given(data=st.data())
def test_transposed_relationships(name, data):
    case = Case(name, data.draw)
    small = Window(case.i, case.k, case.s, 1, case.p, case.p).output
    assume(small)
    spread = TransposedWindow(small, case.k, case.s, 1, case.p, case.p, case.a)
    op = ConvTranspose(1, case.k, case.s, case.p, output_padding=case.a)
    assert spread.output == side(op, small) == value(RELATIONS[name], **{**case.names, "i": small})
    assert spread.output == case.i, "the transposed convolution leads back to the input's size"


@given(st.data())
def test_inputs_of_the_same_output(data):
    assert RELATIONS["same-output inputs"] == "if (i+2p-k)%s==0 then i..i+s-1 give the same o"
    case = Case("%s==0", data.draw)
    outputs = [
        Window(n, case.k, case.s, 1, case.p, case.p).output for n in range(case.i, case.i + case.s + 1)
    ]
    assert len(set(outputs[: case.s])) == 1
    assert outputs[case.s] == outputs[0] + 1


def test_all_relationships_are_tested():
    assert sum(name[0].isdigit() for name in RELATIONS) == 15 == len(RELATIONS) - 1


@pytest.mark.parametrize("row", take("conv_arithmetic", "conv_examples"), ids=lambda row: row["name"])
def test_examples(row):
    assert side(Conv(1, row["k"], row["s"], row["p"], row["d"]), row["i"]) == row["o"]


@pytest.mark.parametrize("row", take("conv_arithmetic", "transposed_examples"), ids=lambda row: row["name"])
def test_transposed_examples(row):
    assert side(ConvTranspose(1, row["k"], row["s"], row["p"], output_padding=row["a"]), row["i"]) == row["o"]


# ---------------------------------------------------------------- Dive into Deep Learning
D2L = take("d2l", "facts")


def test_d2l_shrinking():
    assert D2L[0].startswith("240x240 through ten 5x5 VALID convs -> 200x200; area kept 40000/57600 = 69.4 %")
    after = stack(240, *[Conv(1, 5)] * 10)
    height, width = after.specs[after.outputs[0]].spatial
    assert (height, width, height * width) == (200, 200, 40000)
    assert round(100 * height * width / 240**2, 1) == 69.4
    assert round(100 - 100 * height * width / 240**2, 1) == 30.6


@pytest.mark.parametrize(
    ("fact", "places"),
    [(D2L[1], [(0, 0), (0, 4), (4, 4)]), (D2L[2], [(0, 0), (0, 1), (0, 4), (1, 1), (1, 4), (4, 4)])],
)
def test_d2l_pixel_use(fact, places):
    """Corner, next to the corner, edge, on the diagonal, second ring, interior: as the fact lists them."""
    use = pixels(stack(9, Conv(1, int(re.search(r"k=(\d)", fact)[1]))))
    printed = [int(n) for n in re.findall(r" (\d)(?:,|$)", fact.partition(":")[2])]
    assert [use.at(*place) for place in places] == printed


def test_d2l_padding_and_strides():
    text = D2L[3]
    rows = [
        (Conv(1, 3, padding=1), "8x8, k3 p1 -> 8x8"),
        (Conv(1, (5, 3), padding=(2, 1)), "8x8 k(5,3) p(2,1) -> 8x8"),
        (Conv(1, 3, 2, 1), "8x8 k3 p1 s2 -> 4x4"),
        (Conv(1, (3, 5), (3, 4), (0, 1)), "8x8 k(3,5) p(0,1) s(3,4) -> 2x2"),
    ]
    assert [line.strip() for line in text.split(";")] == [line for _, line in rows]
    for conv, line in rows:
        size = conv.declare(TensorSpec.image((1, 8, 8))).outputs[0].spatial
        assert "x".join(map(str, size)) == line.rpartition(" ")[2]


# ---------------------------------------------------------------- ceil mode and SAME
CEIL = take("ceil_mode", "rows")
CEIL_RULE = take("ceil_mode", "rule")
SAME = take("same_padding_tf", "rows")
SAME_RULE = take("same_padding_tf", "rule")


@pytest.mark.parametrize("row", CEIL, ids=lambda row: row["source"])
def test_ceil_mode(row):
    n, k, s, p = (row[name] for name in "nksp")
    window = Window(n, k, s, 1, p, p, ceil=True)
    assert window.output == side(MaxPool(k, s, p, ceil=True), n) == row["pytorch"]
    assert math.ceil(window.exact) == row["unclipped_ceil"]
    # By a second road: count starts while an end is uncovered, none of them after the input.
    count = 0
    while (count - 1) * s + k < n + 2 * p and count * s < n + p:
        count += 1
    assert count == row["pytorch"]


def test_ceil_rule():
    assert CEIL_RULE == "pytorch: o=ceil((i+2p-ke)/s)+1; if (o-1)*s >= i+p then o-=1"
    for i in range(1, 20):
        for k, s in [(1, 2), (2, 2), (3, 2), (3, 3), (2, 3), (5, 4)]:
            for p in range(k // 2 + 1):
                o = math.ceil((i + 2 * p - k) / s) + 1
                o -= (o - 1) * s >= i + p
                assert Window(i, k, s, 1, p, p, ceil=True).output == max(o, 0)


@pytest.mark.parametrize("row", SAME, ids=str)
def test_same_padding(row):
    n, k, s, d = (row[name] for name in "nksd")
    window = Window.resolve(n, k, s, d, "same")
    assert (window.output, window.before, window.after) == (row["out"], row["pad_before"], row["pad_after"])
    assert side(Conv(1, k, s, "same", d), n) == row["out"]
    # By a second road: the least padding that gives a window to every stride.
    total = next(t for t in range(100) if Window(n, k, s, d, 0, t).output >= math.ceil(n / s))
    assert (total // 2, total - total // 2) == (row["pad_before"], row["pad_after"])


def test_same_rule():
    assert SAME_RULE == "o=ceil(i/s); total=max((o-1)*s+ke-i,0); before=total//2"
    for i in range(1, 30):
        for k, s, d in [(1, 1, 1), (4, 1, 1), (3, 2, 1), (7, 2, 1), (2, 3, 1), (1, 4, 1), (3, 2, 2)]:
            o = math.ceil(i / s)
            total = max((o - 1) * s + d * (k - 1) + 1 - i, 0)
            window = Window.resolve(i, k, s, d, "same")
            assert (window.output, window.before, window.after) == (o, total // 2, total - total // 2)


# ---------------------------------------------------------------- use of pixels
@pytest.mark.parametrize("row", take("pixel_utilisation_1d", "rows"), ids=str)
def test_pixel_utilization(row):
    n, k, s, p, d = (row[name] for name in "nkspd")
    window = Window(n, k, s, d, p, p)
    assert list(window.coverage()) == row["counts_1d"]
    net = stack(n, Conv(1, k, s, p, d, bias=False))
    outer = np.multiply.outer(row["counts_1d"], row["counts_1d"])
    assert np.array_equal(poked_paths(net, net.outputs), outer)
    assert pixels(net).counts == outer.tolist()


FOVEATION = take("foveation", "facts")
MODES = {"FULL": {"padding": "full"}, "circular": {"mode": "circular"}, "SYMMETRIC": {"mode": "symmetric"}}


@pytest.mark.parametrize("k", [3, 5, 7])
@pytest.mark.parametrize("mode", MODES)
def test_paddings_that_use_all_pixels_equally(mode, k):
    assert mode in FOVEATION[0] and "every pixel the same number" in FOVEATION[0]
    use = pixels(stack(11, Conv(1, k, **{"padding": "half", **MODES[mode]})))
    assert use.uniform
    assert use.at(0, 0) == k**2


@pytest.mark.parametrize("k", [3, 5, 7])
def test_same_is_mildly_and_valid_strongly_uneven(k):
    assert FOVEATION[1] == "zero SAME is mildly non-uniform; VALID strongly"
    same, valid = (pixels(stack(15, Conv(1, k, padding=padding))) for padding in ("same", "valid"))
    assert not same.uniform
    assert valid.corner_to_center < same.corner_to_center / 2 < 1 / 2


@pytest.mark.parametrize("k", [3, 5])
def test_reflection_robs_the_border(k):
    assert FOVEATION[2] == "REFLECT lowers border pixels and raises the next ring"
    counts = pixels(stack(11, Conv(1, k, padding="half", mode="reflect"))).terms[0][1]
    assert counts[0] < counts[5] < counts[1]


def test_replication():
    assert FOVEATION[3] == "REPLICATE with 1 px equals SYMMETRIC; with 2 px it over-weights the border"
    for k, equal in [(3, True), (5, False)]:
        replicate, symmetric = (
            pixels(stack(11, Conv(1, k, padding="half", mode=mode))).counts
            for mode in ("replicate", "symmetric")
        )
        assert (replicate == symmetric) is equal
    assert replicate[0][5] > replicate[5][5]


# ---------------------------------------------------------------- mind the pad
CONDITION = take("mind_the_pad", "derived", "condition")
ODD = take("mind_the_pad", "derived", "all k=2p+1,s=2,d layers")
VERIFIED = take("mind_the_pad", "verified")


@pytest.mark.parametrize("p", [0, 1, 2, 3])
def test_sizes_of_a_symmetric_stack(p):
    """k = 2p + 1, s = 2, five layers: the congruence, the formula, and the condition layer by layer."""
    formula, _, printed = ODD.partition(", d=5: ")
    assert formula == "h_0 = 2^d (h_d-1)+1"
    listed = [int(n) for n in printed.split(",")]
    net = stack(225, *[Conv(1, 2 * p + 1, 2, p)] * 5)
    fits = sizes(net).axes["h"].fits
    assert [n for n in range(listed[0], listed[-1] + 1) if fits(n)] == listed
    assert listed == [2**5 * (h - 1) + 1 for h in range(7, 12)]
    for n in range(64, 330):
        sizes_on_the_way, exact = [n], True
        for _ in range(5):
            exact &= (sizes_on_the_way[-1] + 2 * p - (2 * p + 1)) % 2 == 0
            sizes_on_the_way.append((sizes_on_the_way[-1] + 2 * p - (2 * p + 1)) // 2 + 1)
        assert fits(n) == exact, CONDITION
        if exact:
            pairs = itertools.pairwise(sizes_on_the_way)
            assert all(before == 2 * (after - 1) + 2 * p + 1 - 2 * p for before, after in pairs)


def test_strides_that_do_not_divide_pad_one_side_only():
    assert VERIFIED[0].startswith("padding is applied unevenly when strided layers do not divide")
    even = create("resnet18", input=(3, 224, 224)).declarations
    odd = create("resnet18", input=(3, 225, 225)).declarations
    strided = [
        name
        for name, declaration in even.items()
        for w in [declaration.windows.get("H")]
        if w and w.stride > 1
    ]
    assert strided
    for name in strided:
        window = even[name].windows["H"]
        if window.before:  # 1x1 shortcuts have no padding to waste
            assert (window.wasted_before, window.wasted_after) == (0, 1)
        assert odd[name].windows["H"].remainder == 0


@pytest.mark.parametrize("n", [6, 7, 8])
def test_foveation_maps_are_symmetric_at_powers_of_two_plus_one(n):
    assert VERIFIED[1].startswith("2^n+1 inputs give a symmetric foveation map, 2^n an asymmetric one")
    for size, symmetric in [(2**n + 1, True), (2**n, False)]:
        (vertical, horizontal), *rest = pixels(stack(size, *[Conv(1, 3, 2, 1)] * 4)).terms
        assert not rest
        assert (vertical == vertical[::-1]) is (horizontal == horizontal[::-1]) is symmetric
