"""Attribution: which pixels of an image a class, a unit or a segmented pixel of a network depends on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import elsewhere, hooks
from striate.diagnostics import OpError, UnknownNameError, UsageError, setting, suggest
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.probe.attribution_methods import METHODS, Explained, Settings
from striate.probe.attribution_target import Target, class_target, score_value, unit_target
from striate.probe.finite import finite
from striate.probe.images import one_image, read_image
from striate.signatures import ExplainMisuse, explain_misuse

Array = NDArray[Any]

ALIASES = {
    "gradient": "saliency", "gradients": "saliency", "vanilla": "saliency", "input-x-gradient": "gradient-x-input",
    "ig": "integrated-gradients", "gradcam": "grad-cam", "cam": "grad-cam", "occlude": "occlusion",
}  # fmt: skip
"""Other names of methods -> ours."""
SEED = 0
"""Of fresh weights."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Attribution(hooks.Displayed, elsewhere.Teaching, metaclass=ExplainMisuse):
    """What each pixel of an image has to do with one number of a network; a notebook shows it over the image.

    method: one of METHODS; values: (C, H, W) as the network reads the image, for Grad-CAM and occlusion (1, H, W);
    image: the pixels (C, H, W) before the normalization; target: the number that is explained; score: its value;
    node: whose map Grad-CAM weights, else ""; settings: those of the method; notes: what else is to know; name: of the
    image; network: its name; probability: of the class, None for other targets.

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
    probability: float | None = None

    @property
    def heat(self) -> Array:
        """One number for each pixel (H, W): the sum over the channels, of a saliency the largest."""
        heat: Array = self.values.max(axis=0) if METHODS[self.method].largest else self.values.sum(axis=0)
        return heat

    @property
    def what(self) -> str:
        """What the numbers of the method are."""
        return METHODS[self.method].what

    @property
    def total(self) -> float:
        """The sum of all values: of integrated gradients about `score` minus `baseline_score`."""
        return float(self.values.sum(dtype=np.float64))

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
            "probability": self.probability,
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
    unit: int | Sequence[int] | None = None, pixel: Sequence[int] = (), layer: str = "", steps: int | None = None,
    window: int | None = None, stride: int | None = None, baseline: float | None = None,
) -> Attribution:  # fmt: skip
    """Which pixels of an image a number of a network depends on.

    model: a `Model`, or what it takes (fresh weights where the source has none, and the notes say so); image: one
    image, as `Model.predict` takes it: it passes the model's own normalization. method: "saliency",
    "gradient-x-input", "integrated-gradients", "grad-cam" or "occlusion".

    What is explained: `target`, a class by name or number, by default the predicted one, before a final softmax or
    sigmoid; of a segmentation at `pixel` (row, column), by default the middle one; or the `unit` of a `node`: a
    channel, in the middle of its map, or (channel, row, column).

    layer: the node whose map Grad-CAM weights, by default the last one in front of the target that has a map; `node`
    without a unit does the same. steps: of integrated gradients, by default 50; window, stride: side and distance of an
    occlusion's squares in pixels, by default an eighth of the image and half of that; baseline: the number, of the
    input as the network reads it, that stands for nothing, by default 0, the mean color of a normalized image. Batch
    norms and dropout act as in prediction.

    Raises UsageError for a network of several inputs or a setting that the method does not have, OpError for a node
    without a map or after an opaque one, UnknownNameError for an unknown method, class or node, and the errors of
    `Model.predict` for the image. Sources: see `striate.probe.attribution_methods`.

    >>> import numpy as np
    >>> import striate as st
    >>> model = st.Model("8x8x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2", seed=0)
    >>> found = st.attribute(model, np.ones((3, 8, 8), np.float32), "grad-cam", target=1)
    >>> found.node, found.values.shape
    ('relu1', (1, 8, 8))
    """
    (found,), _ = attributions(
        model, image, (method,), Settings(steps, window, stride, baseline, layer), target=target, node=node, unit=unit,
        pixel=pixel,
    )  # fmt: skip
    return found


def attributions(
    model: Any, image: Any, names: Sequence[str], settings: Settings, *, target: str | int | None = None,
    node: str = "", unit: int | Sequence[int] | None = None, pixel: Sequence[int] = (),
) -> tuple[list[Attribution], dict[str, str]]:  # fmt: skip
    """The same as `attribute` by several methods, each with those of the settings that it has.

    Returns them, and of each method that cannot be used on this network the reason. Raises as `attribute`; of one
    method also its own errors.
    """
    chosen = [method_of(name) for name in names]
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
    if (
        unit is None
        and node
        and not settings.layer
        and any("layer" in METHODS[name].takes for name in chosen)
    ):
        settings, node = dataclasses.replace(settings, layer=node, named="node"), ""
    if unit is None and node:
        raise UsageError(
            f"{setting('node')} names no number to explain",
            where=f"{chosen[0]} of {node}",
            why="a node has many units",
            fix=f"add {setting('unit', 0)}",
        )
    if unit is not None and (target is not None or not node):
        raise UsageError(
            f"{setting('unit')} needs {setting('node')}" if not node else "a class and a unit are given",
            why="a unit belongs to a node" if not node else "one number is explained",
            fix=f"add {setting('node', net.nodes[0].name)}" if not node else "leave one of them out",
        )
    if settings.baseline is not None and not math.isfinite(settings.baseline):
        raise UsageError(
            f"{setting('baseline', settings.baseline)} is not finite",
            why="it stands for nothing in the image, and enters every sum",
            fix=setting("baseline", 0),
        )
    if len(chosen) == 1:
        METHODS[chosen[0]].check(chosen[0], settings)
    x, pixels, name, changes = read_image(model, image)
    explained = Explained(model.engine, net, model.weights.current(), Target(score_value(net), ()))
    if unit is not None:
        explained.target = unit_target(net, node, unit)
    else:
        explained.target = class_target(net, model.classes, *_chosen(model, explained, x, target, pixel))
    goal, score = explained.target, float(finite(explained.scores(x), explained.target.value)[0])
    probability = _probability(model, explained, x)
    found: list[Attribution] = []
    reasons: dict[str, str] = {}
    for word in chosen:
        try:
            outcome = METHODS[word].run(explained, x, settings)
            finite(outcome.values, f"the {word} of {goal.value}")
        except OpError as error:
            if len(chosen) == 1:
                raise
            reasons[word] = error.what
            continue
        said = [*notes, *changes, *outcome.notes]
        if not outcome.values.any():
            said.append("0 everywhere: no pixel changes this number here")
        found.append(
            Attribution(
                word, outcome.values, pixels, goal, score, outcome.baseline_score, outcome.node, outcome.settings,
                tuple(said), name, net.name, probability,
            )
        )  # fmt: skip
    return found, reasons


def _probability(model: Model, explained: Explained, x: Array) -> float | None:
    """The probability of a class; None for a unit, and where a network does not classify whole images."""
    goal = explained.target
    if not goal.label or len(goal.index) > 1:
        return None
    from striate.train.evaluate_model import loss_of

    row = loss_of(model.net, model.objective).probabilities(explained.values(x))[0]
    if explained.net.inference.specs[goal.value].channels > 1:
        return float(row[goal.index[0]])
    return float(row[int(goal.sign > 0)]) if len(row) == len(model.classes) == 2 else None


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
    model: Model, explained: Explained, x: Array, target: str | int | None, pixel: Sequence[int]
) -> tuple[str | int, tuple[int, ...], bool]:
    """The class to explain, by default the predicted one, and the pixel."""
    if target is not None:
        return target, tuple(pixel), False
    probe = class_target(model.net, model.classes, "0", pixel)  # refuses a pixel outside
    place: Any = (0, slice(None), *probe.index[1:])
    scores = explained.values(x)[place]
    binary = len(scores) == 1 and len(model.classes) == 2
    best, count = (int(scores[0] > 0), 2) if binary else (int(scores.argmax()), len(scores))
    return model.classes[best] if len(model.classes) == count else str(best), tuple(pixel), True
