"""Steps of the weights in machine code: one pass over weights, gradients and moments, on all threads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned
from striate.engine.bound import listed
from striate.engine.code import Kernel, addresses
from striate.engine.kernels import update
from striate.engine.learner import Learner, Rule, Store
from striate.engine.plan.steps import Context, cut
from striate.engine.pool import pool
from striate.engine.training.budget import held
from striate.engine.training.program import CompiledTraining
from striate.network import Network

Array = NDArray[Any]

GRADIENT = 1
"""The operand that lies elsewhere in each step."""
STRETCH = 1 << 12
"""Squares that are summed in float32."""

# weight a, gradient b times its share c, weight decay d, step size e; then each rule's own
_GRADIENT = "add(mul(c,b),mul(d,a))"
_VELOCITY = f"add(mul(g,f),{_GRADIENT})"
"""velocity f, momentum g"""
_FIRST, _SECOND = "add(mul(h,f),mul(i,{0}))", "add(mul(j,g),mul(k,mul({0},{0})))"
"""first f, second g; β₁ h, 1 - β₁ i, β₂ j, 1 - β₂ k, √(1 - β₂^t) l, ε m"""
_MOVED = f"sub({{1}},div(mul(e,{_FIRST}),add(div(sqrt({_SECOND}),l),m)))"


@dataclasses.dataclass(frozen=True)
class Formula:
    """operands: v array, u number, in order; texts: new weight, then the new moments."""

    operands: str
    texts: tuple[str, ...]
    moments: tuple[str, ...]


def formula(rule: Rule) -> Formula:
    """What a rule computes, as `striate.train.optimizers` defines it."""
    if rule.word == "sgd":
        step = f"add({_GRADIENT},mul(g,{_VELOCITY}))" if rule.nesterov else _VELOCITY
        return Formula("vvuuuvu", (f"sub(a,mul(e,{step}))", _VELOCITY), ("velocity",))
    kinds = "vvuuuvv" + "u" * 6
    if rule.word == "adam":
        texts = tuple(text.format(_GRADIENT, "a") for text in (_MOVED, _FIRST, _SECOND))
    else:  # d is what decay leaves of the weight
        texts = tuple(text.format("mul(c,b)", "mul(d,a)") for text in (_MOVED, _FIRST, _SECOND))
    return Formula(kinds, texts, ("first", "second"))


class CompiledLearner(Learner):
    """The run's own arrays, stepped in place."""

    def __init__(self, net: Network, rule: Rule, store: Store, context: Context) -> None:
        self._given = store.weights
        store = dataclasses.replace(store, weights={name: suited(a) for name, a in store.weights.items()})
        beside = held(net, rule, store, len(formula(rule).moments))
        self._program = CompiledTraining(net, store.weights, context, memory=rule.memory, beside=beside)
        if rule.memory:
            self._program.bound(rule.batch_size)
        self._rule, self._store, self._steps = rule, store, store.steps
        self._formula = formula(rule)
        self._sums: dict[str, Array] = {}
        self._lent = False
        self._share = 1.0
        self._pool, self._threads, self._target = pool(context.target), context.threads, context.target
        self._records: Array | None = None

    @property
    def compiled(self) -> bool:
        """Whether the last forward run was one of kernels."""
        return self._program.compiled

    def forward(self, x: Array, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        if self._lent:  # and about to be written over
            self._sums = {name: gradient.copy() for name, gradient in self._sums.items()}
            self._lent = False
        return self._program.forward(x, rng)

    def backward(self, gradients: Sequence[Array]) -> None:
        for name, statistic in self._program.updates.items():
            self._store.weights[name][...] = statistic
        found = self._program.lent(gradients)
        self._lent = not self._sums
        for name, gradient in found.items():
            if self._lent:
                self._sums[name] = gradient
            else:
                self._sums[name] += gradient

    def bound(self, share: float) -> float:
        norm = _length(self._sums) * share
        self._share = share
        if self._rule.clip_norm and norm > self._rule.clip_norm:
            self._share *= self._rule.clip_norm / norm
        if self._rule.clip_value:
            for gradient in self._sums.values():
                gradient *= self._share
                np.clip(gradient, -self._rule.clip_value, self._rule.clip_value, out=gradient)
            self._share = 1.0
        return norm

    def broken(self) -> list[str]:
        return [name for name, gradient in self._sums.items() if not np.isfinite(gradient).all()]

    def step(self, lr: float, momentum: float | None) -> None:
        self._steps += 1
        if self._sums:
            self._moved(list(self._sums), lr, momentum)
        self._sums, self._lent = {}, False
        self._averaged()

    def collect(self) -> None:
        """The run's arrays are the only ones, but where they do not suit kernels."""
        for name, array in self._store.weights.items():
            if array is not self._given[name]:
                self._given[name][...] = array

    # ------------------------------------------------------------ the step
    def _moved(self, names: Sequence[str], lr: float, momentum: float | None) -> None:
        if self._records is None:
            self._prepare(names)
        assert self._records is not None
        numbers = self._numbers(lr, momentum)
        floats = self._records.view(np.float32)
        for operand, value in numbers.items():
            floats[:, update.number(len(self._formula.texts), operand)] = value
        self._records[:, update.OUT // 8 + len(self._formula.texts) + GRADIENT] = [
            aligned.address(self._sums[name]) for name in names
        ]
        self._pool.run(aligned.address(self._steps_program), self._threads)

    def _numbers(self, lr: float, momentum: float | None) -> dict[int, float | Array]:
        """Operands that are numbers, by their place; decay differs from tensor to tensor."""
        rule, decayed = self._rule, self._decayed
        decay = rule.weight_decay * decayed
        if rule.word == "sgd":
            mu = rule.momentum if momentum is None else momentum
            return {2: self._share, 3: decay, 4: lr, 6: mu}
        beta1 = rule.beta1 if momentum is None else momentum
        if rule.word == "adamw":
            decay = 1 - lr * decay
        return {
            2: self._share, 3: decay, 4: lr / (1 - beta1**self._steps), 7: beta1, 8: 1 - beta1, 9: rule.beta2,
            10: 1 - rule.beta2, 11: math.sqrt(1 - rule.beta2**self._steps), 12: rule.eps,
        }  # fmt: skip

    def _prepare(self, names: Sequence[str]) -> None:
        """A program with a step for each tensor."""
        found, made = self._formula, []
        kernel = Kernel("update", (found.operands, *found.texts))
        code = addresses(self._target, [kernel])[kernel]
        self._decayed = np.array([name in self._rule.decayed for name in names], np.float32)
        for name in names:
            weight = self._store.weights[name]
            for kind in found.moments:
                kept = self._store.moments[kind]
                kept[name] = suited(kept[name]) if name in kept else np.zeros_like(weight)
            moments = [self._store.moments[kind][name] for kind in found.moments]
            arrays = iter((weight, weight, *moments))  # the gradient's address comes with it
            operands = [aligned.address(next(arrays)) if kind == "v" else 0.0 for kind in found.operands]
            outputs = [aligned.address(array) for array in (weight, *moments)]
            made.append(update.arguments(weight.size, outputs, operands, found.operands))
        self._records = aligned.zeros(len(made) * len(made[0]), np.int64).reshape(len(made), -1)
        self._records[:] = made
        tasks = [
            cut(update.rows(self._store.weights[name].size), 1, 4 * self._threads if self._threads > 1 else 1)
            for name in names
        ]
        self._kept: list[Array] = []

        def table(array: Array) -> int:
            self._kept.append(aligned.copied(array))
            return aligned.address(self._kept[-1])

        steps = [(code, record, own, False) for record, own in zip(self._records, tasks, strict=True)]
        self._steps_program = listed(steps, [0] * self._threads, table)

    def _averaged(self) -> None:
        """Source: `striate.train.ema`."""
        decay = min(self._rule.ema, (1 + self._steps) / (10 + self._steps))
        for name, average in (self._store.average or {}).items():
            average *= decay
            average += (1 - decay) * self._store.weights[name]


def suited(array: Array) -> Array:
    """The array itself where kernels can read and write it, else a copy."""
    return np.require(array, np.float32, ("C", "W"))


def _length(gradients: Mapping[str, Array]) -> float:
    """Euclidean length of all gradients taken as one vector. A product by BLAS would depend on its threads."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = math.fsum(_squares(gradient.reshape(-1)) for gradient in gradients.values())
    if not math.isfinite(found):  # perhaps only beyond float32
        found = math.fsum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients.values())
    return math.sqrt(found)


def _squares(flat: Array) -> float:
    """Sum of squares, in stretches short enough for float32."""
    whole = flat.size // STRETCH * STRETCH
    rows, rest = flat[:whole].reshape(-1, STRETCH), flat[whole:]
    sums = np.einsum("ij,ij->i", rows, rows)
    return float(sums.sum(dtype=np.float64)) + float(np.einsum("i,i->", rest, rest))
