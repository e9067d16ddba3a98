"""Rules for aten's arithmetic: of values, of values and constants, over axes. `rules` defines the form."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from striate.formats.importing import STEEP, need
from striate.formats.torch.aten import clamp
from striate.formats.torch.moves import constant_like
from striate.formats.torch.rules import OPERATORS, Ref, Rule, align, broadcast, full, maps, ref
from striate.formats.torch.tracing import Constant
from striate.op import Op
from striate.ops import activation as act
from striate.ops import merge, pool, regularize, reshape
from striate.ops.functions import Pow
from striate.ops.reduce import Reduce
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.torch.importing import Site


def _number(site: Site, y: Any) -> float | None:
    """A plain number, or a one-element constant tensor that is not learned."""
    if isinstance(y, int | float) and not isinstance(y, bool):
        return float(y)
    if isinstance(y, Constant) and y.tensor.numel() == 1 and not site.learned(y):
        return float(y.tensor) if y.tensor.device.type != "meta" else None
    return None


def _affine(site: Site, x: Any, factor: float, offset: float = 0.0) -> Ref:
    value = full(site, ref(x))
    need(math.isfinite(factor) and math.isfinite(offset), "a number that is not finite")
    return value if (factor, offset) == (1.0, 0.0) else site.node(Affine(factor, offset), value)


@maps("add")
def _add(site: Site, x: Any, y: Any, *, alpha: float = 1) -> Ref:
    if _number(site, x) is not None:
        x, y = _affine(site, y, float(alpha)), x
        alpha = 1
    if (shift := _number(site, y)) is not None:
        return _affine(site, x, 1.0, alpha * shift)
    if isinstance(x, Constant):
        x, y = _affine(site, y, float(alpha)), x
        alpha = 1
    if (
        isinstance(y, Constant) and alpha == -1 and site.learned(y)
    ):  # -(-x + y), because y is the parameter, not -y
        return _affine(site, with_tensor(site, ref(x), "bias", y, -1.0), -1.0)
    if isinstance(y, Constant):
        addend = y if alpha == 1 else Constant(y.tensor * alpha, y.name)
        return with_tensor(site, ref(x), "bias", addend)
    return site.node(merge.Add(), *align(site, ref(x), _affine(site, y, float(alpha))))


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
    if (factor := _number(site, y)) is not None:
        return _affine(site, x, factor)
    if isinstance(y, Constant):
        return _layer_scale(site, ref(x), y)
    return site.node(merge.Multiply(), *align(site, ref(x), ref(y)))


def _layer_scale(site: Site, x: Ref, scale: Constant) -> Ref:
    """Multiplication by one learned number per channel."""
    shape = (1,) * (len(x.spec.axes) - scale.tensor.ndim) + tuple(scale.tensor.shape)
    by_channel = tuple(x.spec.channels if axis == "C" else 1 for axis in x.spec.axes)
    small = (x.spec.channels, *(1,) * len(x.spec.spatial))
    if shape != by_channel or (site.is_stored(scale) and tuple(scale.tensor.shape) != small):
        return with_tensor(site, x, "weight", scale)
    return site.node(
        regularize.LayerScale(), x, layer_scale=Constant(scale.tensor.reshape(small), scale.name)
    )


def with_tensor(site: Site, x: Ref, name: str, constant: Constant, scale: float = 1.0) -> Ref:
    """Multiply x by a tensor of the module, or add it to x · scale. x is broadcast if the tensor is larger."""
    shape = (1,) * (len(x.spec.axes) - constant.tensor.ndim) + tuple(constant.tensor.shape)
    need(len(shape) == len(x.spec.axes) and shape[0] == 1, "a tensor with a batch axis, or of higher rank")
    if x.wide is not None or any(n < m for n, m in zip(x.spec.shape[1:], shape[1:])):
        target = [max(sizes) for sizes in zip(x.wide or x.spec.shape[1:], shape[1:])]
        x = broadcast(site, dataclasses.replace(x, wide=None), target)
    parameter = constant if constant.tensor.ndim else Constant(constant.tensor.reshape(1), constant.name)
    sizes: dict[str, Any] = {name: tuple(parameter.tensor.shape)}
    return site.node(Affine(scale, **sizes, learned=site.learned(constant)), x, **{name: parameter})


@maps("addcmul", "addcdiv")
def _addcmul(site: Site, x: Any, y: Any, z: Any, *, value: float = 1) -> Ref:
    product = (_mul if site.operator == "addcmul" else _div)(site, y, z)
    return _add(site, x, product, alpha=value)  # type: ignore[no-any-return]


@maps("where")
def _where(site: Site, mask: Any, yes: Any, no: Any) -> Ref:
    """Rule for `where` with a constant condition."""
    need(isinstance(mask, Constant), "its condition is computed")
    condition = mask.tensor.bool()
    total: Any = None
    for value, selection in ((yes, condition), (no, ~condition)):
        if _number(site, value) == 0:
            continue
        need(
            not (isinstance(value, Constant) and site.learned(value)),
            "a learned tensor used at some positions only",
        )
        if isinstance(value, Constant | int | float):  # selected, not multiplied: it may be infinite
            part: Any = Constant(_select(selection, value), "")
        else:
            part = with_tensor(site, full(site, ref(value)), "weight", Constant(selection.float(), ""))
        total = part if total is None else _add(site, total, part)
    return ref(total)


def _select(selection: Any, value: Any) -> Any:
    """Select a constant where the mask is true, else zero. No multiplication, because the constant may be infinite."""
    import torch

    number = value.tensor.float() if isinstance(value, Constant) else torch.tensor(float(value))
    return torch.where(selection, number, torch.zeros(()))


@maps("masked_fill")
def _masked_fill(site: Site, x: Any, mask: Any, value: Any) -> Ref:
    return _where(site, mask, value, x)  # type: ignore[no-any-return]


@maps("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _constant(site: Site, _x: Any, *args: Any, **_: Any) -> Constant:
    """A constant of torch's shape, equal for all images."""
    import torch

    kind = site.operator.removeprefix("new_").removesuffix("_like")
    number = {"zeros": 0.0, "ones": 1.0}.get(kind, args[-1] if args else None)
    need(isinstance(number, int | float), "filled with a computed value")
    return Constant(torch.full((1, *site.shape[1:]), float(number)), "")  # type: ignore[arg-type]


