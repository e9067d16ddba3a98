"""The folder of a saved model or a training run: config.json holds its network, its classes and its transformation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, StriateError
from striate.formats.files import read_text
from striate.network import Network

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
SCHEMA = "striate.model/1"


def describe(
    network: Network, classes: Sequence[str] = (), transform: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A model without its numbers, as config.json holds it."""
    return {
        "schema": SCHEMA,
        "network": network.to_dict(),
        "classes": list(classes),
        "transform": dict(transform or {}),
    }


def about(record: Any) -> dict[str, Any]:
    """Classes and transformation of a record, as `describe` takes them; what is not understood is left out."""
    known = record if isinstance(record, Mapping) else {}
    classes, transform = known.get("classes"), known.get("transform")
    return {
        "classes": tuple(map(str, classes)) if isinstance(classes, list) else (),
        "transform": dict(transform) if isinstance(transform, Mapping) else {},
    }


def read(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Network and whole record of a model's folder. Raises SourceError, FormatError."""
    path = folder / CONFIG
    text = read_text(path)
    try:
        record = json.loads(text)
        return Network.from_dict(record["network"]), record
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{path} describes no network",
            where=str(path),
            why=str(error)[:200] or type(error).__name__,
            fix="save the model again; a folder that striate wrote has a network in it",
        ) from None
    except StriateError as error:
        raise error.at("", str(path)) from None


def load(folder: Path) -> Network:
    """The network of a model's folder, with its weights where they are there. Raises SourceError, FormatError."""
    from striate import weights

    net, _ = read(folder)
    if not (folder / WEIGHTS).is_file():  # a run that has just begun
        return net
    arrays, _ = weights.load(folder / WEIGHTS)
    weights.check(net, arrays)
    return dataclasses.replace(net, weights=arrays)
