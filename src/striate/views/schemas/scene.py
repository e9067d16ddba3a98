"""Records of pictures: the scene.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from striate.views.schemas.networks import (
    Arithmetic,
    DetailAxis,
    Diff,
    Filters,
    Finding,
    Show,
)


class RectMark(TypedDict):
    """A rectangle."""

    mark: Annotated[
        Literal["rect"],
        "`rect`, `path` (a line or a polygon), `text` or `cells`, each with some of these keys",
    ]
    x: Annotated[float, "left edge"]
    y: Annotated[float, "upper edge"]
    width: float
    height: float
    fill: Annotated[str, "color's name in the theme; empty: not filled"]
    stroke: Annotated[str, "the same for the outline"]
    thick: NotRequired[Annotated[float, "thickness of the outline; 1 if missing"]]
    round: NotRequired[Annotated[float, "radius of the corners"]]
    dash: NotRequired[Annotated[bool, "whether the outline is dashed"]]
    about: NotRequired[Annotated[str, "node that the mark belongs to"]]
    steps: NotRequired[
        Annotated[
            list[int],
            "first and last step of an animation that show it; all if missing",
        ]
    ]


class PathMark(TypedDict):
    """A line through points, or a polygon."""

    mark: Annotated[Literal["path"], "`path`"]
    points: Annotated[list[list[float]], "`[x, y]` of each point"]
    fill: str
    stroke: str
    closed: NotRequired[Annotated[bool, "whether the last point joins the first"]]
    bend: NotRequired[Annotated[float, "radius of the corners"]]
    thick: NotRequired[float]
    dash: NotRequired[bool]
    arrow: NotRequired[Annotated[bool, "whether it ends in an arrowhead"]]
    about: NotRequired[str]
    steps: NotRequired[list[int]]


class TextMark(TypedDict):
    """One line of text."""

    mark: Annotated[Literal["text"], "`text`"]
    x: Annotated[float, "where `anchor` stands"]
    y: Annotated[float, "baseline"]
    text: str
    size: Annotated[float, "font size in pixels"]
    fill: str
    anchor: Annotated[str, "`start`, `middle` or `end`"]
    bold: NotRequired[bool]
    about: NotRequired[str]
    steps: NotRequired[list[int]]


class CellsMark(TypedDict):
    """A grid of equal squares, each with a level of a color map; null: hatched."""

    mark: Annotated[Literal["cells"], "`cells`"]
    x: float
    y: float
    side: Annotated[float, "of one cell"]
    levels: Annotated[list[list[int | None]], "rows from the top"]
    palette: Annotated[
        str,
        "`counts` (pale to dark), `signed` (blue, pale, orange) or `gray` (black to white), each of levels from "
        "0 to 255; or `rgb`, whose levels are 65536 red + 256 green + blue",
    ]
    image: NotRequired[
        Annotated[bool, "whether an SVG file holds it as an image; otherwise only grids of over 1,024 cells"]
    ]
    about: NotRequired[str]
    steps: NotRequired[list[int]]


Mark: TypeAlias = RectMark | PathMark | TextMark | CellsMark


class Motion(TypedDict):
    """Of a picture that moves, in a loop."""

    steps: Annotated[int, "how many"]
    speed: Annotated[float, "steps per second"]
    hold: Annotated[float, "additional seconds of the last step"]


class Drawing(TypedDict):
    """What is drawn."""

    kind: Annotated[str, "`blocks`, `graph`, `layer`, …"]
    title: Annotated[str, "one line"]
    description: Annotated[str, "text description of the picture, for screen readers"]
    width: Annotated[float, "of the canvas, in pixels"]
    height: float
    marks: Annotated[list[Mark], "in the order in which they are drawn"]
    motion: NotRequired[Annotated[Motion, "only in an animation"]]


class Failed(TypedDict):
    name: Annotated[str, "node that has no output"]
    text: Annotated[str, "its op in notation"]
    inputs: Annotated[list[str], "values that it reads"]


class LayerAxis(DetailAxis):
    """One axis of a layer: the keys of `axes` in `striate.node/1`, and"""

    kernel: Annotated[int, "as in `window`"]
    stride: Annotated[int, "as in `window`"]
    dilation: Annotated[int, "as in `window`"]
    pad: Annotated[list[int], "padding before and after; of a transposed convolution, what is cropped"]
    remainder: Annotated[int, "positions that the stride leaves over"]
    transposed: Annotated[bool, "whether the window slides over the output"]
    extent: Annotated[int, "positions from the first tap of a window to its last"]
    over: Annotated[
        int, "positions of the side over which it slides: the input, or the output of a transposed one"
    ]
    positions: Annotated[int, "how many windows there are"]
    mode: Annotated[str, "what lies in the padding"]


class Layer(TypedDict):
    """One layer, as the kinds `layer` and `fc` draw it."""

    name: Annotated[str, "the node"]
    text: Annotated[str, "its op in notation"]
    op: Annotated[str, "its op"]
    network: Annotated[str, "the network's name"]
    input: Annotated[list[int], "shape of its input, channels first"]
    output: Annotated[list[int], "of its output; empty where it has none"]
    state: Annotated[
        Literal["fits", "remainder", "impossible"], "whether windows fill the padded input exactly"
    ]
    axes: Annotated[list[LayerAxis], "axes of space"]
    filters: Annotated[Filters | None, "null for an op without weights"]
    reduces: Annotated[
        str,
        "of the numbers under a window: `sum` (weighted), `max`, `mean`, `mean inside` (without padding)",
    ]
    arithmetic: Arithmetic
    params: int
    macs: int
    findings: Annotated[list[Finding], "findings on this node, or why it has no output"]


class Example(TypedDict):
    """One channel and one filter with small numbers, without a bias."""

    input: Annotated[list[list[float]], "rows of small whole numbers"]
    padded: Annotated[list[list[float]], "the input with its padding; empty where padding has no numbers"]
    filter: Annotated[list[list[float]], "numbers of the filter; empty for a pool"]
    output: Annotated[list[list[float | None]], "null where a pool's window lies on padding alone"]


class Scene(Show):
    """`striate draw MODEL --json`: the keys of `striate.show/1` (`schema` is `striate.scene/1`), and

    The kinds `training`, `confusion` and `calibration` show results: they have `schema`, `name`, `facts` and `drawing`,
    and no keys of a network.
    """

    facts: Annotated[
        dict[str, Any], "what the kind shows besides them: keys in the last sections of this page"
    ]
    drawing: Drawing


class ResultScene(TypedDict):
    """A scene of the kinds `training`, `confusion` and `calibration`, which has no keys of `striate.show/1`."""

    schema: Annotated[str, "`striate.scene/1`"]
    name: Annotated[str, "title of the picture"]
    facts: dict[str, Any]
    drawing: Drawing


class DiffScene(Diff):
    """`striate diff A B -o FILE.json`: the keys of `striate.diff/1` (`schema` is `striate.diff-scene/1`), and"""

    drawing: Annotated[Drawing, "as in `striate.scene/1`"]
