"""The picture of `striate diff`: both networks as graphs next to each other, with differences highlighted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from striate.diagnostics import plural
from striate.views.diff_record import diff_record
from striate.views.drawing.frame import MIN_WIDTH, counted, finished
from striate.views.drawing.kinds.graph import State, layout
from striate.views.drawing.parts import Part, depth_of, failed_facts, failing, parts_of
from striate.views.drawing.picture import Picture
from striate.views.drawing.sheet import ASCENT, LINE, SIZE, SMALL_FONT_SIZE, TITLE_FONT_SIZE, Sheet
from striate.views.drawing.widths import lines, shortened
from striate.views.text.number_format import inputs

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.networks import ChangedNode, Diff, DiffSide, LoneNode, Show
    from striate.views.schemas.scene import DiffScene

MAX_BOXES = 40
"""Modules of a network are opened while its side has at most this many boxes."""
MAX_LISTED_CHANGES = 14
BETWEEN = 56.0
"""Pixels between the two networks."""
STATES = {
    "changed": State("warning-fill", "warning", "changed", 2),
    "resized": State("other-tint", "warning", "resized", 1.4, True),
    "only a": State("error-fill", "error", "only in A", 2),
    "only b": State("good-fill", "good", "only in B", 2),
}
"""Strongest first, but that a part of which only some layers are new or gone has changed."""
PLAIN = State("other-tint", "line")


def diff_picture(
    nets: tuple[Network, Network],
    shows: tuple[Show, Show],
    theme: str = "auto",
    scale: float = 1.0,
) -> Picture:
    """The picture of two networks next to each other.

    shows: their records, striate.show/1; theme, scale: as of a Picture. Raises nothing.
    """
    record = diff_record(*shows)
    states = _states(record)
    failed = tuple(failed_facts(net) for net in nets)
    depth = min(depth_of(show, MAX_BOXES) for show in shows)
    sides = [_parts(show, depth, {"failed": lost}) for show, lost in zip(shows, failed, strict=True)]
    sheet = Sheet()
    bodies = [
        layout(
            show,
            members,
            {},
            states={part.key: _of_part(part, side) for part in members}
            | dict.fromkeys(show["inputs"], PLAIN),
        )
        for show, members, side in zip(shows, sides, states, strict=True)
    ]
    x = 0.0
    bottom = 0.0
    for letter, key, body in zip("AB", ("a", "b"), bodies, strict=True):
        room = max(body.right - body.left, MIN_WIDTH / 2)
        y = _head(sheet, x, letter, record[key], room) + 16  # type: ignore[literal-required]
        sheet.put(body, x + (room - (body.right - body.left)) / 2, y)
        x += room + BETWEEN
        bottom = max(bottom, sheet.bottom)
    y = _list_changes(sheet, bottom + 18, record, x - BETWEEN)
    title = f"{record['a']['name']} and {record['b']['name']}"
    words = "; ".join(_changes(record)) or "no layer differs"
    scene: DiffScene = {
        **record,
        "schema": "striate.diff-scene/1",
        "drawing": finished("diff", sheet, title, f"{title}. {words}"),
    }
    return Picture(scene, theme, scale)


def _parts(show: Show, depth: int, facts: Mapping[str, object]) -> list[Part]:
    connected = parts_of(show, depth=depth)
    return connected + failing(facts, connected)


def _states(record: Diff) -> tuple[dict[str, str], dict[str, str]]:
    """Node of A, and of B, to the state it is in."""
    a = {node["name"]: "only a" for node in record["removed"]}
    b = {node["name"]: "only b" for node in record["added"]}
    for change in record["changed"]:
        if state := _state(change):
            a[change["a"]] = b[change["b"]] = state
    return a, b


def _state(change: ChangedNode) -> str:
    facts = change["facts"]
    if facts.keys() & {"text", "shares", "fixed", "frozen"}:
        return "changed"
    return "resized" if facts.keys() & {"sizes", "params", "macs"} else ""


def _of_part(part: Part, states: Mapping[str, str]) -> State:
    words = {states.get(node["name"], "") for node in part.nodes}
    if len(words) > 1 and words & {"changed", "only a", "only b"}:
        return STATES["changed"]
    return next((state for word, state in STATES.items() if word in words), PLAIN)


def _head(sheet: Sheet, x: float, letter: str, side: DiffSide, room: float) -> float:
    title = shortened(f"{letter}  {side['name']}", TITLE_FONT_SIZE, room, True)
    sheet.text(x, ASCENT * TITLE_FONT_SIZE, title, TITLE_FONT_SIZE, anchor="start", bold=True)
    y = LINE * TITLE_FONT_SIZE
    for text in (inputs(side), *counted(side)):
        sheet.text(x, y + ASCENT * SIZE, shortened(text, SIZE, room), SIZE, "muted", anchor="start")
        y += LINE * SIZE
    return y


def _changes(record: Diff) -> Iterator[str]:
    """What changed by itself, in lines: `conv1: conv 5x5 6 -> conv 3x3 6`."""
    for change in record["changed"]:
        if _state(change) == "changed":
            name = change["a"] if change["a"] == change["b"] else f"{change['a']} -> {change['b']}"
            text = change["facts"].get("text")
            yield f"{name}: {text[0]} -> {text[1]}" if text else f"{name}: shared or fixed parameters"
    yield from _only("only in A", record["removed"])
    yield from _only("only in B", record["added"])


def _only(where: str, nodes: Sequence[LoneNode]) -> Iterator[str]:
    """One line for each node, or for each module with several."""
    for scope, group in groupby(nodes, key=lambda node: node["name"].rpartition(".")[0]):
        members = list(group)
        if scope and len(members) > 1:
            yield f"{where}: {plural(len(members), 'layer')} of {scope}"
        else:
            yield from (f"{where}: {node['name']}, {node['text']}" for node in members)


def _list_changes(sheet: Sheet, y: float, record: Diff, room: float) -> float:
    every: Sequence[str] = list(_changes(record))
    texts = [*every[:MAX_LISTED_CHANGES]]
    if len(every) > len(texts):
        texts.append(f"{plural(len(every) - len(texts), 'more change')}: striate diff")
    resized = sum(_state(change) == "resized" for change in record["changed"])
    if resized:
        texts.append(f"{plural(resized, 'layer')} with another size or cost, because of what came before")
    for text in texts or ["no layer differs"]:
        for line in lines(text, SMALL_FONT_SIZE, room):
            sheet.text(0, y + ASCENT * SMALL_FONT_SIZE, line, SMALL_FONT_SIZE, "muted", anchor="start")
            y += LINE * SMALL_FONT_SIZE
    return y
