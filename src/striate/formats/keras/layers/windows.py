"""Convolutions, pools, resampling, and fully connected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate.formats.keras.layers.functions import activate, permute_channels
from striate.formats.keras.layers.register import reads
from striate.op import Op
from striate.ops import pool
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.linear import Linear
from striate.ops.reshape import Flatten, Identity, Pad, Slice
from striate.ops.upsample import Upsample

if TYPE_CHECKING:
    from striate.formats.keras.site import Site, Value


def _padding(site: Site, rank: int) -> Any:
    """Padding from Keras' word; SAME puts the odd row at the end, causal pads at the start only."""
    word = str(site.get("padding", "valid")).lower()
    if word == "causal":
        kernel, dilation = site.sizes("kernel_size", rank), site.sizes("dilation_rate", rank)
        return tuple((d * (k - 1), 0) for k, d in zip(kernel, dilation))
    site.expect(word in ("same", "valid"), f"padding {word!r}")
    return "same" if word == "same" else 0


def _first(array: Any) -> Any:
    """A kernel (height, width, in, out) as (out, in, height, width)."""
    return np.moveaxis(array, (-1, -2), (0, 1))


def _deep(array: Any) -> Any:
    """A depthwise kernel (height, width, channels, multiplier) as (channels · multiplier, 1, height, width)."""
    kernel = np.moveaxis(array, (-2, -1), (0, 1))
    return kernel.reshape(-1, 1, *kernel.shape[2:])


