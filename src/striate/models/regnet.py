"""RegNet X, and Y with squeeze-and-excitation: a whole network from five numbers. Named as in torchvision."""

from __future__ import annotations

import itertools
import math
from functools import partial

from striate.models._mobile import RELU, conv_norm, round_channels, squeeze_excite
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.linear import Linear
from striate.ops.merge import Add
from striate.ops.pool import GlobalAvgPool
from striate.ops.reshape import Flatten

REGNET = Family(
    name="RegNet",
    year=2020,
    paper="I. Radosavovic et al.: Designing Network Design Spaces, CVPR 2020",
    new="Whole populations of networks are designed, not one: in good ones the width grows along a line.",
    url="https://arxiv.org/abs/2003.13678",
    source="torchvision 0.29.2, RegNet_*_Weights meta at 224x224",
    initializer="vgg",
)

Row = tuple[int, int, float, float, int, int, float]
"""Depth d, initial width w_0, slope w_a, quantization w_m, group width g; published parameters and GMACs."""

X: dict[str, Row] = {
    "regnet_x_400mf": (22, 24, 24.48, 2.54, 16, 5_495_976, 0.414),
    "regnet_x_800mf": (16, 56, 35.73, 2.28, 16, 7_259_656, 0.800),
    "regnet_x_1_6gf": (18, 80, 34.01, 2.25, 24, 9_190_136, 1.603),
    "regnet_x_3_2gf": (25, 88, 26.31, 2.25, 48, 15_296_552, 3.177),
    "regnet_x_8gf": (23, 80, 49.56, 2.88, 120, 39_572_648, 7.995),
    "regnet_x_16gf": (22, 216, 55.59, 2.1, 128, 54_278_536, 15.941),
    "regnet_x_32gf": (23, 320, 69.86, 2.0, 168, 107_811_560, 31.736),
}
Y: dict[str, Row] = {
    "regnet_y_400mf": (16, 48, 27.89, 2.09, 8, 4_344_144, 0.402),
    "regnet_y_800mf": (14, 56, 38.84, 2.4, 16, 6_432_512, 0.834),
    "regnet_y_1_6gf": (27, 48, 20.71, 2.65, 24, 11_202_430, 1.612),
    "regnet_y_3_2gf": (21, 80, 42.63, 2.66, 24, 19_436_338, 3.176),
    "regnet_y_8gf": (17, 192, 76.82, 2.19, 56, 39_381_472, 8.473),
    "regnet_y_16gf": (18, 200, 106.23, 2.48, 112, 83_590_140, 15.912),
    "regnet_y_32gf": (20, 232, 115.89, 2.53, 232, 145_046_770, 32.280),
    "regnet_y_128gf": (27, 456, 160.83, 2.52, 264, 644_812_894, 127.518),
}


def stages(depth: int, w_0: int, w_a: float, w_m: float, group: int) -> list[tuple[int, int, int]]:
    """Width, depth and group width of each stage.

    Equations 2 to 4 of the paper: block j wants the width w_0 + w_a j, which is rounded to a power of w_m
    times w_0, then to a multiple of 8; equal neighbors form a stage. Then the group width must divide it.

    >>> stages(16, 48, 27.89, 2.09, 8)
    [(48, 1, 8), (104, 3, 8), (208, 6, 8), (440, 6, 8)]
    """
    powers = [round(math.log((w_0 + w_a * j) / w_0, w_m)) for j in range(depth)]
    widths = [round(w_0 * w_m**power / 8) * 8 for power in powers]
    rows = []
    for width, blocks in itertools.groupby(widths):
        group_width = min(group, width)
        rows.append((round_channels(width, group_width), len(list(blocks)), group_width))
    return rows


def regnet(name: str, row: Row, squeeze: bool, input: Image, num_classes: int = 1000) -> Network:
    """RegNet from its five numbers; every stage halves the size."""
    b = Builder(name, input=input)
    x = conv_norm(b, b.input, 32, stride=2, name="stem")
    for stage, (width, depth, group) in enumerate(stages(*row[:5]), 1):
        for i in range(depth):
            with b.scope(f"trunk_output.block{stage}.block{stage}-{i}"):
                x = _block(b, x, width, stride=1 if i else 2, group=group, squeeze=squeeze)
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    return b.build(b(Linear(num_classes), x, name="fc"))


def _block(b: Builder, x: Ref, width: int, stride: int, group: int, squeeze: bool) -> Ref:
    """Residual 1x1, grouped 3x3, 1x1 of one width; squeezed to a quarter of what enters the block."""
    changes = stride != 1 or width != x.spec.channels
    skip = conv_norm(b, x, width, 1, stride, act=None, name="proj") if changes else x
    y = conv_norm(b, x, width, 1, name="f.a")
    y = conv_norm(b, y, width, 3, stride, groups=width // group, name="f.b")
    if squeeze:
        y = squeeze_excite(b, y, round(0.25 * x.spec.channels), name="f.se")
    y = conv_norm(b, y, width, 1, act=None, name="f.c")
    return b(RELU, b(Add(), skip, y, name="add"), name="activation")


for _table, _squeeze in ((X, False), (Y, True)):
    for _name, _row in _table.items():
        model(_name, family=REGNET, params=_row[5], gmacs=_row[6])(partial(regnet, _name, _row, _squeeze))
