"""Weight updates in machine code: one pass over weights, gradients and moments, on all threads."""

from __future__ import annotations

import dataclasses
import functools
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import InputBatch
from striate.engine.kernels import expression, update
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.plan.algebra import substitute
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.training.budget import learner_bytes
from striate.engine.training.compiled_training import CompiledTraining
from striate.engine.training.sweeps import Entry, Gradients, Sweep, as_kernel_array, flat
from striate.engine.update_rules import MOVING_AVERAGE, UpdateFormula, formula, operand
from striate.network import Network

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class _KernelForm:
    """A formula as a kernel of `kernels.update`. Operands: its arrays, then its numbers."""

    formula: UpdateFormula

    @functools.cached_property
    def kinds(self) -> str:
        return "v" * len(self.formula.arrays) + "u" * len(self.formula.numbers)

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        names = (*self.formula.arrays, *self.formula.numbers)
        letters = dict(zip(names, expression.OPERANDS, strict=False))
        return tuple(expression.text(expr, letters) for expr in self.formula.over_numbers.values())

    def entry(self, arrays: Mapping[str, Array]) -> Entry:
        """Outputs and operands of one tensor. The numbers are written before each run."""
        numbers = [0.0] * len(self.formula.numbers)
        outputs = [arrays[name] for name in self.formula.results]
        return outputs, [*(arrays[name] for name in self.formula.arrays), *numbers]

    def write(self, records: Array, settings: Mapping[str, Any]) -> None:
        """Write the numbers into the records of all tensors."""
        values = self.formula.evaluate_numbers(settings).values()
        for k, value in enumerate(values, len(self.formula.arrays)):
            records.view(np.float32)[:, update.number(len(self.texts), k)] = value


_AVERAGE = _KernelForm(MOVING_AVERAGE)


class CompiledLearner(Learner):
    """Updates the run's arrays in place. Gradients stay where the backward pass leaves them, or are accumulated over
    several batches.
    """

    def __init__(self, net: Network, rule: UpdateRule, store: OptimizerState, context: PlanContext) -> None:
        self._user_weights = store.weights
        store = dataclasses.replace(
            store, weights={name: as_kernel_array(a) for name, a in store.weights.items()}
        )
        self._form = _kernel_form(rule)
        reserved = learner_bytes(net, rule, store, len(self._form.formula.moments))
        self._program = CompiledTraining(net, store.weights, context, memory=rule.memory, reserved=reserved)
        if rule.memory:
            self._program.plan_for(rule.batch_size)
        self._rule, self._store, self._steps = rule, store, store.steps
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
        rule, form = self._rule, self._form
        sweep, records, averages = self._sweeps_for(self._gradients).step
        decay = rule.weight_decay * self._decayed
        form.write(
            records,
            form.formula.settings(rule, momentum, lr=lr, decay=decay, step=self._steps, share=self._share),
        )
        settings = MOVING_AVERAGE.settings(rule, step=self._steps)
        _AVERAGE.write(averages, settings)
        sweep.run()
        for name, average in (self._store.average or {}).items():
            if as_kernel_array(average) is not average:
                arrays = {"average": average, "weight": self._store.weights[name]}
                average[...] = MOVING_AVERAGE.evaluate(arrays, settings)["average"]
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


def _kernel_form(rule: UpdateRule) -> _KernelForm:
    """The kernel of a rule, over gradients of which a share counts: the mean over a batch, less what is clipped."""
    rule_formula = formula(rule.word, rule.nesterov)
    share = {"gradient": operand("share") * operand("gradient")}
    results = {name: substitute(expr, share) for name, expr in rule_formula.results.items()}
    return _KernelForm(dataclasses.replace(rule_formula, results=results))


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
        form, store, sweep = _kernel_form(self.rule), self.store, self.sweep()
        for kind in form.formula.moments:
            moments = store.moments[kind]
            moments.update({name: as_kernel_array(array) for name, array in moments.items()})
            moments.update(
                flat({name: array.shape for name, array in self.arrays.items() if name not in moments})
            )
        moments_of = {
            name: {kind: store.moments[kind][name] for kind in form.formula.moments} for name in self.arrays
        }
        entries = [
            form.entry({"weight": store.weights[name], "gradient": gradient, **moments_of[name]})
            for name, gradient in self.arrays.items()
        ]
        steps = sweep.updates(form.kinds, form.texts, entries)
        averages = [
            _AVERAGE.entry({"average": average, "weight": store.weights[name]})
            for name, average in (store.average or {}).items()
            if as_kernel_array(average) is average
        ]
        return sweep, steps, sweep.updates(_AVERAGE.kinds, _AVERAGE.texts, averages, waits=True)
