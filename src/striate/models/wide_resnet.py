"""Wide ResNet: a ResNet with twice as many channels in the middle of every bottleneck."""

from __future__ import annotations

from striate.models.catalogue import Family
from striate.models.resnet import DEPTHS, Shape, declare

WIDE_RESNET = Family(
    name="Wide ResNet",
    year=2016,
    paper="S. Zagoruyko, N. Komodakis: Wide Residual Networks, BMVC 2016 (arXiv 1605.07146)",
    new=(
        "Wide and shallow beats thin and very deep, and runs faster, since wide layers keep parallel "
        "hardware busy."
    ),
    url="https://arxiv.org/abs/1605.07146",
    source="torchvision 0.29.2, weights metadata",
    initializer="resnet",
)

declare("wide_resnet50_2", WIDE_RESNET, Shape(DEPTHS["resnet50"], group_width=128), 68_883_240, 11.398)
declare("wide_resnet101_2", WIDE_RESNET, Shape(DEPTHS["resnet101"], group_width=128), 126_886_696, 22.753)
