"""One update of the weights: forward and backward over a group of batches, then one step of the optimizer.

A group is all or nothing: its batches are read before anything is computed, so that an interruption or a missing file
falls between two updates and never into one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from striate.diagnostics import TrainingError
from striate.engine.interface import Program, TrainingProgram
from striate.train.data import Batch
from striate.train.losses import Array, LossValue
from striate.train.metrics import correct
from striate.train.plan import Plan
from striate.train.source import MIX, NOISE
from striate.train.state import State


@dataclasses.dataclass(frozen=True)
class Step:
    """What an update measured. loss: mean over its batches; grad_norm: before clipping."""

    loss: float
    lr: float
    grad_norm: float


class NotFinite(TrainingError):
    """A loss or a gradient is NaN or infinite. `batch` is what was being learnt."""

    batch: Batch


def groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches, the last one perhaps shorter."""
    while group := list(itertools.islice(batches, size)):
        yield group


def update(plan: Plan, state: State, program: TrainingProgram, group: list[Batch]) -> Step:
    """Change the state by one group of batches. Raises NotFinite."""
    meter = dataclasses.replace(state.meter)
    sums: dict[str, Array] = {}
    total = weight = 0.0
    for batch in group:
        x, targets = _mixed(plan, batch, state.epoch)
        rng = np.random.default_rng([plan.settings.seed, NOISE, state.epoch, batch.index])
        outputs = program.forward(x, rng)
        value, gradients = _loss(plan, outputs, targets)
        if not math.isfinite(value.total):
            error = NotFinite(f"the loss is {value.total}", where=_where(state, batch))
            error.batch = batch
            raise error
        for name, statistic in program.updates.items():
            state.weights[name][...] = statistic
        for name, gradient in program.backward(gradients).items():
            sums[name] = sums[name] + gradient if name in sums else gradient
        total, weight = total + value.total, weight + value.weight
        meter.correct += correct(outputs[0], targets)
        meter.answers += value.each.size * math.prod(outputs[0].shape[2:])
        meter.images += len(x)
    share = 1 / weight if weight else 1.0
    mean = {name: gradient * share for name, gradient in sums.items()}
    norm = plan.bound(mean)
    if not math.isfinite(norm):
        raise _not_finite_gradient(mean, state, group[-1])
    at = state.optimizer.steps
    lr = state.schedule.rate(at)
    state.optimizer.step(state.weights, mean, lr, state.schedule.momentum(at))
    if state.average:
        state.average.update(state.weights, at + 1)
    meter.loss, meter.weight = meter.loss + total, meter.weight + weight
    meter.updates, meter.grad_norm = meter.updates + 1, meter.grad_norm + norm
    state.meter, state.batch = meter, group[-1].index + 1
    return Step(total * share, lr, norm)


def _mixed(plan: Plan, batch: Batch, epoch: int) -> tuple[Array, Array]:
    if not plan.mixing or len(batch.x) < 2:
        return batch.x, batch.y
    _, channels = plan.net.specs[plan.net.outputs[0]].shape
    targets = plan.loss.dense(batch.y, np.empty((len(batch.y), channels), batch.x.dtype))
    return plan.mixing(batch.x, targets, np.random.default_rng([plan.settings.seed, MIX, epoch, batch.index]))


def _loss(plan: Plan, outputs: tuple[Array, ...], targets: Array) -> tuple[LossValue, list[Array]]:
    """The loss of the first output plus a share of the others' (auxiliary classifiers), and the gradient of each."""
    main, *others = (plan.loss(output, targets) for output in outputs)
    share = plan.settings.auxiliary
    whole = dataclasses.replace(main, total=main.total + share * sum(other.total for other in others))
    return whole, [main.gradient, *(other.gradient * share for other in others)]


def _where(state: State, batch: Batch) -> str:
    return f"epoch {state.epoch + 1}, batch {batch.index}, update {state.optimizer.steps + 1}"


def _not_finite_gradient(gradients: Mapping[str, Array], state: State, batch: Batch) -> NotFinite:
    """Named after the last node of the network whose gradient broke: the ones before it only inherit."""
    broken = [name for name, gradient in gradients.items() if not np.isfinite(gradient).all()]
    order = list(state.weights)
    name = max(broken, key=order.index) if broken else ""
    what = f"the gradient of {name}" if name else "the length of the gradient"
    error = NotFinite(f"{what} is not a finite number", where=_where(state, batch), fix=CURE)
    error.why = "the loss is still finite: a step of the backward pass has overflowed"
    error.node = name.rpartition(".")[0] or None
    error.batch = batch
    return error


CURE = "a lower lr, warmup_epochs, or clip_norm = 1.0"


def explain(error: NotFinite, program: Program) -> NotFinite:
    """The same error with the node where the numbers broke, and what can be done."""
    x = error.batch.x
    error.fix = error.fix or CURE
    if not np.isfinite(x).all():
        bad = error.batch.ids[~np.isfinite(x).reshape(len(x), -1).all(axis=1)]
        error.why, error.fix = f"image {bad[0]} holds a NaN or an infinity", "look at it: striate data check"
    elif error.node is None:
        error.node = program.first_non_finite(x)
        error.why = (
            f"the output of {error.node} is the first that is not finite"
            if error.node
            else "every node's output is finite without batch statistics and noise; the loss or the statistics overflow"
        )
    return error
