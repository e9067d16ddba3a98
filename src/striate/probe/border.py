"""The border experiment: the same units at the center, at an edge and in a corner, under each padding mode.

Zero padding is a artificial edge, and units at a border respond to it; other modes continue the image in other ways.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from striate.analysis.fields import ancestors
from striate.model import Model
from striate.network import Network
from striate.op import Trait
from striate.probe.electrode import PLACES
from striate.probe.experiment import record
from striate.probe.recording import Recording

MODES = ("zeros", "reflect", "replicate", "circular")


@dataclasses.dataclass(frozen=True)
class Border:
    """Recordings by padding mode and place.

    padded: whether the node or a convolution in front of it is padded; otherwise all modes are alike, and one is
    recorded.
    """

    network: str
    node: str
    padded: bool
    recordings: dict[str, dict[str, Recording]]

    def to_dict(self, unit: int | None = None) -> dict[str, Any]:
        """Schema striate.probe-border/1. unit: the only one to write. Raises UnknownNameError for a wrong one."""
        modes = [
            {"mode": mode, "places": {name: one.to_dict(unit) for name, one in places.items()}}
            for mode, places in self.recordings.items()
        ]
        return {
            "schema": "striate.probe-border/1", "network": self.network, "node": self.node, "padded": self.padded,
            "modes": modes,
        }  # fmt: skip


def border(
    model: Model, node: str, *, seed: int = 0, trained: bool | None = None,
    watch: Callable[[int, int], object] | None = None,
) -> Border:  # fmt: skip
    """Record from a node at three places under each padding mode. Arguments and errors: as `experiment.record`."""
    net = model.net
    names = [node, *ancestors(net, net.node(node).outputs[0])]
    padded = any(_is_padded(net, name) for name in names)
    modes = MODES if padded else MODES[:1]
    recordings: dict[str, dict[str, Recording]] = {}
    shown = 0

    def count(images: int, total: int) -> None:
        if watch:
            watch(shown + images, max(total * len(modes) * len(PLACES), shown + images))

    for mode in modes:
        changed = _with_mode(net, mode) if padded else net
        variant = Model(changed, weights=dict(model.weights), engine=model.engine)
        variant.transform = model.transform
        recordings[mode] = {}
        for place in PLACES:
            recording = record(variant, node, at=place, seed=seed, trained=trained, watch=count)
            recordings[mode][place] = recording
            shown += recording.shown
    return Border(net.name, node, padded, recordings)


def _is_padded(net: Network, name: str) -> bool:
    """Whether a node is a convolution with padding."""
    declaration = net.inference.declarations.get(name)
    if declaration is None or Trait.CONVOLUTION not in net.node(name).op.traits:
        return False
    return any(window.before or window.after for window in declaration.windows.values())


def _with_mode(net: Network, mode: str) -> Network:
    """The network with a padding mode in all convolutions that have one."""
    nodes = tuple(
        dataclasses.replace(node, op=dataclasses.replace(node.op, mode=mode))  # type: ignore[call-arg]
        if Trait.CONVOLUTION in node.op.traits and hasattr(node.op, "mode")
        else node
        for node in net.nodes
    )
    return dataclasses.replace(net, nodes=nodes)
