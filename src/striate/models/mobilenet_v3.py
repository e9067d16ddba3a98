"""MobileNet V3, large and small: searched blocks with squeeze-and-excitation. Names as in torchvision."""

from __future__ import annotations

from functools import partial

from striate.models._blocks import sequential
from striate.models._mobile import RELU, conv_norm, inverted_residual, round_channels
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Hardsigmoid, Hardswish
from striate.ops.linear import Linear
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

MOBILENET_V3 = Family(
    name="MobileNet V3",
    year=2019,
    paper="A. Howard et al.: Searching for MobileNetV3, ICCV 2019",
    new="Blocks found by search for the phone, a cheap activation (hard swish), a shorter last stage.",
    url="https://arxiv.org/abs/1905.02244",
    source="torchvision 0.29.2, MobileNet_V3_*_Weights meta",
    initializer="vgg",
)

NORM = BatchNorm(eps=1e-3, momentum=0.01)
SWISH = Hardswish()

Row = tuple[int, int, int, bool, bool, int]
"""Tables 1 and 2: kernel, expanded channels, filters, squeeze-and-excite, hard swish (else ReLU), stride."""

LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
SIZES = {
    "mobilenet_v3_large": (LARGE, 1280, 5_483_032, 0.217),
    "mobilenet_v3_small": (SMALL, 1024, 2_542_856, 0.057),
}


def mobilenet_v3(
    name: str, rows: tuple[Row, ...], hidden: int, input: Image, num_classes: int = 1000
) -> Network:
    """MobileNet V3 from the rows of its table; `hidden` is the width of the layer before the classifier."""
    b = Builder(name, input=input)
    x = conv_norm(b, b.input, 16, stride=2, norm=NORM, act=SWISH, name="features.0")
    for index, (kernel, expanded, filters, squeeze, swish, stride) in enumerate(rows, 1):
        with b.scope(f"features.{index}"):
            x = inverted_residual(
                b, x, filters, kernel, stride, expanded=expanded, act=SWISH if swish else RELU, norm=NORM,
                squeezed=round_channels(expanded // 4) if squeeze else 0, gate=Hardsigmoid(),
            )  # fmt: skip
    x = conv_norm(b, x, 6 * x.spec.channels, 1, norm=NORM, act=SWISH, name=f"features.{len(rows) + 1}")
    x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
    classifier = Linear(hidden), SWISH, Dropout(0.2), Linear(num_classes)
    return b.build(sequential(b, x, "classifier", classifier))


for _name, (_rows, _hidden, _params, _gmacs) in SIZES.items():
    model(_name, family=MOBILENET_V3, params=_params, gmacs=_gmacs)(
        partial(mobilenet_v3, _name, _rows, _hidden)
    )
