"""What the page needs for the experiment by hand: the screen, and where an electrode can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.probe.by_hand import amplitudes, places, target, targets
from striate.probe.electrode import Light

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.formats.loaded import Loaded
    from striate.network import Network
    from striate.probe.by_hand import Target
    from striate.views.schemas.probe import HandExperiment, HandNode, HandScreen


def experiment(net: Loaded) -> HandExperiment:
    """The screen of a network, and every node that can be probed."""
    model = Model(with_weights(net), engine="numpy")
    return {"screen": screen(model), "nodes": [node_record(model.net, one) for one in targets(model.net)]}


def screen(model: Model) -> HandScreen:
    """The input of a model as a screen."""
    light, spec = Light.of(model, 1.0), model.net.input
    return {
        "height": spec.size("H"),
        "width": spec.size("W"),
        "gray": light.gray.tolist(),
        "colors": amplitudes(light),
    }


def node_record(net: Network, node: str | Target, also: Sequence[tuple[int, int]] = ()) -> HandNode:
    """A node, the named places, and others. Raises as `probe` for a node or a place that cannot be probed."""
    one = target(net, node) if isinstance(node, str) else node
    return {
        "node": one.node,
        "value": one.value,
        "units": one.units,
        "map": [*one.map],
        "places": {
            name: {
                "position": [place.row, place.column],
                "field": {"h": [*place.screen.rows], "w": [*place.screen.columns]},
                "inside": place.inside,
                "surround": place.surround,
            }
            for name, place in places(net, one.value, also).items()
        },
    }
