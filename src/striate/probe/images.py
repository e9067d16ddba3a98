"""Images as a network reads them and as pixels: one that is given, or those of a dataset."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, UsageError, plural, printable
from striate.model import Model
from striate.network import Network
from striate.train.data.dataset import BadImage
from striate.train.inputs import file_label
from striate.train.prediction_inputs import PredictionInputs
from striate.transforms import Transform

Array = NDArray[Any]


def one_image(net: Network) -> None:
    """Raise UsageError for a network that does not read one image."""
    if len(net.inputs) > 1:
        raise UsageError(
            f"{net.name} has several inputs",
            where=f"they are {', '.join(net.inputs)}",
            why="the pixels of one image are looked at",
            fix="take a network with one input, such as one of its branches",
        )
    (spec,) = net.inputs.values()
    if spec.spatial_axes != ("H", "W"):
        raise UsageError(
            f"{net.name} takes no image",
            where=f"its input is {spec}",
            why="an image has height, width and channels",
            fix="take a network whose input has height and width",
        )


def read_image(model: Model, image: Any) -> tuple[Array, Array, str, tuple[str, ...]]:
    """One image as the network reads it (1, C, H, W), its pixels (C, H, W) before the normalization, its name, and what
    was changed. Raises UsageError if it is none or several, FormatError if it cannot be read."""
    inputs = PredictionInputs(model.net, model.transform)
    target = inputs.target or ()
    name, changes = "image", tuple[str, ...]()
    if isinstance(image, str | os.PathLike) and not os.path.isdir(os.path.expanduser(image)):
        file = os.fspath(image)
        name = file_label(file)
        ready = inputs.reader().read((name, os.path.expanduser(file)))
        if isinstance(ready, BadImage):
            raise FormatError(f"{name} cannot be read", where=name, why=ready.why, fix="give another image")
        x, changes = ready.x[None], ready.notes
        name = printable(os.path.basename(name))
    else:
        if isinstance(image, np.ndarray) and image.dtype.kind == "f" and image.shape == target:
            image = image[None]
        batches = [np.asarray(batch) for batch in inputs.batches(image, 2)]
        if len(batches) != 1 or batches[0].shape != (1, *target):
            raise UsageError(
                "an attribution is of one image, and this is none or more than one",
                fix=f"give a path, a Pillow image, or an array of shape {target}",
            )
        x = batches[0]
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    if not np.isfinite(x).all():
        raise UsageError(
            f"{name} has pixels that are not finite",
            why=f"{plural(int((~np.isfinite(x)).sum()), 'number')} of it are NaN or infinite",
            fix="give an image of finite numbers",
        )
    return x, pixels(x[0], inputs.transform), name, tuple(changes)


def pixels(x: Array, transform: Transform) -> Array:
    """An image (C, H, W) before the normalization of its transformation."""
    values = x.astype(np.float64)
    if (step := transform.normalize) is None:
        return values
    mean, std = (np.array(v, np.float64) for v in (step.mean, step.std))
    if len(mean) not in (1, len(x)):  # colors that became gray after the normalization
        mean, std = mean.mean(keepdims=True), std.mean(keepdims=True)
    result: Array = values * std[:, None, None] + mean[:, None, None]
    return result
