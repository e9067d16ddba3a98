"""What the page's own forward engine runs: the statements of every op, the weights, and what becomes of an image.

Declared here once: web/src/engine/ reads it, striate/views/page/forward.py writes it. The records do not name ops: a
statement says what to compute, as striate.statement does.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict


class Place(TypedDict):
    """Position along one axis: `(sum of terms + offset) // divisor`, then `% modulus`; or looked up in a table."""

    terms: NotRequired[Annotated[dict[str, int], "factor of each variable"]]
    offset: NotRequired[Annotated[int, "0 if it is left out"]]
    divisor: NotRequired[Annotated[int, "1 if it is left out"]]
    modulus: NotRequired[Annotated[int, "none if it is left out"]]
    table: NotRequired[Annotated[int, "number of a table of positions, -1 where nothing is read"]]
    out: NotRequired[Annotated[str, "variable of the table's rows"]]
    tap: NotRequired[Annotated[str, "variable of its columns; without it the first column"]]


class Instruction(TypedDict):
    """One instruction of an expression in reverse Polish notation: a number, a read, a look-up or a call."""

    number: NotRequired[Annotated[float | str, "a number, or `Infinity`, `-Infinity`, `NaN`"]]
    read: NotRequired[Annotated[str, "tensor: an input `x0`, a temporary `t0`, a parameter by its own name"]]
    at: NotRequired[Annotated[list[Place], "where it is read, one place for each axis"]]
    outside: NotRequired[Annotated[float | str, "value beyond the tensor's borders; 0 if it is left out"]]
    table: NotRequired[Annotated[int, "number of a table of values"]]
    out: NotRequired[Annotated[str, "variable of its rows"]]
    tap: NotRequired[Annotated[str, "variable of its columns; without it the first column"]]
    call: NotRequired[Annotated[str, "function of the values before it"]]
    takes: NotRequired[Annotated[int, "how many of them"]]


class PageStatement(TypedDict):
    """One statement of an op: for all values of the variables, combine a value into the target."""

    target: Annotated[str, "output `y0`, or temporary `t0`"]
    shape: Annotated[list[int], "shape of the target, batch axis first"]
    at: Annotated[list[Place], "where it is written"]
    value: Annotated[list[Instruction], "what is computed"]
    reduce: Annotated[str, "`sum`, `max`, or empty: the value is written"]
    start: NotRequired[Annotated[list[Instruction], "value before the first step of a reduction"]]
    free: Annotated[dict[str, int], "variables of the target and their ranges"]
    reduced: Annotated[dict[str, int], "variables to reduce over and their ranges"]


class Table(TypedDict):
    """Numbers by an output position and a tap along one axis."""

    columns: Annotated[int, "taps"]
    values: Annotated[list[float], "row by row"]


class PageNode(TypedDict):
    """A node as the page's engine runs it."""

    name: Annotated[str, "the node"]
    op: Annotated[str, "its op's word"]
    inputs: Annotated[list[str], "values that it reads"]
    outputs: Annotated[list[str], "values that it computes"]
    shapes: Annotated[list[list[int]], "shape of each output, batch axis first"]
    weights: Annotated[dict[str, str], "parameter to full name"]
    statements: list[PageStatement]


class PageWeight(TypedDict):
    """A learned array."""

    shape: list[int]
    data: Annotated[str, "base64 of float32, little-endian, row-major"]


class ImageStep(TypedDict):
    """A step from pixels to the network's input; pixels are whole numbers from 0 to 255, or from 0 to 1 after it."""

    step: Annotated[str, "`channels` or `normalize`"]
    count: NotRequired[Annotated[int, "`channels`: how many come out"]]
    mean: NotRequired[Annotated[list[float], "`normalize`: one per channel"]]
    std: NotRequired[Annotated[list[float], "`normalize`: one per channel"]]


class SampleImage(TypedDict):
    """An image of the run's data, in the network's size."""

    name: Annotated[str, "of the image"]
    label: Annotated[str, "its class"]
    pixels: Annotated[str, "base64 of bytes, height x width x channels"]


class Answer(TypedDict):
    """What makes the first output into probabilities of the classes."""

    undo: Annotated[str, "`log` or `logit`, the inverse of the network's last op; empty if it is to stay"]
    loss: Annotated[str, "loss whose probabilities follow; empty if the network does not classify"]


class Drawing(TypedDict):
    """What an image for the network is, and what its answers are called."""

    image: Annotated[list[int], "height, width and channels of its pixels"]
    dark: Annotated[bool, "whether one draws in light on a dark ground, as the images of the training were"]
    classes: Annotated[
        list[str], "names of the classes, `0`, `1`, … where none are recorded; empty if it has none"
    ]
    trained: Annotated[bool, "false: the weights are fresh random numbers"]
    before: NotRequired[Annotated[str, "of a run whose weights before training can be shown: which they are"]]
    no_before: NotRequired[Annotated[str, "of another run: why they cannot"]]
    samples: Annotated[list[SampleImage], "images to try"]


class EightBitMap(TypedDict):
    """Output of a node in 8 bits."""

    shape: Annotated[list[int], "of what is kept, channels first"]
    channels: Annotated[int, "of the node; the first ones are kept"]
    low: Annotated[float, "number of level 0"]
    high: Annotated[float, "number of level 255"]
    data: Annotated[str, "base64 of the levels"]


class EightBitMaps(TypedDict):
    """One image in a network that is too large for the page."""

    sample: SampleImage
    shares: Annotated[list[float], "probabilities of the classes; empty if the network does not classify"]
    maps: Annotated[dict[str, EightBitMap], "some nodes by name"]


class PageModel(TypedDict):
    """A network small enough to run inside the page, with its weights."""

    inputs: Annotated[dict[str, list[int]], "shape of the input by its name, batch axis first"]
    image: Annotated[list[int], "height, width and channels of the pixels that the steps take"]
    steps: Annotated[
        list[ImageStep], "what makes pixels into the input; without any, pixels are divided by 255"
    ]
    nodes: Annotated[list[PageNode], "in the order of computation"]
    tables: list[Table]
    weights: Annotated[dict[str, PageWeight], "by full name"]
    before: NotRequired[
        Annotated[dict[str, PageWeight], "those before training, without the ones that it left as they were"]
    ]
    outputs: Annotated[list[str], "outputs of the network"]
    answer: Answer
