"""The live page in a cell of a notebook.

The page is a frame that holds everything: it needs neither a connection to Python nor an extension of the notebook, so
it also works in a saved notebook, in what nbconvert makes of it, and offline.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from striate import elsewhere, hooks
from striate.diagnostics import OpError
from striate.network import NetworkSource, as_network
from striate.signatures import ExplainMisuse, explain_misuse

if TYPE_CHECKING:
    from striate.views.page.model import ModelParts
    from striate.views.schemas.live import LivePage

HEIGHTS = (120, 10_000)
"""Least and largest height of a frame in pixels."""


class View(elsewhere.Teaching, metaclass=ExplainMisuse):
    """A network as a notebook shows it: the static display, or the live page in a frame.

    subject: what is shown; record: `striate.page/1`, None for the static display; route: the view that the page opens
    with; height: of the frame, pixels. Raises nothing.

    >>> import striate as st
    >>> st.view("7x7x1 -> conv 3x3 /3", "layer")
    <View of net: layer, interactive>
    """

    def __init__(self, subject: Any, record: LivePage | None, route: str = "", height: int = 640) -> None:
        self.subject, self.record, self.route, self.height = subject, record, route, height

    def __repr__(self) -> str:
        what = f"{self.route or 'report'}, interactive" if self.record else "static"
        return f"<View of {getattr(self.subject, 'name', self.subject)}: {what}>"

    def _repr_html_(self) -> str:
        if self.record is None:
            return str(hooks.ask("html", self.subject))
        from striate.views.page.frame import frame

        # The frame may run its own script, and has no access to the notebook.
        return (
            f'<iframe sandbox="allow-scripts" title="Striate: {escape(self.record["show"]["name"], quote=True)}" '
            f'style="width: 100%; height: {self.height}px; border: 0; resize: vertical; overflow: auto" '
            f'srcdoc="{escape(frame(self.record, self.route), quote=True)}"></iframe>'
        )


@explain_misuse
def view(
    net: NetworkSource, route: str | None = None, *, interactive: bool | None = None, height: int = 640
) -> View:
    """Show a network or a model in a notebook.

    Args:
        net: a network, a model, or a text that names one.
        route: the view that opens: "network" [default], "layer?n=7&f=3&s=3", "pixels", … (docs/views.md).
        interactive: the live page in a frame, which reacts to mouse, keyboard and touch; otherwise the static
            display [live if a route is given].
        height: of the frame, in pixels.

    Raises OpError for a height that no frame has, and what reading the network raises.

    >>> import striate as st
    >>> st.view("lenet5")
    <View of lenet5: static>
    """
    low, high = HEIGHTS
    if not low <= height <= high:
        raise OpError(f"height is {height}", why=f"it is {low} to {high} pixels", fix="write height=640")
    if not (route is not None if interactive is None else interactive):
        return View(net if hasattr(net, "_repr_html_") else as_network(net), None)
    from striate.checks import check
    from striate.views.page.record import record_of

    network, route = as_network(net), (route or "network").removeprefix("#")
    model: ModelParts = {"no_model": 'st.view(net, "activations") holds the weights'}
    if route.partition("?")[0] == "activations":
        from striate.model import Model
        from striate.views.page.model import model_parts

        model = model_parts(net._record if isinstance(net, Model) else network)
    return View(network, record_of(network, check(network).findings, model), route, height)
