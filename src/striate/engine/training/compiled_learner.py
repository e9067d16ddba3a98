"""Weight updates in machine code: one pass over weights, gradients and moments, on all threads."""

from __future__ import annotations

import dataclasses
import functools
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import Given
from striate.engine.kernels import update
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.training.budget import held
from striate.engine.training.compiled_training import CompiledTraining
from striate.engine.training.sweeps import Entry, Gradients, Sweep, flat, suited
from striate.network import Network

Array = NDArray[Any]

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


def formula(rule: UpdateRule) -> Formula:
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
    """Updates the run's arrays in place. Gradients stay where the backward pass leaves them, or are accumulated over
    several batches.
    """

    def __init__(self, net: Network, rule: UpdateRule, store: OptimizerState, context: PlanContext) -> None:
        self._given = store.weights
        store = dataclasses.replace(store, weights={name: suited(a) for name, a in store.weights.items()})
        reserved = held(net, rule, store, len(formula(rule).moments))
        self._program = CompiledTraining(net, store.weights, context, memory=rule.memory, reserved=reserved)
        if rule.memory:
            self._program.plan_for(rule.batch_size)
        self._rule, self._store, self._steps = rule, store, store.steps
        self._formula = formula(rule)
        self._shapes = {name: p.shape for name, p in sorted(net.parameters.items()) if p.trainable}
        self._decayed = np.array([name in rule.decayed for name in self._shapes], np.float32)
        self._target, self._threads = context.target, context.threads
        self._now: Gradients | None = None
        """Of the batches of this update so far."""
        self._lent, self._share = False, 1.0
        self._sums = _Sums(self._shapes)
        self._ways: weakref.WeakKeyDictionary[Gradients, _Way] = weakref.WeakKeyDictionary()

    @property
    def compiled(self) -> bool:
        """Whether the last forward pass was one of kernels."""
        return self._program.compiled

    def forward(self, x: Given, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        if self._lent and self._now is not None:  # and about to be written over
            self._way(self._now).moved.run()
            self._now, self._lent = self._sums.made, False
        return self._program.forward(x, rng)

    def backward(self, gradients: Sequence[Array]) -> None:
        for name, statistic in self._program.updates.items():
            self._store.weights[name][...] = statistic
        found = self._program.lent(gradients)
        if self._now is None:
            self._now, self._lent = found, True
        else:
            self._way(found).added.run()

    def clip_gradients(self, scale: float) -> float:
        assert self._now is not None
        way, rule = self._way(self._now), self._rule
        norm = way.length() * scale
        self._share = scale
        if rule.clip_norm and norm > rule.clip_norm:
            self._share *= rule.clip_norm / norm
        if rule.clip_value and math.isfinite(norm):
            sweep, records = way.cut
            records.view(np.float32)[:, update.number(1, 1)] = self._share
            sweep.run()
            self._share = 1.0
        return norm

    def broken(self) -> list[str]:
        arrays = self._now.arrays if self._now else {}
        return [name for name, gradient in arrays.items() if not np.isfinite(gradient).all()]

    def step(self, lr: float, momentum: float | None) -> None:
        assert self._now is not None
        self._steps += 1
        sweep, records, averages = self._way(self._now).step
        floats = records.view(np.float32)
        for operand, value in self._numbers(lr, momentum).items():
            floats[:, update.number(len(self._formula.texts), operand)] = value
        decay = min(self._rule.ema, (1 + self._steps) / (10 + self._steps))
        for operand, value in ((2, decay), (3, 1 - decay)):
            averages.view(np.float32)[:, update.number(1, operand)] = value
        sweep.run()
        for name, average in (self._store.average or {}).items():
            if suited(average) is not average:
                average += (1 - decay) * (self._store.weights[name] - average)
        self._now, self._lent = None, False

    def collect(self) -> None:
        """The run's arrays are the only ones, but where they do not suit kernels."""
        for name, array in self._store.weights.items():
            if array is not self._given[name]:
                self._given[name][...] = array

    # ------------------------------------------------------------ kernels
    def _way(self, gradients: Gradients) -> _Way:
        if gradients not in self._ways:
            sweep = functools.partial(Sweep, self._target, self._threads)
            self._ways[gradients] = _Way(dict(gradients.arrays), self._store, self._rule, sweep, self._sums)
        return self._ways[gradients]

    def _numbers(self, lr: float, momentum: float | None) -> dict[int, float | Array]:
        """Operands that are numbers, by their place; decay differs from tensor to tensor."""
        rule = self._rule
        decay = rule.weight_decay * self._decayed
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


@dataclasses.dataclass
class _Sums:
    """Where gradients of several batches are added up: from the first time on that there are some."""

    shapes: dict[str, tuple[int, ...]]

    @functools.cached_property
    def made(self) -> Gradients:
        return Gradients(flat(self.shapes))


@dataclasses.dataclass
class _Way:
    """What a learner does with gradients that lie in some place, each made when it is first asked for."""

    arrays: dict[str, Array]
    store: OptimizerState
    rule: UpdateRule
    sweep: Callable[[], Sweep]
    sums: _Sums

    def length(self) -> float:
        """Euclidean length of all gradients taken as one vector; NaN where a number is none."""
        sweep, sums = self._squares
        sweep.run()
        found = float(sums.sum())
        if not math.isfinite(found):  # perhaps only beyond float32
            found = math.fsum(float(np.sum(np.square(g, dtype=np.float64))) for g in self.arrays.values())
        return math.sqrt(found)

    @functools.cached_property
    def _squares(self) -> tuple[Sweep, Array]:
        sweep = self.sweep()
        return sweep, sweep.squares(list(self.arrays.values()))

    @functools.cached_property
    def moved(self) -> Sweep:
        """Copy the gradients into the sums."""
        sweep, sums = self.sweep(), self.sums.made.arrays
        sweep.updates("v", ("a",), [([sums[name]], [array]) for name, array in self.arrays.items()])
        return sweep

    @functools.cached_property
    def added(self) -> Sweep:
        """Add the gradients to the sums."""
        sweep, sums = self.sweep(), self.sums.made.arrays
        entries = [([sums[name]], [sums[name], array]) for name, array in self.arrays.items()]
        sweep.updates("vv", ("add(a,b)",), entries)
        return sweep

    @functools.cached_property
    def cut(self) -> tuple[Sweep, Array]:
        """Scale the gradients by operand 1 and clip them."""
        sweep, limit = self.sweep(), self.rule.clip_value
        entries: list[Entry] = [([array], [array, 1.0, -limit, limit]) for array in self.arrays.values()]
        return sweep, sweep.updates("vuuu", ("min(max(mul(a,b),c),d)",), entries)

    @functools.cached_property
    def step(self) -> tuple[Sweep, Array, Array]:
        """A step of the weights, then of their averages (source: `striate.train.ema`); and the records of both."""
        found, store, sweep = formula(self.rule), self.store, self.sweep()
        for kind in found.moments:
            own = store.moments[kind]
            own.update({name: suited(array) for name, array in own.items()})
            own.update(flat({name: array.shape for name, array in self.arrays.items() if name not in own}))
        entries: list[Entry] = []
        for name, gradient in self.arrays.items():
            outputs = [store.weights[name], *(store.moments[kind][name] for kind in found.moments)]
            arrays = iter((outputs[0], gradient, *outputs[1:]))
            entries.append((outputs, [next(arrays) if kind == "v" else 0.0 for kind in found.operands]))
        steps = sweep.updates(found.operands, found.texts, entries)
        averages: list[Entry] = [
            ([average], [average, store.weights[name], 0.0, 0.0])
            for name, average in (store.average or {}).items()
            if suited(average) is average
        ]
        return sweep, steps, sweep.updates("vvuu", ("add(mul(c,a),mul(d,b))",), averages, waits=True)
