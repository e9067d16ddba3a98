"""Events of a training run. A callback is any function of one event; its result is ignored.

Progress bars, plain lines and loggers are callbacks, so that the loop prints nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from striate.diagnostics import UsageError, warn


@dataclasses.dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclasses.dataclass(frozen=True)
class Prepared(Event):
    """Network and data are ready; training has not begun.

    source: path or name of the data, empty for data in memory; found: its parts, in words; notes: what was adapted.
    """

    network: str
    source: str
    found: str
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Started(Event):
    """Training begins or continues. images: in the training set; epoch: the first to run, from 1."""

    epochs: int
    epoch: int
    updates_per_epoch: int
    images: int
    parameters: int
    settings: Mapping[str, object]
    out: Path | None = None
    resumed: bool = False


@dataclasses.dataclass(frozen=True)
class Progress(Event):
    """A batch is done. phase: "train" or "validate"; done and total count images of this phase in this epoch.

    loss and accuracy are means over the epoch so far; eta_s: seconds left in this phase.
    """

    phase: str
    epoch: int
    epochs: int
    done: int
    total: int
    loss: float
    accuracy: float | None
    lr: float
    images_per_second: float
    eta_s: float


@dataclasses.dataclass(frozen=True)
class Updated(Event):
    """The weights have changed. update: number of updates so far; grad_norm: before clipping."""

    epoch: int
    update: int
    loss: float
    lr: float
    grad_norm: float


@dataclasses.dataclass(frozen=True)
class EpochDone(Event):
    """An epoch and its validation are done. row: the line of metrics.csv; best: whether it is the best so far."""

    epoch: int
    epochs: int
    row: Mapping[str, float]
    best: bool


@dataclasses.dataclass(frozen=True)
class Compiled(Event):
    """Kernels were compiled for this processor during the epoch, which has waited for them."""

    kernels: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Saved(Event):
    """A checkpoint is on disk."""

    path: Path
    epoch: int
    update: int


@dataclasses.dataclass(frozen=True)
class Finished(Event):
    """Training is over. reason: "done", "early stop" or "interrupted"."""

    reason: str
    epochs: int
    best_epoch: int | None
    seconds: float
    out: Path | None = None


@dataclasses.dataclass(frozen=True)
class Note(Event):
    """A remark for the user in one line, such as skipped images."""

    text: str


Callback = Callable[[Event], None]


def listeners(callbacks: Callback | Sequence[Callback] | None) -> tuple[Callback, ...]:
    """The callbacks of a call of `fit`: one, several or none. Raises UsageError for what is not a function."""
    functions = (callbacks,) if callable(callbacks) else () if callbacks is None else callbacks
    for one in functions:
        if not callable(one):
            raise UsageError(
                f"{type(one).__name__} is not a callback",
                where=f"callbacks: {one!r}"[:100],
                why="a callback is a function of one event, as in striate.train.events",
                fix='callbacks=[function]; patience=5 stops early, out="run" keeps checkpoints',
            )
    return tuple(functions)


def tell(callbacks: tuple[Callback, ...], event: Event) -> None:
    """Pass an event to every callback, in order."""
    for callback in callbacks:
        callback(event)


def warn_of_notes(event: Event) -> None:
    """A callback that turns notes into warnings, for callers of `Model.fit`."""
    notes = event.notes if isinstance(event, Prepared) else (event.text,) if isinstance(event, Note) else ()
    for text in notes:
        warn(text)
