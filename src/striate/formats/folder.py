"""The folder of a saved model or a training run: config.json holds its network, its classes and its transformation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, StriateError
from striate.formats.files import read_text
from striate.network import Network

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
RUN_CONFIG = "config.toml"
"""File in a run folder that holds its data and settings."""
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
    known = record if isinstance(record, Mapping) else {}
    classes, transform, objective = (known.get(key) for key in ("classes", "transform", "objective"))
    return {
        "classes": tuple(map(str, classes)) if isinstance(classes, list | tuple) else (),
        "transform": dict(transform) if isinstance(transform, Mapping) else {},
        "objective": dict(objective) if isinstance(objective, Mapping) else {},
    }


def read(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Read the network and the full record of a model folder. Raises SourceError, FormatError."""
    import json  # start-up counts: most sources are no folders

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


def load(folder: Path) -> Network:
    """Load the network of a model folder, with its weights if the folder has them. Raises SourceError, FormatError."""
    from striate import weights
    from striate.formats import safetensors

    net, record = read(folder)
    net = dataclasses.replace(net, about=about(record))
    if not (folder / WEIGHTS).is_file():  # a run that has just begun
        return net
    arrays, _ = safetensors.load(folder / WEIGHTS)
    arrays = dict(weights.resolved(net, arrays))
    weights.check(net, arrays)
    return dataclasses.replace(net, weights=arrays)
