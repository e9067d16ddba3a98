"""The folder of a saved model or a training run: config.json holds its network, its classes and its transformation."""

from __future__ import annotations

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
