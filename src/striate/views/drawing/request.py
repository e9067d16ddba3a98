"""Options of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """The options of `striate draw`, named as there.

    nodes: the layer of the kinds that draw one, or the node up to which paths and fields are followed (empty: the
    output); several for kinds that draw several; unit: position of a unit along each axis of space (empty: the middle
    one); right: the flow goes to the right; cost: bars of parameters and MACs; numbers: write
    values into cells (None: where they fit); fold: close modules and tell repeats once; compare: padding modes side by
    side; animate: the window slides; speed: steps a second; image: what `Model.predict` takes as one image, or one for
    each input by name, for maps; own_scale: a scale of colors for each filter or map; model: what the network was given
    as, with its weights.
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

    @property
    def several_nodes(self) -> bool:
        """Whether more than one is named."""
        return len(self.nodes) > 1

    def given(self) -> Iterator[str]:
        """The names in OPTIONS of those that ask for something; `numbers=False` asks for nothing."""
        for name in OPTIONS:
            value, default = getattr(self, name), getattr(DEFAULTS, name)
            if (value is not None and value is not False) if default is None else (value != default):
                yield name


@dataclass(frozen=True)
class Option:
    """An option that only some kinds of pictures take; each kind names its own in `OPTIONS` of its file.

    argument, flag: as Python and the command line spell it; refusal: what other pictures lack, after "the picture
    NAME"; why: what the option is about.
    """

    argument: str
    flag: str
    refusal: str
    why: str


OPTIONS: Mapping[str, Option] = {
    "nodes": Option("node", "--node", "takes no node", "some kinds draw or follow one node"),
    "several_nodes": Option("node", "--node", "takes one node", "some kinds show several nodes"),
    "unit": Option("unit", "--unit", "is of all units", "one unit has a receptive field"),
    "right": Option("direction", "--direction", "has one direction", "a graph flows down or to the right"),
    "cost": Option("cost", "--cost", "has no bars", "parameters and MACs stand below the blocks"),
    "numbers": Option("numbers", "--numbers", "has no cells", "numbers are written into cells"),
    "fold": Option(
        "fold", "--no-fold", "folds nothing", "modules and repeats are closed in pictures of all layers"
    ),
    "compare": Option(
        "compare", "--compare", "compares nothing", "padding modes differ in the use of pixels"
    ),
    "animate": Option("animate", "--animate", "does not move", "a window slides over the input of a layer"),
    "speed": Option("speed", "--speed", "does not move", "a window slides over the input of a layer"),
    "image": Option("image", "--image", "shows no image", "maps are computed from an image"),
    "own_scale": Option(
        "own_scale",
        "--own-scale",
        "has no scales",
        "colors of filters and maps have scales",
    ),
}
"""By the attribute of the request that holds it."""
DEFAULTS = Request()
