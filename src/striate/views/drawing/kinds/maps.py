"""Kind `maps`: an image, as the network reads it, and the feature maps that layers make of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError, plural
from striate.views.drawing import tiles
from striate.views.drawing.frame import MIN_WIDTH, failures, framed
from striate.views.drawing.kinds.filters import has_filters
from striate.views.drawing.known import known
from striate.views.drawing.request import Request
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, Sheet
from striate.views.drawing.svg import SEPARATE
from striate.views.drawing.widths import shortened

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.facts import MapFacts, NodeMaps, Plane, ShownImage, ShownMap
    from striate.views.schemas.networks import Show
    from striate.views.schemas.scene import Drawing, Scene

OPTIONS = ("nodes", "several_nodes", "image", "own_scale")
MAX_MAPS, MAX_NUMBERS = 1024, 4096
"""Channels of a node that are shown, and numbers of a vector; of more, as many at equal distances."""
MAX_CELLS = 300_000
"""Cells of all maps of a node; larger maps are averaged over blocks."""
MAX_SIDE_CELLS = 192
"""Cells along a side of a map."""
FEW_NUMBERS, FEW_ROW_CELLS, ROW_CELLS = 1024, 32, 64
"""Numbers of a vector in a row, of up to this many and of more."""
ROOM, INPUT = 720.0, 144.0
"""Pixels for the maps of a row, and for the image next to them."""
SIDES = ((3, 224.0), (8, 112.0), (32, 84.0), (128, 56.0), (256, 42.0), (512, 28.0), (MAX_MAPS, 24.0))
"""Largest number of maps, and the pixels for the side of each: multiples of 7, 14 and 28 where they can be, so that a
map is not drawn larger than the one that it was pooled from."""
NUMBERED = 28.0
"""Maps of at least this many pixels have the number of their channel below; of smaller ones, the first of a row has."""


def facts(net: Network, show: Show, request: Request) -> MapFacts:
    """The maps. Raises OpError without an image or for a node without a value, FormatError for an unreadable image."""
    if request.image is None:
        raise OpError(
            "no image is given",
            where="striate draw --kind maps",
            why="feature maps are computed from an image",
            fix="--image FILE",
        )
    from striate.engine.registry import get_engine
    from striate.views.drawing import numbers
    from striate.views.drawing.read_images import read_images

    model = numbers.with_numbers(net, request.model or net)
    names = request.nodes or (_first(known(net)),)
    values = {value: name for name in names for value in net.node(name).outputs}
    for value in values:
        if value not in net.inference.specs:
            raise next(iter(net.inference.problems))
    x, images = read_images(model, request.image)
    program = get_engine("numpy").compile(model.network, model.weights or {})
    said = program.values(x, list(values))
    return {
        "images": images,
        "trained": model.trained,
        "seed": numbers.SEED,
        "own_scale": request.own_scale,
        "nodes": [_node(net, name, value, said[value][0], request) for value, name in values.items()],
    }


def _first(net: Network) -> str:
    """The first convolution, or the first layer."""
    node = next((node for node in net.nodes if has_filters(node)), None) or next(iter(net.nodes), None)
    if node is None:
        raise OpError(f"{net.name} has no layers", fix="another kind of picture: blocks, graph")
    return node.name


def _node(net: Network, name: str, value: str, array: Any, request: Request) -> NodeMaps:
    """What one value says, (C, …) as maps."""
    import numpy as np

    from striate.views.drawing import numbers

    node = net.node(name)
    silent = 0
    axes: tuple[int, ...] = (0, 1)
    if array.ndim < 2 or array[0].size == 1:
        array = array.reshape(-1)
        chosen = numbers.sampled(array.size, MAX_NUMBERS)
        each = FEW_ROW_CELLS if len(chosen) <= FEW_NUMBERS else ROW_CELLS
        found: list[tuple[Plane, Any]] = []
        for k in range(0, len(chosen), each):
            row = chosen[k : k + each]
            found.append(({"channels": row, "levels": []}, array[None, row]))
    else:
        while array.ndim > 4:
            array = array[:, array.shape[1] // 2]
        chosen = numbers.sampled(array.shape[0], MAX_MAPS)
        middle = array.shape[1] // 2
        found = list(numbers.planes(array[:, middle] if array.ndim == 4 else array, chosen))
        for record, _ in found if array.ndim == 4 else ():
            record["slice"] = middle
        if array.ndim == 2:
            axes = (1,)
        silent = int((np.abs(array).reshape(len(array), -1).max(axis=1, initial=0) == 0).sum())
    side = int(min(MAX_SIDE_CELLS, 2 * _room(len(found)), max(2, (MAX_CELLS / max(len(found), 1)) ** 0.5)))
    most = numbers.largest(array)
    signed = bool((array < 0).any())
    maps: list[ShownMap] = []
    block = 1
    for record, plane in found:
        finite = plane[np.isfinite(plane)]
        own = numbers.largest(plane)
        small, block = numbers.coarse(plane, side, axes)
        turn = numbers.signed_levels if signed else numbers.share_levels
        maps.append({
            **record,
            "levels": turn(small, own if request.own_scale else most),
            "low": float(finite.min()) if finite.size else 0.0,
            "high": float(finite.max()) if finite.size else 0.0,
        })  # fmt: skip
    return {
        "node": name,
        "value": value,
        "text": node.op.phrase(len(net.inference.specs[node.inputs[0]].spatial)),
        "shape": list(net.inference.specs[value].without_batch),
        "signed": signed,
        "most": most,
        "silent": silent,
        "block": block,
        "maps": maps,
    }


def _room(count: int) -> float:
    """Pixels for the side of a map, by how many there are."""
    return next(side for most, side in SIDES if count <= most)


# -- the picture --------------------------------------------------------------------------------------------------


def drawing(record: Scene, request: Request) -> Drawing:
    """The picture of a scene."""
    found: MapFacts = record["facts"]  # type: ignore[assignment]
    body = Sheet()
    for image in found["images"]:
        title = image["input"] if len(found["images"]) > 1 else "input"
        body.put(_image(image, title), 0, body.bottom + 16 if body.marks else 0)
    left = body.right - body.left + 28
    maps = Sheet()
    maps.rect(0, 0, 0, 0)
    maps.marks.clear()
    for k, node in enumerate(found["nodes"]):
        with maps.about(node["node"]):
            _layer(maps, found, node, maps.bottom + (24 if k else 0))
    body.put(maps, left, 0)
    body.right = max(body.right, MIN_WIDTH)
    return framed("maps", record, body, failures(record), list(_notes(found)), "; ".join(_words(found)))


def _image(image: ShownImage, title: str) -> Sheet:
    """The image of an input under its name, with what it is below."""
    sheet = Sheet()
    sheet.text(0, ASCENT * SIZE, shortened(title, SIZE, INPUT, True), anchor="start", bold=True)
    y = LINE * SIZE + 4
    planes = [plane["levels"] for plane in image["planes"]]
    levels, palette = (tiles.in_color(*planes), "rgb") if image["colored"] else (planes[0], "gray")
    _, high = tiles.plane(sheet, 0, y, tiles.cell_of(levels, INPUT), levels, palette, image=len(levels) > 16)
    y += high + 6
    channels, *sizes = image["shape"]
    said = [image["name"], f"{' x '.join(map(str, sizes))} x {channels}"]
    for text in said:
        text = shortened(text, SMALL_FONT_SIZE, INPUT)
        sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, text, SMALL_FONT_SIZE, anchor="start")
        y += LINE * SMALL_FONT_SIZE
    return sheet


def _layer(sheet: Sheet, found: MapFacts, node: NodeMaps, y: float) -> None:
    """The maps of one node under its heading, over their scale."""
    size = " x ".join(map(str, [*node["shape"][1:], node["shape"][0]]))
    name = node["node"] if node["value"] == node["node"] else node["value"]
    if _is_vector(node):
        size = plural(node["shape"][0], "number")
    heading = shortened(f"{name} = {node['text']}: {size}", SIZE, ROOM)
    sheet.text(0, y + ASCENT * SIZE, heading, anchor="start")
    sheet.bottom += 6
    palette = "signed" if node["signed"] else "counts"
    large = tiles.cells(node["maps"]) > SEPARATE
    side = _room(len(node["maps"]))
    if _is_vector(node):
        _vector(sheet, node, palette, large)
    elif len(node["shape"]) > 2:
        names = [str(one["channels"][0]) for one in node["maps"]] if side < NUMBERED else []
        tiles.rows(sheet, [_map(found, one, palette, side, large) for one in node["maps"]], ROOM, names=names)
    else:
        (one,) = node["maps"]
        tiles.plane(
            sheet,
            0,
            sheet.bottom + 4,
            tiles.cell_of(one["levels"], ROOM),
            one["levels"],
            palette,
            image=large,
        )
    if found["own_scale"]:
        bar = tiles.legend(palette, -1.0 if node["signed"] else 0.0, 1.0, "of a map's largest value")
    else:
        bar = tiles.legend(palette, -node["most"] if node["signed"] else 0.0, node["most"], "value")
    sheet.put(bar, 0, sheet.bottom + 10)


def _is_vector(node: NodeMaps) -> bool:
    """Whether a channel is one number."""
    return math.prod(node["shape"][1:]) == 1


def _vector(sheet: Sheet, node: NodeMaps, palette: str, large: bool) -> None:
    """Numbers without axes of space in rows, with the index of each where there is room."""
    each = FEW_ROW_CELLS if tiles.cells(node["maps"]) <= FEW_NUMBERS else ROW_CELLS
    cell = float(int(ROOM / each))
    for one in node["maps"]:
        y = sheet.bottom + 4
        tiles.plane(sheet, 0, y, cell, one["levels"], palette, image=large)
        if len(node["maps"]) > 1:
            tiles.before(sheet, 0, y + cell / 2, str(one["channels"][0]))
        for k, channel in enumerate(one["channels"] if len(node["maps"]) == 1 else ()):
            place = (k + 0.5) * cell, y + cell + 2 + ASCENT * SMALL_FONT_SIZE
            sheet.text(*place, str(channel), SMALL_FONT_SIZE, "muted")


def _map(found: MapFacts, one: ShownMap, palette: str, side: float, large: bool) -> Sheet:
    sheet = Sheet()
    cell = tiles.cell_of(one["levels"], side)
    wide, _ = tiles.plane(sheet, 0, 0, cell, one["levels"], palette, image=large)
    if side >= NUMBERED:
        said = [(str(one["channels"][0]), "muted")]
        if found["own_scale"]:
            said.append((f"±{tiles.number(max(abs(one['low']), abs(one['high'])))}", "ink"))
        tiles.under(sheet, wide / 2, said)
    return sheet


def _notes(found: MapFacts) -> Iterator[str]:
    if not found["trained"]:
        yield f"untrained: fresh weights, seed {found['seed']}"
    several = len(found["images"]) > 1
    for image in found["images"]:
        what = image["input"] if several else "the input"
        yield f"transformation of {what}: {image['transform']}"
        yield from (f"{what}: {note}" if several else note for note in image["notes"])
        if not image["colored"] and image["shape"][0] > 1:
            yield f"of {what}, channel 0 of {image['shape'][0]} is shown"
        if (image["low"], image["high"]) != (0.0, 1.0):
            low, high = tiles.number(image["low"]), tiles.number(image["high"])
            yield f"{what} is shown from {low} (black) to {high} (white)"
    for node in found["nodes"]:
        shown = sum(len(one["channels"]) for one in node["maps"])
        if shown < node["shape"][0]:
            what = "numbers" if _is_vector(node) else "channels"
            yield f"{node['value']}: {shown:,} of {node['shape'][0]:,} {what}, at equal distances"
        if node["silent"]:
            yield f"{node['value']}: {node['silent']} of {plural(node['shape'][0], 'channel')} 0 everywhere"
        if node["block"] > 1:
            yield f"{node['value']}: a cell is the mean of {tiles.block(node['block'], len(node['shape']) - 1)} numbers"
        if "slice" in node["maps"][0]:
            yield f"{node['value']}: slice {node['maps'][0]['slice']} of {node['shape'][1]}"
        if len(node["shape"]) == 2 and not _is_vector(node):
            yield f"{node['value']}: a row for each channel"
        if any(level is None for one in node["maps"] for row in one["levels"] for level in row):
            yield f"{node['value']}: hatched numbers are not finite"
    yield (
        "each map has its own scale"
        if found["own_scale"]
        else "one scale for a layer: equal colors are equal values"
    )


def _words(found: MapFacts) -> Iterator[str]:
    for image in found["images"]:
        channels, *sizes = image["shape"]
        yield f"Feature maps of {image['name']}, read as {' x '.join(map(str, sizes))} x {channels}"
    for node in found["nodes"]:
        low = min((one["low"] for one in node["maps"]), default=0.0)
        high = max((one["high"] for one in node["maps"]), default=0.0)
        said = plural(node["shape"][0], "channel")
        yield f"{node['value']}, {said}: values from {tiles.number(low)} to {tiles.number(high)}"
    yield from _notes(found)
