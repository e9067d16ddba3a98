"""The folder of a saved model or a training run: config.json holds its network, classes and image transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, LimitError, StriateError, plural, warn
from striate.formats.loaded import Loaded
from striate.formats.text_files import read_text
from striate.formats.tokens import MAX_TEXT
from striate.network import Network

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
RUN_CONFIG, CHECKPOINT, LINES = "config.toml", "state.safetensors", "metrics.jsonl"
"""Files in a run folder: its data and settings, the state for resuming, and a line for each epoch."""
AVERAGE, CURRENT = "average/", "weights/"
"""Prefixes of the weights in a checkpoint: of their moving average, if it has one, and of the weights themselves."""
SCHEMA = "striate.model/1"
RECORD = "striate"
"""Key in a file's metadata that holds such a description, as JSON."""


def describe(
    network: Network,
    classes: Sequence[str] = (),
    transform: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a model without its weights, as config.json holds it. objective: the loss that it was trained with."""
    return {
        "schema": SCHEMA,
        "network": network.to_dict(),
        "classes": list(classes),
        "transform": dict(transform or {}),
        **({"objective": dict(objective)} if objective else {}),
    }


def about(record: Any) -> dict[str, Any]:
    """Metadata of a trained model from a record, as `describe` takes it; unknown entries are left out."""
    fields = record if isinstance(record, Mapping) else {}
    classes, transform, objective = (fields.get(key) for key in ("classes", "transform", "objective"))
    return {
        "classes": tuple(map(str, classes)) if isinstance(classes, list | tuple) else (),
        "transform": dict(transform) if isinstance(transform, Mapping) else {},
        "objective": dict(objective) if isinstance(objective, Mapping) else {},
    }


def read(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Read the network and the full record of a model folder. Raises SourceError, FormatError."""
    import json  # start-up counts: most sources are not folders

    path = folder / CONFIG
    text = read_text(path)
    try:
        record = json.loads(text)
        return Network.from_dict(record["network"]), record
    except StriateError as error:  # first, because an UnknownNameError is a KeyError too
        raise error.at("", str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{path} describes no network",
            where=str(path),
            why=str(error)[:200] or type(error).__name__,
            fix="save the model again with Striate",
        ) from None


def load(folder: Path) -> Loaded:
    """Load the model of a folder, with its weights if the folder has them. Raises SourceError, FormatError.

    A run that stopped in its first epoch has only the weights of its checkpoint; a warning says so.
    """
    net, record = read(folder)
    arrays = _weights(folder, net)
    config = read_text(folder / RUN_CONFIG) if (folder / RUN_CONFIG).is_file() else ""
    return Loaded.of(net, arrays, config=config, **about(record))


def _weights(folder: Path, net: Network) -> Mapping[str, Any] | None:
    from striate import weights
    from striate.formats import safetensors

    if (folder / WEIGHTS).is_file():
        return weights.prepare(net, safetensors.load(folder / WEIGHTS)[0])
    if not (folder / CHECKPOINT).is_file():
        return None
    arrays, metadata = safetensors.load(folder / CHECKPOINT)
    record = read_record(folder / CHECKPOINT, metadata)
    if not isinstance(record, Mapping) or record.get("epoch") != 0:  # then the file has been lost
        return None
    prefix = AVERAGE if any(name.startswith(AVERAGE) for name in arrays) else CURRENT
    warn(f"the run in {folder} stopped in its first epoch: these are the weights of its checkpoint")
    averages = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return weights.prepare(net, averages)


def read_record(path: Path, metadata: Mapping[str, str]) -> Any:
    """Read Striate's record from a file's metadata; None if there is no record."""
    import json

    if RECORD not in metadata:
        return None
    if len(metadata[RECORD]) > MAX_TEXT:
        raise LimitError(
            f"{path} has a model description of {plural(len(metadata[RECORD]), 'character')}",
            where=str(path),
            why=f"at most {MAX_TEXT:,} are read",
            fix="write it again",
        )
    try:
        return json.loads(metadata[RECORD])
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is damaged",
            where=str(path),
            why=f"its metadata {RECORD!r} is not JSON: {str(error)[:100]}",
            fix="write it again",
        ) from None
