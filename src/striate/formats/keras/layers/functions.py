"""Activations, dropout, and arithmetic with numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.formats.keras.graph import group_name
from striate.formats.keras.layers.register import reads
from striate.op import Op
from striate.ops import activation as ops
from striate.ops.functions import Abs, Exp, Log
from striate.ops.opaque import Opaque
from striate.ops.regularize import Dropout, LayerScale, StochasticDepth
from striate.ops.reshape import Identity
from striate.ops.scalar import Affine, Clip

if TYPE_CHECKING:
    from striate.formats.keras.site import Site, Value

PLAIN: dict[str, Callable[[], Op]] = {
    "relu": ops.Relu, "relu6": ops.Relu6, "sigmoid": ops.Sigmoid, "tanh": ops.Tanh, "softplus": ops.Softplus,
    "softsign": ops.Softsign, "silu": ops.Silu, "swish": ops.Silu, "elu": ops.Elu, "selu": ops.Selu,
    "gelu": ops.Gelu, "mish": ops.Mish, "hard_silu": ops.Hardswish, "hard_swish": ops.Hardswish,
    "hard_tanh": lambda: Clip(-1.0, 1.0), "leaky_relu": lambda: ops.LeakyRelu(0.2),
    "hard_sigmoid": ops.Hardsigmoid, "exponential": Exp, "exp": Exp, "log": Log, "absolute": Abs, "abs": Abs,
}  # fmt: skip
"""Keras word -> activation with default settings."""


def activate(site: Site, x: Value, activation: Any = None, suffix: str | None = None) -> Value:
    """Apply an activation to x, by default the layer's. An unknown one becomes an opaque node."""
    activation = site.get("activation", "linear") if activation is None else activation
    word, config = _word(activation)
    op = _op(site, word, config)
    if word == "linear":
        return x
    if word in ("softmax", "log_softmax"):
        axis = config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        rank = len(x.shape)
        site.expect(type(axis) is int and -rank <= axis < rank and axis % rank > 0, "several axes")
        along = x.spec.axes[x.order[axis]]
        return site.along(ops.Softmax(along) if word == "softmax" else ops.LogSoftmax(along), x)
    if word == "hard_sigmoid" and site.old:  # Keras before 3: 0.2·x + 0.5
        return site.along(Clip(0.0, 1.0), site.along(Affine(0.2, 0.5), x))
    if op is None:
        x = site.standard(x)
        return site.along(Opaque(f"activation {word}", x.spec.without_batch, params=0), x)
    return site.along(op, x)


