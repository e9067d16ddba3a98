"""AlexNet, as it won ImageNet in 2012 and as torchvision has it (the single-GPU form of 2014).

Not declared of the 2012 form: that its two groups ran on two GPUs.
"""

from __future__ import annotations

from striate.models._blocks import sequential
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.norm import LocalResponseNorm
from striate.ops.pool import AdaptiveAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

ALEXNET = Family(
    name="AlexNet",
    year=2012,
    paper=(
        "A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet Classification with Deep Convolutional Neural "
        "Networks, NeurIPS 2012"
    ),
    new=(
        "Depth, relu, dropout and two GPUs cut the ImageNet error from 26 % to 15 % and made everyone "
        "change course."
    ),
    url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
    source=(
        "alexnet: torchvision 0.29.2; alexnet_2012: Caffe's bvlc_alexnet (the paper says 60 million), V. "
        "Sze et al., Proc. IEEE 2017, Table II"
    ),
    initializer="torch",
)


@model(
    "alexnet_2012",
    family=ALEXNET,
    input=(3, 227, 227),
    params=60_965_224,
    gmacs=0.724,
    note="the paper prints 224, but (227 - 11)/4 + 1 = 55 is what fits its 55x55 first layer",
)
def alexnet_2012(input: Image, num_classes: int = 1000) -> Network:
    """The form that won: two groups, local response normalization, overlapping pooling."""
    b = Builder("alexnet_2012", input=input)
    # The paper does not divide alpha = 1e-4 by the number of neighbors; the op does.
    normalize = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
    x = b.input
    for stage, conv in enumerate(
        (
            Conv(96, kernel=11, stride=4),
            Conv(256, kernel=5, padding=2, groups=2),
            Conv(384, kernel=3, padding=1),
            Conv(384, kernel=3, padding=1, groups=2),
            Conv(256, kernel=3, padding=1, groups=2),
        ),
        start=1,
    ):
        x = b(conv, x, name=f"conv{stage}")
        x = b(Relu(), x, name=f"relu{stage}")
        if stage in (1, 2):
            x = b(normalize, x, name=f"norm{stage}")
        if stage in (1, 2, 5):
            x = b(MaxPool(3, stride=2), x, name=f"pool{stage}")
    x = b(Flatten(), x, name="flatten")
    for stage in (6, 7):
        x = b(Linear(4096), x, name=f"fc{stage}")
        x = b(Relu(), x, name=f"relu{stage}")
        x = b(Dropout(), x, name=f"drop{stage}")
    return b.build(b(Linear(num_classes), x, name="fc8"))


@model(
    "alexnet",
    family=ALEXNET,
    params=61_100_840,
    gmacs=0.714,
    note="one tower, no normalization (arXiv 1404.5997)",
)
def alexnet(input: Image, num_classes: int = 1000) -> Network:
    """The single-GPU form: fewer filters, no groups, no normalization."""
    b = Builder("alexnet", input=input)
    features = (
        *(Conv(64, kernel=11, stride=4, padding=2), Relu(), MaxPool(3, stride=2)),
        *(Conv(192, kernel=5, padding=2), Relu(), MaxPool(3, stride=2)),
        *(Conv(384, kernel=3, padding=1), Relu()),
        *(Conv(256, kernel=3, padding=1), Relu()),
        *(Conv(256, kernel=3, padding=1), Relu(), MaxPool(3, stride=2)),
    )
    x = sequential(b, b.input, "features", features)
    x = b(AdaptiveAvgPool(6), x, name="avgpool")
    x = b(Flatten(), x, name="flatten")
    classifier = (Dropout(), Linear(4096), Relu(), Dropout(), Linear(4096), Relu(), Linear(num_classes))
    return b.build(sequential(b, x, "classifier", classifier))
