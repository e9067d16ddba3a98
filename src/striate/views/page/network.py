"""What the views of a network know besides striate.show/1: groups of its pictures, and fields that differ by unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.views.drawing.kinds import graph
from striate.views.drawing.parts import MAX_PARTS, failed_facts, failing, label, parts_of
from striate.views.page.comparison import comparison_part
from striate.views.page.pixels import pixels_part

if TYPE_CHECKING:
    from striate.network import Network
    from striate.views.schemas.live_views import LiveNetwork, PicturePart, UnitField
    from striate.views.schemas.networks import Show

KINDS = {"blocks": MAX_PARTS, "graph": graph.MAX_BOXES}
"""Pictures whose groups stand for nodes, and how many groups they have at most."""
MAX_SPANS = 512
"""Units of a period whose fields are listed."""


def network_record(net: Network, show: Show) -> LiveNetwork:
    """show: striate.show/1 of the network."""
    return {
        "parts": {kind: _parts(net, show, most) for kind, most in KINDS.items()},
        "fields": _fields(net),
        "pixels": pixels_part(net),
        "comparison": comparison_part(net, show),
    }


def _parts(net: Network, show: Show, most: int) -> list[PicturePart]:
    places = {node["name"]: k for k, node in enumerate(show["nodes"])}
    members = parts_of(show, most=most)
    members += failing({"failed": failed_facts(net)}, members)
    return [
        {
            "key": part.key,
            "names": part.names,
            "label": ", ".join(label(part)),
            "nodes": [] if part.failed else [places[node["name"]] for node in part.nodes],
            "reads": list(part.reads),
            "times": part.times,
        }
        for part in members
    ]


def _fields(net: Network) -> dict[str, dict[str, dict[str, UnitField]]]:
    """Node, input and axis to the fields that its size, jump and start do not tell: units of a period differ, or
    another axis of the node carries the input's.
    """
    from striate.analysis.fields import fields_by_input

    result: dict[str, dict[str, dict[str, UnitField]]] = {}
    for name, fields in fields_by_input(net).items():
        for node in net.nodes:
            for axis, seen in fields.get(node.outputs[0], {}).items():
                spans = seen.field.spans
                if len(spans) > 1 or seen.axis not in (axis, None):
                    unit: UnitField = {
                        "axis": (seen.axis or "").lower(),
                        "spans": [list(span) for span in spans] if len(spans) <= MAX_SPANS else [],
                        "step": seen.field.step,
                    }
                    result.setdefault(node.name, {}).setdefault(name, {})[axis.lower()] = unit
    return result
