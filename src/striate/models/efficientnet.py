"""EfficientNet B0 to B7 and V2 S, M, L: searched inverted residuals, scaled.

Names as in torchvision; the input sizes are those its weights are tested at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from striate.models._blocks import sequential
from striate.models._mobile import conv_norm, inverted_residual, round_channels
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Silu
from striate.ops.linear import Linear
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

EFFICIENTNET = Family(
    name="EfficientNet",
    year=2019,
    paper="M. Tan, Q. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, "
    "ICML 2019",
    new="One coefficient scales depth, width and resolution together.",
    url="https://arxiv.org/abs/1905.11946",
    source="torchvision 0.29.2, EfficientNet_B*_Weights meta (IMAGENET1K_V1)",
    initializer="efficientnet",
)
EFFICIENTNET_V2 = Family(
    name="EfficientNet V2",
    year=2021,
    paper="M. Tan, Q. Le: EfficientNetV2: Smaller Models and Faster Training, ICML 2021",
    new="Searched for training speed: early blocks fuse expansion and depthwise step into one convolution.",
    url="https://arxiv.org/abs/2104.00298",
    source="torchvision 0.29.2, EfficientNet_V2_*_Weights meta",
    initializer="efficientnet",
)

SILU = Silu()
V1_NORM = BatchNorm()
PORTED_NORM = BatchNorm(eps=1e-3, momentum=0.01)
"""torchvision's B5 to B7 keep the settings of the TensorFlow weights they came from."""
V2_NORM = BatchNorm(eps=1e-3)

FUSED, MB = True, False
Stage = tuple[bool, int, int, int, int, int]
"""Fused, expansion, kernel, stride of the first block, filters, blocks."""


@dataclass(frozen=True)
class Shape:
    """What one variant is made of: filters of the stem, stages, filters of the last convolution."""

    stem: int
    stages: tuple[Stage, ...]
    last: int
    dropout: float
    norm: BatchNorm


BASE: tuple[Stage, ...] = (
    (MB, 1, 3, 1, 16, 1),
    (MB, 6, 3, 2, 24, 2),
    (MB, 6, 5, 2, 40, 2),
    (MB, 6, 3, 2, 80, 3),
    (MB, 6, 5, 1, 112, 3),
    (MB, 6, 5, 2, 192, 4),
    (MB, 6, 3, 1, 320, 1),
)
"""EfficientNet-B0, table 1."""

V2_S: tuple[Stage, ...] = (
    (FUSED, 1, 3, 1, 24, 2),
    (FUSED, 4, 3, 2, 48, 4),
    (FUSED, 4, 3, 2, 64, 4),
    (MB, 4, 3, 2, 128, 6),
    (MB, 6, 3, 1, 160, 9),
    (MB, 6, 3, 2, 256, 15),
)
"""EfficientNet V2, table 4."""
V2_M: tuple[Stage, ...] = (
    (FUSED, 1, 3, 1, 24, 3),
    (FUSED, 4, 3, 2, 48, 5),
    (FUSED, 4, 3, 2, 80, 5),
    (MB, 4, 3, 2, 160, 7),
    (MB, 6, 3, 1, 176, 14),
    (MB, 6, 3, 2, 304, 18),
    (MB, 6, 3, 1, 512, 5),
)
"""This and V2_L are not in the paper but in the authors' code."""
V2_L: tuple[Stage, ...] = (
    (FUSED, 1, 3, 1, 32, 4),
    (FUSED, 4, 3, 2, 64, 7),
    (FUSED, 4, 3, 2, 96, 7),
    (MB, 4, 3, 2, 192, 10),
    (MB, 6, 3, 1, 224, 19),
    (MB, 6, 3, 2, 384, 25),
    (MB, 6, 3, 1, 640, 7),
)


def scale_b0(width: float, depth: float, dropout: float, norm: BatchNorm = V1_NORM) -> Shape:
    """B0 with `width` times the channels and `depth` times the blocks of every stage."""
    stages = tuple((*row[:4], round_channels(row[4] * width), math.ceil(row[5] * depth)) for row in BASE)
    return Shape(round_channels(32 * width), stages, 4 * stages[-1][4], dropout, norm)


def _declare(name: str, family: Family, shape: Shape, size: int, params: int, gmacs: float) -> None:
    @model(name, family=family, input=(3, size, size), params=params, gmacs=gmacs)
    def build(input: Image, num_classes: int = 1000) -> Network:
        norm, blocks, block = shape.norm, sum(row[-1] for row in shape.stages), 0
        b = Builder(name, input=input)
        x = conv_norm(b, b.input, shape.stem, stride=2, norm=norm, act=SILU, name="features.0")
        for stage, (fused, expansion, kernel, stride, filters, repeats) in enumerate(shape.stages, 1):
            for i in range(repeats):
                channels = x.spec.channels
                with b.scope(f"features.{stage}.{i}"):
                    x = inverted_residual(
                        b, x, filters, kernel, 1 if i else stride,
                        expanded=channels * expansion, squeezed=max(1, channels // 4), fused=fused,
                        act=SILU, squeeze_act=SILU, norm=norm, drop=0.2 * block / blocks,
                    )  # fmt: skip
                block += 1
        head = f"features.{len(shape.stages) + 1}"
        x = conv_norm(b, x, shape.last, 1, norm=norm, act=SILU, name=head)
        x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
        return b.build(sequential(b, x, "classifier", (Dropout(shape.dropout), Linear(num_classes))))


_declare("efficientnet_b0", EFFICIENTNET, scale_b0(1.0, 1.0, 0.2), 224, 5_288_548, 0.386)
_declare("efficientnet_b1", EFFICIENTNET, scale_b0(1.0, 1.1, 0.2), 240, 7_794_184, 0.687)
_declare("efficientnet_b2", EFFICIENTNET, scale_b0(1.1, 1.2, 0.3), 288, 9_109_994, 1.088)
_declare("efficientnet_b3", EFFICIENTNET, scale_b0(1.2, 1.4, 0.3), 300, 12_233_232, 1.827)
_declare("efficientnet_b4", EFFICIENTNET, scale_b0(1.4, 1.8, 0.4), 380, 19_341_616, 4.394)
_declare("efficientnet_b5", EFFICIENTNET, scale_b0(1.6, 2.2, 0.4, PORTED_NORM), 456, 30_389_784, 10.266)
_declare("efficientnet_b6", EFFICIENTNET, scale_b0(1.8, 2.6, 0.5, PORTED_NORM), 528, 43_040_704, 19.068)
_declare("efficientnet_b7", EFFICIENTNET, scale_b0(2.0, 3.1, 0.5, PORTED_NORM), 600, 66_347_960, 37.746)
_declare("efficientnet_v2_s", EFFICIENTNET_V2, Shape(24, V2_S, 1280, 0.2, V2_NORM), 384, 21_458_488, 8.366)
_declare("efficientnet_v2_m", EFFICIENTNET_V2, Shape(24, V2_M, 1280, 0.3, V2_NORM), 480, 54_139_356, 24.582)
_declare("efficientnet_v2_l", EFFICIENTNET_V2, Shape(32, V2_L, 1280, 0.4, V2_NORM), 480, 118_515_272, 56.080)
