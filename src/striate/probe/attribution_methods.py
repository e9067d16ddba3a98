"""Methods of attribution: what each pixel has to do with one number of a network, as arrays; METHODS lists them.

Sources: saliency, Simonyan et al., arXiv 1312.6034; gradient x input, Shrikumar et al., arXiv 1605.01713; integrated
gradients, Sundararajan et al., arXiv 1703.01365; Grad-CAM, Selvaraju et al., arXiv 1610.02391; occlusion, Zeiler &
Fergus, arXiv 1311.2901.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import UsageError, setting
from striate.engine.inputs import as_count
from striate.engine.interface import Engine
from striate.network import Network
from striate.probe.attribution_target import Target, last_map, map_node, part_of

Array = NDArray[Any]

MAX_BATCH_PIXELS = 1 << 18
"""Pixels of the images that run together: a backward pass keeps all their activations."""
MAX_BATCH_IMAGES = 16
EPSILON = 1e-7
"""Added to the largest value of a map before it is divided by it, as pytorch-grad-cam does."""


@dataclasses.dataclass
class Explained:
    """One number of a network, its gradients and its values for other images.

    images: (N, C, H, W) as the network reads them.
    """

    engine: Engine
    net: Network
    weights: Mapping[str, Array]
    target: Target
    _programs: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def _input(self) -> str:
        (name,) = self.net.inputs
        return name

    def batch(self, image: Array) -> int:
        """Images that run together."""
        height, width = image.shape[2:]
        size: int = max(1, min(MAX_BATCH_IMAGES, MAX_BATCH_PIXELS // (height * width)))
        return size

    def gradients(self, images: Array, value: str = "") -> tuple[Array, Array, Array]:
        """The gradient with respect to a value, by default the input; the value; and the score of each image."""
        value = value or self._input
        if value not in self._programs:
            outputs = (self.target.value, *((value,) if value not in self.net.inputs else ()))
            part = part_of(self.net, outputs)
            self._programs[value] = self.engine.differentiate(part, self.weights, [value])
        program = self._programs[value]
        grown, values, scores = [], [], []
        size = self.batch(images)
        for start in range(0, len(images), size):
            some = images[start : start + size]
            results = program.forward(some, np.random.default_rng(0))
            seeds = [np.zeros_like(result) for result in results]
            seeds[0][self._place] = self.target.sign
            grown.append(program.backward(seeds)[value])
            values.append(some if value in self.net.inputs else results[1])
            scores.append(self._score(results[0]))
        return np.concatenate(grown), np.concatenate(values), np.concatenate(scores)

    def values(self, images: Array) -> Array:
        """The value that holds the number, for each image: (N, …)."""
        value = self.target.value
        if "" not in self._programs:
            self._programs[""] = self.engine.compile(part_of(self.net, [value]), self.weights)
        program, size = self._programs[""], self.batch(images)
        return np.concatenate(
            [program.values(images[k : k + size], [value])[value] for k in range(0, len(images), size)]
        )

    def scores(self, images: Array) -> Array:
        """The number for each image."""
        return self._score(self.values(images))

    def _score(self, values: Array) -> Array:
        score: Array = values[self._place].astype(np.float64) * self.target.sign
        return score

    @property
    def _place(self) -> Any:
        """Index of the number in a batch of its value."""
        return (slice(None), *self.target.index)


def saliency(explained: Explained, x: Array) -> Array:
    """Absolute gradients (C, H, W)."""
    result: Array = np.abs(explained.gradients(x)[0][0])
    return result


def gradient_x_input(explained: Explained, x: Array) -> Array:
    """Gradients times the input (C, H, W)."""
    product: Array = explained.gradients(x)[0][0] * x[0]
    return product


def integrated_gradients(explained: Explained, x: Array, baseline: Array, steps: int) -> Array:
    """The mean gradient along the straight line from a baseline to the image, times their difference (C, H, W).

    The integral is that of Gauss and Legendre with `steps` points.
    """
    points, shares = np.polynomial.legendre.leggauss(steps)
    total = np.zeros(x.shape[1:])
    size = explained.batch(x)
    for start in range(0, steps, size):
        at = ((1 + points[start : start + size]) / 2).astype(x.dtype)[:, None, None, None]
        grown = explained.gradients(baseline + at * (x - baseline))[0]
        total += np.tensordot(shares[start : start + size] / 2, grown.astype(np.float64), 1)
    result: Array = (total * (x - baseline)[0]).astype(x.dtype)
    return result


def grad_cam(explained: Explained, x: Array, value: str) -> Array:
    """The channels of a value weighted by their mean gradients, without what is negative, from 0 to 1 (H, W)."""
    grown, values, _ = explained.gradients(x, value)
    weights = grown[0].mean(axis=(1, 2), dtype=np.float64)
    low = np.maximum(np.tensordot(weights, values[0].astype(np.float64), 1), 0)
    result: Array = _from_0_to_1(resized(_from_0_to_1(low), x.shape[2:])).astype(x.dtype)
    return result


def _from_0_to_1(plane: Array) -> Array:
    plane = plane - plane.min()
    return np.asarray(plane / (EPSILON + plane.max()))


def resized(plane: Array, size: Sequence[int]) -> Array:
    """A plane (rows, columns) of another size, bilinear between the centers of its cells."""
    for axis, wanted in enumerate(size):
        held = plane.shape[axis]
        at = np.clip((np.arange(wanted) + 0.5) * held / wanted - 0.5, 0, held - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, held - 1)
        plane = plane.take(low, axis) * (1 - share) + plane.take(high, axis) * share
    return plane


def occlusion(explained: Explained, x: Array, baseline: Array, window: int, stride: int) -> Array:
    """How much the score falls where a square covers all channels (H, W): of each pixel the mean of its squares."""
    height, width = x.shape[2:]
    corners = [(i, j) for i in _starts(height, window, stride) for j in _starts(width, window, stride)]
    (full,) = explained.scores(x)
    falls, counts = np.zeros((height, width)), np.zeros((height, width))
    size = explained.batch(x)
    for start in range(0, len(corners), size):
        some = corners[start : start + size]
        images = np.repeat(x, size, axis=0)  # always as many: another batch size would be planned again
        for image, (i, j) in zip(images, some, strict=False):
            image[:, i : i + window, j : j + window] = baseline[0, :, i : i + window, j : j + window]
        for (i, j), score in zip(some, explained.scores(images), strict=False):
            falls[i : i + window, j : j + window] += full - score
            counts[i : i + window, j : j + window] += 1
    result: Array = (falls / counts).astype(x.dtype)
    return result


def _starts(size: int, window: int, stride: int) -> range:
    """First rows of the windows, of which the last one may reach over the edge."""
    return range(0, -(-max(size - window, 0) // stride) * stride + 1, stride)


# -- the methods by name, with their settings ---------------------------------------------------------------------

STEPS, MAX_STEPS = 50, 10_000
WINDOW_SHARE = 8
"""The side of the square of an occlusion is this part of the image's shorter side."""
MAX_INCOMPLETE = 0.01
"""Share of the difference of two scores that integrated gradients may miss without a note."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a caller sets; None: the method's own value.

    steps: of integrated gradients; window, stride: of an occlusion, in pixels; baseline: the number that stands for
    nothing; layer: the node whose map Grad-CAM weights, "" for the last one with a map; named: the argument that
    named it.
    """

    steps: int | None = None
    window: int | None = None
    stride: int | None = None
    baseline: float | None = None
    layer: str = ""
    named: str = "layer"

    @property
    def given(self) -> list[str]:
        """Names of the settings that a caller has set."""
        names = [one.name for one in dataclasses.fields(self) if one.name != "named"]
        return [name for name in names if getattr(self, name) not in (None, "")]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a method found: values (C, H, W) or (1, H, W); its settings, notes, the node whose map it weights, and the
    score of the baseline, where it has them."""

    values: Array
    settings: dict[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    node: str = ""
    baseline_score: float | None = None


@dataclasses.dataclass(frozen=True)
class Method:
    """A method. what: its numbers in words; run: computes them; takes: the settings that it has; largest: whether a
    pixel's number is the largest of its channels, not their sum."""

    what: str
    run: Callable[[Explained, Array, Settings], Outcome]
    takes: tuple[str, ...] = ()
    largest: bool = False

    def check(self, name: str, settings: Settings) -> None:
        """Raise UsageError for a setting that the method does not have. name: of the method."""
        for word in settings.given:
            if word not in self.takes:
                others = [other for other, method in METHODS.items() if word in method.takes]
                raise UsageError(
                    f"{name} has no setting {word}",
                    why=f"it belongs to {' and '.join(others)}",
                    fix=f"leave out {setting(word)}, or use the method {others[0]}",
                )


