"""Options of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """The options of `striate draw`, named as there.

    node: the layer of the kinds that draw one, or the node up to which paths and fields are followed ("": the output);
    nodes: all of them, where a kind draws several (the first is `node`); unit: position of a unit along each axis of
    space (empty: the middle one); right: the flow goes to the right; cost: bars of parameters and MACs; numbers: write
    values into cells (None: where they fit); fold: close modules and tell repeats once; compare: padding modes side by
    side; animate: the window slides; speed: steps a second; image: what `Model.predict` takes as one image, for maps;
    own_scale: a scale of colors for each filter or map; model: what the network was given as, with its weights.
    """

    node: str = ""
    unit: tuple[int, ...] = ()
    right: bool = False
    cost: bool = False
    numbers: bool | None = None
    fold: bool = True
    compare: bool = False
    animate: bool = False
    speed: float = 2.0
    nodes: tuple[str, ...] = ()
    image: Any = None
    own_scale: bool = False
    model: Any = None
