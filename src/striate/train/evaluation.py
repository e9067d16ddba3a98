"""Evaluation of a network on a dataset: all metrics in one pass."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from striate import elsewhere, hooks
from striate.diagnostics import Named, plural
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup
from striate.network import Network
from striate.op import Trait
from striate.train.data_source import Source
from striate.train.losses import Array, Loss
from striate.train.metrics import Tally
from striate.train.update import NotFinite


@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation(hooks.Displayed, elsewhere.Teaching):
    """Metrics of a network on a dataset; `print` shows accuracy and loss.

    loss: mean over the set; tally: counts of the answers; names: of the worst images; seconds: duration; notes:
    adaptations and unreadable images; source: description of the data.
    """

    loss: float
    tally: Tally
    classes: tuple[str, ...]
    images: int
    seconds: float
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    drawn_as: ClassVar[str] = "confusion"
    """Kind of picture that shows it."""

    @property
    def accuracy(self) -> float:
        return self.tally.accuracy

    def __getitem__(self, measure: int | str) -> float:
        """Loss and accuracy by name, or in this order: ``loss, accuracy = model.evaluate(x, y)``.

        Raises UnknownNameError for another name.
        """
        measures: dict[str, float] = Named(
            {"loss": self.loss, "accuracy": self.accuracy}, "the evaluation", "measure"
        )
        return measures[measure] if isinstance(measure, str) else tuple(measures.values())[measure]

    def __repr__(self) -> str:
        return f"Evaluation({self})"

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.1%}, loss {self.loss:.4f} on {plural(self.images, 'image')}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in `report.json` and `--json`. Rows of the confusion matrix are true classes."""
        tally = self.tally
        scores = tally.per_class(self.classes)
        nonempty = [score for score in scores if score.images]
        return {
            "images": self.images,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "top5_accuracy": tally.top5_accuracy,
            "macro_f1": sum(score.f1 for score in nonempty) / max(len(nonempty), 1),
            "classes": list(self.classes),
            "confusion_matrix": tally.confusion.tolist(),
            "per_class": [dataclasses.asdict(score) for score in scores],
            "calibration": {
                "expected_calibration_error": tally.calibration_error(),
                "bins": [dataclasses.asdict(b) for b in tally.calibration()],
            },
            "worst": [
                {
                    "id": wrong.id,
                    "name": name,
                    "label": self.classes[wrong.label],
                    "predicted": self.classes[wrong.predicted],
                    "confidence": wrong.confidence,
                    "loss": wrong.loss,
                }
                for wrong, name in zip(tally.worst(), self.names, strict=True)
            ],
            "seconds": self.seconds,
            "notes": list(self.notes),
        }


Watcher = Callable[[int, float, float], None]
"""Called after every batch with the number of images done, the mean loss and the accuracy so far."""


class Runs(Protocol):
    """Computes the outputs of a network for a batch."""

    @property
    def net(self) -> Network: ...

    def __call__(self, x: Any) -> Array | tuple[Array, ...]: ...


def evaluate(
    program: Runs,
    source: Source,
    loss: Loss,
    *,
    worst: int = 0,
    watch: Watcher | None = None,
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> Evaluation:
    """Run a network over a dataset that the processes of `process_group` share.

    Raises NotFinite if an output is not finite, and whatever `watch` raises. The worst images are those of this process
    alone.
    """
    started = time.monotonic()
    classes, tally = source.data.classes, Tally(len(source.data.classes), worst)
    total, weight, images = 0.0, 0.0, 0
    for batch in dataclasses.replace(source, process_group=process_group).epoch():
        if not len(batch.y):
            continue
        output = logits(program.net, program(batch.x))
        value = loss(output, batch.y)
        if not math.isfinite(value.total):
            error = NotFinite(f"the loss is {value.total}", where=f"evaluation, batch {batch.index}")
            error.batch = batch
            raise error
        with np.errstate(over="ignore"):
            tally.add(loss.probabilities(output), batch.y, value.each, batch.ids)
        total, weight, images = total + value.total, weight + value.weight, images + len(batch.y)
        if watch:
            watch(
                min(images * process_group.size, source.images),
                total / weight if weight else 0.0,
                tally.accuracy,
            )
    if process_group.size > 1:
        total, weight, images = _sum_processes(total, weight, images, tally, process_group)
    names = tuple(source.data.name(wrong.id) for wrong in tally.worst())
    seconds = time.monotonic() - started
    mean = total / weight if weight else 0.0
    return Evaluation(mean, tally, classes, images, seconds, names, tuple(source.data.notes()))


def _sum_processes(
    total: float, weight: float, images: int, tally: Tally, process_group: ProcessGroup
) -> tuple[float, float, int]:
    """Sum the counts of all processes; the tally is changed in place."""
    total, weight, count, *counts = process_group.sum(
        np.array([total, weight, images, *tally.counts])
    ).tolist()
    tally.counts = np.array(counts)
    return total, weight, int(count)


def logits(net: Network, outputs: Array | tuple[Array, ...]) -> Array:
    """The network's logits: its first output, if there are auxiliary ones.

    A final softmax or sigmoid is inverted, because the losses apply their own.
    """
    output = outputs[0] if isinstance(outputs, tuple) else outputs
    last = net.producers.get(net.outputs[0])
    traits = last.op.traits if last else Trait.NONE
    if Trait.DISTRIBUTION not in traits and Trait.LOGISTIC not in traits:
        return output
    tiny = np.finfo(output.dtype).tiny
    values: Array = np.log(np.maximum(output, tiny))
    if Trait.LOGISTIC in traits:
        values -= np.log(np.maximum(1 - output, tiny))
    return values
