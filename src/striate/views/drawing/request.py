"""Options of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """The options of `striate draw`, named as there.

    nodes: the layer of the kinds that draw one, or the node up to which paths and fields are followed (empty: the
    output); several for kinds that draw several; unit: position of a unit along each axis of space (empty: the middle
    one); right: the flow goes to the right; cost: bars of parameters and MACs; numbers: write
    values into cells (None: where they fit); fold: close modules and tell repeats once; compare: padding modes side by
    side; animate: the window slides; speed: steps a second; image: what `Model.predict` takes as one image, for maps;
    own_scale: a scale of colors for each filter or map; model: what the network was given as, with its weights.
    """

    nodes: tuple[str, ...] = ()
    unit: tuple[int, ...] = ()
    right: bool = False
    cost: bool = False
    numbers: bool | None = None
    fold: bool = True
    compare: bool = False
    animate: bool = False
    speed: float = 2.0
    image: Any = None
    own_scale: bool = False
    model: Any = None

    @property
    def node(self) -> str:
        """The first of the nodes, for kinds that draw one; empty if none is named."""
        return self.nodes[0] if self.nodes else ""
