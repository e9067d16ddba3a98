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

from striate.engine.inputs import InputBatch
from striate.engine.kernels import update
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.training.budget import learner_bytes
from striate.engine.training.compiled_training import CompiledTraining
from striate.engine.training.sweeps import Entry, Gradients, Sweep, as_kernel_array, flat
from striate.network import Network

Array = NDArray[Any]

# weight a, gradient b times its share c, weight decay d, step size e; then each rule's own
_GRADIENT = "add(mul(c,b),mul(d,a))"
_VELOCITY = f"add(mul(g,f),{_GRADIENT})"
"""velocity f, momentum g"""
_FIRST, _SECOND = "add(mul(h,f),mul(i,{0}))", "add(mul(j,g),mul(k,mul({0},{0})))"
"""first f, second g; β₁ h, 1 - β₁ i, β₂ j, 1 - β₂ k, √(1 - β₂^t) l, ε m"""
_WEIGHT = f"sub({{1}},div(mul(e,{_FIRST}),add(div(sqrt({_SECOND}),l),m)))"


@dataclasses.dataclass(frozen=True)
class Formula:
    """operands: v array, u number, in order; texts: new weight, then the new moments."""

    operands: str
    texts: tuple[str, ...]
    moments: tuple[str, ...]


def formula(rule: UpdateRule) -> Formula:
    """The formula of a rule, as `striate.train.optimizers` defines it."""
    if rule.word == "sgd":
        step = f"add({_GRADIENT},mul(g,{_VELOCITY}))" if rule.nesterov else _VELOCITY
        return Formula("vvuuuvu", (f"sub(a,mul(e,{step}))", _VELOCITY), ("velocity",))
    kinds = "vvuuuvv" + "u" * 6
    if rule.word == "adam":
        texts = tuple(text.format(_GRADIENT, "a") for text in (_WEIGHT, _FIRST, _SECOND))
    else:  # d is what decay leaves of the weight
        texts = tuple(text.format("mul(c,b)", "mul(d,a)") for text in (_WEIGHT, _FIRST, _SECOND))
    return Formula(kinds, texts, ("first", "second"))


