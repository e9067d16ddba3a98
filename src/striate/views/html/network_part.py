"""What the page says of a network: records of the other views, and the pictures drawn from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from striate.diagnostics import plural
from striate.views.drawing.kinds import KINDS
from striate.views.drawing.request import Request
from striate.views.drawing.scene import branched, scene
from striate.views.html.figure import Figure, Missing, told
from striate.views.json_records import checked_record, images, sizes_by_input
from striate.views.text.number_format import bound, count, shape, size, total

if TYPE_CHECKING:
    from striate.analysis import Analysis
    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.views.schemas.networks import Finding, Show, ShownNode, SizesAxis

MAX_DRAWN_LAYERS = 3
"""Layers with an error that are drawn one by one."""
SEVERITIES = {"error": "Errors", "warning": "Warnings", "info": "Remarks"}
AXES = "ldhw"


@dataclasses.dataclass(frozen=True)
class InputSizes:
    """The sizes of one input that fit: its name, its own size, the solution along each axis, those of all axes."""

    name: str
    input: Sequence[int]
    axes: Mapping[str, SizesAxis]
    nearest: Sequence[Any]
    near: int


@dataclasses.dataclass(frozen=True)
class NetworkPart:
    """Records and pictures of a network.

    network: itself; show: striate.show/1; drawings: the whole of it; layers: those that do not fit;
    sizes, pixels, field: what there is, or why it is missing, as a picture is that would be too large.
    """

    network: Network
    show: Show
    drawings: Sequence[Figure | Missing]
    layers: Sequence[Figure]
    sizes: Sequence[InputSizes] | Missing
    pixels: Figure | Missing
    field: Figure | Missing

    @property
    def findings(self) -> Iterator[tuple[str, str, list[tuple[str, str, list[Finding]]]]]:
        """Severity and its heading, then code, name and findings of each rule; errors first."""
        every = [*self.show["problems"], *self.show["findings"]]
        for severity, title in SEVERITIES.items():
            group = sorted((f for f in every if f["severity"] == severity), key=lambda f: f["code"])
            rules = [(code, list(run)) for code, run in groupby(group, key=lambda f: f["code"])]
            if rules:
                yield severity, title, [(code, run[0]["name"], run) for code, run in rules]

    @property
    def nodes(self) -> int:
        """How many there are, those without an output counted."""
        return sum(len(self.show[what]) for what in ("nodes", "problems", "unreached"))

    @property
    def summary(self) -> Iterator[tuple[str, str]]:
        """What the network is, in rows: label and text."""
        show = self.show
        for name, sizes in show["inputs"].items():
            yield f"input {name}" if len(show["inputs"]) > 1 else "input", shape(sizes)
        yield "outputs", ", ".join(show["outputs"])
        yield "nodes", count(self.nodes)
        yield "parameters", total(show, "params")
        yield "MACs", f"{total(show, 'macs')} ({show['convention']})"
        totals, least = show["totals"], bound(show, "memory")
        yield "activations", f"{least}{size(totals['activation_bytes'])} for one image"
        yield (
            "peak memory",
            f"{least}{size(totals['peak_bytes'])}, in training {size(totals['training_peak_bytes'])}",
        )
        number = {s: sum(len(group) for *_, group in rules) for s, _, rules in self.findings}
        words = {"error": "error", "warning": "warning", "info": "remark"}
        yield "findings", ", ".join(plural(n, words[s]) for s, n in number.items()) or "none"

    @property
    def fields(self) -> Iterator[tuple[str, list[tuple[ShownNode, Mapping[str, Any]]]]]:
        """Name of an input, then each node with its receptive field on it by axis."""
        several = len(self.show["inputs"]) > 1
        for name in self.show["inputs"]:
            rows = [
                (node, cast("Mapping[str, Any]", node.get("receptive_fields", {}).get(name)
                            if several else node["receptive_field"]))
                for node in self.show["nodes"]
            ]  # fmt: skip
            yield name, [(node, field) for node, field in rows if field]


def network_part(
    net: Network, findings: Sequence[Diagnostic], draw: str = "striate draw MODEL"
) -> NetworkPart:
    """Gather it.

    findings: those of a check, run by the caller with its own settings; draw: the command that draws the network.
    """
    from striate.analysis import analyze

    facts = analyze(net)
    show = checked_record(facts, findings)
    return NetworkPart(
        net,
        show,
        whole_network(facts, findings, draw),
        list(_layers(facts, [*show["problems"], *show["findings"]], findings)),
        told(lambda: _sizes(net, show)),
        told(lambda: _small(_drawn(facts, "pixels"), draw)),
        told(lambda: _small(_drawn(facts, "field"), draw)),
    )


def whole_network(facts: Analysis, findings: Sequence[Diagnostic], draw: str) -> list[Figure | Missing]:
    """The pictures of the whole of it. draw: the command that draws the network."""
    return [_small(_drawn(facts, kind, findings), draw) for kind in whole_kinds(facts.network)]


def whole_kinds(net: Network) -> list[str]:
    """The kinds of pictures that show the whole of a network."""
    return ["blocks", *(["graph"] if branched(net) else [])]


def figure(
    net: Network,
    kind: str,
    request: Request,
    findings: Sequence[Diagnostic] = (),
    facts: Analysis | None = None,
) -> Figure:
    """A picture with the caption of its kind. facts: the analysis of the network, where there is one."""
    record = scene(net, kind, request, findings, facts)
    return Figure(kind, record, f"{KINDS[kind][:1].upper()}{KINDS[kind][1:]}.")


def _small(drawn: Figure, draw: str) -> Figure | Missing:
    return drawn.small(f"{draw} --kind {drawn.key} -o {drawn.key}.svg")


def _drawn(facts: Analysis, kind: str, findings: Sequence[Diagnostic] = (), node: str = "") -> Figure:
    """A picture; without findings where those of the whole network would stand under it again."""
    return figure(facts.network, kind, Request((node,) if node else ()), findings, facts)


def _layers(facts: Analysis, problems: Sequence[Finding], findings: Sequence[Diagnostic]) -> Iterator[Figure]:
    """The first layers with an error, where they have a window."""
    names = dict.fromkeys(f["node"] for f in problems if f["severity"] == "error" and f["node"])
    number = 0
    for name in names:
        layer = told(lambda name=name: _drawn(facts, "layer", findings, name))  # type: ignore[misc]
        if isinstance(layer, Figure) and number < MAX_DRAWN_LAYERS:
            number += 1
            parts = KINDS["layer"].partition(": ")[2]
            yield dataclasses.replace(layer, key=f"layer-{number}", caption=f"{name}: {parts}.")


def _sizes(net: Network, show: Show) -> list[InputSizes]:
    """Of each input with height and width, near its own size. Raises OpError if there is no such input."""
    images(net)  # raises
    record: Mapping[str, Any] = sizes_by_input(net)
    return [
        InputSizes(
            name,
            one["input"],
            {axis: one[axis] for axis in AXES if axis in one},
            one["nearest"],
            record["near"],
        )
        for name, one in record.get("inputs", {next(iter(show["inputs"])): record}).items()
    ]
