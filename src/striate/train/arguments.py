"""The arguments of `fit` and `evaluate`: arrays or data, validation data, settings, a folder, a run.

Decides which arguments belong together, and refuses ambiguous ones.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from striate.diagnostics import UsageError, by_reader
from striate.engine.inputs import as_array, axes_of
from striate.network import Network
from striate.train.config import Config, Job
from striate.train.data import DataSplits, open_data
from striate.train.data.dataset import OnBad
from striate.train.data.readers import describe_parts, unreadable_data
from striate.train.data.splits import ALL, TRAIN, VALIDATION
from striate.train.run import Recorded, read_resumed_run
from striate.train.settings import Settings


@dataclasses.dataclass(frozen=True, eq=False)
class FitRequest:
    """One call of `fit`: the opened data, the configuration, the run folder.

    run: the folder to write or to continue; recorded: how a continued run began.
    """

    parts: DataSplits
    config: Config
    run: Path | None = None
    recorded: Recorded | None = None


def fit_request(
    net: Network,
    train: Any,
    labels: Any,
    validation: Any,
    changes: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    job: Job,
) -> FitRequest:
    """Read the arguments of `Model.fit`. changes: the settings that it names; job: model and engine of a new run.

    Raises UsageError for arguments that exclude each other, data that is missing and another network than that of the
    run; what `open_data` raises.
    """
    if isinstance(changes.get("epochs"), tuple | list | Mapping):
        raise UsageError(
            "epochs must be a number (got data)",
            why="the third argument is the number of epochs",
            fix="validation=(x, y)",
        )
    data, validation = data_pair(by_input(net, train, labels), labels, by_input(net, validation))
    settings = Settings().replace(changes)
    if resume is not None and out is not None:
        raise UsageError(
            "out and resume exclude each other", fix="remove out; a resumed run stays in its folder"
        )
    run = out if resume is None else resume
    if run is not None and not isinstance(run, str | os.PathLike):
        raise UsageError(
            f"a run is not named by {run!r}",
            why="out and resume take a folder",
            fix='out="run", later resume="run"',
        )
    folder = None if run is None else Path(os.path.expanduser(run))
    recorded = None
    if resume is not None and folder is not None:
        recorded = read_resumed_run(folder, net)
        job, settings = recorded.config.job, recorded.config.settings.replace(changes)
        if data is None and job.data:
            data = job.data
            validation = job.validation or None if validation is None else validation
    elif is_path(data) and (validation is None or is_path(validation)):
        job = dataclasses.replace(job, data=os.fspath(data), validation=os.fspath(validation or ""))
    parts = open_parts(data, validation, settings.seed, job.on_bad, resume)
    return FitRequest(parts, Config(job, settings), folder, recorded)


def is_path(data: Any) -> bool:
    """True for a path or the name of a sample."""
    return isinstance(data, str | os.PathLike)


def open_parts(data: Any, validation: Any, seed: int, on_bad: str, run: Any = None) -> DataSplits:
    """Open the parts to train and to validate on. run: the folder of a run that continues.

    Raises UsageError if there is no data, and what `open_data` raises.
    """
    if data is None or (isinstance(data, str) and not data):
        again = by_reader(f"give it again: fit(x, y, resume={str(run)!r})", "give --data PATH")
        raise UsageError(
            "there is no data to train on",
            why=f"the run in {run} was trained on arrays, which have no path"
            if run
            else "the call gives none",
            fix=again if run else "fit(x, y), or fit(PATH)",
        )
    bad = cast(OnBad, on_bad)
    if validation is None:
        return open_data(data, seed=seed, on_bad=bad)
    pair = isinstance(validation, tuple | list)  # which may be empty
    train = open_data(data, ALL, on_bad=bad)
    apart = {VALIDATION: validation} if pair else validation
    judged = open_data(apart, ALL, on_bad=bad, white=train.white or 0)
    return DataSplits(train, judged, None, describe_parts({TRAIN: train, VALIDATION: judged}))


def data_pair(train: Any, labels: Any, validation: Any) -> tuple[Any, Any]:
    """Training and validation data from positional arguments: images and labels, or data and validation data.

    Raises UsageError if labels are missing, or validation data is given twice.
    """
    if _images_in_a_row(train):
        train = as_array(train)
    if labels is None and isinstance(train, Mapping) and {"x", "y"} <= train.keys():
        raise unreadable_data(train)
    if is_array(train):
        if labels is None:
            raise UsageError(
                "images without labels", why="the array holds only images", fix="give both: (x, y)"
            )
        return (train, labels), validation
    if labels is not None and validation is not None:
        raise UsageError("validation data is given twice", fix="give it once: validation=…")
    return train, labels if validation is None else validation


def by_input(net: Network, data: Any, labels: Any = None) -> Any:
    """Name the arrays of several inputs that are given in order: ((a, b), y), parts of such, or (a, b) with `labels`.

    A dict for the only input of a network becomes its array.
    """
    names = list(net.inputs)
    if isinstance(data, Mapping):
        if len(names) == 1 and data.keys() == net.inputs.keys():
            return data[names[0]]
        return data if is_array(data) else {name: by_input(net, one) for name, one in data.items()}
    in_order = isinstance(data, tuple | list) and len(data) == len(names) > 1 and all(map(is_array, data))
    if in_order and labels is not None and is_array(labels):
        return dict(zip(names, data, strict=True))
    if not isinstance(data, tuple | list) or len(data) != 2:
        return data
    first = data[0]
    if isinstance(first, Mapping) and len(names) == 1 and first.keys() == net.inputs.keys():
        return first[names[0]], data[1]
    if (
        len(names) > 1
        and isinstance(first, tuple | list)
        and len(first) == len(names)
        and all(map(is_array, first))
    ):
        return dict(zip(names, first, strict=True)), data[1]
    return data


def _images_in_a_row(x: Any) -> bool:
    """True for a list of images; False for a pair of images and labels."""
    return isinstance(x, list) and bool(x) and min(map(axes_of, x)) > 1


def is_array(x: Any) -> bool:
    """True for an array of images, or a dict of them by input."""
    if isinstance(x, Mapping):
        return bool(x) and all(map(is_array, x.values()))
    return hasattr(x, "__array__") and not hasattr(x, "features")  # which Hugging Face's datasets have
