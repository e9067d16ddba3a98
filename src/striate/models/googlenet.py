"""GoogLeNet: the Inception block, as torchvision has it and as it won ImageNet in 2014."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Concat
from striate.ops.norm import BatchNorm, LocalResponseNorm
from striate.ops.pool import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

GOOGLENET = Family(
    name="GoogLeNet",
    year=2014,
    paper=(
        "C. Szegedy, W. Liu, Y. Jia, P. Sermanet, et al.: Going Deeper with Convolutions, CVPR 2015 "
        "(arXiv 1409.4842)"
    ),
    new=(
        "Windows of several sizes side by side, each after a 1x1 bottleneck: 22 layers with a twelfth of"
        " AlexNet's weights."
    ),
    url="https://arxiv.org/abs/1409.4842",
    source="torchvision 0.29.2, weights metadata; googlenet_2014: Caffe's bvlc_googlenet",
    initializer="googlenet",
)

# Table 1 of the paper: 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection.
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"4a": "aux1", "4d": "aux2"}
"""Which blocks feed a second classifier during training."""


class ConvUnit(Protocol):
    """A convolution with what follows it."""

    def __call__(self, b: Builder, x: Ref, name: str, filters: int, kernel: int, **fields: Any) -> Ref: ...


def basic_conv(b: Builder, x: Ref, name: str, filters: int, kernel: Any, **fields: Any) -> Ref:
    """Convolution, batch normalization and relu under one name: the unit of torchvision's networks."""
    with b.scope(name):
        x = b(Conv(filters, kernel=kernel, bias=False, **fields), x, name="conv")
        return b(Relu(), b(BatchNorm(eps=1e-3), x, name="bn"), name="relu")


def conv_relu(b: Builder, x: Ref, name: str, filters: int, kernel: int, **fields: Any) -> Ref:
    """Convolution with bias, then relu: the unit before batch normalization."""
    with b.scope(name):
        return b(Relu(), b(Conv(filters, kernel=kernel, **fields), x, name="conv"), name="relu")


def inception(b: Builder, x: Ref, unit: ConvUnit, block: str, largest: int) -> Ref:
    """Four branches of the same height and width, concatenated; `largest` is the kernel of the third."""
    one, reduce3, three, reduce5, five, projection = BLOCKS[block]
    with b.scope(f"inception{block}"):
        branch1 = unit(b, x, "branch1", one, 1)
        branch2 = unit(b, x, "branch2.0", reduce3, 1)
        branch2 = unit(b, branch2, "branch2.1", three, 3, padding=1)
        branch3 = unit(b, x, "branch3.0", reduce5, 1)
        branch3 = unit(b, branch3, "branch3.1", five, largest, padding=largest // 2)
        branch4 = b(MaxPool(3, stride=1, padding=1, ceil=True), x, name="branch4.0")
        branch4 = unit(b, branch4, "branch4.1", projection, 1)
        return b(Concat(), branch1, branch2, branch3, branch4, name="concat")


def _auxiliary(
    b: Builder, x: Ref, unit: ConvUnit, name: str, pool: AdaptiveAvgPool | AvgPool, num_classes: int
) -> Ref:
    with b.scope(name):
        x = unit(b, b(pool, x, name="pool"), "conv", 128, 1)
        x = b(Linear(1024), b(Flatten(), x, name="flatten"), name="fc1")
        x = b(Dropout(0.7), b(Relu(), x, name="relu"), name="dropout")
        return b(Linear(num_classes), x, name="fc2")


def _body(
    b: Builder, unit: ConvUnit, num_classes: int, aux: bool, *, largest: int, last_pool: int, dropout: float,
    auxiliary_pool: AdaptiveAvgPool | AvgPool, normalize: Callable[[Ref, str], Ref],
) -> Network:  # fmt: skip
    x = unit(b, b.input, "conv1", 64, 7, stride=2, padding=3)
    x = b(MaxPool(3, stride=2, ceil=True), x, name="maxpool1")
    x = unit(b, normalize(x, "norm1"), "conv2", 64, 1)
    x = unit(b, x, "conv3", 192, 3, padding=1)
    x = b(MaxPool(3, stride=2, ceil=True), normalize(x, "norm2"), name="maxpool2")
    branches = {}
    for block in BLOCKS:
        x = inception(b, x, unit, block, largest)
        if block in AUXILIARY:
            branches[AUXILIARY[block]] = x
        if block == "3b":
            x = b(MaxPool(3, stride=2, ceil=True), x, name="maxpool3")
        if block == "4e":
            x = b(MaxPool(last_pool, stride=2, ceil=True), x, name="maxpool4")
    auxiliary = [
        _auxiliary(b, ref, unit, name, auxiliary_pool, num_classes) for name, ref in branches.items() if aux
    ]
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    x = b(Linear(num_classes), b(Dropout(dropout), x, name="dropout"), name="fc")
    return b.build(x, *auxiliary)


@model(
    "googlenet",
    family=GOOGLENET,
    params=6_624_904,
    gmacs=1.498,
    note=(
        "torchvision's: 3x3 where the paper has 5x5; the numbers are without the auxiliary classifiers "
        "(aux=True adds them)"
    ),
)
def googlenet(input: Image, num_classes: int = 1000, aux: bool = False) -> Network:
    """torchvision's form, for its weights."""
    b = Builder("googlenet", input=input)
    return _body(
        b, basic_conv, num_classes, aux, largest=3, last_pool=2, dropout=0.2,
        auxiliary_pool=AdaptiveAvgPool(4), normalize=lambda x, name: x,
    )  # fmt: skip


@model(
    "googlenet_2014",
    family=GOOGLENET,
    params=6_998_552,
    note="as printed: 5x5 branches, local response normalization, no batch normalization",
)
def googlenet_2014(input: Image, num_classes: int = 1000, aux: bool = False) -> Network:
    """The paper's form."""
    b = Builder("googlenet_2014", input=input)
    return _body(
        b, conv_relu, num_classes, aux, largest=5, last_pool=3, dropout=0.4,
        auxiliary_pool=AvgPool(5, stride=3), normalize=lambda x, name: b(LocalResponseNorm(), x, name=name),
    )  # fmt: skip
