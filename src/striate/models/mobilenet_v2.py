"""MobileNet V2: inverted residuals with linear bottlenecks. Names as in torchvision."""

from __future__ import annotations

from striate.models._blocks import sequential
from striate.models._mobile import BATCH_NORM, conv_norm
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu6
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

MOBILENET_V2 = Family(
    name="MobileNet V2",
    year=2018,
    paper="M. Sandler et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018",
    new="Skips join the narrow ends of blocks that are wide inside, and the narrow ends have no activation.",
    url="https://arxiv.org/abs/1801.04381",
    source="torchvision 0.29.2, MobileNet_V2_Weights meta",
    initializer="vgg",
)

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2: expansion t, filters c, repeats n, stride s of the first."""


@model("mobilenet_v2", family=MOBILENET_V2, params=3_504_872, gmacs=0.301)
def mobilenet_v2(input: Image, num_classes: int = 1000) -> Network:
    """MobileNet V2 at width 1.0."""
    b = Builder("mobilenet_v2", input=input)
    x = conv_norm(b, b.input, 32, stride=2, act=Relu6(), name="features.0")
    index = 1
    for expansion, filters, repeats, stride in STAGES:
        for i in range(repeats):
            with b.scope(f"features.{index}"):
                x = _bottleneck(b, x, filters, stride if i == 0 else 1, expansion)
            index += 1
    x = conv_norm(b, x, 1280, kernel=1, act=Relu6(), name=f"features.{index}")
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    return b.build(sequential(b, x, "classifier", (Dropout(0.2), Linear(num_classes))))


def _bottleneck(b: Builder, x: Ref, filters: int, stride: int, expansion: int) -> Ref:
    """Figure 4d: expand 1x1, depthwise 3x3, project 1x1 without activation, two nodes numbered flat."""
    channels = x.spec.channels
    hidden = channels * expansion
    y, step = x, 0
    if expansion != 1:
        y, step = conv_norm(b, y, hidden, kernel=1, act=Relu6(), name="conv.0"), 1
    y = conv_norm(b, y, hidden, stride=stride, groups=hidden, act=Relu6(), name=f"conv.{step}")
    y = sequential(b, y, "conv", (Conv(filters, kernel=1, bias=False), BATCH_NORM), start=step + 1)
    return b(Add(), x, y, name="add") if stride == 1 and filters == channels else y
