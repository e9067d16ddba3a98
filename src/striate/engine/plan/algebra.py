"""Elementwise expressions: substitution of loads, and recognition of clamps and affine functions of one operand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.derivatives import evaluate
from striate.statement import Call, Const, Expr, Load, walk

Array = NDArray[Any]


def substitute(expr: Expr, by: Mapping[str, Expr]) -> Expr:
    """The expression with other expressions for its loads, by tensor name."""
    if isinstance(expr, Load):
        return by.get(expr.tensor, expr)
    if isinstance(expr, Call):
        return Call(expr.function, tuple(substitute(arg, by) for arg in expr.args))
    return expr


def clamp(expr: Expr, operand: str) -> tuple[float, float] | None:
    """(low, high) of a clamp of one operand; infinite where a side is open."""
    match expr:
        case Load(tensor=name) if name == operand:
            return -math.inf, math.inf
        case Call("max", (inner, Const(value))) | Call("max", (Const(value), inner)):
            limits = clamp(inner, operand)
            return (max(limits[0], value), max(limits[1], value)) if limits else None
        case Call("min", (inner, Const(value))) | Call("min", (Const(value), inner)):
            limits = clamp(inner, operand)
            return (min(limits[0], value), min(limits[1], value)) if limits else None
    return None


def affine(expr: Expr, operand: str, weights: Mapping[str, Array]) -> tuple[Array, Array]:
    """(scale, shift) per channel, in float64, of an expression that is affine in one operand."""
    shift = _at(expr, operand, 0.0, weights)
    return _at(expr, operand, 1.0, weights) - shift, shift


def is_affine(expr: Expr, operand: str) -> bool:
    """Whether it is a scale and a shift of one operand."""
    if not isinstance(expr, Call):
        return True
    inside = [_mentions(arg, operand) for arg in expr.args]
    if not any(inside):
        return True
    if not all(is_affine(arg, operand) for arg in expr.args):
        return False
    match expr.function:
        case "add" | "sub" | "neg":
            return True
        case "mul":
            return sum(inside) == 1
        case "div":
            return not inside[1]
    return False


def _mentions(expr: Expr, operand: str) -> bool:
    return any(load.tensor == operand for load in walk(expr))


def _at(expr: Expr, operand: str, value: float, weights: Mapping[str, Array]) -> Array:
    values = {load.tensor: weights[load.tensor] for load in walk(expr) if load.tensor != operand}
    wide = {name: array.astype(np.float64).reshape(-1) for name, array in values.items()}
    return np.asarray(evaluate(expr, {**wide, operand: np.float64(value)}), np.float64)