@maps("div", "true_divide")
def _div(site: Site, x: Any, y: Any, *, rounding_mode: Any = None) -> Ref:
    need(rounding_mode is None, f"rounding_mode {rounding_mode}")
    if isinstance(x, Constant | int | float):
        return _mul(site, site.node(Pow(-1.0), full(site, ref(y))), x)  # type: ignore[no-any-return]
    if not isinstance(y, Constant | int | float):
        return site.node(merge.Divide(), *align(site, ref(x), ref(y)))
    divisor = _number(site, y)
    if isinstance(y, Constant) and site.learned(y):  # y is the parameter, not 1 / y
        value = full(site, ref(x))
        return site.node(merge.Divide(), value, constant_like(site, value, site.shape[1:], y))
    if isinstance(y, Constant) and divisor is None:
        return with_tensor(site, ref(x), "weight", Constant(1 / y.tensor, y.name))
    need(divisor, "a division by zero")
    assert divisor is not None
    return _affine(site, x, 1.0 / divisor)


@maps("sign")
def _sign(site: Site, x: Any) -> Ref:
    """Sign as a clipped line, steep enough that every normal float32 reaches a bound."""
    small = site.node(Clip(-1.0, 1.0), full(site, ref(x)))
    return site.node(Clip(-1.0, 1.0), site.node(Affine(STEEP), small))


# ---------------------------------------------------------------------------------------------------- powers


def _power(exponent: float) -> Rule:
    return lambda site, x: site.node(Pow(exponent), ref(x))


OPERATORS |= {
    "square": _power(2.0), "sqrt": _power(0.5), "rsqrt": _power(-0.5), "reciprocal": _power(-1.0),
}  # fmt: skip


@maps("pow")
def _pow(site: Site, x: Any, exponent: Any) -> Ref:
    power = _number(site, exponent)
    need(power is not None, "a computed or learned exponent, or one per position")
    assert power is not None
    return ref(x) if power == 1 else site.node(Pow(power), ref(x))


@maps("log_sigmoid")
def _log_sigmoid(site: Site, x: Any) -> Ref:
    return _affine(site, site.node(act.Softplus(), _affine(site, x, -1.0)), -1.0)


# ---------------------------------------------------------------------------------------------------- over axes

GLOBAL: dict[str, type[Op]] = {"mean": pool.GlobalAvgPool, "max": pool.GlobalMaxPool}


