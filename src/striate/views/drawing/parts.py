"""Parts of a network that are one block or box in a picture: a node with the functions after it, or a whole module.

Functions of single numbers (batch norm, relu, dropout) belong to the node whose output they change. Modules, which
share the beginning of dotted names, become one part if a picture would have too many. Repeats of a part are drawn once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from striate.views.drawing.sheet import SIZE
from striate.views.drawing.widths import lines
from striate.views.text.number_format import per_axis, shape

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.networks import Show, ShownNode
    from striate.views.schemas.scene import Failed

MAX_PARTS = 28
"""Modules are opened level by level while a picture has at most this many parts."""
FAILED_ROOM = 140.0
"""Pixels for a line of a failing layer's text."""
MAX_LABEL_KINDS = 4
"""Kinds of layers that the label of a closed module tells."""


@dataclasses.dataclass(frozen=True)
class Part:
    """nodes: in order; reads: keys of the parts and names of the inputs that it reads; times: how often in a row."""

    key: str
    nodes: tuple[ShownNode, ...]
    reads: tuple[str, ...]
    scope: str = ""
    times: int = 1
    last_key: str = ""
    failed: bool = False

    @property
    def head(self) -> ShownNode:
        """The node that the picture names."""
        return self.nodes[0]

    @property
    def output(self) -> list[int]:
        """Shape of what leaves it, channels first."""
        return self.nodes[-1]["output"]

    @property
    def params(self) -> int:
        return sum(node["params"] for node in self.nodes)

    @property
    def macs(self) -> int:
        return sum(node["macs"] for node in self.nodes)

    @property
    def family(self) -> str:
        """The color: input, conv, pool, dense, module, merge, other."""
        if self.failed:
            return "error"
        if self.scope:
            return "module"
        return family(self.head)

    @property
    def names(self) -> str:
        """`layer1.1`, or `layer1.1-2` for repeats."""
        first = self.scope or self.key
        if self.times == 1:
            return first
        inside, _, leaf = self.last_key.rpartition(".")
        return f"{first}-{leaf}" if first.rpartition(".")[0] == inside else f"{first} … {self.last_key}"


def failing(facts: Mapping[str, Any], members: Sequence[Part]) -> list[Part]:
    """A part for each node without an output, which reads from the parts before it. facts: `failed` of a scene."""
    owner = {value: part.key for part in members for node in part.nodes for value in _values(node)}
    return [
        Part(
            node["name"],
            (_without_output(node),),
            tuple(dict.fromkeys(owner.get(value, value) for value in node["inputs"])),
            failed=True,
        )
        for node in facts["failed"]
    ]


def _without_output(node: Mapping[str, Any]) -> ShownNode:
    return {
        "name": node["name"], "op": node["text"].split()[0], "text": node["text"], "inputs": node["inputs"],
        "output": [], "outputs": [], "sizes": [], "filter": None, "params": 0, "macs": 0, "unknown": [], "shares": "",
        "fixed": [], "frozen": [], "window": {}, "receptive_field": {}, "aligned": True, "activation_bytes": 0,
    }  # fmt: skip


def failed_facts(net: Network) -> list[Failed]:
    """The nodes without an output whose inputs are known."""
    lost = {problem.node for problem in net.inference.problems}
    return [
        {"name": node.name, "text": node.op.phrase(2), "inputs": list(node.inputs)}
        for node in net.nodes
        if node.name in lost
    ]


def family(node: ShownNode) -> str:
    """What a node is, for its color."""
    if node["filter"] is not None:
        return "conv"
    if node["window"]:
        return "pool"
    if len(node["inputs"]) > 1:
        return "merge"
    if (node["params"] or node["shares"]) and node["macs"]:
        return "dense"
    return "other"


def parts_of(
    record: Show, *, most: int = MAX_PARTS, fold: bool = True, depth: int | None = None
) -> list[Part]:
    """The parts of a network in order.

    record: striate.show/1; most: see MAX_PARTS; fold: close modules, tell repeats once; depth: levels of open modules,
    in place of as many as `most` allows.
    """
    steps = _steps(record)
    if not fold:
        return _join_steps(record, steps, dict.fromkeys(steps, ""))
    if depth is None:
        depth = depth_of(record, most)
    return _fold_repeats(_join_steps(record, steps, _closed_modules(steps, depth)))


