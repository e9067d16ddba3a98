"""The small residual networks of the ResNet paper, section 4.2: 6n + 2 layers for 32x32 images."""

from __future__ import annotations

from functools import partial

from striate.models.catalogue import Family, Image, model
from striate.models.resnet import classifier, residual
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.norm import BatchNorm
from striate.ops.reshape import Pad, Slice

CIFAR_RESNET = Family(
    name="CIFAR ResNet",
    year=2015,
    paper=(
        "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, section 4.2, CVPR"
        " 2016"
    ),
    new=(
        "The experiment behind the idea: plain networks get worse from 20 layers to 56, residual ones get"
        " better."
    ),
    url="https://arxiv.org/abs/1512.03385",
    source="the paper's table 6 rounds: 0.27 million (20 layers), 0.85 million (56 layers)",
)


def _shortcut(b: Builder, filters: int, stride: int, x: Ref) -> Ref:
    """The paper's option A, without weights: every second pixel, and zeros for the new half of the channels."""
    if stride == 1:
        return x
    for axis in ("H", "W"):
        x = b(Slice(axis, step=stride), x, name=f"subsample_{axis.lower()}")
    return b(Pad(0, channels=(filters // 4, filters // 4)), x, name="zeros")


def _declare(name: str, depth: int) -> None:
    @model(name, family=CIFAR_RESNET, input=(3, 32, 32), note="shortcuts without weights (option A)")
    def build(input: Image, num_classes: int = 10) -> Network:
        b = Builder(name, input=input)
        x = b(Conv(16, kernel=3, padding=1, bias=False), b.input, name="conv1")
        x = b(Relu(), b(BatchNorm(), x, name="bn1"), name="relu")
        for stage, filters in enumerate((16, 32, 64), start=1):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 1 and block == 0 else 1
                conv1 = Conv(filters, kernel=3, stride=stride, padding=1, bias=False)
                conv2 = Conv(filters, kernel=3, padding=1, bias=False)
                with b.scope(f"layer{stage}.{block}"):
                    x = residual(b, x, (conv1, conv2), partial(_shortcut, b, filters, stride))
        return classifier(b, x, num_classes)


_declare("cifar_resnet20", 20)
_declare("cifar_resnet56", 56)
