"""Training of a model on opened data, for `Model.fit` and `striate train`, and the search for its learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from striate.engine.interface import Engine
from striate.network import Network
from striate.train.config import Config
from striate.train.data import DataSplits
from striate.train.events import Callback, Event, Prepared, Started, tell
from striate.train.finder import RateCurve, find_rate
from striate.train.history import History
from striate.train.loop import fit
from striate.train.losses import Array
from striate.train.run import Recorded
from striate.train.settings import Settings
from striate.train.start import Start, start_from


class Trainable(Protocol):
    """What training needs of a model: its state, and `trained`, which updates classes and transformation."""

    net: Network
    engine: Engine
    classes: tuple[str, ...]
    transform: dict[str, Any]

    @property
    def weights(self) -> Mapping[str, Array]: ...

    def trained(self, start: Start, settings: Settings) -> None: ...


def fit_model(
    model: Trainable,
    parts: DataSplits,
    config: Config,
    *,
    out: Path | None = None,
    recorded: Recorded | None = None,
    notes: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a model in place on opened data with a configuration.

    out: the run folder to write, or to continue; recorded: how that run began. notes: reported before those of the
    start. Raises what `loop.fit` and `start_from` raise.
    """
    settings, classes, transform = config.settings.resolved, model.classes, model.transform
    if recorded is not None:
        classes, transform = recorded.classes, recorded.transforms[1].to_dict()
    start = start_from(model.net, parts.train, parts.validation, settings, classes, transform)

    def mark_trained(event: Event) -> None:
        if isinstance(event, Started):  # from here on the weights change
            model.trained(start, settings)

    listeners = (mark_trained, *callbacks)
    tell(listeners, Prepared(model.net.name, config.job.data, parts.found, (*notes, *start.notes)))
    history = fit(
        model.net,
        dict(model.weights),
        start.train,
        start.validation,
        config.settings,
        engine=model.engine,
        transforms=start.transforms,
        out=out,
        resume=recorded is not None,
        job=config.job,
        callbacks=listeners,
    )
    model.trained(start, settings)
    return history


def find_model_rate(model: Trainable, parts: DataSplits, settings: Settings) -> RateCurve:
    """The losses of a model at growing learning rates, on a copy of its weights. Raises what `find_rate` raises."""
    start = start_from(
        model.net, parts.train, parts.validation, settings.resolved, model.classes, model.transform
    )
    return find_rate(
        model.net,
        dict(model.weights),
        start.train,
        settings,
        engine=model.engine,
        transforms=start.transforms,
    )
