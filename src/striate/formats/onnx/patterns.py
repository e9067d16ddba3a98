"""Recognize functions that files write as several operators: x · sigmoid(x) is one activation.

A pattern is the tree that ends in the function's last operator: a tuple (kind, *inputs), a string for an input of the
function, a number for a constant. Commutative operators match in either order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.formats.onnx.proto import Call

Array = NDArray[Any]
Tree = Any
"""(kind, input, …), a name that matches any value, or a number."""

_HALF_ERF = ("Add", ("Erf", ("Div", "x", math.sqrt(2))), 1.0)
_HALF_ERF_MUL = ("Add", ("Erf", ("Mul", "x", math.sqrt(0.5))), 1.0)
_CUBE = ("Mul", ("Add", "x", ("Mul", ("Pow", "x", 3.0), 0.044715)), math.sqrt(2 / math.pi))
_TANH = ("Add", ("Tanh", _CUBE), 1.0)
_RISE = ("Clip", ("Add", "x", 3.0), 0.0, 6.0)
_CENTRED = ("Sub", "x", ("ReduceMean", "x", "~axes"))
_VARIANCE = ("ReduceMean", ("Pow", _CENTRED, 2.0), "~axes")
_SQUARES = ("ReduceMean", ("Mul", _CENTRED, _CENTRED), "~axes")


def _gelu(half: Tree) -> tuple[Tree, ...]:
    return (
        ("Mul", ("Mul", "x", half), 0.5),
        ("Mul", "x", ("Mul", half, 0.5)),
        ("Mul", ("Mul", "x", 0.5), half),
    )


def _layer_norm(square: Tree) -> tuple[Tree, ...]:
    normal = ("Div", _CENTRED, ("Sqrt", ("Add", square, "=epsilon")))
    return ("Add", ("Mul", normal, "=scale"), "=bias"), normal


PATTERNS: Mapping[str, tuple[Tree, ...]] = {
    "striate.Silu": (("Mul", "x", ("Sigmoid", "x")),),
    "Softsign": (("Div", "x", ("Add", ("Abs", "x"), 1.0)),),
    "Mish": (("Mul", "x", ("Tanh", ("Softplus", "x"))),),
    "Gelu": (*_gelu(_HALF_ERF), *_gelu(_HALF_ERF_MUL)),
    "striate.TanhGelu": _gelu(_TANH),
    "HardSwish": (
        ("Mul", "x", ("Div", _RISE, 6.0)),
        ("Div", ("Mul", "x", _RISE), 6.0),
        ("Mul", "x", ("striate.Hardsigmoid", "x")),
        ("Mul", "x", ("Mul", _RISE, 1 / 6)),
        ("Mul", ("Mul", "x", _RISE), 1 / 6),
    ),
    "striate.Hardsigmoid": (("Div", _RISE, 6.0), ("Mul", _RISE, 1 / 6)),
    "striate.LayerNorm": (*_layer_norm(_VARIANCE), *_layer_norm(_SQUARES)),
    "striate.Linear": (("Add", ("MatMul", "x", "=weight"), "=bias"),),
    "striate.GroupNorm": (
        ("Add", ("Mul", ("Reshape", ("InstanceNormalization", ("Reshape", "x", "=groups"), "=one", "=zero"), "~back"),
                 "=scale"), "=bias"),
        ("Reshape", ("InstanceNormalization", ("Reshape", "x", "=groups"), "=one", "=zero"), "~back"),
    ),
    "striate.Quantized": (
        ("DequantizeLinear", ("QuantizeLinear", "x", "=scale", "=zero"), "=scale2", "=zero2"),
        ("DequantizeLinear", ("QuantizeLinear", "x", "=scale"), "=scale2"),
    ),
    "striate.Strided": (("Gather", ("Reshape", "x", "?apart"), "=groups"),),
    "striate.Move": (("Reshape", ("Transpose", ("Reshape", "x", "?apart")), "?together"),),
}  # fmt: skip
"""Operator that replaces a tree -> the trees that match. `=name` is a constant, `?name` becomes one once sizes are
known, `~name` may be absent."""


def simplify(calls: Sequence[Call], constants: Mapping[str, Array], outputs: Sequence[str]) -> list[Call]:
    """Replace the last call of each recognized function by one call; the others stay, and are read only if needed."""
    calls = [_name_hardsigmoid(call) for call in calls]
    makers = {name: call for call in calls for name in call.outputs}
    simplified = []
    for call in calls:
        replacement = call
        for kind, tree in _candidates(call.kind):
            bindings: dict[str, Any] = {}
            if _match(tree, call.outputs[0], makers, constants, bindings):
                replacement = _replace(call, kind, bindings, constants)
                break
        simplified.append(replacement)
    return simplified


def _name_hardsigmoid(call: Call) -> Call:
    """Recognize the hard sigmoid of PyTorch by its slope and offset."""
    slope, offset = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    if call.kind == "HardSigmoid" and abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return dataclasses.replace(call, kind="striate.Hardsigmoid")
    return call


def _candidates(kind: str) -> Iterator[tuple[str, Tree]]:
    for replacement, trees in PATTERNS.items():
        for tree in trees:
            if tree[0] == kind:
                yield replacement, tree


def _match(
    tree: Tree,
    name: str,
    makers: Mapping[str, Call],
    constants: Mapping[str, Array],
    bindings: dict[str, Any],
) -> bool:
    """True if a value is computed as in the tree; a name that occurs twice must be one value."""
    if isinstance(tree, float):
        constant = constants.get(name)
        return (
            constant is not None
            and constant.size == 1
            and math.isclose(float(constant.ravel()[0]), tree, rel_tol=1e-4)
        )
    if isinstance(tree, str):
        if tree.startswith("=") and name not in constants:
            return False
        if tree[0] not in "=~?" and name in constants:
            return False
        if tree.startswith("?"):
            tree = tree.replace("?", "=")
        return bool(bindings.setdefault(tree, name) == name)
    call = makers.get(name)
    if call is None or call.kind != tree[0] or call.outputs[0] != name:
        return False
    expected = [*tree[1:]]
    inputs = [*call.inputs]
    if call.kind == "Clip":  # its bounds are attributes in old opsets
        return _bounds(call, constants) == tuple(expected[1:]) and _match(
            expected[0], inputs[0], makers, constants, bindings
        )
    while (
        expected
        and isinstance(expected[-1], str)
        and expected[-1].startswith("~")
        and len(inputs) < len(expected)
    ):
        expected.pop()
    if len(inputs) != len(expected):
        return False
    orders = [inputs, inputs[::-1]] if call.kind in ("Add", "Mul") else [inputs]
    for order in orders:
        trial = dict(bindings)
        if all(_match(t, n, makers, constants, trial) for t, n in zip(expected, order, strict=True)):
            trial[f"@{call.kind}"] = call
            bindings.update(trial)
            return True
    return False


def _bounds(call: Call, constants: Mapping[str, Array]) -> tuple[float | None, ...]:
    bounds = []
    for at, key in ((1, "min"), (2, "max")):
        constant = constants.get(call.inputs[at]) if at < len(call.inputs) else None
        limit = (
            float(constant.ravel()[0])
            if constant is not None and constant.size == 1
            else call.attributes.get(key)
        )
        bounds.append(limit)
    return tuple(bounds)


def _replace(call: Call, kind: str, bindings: Mapping[str, Any], constants: Mapping[str, Array]) -> Call:
    """The call that replaces a matched tree: x first, then the constants by name."""
    inputs = [bindings["x"]]
    attributes: dict[str, Any] = {}
    for word in (
        "weight",
        "scale",
        "bias",
        "groups",
        "apart",
        "together",
        "epsilon",
        "scale2",
        "zero",
        "zero2",
    ):
        if f"={word}" in bindings:
            inputs.append(bindings[f"={word}"])
            attributes[f"at_{word}"] = len(inputs) - 1
    match kind:
        case "striate.LayerNorm":
            mean = bindings["@ReduceMean"]
            attributes["axes"] = mean.attributes.get("axes")
            if "~axes" in bindings and bindings["~axes"] in constants:
                attributes["axes"] = constants[bindings["~axes"]].ravel().tolist()
        case "striate.Move":
            attributes["perm"] = bindings["@Transpose"].attributes.get("perm")
        case "striate.GroupNorm":
            attributes["epsilon"] = bindings["@InstanceNormalization"].attributes.get("epsilon", 1e-5)
            attributes["plain"] = bool(
                np.all(constants[bindings["=one"]] == 1) and np.all(constants[bindings["=zero"]] == 0)
            )
    main = next(
        (bindings[f"@{k}"] for k in ("MatMul", "InstanceNormalization", "Sigmoid") if f"@{k}" in bindings),
        call,
    )
    return dataclasses.replace(
        call, kind=kind, inputs=tuple(inputs), attributes=attributes, proto=None, name=main.name or call.name,
        scope=main.scope or call.scope, original=call,
    )  # fmt: skip