def depth_of(record: Show, most: int = MAX_PARTS) -> int:
    """How many levels of modules are open in a picture of at most `most` parts."""
    steps = _steps(record)
    count = len(_fold_repeats(_join_steps(record, steps, _closed_modules(steps, 0))))
    deepest = max((name.count(".") for name in steps), default=0)
    for depth in range(1, deepest + 1):
        finer = len(_fold_repeats(_join_steps(record, steps, _closed_modules(steps, depth))))
        if finer > most and count >= MAX_LABEL_KINDS:
            return depth - 1
        count = finer
    return deepest


# -- nodes that stand together ----------------------------------------------------------------------------------


def _steps(record: Show) -> dict[str, list[ShownNode]]:
    """First node to all nodes of a step: those that change each number of its output by itself."""
    readers = Counter(value for node in record["nodes"] for value in node["inputs"])
    shapes = {name: list(sizes) for name, sizes in record["inputs"].items()}
    head: dict[str, str] = {}
    steps: dict[str, list[ShownNode]] = {}
    for node in record["nodes"]:
        source = node["inputs"][0] if len(node["inputs"]) == 1 else ""
        at = head.get(source, "")
        if at and readers[source] == 1 and _follows(node, shapes[source]):
            steps[at].append(node)
            head[node["name"]] = at
        else:
            steps[node["name"]] = [node]
            head[node["name"]] = node["name"]
        shapes[node["name"]] = node["output"]
    return steps


def _follows(node: ShownNode, before: list[int]) -> bool:
    """Whether a node belongs to the one before: no window, no weights across channels, the same numbers out as in."""
    if node["window"] or node["filter"] is not None or len(node["outputs"]) > 1 or len(node["inputs"]) > 1:
        return False
    if family(node) == "dense":
        return False
    flat = (
        len(node["output"]) == 1 and all(size == 1 for size in before[1:]) and before[0] == node["output"][0]
    )
    return node["output"] == before or flat


def _closed_modules(steps: dict[str, list[ShownNode]], depth: int) -> dict[str, str]:
    """Step to the module that it stands in, closed; empty for a step that stands by itself. depth: of open modules.

    A module is closed only where its steps follow each other and nothing outside reads any but the last of them.
    """
    at = {value: name for name, nodes in steps.items() for node in nodes for value in _values(node)}
    readers: dict[str, set[str]] = {}
    for name, nodes in steps.items():
        for value in nodes[0]["inputs"]:
            readers.setdefault(at.get(value, ""), set()).add(name)
    scopes = {name: ".".join(name.split(".")[: depth + 1]) for name in steps}
    runs = [(scope, [n for n, _ in run]) for scope, run in groupby(scopes.items(), key=lambda item: item[1])]
    often = Counter(scope for scope, _ in runs)
    closed: dict[str, str] = {}
    for scope, names in runs:
        inside = set(names)
        closes = (
            len(names) > 1 and often[scope] == 1 and all(readers.get(n, set()) <= inside for n in names[:-1])
        )
        closed |= dict.fromkeys(names, scope if closes else "")
    return closed


def _join_steps(record: Show, steps: dict[str, list[ShownNode]], closed: dict[str, str]) -> list[Part]:
    """The parts: steps, and closed modules of several."""
    owner: dict[str, str] = {}
    members: dict[str, list[ShownNode]] = {}
    for name, nodes in steps.items():
        key = closed[name] or name
        members.setdefault(key, []).extend(nodes)
        owner |= {value: key for node in nodes for value in _values(node)}
    parts = []
    for key, nodes in members.items():
        reads = (owner.get(value, value) for node in nodes for value in node["inputs"])
        scope = key if closed.get(nodes[0]["name"]) else ""
        parts.append(Part(key, tuple(nodes), tuple(dict.fromkeys(r for r in reads if r != key)), scope))
    return parts


def _values(node: ShownNode) -> list[str]:
    """Names of what a node puts out."""
    many = len(node["outputs"])
    return [node["name"]] if many < 2 else [f"{node['name']}:{k}" for k in range(many)]


# -- repeats ------------------------------------------------------------------------------------------------------


def _fold_repeats(parts: Sequence[Part]) -> list[Part]:
    """Parts that do the same one after the other, told once."""
    readers = Counter(key for part in parts for key in part.reads)
    result: list[Part] = []
    owner: dict[str, str] = {}
    for part in parts:
        part = dataclasses.replace(part, reads=tuple(owner.get(key, key) for key in part.reads))
        before = result[-1] if result else None
        source = before.last_key or before.key if before else ""
        if before and part.reads == (before.key,) and readers[source] == 1 and _kind(part) == _kind(before):
            result[-1] = dataclasses.replace(
                before,
                nodes=before.nodes + part.nodes,
                times=before.times + 1,
                last_key=part.scope or part.key,
            )
            owner[part.key] = before.key
            readers[before.last_key or before.key] = readers[part.key]
            continue
        result.append(part)
    return result


