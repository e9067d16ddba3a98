"""All-CNN-C: a network of nothing but convolutions, for images of 32x32."""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

ALL_CNN = Family(
    name="All-CNN",
    year=2014,
    paper=(
        "J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller: Striving for Simplicity: The All "
        "Convolutional Net, ICLR 2015 workshop (arXiv 1412.6806)"
    ),
    new="Pooling was never needed: a convolution of stride 2 shrinks the map as well, and learns how.",
    url="https://arxiv.org/abs/1412.6806",
    source="table 1 of the paper, which rounds the total to 1.3 million; summed by hand",
)

# Table 1, model C with strides instead of pooling: filters, kernel, stride, padding of every layer.
LAYERS = (
    (96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1),
    (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
    (192, 3, 1, 0), (192, 1, 1, 0),
)  # fmt: skip


@model("all_cnn_c", family=ALL_CNN, input=(3, 32, 32))
def all_cnn_c(input: Image, num_classes: int = 10) -> Network:
    """Eight convolutions, one per class on top, and their mean; dropout on the image and after each stride."""
    b = Builder("all_cnn_c", input=input)
    x = b(Dropout(0.2), b.input)
    for layer, (filters, kernel, stride, padding) in enumerate(LAYERS, start=1):
        x = b(Conv(filters, kernel, stride, padding), x, name=f"conv{layer}")
        x = b(Relu(), x, name=f"relu{layer}")
        if stride == 2:
            x = b(Dropout(0.5), x)
    x = b(Relu(), b(Conv(num_classes, kernel=1), x, name="conv9"), name="relu9")
    return b.build(b(Flatten(), b(GlobalAvgPool(), x)))
