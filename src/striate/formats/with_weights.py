"""Networks with all of their weights: from a file, from their source, or fresh ones.

Decides where weights come from; fresh ones never replace those that a source should have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate import weights as arrays
from striate.diagnostics import SourceError, StriateError, UnknownNameError, by_reader, setting
from striate.files import exists
from striate.formats import folder, weight_files
from striate.formats.load_model import TRAINED, load, load_any
from striate.formats.loaded import Loaded, structure
from striate.formats.notation import Size
from striate.network import Network


def with_weights(
    source: Any, weights: Mapping[str, Any] | str | Path | None = None, *, input: Size | None = None,
    seed: int = 0, initializer: str | None = None,
) -> Loaded:  # fmt: skip
    """Load a model with `weights`, else with its own, else with fresh ones (which are not `trained`).

    source: as `load_any` takes it; weights: name -> array, or a file or folder; seed, initializer: of fresh weights.
    Raises SourceError if weights of a trained model are missing, FormatError if weights do not fit.
    """
    about: Mapping[str, Any] = {}
    if isinstance(weights, str | Path):
        weights, about = read_trained(weights)
    model = load_any(source, input)
    if weights is None:
        weights = model.weights
    elif isinstance(source, str | Path):
        model = _with_classes(source, model, weights)
    if weights is None and model.trained and arrays.has_learned_weights(model):
        raise SourceError(
            f"the weights of {model.name} are missing",
            where=model.source or model.name,
            why="its source is a trained model, but some of its weights could not be read",
            fix=f"pass {setting('weights', 'FILE')}"
            + by_reader(", or start with fresh ones: st.Model(st.load(…).network)", ""),
        )
    trained = weights is not None
    if weights is None:
        fresh = arrays.initialize(model.network, seed, initializer or initializer_of(model))
        weights = {name: arrays.seal(array) for name, array in fresh.items()}
    metadata = about if any(about.values()) else model.about
    fitting = arrays.prepare(model.network, weights)
    return model.with_parts(weights=fitting, trained=trained, **metadata)


def _with_classes(source: Any, model: Loaded, weights: Mapping[str, Any]) -> Loaded:
    """The model; a catalogue network takes its number of classes from the weights."""
    last = "" if model.inference.problems else next(reversed(model.parameters), "")
    if last not in weights or model.weights is not None or not model.parameters[last].shape:
        return model
    count = int(weights[last].shape[0]) if len(weights[last].shape) else 0
    if count in (0, model.parameters[last].shape[0]):
        return model
    from striate.models import catalogue

    try:
        sizes: Any = model.input.without_batch  # create judges their number
        return structure(catalogue.create(str(source).strip(), input=sizes, num_classes=count))
    except StriateError:  # no catalogue network, or none with this number of classes: the weights do not fit
        return model


def read_trained(source: str | Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Read the weights of a file or folder, and its metadata of the model, as `Loaded.about`; empty for weights alone.

    Raises SourceError if there are no weights, UsageError for another kind of file.
    """
    path = Path(source).expanduser()
    if (weight_files.holds_weights(path) and not path.is_dir()) or not (
        path.suffix.lower() in TRAINED or exists(path / folder.CONFIG)
    ):
        weights, metadata = weight_files.read(path)  # refuses files of another kind
        record = folder.read_record(path, metadata)
        return weights, {} if record is None else folder.about(record)
    model = load(str(source))
    if model.weights is None:
        raise SourceError(
            f"{source} holds no weights",
            where=str(source),
            why="the file contains no weights, or some could not be read",
            fix="name the folder of a finished run, or a file such as model.safetensors",
        )
    return model.weights, model.about


def initializer_of(net: Network) -> str:
    """The initializer of the network's family; kaiming for custom networks."""
    from striate import models

    try:
        return models.get(net.name).family.initializer
    except UnknownNameError:
        return "kaiming"
