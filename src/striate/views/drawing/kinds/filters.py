"""Kind `filters`: the learned filters of a layer as images, on a scale of colors about 0."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError, few, plural
from striate.op import Trait, Windowed
from striate.views.drawing import tiles
from striate.views.drawing.frame import MIN_WIDTH, failures, framed
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.svg import SEPARATE
from striate.views.drawing.tiles import GAP
from striate.views.drawing.widths import shortened, width

if TYPE_CHECKING:
    from striate.network import Network, Node
    from striate.views.schemas.facts import FilterFacts, LearnedFilter, Plane
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("nodes", "numbers", "own_scale")
MAX_FILTERS, MAX_PLANES, MAX_CHANNELS = 256, 384, 24
"""Filters, planes and channels of each filter that are shown; of more, as many at equal distances."""
MAX_ROWS, ROW_PLANES = 16, 12
"""Rows of a table of planes, and planes that stand in one row where filters have few of them."""
MAX_SIDE_CELLS = 64
"""Cells along a side of a plane; larger filters are averaged over blocks."""
ROOM = 720.0
"""Pixels for the filters of a row."""
FEW_PIXELS, SOME_PIXELS, MANY_PIXELS = 76.0, 52.0, 36.0
"""Pixels for the side of a filter, by how many stand in the picture: few, over 64, over 128, or of many planes."""
WRITTEN_CELLS, WRITTEN_CELL = 108, 34.0
"""Cells of a picture in which numbers are written unless others are asked for, and the side of a cell with one."""
MAX_WRITTEN_CELLS, WRITTEN_ROW_CELLS = 1200, 36
"""Cells of a picture, and of the planes of one filter, in which numbers are written if they are asked for."""


def facts(net: Network, show: Show, request: Request) -> FilterFacts:
    """The filters of a convolution. Raises OpError for a node without, and what `with_numbers` raises."""
    from striate.views.drawing import numbers

    node = convolution(net, request.node)
    model = numbers.with_numbers(net, request.model or net)
    spec = model.specs[node.inputs[0]]
    array = (model.weights or {})[node.key("weight")]
    count, depth = array.shape[:2]
    transposed = Trait.CONVOLUTION not in node.op.traits
    groups = 1 if transposed else max(spec.channels // depth, 1)
    colored = array.ndim == 4 and depth == 3 and groups == 1 and not transposed and _reads_image(net, node)
    colored = colored and not request.numbers  # a color has no number
    most_channels = MAX_CHANNELS
    if request.numbers and array.ndim > 3:
        across = max(array.shape[-2:]) * (array.shape[2] if array.ndim == 5 else 1)
        most_channels = min(most_channels, max(WRITTEN_ROW_CELLS // across, 1))
    channels = numbers.sampled(depth, 3 if colored else most_channels)
    shown = numbers.sampled(count, _most_filters(array.shape, len(channels), colored, bool(request.numbers)))
    most = numbers.largest(array[shown])
    written = request.numbers or (
        request.numbers is None and not colored and array[shown].size <= WRITTEN_CELLS
    )
    found: list[LearnedFilter] = []
    block = 1
    for k in shown:
        own = numbers.largest(array[k])
        first = k // max(count // groups, 1) * depth if groups > 1 else 0
        planes = []
        for record, plane in numbers.planes(array[k], channels):
            plane, block = numbers.coarse(plane, MAX_SIDE_CELLS, (1,) if array.ndim == 3 else (0, 1))
            record["channels"] = [first + c for c in record["channels"]]
            record["levels"] = numbers.signed_levels(plane, own if request.own_scale else most)
            if written and block == 1:
                record["values"] = [[tiles.short(float(v), most) for v in row] for row in plane]
            planes.append(record)
        found.append({"filter": k, "most": own, "planes": planes})
    return {
        "node": node.name,
        "text": node.op.phrase(len(spec.spatial)),
        "shape": list(array.shape),
        "trained": model.trained,
        "seed": numbers.SEED,
        "transposed": transposed,
        "groups": groups,
        "colored": colored,
        "most": most,
        "own_scale": request.own_scale,
        "block": block,
        "channels": channels,
        "filters": found,
    }


def _most_filters(shape: tuple[int, ...], channels: int, colored: bool, written: bool) -> int:
    """How many filters are shown, of which this many channels are."""
    kernel = shape[2:]
    planes = 1 if colored or len(kernel) == 1 else channels * (kernel[0] if len(kernel) == 3 else 1)
    most = min(MAX_FILTERS, max(MAX_PLANES // planes, 8))
    if planes > 1:
        most = min(most, MAX_ROWS * max(ROW_PLANES // (planes + 1), 1))
    elif len(kernel) == 1:
        most = min(most, 2 * MAX_ROWS)
    if written:
        most = min(most, 2 * MAX_ROWS if planes == 1 else MAX_ROWS)
        most = min(most, max(MAX_WRITTEN_CELLS // (channels * math.prod(kernel)), 1))
    return most


def convolution(net: Network, name: str) -> Node:
    """The node of that name, or the first convolution; an error where it has no filters or no input."""
    having = [node for node in net.nodes if has_filters(node)]
    node = net.node(name) if name else next(iter(having), None)
    if node is None or node not in having:
        raise OpError(
            f"{name} has no filters" if name else f"{net.name} has no convolution",
            where="striate draw --kind filters",
            why=f"it is {node.op}" if node else "only convolutions have filters",
            fix=f"one of the convolutions: {few([one.name for one in having])}"
            if having
            else "another kind of picture: blocks, graph",
        )
    if node.name not in net.inference.declarations:
        raise next(iter(net.inference.problems))
    return node


def has_filters(node: Node) -> bool:
    """Whether a node is a convolution, also a transposed one."""
    return Trait.WEIGHTED_SUM in node.op.traits and isinstance(node.op, Windowed)


def _reads_image(net: Network, node: Node) -> bool:
    """Whether the channels of a node's input are those of an input of the network."""
    value = node.inputs[0]
    while value not in net.inputs:
        maker = next(one for one in net.nodes if value in one.outputs)
        if Trait.CHANNELWISE not in maker.op.traits or len(maker.inputs) > 1:
            return False
        value = maker.inputs[0]
    return True


