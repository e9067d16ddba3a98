"""The rows of the kind `blocks`: which volume stands in which row, how large it is, and the ways outside the rows.

A network whose long ways lie inside each other, such as a U-Net, is drawn as a U: each row holds the blocks before and
after one of them.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from striate.views.drawing.parts import Part, label, size_text
from striate.views.drawing.sheet import SIZE, SMALL_FONT_SIZE
from striate.views.drawing.widths import shortened, width

if TYPE_CHECKING:
    from striate.views.schemas.networks import Show

TALL, MIN_BLOCK_SIDE = 132.0, 5.0
"""Height of the highest block, and the least of any side of a block, in pixels."""
THICK = 44.0
"""Width of the block with the most channels."""
SLANT = (0.5, 0.4)
"""Right and up for one pixel of depth: the edges that run away from the reader."""
VECTOR, TALLEST_VECTOR = 8.0, 96.0
"""Width of a vector, which stands upright, and the height of the longest."""
MISSING = (40.0, 56.0, 0.0)
"""The place of a volume that there is not."""
ARROW, PAD = 26.0, 10.0
"""The least arrow, and room on both sides of its label."""
TEXT_ROOM = 150.0
TOLD = 3
"""Parts that the label of a way can tell."""
WIDEST = 1500.0
"""A row that would be wider goes on below."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """Pixels for the square root of a size, and of a number of channels."""

    space: float
    channels: float
    vector: float

    def sides(self, chw: Sequence[int]) -> tuple[float, float, float]:
        """Width, height and depth of the block of a shape; missing axes are one wide."""
        if not chw:
            return MISSING
        if len(chw) == 1:
            return VECTOR, max(self.vector * chw[0] ** 0.5, MIN_BLOCK_SIDE * 2), VECTOR
        high, deep = (chw[-2], chw[-1]) if len(chw) > 2 else (1, chw[-1])
        return (
            max(self.channels * chw[0] ** 0.5, MIN_BLOCK_SIDE),
            max(self.space * high**0.5, MIN_BLOCK_SIDE),
            max(self.space * deep**0.5, MIN_BLOCK_SIDE),
        )


@dataclasses.dataclass(frozen=True)
class Block:
    """A volume in its row: key of the part that makes it (an input's name), shape, family, label of the arrow to it."""

    key: str
    chw: Sequence[int]
    family: str
    arrow: tuple[str, ...] = ()
    part: Part | None = None
    times: int = 1


def scaled(shapes: Sequence[Sequence[int]]) -> Scale:
    """The scale at which all shapes of a picture fit. shapes: channels first."""
    volumes = [chw for chw in shapes if len(chw) > 1]
    space = max((max(chw[1:]) for chw in volumes), default=1)
    return Scale(
        TALL / space**0.5,
        THICK / max((chw[0] for chw in volumes), default=1) ** 0.5,
        TALLEST_VECTOR / max((chw[0] for chw in shapes if len(chw) == 1), default=1) ** 0.5,
    )


@dataclasses.dataclass(frozen=True)
class Arc:
    """A way outside the rows: from one block to another, through the parts that its label names."""

    start: str
    end: str
    through: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Row:
    """Blocks next to each other.

    before: key of the block in another row that the first one goes on from; right: key of the block that begins the
    right half of a row in a U; below: key of the block that the right half goes on from; bottom: of a U.
    """

    blocks: list[Block]
    before: str = ""
    right: str = ""
    below: str = ""
    bottom: bool = False


def rows_of(record: Show, members: Sequence[Part], scale: Scale) -> tuple[list[Row], list[Arc]]:
    """The rows of the picture, and the ways outside them. What stands on a long way, or between two rows, is a row."""
    chains, ways = _chains(record, members)
    rows = list(_as_u(chains[0], ways, scale) or _wrapped(chains[0], scale))
    for chain in chains[1:]:
        rows += _wrapped(chain, scale)
    place = {block.key: number for number, row in enumerate(rows) for block in row.blocks}
    parts = {part.key: part for part in members}
    arcs: list[Arc] = []
    for way in ways:
        if len(way.keys) > TOLD or (way.keys and place[way.start] != place[way.end]):
            rows += _wrapped([_block(key, record, parts) for key in way.keys], scale)
            arcs += [Arc(way.start, way.keys[0]), Arc(way.keys[-1], way.end)]
        else:
            arcs.append(way)
    return rows, arcs


def _as_u(chain: Sequence[Block], ways: Sequence[Arc], scale: Scale) -> list[Row]:
    """The rows of a chain that is too long for one and whose long ways lie inside each other; else none."""
    place = {block.key: k for k, block in enumerate(chain)}
    spans = [_span(block, scale) for block in chain]
    if sum(spans) <= WIDEST:
        return []
    near = [(place[way.start], place[way.end]) for way in ways if way.start in place and way.end in place]
    spaces = [block.chw[1:] for block in chain]
    rows = []
    row_of: dict[int, int] = {}
    for number, (left, right) in enumerate(halves(near, spaces)):
        blocks = [chain[k] for k in (*left, *right)]
        row_of |= dict.fromkeys((*left, *right), number)
        before = chain[left[0] - 1].key if left[0] else ""
        right_key = chain[right[0]].key if right else ""
        below = chain[right[0] - 1].key if right else ""
        rows.append(Row(blocks, before, right_key, below, not right))
    widths = [0.0] * len(rows)
    for k, number in row_of.items():
        widths[number] += spans[k]
    if not rows or max(widths) > WIDEST or any(row_of[start] != row_of[end] for start, end in near):
        return []
    return rows


def halves(ways: Sequence[tuple[int, int]], spaces: Sequence[Sequence[int]]) -> list[tuple[range, range]]:
    """The left and the right half of each row of a U, as places in a chain; none where ways do not lie inside each
    other. The last row, the bottom, has no right half.

    ways: places of their ends; spaces: height and width at each place.
    """
    nested = _nested(ways)
    if len(nested) < 2:
        return []
    starts, ends = [s for s, _ in nested], [e for _, e in nested]
    # What makes an image as large as the one that joins it stands in the row of that one.
    least = [end + 1 for end in ends[1:]] + [starts[-1] + 2]
    for k, end in enumerate(ends):
        while ends[k] > least[k] and spaces[ends[k] - 1] == spaces[end]:
            ends[k] -= 1
    if ends[-1] < starts[-1] + 2:
        return []
    return [
        (range(before + 1, start + 1), range(end, stop))
        for before, start, end, stop in zip(
            [-1, *starts], [*starts, ends[-1] - 1], [*ends, 0], [len(spaces), *ends[:-1], 0], strict=True
        )
    ]


def _nested(ways: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many ways as lie inside each other, the outermost first."""
    tails: list[int] = []
    last: list[int] = []
    before: list[int] = []
    every = sorted(ways)
    for k, (start, end) in enumerate(every):
        at = bisect.bisect_left(tails, -end)
        if at and every[last[at - 1]][0] == start:  # two that begin together do not lie inside each other
            before.append(-1)
            continue
        before.append(last[at - 1] if at else -1)
        tails[at : at + 1] = [-end]
        last[at : at + 1] = [k]
    inside = []
    k = last[-1] if last else -1
    while k >= 0:
        inside.append(every[k])
        k = before[k]
    return inside[::-1]


def _chains(record: Show, members: Sequence[Part]) -> tuple[list[list[Block]], list[Arc]]:
    """The longest way from an input to the end, then what it leaves over; and the ways outside them."""
    parts = {part.key: part for part in members}
    left: dict[str, None] = dict.fromkeys([*record["inputs"], *parts])
    chains: list[list[str]] = []
    arcs: list[Arc] = []
    while left:
        chain = _longest(left, parts)
        for key in chain:
            del left[key]
        chains.append(chain)
        sides, left = _sides(left, parts, set(chain))
        arcs += sides
    outside = {key for arc in arcs for key in arc.keys}
    for chain in chains:
        for before, key in zip(["", *chain], chain):
            if key in parts:
                arcs += [Arc(r, key) for r in parts[key].reads if r != before and r not in outside]
    return [[_block(key, record, parts) for key in chain] for chain in chains], arcs


def _longest(keys: Mapping[str, None], parts: Mapping[str, Part]) -> list[str]:
    """The way with the most parts among `keys`, which are in the order of the network; an input begins it if it can."""
    best: dict[str, tuple[int, str]] = {}
    for key in keys:
        sources = [r for r in parts[key].reads if r in best] if key in parts else []
        length, before = max(((best[s][0], s) for s in sources), key=lambda item: item[0], default=(0, ""))
        best[key] = (length + 1, before)
    end = max(best, key=lambda key: best[key][0])
    chain = []
    while end:
        chain.append(end)
        end = best[end][1]
    return chain[::-1]


def _sides(
    left: Mapping[str, None], parts: Mapping[str, Part], inside: set[str]
) -> tuple[list[Arc], dict[str, None]]:
    """Ways next to a chain through parts that stand in no row, and what cannot be told so: it gets a row of its own."""
    readers: dict[str, list[str]] = {}
    for part in parts.values():
        for key in part.reads:
            readers.setdefault(key, []).append(part.key)
    arcs: list[Arc] = []
    rest = dict(left)
    for key in left:
        if key not in rest or key not in parts:
            continue
        way = [key]
        while (after := readers.get(way[-1], [])) and len(after) == 1 and after[0] in rest:
            if len(parts[after[0]].reads) != 1:
                break
            way.append(after[0])
        starts = parts[key].reads
        ends = readers.get(way[-1], [])
        if len(starts) == 1 and starts[0] in inside and len(ends) == 1 and ends[0] in inside:
            arcs.append(Arc(starts[0], ends[0], tuple(label(parts[k])[0] for k in way), tuple(way)))
            for k in way:
                del rest[k]
    return arcs, rest


def _block(key: str, record: Show, parts: Mapping[str, Part]) -> Block:
    if key not in parts:
        return Block(key, record["inputs"][key], "input")
    part = parts[key]
    return Block(key, part.output, part.family, tuple(label(part)), part, part.times)


def _wrapped(chain: Sequence[Block], scale: Scale) -> Iterator[Row]:
    """A chain in rows of about the same width."""
    spans = [_span(block, scale) for block in chain]
    rows = max(1, -(-int(sum(spans)) // int(WIDEST)))
    share = sum(spans) / rows
    line: list[Block] = []
    before = ""
    length = 0.0
    for block, span in zip(chain, spans, strict=True):
        if line and length + span / 2 > share:
            yield Row(line, before)
            line, before, length = [], line[-1].key, 0.0
        line.append(block)
        length += span
    yield Row(line, before)


def _span(block: Block, scale: Scale) -> float:
    wide, _, deep = scale.sides(block.chw)
    return max(wide + deep * SLANT[0], width(size_text(block.chw), SIZE)) + arrow_room(block) + 16


def arrow_room(block: Block) -> float:
    """Pixels from a block to the one before it."""
    if block.part is None:
        return 0.0
    return max(ARROW, *(width(text, size) for text, size, _ in arrow_lines(block))) + 2 * PAD


def arrow_lines(block: Block) -> list[tuple[str, float, str]]:
    """Text, size and color of the lines at an arrow."""
    first, *rest = block.arrow
    texts = [(shortened(first, SIZE, TEXT_ROOM), SIZE, "ink")]
    texts += [(shortened(text, SMALL_FONT_SIZE, TEXT_ROOM), SMALL_FONT_SIZE, "muted") for text in rest]
    return texts
