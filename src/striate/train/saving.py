"""Saving a model to a folder that holds everything, or to a file in the format of its suffix.

Decides which of the two a name means; refuses files that cannot hold weights, or that Striate does not write.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from striate.diagnostics import SourceError, UsageError, warn
from striate.elsewhere import FILES
from striate.files import write_aside
from striate.formats import safetensors
from striate.formats.conversion import STRUCTURE, WRITERS
from striate.formats.folder import CARD, CONFIG, WEIGHTS, describe
from striate.formats.loaded import Loaded
from striate.formats.weight_files import holds_weights
from striate.train.card import card
from striate.weights import by_file_names


def names_file(path: str) -> bool:
    """True if a model is saved as a file of this name; False if the name is that of a folder.

    Warns if the file holds only the weights. Raises UsageError for a file that cannot hold the model.
    """
    stem, suffix = os.path.splitext(path)
    suffix = suffix.lower()
    if suffix not in FILES or path.endswith(os.sep) or os.path.isdir(path):
        return False
    advice = f'save("{stem}") for a folder that holds everything'
    if suffix not in WRITERS:
        raise UsageError(
            f"{suffix} files are not written",
            where=path,
            why=f"written are {', '.join(sorted(WRITERS.keys() - {*STRUCTURE}))}",
            fix=f'{advice}, or save("{stem}.onnx") for other tools',
        )
    if suffix in STRUCTURE:
        raise UsageError(
            f"{suffix} files hold no weights",
            where=path,
            why="they hold the network alone",
            fix=f'{advice}, or export("{path}") for the network',
        )
    if holds_weights(path) and suffix != ".safetensors":
        warn(f"{path} holds the weights alone, without network, classes and transformation; {advice}")
    return True


def write_folder(target: Path, model: Loaded) -> None:
    """Write config.json, model.safetensors and a model card. Raises SourceError if the folder cannot be created."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise SourceError(
            f"{target} cannot be created",
            why=getattr(error, "strerror", "") or str(error),
            fix="choose another folder",
        ) from None
    net, about = model.network, model.about
    safetensors.save(target / WEIGHTS, by_file_names(net, model.weights or {}))
    write_aside(target / CARD, card(net, model.classes, model.transform).encode())
    write_aside(target / CONFIG, (json.dumps(describe(net, **about), indent=1) + "\n").encode())
