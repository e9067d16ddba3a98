"""SqueezeNet: fire modules, which squeeze the channels before they expand them."""

from __future__ import annotations

from collections.abc import Sequence

from striate.models._blocks import sequential
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.merge import Concat
from striate.ops.pool import GlobalAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

SQUEEZENET = Family(
    name="SqueezeNet",
    year=2016,
    paper=(
        "F. Iandola, S. Han, M. Moskewicz, K. Ashraf, W. Dally, K. Keutzer: SqueezeNet: AlexNet-level "
        "accuracy with 50x fewer parameters, arXiv 1602.07360"
    ),
    new=(
        "AlexNet's accuracy with a fiftieth of its weights: most windows shrink to 1x1, and few channels "
        "feed the 3x3 ones."
    ),
    url="https://arxiv.org/abs/1602.07360",
    source="torchvision 0.29.2, weights metadata",
    initializer="squeezenet",
)

POOL = "pool"


def _fire(b: Builder, x: Ref, squeeze: int, expand: int) -> Ref:
    x = b(Conv(squeeze, kernel=1), x, name="squeeze")
    x = b(Relu(), x, name="squeeze_activation")
    one = b(Conv(expand, kernel=1), x, name="expand1x1")
    one = b(Relu(), one, name="expand1x1_activation")
    three = b(Conv(expand, kernel=3, padding=1), x, name="expand3x3")
    three = b(Relu(), three, name="expand3x3_activation")
    return b(Concat(), one, three, name="concat")


def _declare(name: str, stem: Conv, body: Sequence[int | str], params: int, gmacs: float) -> None:
    """`body`: the poolings, and the squeeze filters of each fire module, which expands them fourfold, twice."""

    @model(name, family=SQUEEZENET, params=params, gmacs=gmacs)
    def build(input: Image, num_classes: int = 1000) -> Network:
        b = Builder(name, input=input)
        x = sequential(b, b.input, "features", (stem, Relu()))
        for index, squeeze in enumerate(body, start=2):
            if isinstance(squeeze, str):
                x = b(MaxPool(3, stride=2, ceil=True), x, name=f"features.{index}")
            else:
                with b.scope(f"features.{index}"):
                    x = _fire(b, x, squeeze, 4 * squeeze)
        x = sequential(b, x, "classifier", (Dropout(), Conv(num_classes, kernel=1), Relu(), GlobalAvgPool()))
        return b.build(b(Flatten(), x, name="flatten"))


_declare(
    "squeezenet1_0",
    Conv(96, kernel=7, stride=2),
    (POOL, 16, 16, 32, POOL, 32, 48, 48, 64, POOL, 64),
    1_248_424,
    0.819,
)
_declare(
    "squeezenet1_1",
    Conv(64, kernel=3, stride=2),
    (POOL, 16, 16, POOL, 32, 32, POOL, 48, 48, 64, 64),
    1_235_496,
    0.349,
)
