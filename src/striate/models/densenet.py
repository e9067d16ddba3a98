"""DenseNet: every layer of a block reads all that came before it in that block."""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Concat
from striate.ops.norm import BatchNorm
from striate.ops.pool import AvgPool, GlobalAvgPool, MaxPool
from striate.ops.reshape import Flatten

DENSENET = Family(
    name="DenseNet",
    year=2016,
    paper=(
        "G. Huang, Z. Liu, L. van der Maaten, K. Weinberger: Densely Connected Convolutional Networks, "
        "CVPR 2017 (arXiv 1608.06993)"
    ),
    new=(
        "Features are kept and concatenated instead of added, so that each layer needs to find only a few"
        " new ones."
    ),
    url="https://arxiv.org/abs/1608.06993",
    source="torchvision 0.29.2, weights metadata",
    initializer="densenet",
)


def _layer(b: Builder, x: Ref, growth: int) -> Ref:
    """Find `growth` new features from x, and append them to x."""
    y = b(Relu(), b(BatchNorm(), x, name="norm1"), name="relu1")
    y = b(Conv(4 * growth, kernel=1, bias=False), y, name="conv1")
    y = b(Relu(), b(BatchNorm(), y, name="norm2"), name="relu2")
    y = b(Conv(growth, kernel=3, padding=1, bias=False), y, name="conv2")
    return b(Concat(), x, y, name="concat")


def _transition(b: Builder, x: Ref, filters: int) -> Ref:
    """Half the channels, half the height and width."""
    x = b(Relu(), b(BatchNorm(), x, name="norm"), name="relu")
    x = b(Conv(filters, kernel=1, bias=False), x, name="conv")
    return b(AvgPool(2), x, name="pool")


def _declare(name: str, depths: tuple[int, ...], growth: int, params: int, gmacs: float) -> None:
    @model(name, family=DENSENET, params=params, gmacs=gmacs)
    def build(input: Image, num_classes: int = 1000) -> Network:
        b = Builder(name, input=input)
        with b.scope("features"):
            x = b(Conv(2 * growth, kernel=7, stride=2, padding=3, bias=False), b.input, name="conv0")
            x = b(Relu(), b(BatchNorm(), x, name="norm0"), name="relu0")
            x = b(MaxPool(3, stride=2, padding=1), x, name="pool0")
            channels = 2 * growth
            for block, depth in enumerate(depths, start=1):
                for layer in range(1, depth + 1):
                    with b.scope(f"denseblock{block}.denselayer{layer}"):
                        x = _layer(b, x, growth)
                channels += depth * growth
                if block < len(depths):
                    channels //= 2
                    with b.scope(f"transition{block}"):
                        x = _transition(b, x, channels)
            x = b(BatchNorm(), x, name="norm5")
        x = b(GlobalAvgPool(), b(Relu(), x, name="relu"), name="avgpool")
        return b.build(b(Linear(num_classes), b(Flatten(), x, name="flatten"), name="classifier"))


_declare("densenet121", (6, 12, 24, 16), 32, 7_978_856, 2.834)
_declare("densenet161", (6, 12, 36, 24), 48, 28_681_000, 7.728)
_declare("densenet169", (6, 12, 32, 32), 32, 14_149_480, 3.36)
_declare("densenet201", (6, 12, 48, 32), 32, 20_013_928, 4.291)