def _kind(part: Part) -> tuple[object, ...]:
    """What a part does: its layers and the size of its output. Repeats of it count once."""
    count = len(part.nodes) // part.times
    nodes = part.nodes[:count]
    inside = {value for node in nodes for value in _values(node)}
    near = [tuple("inside" if value in inside else "outside" for value in node["inputs"]) for node in nodes]
    return (
        bool(part.scope),
        tuple((node["text"], str(node["shares"])) for node in nodes),
        tuple(near),
        tuple(map(tuple, (n["output"] for n in nodes))),
    )


# -- words ----------------------------------------------------------------------------------------------------------


def label(part: Part) -> list[str]:
    """What a part does, in lines: `conv 5x5`, `stride 2, padding 2`, `batchnorm, relu`."""
    nodes = part.nodes[: len(part.nodes) // part.times]
    if part.failed:
        return lines(part.head["text"], SIZE, FAILED_ROOM)
    if part.scope:
        return [part.scope, *_contents(nodes), *_owners(nodes)]
    head, *rest = nodes
    texts = [_kind_name(head), *filter(None, [_steps_of(head)])]
    followers = [node["op"] for node in rest if node["text"] != "flatten"]
    return texts + ([", ".join(followers)] if followers else []) + _owners(nodes)


def _owners(nodes: Sequence[ShownNode]) -> list[str]:
    """Whose parameters the nodes use: `weights of conv1`."""
    names: list[str] = []
    for node in nodes:
        shares = node["shares"]
        names += [shares] if isinstance(shares, str) else shares.values()
    names = list(dict.fromkeys(filter(None, names)))
    if len(names) > 1:
        scopes = {name.rpartition(".")[0] for name in names}
        names = list(scopes) if len(scopes) == 1 and scopes != {""} else [f"{len(names)} layers"]
    return [f"weights of {name}" for name in names]


def _kind_name(node: ShownNode) -> str:
    """`conv 5x5`, `maxpool 2x2`, `linear`, `add`."""
    if node["window"]:
        return f"{node['op']} {per_axis_always([w['kernel'] for w in node['window'].values()])}"
    return node["op"]


def per_axis_always(values: Sequence[object]) -> str:
    """3x3, 7x1, 3."""
    return "x".join(map(str, values))


def _steps_of(node: ShownNode) -> str:
    """Stride, padding and dilation, where they are not 1, 0 and 1."""
    windows = list(node["window"].values())
    if not windows:
        return ""
    texts = []
    strides = [w["stride"] for w in windows]
    if set(strides) != {1}:
        texts.append(f"stride {per_axis(strides)}")
    pads = [w["pad"] for w in windows]
    if any(before or after for before, after in pads):
        texts.append(f"padding {per_axis([b if b == a else f'{b}+{a}' for b, a in pads])}")
    dilations = [w["dilation"] for w in windows]
    if set(dilations) != {1}:
        texts.append(f"dilation {per_axis(dilations)}")
    return ", ".join(texts)


def _contents(nodes: Sequence[ShownNode]) -> list[str]:
    """The layers of a closed module: how many of each kind that has weights, a window or several inputs."""
    kinds = Counter(
        _kind_name(node)
        for node in nodes
        if node["filter"] is not None or family(node) in ("pool", "merge", "dense")
    )
    if not kinds:
        kinds = Counter(node["op"] for node in nodes)
    texts = [f"{number} {kind}" if number > 1 else kind for kind, number in kinds.items()]
    if len(texts) > MAX_LABEL_KINDS:
        texts = [*texts[: MAX_LABEL_KINDS - 1], f"{len(texts) - MAX_LABEL_KINDS + 1} more kinds"]
    return texts


def size_text(chw: Sequence[int]) -> str:
    """`28 x 28 x 6`: height, width, channels; what has no shape has no output."""
    if not chw:
        return "no output"
    return shape(chw).replace("x", " x ")


def described(parts: Sequence[Part]) -> Iterator[str]:
    """The picture in words: each part and the size of what leaves it."""
    for part in parts:
        repeated = f" ({part.times} times)" if part.times > 1 else ""
        yield f"{part.names}: {' '.join(label(part)[:1])}{repeated}, {size_text(part.output)}"
