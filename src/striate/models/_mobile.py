"""Pieces of the mobile families: conv + norm + activation, squeeze-and-excitation, inverted residual.

Decides their node names, which follow the torchvision modules of the same job, so that its weights
load by name. Knows no network.
"""

from __future__ import annotations

from striate.models._blocks import sequential
from striate.network import Builder, Ref
from striate.op import Op
from striate.ops.activation import Relu, Sigmoid
from striate.ops.conv import Conv
from striate.ops.merge import Add, Multiply
from striate.ops.norm import BatchNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import StochasticDepth

BATCH_NORM = BatchNorm()
RELU = Relu()


def round_channels(channels: float, divisor: int = 8) -> int:
    """`channels` rounded to the nearest multiple of `divisor`, but never to less than nine tenths.

    Source: MobileNetV2's reference code, used by every family with a width multiplier.

    >>> round_channels(32 * 1.4), round_channels(16 * 0.35)
    (48, 8)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def conv_norm(
    b: Builder,
    x: Ref,
    filters: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    name: str,
    groups: int = 1,
    norm: Op = BATCH_NORM,
    act: Op | None = RELU,
) -> Ref:
    """Convolution without bias, norm, activation, as `name`.0, .1, .2.

    (N, C, H, W) -> (N, filters, H/stride, W/stride) rounded up: half padding.
    """
    conv = Conv(filters, kernel=kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return sequential(b, x, name, (conv, norm, act) if act else (conv, norm))


def squeeze_excite(
    b: Builder, x: Ref, squeezed: int, *, name: str, act: Op = RELU, gate: Op | None = None
) -> Ref:
    """Weigh the channels by what their means say: 1x1 down to `squeezed`, `act`, 1x1 up, `gate`, multiply.

    The shape stays; `gate` None is the sigmoid.
    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, figure 1.
    """
    with b.scope(name):
        y = b(GlobalAvgPool(), x, name="avgpool")
        y = b(act, b(Conv(squeezed, kernel=1), y, name="fc1"), name="activation")
        y = b(Conv(x.spec.channels, kernel=1), y, name="fc2")
        return b(Multiply(), x, b(gate or Sigmoid(), y, name="scale_activation"), name="mul")


def inverted_residual(
    b: Builder,
    x: Ref,
    filters: int,
    kernel: int,
    stride: int,
    *,
    expanded: int,
    act: Op,
    norm: Op,
    squeezed: int = 0,
    squeeze_act: Op = RELU,
    gate: Op | None = None,
    drop: float | None = None,
    fused: bool = False,
) -> Ref:
    """Expand by 1x1, filter each channel, squeeze-and-excite, project by 1x1; add the input if it fits.

    `expanded` equal to the input's channels leaves the expansion out, `squeezed` of 0 the squeeze; `fused`
    makes one full convolution of expansion and depthwise step. `drop` is the stochastic-depth rate (None: no
    such node).
    Nodes are `block.0`, `block.1`, … inside the current scope.
    """
    y, channels, step = x, x.spec.channels, iter(f"block.{i}" for i in range(4))
    if fused and expanded == channels:
        y = conv_norm(b, y, filters, kernel, stride, name=next(step), norm=norm, act=act)
    elif fused:
        y = conv_norm(b, y, expanded, kernel, stride, name=next(step), norm=norm, act=act)
        y = conv_norm(b, y, filters, 1, name=next(step), norm=norm, act=None)
    else:
        if expanded != channels:
            y = conv_norm(b, y, expanded, 1, name=next(step), norm=norm, act=act)
        y = conv_norm(b, y, expanded, kernel, stride, name=next(step), groups=expanded, norm=norm, act=act)
        if squeezed:
            y = squeeze_excite(b, y, squeezed, name=next(step), act=squeeze_act, gate=gate)
        y = conv_norm(b, y, filters, 1, name=next(step), norm=norm, act=None)
    if stride != 1 or filters != channels:
        return y
    if drop is not None:
        y = b(StochasticDepth(drop), y, name="stochastic_depth")
    return b(Add(), y, x, name="add")
