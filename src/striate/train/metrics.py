"""Metrics: counts that add up over batches, and the numbers computed from them.

Works on probabilities, labels and losses, without networks or datasets.
"""

from __future__ import annotations

import dataclasses
import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS = 15
"""Bins of the calibration diagram, as in Guo et al., arXiv 1706.04599."""


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """Precision, recall and f1 of a class (a share of nothing is 0), number of its images and of its predictions."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int
    predicted: int


@dataclasses.dataclass(frozen=True)
class Wrong:
    """One image with a large loss. `id` is its number in the dataset."""

    id: int
    loss: float
    label: int
    predicted: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class CalibrationBin:
    """Answers of similar confidence: their number, mean confidence and accuracy."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


class Tally:
    """Counts over batches. classes: number of classes; worst: number of worst answers to keep."""

    def __init__(self, classes: int, worst: int = 0) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.top5 = 0
        self._bins = np.zeros((BINS, 3))
        self._keep, self._worst = worst, list[tuple[float, int, Wrong]]()

    def add(self, probabilities: Array, labels: Array, losses: Array, ids: Array) -> None:
        """Count answers (N, classes, …) to labels (N, …); the losses (N,) rank images for `worst`."""
        rows, flat = _rows(probabilities), labels.ravel()
        predicted = rows.argmax(axis=1)
        np.add.at(self.confusion, (flat, predicted), 1)
        self.top5 += top_k(rows, flat, 5)
        confidence = rows.max(axis=1).astype(np.float64)
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        for column, values in enumerate((np.ones(len(flat)), confidence, predicted == flat)):
            np.add.at(self._bins[:, column], bins, values)
        if self._keep and len(ids) == len(flat):  # one answer per image
            for k in np.argsort(-losses)[: self._keep]:
                wrong = Wrong(
                    int(ids[k]), float(losses[k]), int(flat[k]), int(predicted[k]), float(confidence[k])
                )
                heapq.heappush(self._worst, (wrong.loss, -wrong.id, wrong))
                if len(self._worst) > self._keep:
                    heapq.heappop(self._worst)

    @property
    def counts(self) -> Array:
        """All counts as one array that adds up over batches. Assignment replaces them."""
        return np.concatenate([self.confusion.ravel(), [self.top5], self._bins.ravel()])

    @counts.setter
    def counts(self, row: Array) -> None:
        confusion, top5, bins = np.split(row, [self.confusion.size, self.confusion.size + 1])
        self.confusion = np.rint(confusion).astype(np.int64).reshape(self.confusion.shape)
        self.top5, self._bins = int(top5[0]), bins.reshape(self._bins.shape)

    @property
    def answers(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion)) / max(self.answers, 1)

    @property
    def top5_accuracy(self) -> float:
        return self.top5 / max(self.answers, 1)

    def per_class(self, names: tuple[str, ...]) -> tuple[ClassScore, ...]:
        """Precision, recall and F1 of every class."""
        hits = np.diag(self.confusion)
        images, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        precision, recall = hits / np.maximum(predicted, 1), hits / np.maximum(images, 1)
        f1 = 2 * hits / np.maximum(images + predicted, 1)
        return tuple(
            ClassScore(name, float(p), float(r), float(f), int(n), int(m))
            for name, p, r, f, n, m in zip(names, precision, recall, f1, images, predicted, strict=True)
        )

    def calibration(self) -> tuple[CalibrationBin, ...]:
        """The reliability diagram: bins of equal width, empty ones left out."""
        return tuple(
            CalibrationBin(k / BINS, (k + 1) / BINS, int(count), float(sure / count), float(right / count))
            for k, (count, sure, right) in enumerate(self._bins)
            if count
        )

    def calibration_error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, weighted by the bins' images."""
        return sum(b.images * abs(b.confidence - b.accuracy) for b in self.calibration()) / max(
            self.answers, 1
        )

    def worst(self) -> tuple[Wrong, ...]:
        """The answers with the largest losses, worst first."""
        return tuple(wrong for _, _, wrong in sorted(self._worst, key=lambda entry: (-entry[0], -entry[1])))


def top_k(rows: Array, labels: Array, k: int) -> int:
    """Number of labels among the k largest of their row (N, C); with at most k classes, all."""
    if rows.shape[1] <= k:
        return len(labels)
    largest = np.argpartition(rows, -k, axis=1)[:, -k:]
    return int((largest == labels[:, None]).any(axis=1).sum())


def correct(outputs: Array, targets: Array) -> int:
    """Answers (N, C, …) whose largest entry is the label (N, …), or the largest of a soft target (N, C, …)."""
    rows = _rows(outputs)
    if rows.shape[1] == 1:
        predictions = (rows[:, 0] > 0).astype(np.int64)
        labels = np.round(targets).astype(np.int64).ravel()
    else:
        predictions = rows.argmax(axis=1)
        labels = _rows(targets).argmax(axis=1) if targets.ndim == outputs.ndim else targets.ravel()
    return int((predictions == labels).sum())


def _rows(values: Array) -> Array:
    """(N, C, …) as one row of C per position."""
    return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
