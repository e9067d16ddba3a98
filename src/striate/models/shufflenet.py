"""ShuffleNet V2 in four widths: split, convolve one half, concat, shuffle. Names as in torchvision."""

from __future__ import annotations

from functools import partial

from striate.models._blocks import sequential
from striate.models._mobile import BATCH_NORM, RELU, conv_norm
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.op import Op
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Concat
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.reshape import ChannelShuffle, Flatten, Split

SHUFFLENET_V2 = Family(
    name="ShuffleNet V2",
    year=2018,
    paper="N. Ma et al.: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, "
    "ECCV 2018",
    new="Designed by measured speed: split the channels, leave one half untouched, shuffle.",
    url="https://arxiv.org/abs/1807.11164",
    source="torchvision 0.29.2, ShuffleNet_V2_*_Weights meta",
    initializer="torch",
)

REPEATS = (4, 8, 4)
"""Units in stages 2, 3, 4; the first of each halves the size."""

WIDTHS = {
    "shufflenet_v2_x0_5": ((48, 96, 192, 1024), 1_366_792, 0.040),
    "shufflenet_v2_x1_0": ((116, 232, 464, 1024), 2_278_604, 0.145),
    "shufflenet_v2_x1_5": ((176, 352, 704, 1024), 3_503_624, 0.296),
    "shufflenet_v2_x2_0": ((244, 488, 976, 2048), 7_393_996, 0.583),
}
"""Table 5: filters of stages 2, 3, 4 and of conv5."""


def shufflenet_v2(name: str, widths: tuple[int, ...], input: Image, num_classes: int = 1000) -> Network:
    """ShuffleNet V2 with the filters of one column of table 5."""
    b = Builder(name, input=input)
    x = conv_norm(b, b.input, 24, stride=2, name="conv1")
    x = b(MaxPool(3, stride=2, padding=1), x, name="maxpool")
    for stage, (filters, repeats) in enumerate(zip(widths, REPEATS), 2):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                x = _unit(b, x, filters, stride=1 if i else 2)
    x = conv_norm(b, x, widths[-1], 1, name="conv5")
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    return b.build(b(Linear(num_classes), x, name="fc"))


def _unit(b: Builder, x: Ref, filters: int, stride: int) -> Ref:
    """Figure 3c (stride 1: half of the channels pass through) and 3d (stride 2: both branches see all)."""
    half = filters // 2
    if stride == 1:
        left, right = b(Split(parts=2), x, name="split")
    else:
        left = sequential(b, x, "branch1", (*_depthwise(x.spec.channels, stride), *_pointwise(half)))
        right = x
    right = sequential(b, right, "branch2", (*_pointwise(half), *_depthwise(half, stride), *_pointwise(half)))
    return b(ChannelShuffle(2), b(Concat(), left, right, name="concat"), name="shuffle")


def _depthwise(channels: int, stride: int) -> tuple[Op, ...]:
    return Conv(channels, kernel=3, stride=stride, padding=1, groups=channels, bias=False), BATCH_NORM


def _pointwise(filters: int) -> tuple[Op, ...]:
    return Conv(filters, kernel=1, bias=False), BATCH_NORM, RELU


for _name, (_widths, _params, _gmacs) in WIDTHS.items():
    model(_name, family=SHUFFLENET_V2, params=_params, gmacs=_gmacs)(partial(shufflenet_v2, _name, _widths))
