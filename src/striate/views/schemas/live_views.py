"""What single views of the live page know of a network besides striate.show/1.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for those pages.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from striate.views.schemas.keys import Axis, Name
from striate.views.schemas.networks import Diff


class PicturePart(TypedDict):
    """What one group of a picture stands for: a node with the functions after it, a module, or repeats."""

    key: Annotated[str, "`data-node` of its group"]
    names: Annotated[str, "what it is called"]
    label: Annotated[str, "what it does, in one line"]
    nodes: Annotated[list[int], "its nodes, as positions in `show.nodes`; empty: it has no output"]
    reads: Annotated[list[str], "keys of the parts and names of the inputs that it reads"]
    times: Annotated[int, "how often in a row the same is done"]


class UnitField(TypedDict):
    """How units of a node see one axis of an input, where `receptive_field` does not tell it exactly."""

    axis: Annotated[str, "the node's axis whose units differ along it; empty for none"]
    spans: Annotated[
        list[list[int]],
        "first and last coordinate of the first units; empty where there are too many to list",
    ]
    step: Annotated[int, "input pixels from these units to as many that follow"]


class PixelCounts(TypedDict):
    """Paths from the pixels of one input to the output. Numbers of any length are texts of digits."""

    mode: Annotated[str, "padding given to every convolution; empty: the network's own"]
    problem: NotRequired[Annotated[str, "why there is no map; then there is nothing else"]]
    output: NotRequired[Annotated[list[int], "shape of what paths are counted to"]]
    axes: NotRequired[Annotated[list[str], "axes of the map"]]
    shape: NotRequired[Annotated[list[int], "its sizes"]]
    pixels: NotRequired[Annotated[str, "how many pixels"]]
    unread: NotRequired[Annotated[str, "pixels without a path"]]
    corner: NotRequired[Annotated[str, "paths from the first pixel of every axis"]]
    center: NotRequired[Annotated[str, "paths from the center pixel"]]
    most: NotRequired[Annotated[str, "paths from the most used pixel"]]
    corner_to_center: NotRequired[Annotated[float | None, "null if the center has no path"]]
    border_to_center: NotRequired[Annotated[float | None, "mean of the outermost pixels over the center"]]
    uniform: NotRequired[Annotated[bool, "whether every pixel is used equally often"]]
    vectors: NotRequired[
        Annotated[list[str], "different vectors, each its numbers with spaces between; empty: too long"]
    ]
    terms: NotRequired[
        Annotated[
            list[list[int]],
            "the map is a sum of outer products: of each, positions in `vectors`, one for each axis",
        ]
    ]
    levels: NotRequired[
        Annotated[
            list[list[int | None]],
            "where `vectors` is empty: means over blocks of the (middle) plane, 0 to 255 of `most`; null: never read",
        ]
    ]


class LivePixels(TypedDict):
    """Maps of pixel use."""

    to: Annotated[str, "node or outputs to which paths are counted"]
    inputs: Annotated[dict[Name, list[PixelCounts]], "the network's own map, then one for each padding mode"]
    missing: Annotated[str, "why there is no map; else empty"]


class LiveNetwork(TypedDict):
    """What views need that striate.show/1 does not say."""

    parts: Annotated[dict[str, list[PicturePart]], "kind of picture to what its groups stand for"]
    fields: Annotated[dict[Name, dict[Name, dict[Axis, UnitField]]], "node, input, axis"]
    pixels: LivePixels
    comparison: LiveComparison


class LiveComparison(TypedDict):
    """The network at its own input size, A, and at another, B."""

    missing: Annotated[str, "why there is none; then there is nothing else"]
    why: NotRequired[Annotated[str, "why this size"]]
    diff: NotRequired[
        Annotated[Diff, "`striate.diff/1` without the keys `window` and `activation_bytes` of a node"]
    ]
    svg: NotRequired[Annotated[str, "both networks next to each other, differences marked"]]


class HistoryModel(TypedDict):
    """An entry of the catalogue."""

    name: str
    params: Annotated[int | None, "as published, null if not published"]
    gmacs: Annotated[float | None, "1e9 MACs at `input`, as published"]
    input: Annotated[list[int], "its own input"]
    note: str


class HistoryFamily(TypedDict):
    """A family of the catalogue."""

    name: str
    year: Annotated[int, "of its paper"]
    paper: Annotated[str, "authors, title, venue"]
    url: Annotated[str, "where to read it"]
    new: Annotated[str, "what was new"]
    models: list[HistoryModel]
    shown: Annotated[str, "the entry that is drawn"]


class LiveHistory(TypedDict):
    """The catalogue as a timeline."""

    families: Annotated[list[HistoryFamily], "oldest first"]
    pictures: Annotated[
        str, "base64 of an object, compressed by zlib: name of an entry to its picture as SVG"
    ]