# -- the picture --------------------------------------------------------------------------------------------------


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: FilterFacts = record["facts"]  # type: ignore[assignment]
    body = Sheet()
    count = found["shape"][0]
    size = " x ".join(map(str, [*found["shape"][2:], found["shape"][1]]))
    heading = f"{found['node']} = {found['text']}: {plural(count, 'filter')} of {size}"
    body.text(0, ASCENT * SIZE, shortened(heading, SIZE, ROOM), anchor="start")
    body.bottom += 14
    planes = [plane for one in found["filters"] for plane in one["planes"]]
    image = tiles.cells(planes) > SEPARATE
    alone = found["colored"] or all(len(one["planes"]) == 1 for one in found["filters"])
    side = _side(found, len(planes), alone)
    if alone:
        tiles.rows(body, [_tile(found, one, side, image) for one in found["filters"]], ROOM)
    else:
        _table(body, found, side, image)
    if found["own_scale"]:
        bar = tiles.legend(_palette(found), -1.0, 1.0, "of a filter's largest weight")
    else:
        bar = tiles.legend(_palette(found), -found["most"], found["most"], _scale_words(found))
    body.put(bar, 0, body.bottom + 18)
    body.right = max(body.right, MIN_WIDTH)
    return framed("filters", record, body, failures(record), list(_notes(found)), "; ".join(_words(found)))


def _palette(found: FilterFacts) -> str:
    return "gray" if found["colored"] else "signed"


def _scale_words(found: FilterFacts) -> str:
    return "weight, in each of red, green and blue" if found["colored"] else "weight"


def _side(found: FilterFacts, planes: int, alone: bool) -> float:
    """Pixels for the longer side of a plane."""
    if alone:
        side = FEW_PIXELS if planes <= 64 else SOME_PIXELS if planes <= 128 else MANY_PIXELS
        if len(found["shape"]) == 3:
            side = max(side, min(4.0 * max(found["shape"][1:]), 160.0))
    else:
        side = SOME_PIXELS if len(found["filters"][0]["planes"]) <= 12 else MANY_PIXELS
    if any("values" in plane for one in found["filters"] for plane in one["planes"]):
        longest = max(
            max(len(p["levels"]), len(p["levels"][0])) for one in found["filters"] for p in one["planes"]
        )
        side = max(side, longest * _number_cell(found))
    return side


def _number_cell(found: FilterFacts) -> float:
    texts = [
        text for one in found["filters"] for p in one["planes"] for row in p.get("values", ()) for text in row
    ]
    return max(WRITTEN_CELL, *(float(int(width(text, SMALL_FONT_SIZE) + 8)) for text in texts))


def _tile(found: FilterFacts, one: LearnedFilter, side: float, image: bool) -> Sheet:
    """One filter that is one plane, with its number below."""
    sheet = Sheet()
    planes = one["planes"]
    if found["colored"]:
        levels: Any = tiles.in_color(*(plane["levels"] for plane in planes))
        palette = "rgb"
    else:
        levels, palette = planes[0]["levels"], "signed"
    cell = tiles.cell_of(levels, side)
    wide, _ = tiles.plane(sheet, 0, 0, cell, levels, palette, image=image)
    if not found["colored"] and "values" in planes[0]:
        tiles.written(sheet, 0, 0, cell, levels, palette, planes[0]["values"])
    said = [(str(one["filter"]), "muted")]
    if found["groups"] > 1 and not _depthwise(found):
        said.append((f"reads {planes[0]['channels'][0]}", "muted"))
    if found["own_scale"]:
        said.append((f"±{tiles.number(one['most'])}", "ink"))
    tiles.under(sheet, wide / 2, said)
    return sheet


