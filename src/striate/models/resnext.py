"""ResNeXt: a ResNet whose 3x3 convolutions work in groups.

`32x4d` reads: 32 groups of 4 channels in the first stage.
"""

from __future__ import annotations

from striate.models.catalogue import Family
from striate.models.resnet import DEPTHS, Shape, declare

RESNEXT = Family(
    name="ResNeXt",
    year=2016,
    paper=(
        "S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He: Aggregated Residual Transformations for Deep "
        "Neural Networks, CVPR 2017 (arXiv 1611.05431)"
    ),
    new=(
        "Many narrow paths side by side (cardinality) buy more accuracy for the same cost than going "
        "deeper or wider."
    ),
    url="https://arxiv.org/abs/1611.05431",
    source="torchvision 0.29.2, weights metadata",
    initializer="resnet",
)

declare("resnext50_32x4d", RESNEXT, Shape(DEPTHS["resnet50"], groups=32, group_width=4), 25_028_904, 4.23)
declare("resnext101_32x8d", RESNEXT, Shape(DEPTHS["resnet101"], groups=32, group_width=8), 88_791_336, 16.414)
declare("resnext101_64x4d", RESNEXT, Shape(DEPTHS["resnet101"], groups=64, group_width=4), 83_455_272, 15.46)
