"""Evaluation of a trained model: which part of the data, with class numbers and transformation as in training.

Unseen data is the test part if the data has one; of training data without parts, the share that training has held out
by the same seed; all of any other data.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, cast

from striate.diagnostics import UsageError, by_reader, plural, setting, warn
from striate.network import Network
from striate.op import Trait
from striate.train.adapt_network import image_input
from striate.train.arguments import open_parts
from striate.train.config import Config
from striate.train.data import Dataset, Transform, adapt_data, open_data
from striate.train.data.adapt import AdaptedData, for_outputs, renumbered
from striate.train.data.arrays import IN_MEMORY
from striate.train.data.dataset import OnBad
from striate.train.data.image_transforms import Normalize
from striate.train.data.readers import read_parts, read_unlabeled
from striate.train.data.several import lay_out
from striate.train.data.splits import ALL, TEST, TRAIN, VALIDATION, choose, complete
from striate.train.data.transforms import ByInput
from striate.train.data_source import Source, make_transforms
from striate.train.evaluation import Evaluation, Runs, Watcher, evaluate
from striate.train.inputs import IMAGENET
from striate.train.losses import LOSSES, Loss
from striate.train.settings import Settings
from striate.train.setup import OBJECTIVE, make_loss
from striate.train.start import scale_notes


def normalization(net: Network, mean: str, std: str) -> dict[str, Any]:
    """The transformation of a model that records none: pixels in [0, 1], minus the mean, divided by the deviation.

    mean, std: one number, or one for each channel, with commas. Raises UsageError.
    """
    channels = image_input(net)[0]
    numbers = {}
    for word, text in (("mean", mean), ("std", std)):
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if (
            len(values) not in (1, channels)
            or not all(map(math.isfinite, values))
            or (word == "std" and min(values) <= 0)
        ):
            raise UsageError(
                f"{setting(word)} {text or '(not values)'} is not one number per channel",
                why=f"{net.name} reads {plural(channels, 'channel')}"
                + ("; a standard deviation must be above 0" if word == "std" else ""),
                fix=setting(word, IMAGENET[word] if channels == 3 else "0.5"),
            )
        numbers[word] = values * (channels // len(values))
    return Transform((Normalize(**numbers),)).to_dict()


def loss_of(net: Network, objective: Mapping[str, Any], data: Dataset | None = None) -> Loss:
    """The loss that a network was trained with. data: for class weights that depend on it.

    objective: the result of `objective_of`, empty if the network records none. Raises UsageError and UnknownNameError
    for an invalid loss.
    """
    values = {name: value for name, value in objective.items() if name in OBJECTIVE}
    settings = Settings().replace(values or {"loss": usual_loss(net)}, "objective")
    return LOSSES[settings.loss]() if data is None else make_loss(net, settings, data)


def usual_loss(net: Network) -> str:
    """The default loss for a network's last op: binary for independent outputs, else cross entropy."""
    name = net.outputs[0]
    last, shape = net.producers.get(name), net.specs[name].shape
    independent = (last is not None and Trait.LOGISTIC in last.op.traits) or shape[1:2] == (1,)
    return "binary_cross_entropy" if independent else "cross_entropy"


def evaluate_model(
    program: Runs,
    classes: tuple[str, ...],
    transform: Transform,
    objective: Mapping[str, Any],
    data: Dataset,
    *,
    batch: int = 64,
    worst: int = 20,
    watch: Watcher | None = None,
) -> Evaluation:
    """Evaluate a trained network on labeled images. Raises FormatError if they do not fit."""
    net = program.net
    data = lay_out(net, data, transform.whites if isinstance(transform, ByInput) else {})
    if data.inputs:
        numbered, notes = renumbered(data, classes)
        suited = AdaptedData(numbered, transform, notes)
    else:
        suited = adapt_data(data, transform, image_input(net), classes)
    output = net.specs[net.outputs[0]]
    dataset = suited.data
    if len(output.shape) > 1:
        dataset = for_outputs(dataset, loss_of(net, objective).labels(output.shape[1]), bool(classes))
    source = Source(dataset, suited.transform, batch)
    evaluation = evaluate(program, source, loss_of(net, objective, dataset), worst=worst, watch=watch)
    return dataclasses.replace(evaluation, source=data.source, notes=(*suited.notes, *evaluation.notes))


