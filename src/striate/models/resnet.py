"""ResNet: layers that learn a correction to what passes by them.

ResNeXt, Wide ResNet and the CIFAR networks are built from the same parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from striate.models._blocks import conv_bn
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten

RESNET = Family(
    name="ResNet",
    year=2015,
    paper=(
        "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv "
        "1512.03385)"
    ),
    new="Each block adds a correction to its own input, so that a hundred layers train as easily as ten.",
    url="https://arxiv.org/abs/1512.03385",
    source="torchvision 0.29.2, weights metadata",
    initializer="resnet",
)


@dataclass(frozen=True)
class Shape:
    """What tells one residual network from another: blocks per stage, and the middle of a bottleneck."""

    depths: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    dilated: tuple[bool, bool, bool, bool] = (False, False, False, False)
    """Stages that dilate where they would stride, for dense prediction."""


def residual(b: Builder, x: Ref, convs: Sequence[Conv], shortcut: Callable[[Ref], Ref]) -> Ref:
    """relu(shortcut(x) + convs(x)), batch normalization after every convolution and relu between them."""
    y = x
    for index, conv in enumerate(convs, start=1):
        y = b(conv, y, name=f"conv{index}")
        y = b(BatchNorm(), y, name=f"bn{index}")
        if index < len(convs):
            y = b(Relu(), y, name=f"relu{index}")
    return b(Relu(), b(Add(), y, shortcut(x), name="add"), name="relu")


def _convs(shape: Shape, planes: int, stride: int, dilation: int) -> tuple[Conv, ...]:
    width = planes * shape.group_width // 64 * shape.groups if shape.bottleneck else planes
    spatial = Conv(
        width, kernel=3, stride=stride, padding=dilation, dilation=dilation, groups=shape.groups, bias=False
    )
    if shape.bottleneck:
        return Conv(width, kernel=1, bias=False), spatial, Conv(4 * planes, kernel=1, bias=False)
    return spatial, Conv(planes, kernel=3, padding=1, bias=False)


def _identity(x: Ref) -> Ref:
    return x


def _project(b: Builder, filters: int, stride: int, x: Ref) -> Ref:
    return conv_bn(b, x, "downsample.0", "downsample.1", filters, 1, stride=stride)


def stages(b: Builder, x: Ref, shape: Shape) -> list[Ref]:
    """The stem and the four stages; returns the output of each stage."""
    x = conv_bn(b, x, "conv1", "bn1", 64, 7, stride=2, padding=3)
    x = b(Relu(), x, name="relu")
    x = b(MaxPool(3, stride=2, padding=1), x, name="maxpool")
    outputs = []
    dilation, channels = 1, 64
    for stage, (depth, dilated) in enumerate(zip(shape.depths, shape.dilated, strict=True), start=1):
        planes = 64 * 2 ** (stage - 1)
        filters = planes * (4 if shape.bottleneck else 1)
        for block in range(depth):
            stride = 2 if stage > 1 and block == 0 and not dilated else 1
            shortcut = (
                partial(_project, b, filters, stride) if stride > 1 or channels != filters else _identity
            )
            with b.scope(f"layer{stage}.{block}"):
                x = residual(b, x, _convs(shape, planes, stride, dilation), shortcut)
            channels = filters
            if dilated and block == 0:  # the block that would have strided still sees the old grid
                dilation *= 2
        outputs.append(x)
    return outputs


def classifier(b: Builder, x: Ref, num_classes: int) -> Network:
    """Average every map, flatten, one fully connected layer."""
    x = b(GlobalAvgPool(), x, name="avgpool")
    x = b(Flatten(), x, name="flatten")
    return b.build(b(Linear(num_classes), x, name="fc"))


def declare(name: str, family: Family, shape: Shape, params: int, gmacs: float, note: str = "") -> None:
    """Put a residual network into the catalogue."""

    @model(name, family=family, params=params, gmacs=gmacs, note=note)
    def build(input: Image, num_classes: int = 1000) -> Network:
        b = Builder(name, input=input)
        return classifier(b, stages(b, b.input, shape)[-1], num_classes)


V1_5 = "stride in the 3x3 of a bottleneck (v1.5); the paper has it in the first 1x1"

DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
"""Blocks per stage: table 1 of the paper."""

declare("resnet18", RESNET, Shape(DEPTHS["resnet18"], bottleneck=False), 11_689_512, 1.814)
declare("resnet34", RESNET, Shape(DEPTHS["resnet34"], bottleneck=False), 21_797_672, 3.664)
declare("resnet50", RESNET, Shape(DEPTHS["resnet50"]), 25_557_032, 4.089, V1_5)
declare("resnet101", RESNET, Shape(DEPTHS["resnet101"]), 44_549_160, 7.801, V1_5)
declare("resnet152", RESNET, Shape(DEPTHS["resnet152"]), 60_192_808, 11.514, V1_5)
