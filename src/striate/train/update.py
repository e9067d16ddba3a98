"""One update of the weights: forward and backward pass over a group of batches, then one step of the optimizer.

The batches of a group are read before anything is computed, so that an interruption or a missing file falls between two
updates.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from striate.diagnostics import TrainingError
from striate.engine.inputs import rows
from striate.engine.interface import Program
from striate.engine.learner import Learner
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup
from striate.train.data import Batch
from striate.train.data_source import MIX, NOISE
from striate.train.losses import Array, LossValue
from striate.train.metrics import correct
from striate.train.setup import TrainingSetup
from striate.train.state import State


@dataclasses.dataclass(frozen=True)
class UpdateResult:
    """Results of an update. loss: mean over its batches; grad_norm: before clipping; stopped: whether any process was
    asked to stop.
    """

    loss: float
    lr: float
    grad_norm: float
    stopped: bool = False


class Diverged(TrainingError):
    """The loss diverged: training cannot continue from these weights."""

    exit_code = 1


class NotFinite(Diverged):
    """A loss or a gradient is NaN or infinite. `batch` is the last one."""

    batch: Batch


def groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last one may be shorter."""
    while group := list(itertools.islice(batches, size)):
        yield group


def update(
    setup: TrainingSetup,
    state: State,
    learner: Learner,
    group: list[Batch],
    process_group: ProcessGroup = SINGLE_PROCESS,
    stop: object = None,
) -> UpdateResult:
    """Change the state by one group of batches, shared by the processes of `process_group`. Raises NotFinite.

    stop: true if this process was asked to stop; all processes learn of it in the same step.
    """
    meter = dataclasses.replace(state.meter)
    sums = np.zeros(6)  # loss, its weight, right answers, answers, images, requests to stop
    gradients: list[Array] = []
    broken: NotFinite | None = None
    for batch in group:
        if gradients:
            learner.backward(gradients)
        x, targets = _mix(setup, batch, state.epoch, process_group)
        words = [setup.settings.seed, NOISE, state.epoch, batch.index]
        outputs = learner.forward(x, np.random.default_rng(words), batch is group[-1])
        value, gradients = _loss(setup, outputs, targets)
        answers = value.each.size * math.prod(outputs[0].shape[2:])
        sums[:5] += value.total, value.weight, correct(outputs[0], targets), answers, rows(x)
        if not math.isfinite(value.total) and broken is None:
            broken = NotFinite(f"the loss is {value.total}", where=_where(state, batch))
            broken.batch = batch
            if process_group.size == 1:  # the others wait for every batch
                break
    sums[5] = bool(stop)
    total, weight, right, answered, images, stopped = process_group.sum(sums).tolist()
    if broken or not math.isfinite(total):
        raise broken or _error_elsewhere(state, group[-1])
    at, last = state.optimizer.steps, group[-1]
    lr = state.schedule.rate(at)
    norm = 0.0
    if images:  # 0 in all processes if all images of the group are corrupt
        learner.backward(gradients)
        norm = learner.clip_gradients(1 / weight if weight else 1.0)
        if not math.isfinite(norm):
            raise _not_finite_gradient(learner.broken(), state, last)
        learner.step(lr, state.schedule.momentum(at))
        state.optimizer.steps = at + 1
        meter.updates += 1
    meter.loss, meter.weight = meter.loss + total, meter.weight + weight
    meter.correct, meter.answers = meter.correct + int(right), meter.answers + int(answered)
    meter.images, meter.grad_norm = meter.images + int(images), meter.grad_norm + norm
    state.meter, state.batch = meter, last.index + 1
    return UpdateResult(total * (1 / weight if weight else 1.0), lr, norm, stopped > 0)