def as_they_are(net: Network) -> Transform:
    """The transformation of arrays for a model that records none: unchanged."""
    if len(net.inputs) > 1:
        return ByInput(inputs=tuple((name, Transform()) for name in net.inputs))
    count = image_input(net)[0]
    return Transform((Normalize((0.0,) * count, (1.0,) * count),))


def transform_for(
    net: Network, recorded: Transform | None, data: Dataset, config: Config
) -> tuple[Transform, tuple[str, ...]]:
    """The transformation of data for a model, recorded or not, and notes.

    Warns of arrays on another scale than in training. Without a recorded transformation arrays are unchanged; for other
    images mean and deviation are measured.
    """
    if recorded is not None:
        if data.kind == IN_MEMORY and not data.inputs:  # files are always read as fractions of 1
            for text in scale_notes(data, recorded):
                warn(text)
        return recorded, ()
    if data.kind == IN_MEMORY:
        return as_they_are(net), ()
    way = by_reader("model.transform sets them", "--mean and --std set them")
    note = f"the model records no mean and standard deviation; they are measured on this data; {way}"
    return make_transforms(net, data, config.settings.resolved)[1], (note,)


def unseen(config: Config, data: Any = "", split: str = "", on_bad: str = "", white: int = 0) -> Dataset:
    """The part for evaluation. data: empty for the training data; split: name of a part, empty: see above; white: the
    integer that training has read as 1.

    Raises UsageError if no data is given or recorded, and what `open_data` raises.
    """
    job = config.job
    fix = by_reader('call evaluate("PATH") or evaluate(x, y)', "give --data PATH")
    source = _named(config, data, "to evaluate on", fix)
    seed, bad = config.settings.seed, cast(OnBad, on_bad or job.on_bad)
    if job.validation and same(source, job.data):
        parts = open_parts(job.data, job.validation, seed, bad).parts()
        return choose(parts, split or VALIDATION, job.data)
    if split:
        return open_data(source, split, seed=seed, on_bad=bad, white=white)
    parts = read_parts(source, bad, white)
    for name in (TEST, VALIDATION):
        if name in parts:
            return parts[name]
    if not same(source, job.data):
        return choose(parts, ALL, str(source) if isinstance(source, str) else "the data")
    splits = complete(parts, 0.1, seed)
    return next(splits[name] for name in (TEST, VALIDATION, TRAIN) if name in splits)


def learned_from(config: Config, data: Any = "", split: str = "", white: int = 0) -> Dataset:
    """The images that a run has learned from, or all of any other data, which needs no labels.

    data, split, white: as for `unseen`, or a list of image files; raises as that does.
    """
    job = config.job
    fix = by_reader('give data="PATH", or data=(x, y)', "give --data PATH")
    source = _named(config, data, "to look through", fix)
    seed, bad = config.settings.seed, cast(OnBad, job.on_bad)
    if same(source, job.data):
        parts = open_parts(job.data, job.validation or None, seed, bad).parts()
        return choose(parts, split or TRAIN, job.data)
    if (unlabeled := read_unlabeled(source, bad)) is not None:
        return choose({ALL: unlabeled}, split or ALL, unlabeled.kind)
    return open_data(source, split or ALL, seed=seed, on_bad=bad, white=white)


def _named(config: Config, data: Any, purpose: str, fix: str) -> Any:
    """The data that is given, else that of the run. Raises UsageError if there is none."""
    source = os.fspath(data) or config.job.data if isinstance(data, str | os.PathLike) else data
    if isinstance(source, str) and not source:
        why = "the model does not record its training data"
        raise UsageError(f"there is no data {purpose}", why=why, fix=fix)
    return source


def same(one: Any, other: str) -> bool:
    """True if two names mean the same data; data in memory has no name."""
    if not isinstance(one, str):
        return False
    if one == other:
        return True
    try:
        return os.path.samefile(os.path.expanduser(one), os.path.expanduser(other))
    except (OSError, ValueError):
        return False
