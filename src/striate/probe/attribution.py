"""Attribution: which pixels of an image a class, a unit or a segmented pixel of a network depends on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import elsewhere, hooks
from striate.diagnostics import FormatError, UnknownNameError, UsageError, printable, setting, suggest
from striate.engine.inputs import as_count
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.probe import attribution_methods as methods
from striate.probe.attribution_target import (
    Target,
    class_target,
    last_map,
    map_node,
    one_image,
    part_of,
    score_value,
    unit_target,
)
from striate.signatures import ExplainMisuse, explain_misuse
from striate.train.data.dataset import BadImage
from striate.train.inputs import file_label
from striate.train.prediction_inputs import PredictionInputs

Array = NDArray[Any]

METHODS = {
    "saliency": "absolute gradients of the score",
    "gradient-x-input": "gradients of the score times the input",
    "integrated-gradients": "gradients along the way from a baseline to the image, times their difference",
    "grad-cam": "channels of a map, weighted by the mean gradients of the score",
    "occlusion": "how much the score falls where a square covers the image",
}
"""Name -> what its numbers are."""
ALIASES = {
    "gradient": "saliency", "gradients": "saliency", "vanilla": "saliency", "input-x-gradient": "gradient-x-input",
    "ig": "integrated-gradients", "gradcam": "grad-cam", "cam": "grad-cam", "occlude": "occlusion",
}  # fmt: skip
"""Other names of methods -> ours."""
STEPS, MAX_STEPS = 50, 10_000
WINDOW_SHARE = 8
"""The side of the square of an occlusion is this part of the image's shorter side."""
MAX_INCOMPLETE = 0.01
"""Share of the difference of two scores that integrated gradients may miss without a note."""
SEED = 0
"""Of fresh weights."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Attribution(hooks.Displayed, elsewhere.Teaching, metaclass=ExplainMisuse):
    """What each pixel of an image has to do with one number of a network; a notebook shows it over the image.

    method: one of METHODS; values: (C, H, W) as the network reads the image, for Grad-CAM and occlusion (1, H, W);
    image: the pixels (C, H, W) before the normalization; target: the number that is explained; score: its value;
    node: whose map Grad-CAM weights, else ""; settings: those of the method; notes: what else is to know; name: of the
    image; network: its name.

    Integrated gradients are complete: their sum is `score` minus `baseline_score`, up to the error of the steps.
    Raises nothing; `attribute` makes it.

    >>> import numpy as np
    >>> import striate as st
    >>> st.attribute("4x4x1 -> flatten -> fc 2", np.ones((1, 4, 4), np.float32), target=1)
    <Attribution: saliency of class 1 for image, score ...>
    """

    method: str
    values: Array
    image: Array
    target: Target
    score: float
    baseline_score: float | None = None
    node: str = ""
    settings: dict[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    name: str = "image"
    network: str = "net"

    @property
    def heat(self) -> Array:
        """One number for each pixel (H, W): the sum over the channels, of a saliency the largest."""
        heat: Array = self.values.max(axis=0) if self.method == "saliency" else self.values.sum(axis=0)
        return heat

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as `striate attribute --json` prints them."""
        return {
            "schema": "striate.attribute/1",
            "network": self.network,
            "image": self.name,
            "method": self.method,
            "target": {
                "value": self.target.value,
                "index": list(self.target.index),
                "class": self.target.label or None,
                "predicted": self.target.predicted,
            },
            "score": self.score,
            "baseline_score": self.baseline_score,
            "node": self.node or None,
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "shape": list(self.values.shape),
            "values": [[[float(f"{v:.6g}") for v in row] for row in plane] for plane in self.values.tolist()],
        }

    def plot(self) -> Any:
        """The image, the attribution and one over the other: a `Picture`, which a notebook shows."""
        return hooks.ask("attribution", self)

    def save(self, path: str | Path) -> None:
        """Write the picture to a file.

        path: its ending says the format, as `Picture.save` has it. Raises the errors of `Picture.save`.
        """
        self.plot().save(path)

    def __repr__(self) -> str:
        return f"<Attribution: {self.method} of {self.target} for {self.name}, score {self.score:.4g}>"


