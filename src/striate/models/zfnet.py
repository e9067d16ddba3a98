"""ZFNet: AlexNet after its authors had looked inside it.

The figure's sizes (110, 55, 26, 13, 6) need one pixel of padding in the first layer and pooling that
rounds up; so it is declared. Not declared: the renormalization of every filter to a fixed norm during
training.
"""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.norm import LocalResponseNorm
from striate.ops.pool import MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

ZFNET = Family(
    name="ZFNet",
    year=2013,
    paper=(
        "M. Zeiler, R. Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv "
        "1311.2901)"
    ),
    new=(
        "Deconvolution showed what each unit looks for; the dead and aliased filters it exposed asked for"
        " a smaller window and stride."
    ),
    url="https://arxiv.org/abs/1311.2901",
    source="the paper's figure 3 prints the sizes, no totals",
)


@model("zfnet", family=ZFNET)
def zfnet(input: Image, num_classes: int = 1000) -> Network:
    """AlexNet with a 7x7 window and stride 2 in front, and no groups."""
    b = Builder("zfnet", input=input)
    x = b.input
    for stage, conv in enumerate(
        (
            Conv(96, kernel=7, stride=2, padding=1),
            Conv(256, kernel=5, stride=2),
            Conv(384, kernel=3, padding=1),
            Conv(384, kernel=3, padding=1),
            Conv(256, kernel=3, padding=1),
        ),
        start=1,
    ):
        x = b(conv, x, name=f"conv{stage}")
        x = b(Relu(), x, name=f"relu{stage}")
        if stage in (1, 2, 5):
            x = b(MaxPool(3, stride=2, ceil=True), x, name=f"pool{stage}")
        if stage in (1, 2):
            x = b(LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0), x, name=f"norm{stage}")
    x = b(Flatten(), x, name="flatten")
    for stage in (6, 7):
        x = b(Linear(4096), x, name=f"fc{stage}")
        x = b(Relu(), x, name=f"relu{stage}")
        x = b(Dropout(), x, name=f"drop{stage}")
    return b.build(b(Linear(num_classes), x, name="fc8"))
