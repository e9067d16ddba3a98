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
"""What the folder of a run has besides: data and settings."""
SCHEMA = "striate.model/1"
RECORD = "striate"
"""The key under which the metadata of a file holds such a description, as JSON."""


def describe(
    network: Network,
    classes: Sequence[str] = (),
    transform: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A model without its numbers, as config.json holds it. objective: the loss that it was trained with."""
    return {
        "schema": SCHEMA,
        "network": network.to_dict(),
        "classes": list(classes),
        "transform": dict(transform or {}),
        **({"objective": dict(objective)} if objective else {}),
    }


def about(record: Any) -> dict[str, Any]:
    """What a record says of a trained model, as `describe` takes it; what is not understood is left out."""
    known = record if isinstance(record, Mapping) else {}
    classes, transform, objective = (known.get(key) for key in ("classes", "transform", "objective"))
    return {
        "classes": tuple(map(str, classes)) if isinstance(classes, list | tuple) else (),
        "transform": dict(transform) if isinstance(transform, Mapping) else {},
        "objective": dict(objective) if isinstance(objective, Mapping) else {},
    }


def read(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Network and whole record of a model's folder. Raises SourceError, FormatError."""
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
            fix="save the model again; a folder that striate wrote has a network in it",
        ) from None


def load(folder: Path) -> Network:
    """The network of a model's folder, with its weights where they are there. Raises SourceError, FormatError."""
    from striate import weights

    net, record = read(folder)
    net = dataclasses.replace(net, about=about(record))
    if not (folder / WEIGHTS).is_file():  # a run that has just begun
        return net
    arrays, _ = weights.load(folder / WEIGHTS)
    arrays = dict(weights.resolved(net, arrays))
    weights.check(net, arrays)
    return dataclasses.replace(net, weights=arrays)