@explain_misuse
def attribute(
    model: Any, image: Any, method: str = "saliency", *, target: str | int | None = None, node: str = "",
    unit: int | Sequence[int] | None = None, pixel: Sequence[int] = (), steps: int = STEPS, window: int | None = None,
    stride: int | None = None, baseline: float = 0.0,
) -> Attribution:  # fmt: skip
    """Which pixels of an image a number of a network depends on.

    model: a `Model`, or what it takes (fresh weights where the source has none, and the notes say so); image: one
    image, as `Model.predict` takes it: it passes the model's own normalization. method: "saliency",
    "gradient-x-input", "integrated-gradients", "grad-cam" or "occlusion".

    What is explained: `target`, a class by name or number, by default the predicted one, before a final softmax or
    sigmoid; of a segmentation at `pixel` (row, column), by default the middle one; or the `unit` of a `node`: a
    channel, in the middle of its map, or (channel, row, column). Without a unit, `node` is the one whose map Grad-CAM
    weights, by default the last one that still has a map.

    steps: of integrated gradients; window, stride: side and distance of an occlusion's squares in pixels, by default an
    eighth of the image and half of that; baseline: the number, of the input as the network reads it, that stands for
    nothing: 0 is the mean color of a normalized image. Batch norms and dropout act as in prediction.

    Raises UsageError for a network of several inputs or a setting that the method does not have, OpError for a node
    without a map or behind an opaque one, UnknownNameError for an unknown method, class or node, and the errors of
    `Model.predict` for the image. Sources: see `striate.probe.attribution_methods`.

    >>> import numpy as np
    >>> import striate as st
    >>> model = st.Model("8x8x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2", seed=0)
    >>> found = st.attribute(model, np.ones((3, 8, 8), np.float32), "grad-cam", target=1)
    >>> found.node, found.values.shape
    ('relu1', (1, 8, 8))
    """
    method = method_of(method)
    notes: list[str] = []
    if not isinstance(model, Model):
        loaded = with_weights(model, seed=SEED)
        if not loaded.trained:
            notes.append(f"untrained: fresh weights, seed {SEED}")
        model = Model(loaded)
    net = model.net
    one_image(net)
    if node:
        net.node(node)
    if unit is None and node and method != "grad-cam":
        raise UsageError(
            f"{setting('node')} names no number to explain",
            where=f"{method} of {node}",
            why="a node has many units",
            fix=f"add {setting('unit', 0)}",
        )
    if unit is not None and (target is not None or not node):
        raise UsageError(
            f"{setting('unit')} needs {setting('node')}" if not node else "a class and a unit are given",
            why="a unit belongs to a node" if not node else "one number is explained",
            fix=f"add {setting('node', net.nodes[0].name)}" if not node else "leave one of them out",
        )
    x, pixels, name, changes = read_image(model, image)
    notes += changes
    explained = methods.Explained(model.engine, net, model.weights.current(), Target(score_value(net), ()))
    if unit is not None:
        goal = unit_target(net, node, unit)
    else:
        goal = class_target(net, model.classes, *_chosen(model, explained, x, target, pixel))
    explained.target = goal
    settings: dict[str, float] = {}
    before = None
    cam = ""
    empty = np.full_like(x, baseline)
    if method == "saliency":
        values = methods.saliency(explained, x)
    elif method == "gradient-x-input":
        values = methods.gradient_x_input(explained, x)
    elif method == "integrated-gradients":
        steps = as_count(steps, "steps", 1, MAX_STEPS)
        values = methods.integrated_gradients(explained, x, empty, steps)
        settings = {"steps": steps, "baseline": baseline}
    elif method == "grad-cam":
        named = unit is None and node
        chosen = map_node(net, node, goal.value) if named else last_map(net, goal.value)
        cam = chosen.name
        notes.append(f"map of {cam}" + ("" if named else ", the last node with a map"))
        values = methods.grad_cam(explained, x, chosen.outputs[0])[None]
    else:
        side = as_count(window or max(1, min(x.shape[2:]) // WINDOW_SHARE), "window", 1, min(x.shape[2:]))
        step = as_count(stride or max(1, side // 2), "stride", 1, side)
        values = methods.occlusion(explained, x, empty, side, step)[None]
        settings = {"window": side, "stride": step, "baseline": baseline}
    (score,) = explained.scores(x)
    if method == "integrated-gradients":
        (before,) = map(float, explained.scores(empty))
        missed = abs(float(values.sum(dtype=np.float64)) - (float(score) - before))
        if missed > MAX_INCOMPLETE * max(abs(float(score) - before), 1e-6):
            notes.append(f"the sum misses the difference of the scores by {missed:.2g}: take more steps")
    if not values.any():
        notes.append("0 everywhere: no pixel changes this number here")
    return Attribution(
        method, values, pixels, goal, float(score), before, cam, settings, tuple(notes), name, net.name
    )


def method_of(name: str) -> str:
    """The method of that name, or of another tool's name for it. Raises UnknownNameError."""
    word = str(name).lower().replace("_", "-").replace(" ", "-")
    word = ALIASES.get(word, word)
    if word not in METHODS:
        near = suggest(word, METHODS)
        raise UnknownNameError(
            f"no method {name!r}",
            why=f"known: {', '.join(METHODS)}",
            fix=f"write {near!r}" if near else "write one of these",
        )
    return word


def _chosen(
    model: Model, explained: methods.Explained, x: Array, target: str | int | None, pixel: Sequence[int]
) -> tuple[str | int, tuple[int, ...], bool]:
    """The class to explain, by default the predicted one, and the pixel."""
    if target is not None:
        return target, tuple(pixel), False
    value = explained.target.value
    probe = class_target(model.net, model.classes, "0", pixel)  # refuses a pixel outside
    program = model.engine.compile(part_of(model.net, [value]), explained.weights)
    place: Any = (0, slice(None), *probe.index[1:])
    scores = program.values(x, [value])[value][place]
    binary = len(scores) == 1 and len(model.classes) == 2
    best, count = (int(scores[0] > 0), 2) if binary else (int(scores.argmax()), len(scores))
    return model.classes[best] if len(model.classes) == count else str(best), tuple(pixel), True


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
    pixels = x[0].astype(np.float64)
    if (step := inputs.transform.normalize) is not None:
        mean, std = (np.array(v, np.float64)[:, None, None] for v in (step.mean, step.std))
        pixels = pixels * std + mean
    return x, pixels, name, tuple(changes)
