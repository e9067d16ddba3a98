"""FCN: a classifier read as a convolution gives a map of classes.

Three strides of it on VGG-16, and torchvision's on ResNet.

The VGG forms keep the original's trick of 100 pixels of padding, which makes room for the 7x7 window of
fc6, and the crops that undo it.
"""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.models.resnet import DEPTHS, Shape, stages
from striate.models.vgg import FILTERS
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.merge import Add, Crop
from striate.ops.norm import BatchNorm
from striate.ops.pool import MaxPool
from striate.ops.regularize import Dropout
from striate.ops.upsample import Upsample

FCN = Family(
    name="FCN",
    year=2014,
    paper=(
        "J. Long, E. Shelhamer, T. Darrell: Fully Convolutional Networks for Semantic Segmentation, CVPR "
        "2015 (arXiv 1411.4038)"
    ),
    new=(
        "Fully connected layers are convolutions: any classifier turns into a net that labels every pixel"
        " of any image."
    ),
    url="https://arxiv.org/abs/1411.4038",
    source=(
        "fcn_resnet: torchvision 0.29.2, measured at 520x520 with the auxiliary head; the paper rounds "
        "its VGG-16 form to 134 million"
    ),
)

VOC = 21
"""Classes of PASCAL VOC, background included."""


def _upsample(b: Builder, x: Ref, factor: int, num_classes: int, name: str) -> Ref:
    """Bilinear at the start of training, so a window of two strides."""
    return b(ConvTranspose(num_classes, kernel=2 * factor, stride=factor, bias=False), x, name=name)


def _vgg16(b: Builder, num_classes: int) -> tuple[Ref, dict[str, Ref]]:
    """Scores at stride 32, and the pooled maps to fuse with."""
    x = b.input
    pools = {}
    for stage, (depth, filters) in enumerate(zip((2, 2, 3, 3, 3), FILTERS, strict=True), start=1):
        for index in range(1, depth + 1):
            padding = 100 if stage == index == 1 else 1
            x = b(Conv(filters, kernel=3, padding=padding), x, name=f"conv{stage}_{index}")
            x = b(Relu(), x, name=f"relu{stage}_{index}")
        x = pools[f"pool{stage}"] = b(MaxPool(2, ceil=True), x, name=f"pool{stage}")
    for name, kernel in (("6", 7), ("7", 1)):
        x = b(Relu(), b(Conv(4096, kernel=kernel), x, name=f"fc{name}"), name=f"relu{name}")
        x = b(Dropout(), x, name=f"drop{name}")
    return b(Conv(num_classes, kernel=1), x, name="score_fr"), pools


def _fcn(name: str, input: Image, num_classes: int, fuse: tuple[tuple[str, int], ...], last: int) -> Network:
    """`fuse`: (pool, crop offset) of the maps that join on the way up; `last`: offset of the final crop."""
    b = Builder(name, input=input)
    x, pools = _vgg16(b, num_classes)
    stride = 32
    for pool, offset in fuse:
        x = _upsample(b, x, 2, num_classes, f"upscore_{pool}")
        score = b(Conv(num_classes, kernel=1), pools[pool], name=f"score_{pool}")
        score = b(Crop(offset), score, x, name=f"score_{pool}c")
        x = b(Add(), x, score, name=f"fuse_{pool}")
        stride //= 2
    x = _upsample(b, x, stride, num_classes, "upscore")
    return b.build(b(Crop(last), x, b.input, name="score"))


VOC_SIZE = (3, 500, 500)


@model("fcn32s", family=FCN, input=VOC_SIZE)
def fcn32s(input: Image, num_classes: int = VOC) -> Network:
    """One upsampling by 32."""
    return _fcn("fcn32s", input, num_classes, (), 19)


@model("fcn16s", family=FCN, input=VOC_SIZE)
def fcn16s(input: Image, num_classes: int = VOC) -> Network:
    """Pool 4 joins before the upsampling by 16."""
    return _fcn("fcn16s", input, num_classes, (("pool4", 5),), 27)


@model("fcn8s", family=FCN, input=VOC_SIZE)
def fcn8s(input: Image, num_classes: int = VOC) -> Network:
    """Pool 4 and pool 3 join before the upsampling by 8."""
    return _fcn("fcn8s", input, num_classes, (("pool4", 5), ("pool3", 9)), 31)


def _head(b: Builder, x: Ref, name: str, filters: int, num_classes: int) -> Ref:
    with b.scope(name):
        x = b(Conv(filters, kernel=3, padding=1, bias=False), x, name="0")
        x = b(Relu(), b(BatchNorm(), x, name="1"), name="2")
        x = b(Conv(num_classes, kernel=1), b(Dropout(0.1), x, name="3"), name="4")
        return b(Upsample(size=b.input.spec.spatial, method="bilinear"), x, name="upsample")


def _declare(name: str, backbone: str, params: int, gmacs: float) -> None:
    aux = {"aux": True}

    @model(
        name, family=FCN, input=(3, 520, 520), params=params, gmacs=gmacs, params_with=aux, gmacs_with=aux,
        note="dilated from the third stage on; the numbers include the auxiliary head (aux=True)",
    )  # fmt: skip
    def build(input: Image, num_classes: int = VOC, aux: bool = False) -> Network:
        b = Builder(name, input=input)
        with b.scope("backbone"):
            _, _, third, fourth = stages(
                b, b.input, Shape(DEPTHS[backbone], dilated=(False, False, True, True))
            )
        outputs = [_head(b, fourth, "classifier", 512, num_classes)]
        if aux:
            outputs.append(_head(b, third, "aux_classifier", 256, num_classes))
        return b.build(*outputs)


_declare("fcn_resnet50", "resnet50", 35_322_218, 152.717)
_declare("fcn_resnet101", "resnet101", 54_314_346, 232.738)