class CompiledLearner(Learner):
    """Updates the run's arrays in place. Gradients stay where the backward pass leaves them, or are accumulated over
    several batches.
    """

    def __init__(self, net: Network, rule: UpdateRule, store: OptimizerState, context: PlanContext) -> None:
        self._user_weights = store.weights
        store = dataclasses.replace(
            store, weights={name: as_kernel_array(a) for name, a in store.weights.items()}
        )
        reserved = learner_bytes(net, rule, store, len(formula(rule).moments))
        self._program = CompiledTraining(net, store.weights, context, memory=rule.memory, reserved=reserved)
        if rule.memory:
            self._program.plan_for(rule.batch_size)
        self._rule, self._store, self._steps = rule, store, store.steps
        self._formula = formula(rule)
        self._shapes = {name: p.shape for name, p in sorted(net.parameters.items()) if p.trainable}
        self._decayed = np.array([name in rule.decayed for name in self._shapes], np.float32)
        self._target, self._threads = context.target, context.threads
        self._gradients: Gradients | None = None
        """Gradients of this update's batches so far."""
        self._in_place, self._share = False, 1.0
        self._sums = _Sums(self._shapes)
        self._sweeps: weakref.WeakKeyDictionary[Gradients, _GradientSweeps] = weakref.WeakKeyDictionary()

    @property
    def compiled(self) -> bool:
        """Whether the last forward pass ran in machine code."""
        return self._program.compiled

    def forward(self, x: InputBatch, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        if self._in_place and self._gradients is not None:  # and about to be written over
            self._sweeps_for(self._gradients).copy.run()
            self._gradients, self._in_place = self._sums.gradients, False
        return self._program.forward(x, rng)

    def backward(self, gradients: Sequence[Array]) -> None:
        for name, statistic in self._program.updates.items():
            self._store.weights[name][...] = statistic
        current = self._program.backward_in_place(gradients)
        if self._gradients is None:
            self._gradients, self._in_place = current, True
        else:
            self._sweeps_for(current).add.run()

    def clip_gradients(self, scale: float) -> float:
        assert self._gradients is not None
        sweeps, rule = self._sweeps_for(self._gradients), self._rule
        norm = sweeps.norm() * scale
        self._share = scale
        if rule.clip_norm and norm > rule.clip_norm:
            self._share *= rule.clip_norm / norm
        if rule.clip_value and math.isfinite(norm):
            sweep, records = sweeps.clip
            records.view(np.float32)[:, update.number(1, 1)] = self._share
            sweep.run()
            self._share = 1.0
        return norm

    def broken(self) -> list[str]:
        arrays = self._gradients.arrays if self._gradients else {}
        return [name for name, gradient in arrays.items() if not np.isfinite(gradient).all()]

    def step(self, lr: float, momentum: float | None) -> None:
        assert self._gradients is not None
        self._steps += 1
        sweep, records, averages = self._sweeps_for(self._gradients).step
        floats = records.view(np.float32)
        for operand, value in self._numbers(lr, momentum).items():
            floats[:, update.number(len(self._formula.texts), operand)] = value
        decay = min(self._rule.ema, (1 + self._steps) / (10 + self._steps))
        for operand, value in ((2, decay), (3, 1 - decay)):
            averages.view(np.float32)[:, update.number(1, operand)] = value
        sweep.run()
        for name, average in (self._store.average or {}).items():
            if as_kernel_array(average) is not average:
                average += (1 - decay) * (self._store.weights[name] - average)
        self._gradients, self._in_place = None, False

    def collect(self) -> None:
        """Copy the weights into the run's arrays where kernels could not update these in place."""
        for name, array in self._store.weights.items():
            if array is not self._user_weights[name]:
                self._user_weights[name][...] = array

    # ------------------------------------------------------------ kernels
    def _sweeps_for(self, gradients: Gradients) -> _GradientSweeps:
        if gradients not in self._sweeps:
            sweep = functools.partial(Sweep, self._target, self._threads)
            self._sweeps[gradients] = _GradientSweeps(
                dict(gradients.arrays), self._store, self._rule, sweep, self._sums
            )
        return self._sweeps[gradients]

    def _numbers(self, lr: float, momentum: float | None) -> dict[int, float | Array]:
        """Operands that are numbers, by index; decay differs from tensor to tensor."""
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
    """Sums of the gradients of several batches, allocated at the first use."""

    shapes: dict[str, tuple[int, ...]]

    @functools.cached_property
    def gradients(self) -> Gradients:
        return Gradients(flat(self.shapes))


@dataclasses.dataclass
class _GradientSweeps:
    """Sweeps of a learner over gradients at fixed addresses, each built at its first use."""

    arrays: dict[str, Array]
    store: OptimizerState
    rule: UpdateRule
    sweep: Callable[[], Sweep]
    sums: _Sums

    def norm(self) -> float:
        """Euclidean norm of all gradients as one vector; NaN if a gradient has one."""
        sweep, sums = self._squares
        sweep.run()
        total = float(sums.sum())
        if not math.isfinite(total):  # float32 squares may have overflowed
            total = math.fsum(float(np.sum(np.square(g, dtype=np.float64))) for g in self.arrays.values())
        return math.sqrt(total)

    @functools.cached_property
    def _squares(self) -> tuple[Sweep, Array]:
        sweep = self.sweep()
        return sweep, sweep.squares(list(self.arrays.values()))

    @functools.cached_property
    def copy(self) -> Sweep:
        """Copy the gradients into the sums."""
        sweep, sums = self.sweep(), self.sums.gradients.arrays
        sweep.updates("v", ("a",), [([sums[name]], [array]) for name, array in self.arrays.items()])
        return sweep

    @functools.cached_property
    def add(self) -> Sweep:
        """Add the gradients to the sums."""
        sweep, sums = self.sweep(), self.sums.gradients.arrays
        entries = [([sums[name]], [sums[name], array]) for name, array in self.arrays.items()]
        sweep.updates("vv", ("add(a,b)",), entries)
        return sweep

    @functools.cached_property
    def clip(self) -> tuple[Sweep, Array]:
        """Scale the gradients by operand 1 and clip them."""
        sweep, limit = self.sweep(), self.rule.clip_value
        entries: list[Entry] = [([array], [array, 1.0, -limit, limit]) for array in self.arrays.values()]
        return sweep, sweep.updates("vuuu", ("min(max(mul(a,b),c),d)",), entries)

    @functools.cached_property
    def step(self) -> tuple[Sweep, Array, Array]:
        """Update of the weights, then of their averages (source: `striate.train.ema`), with the records of both."""
        rule_formula, store, sweep = formula(self.rule), self.store, self.sweep()
        for kind in rule_formula.moments:
            moments = store.moments[kind]
            moments.update({name: as_kernel_array(array) for name, array in moments.items()})
            moments.update(
                flat({name: array.shape for name, array in self.arrays.items() if name not in moments})
            )
        entries: list[Entry] = []
        for name, gradient in self.arrays.items():
            outputs = [store.weights[name], *(store.moments[kind][name] for kind in rule_formula.moments)]
            arrays = iter((outputs[0], gradient, *outputs[1:]))
            entries.append(
                (outputs, [next(arrays) if kind == "v" else 0.0 for kind in rule_formula.operands])
            )
        steps = sweep.updates(rule_formula.operands, rule_formula.texts, entries)
        averages: list[Entry] = [
            ([average], [average, store.weights[name], 0.0, 0.0])
            for name, average in (store.average or {}).items()
            if as_kernel_array(average) is average
        ]
        return sweep, steps, sweep.updates("vvuu", ("add(mul(c,a),mul(d,b))",), averages, waits=True)
