"""Sizes of a network whose branches do not meet on the input it has."""

from striate.analysis import sizes
from striate.network import Builder
from striate.ops import Concat, ConvTranspose, MaxPool


def test_an_odd_skip_concat_still_has_fitting_sizes():
    b = Builder("skip", input=(4, 15, 15))
    up = b(ConvTranspose(4, kernel=2, stride=2), b(MaxPool(2), b.input))
    network = b.build(b(Concat(), up, b.input))
    assert [problem.code for problem in network.inference.problems] == ["G003"]
    assert {axis.rule for axis in sizes(network, near=15).axes.values()} == {"N = 0 mod 2, N >= 2"}
