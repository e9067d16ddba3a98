"""Inception v3: GoogLeNet with every large window taken apart. Block and branch names are torchvision's."""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.models.googlenet import basic_conv
from striate.network import Builder, Network, Ref
from striate.ops.linear import Linear
from striate.ops.merge import Concat
from striate.ops.pool import AvgPool, GlobalAvgPool, MaxPool
from striate.ops.regularize import Dropout
from striate.ops.reshape import Flatten

INCEPTION = Family(
    name="Inception v3",
    year=2015,
    paper=(
        "C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception Architecture "
        "for Computer Vision, CVPR 2016 (arXiv 1512.00567)"
    ),
    new="A 7x7 window is a 1x7 after a 7x1: factorized windows buy depth and width for the same cost.",
    url="https://arxiv.org/abs/1512.00567",
    source="torchvision 0.29.2, weights metadata",
    initializer="inception",
)

# A branch is a chain of (name, filters, kernel height x width, stride, padded to keep the size?).
ConvFields = tuple[str, int, tuple[int, int], int, bool]


def _step(
    name: str, filters: int, height: int, width: int | None = None, stride: int = 1, same: bool = True
) -> ConvFields:
    return name, filters, (height, width or height), stride, same


def _chain(b: Builder, x: Ref, *steps: ConvFields) -> Ref:
    for name, filters, kernel, stride, same in steps:
        padding = tuple(size // 2 if same else 0 for size in kernel)
        x = basic_conv(b, x, name, filters, kernel, stride=stride, padding=padding)
    return x


def _pool_branch(b: Builder, x: Ref, filters: int) -> Ref:
    x = b(AvgPool(3, stride=1, padding=1), x, name="pool")
    return _chain(b, x, _step("branch_pool", filters, 1))


def _block_a(b: Builder, x: Ref, name: str, pool_filters: int) -> Ref:
    """35x35: 1x1, 5x5, two 3x3, pooling."""
    with b.scope(name):
        one = _chain(b, x, _step("branch1x1", 64, 1))
        five = _chain(b, x, _step("branch5x5_1", 48, 1), _step("branch5x5_2", 64, 5))
        double = _chain(
            b,
            x,
            _step("branch3x3dbl_1", 64, 1),
            _step("branch3x3dbl_2", 96, 3),
            _step("branch3x3dbl_3", 96, 3),
        )
        return b(Concat(), one, five, double, _pool_branch(b, x, pool_filters), name="concat")


def _block_b(b: Builder, x: Ref, name: str) -> Ref:
    """35x35 -> 17x17."""
    with b.scope(name):
        three = _chain(b, x, _step("branch3x3", 384, 3, stride=2, same=False))
        double = _chain(
            b,
            x,
            _step("branch3x3dbl_1", 64, 1),
            _step("branch3x3dbl_2", 96, 3),
            _step("branch3x3dbl_3", 96, 3, stride=2, same=False),
        )
        return b(Concat(), three, double, b(MaxPool(3, stride=2), x, name="pool"), name="concat")


def _block_c(b: Builder, x: Ref, name: str, inner: int) -> Ref:
    """17x17: windows of 7 taken apart into 1x7 and 7x1."""
    with b.scope(name):
        one = _chain(b, x, _step("branch1x1", 192, 1))
        seven = _chain(
            b,
            x,
            _step("branch7x7_1", inner, 1),
            _step("branch7x7_2", inner, 1, 7),
            _step("branch7x7_3", 192, 7, 1),
        )
        double = _chain(
            b,
            x,
            _step("branch7x7dbl_1", inner, 1),
            _step("branch7x7dbl_2", inner, 7, 1),
            _step("branch7x7dbl_3", inner, 1, 7),
            _step("branch7x7dbl_4", inner, 7, 1),
            _step("branch7x7dbl_5", 192, 1, 7),
        )
        return b(Concat(), one, seven, double, _pool_branch(b, x, 192), name="concat")


def _block_d(b: Builder, x: Ref, name: str) -> Ref:
    """17x17 -> 8x8."""
    with b.scope(name):
        three = _chain(b, x, _step("branch3x3_1", 192, 1), _step("branch3x3_2", 320, 3, stride=2, same=False))
        seven = _chain(
            b,
            x,
            _step("branch7x7x3_1", 192, 1),
            _step("branch7x7x3_2", 192, 1, 7),
            _step("branch7x7x3_3", 192, 7, 1),
            _step("branch7x7x3_4", 192, 3, stride=2, same=False),
        )
        return b(Concat(), three, seven, b(MaxPool(3, stride=2), x, name="pool"), name="concat")


def _fan(b: Builder, x: Ref, name: str) -> Ref:
    """1x3 and 3x1 in parallel, concatenated: the 8x8 maps are too small to take depth, so they get width."""
    rows = _chain(b, x, _step(f"{name}a", 384, 1, 3))
    columns = _chain(b, x, _step(f"{name}b", 384, 3, 1))
    return b(Concat(), rows, columns, name=f"{name}_concat")


def _block_e(b: Builder, x: Ref, name: str) -> Ref:
    """8x8."""
    with b.scope(name):
        one = _chain(b, x, _step("branch1x1", 320, 1))
        three = _fan(b, _chain(b, x, _step("branch3x3_1", 384, 1)), "branch3x3_2")
        double = _chain(b, x, _step("branch3x3dbl_1", 448, 1), _step("branch3x3dbl_2", 384, 3))
        double = _fan(b, double, "branch3x3dbl_3")
        return b(Concat(), one, three, double, _pool_branch(b, x, 192), name="concat")


def _auxiliary(b: Builder, x: Ref, num_classes: int) -> Ref:
    with b.scope("AuxLogits"):
        x = b(AvgPool(5, stride=3), x, name="pool")
        x = _chain(b, x, _step("conv0", 128, 1), _step("conv1", 768, 5, same=False))
        x = b(Flatten(), b(GlobalAvgPool(), x, name="avgpool"), name="flatten")
        return b(Linear(num_classes), x, name="fc")


@model(
    "inception_v3",
    family=INCEPTION,
    input=(3, 299, 299),
    params=27_161_264,
    gmacs=5.713,
    params_with={"aux": True},
    note=(
        "the published parameters include the auxiliary classifier (aux=True, 3326696 of them), the "
        "published MACs do not"
    ),
)
def inception_v3(input: Image, num_classes: int = 1000, aux: bool = False) -> Network:
    """Stem to 35x35, then blocks at 35x35, 17x17 and 8x8."""
    b = Builder("inception_v3", input=input)
    x = _chain(
        b,
        b.input,
        _step("Conv2d_1a_3x3", 32, 3, stride=2, same=False),
        _step("Conv2d_2a_3x3", 32, 3, same=False),
        _step("Conv2d_2b_3x3", 64, 3),
    )
    x = b(MaxPool(3, stride=2), x, name="maxpool1")
    x = _chain(b, x, _step("Conv2d_3b_1x1", 80, 1), _step("Conv2d_4a_3x3", 192, 3, same=False))
    x = b(MaxPool(3, stride=2), x, name="maxpool2")
    for name, pool_filters in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_a(b, x, name, pool_filters)
    x = _block_b(b, x, "Mixed_6a")
    for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_c(b, x, name, inner)
    auxiliary = [_auxiliary(b, x, num_classes)] if aux else []
    x = _block_d(b, x, "Mixed_7a")
    for name in ("Mixed_7b", "Mixed_7c"):
        x = _block_e(b, x, name)
    x = b(Dropout(), b(GlobalAvgPool(), x, name="avgpool"), name="dropout")
    x = b(Linear(num_classes), b(Flatten(), x, name="flatten"), name="fc")
    return b.build(x, *auxiliary)