def _saliency(explained: Explained, x: Array, settings: Settings) -> Outcome:
    return Outcome(saliency(explained, x))


def _gradient_x_input(explained: Explained, x: Array, settings: Settings) -> Outcome:
    return Outcome(gradient_x_input(explained, x))


def _integrated_gradients(explained: Explained, x: Array, settings: Settings) -> Outcome:
    steps = as_count(STEPS if settings.steps is None else settings.steps, "steps", 1, MAX_STEPS)
    empty, level = _baseline(x, settings)
    values = integrated_gradients(explained, x, empty, steps)
    score, before = (float(explained.scores(image)[0]) for image in (x, empty))
    missed = abs(float(values.sum(dtype=np.float64)) - (score - before))
    notes: tuple[str, ...] = ()
    if missed > MAX_INCOMPLETE * max(abs(score - before), 1e-6):
        notes = (f"the sum misses the difference of the scores by {missed:.2g}: take more steps",)
    return Outcome(values, {"steps": steps, "baseline": level}, notes, baseline_score=before)


def _grad_cam(explained: Explained, x: Array, settings: Settings) -> Outcome:
    net, value = explained.net, explained.target.value
    node = map_node(net, settings.layer, value, settings.named) if settings.layer else last_map(net, value)
    note = f"map of {node.name}" + ("" if settings.layer else ", the last node with a map")
    return Outcome(grad_cam(explained, x, node.outputs[0])[None], notes=(note,), node=node.name)


