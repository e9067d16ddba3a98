"""What a kind of picture shows besides the network: the `facts` of a scene.

No command loads this file: it is for type checkers and for docs/json.md.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from striate.views.schemas.keys import Axis, Name
from striate.views.schemas.networks import FullyConnected, PixelMap
from striate.views.schemas.scene import Example, Failed, Layer
from striate.views.schemas.training import Calibration


class GraphFacts(TypedDict):
    """The picture shows the network, up to the nodes without an output."""

    failed: Annotated[list[Failed], "nodes without an output"]


class LayerFacts(TypedDict):
    """One layer, the first with a window unless `--node` names another."""

    layer: Layer
    example: NotRequired[Annotated[Example, "with `--numbers`: one channel and one filter, without a bias"]]


class Compared(TypedDict):
    """A convolution, and the fully connected layer that does the same step."""

    layer: Annotated[Layer, "the convolution: keys as for the kind `layer`"]
    fully_connected: Annotated[FullyConnected, "the other: keys as in `striate.node/1`"]


class PixelPanel(PixelMap):
    """One map: the keys of `striate.pixels/1`, and"""

    input: Annotated[str, "whose pixels they are"]
    mode: NotRequired[Annotated[str, "padding given to every convolution"]]
    problem: NotRequired[Annotated[str, "why the network has no output with it; then there is no map"]]
    output: Annotated[list[int], "shape of what paths are counted to"]
    shares: Annotated[
        list[list[float | None]],
        "rows of the (middle) plane as shares of `most`, averaged over blocks where it is large; null: never read",
    ]


class PixelFacts(TypedDict):
    """Maps of pixel use."""

    to: Annotated[str, "node or outputs to which paths are counted"]
    maps: list[PixelPanel]


class SeenAxis(TypedDict):
    units: Annotated[int, "size of the value along the axis that carries this one; 0 where it has none left"]
    runs: Annotated[list[list[int]], "first and last index of each run of units that the unit reads"]
    span: Annotated[list[int], "first and last coordinate that its windows touch, padding counted"]
    size: Annotated[int, "input pixels that one unit of the value sees"]
    jump: Annotated[float, "input pixels between neighboring units; 0: each sees the whole axis"]
    center: Annotated[float, "input coordinate of the center of unit 0's field"]


class SeenInput(TypedDict):
    size: Annotated[int, "pixels along the axis"]
    runs: Annotated[list[list[int]], "first and last pixel of each run that the unit reads"]
    touched: Annotated[list[int], "first and last coordinate that the windows on the image touch"]
    span: Annotated[list[int], "first and last coordinate of its field, the padding of all layers counted"]
    context: Annotated[bool, "whether a gate or a norm's statistics read more of the image"]


class Branch(TypedDict):
    value: str
    span: Annotated[list[int], "first and last coordinate of the field that the branch gives the unit"]
    center: Annotated[float, "its center"]
    jump: float


class Misaligned(TypedDict):
    node: Annotated[str, "merge whose branches look at different places"]
    axis: str
    input: str
    unit: Annotated[int, "index of the unit that is compared"]
    apart: Annotated[float | None, "input pixels between them; null where their jumps differ"]
    branches: list[Branch]


class FieldFacts(TypedDict):
    """What one unit sees."""

    to: Annotated[str, "the value that the unit is of"]
    shape: Annotated[list[int], "its shape"]
    unit: Annotated[list[int], "index along each axis of space"]
    nodes: Annotated[
        dict[Name, dict[Axis, SeenAxis]], "what the unit reads of each node, by the input's axis"
    ]
    inputs: Annotated[dict[Name, dict[Axis, SeenInput]], "what it reads of each input, by axis"]
    misaligned: list[Misaligned]
    failed: Annotated[list[Failed], "nodes without an output"]


class Plane(TypedDict):
    """One plane of numbers as levels of 8 bits."""

    channels: Annotated[list[int], "its channel; those of its rows where there is one axis of space"]
    slice: NotRequired[Annotated[int, "index along the first of three axes of space"]]
    levels: Annotated[list[list[int | None]], "rows of levels; null: not a finite number"]
    values: NotRequired[Annotated[list[list[str]], "rows of the numbers, as they are written into cells"]]


class LearnedFilter(TypedDict):
    filter: Annotated[int, "its index; of a transposed convolution, the input channel"]
    most: Annotated[float, "its largest weight without the sign"]
    planes: list[Plane]


class FilterFacts(TypedDict):
    """Learned filters: a weight is (level - 128) / 127 times `most`."""

    node: Annotated[str, "the convolution"]
    text: Annotated[str, "its op in notation"]
    shape: Annotated[list[int], "of its weights: filters, channels of each, sizes along the axes of space"]
    trained: Annotated[bool, "whether weights came with the model; otherwise they are fresh"]
    seed: Annotated[int, "of fresh weights"]
    transposed: Annotated[bool, "whether there is a filter for each input channel"]
    groups: int
    colored: Annotated[bool, "whether the channels of a filter are drawn as red, green and blue"]
    most: Annotated[float, "the largest weight without the sign"]
    own_scale: Annotated[bool, "whether levels are of `most` of each filter, not of all"]
    block: Annotated[int, "weights along each side of a cell; over 1: a cell is their mean"]
    channels: Annotated[list[int], "channels of each filter that are shown"]
    filters: Annotated[list[LearnedFilter], "those that are shown"]


class ShownImage(TypedDict):
    input: Annotated[str, "the input of the network that reads it"]
    name: Annotated[str, "file, or what else it is"]
    shape: Annotated[list[int], "as the network reads it, channels first"]
    transform: Annotated[str, "the model's transformation in words"]
    notes: Annotated[list[str], "what had to be changed for the network to read it"]
    colored: Annotated[bool, "whether its planes are red, green and blue"]
    low: Annotated[float, "number of level 0"]
    high: Annotated[float, "number of level 255"]
    planes: list[Plane]


class ShownMap(Plane):
    low: Annotated[float, "its smallest number"]
    high: Annotated[float, "its largest number"]


class NodeMaps(TypedDict):
    node: Annotated[str, "the node"]
    value: Annotated[str, "its output"]
    text: Annotated[str, "its op in notation"]
    shape: Annotated[list[int], "of the output, channels first"]
    signed: Annotated[
        bool,
        "whether a number is (level - 128) / 127 times `most`; otherwise it is level / 255 times `most`",
    ]
    most: Annotated[float, "the largest number without the sign"]
    silent: Annotated[int, "channels that are 0 everywhere"]
    block: Annotated[int, "numbers along each side of a cell; over 1: a cell is their mean"]
    maps: list[ShownMap]


class MapFacts(TypedDict):
    """The feature maps that layers compute from an image."""

    images: Annotated[list[ShownImage], "one for each input"]
    trained: Annotated[bool, "whether weights came with the model; otherwise they are fresh"]
    seed: Annotated[int, "of fresh weights"]
    own_scale: Annotated[bool, "whether levels are of the largest number of each map, not of all of a node"]
    nodes: list[NodeMaps]


class RunCurves(TypedDict):
    name: Annotated[str, "of the run: the last parts of its folder"]
    epochs: Annotated[list[int], "numbers of the epochs, from 1"]
    measures: Annotated[
        dict[Name, list[float | None]],
        "a number for each epoch: `lr`, `train_loss`, `validation_loss`, `train_accuracy`, `validation_accuracy`, "
        "where the run has them; null: not finite",
    ]
    best_epoch: Annotated[int | None, "epoch with the best weights on the validation data"]
    best: Annotated[dict[Name, float], "its measures"]
    stopped: Annotated[str, "reason for the end: `done`, `early stop`, `unfinished`"]
    resumed: Annotated[list[int], "epochs in which the run was continued after a stop"]
    planned: Annotated[int, "epochs that were asked for; 0 if unknown"]
    seconds: Annotated[float, "time of all epochs"]


class TrainingFacts(TypedDict):
    """Curves of one or several runs."""

    runs: list[RunCurves]


class Judged(TypedDict):
    model: Annotated[str, "what was evaluated; empty if unknown"]
    data: Annotated[str, "description of the images"]
    epoch: Annotated[int | None, "of a run: epoch whose weights they are"]
    images: Annotated[int, "number of images"]
    predictions: Annotated[int, "number of predictions: one for each image, or for each of its positions"]
    accuracy: Annotated[float, "share of correct predictions"]


class Confusion(TypedDict):
    label: Annotated[str, "true class"]
    predicted: Annotated[str, "predicted class"]
    count: Annotated[int, "how often"]
    share: Annotated[float, "of the predictions for the true class"]


class ConfusionFacts(Judged):
    """The confusion matrix. Lists have an entry for each class that is shown."""

    number_of_classes: Annotated[int, "of the model"]
    classes: Annotated[list[str], "those that are shown: all, or those with the most frequent confusions"]
    positions: Annotated[list[int], "their numbers in the order of the outputs, from 0"]
    counts: Annotated[list[list[int]], "rows: true class; columns: predicted class"]
    shares: Annotated[
        list[list[float | None]], "the same as shares of the true class; null without predictions"
    ]
    others: Annotated[list[int], "predictions as a class that is not shown"]
    totals: Annotated[list[int], "predictions for the true class"]
    recall: Annotated[list[float | None], "share of the true class that is predicted right"]
    precision: Annotated[list[float | None], "share of the predictions of the class that are right"]
    largest: Annotated[list[Confusion], "the most frequent confusions"]
    more: Annotated[int, "number of other pairs of classes that are confused"]


class CalibrationFacts(Judged, Calibration):
    """The reliability diagram."""
