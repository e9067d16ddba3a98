"""Images as a network reads them, one for each of its inputs, and as pictures show them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.diagnostics import FormatError, UsageError, by_reader, plural, printable, suggest
from striate.engine.inputs import is_image
from striate.network import Network
from striate.train.data import Transform
from striate.train.data.dataset import BadImage
from striate.train.data.image_transforms import Normalize
from striate.train.data.transforms import ByInput
from striate.train.inputs import file_label
from striate.train.prediction_inputs import PredictionInputs
from striate.views.drawing import numbers

if TYPE_CHECKING:
    from striate.formats.loaded import Loaded
    from striate.views.schemas.facts import Plane, ShownImage

MAX_SIDE_CELLS = 192
"""Cells along a side of an image; larger ones are averaged over blocks."""


def read_images(model: Loaded, given: Any) -> tuple[dict[str, Any], list[ShownImage]]:
    """Arrays (1, C, H, W) by input, and what pictures show of them.

    given: one image, as `Model.predict` takes it, or one for each input by name. Raises UsageError where it is not one
    image for each input, or an input is not an image; FormatError for an image that cannot be read.
    """
    net = model.network
    for name, spec in net.inputs.items():
        if not is_image(spec):
            raise UsageError(
                f"{net.name} takes no image" if len(net.inputs) == 1 else f"the input {name} is not an image",
                where=f"its input {name} is {spec}",
                why="maps are computed from images: height, width and channels",
                fix=by_reader(
                    'another kind: st.draw(net, "filters"), "blocks" or "graph"; numbers: model.predict(x)',
                    "another kind: --kind filters, blocks or graph",
                ),
            )
    arrays: dict[str, Any] = {}
    shown: list[Any] = []
    for name, image in _by_input(net, given).items():
        alone = dataclasses.replace(net, inputs={name: net.inputs[name]}, nodes=(), outputs=(name,))
        inputs = PredictionInputs(alone, _way(model, name))
        arrays[name], pixels, called, notes = _read(inputs, image)
        way = inputs.transform.describe() if model.transform else "none: pixels from 0 to 1"
        shown.append({
            "input": name,
            "name": printable(os.path.basename(called)),
            "transform": way if inputs.recorded else "none",
            "notes": list(notes),
            **_shown(pixels),
        })  # fmt: skip
    return arrays, shown


def _by_input(net: Network, given: Any) -> dict[str, Any]:
    """The image of each input, in the order of the network."""
    names = list(net.inputs)
    if not isinstance(given, Mapping):
        if len(names) == 1:
            return {names[0]: given}
        what, near = f"{net.name} takes {plural(len(names), 'input')}, not one image", None
    elif unknown := [name for name in given if name not in net.inputs]:
        what, near = f"{net.name} has no input {unknown[0]}", suggest(str(unknown[0]), names)
    elif missing := [name for name in names if name not in given]:
        what, near = f"the image of the input {missing[0]} is missing", None
    else:
        return {name: given[name] for name in names}
    raise UsageError(
        what,
        where=f"its inputs are {', '.join(f'{name} {spec}' for name, spec in net.inputs.items())}",
        why="every input needs an image of its own",
        fix=f"write {near}"
        if near
        else by_reader(
            f"image={{{', '.join(f'{name!r}: …' for name in names)}}}",
            " ".join(f"--image {name}=FILE" for name in names),
        ),
    )


def _way(model: Loaded, name: str) -> dict[str, Any]:
    """The recorded transformation of an input; of several inputs without one, pixels from 0 to 1, as in `predict`."""
    recorded = dict(model.transform)
    if len(model.network.inputs) == 1:
        return recorded
    transform = Transform.from_dict(recorded) if recorded else Transform()
    way = dict(transform.inputs).get(name) if isinstance(transform, ByInput) else None
    if way is None or not way.steps:
        channels = model.network.inputs[name].channels
        way = Transform((Normalize((0.0,) * channels, (1.0,) * channels),))
    return way.to_dict()


def _read(inputs: PredictionInputs, source: Any) -> tuple[Any, Any, str, tuple[str, ...]]:
    """One image as the network reads it, its pixels before the normalization, its name, and what was changed."""
    target = inputs.target or ()
    name = "image"
    notes: tuple[str, ...] = ()
    if isinstance(source, str | os.PathLike):
        file = os.fspath(source)
        name = file_label(file)
        ready = inputs.reader().read((name, os.path.expanduser(file)))
        if isinstance(ready, BadImage):
            raise FormatError(f"{name} cannot be read", where=name, why=ready.why, fix="give another image")
        x, notes = ready.x[None], ready.notes
    else:
        name = str(getattr(source, "filename", "") or name)
        if isinstance(source, np.ndarray) and source.dtype.kind == "f" and source.shape == target:
            source = source[None]
        x = _one(list(inputs.batches(source, 2)), (1, *target))
    pixels = x[0].astype(np.float64)
    if (step := inputs.transform.normalize) is not None:
        mean, std = (np.array(v, np.float64)[:, None, None] for v in (step.mean, step.std))
        pixels = pixels * std + mean
    return x, pixels, name, notes


def _shown(pixels: Any) -> dict[str, Any]:
    """How an image (C, H, W) is shown."""
    count = len(pixels)
    finite = pixels[np.isfinite(pixels)]
    low, high = 0.0, 1.0
    if finite.size and (finite.min() < -1e-4 or finite.max() > 1.0001):
        low, high = float(finite.min()), float(finite.max())
    scaled = np.clip((pixels - low) / (high - low or 1.0), 0.0, 1.0)
    planes: list[Plane] = []
    for record, plane in numbers.planes(scaled, range(count) if count == 3 else [0]):
        plane, _ = numbers.coarse(plane, MAX_SIDE_CELLS)
        planes.append({**record, "levels": numbers.share_levels(plane, 1.0)})
    return {"shape": list(pixels.shape), "colored": count == 3, "low": low, "high": high, "planes": planes}


def _one(batches: list[Any], shape: tuple[int, ...]) -> Any:
    """The one image in them, of this shape. Raises UsageError."""
    with contextlib.suppress(TypeError, ValueError):
        x = np.asarray(batches[0] if len(batches) == 1 else batches, np.float32)
        if x.shape == shape:
            return x
    raise UsageError(
        "maps are drawn of one image, and this is none or more than one",
        fix=f"give a path, a Pillow image, or an array of shape {shape}",
    )
