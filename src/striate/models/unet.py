"""U-Net: down to see what, up to see where, and copies across so that neither is lost.

The 2015 form pads nothing, so the copies from the way down are cropped to what the way up has left:
572x572 in, 388x388 out. The padded form, which most people use today, has the same weights and keeps the
size.
"""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.merge import Concat, Crop
from striate.ops.pool import MaxPool
from striate.ops.regularize import Dropout

UNET = Family(
    name="U-Net",
    year=2015,
    paper=(
        "O. Ronneberger, P. Fischer, T. Brox: U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation, MICCAI 2015 (arXiv 1505.04597)"
    ),
    new=(
        "A symmetric upsampling path, with every map of the downsampling path copied across, learns segmentation from "
        "thirty images."
    ),
    url="https://arxiv.org/abs/1505.04597",
    source="figure 1 of the paper prints every size, no totals",
)

FILTERS = (64, 128, 256, 512, 1024)


def _double(b: Builder, x: Ref, filters: int, padding: int) -> Ref:
    for index in (1, 2):
        x = b(Conv(filters, kernel=3, padding=padding), x, name=f"conv{index}")
        x = b(Relu(), x, name=f"relu{index}")
    return x


def _unet(name: str, input: Image, num_classes: int, padding: int) -> Network:
    b = Builder(name, input=input)
    x = b.input
    copies = []
    for stage, filters in enumerate(FILTERS, start=1):
        with b.scope(f"down{stage}"):
            x = _double(b, x, filters, padding)
            if filters != FILTERS[-1]:
                copies.append(x)
                x = b(MaxPool(2), x, name="pool")
    x = b(Dropout(), x, name="dropout")
    for stage, filters in reversed(list(enumerate(FILTERS[:-1], start=1))):
        with b.scope(f"up{stage}"):
            x = b(ConvTranspose(filters, kernel=2, stride=2), x, name="tconv")
            copy = copies.pop()
            if not padding:
                copy = b(Crop(), copy, x, name="crop")
            x = b(Concat(), copy, x, name="concat")
            x = _double(b, x, filters, padding)
    return b.build(b(Conv(num_classes, kernel=1), x, name="conv"))


@model("unet", family=UNET, input=(1, 572, 572), note="as printed: no padding, crop and copy, 388x388 out")
def unet(input: Image, num_classes: int = 2) -> Network:
    """The 2015 form."""
    return _unet("unet", input, num_classes, padding=0)


@model(
    "unet_padded",
    family=UNET,
    input=(1, 256, 256),
    note="padding keeps the size; sizes must be multiples of 16",
)
def unet_padded(input: Image, num_classes: int = 2) -> Network:
    """The padded form."""
    return _unet("unet_padded", input, num_classes, padding=1)
