"""What a kind of picture shows besides the network: the `facts` of a scene.

No command loads this file: it is for type checkers and for docs/json.md.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from striate.views.schemas.keys import Axis, Name
from striate.views.schemas.networks import PixelMap
from striate.views.schemas.scene import Failed


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
    """Kind `pixels`."""

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
    """Kind `field`."""

    to: Annotated[str, "the value that the unit is of"]
    shape: Annotated[list[int], "its shape"]
    unit: Annotated[list[int], "index along each axis of space"]
    nodes: Annotated[
        dict[Name, dict[Axis, SeenAxis]], "what the unit reads of each node, by the input's axis"
    ]
    inputs: Annotated[dict[Name, dict[Axis, SeenInput]], "what it reads of each input, by axis"]
    misaligned: list[Misaligned]
    failed: Annotated[list[Failed], "nodes without an output"]
