"""Methods of attribution: what each pixel has to do with one number of a network, as arrays.

Sources: saliency, Simonyan et al., arXiv 1312.6034; gradient x input, Shrikumar et al., arXiv 1605.01713; integrated
gradients, Sundararajan et al., arXiv 1703.01365; Grad-CAM, Selvaraju et al., arXiv 1610.02391; occlusion, Zeiler &
Fergus, arXiv 1311.2901.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.interface import Engine
from striate.network import Network
from striate.probe.attribution_target import Target, part_of

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

    def scores(self, images: Array) -> Array:
        """The number for each image."""
        if "" not in self._programs:
            part = part_of(self.net, [self.target.value])
            self._programs[""] = self.engine.compile(part, self.weights)
        program = self._programs[""]
        size = self.batch(images)
        return np.concatenate(
            [
                self._score(program.values(images[k : k + size], [self.target.value])[self.target.value])
                for k in range(0, len(images), size)
            ]
        )

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