def reduce(site: Site, x: Any, function: str, dims: Any = (), keepdim: bool = False) -> Ref:
    """Reduce over some axes. A mean or maximum over all positions is a global pool."""
    value = ref(x)
    spec = value.spec
    rank = len(spec.axes)
    at = {d % rank for d in ((dims,) if isinstance(dims, int) else dims or range(rank))}
    over = "".join(axis for k, axis in enumerate(spec.axes) if k in at)
    need(over and 0 not in at, "a reduction over the batch")
    if function in GLOBAL and set(over) == set(spec.spatial_axes):
        order, usual = "".join(spec.axes[1:]), "".join(("C", *spec.spatial_axes))
        source = value if order == usual else site.node(reshape.Permute(usual), value)
        y = site.node(GLOBAL[function](), source)
        if not keepdim:
            return site.node(reshape.Flatten(), y)
        return y if order == usual else site.node(reshape.Permute(order), y)
    y = site.node(Reduce(function, over), value)
    if keepdim:
        return y
    shape = tuple(n for k, n in enumerate(spec.shape) if k and k not in at)
    need(shape, "one number per image, without an axis")
    return site.node(reshape.Flatten() if len(shape) == 1 else reshape.Reshape(shape), y)


def _reduction(function: str) -> Rule:
    return lambda site, x, dims=(), keepdim=False, **_: reduce(site, x, function, dims, keepdim)


OPERATORS |= {
    "mean": _reduction("mean"), "sum": _reduction("sum"), "amax": _reduction("max"), "amin": _reduction("min"),
}  # fmt: skip


@maps("max", "min")
def _extreme(site: Site, x: Any, y: Any = None, keepdim: bool = False) -> Ref:
    """Maximum or minimum of two values, or along an axis; the indices must not be read."""
    if isinstance(y, int):
        return reduce(site, x, site.operator, y, keepdim)
    return _extremes(site, x, y)  # type: ignore[no-any-return]


@maps("maximum", "minimum")
def _extremes(site: Site, x: Any, y: Any) -> Ref:
    largest = site.operator.startswith("max")
    if isinstance(x, Constant):
        x, y = y, x
    if (limit := _number(site, y)) is not None:
        return clamp(site, x, limit) if largest else clamp(site, x, None, limit)  # type: ignore[no-any-return]
    if not isinstance(y, Constant):
        cls = merge.Maximum if largest else merge.Minimum
        return site.node(cls(), *align(site, ref(x), ref(y)))
    need(not site.learned(y), "a learned bound, which would need two tensors here")
    # max(x, t) = max(x - t, 0) + t, and min(x, t) = -max(t - x, 0) + t.
    tensor = y.tensor.detach()
    over = with_tensor(
        site, ref(x), "bias", Constant(-tensor if largest else tensor, ""), 1.0 if largest else -1.0
    )
    return with_tensor(site, site.node(act.Relu(), over), "bias", y, 1.0 if largest else -1.0)


@maps("norm", "linalg_vector_norm")
def _norm(site: Site, x: Any, order: Any = 2, dims: Any = (), keepdim: bool = False, **_: Any) -> Ref:
    need(order in (1, 2) and dims is not None, f"a norm of order {order}, or over all elements")
    return reduce(site, x, f"l{int(order)}", dims, keepdim)


@maps("var", "std")
def _variance(site: Site, x: Any, dims: Any = (), unbiased: Any = True, keepdim: bool = False, *,
              correction: float | None = None, **_: Any) -> Ref:  # fmt: skip
    """Variance; torch divides by n - 1 by default."""
    value = ref(x)
    rank = len(value.spec.axes)
    at = [d % rank for d in ((dims,) if isinstance(dims, int) else dims or range(1, rank))]
    count = math.prod(value.spec.shape[d] for d in at)
    ddof = correction if correction is not None else float(bool(unbiased))
    need(count > ddof, "the variance of one element")
    mean = _affine(site, reduce(site, value, "mean", at, True), -1.0)
    centered = site.node(merge.Add(), value, mean)
    variance = _affine(
        site,
        reduce(site, site.node(Pow(2.0), centered), "mean", at, keepdim),
        count / (count - ddof),
    )
    return site.node(Pow(0.5), variance) if site.operator == "std" else variance


@maps("scaled_dot_product_attention")
def _attention(site: Site, q: Any, k: Any, v: Any, mask: Any = None, rate: float = 0.0, causal: bool = False, *,
               scale: float | None = None, **_: Any) -> Ref:  # fmt: skip
    need(mask is None and not rate and not causal, "attention with a mask")
    query, key = ref(q), ref(k)
    need(len(query.spec.shape) == len(key.spec.shape) > 2, "attention between values of different rank")
    axes = key.spec.axes
    turned = site.node(reshape.Permute("".join((*axes[1:-2], axes[-1], axes[-2]))), key)
    small = _affine(site, query, 1 / math.sqrt(query.spec.shape[-1]) if scale is None else scale)
    likeness = site.node(merge.MatMul(), small, turned)
    return site.node(merge.MatMul(), site.node(act.Softmax(likeness.spec.axes[-1]), likeness), ref(v))