def _occlusion(explained: Explained, x: Array, settings: Settings) -> Outcome:
    shorter = min(x.shape[2:])
    own = max(1, shorter // WINDOW_SHARE)
    side = as_count(own if settings.window is None else settings.window, "window", 1, shorter)
    stride = as_count(max(1, side // 2) if settings.stride is None else settings.stride, "stride", 1, side)
    empty, level = _baseline(x, settings)
    values = occlusion(explained, x, empty, side, stride)[None]
    return Outcome(values, {"window": side, "stride": stride, "baseline": level})


def _baseline(x: Array, settings: Settings) -> tuple[Array, float]:
    """An image without anything in it, and its number."""
    level = 0.0 if settings.baseline is None else settings.baseline
    return np.full_like(x, level), level


METHODS = {
    "saliency": Method("absolute gradients of the score", _saliency, largest=True),
    "gradient-x-input": Method("gradients of the score times the input", _gradient_x_input),
    "integrated-gradients": Method(
        "mean gradient on the line from a baseline to the image, times their difference",
        _integrated_gradients, ("steps", "baseline"),
    ),
    "grad-cam": Method(
        "channels of a map, weighted by the mean gradients of the score", _grad_cam, ("layer",)
    ),
    "occlusion": Method(
        "how much the score falls where a square covers the image",
        _occlusion, ("window", "stride", "baseline"),
    ),
}  # fmt: skip
"""Name -> method, in the order in which they are listed."""
