"""A trained model judged on data: which part of it, numbered and transformed as in training.

Decides what "unseen" means: the test part where the data has one; of data that has no parts and that the model was
trained on, the share that training has set aside by the same seed; all of any other data.
"""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any, cast

from striate.diagnostics import UsageError
from striate.engine.interface import Program
from striate.network import Network
from striate.train.config import Config
from striate.train.data import Dataset, Transform, open_data, suit
from striate.train.data.dataset import OnBad
from striate.train.data.opening import read_parts
from striate.train.data.splits import ALL, TEST, TRAIN, VALIDATION, choose, complete
from striate.train.data.steps import Normalise
from striate.train.data.suiting import for_outputs
from striate.train.evaluation import Evaluation, Watcher, evaluate
from striate.train.network import image_input
from striate.train.plan import make_loss
from striate.train.run import CONFIG
from striate.train.source import Source

IMAGENET = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
"""What most published weights were trained with."""


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """source: the data that was used; notes: what had to be adapted."""

    evaluation: Evaluation
    source: str
    notes: tuple[str, ...]


def config_of(folder: Path) -> Config:
    """What a run was trained with; the defaults for a model that was saved without."""
    path = folder / CONFIG
    return Config.read(path) if path.is_file() else Config()


def normalised(net: Network, mean: str, std: str) -> dict[str, Any]:
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
                f"--{word} {text or '(not given)'} is not one number for each channel",
                why=f"{net.name} reads {channels} channels"
                + ("; a deviation is above 0" if word == "std" else ""),
                fix=f"--{word} {IMAGENET[word] if channels == 3 else '0.5'}",
            )
        numbers[word] = given * (channels // len(given))
    return Transform((Normalise(**numbers),)).to_dict()


def judge(
    program: Program,
    classes: tuple[str, ...],
    transform: dict[str, Any],
    config: Config,
    data: Dataset,
    *,
    batch: int = 64,
    worst: int = 20,
    watch: Watcher | None = None,
) -> Judged:
    """The answers of a trained network to labelled images, counted. Raises FormatError where the two do not suit."""
    suited = suit(data, Transform.from_dict(transform), image_input(program.net), classes)
    loss = make_loss(program.net, config.settings, suited.data)
    output = program.net.specs[program.net.outputs[0]]
    known = suited.data
    if len(output.shape) > 1:
        known = for_outputs(suited.data, loss.labels(output.shape[1]), bool(classes))
    source = Source(known, suited.transform, batch)
    found = evaluate(program, source, loss, worst=worst, watch=watch)
    return Judged(found, data.source, suited.notes)


def unseen(config: Config, data: str = "", split: str = "", on_bad: str = "") -> Dataset:
    """The part to judge by. data: empty for what the model was trained on; split: a part by name, empty: as above.

    Raises UsageError where neither says which data, and what `open_data` raises.
    """
    job = config.job
    source = data or job.data
    if not source:
        raise UsageError(
            "there is no data to judge by",
            why="the model does not say what it was trained on",
            fix="name it: --data PATH",
        )
    seed, bad = config.settings.seed, cast(OnBad, on_bad or job.on_bad)
    if split:
        return open_data(source, split, seed=seed, on_bad=bad)
    parts = read_parts(source, bad)
    for name in (TEST, VALIDATION):
        if name in parts:
            return parts[name]
    if not same(source, job.data):
        return choose(parts, ALL, source)
    drawn = complete(parts, 0.1, seed)
    return next(drawn[name] for name in (TEST, VALIDATION, TRAIN) if name in drawn)


def same(one: str, other: str) -> bool:
    """Whether two names mean the same data."""
    if one == other:
        return True
    try:
        return os.path.samefile(os.path.expanduser(one), os.path.expanduser(other))
    except (OSError, ValueError):
        return False