def _depthwise(found: FilterFacts) -> bool:
    """Whether each filter reads one channel, that of its own number."""
    return found["groups"] > 1 and all(
        [plane["channels"] for plane in one["planes"]] == [[one["filter"]]] for one in found["filters"]
    )


def _table(body: Sheet, found: FilterFacts, side: float, image: bool) -> None:
    """A row for each filter, a plane for each of its channels; several rows next to each other where they are short."""
    every = [_row(found, one, side, image, True) for one in found["filters"]]
    wide = max(row.right - row.left for row in every)
    if wide * 2 > ROOM and found["groups"] == 1:  # one below the other: the first names the channels for all
        every = [_row(found, one, side, image, not k) for k, one in enumerate(found["filters"])]
        for k, row in enumerate(every):
            body.put(row, wide - (row.right - row.left), body.bottom + (GAP if k else 0))
    else:
        tiles.rows(body, every, ROOM)


def _row(found: FilterFacts, one: LearnedFilter, side: float, image: bool, headed: bool) -> Sheet:
    """The planes of one filter."""
    sheet = Sheet()
    x = 0.0
    for plane in one["planes"]:
        cell = tiles.cell_of(plane["levels"], side)
        wide, high = tiles.plane(sheet, x, 0, cell, plane["levels"], "signed", image=image)
        if "values" in plane:
            tiles.written(sheet, x, 0, cell, plane["levels"], "signed", plane["values"])
        said = _channel(found, plane)
        if headed:
            sheet.text(x + wide / 2, -5, said, SMALL_FONT_SIZE, "muted")
        x += max(wide, width(said, SMALL_FONT_SIZE)) + GAP
    middle = high / 2 + 0.36 * SMALL_FONT_SIZE
    sheet.text(-10, middle, _name(found, one), SMALL_FONT_SIZE, "muted", anchor="end")
    return sheet


def _name(found: FilterFacts, one: LearnedFilter) -> str:
    name = f"filter {one['filter']}"
    return f"{name}, ±{tiles.number(one['most'])}" if found["own_scale"] else name


def _channel(found: FilterFacts, plane: Plane) -> str:
    """What a plane is of."""
    text = str(plane["channels"][0])
    if "slice" not in plane:
        return text
    return f"{text}, {plane['slice']}" if found["shape"][1] > 1 else f"slice {plane['slice']}"


def _notes(found: FilterFacts) -> Iterator[str]:
    if not found["trained"]:
        yield f"untrained: fresh weights, seed {found['seed']}"
    count, depth, *kernel = found["shape"]
    if len(found["filters"]) < count:
        yield f"{len(found['filters'])} of {plural(count, 'filter')}, at equal distances"
    if len(found["channels"]) < depth:
        yield f"{len(found['channels'])} of the {depth} channels of each filter, at equal distances"
    if found["colored"]:
        yield "red, green and blue are the weights of the three channels of the image; gray is 0"
    elif len(kernel) == 1:
        yield "rows are the channels of a filter, columns its positions"
    elif depth > 1:
        what = (
            "the output channel that it adds to" if found["transposed"] else "the input channel that it reads"
        )
        yield f"above each plane: {what}{', and its slice' if len(kernel) > 2 else ''}"
    if _depthwise(found):
        yield "depthwise: a filter reads only the channel of its own number"
    if found["transposed"]:
        yield "transposed: a filter for each input channel"
    if found["own_scale"]:
        yield "each filter has its own scale, ± its largest weight"
    else:
        yield "one scale: equal colors are equal weights"
    if found["block"] > 1:
        yield f"a cell is the mean of {tiles.block(found['block'], len(kernel))} weights"
    if any(
        level is None
        for one in found["filters"]
        for p in one["planes"]
        for row in p["levels"]
        for level in row
    ):
        yield "hatched: weights that are not finite numbers"


def _words(found: FilterFacts) -> Iterator[str]:
    count, depth, *kernel = found["shape"]
    size = " x ".join(map(str, [*kernel, depth]))
    yield f"{plural(count, 'filter')} of {size} of {found['node']}, weights from {_span(found)}"
    yield from _notes(found)


def _span(found: FilterFacts) -> str:
    return f"{tiles.number(-found['most'])} to {tiles.number(found['most'])}"