def _word(entry: Any) -> tuple[str, dict[str, Any]]:
    """Word and settings of an activation, in any form that a configuration uses."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict):
        inner, kind = entry.get("config"), entry.get("class_name")
        if isinstance(inner, str):  # a function, by its registered name
            return inner.rpartition(".")[2] if inner.startswith("keras") else inner, {}
        if isinstance(kind, str) and str(entry.get("module") or "keras").startswith("keras"):
            if kind == "Activation" and isinstance(inner, dict):
                return _word(inner.get("activation", "linear"))
            word = {"re_lu": "relu", "leaky_re_lu": "leaky_relu"}.get(group_name(kind), group_name(kind))
            return word, inner if isinstance(inner, dict) else {}
    return str(entry)[:40], {}


def _number(config: dict[str, Any], name: str, default: float = 0.0) -> float:
    value = config.get(name)
    return default if value is None else float(value)


def _op(site: Site, word: str, config: dict[str, Any]) -> Op | None:
    """Op of an activation with its settings; None if there is none."""
    if word == "relu":
        return _relu(site, config)
    if word == "leaky_relu":
        usual = 0.3 if "alpha" in config else 0.2
        return ops.LeakyRelu(_number(config, "negative_slope", _number(config, "alpha", usual)))
    if word == "elu" or (word == "celu" and _number(config, "alpha", 1.0) == 1):
        return ops.Elu(_number(config, "alpha", 1.0))
    if word == "gelu":
        return ops.Gelu(bool(config.get("approximate", False)))
    if word in PLAIN:
        return PLAIN[word]()
    return None


def _relu(site: Site, config: dict[str, Any]) -> Op:
    slope = _number(config, "negative_slope", _number(config, "alpha"))
    most, threshold = config.get("max_value"), _number(config, "threshold", _number(config, "theta"))
    site.expect(threshold == 0, f"relu with the threshold {threshold:g}")
    if most is None:
        return ops.LeakyRelu(slope) if slope else ops.Relu()
    site.expect(slope == 0, "relu with a slope and a largest value")
    return ops.Relu6() if most == 6 else Clip(0.0, float(most))


@reads("Activation")
def _activation(site: Site) -> Value:
    return activate(site, site.value)


@reads("ReLU", "LeakyReLU", "ELU", "Softmax", "Relu", "Relu6", "Sigmoid", "Tanh", "Softplus", "Softsign", "Silu",
       "Elu", "Selu", "Gelu", "Mish", "HardSigmoid", "HardSilu", "HardTanh", "LogSoftmax", "LeakyRelu",
       "Exp", "Log", "Absolute", "Abs")  # fmt: skip
def _layer(site: Site) -> Value:
    """Activation layers, and activations of keras.ops."""
    kind = site.layer.kind
    config = dict(site.config)
    if kind == "LeakyReLU" and not {"negative_slope", "alpha"} & config.keys():
        config["negative_slope"] = 0.3
    if kind == "Gelu":
        config.setdefault("approximate", True)  # keras.ops.gelu, unlike the activation of that name
    return activate(site, site.value, {"class_name": kind, "config": config})


@reads("PReLU")
def _prelu(site: Site) -> Value:
    x = site.standard(site.value)
    get = site.variables("alpha")
    shared = {axis % len(x.shape) for axis in site.get("shared_axes", [])}
    varying = [axis for axis in range(1, len(x.shape)) if axis not in shared and x.shape[axis] > 1]
    if not varying:
        return site.along(ops.Prelu("shared"), x, weight=lambda: get("alpha").reshape(1))
    if varying == [x.order.index(1)]:
        return site.along(ops.Prelu("each"), x, weight=lambda: get("alpha").ravel())
    # A slope for every position: max(x, 0) and slope · min(x, 0), added.
    from striate.ops.merge import Add

    spec = x.spec
    shape = tuple(1 if x.order.index(k) in shared else spec.shape[k] for k in range(1, len(spec.shape)))
    below = site.along(Clip(None, 0.0), x, "below")
    below = site.along(Affine(weight=shape), below, weight=lambda: permute_array(get("alpha"), x))
    above = site.along(ops.Relu(), x, "above")
    return dataclasses.replace(site.emit(Add(), above, below), order=x.order)


def permute_array(array: Any, x: Value) -> Any:
    """Permute an array from Keras' axes (without the batch) to the axes of x."""
    return array.transpose([x.order.index(k) - 1 for k in range(1, len(x.order))])


def permute_channels(array: Any, x: Value) -> Any:
    """Permute an array over Keras' channels to the order of the channels of x."""
    return array[x.columns] if x.parts and len(array) == x.shape[1] else array


@reads("Dropout")
def _dropout(site: Site) -> Value:
    x, rate, noise = site.value, site.number("rate", 0.5), site.get("noise_shape")
    per_image = isinstance(noise, list) and noise[:1] == [None] and all(n == 1 for n in noise[1:])
    if noise is None:
        return site.along(Dropout(rate), x)
    return site.along(StochasticDepth(rate) if per_image else Identity(), x)


@reads("StochasticDepth")
def _stochastic_depth(site: Site) -> Value:
    return site.along(StochasticDepth(site.number("drop_path_rate")), site.value)


@reads("LayerScale")
def _layer_scale(site: Site) -> Value:
    x = site.with_channels(site.value, -1)
    get = site.variables("gamma")
    return site.along(LayerScale(site.number("init_values", 1e-6)), x, layer_scale=lambda: get("gamma"))


@reads("Identity", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
       "AlphaDropout", "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
       "RandomContrast", "RandomBrightness", "RandomShear", "RandomHue", "RandomSaturation", "RandomSharpness",
       "RandomColorJitter", "RandomErasing", "RandomGrayscale", "RandomGaussianBlur", "RandomInvert",
       "RandomPerspective", "RandomPosterization", "RandomColorDegeneration", "RandomElasticTransform")  # fmt: skip
def _training_only(site: Site) -> Value:
    """Layers that act only in training."""
    return site.along(Identity(), site.value)
