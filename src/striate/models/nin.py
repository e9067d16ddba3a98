"""Network in Network: the 1x1 convolution and global average pooling, both used ever since."""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.pool import AvgPool, GlobalAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

NIN = Family(
    name="NIN",
    year=2013,
    paper="M. Lin, Q. Chen, S. Yan: Network In Network, ICLR 2014 (arXiv 1312.4400)",
    new=(
        "1x1 convolutions put a small network at every pixel, and one averaged map per class replaced the"
        " fully connected layers."
    ),
    url="https://arxiv.org/abs/1312.4400",
    source=(
        "sizes from the authors' Caffe definitions; the papers round: 0.97 million (CIFAR-10), 7.6 "
        "million (ImageNet)"
    ),
)


def _mlpconv(b: Builder, x: Ref, stage: int, conv: Conv, *filters: int) -> Ref:
    """A convolution, then 1x1 convolutions: a perceptron sliding over the image."""
    with b.scope(f"mlpconv{stage}"):
        for index, op in enumerate((conv, *(Conv(n, kernel=1) for n in filters)), start=1):
            x = b(op, x, name=f"conv{index}")
            x = b(Relu(), x, name=f"relu{index}")
    return x


def _average(b: Builder, x: Ref) -> Network:
    return b.build(b(Flatten(), b(GlobalAvgPool(), x, name="gap"), name="flatten"))


@model("nin", family=NIN, input=(3, 32, 32), note="the CIFAR-10 network; pooling rounds up, as in Caffe")
def nin(input: Image, num_classes: int = 10) -> Network:
    """Three perceptrons that slide over 32x32 images."""
    b = Builder("nin", input=input)
    x = _mlpconv(b, b.input, 1, Conv(192, kernel=5, padding=2), 160, 96)
    x = b(MaxPool(3, stride=2, ceil=True), x, name="pool1")
    x = b(Dropout(), x, name="drop1")
    x = _mlpconv(b, x, 2, Conv(192, kernel=5, padding=2), 192, 192)
    x = b(AvgPool(3, stride=2, ceil=True), x, name="pool2")
    x = b(Dropout(), x, name="drop2")
    x = _mlpconv(b, x, 3, Conv(192, kernel=3, padding=1), 192, num_classes)
    return _average(b, x)


@model("nin_imagenet", family=NIN, note="the four-stage network of the Caffe model zoo")
def nin_imagenet(input: Image, num_classes: int = 1000) -> Network:
    """Four of them, for 224x224 images."""
    b = Builder("nin_imagenet", input=input)
    x = _mlpconv(b, b.input, 1, Conv(96, kernel=11, stride=4), 96, 96)
    x = b(MaxPool(3, stride=2, ceil=True), x, name="pool1")
    x = _mlpconv(b, x, 2, Conv(256, kernel=5, padding=2), 256, 256)
    x = b(MaxPool(3, stride=2, ceil=True), x, name="pool2")
    x = _mlpconv(b, x, 3, Conv(384, kernel=3, padding=1), 384, 384)
    x = b(MaxPool(3, stride=2, ceil=True), x, name="pool3")
    x = b(Dropout(), x, name="drop3")
    x = _mlpconv(b, x, 4, Conv(1024, kernel=3, padding=1), 1024, num_classes)
    return _average(b, x)
