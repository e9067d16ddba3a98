"""Texts under the planes of a layer's picture: state, formula with its numbers, depth, cost, findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, TITLE_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened, width
from striate.views.drawing.windowed import never
from striate.views.text.node import AXES, SIGNS, size_sum
from striate.views.text.number_format import count, per_axis, shape

if TYPE_CHECKING:
    from striate.views.schemas.scene import Layer, LayerAxis

WORDS = {"fits": "fits", "remainder": "leaves a remainder", "impossible": "impossible"}
REDUCED = {"max": "the maximum of ", "mean": "the mean of ", "mean inside": "the mean of "}


def head(sheet: Sheet, layer: Layer, room: float) -> float:
    """The layer, its network and its input. Returns the y below."""
    title = shortened(f"{layer['name']}: {layer['text']}", TITLE_FONT_SIZE, room, True)
    sheet.text(0, ASCENT * TITLE_FONT_SIZE, title, TITLE_FONT_SIZE, anchor="start", bold=True)
    text = shortened(f"{layer['network']}, after {shape(layer['input'])}", SIZE, room)
    sheet.text(0, LINE * TITLE_FONT_SIZE + ASCENT * SIZE, text, SIZE, "muted", anchor="start")
    return LINE * (TITLE_FONT_SIZE + SIZE)


def color(layer: Layer) -> str:
    """Of the state: a remainder that loses nothing real is a warning."""
    if layer["state"] == "fits":
        return "good"
    harmless = layer["state"] == "remainder" and not any(axis.get("lost") for axis in layer["axes"])
    return "warning" if harmless else "error"


def sums(
    sheet: Sheet, y: float, layer: Layer, room: float, numbers: bool, ruled: bool, shown: str = ""
) -> None:
    """The state and the formula with its numbers, then what else is told.

    shown: which of the positions an animation shows, if not all.
    """
    word, shade = WORDS[layer["state"]], color(layer)
    wide = width(word, SIZE, True) + 20
    sheet.rect(0, y, wide, 22, "info-fill" if shade == "good" else f"{shade}-fill", shade, round=11)
    sheet.text(wide / 2, y + 15.5, word, SIZE, shade, bold=True)
    y += 32
    told = [*_caption(layer, numbers, ruled)]
    if shown:
        told.append((f"the animation shows {shown}, at equal distances", SMALL_FONT_SIZE, "muted"))
    for text, size, fill in told:
        for line in lines(text, size, room):
            sheet.text(0, y + ASCENT * size, line, size, fill, anchor="start")
            y += LINE * size


def _caption(layer: Layer, numbers: bool, ruled: bool) -> Iterator[tuple[str, float, str]]:
    """Text, size and color of each line under the picture."""
    axes = layer["axes"]
    if axes:
        yield f"size = {axes[0]['symbols']}", 14.0, "ink"
        yield SIGNS[axes[0]["symbols"]], SMALL_FONT_SIZE, "muted"
    for names, text, exact in _formulas(axes):
        yield f"{names}: {text}", 14.0, "ink" if exact else color(layer)
    lost, total = never(axes)
    if lost and layer["output"]:
        what = "receive no product" if axes[0]["transposed"] else "are never read"
        yield f"{lost:,} of {plural(total, 'position')} {what} (marked)", SIZE, "error"
    yield from ((text, SIZE, "ink") for text in _depth(layer))
    if layer["params"]:
        yield f"parameters: {layer['arithmetic']['params']} = {count(layer['params'])}", SIZE, "ink"
    if layer["macs"]:
        yield f"MACs: {layer['arithmetic']['macs']} = {count(layer['macs'])}", SIZE, "ink"
    for finding in layer["findings"]:
        if finding["severity"] == "info":
            continue
        repeats = any(axis["formula"] in finding["why"] for axis in axes) and layer["state"] == "remainder"
        why = "" if repeats else f": {finding['why']}"
        yield f"{finding['code']} {finding['message']}{why}", SIZE, finding["severity"]
        if finding["fixes"]:
            yield "fix: " + " · ".join(fix["text"] for fix in finding["fixes"]), SIZE, "ink"
    if numbers:
        yield "numbers: one channel, one filter, no bias", SMALL_FONT_SIZE, "muted"
    if not ruled:
        yield "drawn by scale: cells are too small to be ruled", SMALL_FONT_SIZE, "muted"
    if any(channels > 4 for channels in (layer["input"][0], *layer["output"][:1])):
        yield "up to 4 channels are drawn behind each other", SMALL_FONT_SIZE, "muted"
    if {"d"} & {axis["axis"] for axis in axes}:
        yield "one slice is drawn: the window slides over the depth as well", SMALL_FONT_SIZE, "muted"


def _formulas(axes: Sequence[LayerAxis]) -> Iterator[tuple[str, str, bool]]:
    """Names of axes, the formula with their numbers and what it leaves; axes that agree are told once."""
    axes_of: dict[tuple[str, bool], list[str]] = {}
    for axis in axes:
        unit = AXES[axis["axis"]][1]
        parts = size_sum(axis)
        text = parts if isinstance(parts, str) else "".join(p if isinstance(p, str) else p[0] for p in parts)
        axes_of.setdefault((re.sub(rf"\b{unit}(s?)\b", r"{\1}", text), axis["exact"]), []).append(
            axis["axis"]
        )
    for (text, exact), names in axes_of.items():
        units = [AXES[name][1] for name in names]
        for many in ("", "s"):
            text = text.replace(f"{{{many}}}", " and ".join(unit + many for unit in units))
        yield " and ".join(AXES[name][0] for name in names), text, exact


def _depth(layer: Layer) -> Iterator[str]:
    """How far a filter reaches through the channels."""
    filters = layer["filters"]
    if filters is None:
        yield f"each channel by itself: {REDUCED.get(layer['reduces'], '')}the numbers under each window"
        return
    depth, channels, groups = filters["shape"][0], layer["input"][0], filters["groups"]
    if layer["axes"] and layer["axes"][0]["transposed"]:
        yield f"each of {plural(channels, 'channel')} spreads its filter over {plural(depth, 'output channel')}"
    elif depth * groups != channels:
        yield f"a filter has {plural(depth * groups, 'channel')}, the input {channels}"
    elif groups == 1:
        yield (
            f"full depth: a filter has {plural(depth, 'channel')} like the input; "
            f"{plural(filters['count'], 'filter')}, {plural(filters['count'], 'output channel')}"
        )
    else:
        name = "depthwise" if groups == channels else f"{groups} groups"
        yield f"{name}: each filter reads {depth} of {plural(channels, 'channel')}"


def described(layer: Layer) -> Iterator[str]:
    """The picture in words."""
    yield f"{layer['name']} = {layer['text']} after {shape(layer['input'])}: {WORDS[layer['state']]}."
    for names, text, _ in _formulas(layer["axes"]):
        yield f"{names}: {text}."
    for finding in layer["findings"]:
        yield f"{finding['code']} {finding['message']}."


def filter_lines(layer: Layer) -> list[str]:
    """`3 x 3 x 3`, `1 of 10`; `dilation 2`."""
    kernels = [axis["kernel"] for axis in layer["axes"]]
    filters = layer["filters"]
    if filters is None:
        texts = [" x ".join(map(str, kernels)), "for each channel"]
    else:
        texts = [shape(filters["shape"]).replace("x", " x ")]
        texts += [f"1 of {filters['count']:,}"] if filters["count"] > 1 else []
    dilations = [axis["dilation"] for axis in layer["axes"]]
    if set(dilations) - {1}:
        texts.append(f"dilation {per_axis(dilations, ' x ')}")
    return texts
