"""Normalization layers, and rescaling of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.keras.layers.functions import permute_array, permute_channels
from striate.formats.keras.layers.register import reads
from striate.ops.norm import BatchNorm, GroupNorm, LayerNorm
from striate.ops.scalar import Affine

if TYPE_CHECKING:
    from striate.formats.keras.site import Site, Value


def _axes(site: Site, default: Any = -1) -> list[int]:
    axes = site.get("axis", default)
    return list(axes) if isinstance(axes, list | tuple) else [axes]


def _scale_and_shift(site: Site, *more: str) -> tuple[bool, list[str], Callable[[str], Any]]:
    """Read scale and shift: whether there is any, parameters that are neutral constants, and the variables."""
    scale, center = bool(site.get("scale", True)), bool(site.get("center", True))
    get = site.variables("gamma" if scale else "", "beta" if center else "", *more)

    def either(name: str) -> Any:
        if (name, scale) == ("gamma", False):
            return np.ones_like(get("beta"))
        if (name, center) == ("beta", False):
            return np.zeros_like(get("gamma"))
        return get(name)

    missing = ["weight"] if not scale else ["bias"] if not center else []
    return scale or center, missing, either


@reads("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")
def _batch_norm(site: Site) -> Value:
    (axis,) = _axes(site)
    x = site.with_channels(site.value, axis)
    affine, constants, get = _scale_and_shift(site, "moving_mean", "moving_variance")
    op = BatchNorm(site.number("epsilon", 1e-3), round(1 - site.number("momentum", 0.99), 9), affine)
    return site.along(
        op,
        x,
        constants=constants,
        weight=lambda: permute_channels(get("gamma"), x),
        bias=lambda: permute_channels(get("beta"), x),
        running_mean=lambda: permute_channels(get("moving_mean"), x),
        running_var=lambda: permute_channels(get("moving_variance"), x),
    )


@reads("LayerNormalization")
def _layer_norm(site: Site) -> Value:
    site.expect(not site.get("rms_scaling", False), "scaling by the root mean square")
    x = site.value
    axes = sorted(axis % len(x.shape) for axis in _axes(site))
    affine, constants, get = _scale_and_shift(site)
    eps = site.number("epsilon", 1e-3)
    if len(axes) == 1:
        x = site.with_channels(x, axes[0])
        op = LayerNorm("channels", eps, affine)
        return site.along(
            op,
            x,
            constants=constants,
            weight=lambda: permute_channels(get("gamma"), x),
            bias=lambda: permute_channels(get("beta"), x),
        )
    site.expect(axes == list(range(1, len(x.shape))), "some but not all axes")
    x = site.standard(x)
    op = LayerNorm("all", eps, affine)
    return site.along(
        op,
        x,
        constants=constants,
        weight=lambda: permute_array(get("gamma"), x),
        bias=lambda: permute_array(get("beta"), x),
    )


@reads("GroupNormalization")
def _group_norm(site: Site) -> Value:
    (axis,) = _axes(site)
    x = site.with_channels(site.plain(site.value), axis)
    groups = site.get("groups", 32)
    affine, constants, get = _scale_and_shift(site)
    op = GroupNorm(x.spec.channels if groups == -1 else groups, site.number("epsilon", 1e-3), affine)
    return site.along(op, x, constants=constants, weight=lambda: get("gamma"), bias=lambda: get("beta"))


def _numbers(value: Any) -> Any:
    """Numbers of a configuration as a float64 array: plain, or as Keras writes arrays."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else None
    array = np.asarray(value, np.float64)
    if array.ndim > 4 or array.size > 10**6:
        raise ValueError(f"an array of shape {array.shape}")
    return array


def affine(site: Site, x: Value, scale: Any, shift: Any) -> Value:
    """x · scale + shift, with numpy broadcasting over Keras' axes."""
    scale, shift = _numbers(scale), _numbers(shift)
    if scale.size == shift.size == 1:
        return site.along(Affine(float(scale.ravel()[0]), float(shift.ravel()[0])), x)
    x = site.standard(x)
    fields: dict[str, Any] = {"learned": False}
    arrays: dict[str, Any] = {}
    for name, number, array in (("weight", "scale", scale), ("bias", "shift", shift)):
        if array.size == 1:
            fields[number] = float(array.ravel()[0])
            continue
        site.expect(array.ndim < len(x.shape), "one value per image of the batch")
        shaped = permute_array(array.reshape((1,) * (len(x.shape) - 1 - array.ndim) + array.shape), x)
        fields[name] = shaped.shape
        arrays[name] = lambda shaped=shaped: shaped
    return site.along(Affine(**fields), x, **arrays)


@reads("Rescaling")
def _rescaling(site: Site) -> Value:
    scale, offset = _numbers(site.get("scale", 1.0)), _numbers(site.get("offset", 0.0))
    if not site.last:  # a list is one number for each channel
        scale, offset = (a.reshape(a.shape + (1,) * (3 - a.ndim)) if a.ndim else a for a in (scale, offset))
    return affine(site, site.value, scale, offset)


@reads("Normalization")
def _normalization(site: Site) -> Value:
    x, axes = site.value, _axes(site)
    kept_axes = sorted(axis % len(x.shape) for axis in axes if axis is not None)
    least, inverse = 1e-7, bool(site.get("invert", False))
    mean, variance = site.get("mean"), site.get("variance")

    def both(mean: Any, variance: Any) -> tuple[Any, Any]:
        deviation = np.maximum(np.sqrt(variance), np.float32(least))
        return (deviation, mean) if inverse else (1 / deviation, -mean / deviation)

    if mean is not None and variance is not None:
        scale, shift = both(_numbers(mean), _numbers(variance))
        if scale.ndim and kept_axes and kept_axes[-1] != len(x.shape) - 1:
            shape = (1,) * (kept_axes[-1] - 1) + scale.shape + (1,) * (len(x.shape) - 1 - kept_axes[-1])
            scale, shift = (
                scale.reshape(shape[-len(x.shape) + 1 :]),
                shift.reshape(shape[-len(x.shape) + 1 :]),
            )
        return affine(site, x, scale, shift)
    get = site.variables("mean", "variance", "count")
    x = site.standard(x)
    shape = tuple(x.spec.shape[k] if x.order.index(k) in kept_axes else 1 for k in range(1, len(x.shape)))
    keras_shape = [x.shape[k] if k in kept_axes else 1 for k in range(1, len(x.shape))]

    def one(at: int) -> Any:
        return permute_array(both(get("mean"), get("variance"))[at].reshape(keras_shape), x)

    return site.along(
        Affine(weight=shape, bias=shape, learned=False), x, weight=lambda: one(0), bias=lambda: one(1)
    )
