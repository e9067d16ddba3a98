"""Records of training, evaluation, prediction and data.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from striate.views.schemas.keys import Name


class Training(TypedDict):
    """`striate train --json`, when the run is over; its lines go to standard error meanwhile."""

    schema: Annotated[str, "`striate.train/1`"]
    out: Annotated[str | None, "the run folder, null if nothing was saved"]
    network: Annotated[str, "the network's name"]
    input: Annotated[list[int], "shape of its input, or of the first of several"]
    inputs: Annotated[dict[Name, list[int]], "shape of each input"]
    parameters: Annotated[int, "learned numbers"]
    classes: Annotated[list[str], "classes, in the order of the outputs"]
    data: Annotated[str, "what was found, one line for each part"]
    notes: Annotated[list[str], "decisions made for the data"]
    epochs: Annotated[list[dict[str, Any]], "the lines of `metrics.jsonl`"]
    best_epoch: Annotated[int | None, "epoch with the best weights on the validation data"]
    stopped: Annotated[str, "reason for the end: `done` or `early stop`"]
    seconds: Annotated[float, "time of all epochs"]
    files: Annotated[dict[str, str], "path to description"]
    next: Annotated[str, "what to type next"]


class RateSearch(TypedDict):
    """`striate train --find-lr --json`"""

    schema: Annotated[str, "`striate.find-lr/1`"]
    rates: Annotated[list[float], "learning rate of each update"]
    losses: Annotated[list[float], "its loss"]
    smoothed: Annotated[list[float], "moving average of the losses"]
    suggestion: Annotated[float | None, "null if the loss never fell"]
    lowest: Annotated[float, "rate of the smallest loss"]
    next: Annotated[str, "what to type next"]


class ClassScore(TypedDict):
    name: Annotated[str, "the class"]
    precision: Annotated[float, "precision: share of its predictions that are right"]
    recall: Annotated[float, "recall: share of its images that are predicted right"]
    f1: Annotated[float, "F1: harmonic mean of the two"]
    images: Annotated[int, "its images"]
    predicted: Annotated[int, "predictions of this class"]


class ConfidenceBin(TypedDict):
    low: Annotated[float, "lower end of the bin"]
    high: Annotated[float, "upper end of the bin"]
    images: Annotated[int, "predictions in the bin"]
    confidence: Annotated[float, "their mean confidence"]
    accuracy: Annotated[float, "share of them that are right"]


class Calibration(TypedDict):
    expected_calibration_error: Annotated[float, "mean gap between confidence and accuracy"]
    bins: list[ConfidenceBin]


class WorstImage(TypedDict):
    id: Annotated[int, "index in the data"]
    name: Annotated[str, "the image"]
    label: Annotated[str, "true class"]
    predicted: Annotated[str, "predicted class"]
    confidence: Annotated[float, "probability of the predicted class"]
    loss: Annotated[float, "its loss, largest first"]


class Evaluation(TypedDict):
    """`striate eval RUN --json`; `validation` in a run's `report.json`, without the first three keys."""

    schema: Annotated[str, "`striate.eval/1`"]
    model: Annotated[str, "the run folder"]
    data: Annotated[str, "description of the images"]
    images: Annotated[int, "number of images"]
    loss: Annotated[float, "mean loss"]
    accuracy: Annotated[float, "share of correct predictions"]
    top5_accuracy: Annotated[float, "share with the true class among the top five"]
    macro_f1: Annotated[float, "mean F1 of the classes that have images"]
    classes: Annotated[list[str], "classes, in the order of the matrix"]
    confusion_matrix: Annotated[list[list[int]], "rows: true class; columns: predicted class"]
    per_class: list[ClassScore]
    calibration: Calibration
    worst: list[WorstImage]
    seconds: Annotated[float, "time"]
    notes: Annotated[list[str], "adaptations and skipped images"]
    epoch: NotRequired[Annotated[int, "in a run folder alone: epoch whose weights were evaluated"]]


Guess = TypedDict(
    "Guess",
    {
        "class": Annotated[str, "a class, most probable first"],
        "probability": Annotated[float, "its probability"],
    },
)


class PredictedImage(TypedDict):
    name: Annotated[str, "the image, `standard input` for `-`"]
    top: list[Guess]
    notes: Annotated[list[str], "conversions made for the network's input"]


class UnreadableImage(TypedDict):
    name: Annotated[str, "an image that could not be read"]
    why: Annotated[str, "why"]


class Prediction(TypedDict):
    """`striate predict RUN IMAGE... --json`"""

    schema: Annotated[str, "`striate.predict/1`"]
    model: Annotated[str, "the run folder"]
    classes: Annotated[list[str], "the model's classes"]
    images: list[PredictedImage]
    unreadable: list[UnreadableImage]


class DataPart(TypedDict):
    name: Annotated[str, "`train`, `validation`, `test`, or `all` if the data has no parts"]
    images: Annotated[int, "images"]
    readable: Annotated[int, "readable images"]
    classes: Annotated[dict[str, int], "class to readable images"]
    sizes: Annotated[dict[str, int], "`HxW` to images"]
    channels: Annotated[int, "1 or 3"]
    converted: Annotated[dict[str, int], "conversion to images"]
    unreadable: Annotated[list[UnreadableImage], "as in `striate.predict/1`"]
    mean: Annotated[list[float], "of each channel, pixels in 0 to 1"]
    std: Annotated[list[float], "standard deviation of each channel"]


class DataFinding(TypedDict):
    kind: Annotated[
        str,
        "`unreadable`, `leak`, `disputed`, `one-class`, `duplicate`, `empty-class`, "
        "`imbalance`, `sizes`, `converted`",
    ]
    severity: Annotated[str, "`error`, `warning` or `info`"]
    message: Annotated[str, "what"]
    names: Annotated[list[str], "the first hundred images concerned"]
    count: Annotated[int, "number of all images concerned"]


class DataCheck(TypedDict):
    """`striate data check PATH --json`"""

    schema: Annotated[str, "`striate.data/1`"]
    ok: Annotated[bool, "true if no finding is an error"]
    source: Annotated[str, "what was found, one line for each part"]
    classes: Annotated[list[str], "classes"]
    parts: list[DataPart]
    findings: list[DataFinding]
