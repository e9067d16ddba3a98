"""A trained model judged on data: which part of it, numbered and transformed as in training.

Decides what "unseen" means: the test part where the data has one; of data that has no parts and that the model was
trained on, the share that training has set aside by the same seed; all of any other data.
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
from striate.train.arguments import opened
from striate.train.config import Config
from striate.train.data import Dataset, Transform, adapt_data, open_data
from striate.train.data.adapt import AdaptedData, for_outputs, renumbered
from striate.train.data.arrays import IN_MEMORY
from striate.train.data.dataset import OnBad
from striate.train.data.image_transforms import Normalize
from striate.train.data.readers import read_parts
from striate.train.data.several import laid_out
from striate.train.data.splits import ALL, TEST, TRAIN, VALIDATION, choose, complete
from striate.train.data.transforms import ByInput
from striate.train.data_source import Source, transforms
from striate.train.evaluation import Evaluation, Runs, Watcher, evaluate
from striate.train.inputs import IMAGENET
from striate.train.losses import LOSSES, Loss
from striate.train.settings import Settings
from striate.train.setup import OBJECTIVE, make_loss
from striate.train.start import far


def normalized(net: Network, mean: str, std: str) -> dict[str, Any]:
    """The transformation of a model that does not record one: pixels in [0, 1], less the mean, by the deviation.

    mean, std: one number, or one for each channel, with commas. Raises UsageError.
    """
    channels = image_input(net)[0]
    numbers = {}
    for word, text in (("mean", mean), ("std", std)):
        try:
            given = tuple(float(part) for part in text.split(","))
        except ValueError:
            given = ()
        if (
            len(given) not in (1, channels)
            or not all(map(math.isfinite, given))
            or (word == "std" and min(given) <= 0)
        ):
            raise UsageError(
                f"{setting(word)} {text or '(not given)'} is not one number per channel",
                why=f"{net.name} reads {plural(channels, 'channel')}"
                + ("; a standard deviation must be above 0" if word == "std" else ""),
                fix=setting(word, IMAGENET[word] if channels == 3 else "0.5"),
            )
        numbers[word] = given * (channels // len(given))
    return Transform((Normalize(**numbers),)).to_dict()


def loss_of(net: Network, objective: Mapping[str, Any], data: Dataset | None = None) -> Loss:
    """The loss that a network was trained with; data: for class weights that follow from it.

    objective: as `objective_of` gives it, empty for a network that does not say. Raises UsageError and
    UnknownNameError for what is not a loss.
    """
    known = {name: value for name, value in objective.items() if name in OBJECTIVE}
    settings = Settings().replace(known or {"loss": usual_loss(net)}, "objective")
    return LOSSES[settings.loss]() if data is None else make_loss(net, settings, data)


def usual_loss(net: Network) -> str:
    """The loss that the end of a network speaks for: yes or no from each output, or one class of all."""
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
    """The answers of a trained network to labeled images, counted. Raises FormatError where the two do not suit."""
    net = program.net
    data = laid_out(net, data, transform.whites if isinstance(transform, ByInput) else {})
    if data.inputs:
        numbered, notes = renumbered(data, classes)
        suited = AdaptedData(numbered, transform, notes)
    else:
        suited = adapt_data(data, transform, image_input(net), classes)
    output = net.specs[net.outputs[0]]
    counted = suited.data
    if len(output.shape) > 1:
        counted = for_outputs(counted, loss_of(net, objective).labels(output.shape[1]), bool(classes))
    source = Source(counted, suited.transform, batch)
    found = evaluate(program, source, loss_of(net, objective, counted), worst=worst, watch=watch)
    return dataclasses.replace(found, source=data.source, notes=(*suited.notes, *found.notes))


def as_they_are(net: Network) -> Transform:
    """The transformation of arrays for a model that records none: what the network reads."""
    if len(net.inputs) > 1:
        return ByInput(inputs=tuple((name, Transform()) for name in net.inputs))
    count = image_input(net)[0]
    return Transform((Normalize((0.0,) * count, (1.0,) * count),))


def transform_for(
    net: Network, recorded: Transform | None, data: Dataset, config: Config
) -> tuple[Transform, tuple[str, ...]]:
    """What data goes through to a network whose model records a transformation or none; and what is said.

    Warns of arrays on another scale than those of the training. Without a transformation arrays are what the network
    reads, and of other images mean and deviation are measured.
    """
    if recorded is not None:
        if data.kind == IN_MEMORY and not data.inputs:  # files are always read as fractions of 1
            for text in far(data, recorded):
                warn(text)
        return recorded, ()
    if data.kind == IN_MEMORY:
        return as_they_are(net), ()
    way = by_reader("model.transform sets them", "--mean and --std set them")
    said = f"the model records no mean and standard deviation; they are measured on this data; {way}"
    return transforms(net, data, config.settings.resolved)[1], (said,)


def unseen(config: Config, data: Any = "", split: str = "", on_bad: str = "", white: int = 0) -> Dataset:
    """The part to judge by. data: empty for what the model was trained on; split: a part by name, empty: as above;
    white: the whole number that training has read as 1.

    Raises UsageError where neither says which data, and what `open_data` raises.
    """
    job = config.job
    source = data
    if isinstance(data, str | os.PathLike):
        source = os.fspath(data) or job.data
    if isinstance(source, str) and not source:
        raise UsageError(
            "there is no data to evaluate on",
            why="the model does not record its training data",
            fix=by_reader('call evaluate("PATH") or evaluate(x, y)', "give --data PATH"),
        )
    seed, bad = config.settings.seed, cast(OnBad, on_bad or job.on_bad)
    if job.validation and same(source, job.data):
        parts = opened(job.data, job.validation, seed, bad).parts()
        return choose(parts, split or VALIDATION, job.data)
    if split:
        return open_data(source, split, seed=seed, on_bad=bad, white=white)
    parts = read_parts(source, bad, white)
    for name in (TEST, VALIDATION):
        if name in parts:
            return parts[name]
    if not same(source, job.data):
        return choose(parts, ALL, str(source) if isinstance(source, str) else "the data")
    drawn = complete(parts, 0.1, seed)
    return next(drawn[name] for name in (TEST, VALIDATION, TRAIN) if name in drawn)


def same(one: Any, other: str) -> bool:
    """Whether two names mean the same data; data in memory has none."""
    if not isinstance(one, str):
        return False
    if one == other:
        return True
    try:
        return os.path.samefile(os.path.expanduser(one), os.path.expanduser(other))
    except (OSError, ValueError):
        return False