@reads("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
def _conv(site: Site) -> Value:
    x = site.image
    rank = len(x.spec.spatial)
    groups, filters, bias = site.get("groups", 1), site.get("filters"), bool(site.get("use_bias", True))
    depthwise = groups == filters == x.spec.channels and groups > 1
    get = site.variables("kernel", "bias" if bias else "")
    op = Conv(
        None if depthwise else filters,
        site.sizes("kernel_size", rank),
        site.sizes("strides", rank),
        _padding(site, rank),
        site.sizes("dilation_rate", rank),
        "depthwise" if depthwise else groups,
        bias,
    )
    y = site.emit(op, x, weight=lambda: _first(get("kernel")), bias=lambda: get("bias"))
    return activate(site, y)


def _depthwise(site: Site, x: Value, bias: bool) -> Conv:
    rank, times = len(x.spec.spatial), site.get("depth_multiplier", 1)
    return Conv(
        None if times == 1 else x.spec.channels * times,
        site.sizes("kernel_size", rank),
        site.sizes("strides", rank),
        _padding(site, rank),
        site.sizes("dilation_rate", rank),
        "depthwise" if times == 1 else x.spec.channels,
        bias,
    )


@reads("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise_conv(site: Site) -> Value:
    x, bias = site.image, bool(site.get("use_bias", True))
    get = site.variables("kernel", "bias" if bias else "")
    op = _depthwise(site, x, bias)
    y = site.emit(op, x, weight=lambda: _deep(get("kernel")), bias=lambda: get("bias"))
    return activate(site, y)


@reads("SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D")
def _separable(site: Site) -> Value:
    x, bias = site.image, bool(site.get("use_bias", True))
    get = site.variables("depthwise_kernel", "pointwise_kernel", "bias" if bias else "")
    y = site.emit(
        _depthwise(site, x, False), x, suffix="depthwise", weight=lambda: _deep(get("depthwise_kernel"))
    )
    y = site.emit(
        Conv(site.get("filters"), 1, bias=bias),
        y,
        suffix="pointwise",
        weight=lambda: _first(get("pointwise_kernel")),
        bias=lambda: get("bias"),
    )
    return activate(site, y)


@reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Convolution2DTranspose", "Deconvolution2D")
def _tconv(site: Site) -> Value:
    x = site.image
    rank, bias = len(x.spec.spatial), bool(site.get("use_bias", True))
    kernel, stride = site.sizes("kernel_size", rank), site.sizes("strides", rank)
    dilation = site.sizes("dilation_rate", rank)
    extra = site.sizes("output_padding", rank) if site.get("output_padding") is not None else (None,) * rank
    same = _padding(site, rank) == "same"
    sides = [_crop_sides(k, s, d, same, e) for k, s, d, e in zip(kernel, stride, dilation, extra)]
    get = site.variables("kernel", "bias" if bias else "")
    op = ConvTranspose(
        site.get("filters"),
        kernel,
        stride,
        tuple((before, max(after, 0)) for before, after in sides),
        tuple(max(-after, 0) for _, after in sides),
        dilation,
        bias=bias,
    )
    y = site.emit(op, x, weight=lambda: _first(get("kernel")), bias=lambda: get("bias"))
    return activate(site, y)


def _crop_sides(kernel: int, stride: int, dilation: int, same: bool, extra: int | None) -> tuple[int, int]:
    """Crop of the full output on both sides; negative values are added at the end.

    valid: (n - 1)·stride + max(kernel, stride); same: n·stride; with output_padding (n - 1)·stride + output_padding.
    """
    extent = (kernel - 1) * dilation + 1
    if not same:
        return 0, -(max(stride - extent, 0) if extra is None else extra)
    longer = stride + extent - 2 if extra is None else extent + extent % 2 - 2 + extra
    before = min(-(-longer // 2), extent - 1)
    return extent - 1 - before, extent - 1 - (longer - before)


@reads("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D",
       "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D")  # fmt: skip
def _pool(site: Site) -> Value:
    x = site.image
    rank = len(x.spec.spatial)
    kernel, padding = site.sizes("pool_size", rank, 2), _padding(site, rank)
    step = site.sizes("strides", rank) if site.get("strides") is not None else kernel
    stride = None if step == kernel else step
    if site.layer.kind.startswith("Max"):
        return site.emit(pool.MaxPool(kernel, stride, padding), x)
    return site.emit(pool.AvgPool(kernel, stride, padding, count_include_pad=padding == 0), x)


@reads("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D",
       "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
       "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D")  # fmt: skip
def _global(site: Site) -> Value:
    op: Op = pool.GlobalMaxPool() if "Max" in site.layer.kind else pool.GlobalAvgPool()
    y = site.emit(op, site.image)
    return y if site.get("keepdims", False) else site.emit(Flatten(), y)


@reads("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
       "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D")  # fmt: skip
def _adaptive(site: Site) -> Value:
    x = site.image
    size = site.sizes("output_size", len(x.spec.spatial))
    maximum = "Max" in site.layer.kind
    return site.emit(pool.AdaptiveMaxPool(size) if maximum else pool.AdaptiveAvgPool(size), x)


def _sides(site: Site, name: str, rank: int) -> tuple[tuple[int, int], ...]:
    """One number, one per axis, or (before, after) per axis."""
    sides = site.sizes(name, rank)
    if rank == 1 and len(sides) == 2:
        return ((sides[0], sides[1]),)
    pairs = [side if isinstance(side, list | tuple) else (side, side) for side in sides]
    return tuple((int(before), int(after)) for before, after in pairs)


@reads("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def _pad(site: Site) -> Value:
    x = site.image
    return site.emit(Pad(_sides(site, "padding", len(x.spec.spatial))), x)


@reads("Cropping1D", "Cropping2D", "Cropping3D")
def _crop(site: Site) -> Value:
    x = site.image
    sides = _sides(site, "cropping", len(x.spec.spatial))
    if not any(map(any, sides)):
        return site.along(Identity(), x)
    for axis, (before, after) in zip(x.spec.spatial_axes, sides, strict=True):
        if before or after:
            x = site.emit(Slice(axis, before, -after or None), x)
    return x


@reads("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _upsample(site: Site) -> Value:
    x = site.image
    factors = site.sizes("size", len(x.spec.spatial))
    method = str(site.get("interpolation", "nearest"))
    site.expect(method in ("nearest", "bilinear"), f"{method} resampling")
    if len(set(factors)) == 1:
        return site.emit(Upsample(float(factors[0]), None, method), x)
    return site.emit(Upsample(None, tuple(n * f for n, f in zip(x.spec.spatial, factors)), method), x)


@reads("Resizing")
def _resize(site: Site) -> Value:
    x = site.image
    method = str(site.get("interpolation", "bilinear"))
    keeps_aspect = any(site.get(f"{way}_to_aspect_ratio", False) for way in ("crop", "pad"))
    site.expect(
        not keeps_aspect and not site.get("antialias", False), "preserved aspect ratio or antialiasing"
    )
    size = (site.get("height"), site.get("width"))
    integral = all(m % n == 0 for n, m in zip(x.spec.spatial, size, strict=True))
    site.expect(method == "bilinear" or (method == "nearest" and integral), f"{method} resampling")
    return site.emit(Upsample(None, size, method), x)


@reads("Dense")
def _dense(site: Site) -> Value:
    x, units, bias = site.value, site.get("units"), bool(site.get("use_bias", True))
    get = site.variables("kernel", "bias" if bias else "")
    if len(x.shape) == 2:
        y = site.emit(
            Linear(units, bias, x.shape[1]), x,
            weight=lambda: permute_channels(get("kernel"), x).T, bias=lambda: get("bias"),
        )  # fmt: skip
        return activate(site, y)
    x = site.with_channels(x, -1)  # at every position: a convolution with filters of one pixel
    ones = (1,) * (len(x.shape) - 2)
    y = site.along(
        Conv(units, 1, bias=bias), x,
        weight=lambda: get("kernel").T.reshape(units, -1, *ones), bias=lambda: get("bias"),
    )  # fmt: skip
    return activate(site, y)
