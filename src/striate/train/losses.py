"""Loss functions: value, and gradient with respect to the network's outputs.

A loss returns *sums*, not means: the sum over a batch, the weight of that sum, and the gradient of the sum. Sums of
small batches add up to that of a large one, so that gradient accumulation needs no correction; the loop divides once.
Outputs are (N, C) or (N, C, …) before any softmax or sigmoid; targets are labels (N, …) or like the outputs.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import TrainingError, plural
from striate.op import Trait

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class LossValue:
    """total: sum over the batch; weight: divisor for the mean; gradient: of `total`, shaped like the outputs;
    each: (N,) the mean loss of every image.
    """

    total: float
    weight: float
    gradient: Array
    each: Array

    @property
    def mean(self) -> float:
        return self.total / self.weight if self.weight else 0.0


@dataclasses.dataclass(frozen=True)
class Loss(abc.ABC):
    """Base of the losses. `class_weights`: one factor per class, empty for equal ones."""

    smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    word: ClassVar[str]
    ends_badly: ClassVar[tuple[Trait, ...]] = ()
    """Traits of ops that a network must not end with, because the loss applies them."""

    def __call__(self, outputs: Array, targets: Array) -> LossValue:
        """Loss of outputs (N, C, …) against labels (N, …) or targets (N, C, …)."""
        with np.errstate(invalid="ignore", over="ignore"):  # the loop reports NaN, with its node
            values, weights, gradient = self._terms(outputs, self.dense(targets, outputs))
        totals = values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64)
        masses = weights.sum(axis=tuple(range(1, weights.ndim)), dtype=np.float64)
        per_image = totals / np.where(masses > 0, masses, 1.0)
        return LossValue(float(totals.sum()), float(masses.sum()), gradient, per_image)

    def dense(self, targets: Array, outputs: Array) -> Array:
        """Targets shaped like the outputs: labels become one-hot rows along axis 1."""
        if targets.shape == outputs.shape and targets.dtype.kind == "f":
            return targets.astype(outputs.dtype, copy=False)
        self._check(targets, outputs)
        return self._one_hot(targets, outputs.shape[1]).astype(outputs.dtype, copy=False)

    def _check(self, targets: Array, outputs: Array) -> None:
        """Raise TrainingError unless these are labels for the outputs."""
        expected = (outputs.shape[0], *outputs.shape[2:])
        if targets.shape != expected or targets.dtype.kind not in "iu":
            raise TrainingError(
                "the targets do not match the network's output",
                why=f"output {outputs.shape}; targets {targets.shape} of {targets.dtype}",
                fix=f"give integer labels of shape {expected}, or floating-point targets of shape {outputs.shape}",
            )
        classes = outputs.shape[1]
        if targets.size and not 0 <= int(targets.min()) <= int(targets.max()) < self.labels(classes):
            wrong = targets[(targets < 0) | (targets >= self.labels(classes))].flat[0]
            raise TrainingError(
                f"label {wrong} has no output",
                why=f"the network gives {classes} value(s) per image, for labels 0 to {self.labels(classes) - 1}",
                fix="use a network with as many outputs as the data has classes",
            )

    def labels(self, channels: int) -> int:
        """Number of classes for this many outputs."""
        return channels

    def _one_hot(self, labels: Array, classes: int) -> Array:
        return np.moveaxis(np.eye(classes, dtype=np.float32)[labels], -1, 1)

    def _scale(self, outputs: Array) -> Array:
        """The class weights as an array that broadcasts along axis 1."""
        classes = outputs.shape[1]
        if self.class_weights and len(self.class_weights) != classes:
            raise TrainingError(
                f"{len(self.class_weights)} class weights for {plural(classes, 'output')}",
                fix="give one weight per class",
            )
        weights = np.asarray(self.class_weights or (1.0,), outputs.dtype)
        return weights.reshape(1, -1, *(1 for _ in outputs.shape[2:]))

    @abc.abstractmethod
    def _terms(self, outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
        """Loss terms and their weights (first axis N), and the gradient of their sum."""

    @abc.abstractmethod
    def probabilities(self, outputs: Array) -> Array:
        """Probabilities of the classes: (N, classes, …), between 0 and 1."""


@dataclasses.dataclass(frozen=True)
class CrossEntropy(Loss):
    """-Σ t log softmax(z); smoothing spreads a share of t evenly over all classes.

    With class weights the mean is a weighted one, as in torch.nn.CrossEntropyLoss. Source: Szegedy et al.,
    arXiv 1512.00567, section 7 (smoothing).
    """

    word: ClassVar[str] = "cross_entropy"
    ends_badly: ClassVar[tuple[Trait, ...]] = (Trait.DISTRIBUTION, Trait.LOGISTIC)

    def __call__(self, outputs: Array, targets: Array) -> LossValue:
        if outputs.ndim != 2 or targets.ndim != 1 or self.class_weights:
            return super().__call__(outputs, targets)
        self._check(targets, outputs)
        with np.errstate(invalid="ignore", over="ignore"):
            return self._from_labels(outputs, targets)

    def _from_labels(self, outputs: Array, labels: Array) -> LossValue:
        """The same without one-hot rows, which take time in every step of a small network."""
        rows, share = np.arange(len(labels)), self.smoothing
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        gradient = np.exp(shifted)
        total = gradient.sum(axis=1, keepdims=True)
        gradient /= total
        goal = (1 - share) * shifted[rows, labels]
        if share:
            goal += share * shifted.mean(axis=1)
            gradient -= share / outputs.shape[1]
        gradient[rows, labels] -= 1 - share
        per_image = (np.log(total[:, 0]) - goal).astype(np.float64)
        return LossValue(float(per_image.sum()), float(len(labels)), gradient, per_image)

    def _terms(self, outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
        scale = self._scale(outputs)
        log_p = log_softmax(outputs)
        smooth = targets
        if self.smoothing:
            smooth = (1 - self.smoothing) * targets + self.smoothing / outputs.shape[1]
        goal = smooth * scale
        gradient = np.exp(log_p) * goal.sum(axis=1, keepdims=True) - goal
        return -(goal * log_p).sum(axis=1), (targets * scale).sum(axis=1), gradient

    def probabilities(self, outputs: Array) -> Array:
        probabilities: Array = np.exp(log_softmax(outputs))
        return probabilities


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-t log σ(z) - (1-t) log(1-σ(z)) for each output; the mean is over all outputs.

    One output distinguishes two classes (labels 0 and 1); C outputs are C independent classes, and a label sets one of
    them. Smoothing moves targets towards 0.5.
    """

    word: ClassVar[str] = "binary_cross_entropy"
    ends_badly: ClassVar[tuple[Trait, ...]] = (Trait.DISTRIBUTION, Trait.LOGISTIC, Trait.LOG_DISTRIBUTION)

    def labels(self, channels: int) -> int:
        return max(channels, 2)

    def _one_hot(self, labels: Array, classes: int) -> Array:
        return labels[:, None] if classes == 1 else super()._one_hot(labels, classes)

    def _terms(self, outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
        scale = np.broadcast_to(self._scale(outputs), outputs.shape)
        goal = targets if not self.smoothing else (1 - self.smoothing) * targets + self.smoothing / 2
        values = np.maximum(outputs, 0) - outputs * goal + np.log1p(np.exp(-np.abs(outputs)))
        return values * scale, scale, (sigmoid(outputs) - goal) * scale

    def probabilities(self, outputs: Array) -> Array:
        yes = sigmoid(outputs)
        return np.concatenate([1 - yes, yes], axis=1) if outputs.shape[1] == 1 else yes


@dataclasses.dataclass(frozen=True)
class MeanSquaredError(Loss):
    """(z - t)²; the mean is over all outputs. Labels become one-hot targets."""

    word: ClassVar[str] = "mean_squared_error"

    def _terms(self, outputs: Array, targets: Array) -> tuple[Array, Array, Array]:
        scale = np.broadcast_to(self._scale(outputs), outputs.shape)
        difference = outputs - targets
        return difference * difference * scale, scale, 2 * difference * scale

    def probabilities(self, outputs: Array) -> Array:
        return np.clip(outputs, 0, 1)


LOSSES: dict[str, type[Loss]] = {
    cls.word: cls for cls in (CrossEntropy, BinaryCrossEntropy, MeanSquaredError)
}


def log_softmax(outputs: Array) -> Array:
    """log softmax along axis 1, without overflow."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def sigmoid(outputs: Array) -> Array:
    """1/(1+exp(-z)), without overflow."""
    small = np.exp(-np.abs(outputs))
    return np.asarray(np.where(outputs >= 0, 1 / (1 + small), small / (1 + small)), outputs.dtype)
