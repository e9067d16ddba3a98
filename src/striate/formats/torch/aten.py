"""What each operator of aten is here: one function per operator, called as `f(site, *args, **kwargs)`.

Values are Refs, tensors of the module are Constants, everything else is plain; a function raises Unknown for what it
does not cover, and the operator becomes opaque. Argument order is aten's own (native_functions.yaml).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from striate.formats.torch.tracing import STOCHASTIC, Constant
from striate.op import Op
from striate.ops import activation as act
from striate.ops import functions, merge, norm, pool, regularise, reshape
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.functions import Pow
from striate.ops.gather import Gather
from striate.ops.linear import Linear
from striate.ops.reduce import Reduce
from striate.ops.scalar import Affine, Clip
from striate.tensor import SPATIAL

if TYPE_CHECKING:
    from striate.formats.torch.importing import Ref, Site

Rule = Callable[..., Any]
OPERATORS: dict[str, Rule] = {}


class Unknown(Exception):
    """This use of an operator has no counterpart here."""


def maps(*operators: str) -> Callable[[Rule], Rule]:
    """Register what these operators are."""

    def add(rule: Rule) -> Rule:
        OPERATORS.update(dict.fromkeys(operators, rule))
        return rule

    return add


def need(condition: Any) -> None:
    """Raise Unknown unless the condition holds."""
    if not condition:
        raise Unknown


def ref(x: Any) -> Ref:
    """x, which is a value of the network."""
    from striate.formats.torch.importing import Ref

    need(isinstance(x, Ref))
    found: Ref = x
    return found


def named(site: Site, x: Ref, axes: Sequence[str]) -> Ref:
    """x with its axes called otherwise; not one number moves."""
    if x.spec.axes == tuple(axes):
        return x
    usual = tuple(axes) == ("N", "C", *SPATIAL[len(axes) - 2])
    made = site.node(reshape.Reshape(x.spec.shape[1:], None if usual else "".join(axes[1:])), x)
    return dataclasses.replace(made, wide=x.wide)


def features_last(site: Site, x: Ref) -> Ref:
    """x with its last axis called the channels, as what mixes or normalises that axis takes it."""
    axes = x.spec.axes
    return x if axes[-1] == "C" else named(site, x, ("N", *SPATIAL[len(axes) - 2], "C"))


def standard(site: Site, x: Ref) -> Ref:
    """x with its axes called N, C and space, as torch takes them by their places."""
    return named(site, x, ("N", "C", *SPATIAL[len(x.spec.axes) - 2]))


def spread(site: Site, x: Ref, whole: Sequence[int]) -> Ref:
    """x with its axes of size 1 repeated to a shape without the batch."""
    need(len(whole) == len(x.spec.shape) - 1)
    for axis, wanted in zip(x.spec.axes[1:], whole):
        size = x.spec.size(axis)
        if size != wanted:
            need(size == 1)
            x = site.node(Gather((0,) * wanted, axis), x)
    return x


def full(site: Site, x: Ref) -> Ref:
    """x in its own size, where torch has repeated it."""
    return x if x.wide is None else spread(site, dataclasses.replace(x, wide=None), x.wide)


def together(site: Site, *values: Ref) -> list[Ref]:
    """Values whose axes have the same names, and which give the size that torch gives."""
    need(len({len(v.spec.shape) for v in values}) == 1)
    largest = max(values, key=lambda v: v.spec.elements)
    found = [named(site, v, largest.spec.axes) for v in values]
    sizes = zip(*(v.spec.shape[1:] for v in found))
    if tuple(map(max, sizes)) != tuple(site.shape[1:]):
        found[0] = spread(site, found[0], site.shape[1:])
    return [dataclasses.replace(v, wide=None) for v in found]


def _pairs(value: Any, rank: int) -> tuple[int, ...]:
    """One entry per spatial axis; torch repeats a single one."""
    found = (value,) if isinstance(value, int) else tuple(value)
    return found * rank if len(found) == 1 else found


# ---------------------------------------------------------------------------------------------------- convolution


@maps("conv1d", "conv2d", "conv3d")
def _conv(site: Site, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
          dilation: Any = 1, groups: int = 1) -> Ref:  # fmt: skip
    need(isinstance(weight, Constant))
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
    return site.node(op, ref(x), weight=weight, bias=bias)


@maps("convolution")
def _convolution(site: Site, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
                 transposed: bool, output_padding: Any, groups: int) -> Ref:  # fmt: skip
    if transposed:
        spread: Ref = _tconv(site, x, weight, bias, stride, padding, output_padding, groups, dilation)
        return spread
    made: Ref = _conv(site, x, weight, bias, stride, padding, dilation, groups)
    return made


@maps("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _tconv(site: Site, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
           output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Ref:  # fmt: skip
    need(isinstance(weight, Constant))
    _, each, *kernel = weight.tensor.shape
    rank = len(kernel)
    op = ConvTranspose(each * groups, kernel=tuple(kernel), stride=_pairs(stride, rank), padding=_pairs(padding, rank),
                       output_padding=_pairs(output_padding, rank), dilation=_pairs(dilation, rank), groups=groups,
                       bias=bias is not None)  # fmt: skip
    return site.node(op, ref(x), weight=weight, bias=bias)


@maps("linear")
def _linear(site: Site, x: Any, weight: Any, bias: Any = None) -> Ref:
    need(isinstance(weight, Constant) and weight.tensor.ndim == 2)
    op = Linear(weight.tensor.shape[0], bias=bias is not None)
    return site.node(op, features_last(site, ref(x)), weight=weight, bias=bias)


@maps("addmm")
def _addmm(site: Site, bias: Any, x: Any, weight: Any) -> Ref:
    need(isinstance(weight, Constant))
    return _linear(site, x, Constant(weight.tensor.t(), weight.name), bias)  # type: ignore[no-any-return]


@maps("matmul", "mm", "bmm")
def _matmul(site: Site, x: Any, weight: Any) -> Ref:
    if not isinstance(weight, Constant):
        return site.node(merge.MatMul(), full(site, ref(x)), full(site, ref(weight)))
    need(weight.tensor.ndim == 2)
    return _linear(site, x, Constant(weight.tensor.t(), weight.name))  # type: ignore[no-any-return]


@maps("scaled_dot_product_attention")
def _attention(site: Site, q: Any, k: Any, v: Any, mask: Any = None, rate: float = 0.0, causal: bool = False, *,
               scale: float | None = None, **_: Any) -> Ref:  # fmt: skip
    need(mask is None and not rate and not causal)
    query, key = ref(q), ref(k)
    need(len(query.spec.shape) == len(key.spec.shape) > 2)
    axes = key.spec.axes
    turned = site.node(reshape.Permute("".join((*axes[1:-2], axes[-1], axes[-2]))), key)
    small = _affine(site, query, 1 / math.sqrt(query.spec.shape[-1]) if scale is None else scale)
    likeness = site.node(merge.MatMul(), small, turned)
    return site.node(merge.MatMul(), site.node(act.Softmax(likeness.spec.axes[-1]), likeness), ref(v))


# ---------------------------------------------------------------------------------------------------- pools


def _pool(cls: Any, **more: str) -> Rule:
    """A sliding pool: kernel and stride, then what `more` says of the remaining arguments."""

    def rule(site: Site, x: Any, kernel: Any, stride: Any = (), *rest: Any, **named: Any) -> Ref:
        value = ref(x)
        rank = len(value.spec.spatial)
        given = dict(zip(more, rest)) | named
        need(given.pop("divisor_override", None) is None)
        fields: dict[str, Any] = {
            "kernel": _pairs(kernel, rank),
            "stride": _pairs(stride, rank) if stride else None,
        }
        for name, field in more.items():
            if name in given:
                found = given[name]
                fields[field] = found if isinstance(found, bool) else _pairs(found, rank)
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


def _adaptive(whole: Any, parts: Any) -> Rule:
    def rule(site: Site, x: Any, size: Any) -> Ref:
        value = ref(x)
        sizes = _pairs(size, len(value.spec.spatial))
        return site.node(whole() if set(sizes) == {1} else parts(sizes), value)

    return rule


for _rank in (1, 2, 3):
    OPERATORS[f"adaptive_avg_pool{_rank}d"] = _adaptive(pool.GlobalAvgPool, pool.AdaptiveAvgPool)
    OPERATORS[f"adaptive_max_pool{_rank}d"] = _adaptive(pool.GlobalMaxPool, pool.AdaptiveMaxPool)


GLOBAL: dict[str, type[Op]] = {"mean": pool.GlobalAvgPool, "max": pool.GlobalMaxPool}


def reduced(site: Site, x: Any, function: str, dims: Any = (), keepdim: bool = False) -> Ref:
    """One number in place of some axes. A mean or maximum over all positions is a global pool."""
    value = ref(x)
    spec = value.spec
    rank = len(spec.axes)
    at = {d % rank for d in ((dims,) if isinstance(dims, int) else dims or range(rank))}
    over = "".join(axis for k, axis in enumerate(spec.axes) if k in at)
    need(over and 0 not in at)
    if function in GLOBAL and set(over) == set(spec.spatial_axes):
        order, usual = "".join(spec.axes[1:]), "".join(("C", *spec.spatial_axes))
        moved = value if order == usual else site.node(reshape.Permute(usual), value)
        made = site.node(GLOBAL[function](), moved)
        if not keepdim:
            return site.node(reshape.Flatten(), made)
        return made if order == usual else site.node(reshape.Permute(order), made)
    made = site.node(Reduce(function, over), value)
    if keepdim:
        return made
    left = tuple(n for k, n in enumerate(spec.shape) if k and k not in at)
    need(left)
    return site.node(reshape.Flatten() if len(left) == 1 else reshape.Reshape(left), made)


def _reduction(function: str) -> Rule:
    return lambda site, x, dims=(), keepdim=False, **_: reduced(site, x, function, dims, keepdim)


OPERATORS |= {
    "mean": _reduction("mean"), "sum": _reduction("sum"), "amax": _reduction("max"), "amin": _reduction("min"),
}  # fmt: skip


@maps("max", "min")
def _extreme(site: Site, x: Any, y: Any = None, keepdim: bool = False) -> Ref:
    """Of two values, or along an axis; its places are not looked at."""
    if isinstance(y, int):
        return reduced(site, x, site.operator, y, keepdim)
    return _extremes(site, x, y)  # type: ignore[no-any-return]


@maps("maximum", "minimum")
def _extremes(site: Site, x: Any, y: Any) -> Ref:
    largest = site.operator.startswith("max")
    if isinstance(x, Constant):
        x, y = y, x
    if (bound := _number(y)) is not None:
        return _clamp(site, x, bound) if largest else _clamp(site, x, None, bound)  # type: ignore[no-any-return]
    if not isinstance(y, Constant):
        cls = merge.Maximum if largest else merge.Minimum
        return site.node(cls(), *together(site, ref(x), ref(y)))
    # max(x, t) = max(x - t, 0) + t, and min(x, t) = -max(t - x, 0) + t.
    tensor = y.tensor.detach()
    over = tensor_beside(
        site, ref(x), "bias", Constant(-tensor if largest else tensor, ""), 1.0 if largest else -1.0
    )
    return tensor_beside(site, site.node(act.Relu(), over), "bias", y, 1.0 if largest else -1.0)


@maps("norm", "linalg_vector_norm")
def _norm(site: Site, x: Any, order: Any = 2, dims: Any = (), keepdim: bool = False, **_: Any) -> Ref:
    need(order in (1, 2) and dims is not None)
    return reduced(site, x, f"l{int(order)}", dims, keepdim)


@maps("var", "std")
def _variance(site: Site, x: Any, dims: Any = (), unbiased: Any = True, keepdim: bool = False, *,
              correction: float | None = None, **_: Any) -> Ref:  # fmt: skip
    """The mean square of what is left without the mean; torch divides by one less unless told not to."""
    value = ref(x)
    rank = len(value.spec.axes)
    at = [d % rank for d in ((dims,) if isinstance(dims, int) else dims or range(1, rank))]
    count = math.prod(value.spec.shape[d] for d in at)
    less = correction if correction is not None else float(bool(unbiased))
    need(count > less)
    mean = _affine(site, reduced(site, value, "mean", at, True), -1.0)
    centred = site.node(merge.Add(), value, mean)
    found = _affine(
        site, reduced(site, site.node(Pow(2.0), centred), "mean", at, keepdim), count / (count - less)
    )
    return site.node(Pow(0.5), found) if site.operator == "std" else found


# ---------------------------------------------------------------------------------------------------- norms


def _filled(weight: Any, bias: Any, like: Any, size: Sequence[int]) -> tuple[Any, Any]:
    """Scale and shift, both or neither; the one that is missing does nothing."""
    import torch

    if (weight is None) == (bias is None):
        return weight, bias
    named = weight or bias
    prefix = named.name.rpartition(".")[0]
    if weight is None:
        return Constant(torch.ones(*size), f"{prefix}.weight"), bias
    return weight, Constant(torch.zeros(*size), f"{prefix}.bias")


@maps("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def _bn(site: Site, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: Any = False,
        momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Ref:  # fmt: skip
    if not isinstance(training, bool):  # (…, momentum, eps) without a flag
        training, momentum, eps = False, training, momentum
    need(not training and isinstance(mean, Constant))
    weight, bias = _filled(weight, bias, mean, mean.tensor.shape)
    op = norm.BatchNorm(eps=eps, momentum=momentum, affine=weight is not None)
    return site.node(op, ref(x), weight=weight, bias=bias, running_mean=mean, running_var=variance)


@maps("group_norm")
def _gn(
    site: Site, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Ref:
    value = ref(x)
    weight, bias = _filled(weight, bias, None, (value.spec.channels,))
    op = norm.GroupNorm(groups, eps=eps, affine=weight is not None)
    return site.node(op, value, weight=weight, bias=bias)


@maps("instance_norm")
def _in(site: Site, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, batch_statistics: bool, _momentum: float,
        eps: float, *_: Any) -> Ref:  # fmt: skip
    need(batch_statistics)
    op = norm.InstanceNorm(eps=eps, affine=weight is not None)
    return site.node(op, ref(x), weight=weight, bias=bias)


@maps("layer_norm")
def _ln(
    site: Site, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Ref:
    value = ref(x)
    weight, bias = _filled(weight, bias, None, tuple(shape))
    if len(shape) == len(value.spec.axes) - 1 and len(shape) > 1:
        kind = "all"
    else:
        need(len(shape) == 1)
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


def _power(exponent: float) -> Rule:
    return lambda site, x: site.node(Pow(exponent), ref(x))


OPERATORS |= {
    "square": _power(2.0), "sqrt": _power(0.5), "rsqrt": _power(-0.5), "reciprocal": _power(-1.0),
}  # fmt: skip


@maps("pow")
def _pow(site: Site, x: Any, exponent: Any) -> Ref:
    power = _number(exponent)
    need(power is not None)
    assert power is not None
    return ref(x) if power == 1 else site.node(Pow(power), ref(x))


@maps("log_sigmoid")
def _log_sigmoid(site: Site, x: Any) -> Ref:
    return _affine(site, site.node(act.Softplus(), _affine(site, x, -1.0)), -1.0)


@maps("gelu")
def _gelu(site: Site, x: Any, approximate: str = "none") -> Ref:
    return site.node(act.Gelu(approximate == "tanh"), ref(x))


@maps("elu", "celu")
def _elu(site: Site, x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Ref:
    need(scale == input_scale == 1)
    return site.node(act.Elu(alpha), ref(x))


@maps("softplus")
def _softplus(site: Site, x: Any, beta: float = 1.0, _threshold: float = 20.0) -> Ref:
    need(beta == 1)
    return site.node(act.Softplus(), ref(x))


@maps("clamp", "hardtanh", "clamp_min")
def _clamp(site: Site, x: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Ref:
    bounds = (low if low is not None else min, high if high is not None else max)
    need(all(bound is None or isinstance(bound, int | float) for bound in bounds))
    usual: dict[Any, Op] = {(0, None): act.Relu(), (0, 6): act.Relu6()}
    return site.node(usual.get(bounds) or Clip(*bounds), ref(x))


@maps("prelu")
def _prelu(site: Site, x: Any, weight: Any) -> Ref:
    need(isinstance(weight, Constant))
    return site.node(act.Prelu("each" if weight.tensor.numel() > 1 else "shared"), ref(x), weight=weight)


def _shares(cls: Any) -> Rule:
    def rule(site: Site, x: Any, dim: int, *_: Any, **__: Any) -> Ref:
        axis = ref(x).spec.axes[dim]
        need(axis != "N")
        return site.node(cls(axis), ref(x))

    return rule


OPERATORS |= {
    "softmax": _shares(act.Softmax),
    "_softmax": _shares(act.Softmax),
    "log_softmax": _shares(act.LogSoftmax),
    "_log_softmax": _shares(act.LogSoftmax),
}


# ---------------------------------------------------------------------------------------------------- regularisation


@maps("dropout")
def _dropout(site: Site, x: Any, rate: float = 0.5, *_: Any) -> Ref:
    cls = regularise.StochasticDepth if site.module in STOCHASTIC else regularise.Dropout
    return site.node(cls(rate), ref(x))


@maps("alias", "detach", "contiguous", "clone", "to", "_to_copy", "lift_fresh_copy", "feature_dropout", "type_as",
      "alpha_dropout", "feature_alpha_dropout", "requires_grad", "float")  # fmt: skip
def _same(_site: Site, x: Any, *_: Any, **__: Any) -> Any:
    return x


@maps("expand", "expand_as")
def _expand(site: Site, x: Any, *_: Any, **__: Any) -> Any:
    """What is only repeated stays small: most who read it repeat it anyhow."""
    value = ref(x)
    shape = site.shape[1:]
    need(len(shape) == len(value.spec.shape) - 1)
    return value if shape == value.spec.shape[1:] else dataclasses.replace(value, wide=shape)


# ---------------------------------------------------------------------------------------------------- arithmetic


def _number(y: Any) -> float | None:
    """A plain number, or a constant tensor of one."""
    if isinstance(y, int | float) and not isinstance(y, bool):
        return float(y)
    if isinstance(y, Constant) and y.tensor.numel() == 1 and y.tensor.device.type != "meta":
        return float(y.tensor)
    return None


def _affine(site: Site, x: Any, factor: float, offset: float = 0.0) -> Ref:
    value = full(site, ref(x))
    need(math.isfinite(factor) and math.isfinite(offset))
    return value if (factor, offset) == (1.0, 0.0) else site.node(Affine(factor, offset), value)


@maps("add")
def _add(site: Site, x: Any, y: Any, *, alpha: float = 1) -> Ref:
    if _number(x) is not None:
        x, y = _affine(site, y, float(alpha)), x
        alpha = 1
    if (shift := _number(y)) is not None:
        return _affine(site, x, 1.0, alpha * shift)
    if isinstance(x, Constant):
        x, y = _affine(site, y, float(alpha)), x
        alpha = 1
    if isinstance(y, Constant):
        return tensor_beside(site, ref(x), "bias", Constant(y.tensor * alpha, y.name))
    return site.node(merge.Add(), *together(site, ref(x), _affine(site, y, float(alpha))))


@maps("sub")
def _sub(site: Site, x: Any, y: Any, *, alpha: float = 1) -> Ref:
    return _add(site, x, y, alpha=-alpha)  # type: ignore[no-any-return]


@maps("rsub")
def _rsub(site: Site, x: Any, y: Any, alpha: float = 1) -> Ref:
    return _add(site, y, x, alpha=-alpha)  # type: ignore[no-any-return]


@maps("neg")
def _neg(site: Site, x: Any) -> Ref:
    return _affine(site, x, -1.0)


@maps("mul")
def _mul(site: Site, x: Any, y: Any) -> Ref:
    if isinstance(x, Constant | int | float):
        x, y = y, x
    if (factor := _number(y)) is not None:
        return _affine(site, x, factor)
    if isinstance(y, Constant):
        return _layer_scale(site, ref(x), y)
    return site.node(merge.Multiply(), *together(site, ref(x), ref(y)))


def _layer_scale(site: Site, x: Ref, scale: Constant) -> Ref:
    """One number for each channel."""
    shape = (1,) * (len(x.spec.axes) - scale.tensor.ndim) + tuple(scale.tensor.shape)
    wanted = tuple(x.spec.channels if axis == "C" else 1 for axis in x.spec.axes)
    if shape != wanted:
        return tensor_beside(site, x, "weight", scale)
    small = (x.spec.channels, *(1,) * len(x.spec.spatial))
    return site.node(
        regularise.LayerScale(), x, layer_scale=Constant(scale.tensor.reshape(small), scale.name)
    )


def tensor_beside(site: Site, x: Ref, name: str, held: Constant, scale: float = 1.0) -> Ref:
    """A tensor of the module that multiplies x, or is added to x · scale; x is repeated where the tensor is larger."""
    shape = (1,) * (len(x.spec.axes) - held.tensor.ndim) + tuple(held.tensor.shape)
    need(len(shape) == len(x.spec.axes) and shape[0] == 1)
    if x.wide is not None or any(n < m for n, m in zip(x.spec.shape[1:], shape[1:])):
        whole = [max(sizes) for sizes in zip(x.wide or x.spec.shape[1:], shape[1:])]
        x = spread(site, dataclasses.replace(x, wide=None), whole)
    op = Affine(scale, **{name: shape[1:]}, learned=site.learned(held))
    return site.node(op, x, **{name: Constant(held.tensor.reshape(shape[1:]), held.name)})


@maps("addcmul", "addcdiv")
def _addcmul(site: Site, x: Any, y: Any, z: Any, *, value: float = 1) -> Ref:
    product = (_mul if site.operator == "addcmul" else _div)(site, y, z)
    return _add(site, x, product, alpha=value)  # type: ignore[no-any-return]


@maps("where")
def _where(site: Site, mask: Any, yes: Any, no: Any) -> Ref:
    """Where places say which of two is meant; those places have to be known."""
    need(isinstance(mask, Constant))
    share = mask.tensor.float()
    parts = [part for part in ((yes, share), (no, 1 - share)) if _number(part[0]) != 0]
    total: Any = None
    for value, kept in parts:
        number = _number(value)
        if number is not None or isinstance(value, Constant):
            made: Any = Constant(kept * (number if number is not None else value.tensor), "")
        else:
            made = tensor_beside(site, full(site, ref(value)), "weight", Constant(kept, ""))
        total = made if total is None else _add(site, total, made)
    return ref(total)


@maps("div", "true_divide")
def _div(site: Site, x: Any, y: Any, *, rounding_mode: Any = None) -> Ref:
    need(rounding_mode is None)
    if isinstance(x, Constant | int | float):
        return _mul(site, site.node(Pow(-1.0), full(site, ref(y))), x)  # type: ignore[no-any-return]
    if not isinstance(y, Constant | int | float):
        return site.node(merge.Divide(), *together(site, ref(x), ref(y)))
    if isinstance(y, Constant) and y.tensor.numel() > 1:
        return tensor_beside(site, ref(x), "weight", Constant(1 / y.tensor, y.name))
    divisor = _number(y)
    need(divisor)
    assert divisor is not None
    return _affine(site, x, 1.0 / divisor)


# ---------------------------------------------------------------------------------------------------- whole modules

MODULES: dict[str, Callable[[Any], Op]] = {
    "LocalResponseNorm": lambda m: norm.LocalResponseNorm(m.size, alpha=m.alpha, beta=m.beta, k=m.k),
    "ChannelShuffle": lambda m: reshape.ChannelShuffle(m.groups),
}
"""Modules of torch.nn whose operators say less than their name does."""
