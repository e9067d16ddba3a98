"""What stands in an SVG file: boxes, lines and texts with their places, as laws on pictures ask for them."""

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from striate.views.drawing.sheet import ASCENT, DESCENT
from striate.views.drawing.svg import HEAD
from striate.views.drawing.widths import width

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
ROW = 40
"""Pixels: areas are compared where they reach the same rows of this height."""
RULE = re.compile(r"\.striate \.([fs])-([\w-]+)\{(fill|stroke):(#[0-9a-f]{6})\}")


@dataclass(frozen=True)
class Area:
    """left, top, right, bottom in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def inside(self, other, by=0.6):
        return (
            other.left - by <= self.left
            and other.top - by <= self.top
            and self.right <= other.right + by
            and self.bottom <= other.bottom + by
        )

    def overlaps(self, other, by=0.6):
        return (
            min(self.right, other.right) - max(self.left, other.left) > by
            and min(self.bottom, other.bottom) - max(self.top, other.top) > by
        )

    @property
    def middle(self):
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Shape:
    """A rectangle or a polygon that is filled."""

    area: Area
    fill: str
    stroke: str
    node: str
    tag: str
    order: int
    round: float = 0.0


@dataclass(frozen=True)
class Text:
    area: Area
    text: str
    fill: str
    node: str
    order: int


@dataclass(frozen=True)
class Line:
    """points: to the tip of its arrowhead."""

    points: tuple
    node: str

    def stretches(self):
        """Areas without a width: its straight pieces."""
        for (x, y), (to, down) in zip(self.points, self.points[1:]):
            yield Area(min(x, to), min(y, down), max(x, to), max(y, down))


@dataclass
class Drawn:
    width: float
    height: float
    shapes: list = field(default_factory=list)
    texts: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    nodes: set = field(default_factory=set)
    description: str = ""
    count: int = 0

    def boxes(self):
        """The outlined shapes of nodes, without the round marks of findings."""
        return [s for s in self.shapes if s.node and s.stroke and s.round < 6]


def local(element):
    return element.tag.rpartition("}")[2]


def lines(path):
    """The corners of each line of a path; a bend counts as the corner that it rounds."""
    found = []
    for command, body in re.findall(r"([MLHVCZ])([^MLHVCZ]*)", path):
        numbers = [float(n) for n in NUMBER.findall(body)]
        if command == "M":
            found.append([])
        elif command in "HV":
            x, y = found[-1][-1]
            numbers = [numbers[0], y] if command == "H" else [x, numbers[0]]
        pairs = list(zip(numbers[::2], numbers[1::2]))
        if (
            command == "C"
        ):  # its corner instead of the bend, whose points of control are two thirds of the way to it
            (x, y), (across, down) = found[-1][-1], pairs[0]
            found[-1][-1] = (x + (across - x) * 1.5, y + (down - y) * 1.5)
            found[-1].append(pairs[-1])
        elif command != "Z":
            found[-1] += pairs
    return found


def around(corners):
    across, down = [x for x, _ in corners], [y for _, y in corners]
    return Area(min(across), min(down), max(across), max(down))


def read(svg, hidden=frozenset()):
    """The parts of an SVG file that Striate wrote, a text or its tree; without those of hidden classes."""
    root = ElementTree.fromstring(svg) if isinstance(svg, str) else svg
    drawn = Drawn(float(root.get("viewBox").split()[2]), float(root.get("viewBox").split()[3]))
    drawn.description = next(e.text or "" for e in root if local(e) == "desc")
    _read(root, "", {}, drawn, hidden)
    return drawn


INHERITED = ("fill", "stroke", "font-size", "font-weight", "text-anchor")


def _read(parent, node, above, drawn, hidden):
    for element in parent:
        if hidden and element.get("class") in hidden:
            continue
        tag = local(element)
        own = above | {key: element.get(key) for key in INHERITED if element.get(key) is not None}
        get = (own | dict(element.attrib)).get
        drawn.count += 1
        if tag == "g":
            name = element.get("data-node", node)
            drawn.nodes.add(name)
            _read(element, name, own, drawn, hidden)
        elif tag == "rect" and get("x") is not None:
            x, y, wide, high = (float(get(key)) for key in ("x", "y", "width", "height"))
            area = Area(x, y, x + wide, y + high)
            drawn.shapes.append(
                Shape(area, get("fill"), get("stroke", ""), node, tag, drawn.count, float(get("rx", 0)))
            )
        elif tag == "path":
            every = lines(get("d"))
            if get("fill") == "none" and not get("d").endswith("Z"):
                drawn.lines += [Line(tuple(corners), node) for corners in every]
            elif get("stroke") is None and all(len(corners) == 3 for corners in every):
                _put_heads(every, drawn)
            else:
                drawn.shapes += [
                    Shape(around(corners), get("fill"), get("stroke", ""), node, tag, drawn.count)
                    for corners in every
                ]
        elif tag == "text":
            size, text = float(get("font-size")), element.text or ""
            wide = width(text, size, get("font-weight") == "bold")
            x, y = float(get("x")), float(get("y"))
            left = x - {"start": 0, "middle": wide / 2, "end": wide}[get("text-anchor", "start")]
            area = Area(left, y - ASCENT * size, left + wide, y + DESCENT * size)
            drawn.texts.append(Text(area, text, get("fill"), node, drawn.count))


def _put_heads(heads, drawn):
    """Each head on the end of its line, of those read last."""
    for k, (tip, *_) in enumerate(heads, len(drawn.lines) - len(heads)):
        before = drawn.lines[k]
        assert abs(tip[0] - before.points[-1][0]) + abs(tip[1] - before.points[-1][1]) < HEAD
        drawn.lines[k] = Line((*before.points[:-1], tip), before.node)


def dark_rules(svg):
    """The colors of the style sheet: class to color."""
    return {f"{what}-{name}": color for what, name, _, color in RULE.findall(svg)}


def meeting(areas, others):
    """Pairs (index, index) of areas that meet, each with one of `others`; told by rows of the canvas."""
    rows = {}
    for k, area in enumerate(areas):
        for row in range(int(area.top // ROW), int(area.bottom // ROW) + 1):
            rows.setdefault(row, []).append(k)
    for j, other in enumerate(others):
        reached = range(int(other.top // ROW), int(other.bottom // ROW) + 1)
        for k in sorted({k for row in reached for k in rows.get(row, ())}):
            one = areas[k]
            across = one.left <= other.right and other.left <= one.right
            if across and one.top <= other.bottom and other.top <= one.bottom:
                yield k, j
