"""MobileNet V1: depthwise-separable convolutions, the published network in four widths.

Geometry and norm settings as published: TensorFlow's SAME padding, which at stride 2 pads an even size only
below and right. torchvision has no V1; the parameters carry timm's names (`mobilenetv1_100`). timm pads both
sides: its weights load by name, but each layer of stride 2 was trained to look one pixel further up and left.
"""

from __future__ import annotations

from functools import partial

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu6
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

MOBILENET_V1 = Family(
    name="MobileNet V1",
    year=2017,
    paper="A. Howard et al.: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision "
    "Applications, arXiv 1704.04861",
    new="Every convolution becomes depthwise plus pointwise; a width multiplier trades accuracy for cost.",
    url="https://arxiv.org/abs/1704.04861",
    source="GMACs: the paper's table 6; parameters (the paper prints 4.2, 2.6, 1.3, 0.5 M): timm 1.0.31",
)

NORM = BatchNorm(eps=1e-3, momentum=1 - 0.9997)
"""As in TF-Slim's nets/mobilenet_v1.py."""

STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
"""Table 1: filters, separable convolutions, stride of the first."""

WIDTHS = {
    "mobilenet_v1": (1.0, 4_231_976, 0.569),
    "mobilenet_v1_075": (0.75, 2_585_560, 0.325),
    "mobilenet_v1_050": (0.5, 1_331_592, 0.149),
    "mobilenet_v1_025": (0.25, 470_072, 0.041),
}


def mobilenet_v1(name: str, width: float, input: Image, num_classes: int = 1000) -> Network:
    """MobileNet V1 with `width` times the channels of table 1."""
    b = Builder(name, input=input)
    stem = Conv(int(32 * width), kernel=3, stride=2, padding="same", bias=False)
    x = _step(b, b.input, stem, "conv_stem", "bn1")
    for stage, (filters, repeats, stride) in enumerate(STAGES):
        for i in range(repeats):
            with b.scope(f"blocks.{stage}.{i}"):
                x = _separable(b, x, int(filters * width), stride if i == 0 else 1)
    x = b(Flatten(), b(GlobalAvgPool(), x, name="global_pool"), name="flatten")
    x = b(Dropout(0.001), x, name="drop")
    return b.build(b(Linear(num_classes), x, name="classifier"))


def _separable(b: Builder, x: Ref, filters: int, stride: int) -> Ref:
    """Figure 3, right: 3x3 depthwise, then 1x1, each with norm and ReLU."""
    channels = x.spec.channels
    depthwise = Conv(channels, kernel=3, stride=stride, padding="same", groups=channels, bias=False)
    x = _step(b, x, depthwise, "conv_dw", "bn1")
    return _step(b, x, Conv(filters, kernel=1, bias=False), "conv_pw", "bn2")


def _step(b: Builder, x: Ref, conv: Conv, name: str, norm: str) -> Ref:
    return b(Relu6(), b(NORM, b(conv, x, name=name), name=norm), name=f"{norm}.act")


for _name, (_width, _params, _gmacs) in WIDTHS.items():
    model(_name, family=MOBILENET_V1, params=_params, gmacs=_gmacs)(partial(mobilenet_v1, _name, _width))
