"""The checkpoint: one safetensors file with every array, and everything else as JSON in its header.

One file, renamed into place, so that it is never half written and its parts always match. No pickle.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, StriateError, UsageError, plural, setting
from striate.formats import safetensors
from striate.train.data.transforms import Transform
from striate.train.setup import TrainingSetup
from striate.train.state import State

SCHEMA = "striate.state/1"

FREE = frozenset(
    {
        "epochs",
        "patience",
        "min_delta",
        "checkpoint_steps",
        "checkpoint_minutes",
        "worst",
        "log",
        "amp",
        "memory",
    }
)
"""Settings that may change when a run resumes: they affect only when it stops, what it writes, and the machine."""


def save(path: Path, setup: TrainingSetup, state: State) -> None:
    """Write the state to a temporary file, then rename it. Raises SourceError; an older checkpoint then stays."""
    record = {"schema": SCHEMA, "settings": setup.settings.to_dict(), "data": _data(setup), **state.record()}
    safetensors.save(path, state.arrays(), {"striate": json.dumps(record)})


def restore(path: Path, setup: TrainingSetup, state: State) -> None:
    """Read a checkpoint into a fresh state.

    Raises SourceError and FormatError for the file, UsageError if network, settings or data are not those of the run.
    """
    arrays, metadata = safetensors.load(path)
    try:
        record = json.loads(metadata["striate"])
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']}, expected {SCHEMA}")
        settings, data = dict(record["settings"]), record["data"]
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{path.name} is not a checkpoint",
            where=str(path),
            why=str(error),
            fix=f"start a new run with another {setting('out')}",
        ) from None
    _check_settings(path, settings, setup)
    now = _data(setup)
    with contextlib.suppress(StriateError, KeyError):  # in today's spelling; older checkpoints have none
        data = {**data, "transform": _plain(Transform.from_dict(data["transform"]).to_dict())}
    differences = [name for name in now if data.get(name, now[name]) != now[name]]
    if differences == ["transform"]:
        raise UsageError(
            "the transformation differs from that of this run",
            where=str(path),
            why="the checkpoint was written with another normalization or augmentation of the images",
            fix=f"restore the config.json of this run, or start a new one with another {setting('out')}",
        )
    if differences:
        raise UsageError(
            "the data differs from that of this run",
            where=str(path),
            why=f"the run started with {plural(data['images'], 'image')}; this data has {now['images']:,}",
            fix=f"resume with the original data, or start a new run with another {setting('out')}",
        )
    try:
        state.restore(arrays, record)
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{path.name} does not fit {setup.net.name}",
            where=str(path),
            why=str(error),
            fix=f"resume with the network of the run, or start a new run with another {setting('out')}",
        ) from None


def _data(setup: TrainingSetup) -> dict[str, Any]:
    """What must be unchanged for a resumed run to be bit-identical."""
    data, transform = setup.train.data, setup.train.transform.to_dict()
    return _plain({"images": len(data), "classes": list(data.classes), "transform": transform})


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record as JSON reads it back."""
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _check_settings(path: Path, before: dict[str, Any], setup: TrainingSetup) -> None:
    now = setup.settings.to_dict()
    differences = [name for name in now if name not in FREE and name in before and before[name] != now[name]]
    if differences:
        name = differences[0]
        raise UsageError(
            f"{name} cannot change within a run",
            where=str(path),
            why=f"the run started with {name} = {before[name]!r}; now it is {now[name]!r}",
            fix=f"leave out {setting(name)}, or start a new run with another {setting('out')}",
        )
