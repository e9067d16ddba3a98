"""A picture: its record, its SVG, and the file that it is saved as."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate import elsewhere
from striate.diagnostics import OpError, UsageError, suggest
from striate.files import write_aside
from striate.network import NetworkSource, as_network
from striate.signatures import ExplainMisuse, explain_misuse
from striate.views.drawing.kinds import RESULTS
from striate.views.drawing.motion import last
from striate.views.drawing.request import Request
from striate.views.drawing.scene import fitting, scene
from striate.views.drawing.svg import known_word, svg

if TYPE_CHECKING:
    from striate.train.evaluation import Evaluation
    from striate.train.history import History
    from striate.views.schemas.scene import DiffScene, ResultScene, Scene

FORMS = (".svg", ".png", ".pdf", ".tex", ".gif", ".webp", ".json")
INSTEAD = {
    **dict.fromkeys((".jpg", ".jpeg", ".bmp", ".tif", ".tiff"), ".png"),
    **dict.fromkeys((".eps", ".ps"), ".pdf"),
    **dict.fromkeys((".dot", ".gv", ".mmd", ".mermaid", ".graphml", ".gml"), ".json"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".webm"), ".gif"),
}
"""Endings of other pictures -> ours; a .json file has the nodes and edges of a graph."""


class Picture(elsewhere.Teaching, metaclass=ExplainMisuse):
    """A drawing of a network or of results; a notebook shows it.

    scene: its record: striate.scene/1, which `draw` makes, or striate.diff-scene/1; svg: the text of an SVG file.
    theme: "auto", "light" or "dark"; scale: of the size in pixels at which the picture is shown. Raises nothing.

    >>> import striate as st
    >>> st.draw("7x7x1 -> conv 3x3").svg[:42]
    '<svg xmlns="http://www.w3.org/2000/svg" cl'
    """

    def __init__(
        self, scene: Scene | DiffScene | ResultScene, theme: str = "auto", scale: float = 1.0
    ) -> None:
        self.scene, self.theme, self.scale = scene, theme, scale

    @functools.cached_property
    def svg(self) -> str:
        """The text of an SVG file."""
        return svg(self.scene["drawing"], self.theme, self.scale)

    @explain_misuse
    def save(self, path: str | Path) -> None:
        """Write the picture in the format of its ending: .svg, .png, .gif, .webp, .pdf, .tex, or .json for the record.

        The file is written aside and renamed. Raises OpError for another ending, MissingExtraError for images and PDF
        without the extra `draw`, SourceError for a path that cannot be written.
        """
        write_aside(path, self.content(Path(path).suffix, str(path)))

    @explain_misuse
    def content(self, suffix: str, where: str = "") -> bytes:
        """The bytes of a file of the picture.

        suffix: its ending, ".svg" and so on; where: its name, for errors. Raises as `save` does.
        """
        drawing, suffix = last(self.scene["drawing"]), suffix.lower()
        if suffix == ".svg":
            return self.svg.encode()
        if suffix == ".json":
            from striate.jsontext import json_text

            return json_text(self.scene).encode()
        if suffix == ".png":
            from striate.views.drawing.raster import png

            return png(drawing, self.theme, self.scale)
        if suffix in (".gif", ".webp"):
            from striate.views.drawing.animation import animation

            return animation(self.scene["drawing"], suffix, self.theme, self.scale)
        if suffix == ".pdf":
            from striate.views.drawing.pdf import pdf

            return pdf(drawing, self.theme, self.scale)
        if suffix == ".tex":
            from striate.views.drawing.tikz import tikz

            return tikz(drawing, self.theme, self.scale).encode()
        near = INSTEAD.get(suffix) or suggest(suffix, FORMS) or ".svg"
        page = "; a page: striate report" if suffix in (".html", ".htm") else ""
        raise OpError(
            f"pictures are not written as {suffix or 'a file without an ending'}",
            where=where,
            why=f"the ending of the name says how; there are {', '.join(FORMS)}",
            fix=f"write {Path(where if Path(where).name else 'picture').with_suffix(near)}{page}",
        )

    def __repr__(self) -> str:
        drawing = self.scene["drawing"]
        return f"<Picture of {drawing['title']}: {drawing['kind']}, {drawing['width']} x {drawing['height']} pixels>"

    def _repr_svg_(self) -> str:
        return self.svg


@explain_misuse
def draw(
    net: NetworkSource | History | Evaluation | Sequence[Any],
    kind: str = "",
    *,
    node: str | Sequence[str] = "",
    unit: tuple[int, ...] = (),
    direction: str = "",
    cost: bool = False,
    numbers: bool | None = None,
    fold: bool = True,
    compare: bool = False,
    animate: bool = False,
    speed: float = 2.0,
    image: Any = None,
    own_scale: bool = False,
    theme: str = "auto",
    scale: float = 1.0,
) -> Picture:
    """A picture of a network, with the findings of the default rules, or of the results of training.

    Args:
        net: a network, a model, or a text that names one. For the kind "training" a history that `fit` has returned,
            a run folder, or a list of these; for "confusion" and "calibration" what `evaluate` has returned, a run
            folder, or a file of `striate eval --json`.
        kind: "blocks", "graph", …; "" takes blocks, graph for a network with branches (and no cost), maps for an
            image, training for a history and confusion for an evaluation.
        node: the layer to draw, or the node up to which paths and fields are followed; maps take several, in a list.
        unit: index of a unit along each axis of space, from 0; () is the middle one.
        direction: "down" or "right", the flow of a graph; "" is down.
        cost: bars of parameters and MACs.
        numbers: values written into cells; None writes counts where they fit, and none into a layer.
        fold: closes modules and tells repeats once.
        compare: padding modes side by side.
        animate: the window of a layer slides, in a loop; files that cannot move hold the last step.
        speed: steps a second.
        image: one image, as `Model.predict` takes it, for maps; of several inputs one for each, by name.
        own_scale: each filter or map has its own scale of colors, not that of its layer.
        theme: "light", "dark", or "auto" for what the reader's system prefers.
        scale: of the size in pixels at which the picture is shown.

    Raises UnknownNameError for an unknown kind or node, OpError for an option that means nothing, SourceError and
    FormatError for run folders that lack files or hold damaged ones.

    >>> import striate as st
    >>> st.draw("lenet5")
    <Picture of lenet5: blocks, ... x ... pixels>
    """
    from striate.checks import check

    known_word("theme", theme)
    known_word("direction", direction, ("", "down", "right"))
    if not 0 < scale <= 100:
        raise OpError(f"scale is {scale}", why="it is above 0 and at most 100", fix="write 1")
    if not 0 < speed <= 60:
        raise OpError(f"speed is {speed}", why="it is above 0 and at most 60 steps a second", fix="write 2")
    first = next(iter(net), None) if isinstance(net, list | tuple) else net
    drawn_as = getattr(first, "drawn_as", "")  # of results, which are no networks
    kind = kind or drawn_as
    nodes = tuple(filter(None, (node,) if isinstance(node, str | bytes) else node))
    if not all(isinstance(name, str) for name in nodes):
        raise UsageError(
            f"node is {node!r}",
            where="st.draw(…, node=…)",
            why="it is the name of a layer, or a list of names",
            fix='write node="conv1"',
        )
    request = Request(
        nodes=nodes,
        unit=tuple(unit),
        right=direction == "right",
        cost=cost,
        numbers=numbers,
        fold=fold,
        compare=compare,
        animate=animate,
        speed=speed,
        image=image,
        own_scale=own_scale,
    )
    if kind in RESULTS:
        from striate.views.drawing.results import scene_of

        fitting(kind, request)
        return Picture(scene_of(kind, net, request), theme, scale)
    if drawn_as or first is not net:
        raise OpError(
            f"the picture {kind or 'blocks'} shows a network",
            where=f"striate draw --kind {kind or 'blocks'}",
            why=f"it was given {'several' if first is not net else f'the result {type(net).__name__}'}",
            fix=f"write the kind {drawn_as or 'training'}, or give one network",
        )
    network = as_network(net)
    held = getattr(net, "net", None) is network  # a model, which has weights
    request = dataclasses.replace(request, model=net if held else network)
    return Picture(scene(network, kind, request, check(network).findings), theme, scale)
