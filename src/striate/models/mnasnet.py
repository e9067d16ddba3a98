"""MnasNet-B1 (the search result without squeeze-and-excitation) in torchvision's four widths and names."""

from __future__ import annotations

from functools import partial

from striate.models._blocks import sequential
from striate.models._mobile import RELU, round_channels
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.op import Op
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

MNASNET = Family(
    name="MnasNet",
    year=2018,
    paper="M. Tan et al.: MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019",
    new="The architecture search is rewarded for latency measured on a real phone, not for few operations.",
    url="https://arxiv.org/abs/1807.11626",
    source="torchvision 0.29.2, MNASNet*_Weights meta",
    initializer="resnet",
)

NORM = BatchNorm(momentum=1 - 0.9997)

STAGES = (
    (24, 3, 2, 3, 3),
    (40, 5, 2, 3, 3),
    (80, 5, 2, 6, 3),
    (96, 3, 1, 6, 2),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)
"""Figure 7 (a): filters, kernel, stride of the first, expansion, repeats."""

WIDTHS = {
    "mnasnet0_5": (0.5, 2_218_512, 0.104),
    "mnasnet0_75": (0.75, 3_170_208, 0.215),
    "mnasnet1_0": (1.0, 4_383_312, 0.314),
    "mnasnet1_3": (1.3, 6_282_256, 0.526),
}


def mnasnet(name: str, width: float, input: Image, num_classes: int = 1000) -> Network:
    """MnasNet-B1 with `width` times the channels, rounded to multiples of 8; the last 1280 stay."""
    b = Builder(name, input=input)
    stem = round_channels(32 * width)
    first = Conv(stem, kernel=3, stride=2, padding=1, bias=False), NORM, RELU
    x = sequential(b, b.input, "layers", (*first, *_separable(stem, round_channels(16 * width), 3, 1)))
    for stage, (filters, kernel, stride, expansion, repeats) in enumerate(STAGES, 8):
        for i in range(repeats):
            wide = x.spec.channels * expansion
            expand = Conv(wide, kernel=1, bias=False), NORM, RELU
            rest = _separable(wide, round_channels(filters * width), kernel, 1 if i else stride)
            with b.scope(f"layers.{stage}.{i}"):
                y = sequential(b, x, "layers", (*expand, *rest))
                # The first block of a stage has no skip, even where its shape would allow one.
                x = b(Add(), y, x, name="add") if i else y
    x = sequential(b, x, "layers", (Conv(1280, kernel=1, bias=False), NORM, RELU), start=8 + len(STAGES))
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    return b.build(sequential(b, x, "classifier", (Dropout(0.2), Linear(num_classes))))


def _separable(channels: int, filters: int, kernel: int, stride: int) -> tuple[Op, ...]:
    """Depthwise, then pointwise without activation."""
    depthwise = Conv(channels, kernel=kernel, stride=stride, padding=kernel // 2, groups=channels, bias=False)
    return depthwise, NORM, RELU, Conv(filters, kernel=1, bias=False), NORM


for _name, (_width, _params, _gmacs) in WIDTHS.items():
    model(_name, family=MNASNET, params=_params, gmacs=_gmacs)(partial(mnasnet, _name, _width))
