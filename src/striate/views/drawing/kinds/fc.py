"""Kind `fc`: a convolution next to the fully connected layer with the same input and output.

Above, what one output reads: a window or the whole input, at one scale. Below, the parameters as squares whose areas
are to scale; if that of the convolution is too small, it is also shown enlarged, with the factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import OpError
from striate.op import Trait
from striate.views.drawing.frame import finished
from striate.views.drawing.grid import Band, Plane
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, TITLE_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened
from striate.views.drawing.windowed import layer_of, layer_record
from striate.views.node_record import detail_record
from striate.views.text.number_format import count, shape, short

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.facts import Compared
    from striate.views.schemas.networks import FullyConnected, Show
    from striate.views.schemas.scene import Drawing, Layer, Scene

OPTIONS = ("nodes",)
INPUT, SQUARE = 150.0, 250.0
"""Longest side of an input, and side of the larger square, in pixels."""
SPECK, GLASS = 12.0, 70.0
"""A square below the first is shown again with this side."""
COLUMN, BETWEEN = 300.0, 40.0


def facts(net: Network, show: Show, request: Request) -> Compared:
    """What the picture shows besides striate.show/1: `layer` and `fully_connected`.

    Raises OpError for a layer that is not a convolution, and the ShapeError of one without an output.
    """
    node = layer_of(net, request.node or _first(net), "fc")
    detail = detail_record(net, node.name, show)
    if detail["fully_connected"] is None:
        raise OpError(
            f"{node.name} is not a convolution",
            where="striate draw --kind fc",
            why=f"it is {node.op}; the picture compares a convolution with a fully connected layer",
            fix=f"--node {_first(net)}" if _first(net) else "a network with a convolution",
        )
    return {"layer": layer_record(net, node, show), "fully_connected": detail["fully_connected"]}


def _first(net: Network) -> str:
    """The first convolution; empty if there is none."""
    declarations = net.inference.declarations
    return next(
        (name for name, declaration in declarations.items() if Trait.CONVOLUTION in declaration.op.traits), ""
    )


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    layer: Layer = record["facts"]["layer"]
    dense: FullyConnected = record["facts"]["fully_connected"]
    sheet = Sheet()
    title = f"{layer['name']}: {layer['text']}"
    sheet.text(
        0,
        ASCENT * TITLE_FONT_SIZE,
        shortened(title, TITLE_FONT_SIZE, 2 * COLUMN, True),
        TITLE_FONT_SIZE,
        anchor="start",
        bold=True,
    )
    y = LINE * TITLE_FONT_SIZE
    subtitle = f"{layer['network']}, {shape(layer['input'])} -> {shape(layer['output'])}"
    sheet.text(0, y + ASCENT * SIZE, shortened(subtitle, SIZE, 2 * COLUMN), SIZE, "muted", anchor="start")
    y += LINE * SIZE + 18
    most = max(layer["params"], dense["params"])
    bottom = 0.0
    for k, convolution in enumerate((True, False)):
        x = k * (COLUMN + BETWEEN)
        at = _draw_input(sheet, x, y, layer, convolution)
        at = _words(sheet, x, at + 12, list(_sums(layer, dense, convolution)))
        bottom = max(bottom, at)
    for k, params in enumerate((layer["params"], dense["params"])):
        _area(sheet, k * (COLUMN + BETWEEN), bottom + 16, params, most, ("conv", "dense")[k])
    _words(sheet, 0, sheet.bottom + 14, list(_ratio(layer, dense)), 2 * COLUMN + BETWEEN)
    return finished("fc", sheet, title, " ".join(_describe(layer, dense)))


def _draw_input(sheet: Sheet, x: float, y: float, layer: Layer, convolution: bool) -> float:
    """The input, with what one output reads of it."""
    name = "convolution" if convolution else "fully connected"
    sheet.text(x, y + ASCENT * SIZE, name, SIZE, anchor="start", bold=True)
    axes = layer["axes"][-2:]
    chw = layer["input"]
    rows, columns = (chw[-2] if len(chw) > 2 else 1), chw[-1]
    side = min(16.0, INPUT / max(rows, columns))
    tall = 0.0 if rows > 1 else 14.0
    plane = Plane(x, 0.0, side, Band(rows), Band(columns), chw[0], tall)
    top = y + LINE * SIZE + 10 + 5 * plane.sheets
    plane = Plane(x, top, side, Band(rows), Band(columns), chw[0], tall)
    plane.ground(sheet, "input", "" if convolution else "window-fill")
    box = plane.box(0, 0, rows, columns)
    if convolution:
        starts = [_middle(axis["over"], axis["extent"]) for axis in axes]
        extents = [min(axis["extent"], axis["over"]) for axis in axes]
        if len(axes) == 1:
            starts, extents = [0, *starts], [1, *extents]
        box = plane.box(starts[0], starts[1], extents[0], extents[1])
        sheet.rect(*box, "window-fill")
    plane.lines(sheet)
    sheet.rect(*box, "", "window", thick=2)
    return top + max(INPUT if rows > 1 else plane.height, plane.height)


def _middle(size: int, extent: int) -> int:
    return max((size - extent) // 2, 0)


def _words(
    sheet: Sheet, x: float, y: float, texts: Sequence[tuple[str, float, str]], room: float = COLUMN
) -> float:
    for text, size, fill in texts:
        for line in lines(text, size, room):
            sheet.text(x, y + ASCENT * size, line, size, fill, anchor="start")
            y += LINE * size
    return y


def _sums(layer: Layer, dense: FullyConnected, convolution: bool) -> Iterator[tuple[str, float, str]]:
    """What one output reads, and the arithmetic of parameters and MACs."""
    filters = layer["filters"]
    if convolution and filters:
        yield f"one output reads {count(filters['numbers'])} of {count(dense['inputs'])} numbers", SIZE, "ink"
        yield "the same filter at every position", SMALL_FONT_SIZE, "muted"
        yield f"parameters: {layer['arithmetic']['params']} = {count(layer['params'])}", SIZE, "ink"
        yield f"MACs: {layer['arithmetic']['macs']} = {count(layer['macs'])}", SIZE, "ink"
        return
    yield f"one output reads all {count(dense['inputs'])} numbers", SIZE, "ink"
    yield "weights of its own for every output", SMALL_FONT_SIZE, "muted"
    yield f"parameters: {dense['arithmetic']} = {count(dense['params'])}", SIZE, "ink"
    products = f"{count(dense['inputs'])} inputs · {count(dense['outputs'])} outputs"
    yield f"MACs: {products} = {count(dense['macs'])}", SIZE, "ink"


def _area(sheet: Sheet, x: float, y: float, params: int, most: int, family: str) -> None:
    """The parameters as a square; a speck is shown again under a glass."""
    side = SQUARE * (params / most) ** 0.5
    sheet.rect(x, y, side, side, family, "line" if side > 4 else "")
    if side >= SPECK:
        sheet.text(x + 2, y + side + 16, f"{short(params)} parameters", SIZE, anchor="start")
        return
    if not params:
        return
    left, top = x + 60, y + 24
    sheet.path([(x + side, y), (left, top)], "", "line", thick=0.8)
    sheet.path([(x + side, y + side), (left, top + GLASS)], "", "line", thick=0.8)
    sheet.rect(left, top, GLASS, GLASS, family, "line", dash=True)
    times = (GLASS / side) ** 2
    sheet.column(
        left + GLASS + 10,
        top + GLASS / 2 - LINE * SIZE,
        [(f"{short(params)} parameters,", "ink"), (f"{short(round(times))} times enlarged", "muted")],
        anchor="start",
    )


def _ratio(layer: Layer, dense: FullyConnected) -> Iterator[tuple[str, float, str]]:
    if layer["params"]:
        times = dense["params"] / layer["params"]
        yield (
            f"{_times(times)} as many parameters, {_times(dense['macs'] / max(layer['macs'], 1))} as many MACs",
            14.0,
            "ink",
        )
    yield "the areas of the two squares are to scale", SMALL_FONT_SIZE, "muted"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio < 999.5 else f"{round(ratio):,} times"


def _describe(layer: Layer, dense: FullyConnected) -> Iterator[str]:
    """The picture in words."""
    yield f"{layer['name']} = {layer['text']}, {shape(layer['input'])} to {shape(layer['output'])}."
    yield f"The convolution has {count(layer['params'])} parameters and {count(layer['macs'])} MACs,"
    yield f"a fully connected layer {count(dense['params'])} and {count(dense['macs'])}."
