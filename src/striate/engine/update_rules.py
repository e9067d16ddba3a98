"""Update rules of the optimizers and of the moving average of the weights, each stated once.

Operands are named. Arrays: `weight`, `gradient`, `average` and the optimizer's moments. Numbers: `lr`, `decay` (the
weight decay of this tensor), `step` (the number of the update, from 1) and the settings of the optimizer.
Numpy evaluates a rule, the compiled engine makes a kernel of it, and tests compare torch's optimizers with it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from striate.engine.derivatives import FUNCTIONS, ONE, evaluate
from striate.statement import Call, Expr, Load, call, walk

NUMBER_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow,
    "min": min, "sqrt": math.sqrt,
}  # fmt: skip
"""Functions of numbers, with Python floats as results: they leave the type of an array as it is."""


@dataclasses.dataclass(frozen=True)
class UpdateFormula:
    """New values of arrays from their present ones.

    results: array -> new value, all computed before one is stored; inputs: the other operands that are arrays;
    momentum: the setting that a schedule of the momentum changes.
    """

    results: Mapping[str, Expr]
    inputs: tuple[str, ...]
    momentum: str = ""

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the operands that are arrays."""
        return (*self.results, *self.inputs)

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of the optimizer's moments."""
        return tuple(name for name in self.results if name != "weight")

    @functools.cached_property
    def numbers(self) -> Mapping[str, Expr]:
        """Name of a number in `texts` -> its value as an expression of settings alone."""
        return self._split[1]

    @functools.cached_property
    def over_numbers(self) -> Mapping[str, Expr]:
        """`results` with an operand of `numbers` for every largest part that depends on settings alone."""
        return self._split[0]

    @functools.cached_property
    def _split(self) -> tuple[dict[str, Expr], dict[str, Expr]]:
        names: dict[Expr, str] = {}

        def split(expr: Expr) -> Expr:
            if {load.tensor for load in walk(expr)}.isdisjoint(self.arrays):
                return operand(names.setdefault(expr, f"number{len(names)}"))
            return Call(expr.function, tuple(map(split, expr.args))) if isinstance(expr, Call) else expr

        results = {name: split(expr) for name, expr in self.results.items()}
        return results, {name: expr for expr, name in names.items()}

    def settings(self, source: object, momentum: float | None = None, **others: Any) -> dict[str, Any]:
        """Numbers by name: `others`, and the rest from attributes of `source`.

        momentum: replaces the setting that a schedule of the momentum changes.
        """
        names = {load.tensor for expr in self.numbers.values() for load in walk(expr)}
        settings = {name: getattr(source, name) for name in names - others.keys()} | others
        return settings if momentum is None else settings | {self.momentum: momentum}

    def evaluate_numbers(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The values of `numbers`. A setting may also be an array with a value per tensor."""
        return {name: evaluate(expr, settings, NUMBER_FUNCTIONS) for name, expr in self.numbers.items()}

    def evaluate(
        self,
        arrays: Mapping[str, Any],
        settings: Mapping[str, Any],
        functions: Mapping[str, Callable[..., Any]] = FUNCTIONS,
    ) -> dict[str, Any]:
        """The new values. functions: of arrays; numpy's by default."""
        values = {**arrays, **self.evaluate_numbers(settings)}
        return {name: evaluate(expr, values, functions) for name, expr in self.over_numbers.items()}


def operand(name: str) -> Load:
    """An operand by name."""
    return Load(name, ())


_WEIGHT, _GRADIENT, _LR, _DECAY, _STEP = map(operand, ("weight", "gradient", "lr", "decay", "step"))


def _sgd(nesterov: bool) -> UpdateFormula:
    g, momentum = _GRADIENT + _DECAY * _WEIGHT, operand("momentum")
    velocity = momentum * operand("velocity") + g
    direction = g + momentum * velocity if nesterov else velocity
    results = {"weight": _WEIGHT - _LR * direction, "velocity": velocity}
    return UpdateFormula(results, ("gradient",), momentum="momentum")


def _adam(weight: Expr, g: Expr) -> UpdateFormula:
    beta1, beta2, eps = map(operand, ("beta1", "beta2", "eps"))
    first = beta1 * operand("first") + (ONE - beta1) * g
    second = beta2 * operand("second") + (ONE - beta2) * (g * g)
    size = _LR / (ONE - call("pow", beta1, _STEP))
    root = call("sqrt", second) / call("sqrt", ONE - call("pow", beta2, _STEP))
    results = {"weight": weight - size * first / (root + eps), "first": first, "second": second}
    return UpdateFormula(results, ("gradient",), momentum="beta1")


SGD, NESTEROV = _sgd(nesterov=False), _sgd(nesterov=True)
ADAM = _adam(_WEIGHT, _GRADIENT + _DECAY * _WEIGHT)
ADAMW = _adam((ONE - _LR * _DECAY) * _WEIGHT, _GRADIENT)
"""Decay acts on the weights alone."""

_ramp = (ONE + _STEP) / (_STEP + 10.0)
_KEPT = call("min", operand("ema"), _ramp)
MOVING_AVERAGE = UpdateFormula({"average": _KEPT * operand("average") + (ONE - _KEPT) * _WEIGHT}, ("weight",))
"""The decay grows with the updates up to `ema`, so that the first weights are soon forgotten."""


def formula(word: str, nesterov: bool = False) -> UpdateFormula:
    """The rule of an optimizer: sgd, adam or adamw."""
    return {"sgd": NESTEROV if nesterov else SGD, "adam": ADAM, "adamw": ADAMW}[word]


def average_decay(ema: float, step: int) -> float:
    """Decay of the moving average at an update (from 1)."""
    decay: float = evaluate(_KEPT, {"ema": ema, "step": step}, NUMBER_FUNCTIONS)
    return decay
