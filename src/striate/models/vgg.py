"""VGG: only 3x3 windows, twice as many filters each time the map halves."""

from __future__ import annotations

from collections.abc import Iterator

from striate.models._blocks import sequential
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.op import Op
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.norm import BatchNorm
from striate.ops.pool import AdaptiveAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

VGG = Family(
    name="VGG",
    year=2014,
    paper=(
        "K. Simonyan, A. Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, "
        "ICLR 2015 (arXiv 1409.1556)"
    ),
    new=(
        "Stacks of 3x3 windows see as far as one large window, with fewer weights and more nonlinearities: depth "
        "itself pays."
    ),
    url="https://arxiv.org/abs/1409.1556",
    source="torchvision 0.29.2, weights metadata",
    initializer="vgg",
)

FILTERS = (64, 128, 256, 512, 512)


def features(depths: tuple[int, ...], bn: bool) -> Iterator[Op]:
    """`depths` convolutions per stage, each stage closed by a 2x2 pooling."""
    for depth, filters in zip(depths, FILTERS, strict=True):
        for _ in range(depth):
            yield Conv(filters, kernel=3, padding=1)
            if bn:
                yield BatchNorm()
            yield Relu()
        yield MaxPool(2)


def _declare(name: str, depths: tuple[int, ...], params: int, gmacs: float) -> None:
    @model(name, family=VGG, params=params, gmacs=gmacs)
    def build(input: Image, num_classes: int = 1000) -> Network:
        b = Builder(name, input=input)
        x = sequential(b, b.input, "features", features(depths, name.endswith("_bn")))
        x = b(AdaptiveAvgPool(7), x, name="avgpool")
        x = b(Flatten(), x, name="flatten")
        classifier = (Linear(4096), Relu(), Dropout(), Linear(4096), Relu(), Dropout(), Linear(num_classes))
        return b.build(sequential(b, x, "classifier", classifier))


_declare("vgg11", (1, 1, 2, 2, 2), 132_863_336, 7.609)
_declare("vgg11_bn", (1, 1, 2, 2, 2), 132_868_840, 7.609)
_declare("vgg13", (2, 2, 2, 2, 2), 133_047_848, 11.308)
_declare("vgg13_bn", (2, 2, 2, 2, 2), 133_053_736, 11.308)
_declare("vgg16", (2, 2, 3, 3, 3), 138_357_544, 15.47)
_declare("vgg16_bn", (2, 2, 3, 3, 3), 138_365_992, 15.47)
_declare("vgg19", (2, 2, 4, 4, 4), 143_667_240, 19.632)
_declare("vgg19_bn", (2, 2, 4, 4, 4), 143_678_248, 19.632)