def _mix(setup: TrainingSetup, batch: Batch, epoch: int, process_group: ProcessGroup) -> tuple[Any, Array]:
    """Images and targets, mixed if set. A mixed batch is read by every process, which then takes its share."""
    if not setup.mixing:
        return batch.x, batch.y
    x: Array = batch.x
    targets: Array = batch.y
    if len(x) > 1:
        _, channels = setup.net.specs[setup.net.outputs[0]].shape
        soft = setup.loss.dense(targets, np.empty((len(x), channels), x.dtype))
        x, targets = setup.mixing(
            x, soft, np.random.default_rng([setup.settings.seed, MIX, epoch, batch.index])
        )
    part = process_group.share(len(x))
    return x[part], targets[part]


def _loss(setup: TrainingSetup, outputs: tuple[Array, ...], targets: Array) -> tuple[LossValue, list[Array]]:
    """The loss of the first output plus a share of the others' (auxiliary classifiers), and the gradient of each."""
    main, *others = (setup.loss(output, targets) for output in outputs)
    share = setup.settings.auxiliary
    value = dataclasses.replace(main, total=main.total + share * sum(other.total for other in others))
    return value, [main.gradient, *(other.gradient * share for other in others)]


def _where(state: State, batch: Batch) -> str:
    return f"epoch {state.epoch + 1}, batch {batch.index}, update {state.optimizer.steps + 1}"


def check_bounded(loss: float, state: State, what: str = "loss") -> None:
    """Raise Diverged if a loss exceeds DIVERGED_LOSS_RATIO times that of the first update."""
    first = max(state.first_loss or 0.0, LEAST_FIRST_LOSS)
    if loss > DIVERGED_LOSS_RATIO * first:
        raise Diverged(
            f"training diverges: the {what} is {loss:.3g}",
            where=f"{state.place}, update {state.optimizer.steps}",
            why=f"that is over {DIVERGED_LOSS_RATIO:,} times the first, {first:.3g}",
            fix=CURE,
        )


def _error_elsewhere(state: State, batch: Batch) -> TrainingError:
    what = "the loss is not a finite number in another process"
    error = TrainingError(what, where=_where(state, batch), why="see its message", fix=CURE)
    error.exit_code = Diverged.exit_code
    return error


def _not_finite_gradient(broken: list[str], state: State, batch: Batch) -> NotFinite:
    """The error names the last node whose gradient is not finite: nodes before it only receive that gradient."""
    order = list(state.weights)
    name = max(broken, key=order.index) if broken else ""
    what = f"the gradient of {name}" if name else "the norm of the gradient"
    error = NotFinite(f"{what} is not a finite number", where=_where(state, batch), fix=CURE)
    error.why = "the loss is finite, so the backward pass has overflowed"
    error.node = name.rpartition(".")[0] or None
    error.batch = batch
    return error


CURE = "use a lower lr, warmup_epochs, or clip_norm = 1.0"
DIVERGED_LOSS_RATIO = 1000
"""Training counts as diverged if the loss exceeds this multiple of the first loss."""
LEAST_FIRST_LOSS = 0.5
"""Lower bound for the first loss in this test (a guess between two classes costs 0.69): a trained network starts near
0, and one hard batch could exceed it a thousand times.
"""


def explain(error: NotFinite, program: Program) -> NotFinite:
    """Add the first node with values that are not finite, or the bad image, to the error."""
    x = error.batch.x
    arrays = x if isinstance(x, Mapping) else {"": x}
    broken = {name: ~np.isfinite(a).reshape(len(a), -1).all(axis=1) for name, a in arrays.items()}
    bad = next((name for name, wrong in broken.items() if wrong.any()), None)
    error.fix = error.fix or CURE
    if bad is not None:
        row = error.batch.ids[broken[bad]][0]
        of = f" of {bad}" if bad else ""
        error.why, error.fix = (
            f"image {row}{of} contains NaN or infinity",
            "find it with striate data check",
        )
    elif error.node is None:
        error.node = program.first_non_finite(x)
        error.why = (
            f"the output of {error.node} is the first that is not finite"
            if error.node
            else "without batch statistics and noise, all outputs are finite; the loss or the statistics overflow"
        )
    return error
