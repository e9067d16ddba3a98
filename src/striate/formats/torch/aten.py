"""Rules for aten's layers, one per operator; the argument order is aten's (native_functions.yaml).

`rules` defines the form; `arithmetic` has the rules for arithmetic, `moves` those that only move entries.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from striate.formats.importing import need
from striate.formats.torch.rules import (
    OPERATORS,
    Ref,
    Rule,
    axis_of,
    features_last,
    full,
    maps,
    ref,
    standard,
)
from striate.formats.torch.tracing import STOCHASTIC, Constant
from striate.op import Op
from striate.ops import activation as act
from striate.ops import functions, merge, norm, pool, regularize, reshape
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.linear import Linear
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.torch.importing import Site


def _pairs(value: Any, rank: int) -> tuple[int, ...]:
    """One entry per spatial axis; a single entry counts for all."""
    entries = (value,) if isinstance(value, int) else tuple(value)
    return entries * rank if len(entries) == 1 else entries


# ---------------------------------------------------------------------------------------------------- convolution


@maps("conv1d", "conv2d", "conv3d")
def _conv(site: Site, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
          dilation: Any = 1, groups: int = 1) -> Ref:  # fmt: skip
    need(isinstance(weight, Constant), "its weights are computed")
    filters, _, *kernel = weight.tensor.shape
    rank = len(kernel)
    sides: Any
    if isinstance(padding, str):
        total = [d * (k - 1) * (padding == "same") for d, k in zip(_pairs(dilation, rank), kernel)]
        sides = tuple((t // 2, t - t // 2) for t in total)
    else:
        sides = _pairs(padding, rank)
    op = Conv(filters, kernel=tuple(kernel), stride=_pairs(stride, rank), padding=sides,
              dilation=_pairs(dilation, rank), groups=groups, bias=bias is not None)  # fmt: skip
    return site.node(op, standard(site, x), weight=weight, bias=bias)


@maps("convolution")
def _convolution(site: Site, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
                 transposed: bool, output_padding: Any, groups: int) -> Ref:  # fmt: skip
    if transposed:
        upsampled: Ref = _tconv(site, x, weight, bias, stride, padding, output_padding, groups, dilation)
        return upsampled
    y: Ref = _conv(site, x, weight, bias, stride, padding, dilation, groups)
    return y


@maps("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _tconv(site: Site, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
           output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Ref:  # fmt: skip
    need(isinstance(weight, Constant), "its weights are computed")
    _, per_group, *kernel = weight.tensor.shape
    rank = len(kernel)
    op = ConvTranspose(per_group * groups, kernel=tuple(kernel), stride=_pairs(stride, rank),
                       padding=_pairs(padding, rank), output_padding=_pairs(output_padding, rank),
                       dilation=_pairs(dilation, rank), groups=groups, bias=bias is not None)  # fmt: skip
    return site.node(op, standard(site, x), weight=weight, bias=bias)


@maps("linear")
def _linear(site: Site, x: Any, weight: Any, bias: Any = None) -> Ref:
    need(
        isinstance(weight, Constant) and weight.tensor.ndim == 2,
        "its weights are computed, or do not have two axes",
    )
    op = Linear(weight.tensor.shape[0], bias=bias is not None)
    return site.node(op, features_last(site, ref(x)), weight=weight, bias=bias)


@maps("addmm")
def _addmm(site: Site, bias: Any, x: Any, weight: Any) -> Ref:
    need(isinstance(weight, Constant), "its weights are computed")
    return _linear(site, x, Constant(weight.tensor.t(), weight.name), bias)  # type: ignore[no-any-return]


@maps("matmul", "mm", "bmm")
def _matmul(site: Site, x: Any, weight: Any) -> Ref:
    if not isinstance(weight, Constant):
        return site.node(merge.MatMul(), full(site, ref(x)), full(site, ref(weight)))
    need(weight.tensor.ndim == 2, "a product with weights of more than two axes")
    return _linear(site, x, Constant(weight.tensor.t(), weight.name))  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------- pools


def _pool(cls: Any, **more: str) -> Rule:
    """A sliding pool: kernel and stride; `more` reads the remaining arguments."""

    def rule(site: Site, x: Any, kernel: Any, stride: Any = (), *rest: Any, **options: Any) -> Ref:
        value = standard(site, x)
        rank = len(value.spec.spatial)
        settings = dict(zip(more, rest)) | options
        need(settings.pop("divisor_override", None) is None, "divisor_override")
        fields: dict[str, Any] = {
            "kernel": _pairs(kernel, rank),
            "stride": _pairs(stride, rank) if stride else None,
        }
        for name, field in more.items():
            if name in settings:
                setting = settings[name]
                fields[field] = setting if isinstance(setting, bool) else _pairs(setting, rank)
        if fields["stride"] == fields["kernel"]:
            fields["stride"] = None
        return site.node(cls(**fields), value)

    return rule


for _rank in (1, 2, 3):
    _max = _pool(pool.MaxPool, padding="padding", dilation="dilation", ceil_mode="ceil")
    OPERATORS |= dict.fromkeys((f"max_pool{_rank}d", f"max_pool{_rank}d_with_indices"), _max)
    OPERATORS[f"avg_pool{_rank}d"] = _pool(
        pool.AvgPool, padding="padding", ceil_mode="ceil", count_include_pad="count_include_pad",
        divisor_override="divisor_override",
    )  # fmt: skip


def _adaptive(one_bin: Any, parts: Any) -> Rule:
    def rule(site: Site, x: Any, size: Any) -> Ref:
        value = standard(site, x)
        sizes = _pairs(size, len(value.spec.spatial))
        return site.node(one_bin() if set(sizes) == {1} else parts(sizes), value)

    return rule


for _rank in (1, 2, 3):
    OPERATORS[f"adaptive_avg_pool{_rank}d"] = _adaptive(pool.GlobalAvgPool, pool.AdaptiveAvgPool)
    OPERATORS[f"adaptive_max_pool{_rank}d"] = _adaptive(pool.GlobalMaxPool, pool.AdaptiveMaxPool)


# ---------------------------------------------------------------------------------------------------- norms


def _complete(weight: Any, bias: Any, like: Any, size: Sequence[int]) -> tuple[Any, Any]:
    """Scale and shift, both or neither; a missing one is neutral."""
    import torch

    if (weight is None) == (bias is None):
        return weight, bias
    present = weight or bias
    prefix = present.name.rpartition(".")[0]
    if weight is None:
        return Constant(torch.ones(*size), f"{prefix}.weight"), bias
    return weight, Constant(torch.zeros(*size), f"{prefix}.bias")


@maps("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def _bn(site: Site, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: Any = False,
        momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Ref:  # fmt: skip
    if not isinstance(training, bool):  # (…, momentum, eps) without a flag
        training, momentum, eps = False, training, momentum
    need(not training and isinstance(mean, Constant), "it normalizes by batch statistics")
    weight, bias = _complete(weight, bias, mean, mean.tensor.shape)
    op = norm.BatchNorm(eps=eps, momentum=momentum, affine=weight is not None)
    return site.node(op, standard(site, x), weight=weight, bias=bias, running_mean=mean, running_var=variance)


@maps("group_norm")
def _gn(
    site: Site, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Ref:
    value = standard(site, x)
    weight, bias = _complete(weight, bias, None, (value.spec.channels,))
    op = norm.GroupNorm(groups, eps=eps, affine=weight is not None)
    return site.node(op, value, weight=weight, bias=bias)


@maps("instance_norm")
def _in(site: Site, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, batch_statistics: bool, _momentum: float,
        eps: float, *_: Any) -> Ref:  # fmt: skip
    need(batch_statistics, "it normalizes by running statistics")
    op = norm.InstanceNorm(eps=eps, affine=weight is not None)
    return site.node(op, standard(site, x), weight=weight, bias=bias)


@maps("layer_norm")
def _ln(
    site: Site, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Ref:
    value = ref(x)
    weight, bias = _complete(weight, bias, None, tuple(shape))
    if len(shape) == len(value.spec.axes) - 1 and len(shape) > 1:
        kind = "all"
    else:
        need(len(shape) == 1, "it normalizes over only some axes")
        value, kind = features_last(site, value), "channels"
    return site.node(
        norm.LayerNorm(kind, eps=eps, affine=weight is not None), value, weight=weight, bias=bias
    )


# ---------------------------------------------------------------------------------------------------- activations


def _pointwise(cls: Any, *fields: str) -> Rule:
    def rule(site: Site, x: Any, *args: Any, **_: Any) -> Ref:
        return site.node(cls(**dict(zip(fields, args))), ref(x))

    return rule


OPERATORS |= {
    "relu": _pointwise(act.Relu),
    "relu6": _pointwise(act.Relu6),
    "leaky_relu": _pointwise(act.LeakyRelu, "slope"),
    "selu": _pointwise(act.Selu),
    "silu": _pointwise(act.Silu),
    "sigmoid": _pointwise(act.Sigmoid),
    "tanh": _pointwise(act.Tanh),
    "hardsigmoid": _pointwise(act.Hardsigmoid),
    "hardswish": _pointwise(act.Hardswish),
    "mish": _pointwise(act.Mish),
    "softsign": _pointwise(act.Softsign),
    "abs": _pointwise(functions.Abs),
    "exp": _pointwise(functions.Exp),
    "log": _pointwise(functions.Log),
    "erf": _pointwise(functions.Erf),
}


@maps("gelu")
def _gelu(site: Site, x: Any, approximate: str = "none") -> Ref:
    return site.node(act.Gelu(approximate == "tanh"), ref(x))


@maps("celu")
def _celu(site: Site, x: Any, alpha: float = 1.0) -> Ref:
    if alpha == 1:
        return site.node(act.Elu(), ref(x))
    return site.node(Affine(alpha), site.node(act.Elu(), site.node(Affine(1 / alpha), ref(x))))


@maps("elu")
def _elu(site: Site, x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Ref:
    need(scale == input_scale == 1, "a scaled ELU")
    return site.node(act.Elu(alpha), ref(x))


@maps("softplus")
def _softplus(site: Site, x: Any, beta: float = 1.0, _threshold: float = 20.0) -> Ref:
    need(beta == 1, f"beta {beta}")
    return site.node(act.Softplus(), ref(x))


@maps("clamp", "hardtanh", "clamp_min")
def clamp(site: Site, x: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Ref:
    """Clip to two bounds, either of which may be missing."""
    bounds = (low if low is not None else min, high if high is not None else max)
    need(all(bound is None or isinstance(bound, int | float) for bound in bounds), "bounds that are tensors")
    usual: dict[Any, Op] = {(0, None): act.Relu(), (0, 6): act.Relu6()}
    return site.node(usual.get(bounds) or Clip(*bounds), ref(x))


@maps("prelu")
def _prelu(site: Site, x: Any, weight: Any) -> Ref:
    need(isinstance(weight, Constant), "its weights are computed")
    return site.node(
        act.Prelu("each" if weight.tensor.numel() > 1 else "shared"), standard(site, x), weight=weight
    )


def _along_axis(cls: Any) -> Rule:
    def rule(site: Site, x: Any, dim: int, *_: Any, **__: Any) -> Ref:
        return site.node(cls(axis_of(ref(x), dim)), ref(x))

    return rule


OPERATORS |= {
    "softmax": _along_axis(act.Softmax),
    "_softmax": _along_axis(act.Softmax),
    "log_softmax": _along_axis(act.LogSoftmax),
    "_log_softmax": _along_axis(act.LogSoftmax),
}


# ---------------------------------------------------------------------------------------------------- regularization


@maps("dropout")
def _dropout(site: Site, x: Any, rate: float = 0.5, *_: Any) -> Ref:
    cls = regularize.StochasticDepth if site.module in STOCHASTIC else regularize.Dropout
    return site.node(cls(rate), ref(x))


@maps("to", "_to_copy", "type_as")
def _cast(_site: Site, x: Any, *args: Any, **options: Any) -> Any:
    """Ignore a cast to another float type or device."""
    import torch

    arguments = (*args, *options.values())
    kinds = [a for a in arguments if isinstance(a, torch.dtype)]
    kinds += [a.tensor.dtype for a in arguments if isinstance(a, Constant)]
    need(all(kind.is_floating_point for kind in kinds), "a cast to whole numbers")
    return x


@maps("alias", "detach", "contiguous", "clone", "lift_fresh_copy", "feature_dropout",
      "alpha_dropout", "feature_alpha_dropout", "requires_grad", "float")  # fmt: skip
def _same(_site: Site, x: Any, *_: Any, **__: Any) -> Any:
    return x


@maps("expand", "expand_as")
def _expand(site: Site, x: Any, *_: Any, **__: Any) -> Any:
    """A broadcast value stays small, because most ops broadcast it anyway."""
    value = ref(x)
    shape = site.shape[1:]
    need(len(shape) == len(value.spec.shape) - 1, "a value repeated along new axes")
    return value if shape == value.spec.shape[1:] else dataclasses.replace(value, wide=shape)


# ---------------------------------------------------------------------------------------------------- whole modules


def _lp_pool(site: Site, m: Any, x: Ref) -> Ref:
    """(sum of x^p)^(1/p) over each window; torch multiplies the mean by the window size and takes no absolute value."""
    value = standard(site, x)
    rank, p = len(value.spec.spatial), float(m.norm_type)
    kernel = _pairs(m.kernel_size, rank)
    stride = _pairs(m.stride, rank) if m.stride is not None else None
    need(p > 0, f"a norm of order {p:g}")
    even = p % 2 == 0
    if even and not m.ceil_mode:
        return site.node(pool.LpPool(kernel, int(p), None if stride == kernel else stride), value)
    powers = value if p == 1 else site.node(functions.Pow(p), value)
    ceil = bool(m.ceil_mode)
    mean = site.node(pool.AvgPool(kernel, None if stride == kernel else stride, ceil=ceil), powers)
    total = site.node(Affine(float(math.prod(kernel))), mean)
    return total if p == 1 else site.node(functions.Pow(1 / p), total)


MODULES: dict[str, Callable[[Site, Any, Ref], Ref]] = {
    "LocalResponseNorm": lambda site, m, x: site.node(
        norm.LocalResponseNorm(m.size, alpha=m.alpha, beta=m.beta, k=m.k), standard(site, x)
    ),
    "LPPool1d": _lp_pool,
    "LPPool2d": _lp_pool,
    "LPPool3d": _lp_pool,
    "ChannelShuffle": lambda site, m, x: site.node(reshape.ChannelShuffle(m.groups), standard(site, x)),
}
"""torch.nn modules that are recognized by class, because their operators say less."""
RECURRENT = (
    "MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer",
    "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell",
)  # fmt: skip
"""torch.nn modules without a counterpart that become one opaque node, instead of dozens of operators."""
