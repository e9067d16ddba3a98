"""The comparison that a saved page holds: the network at its own input size, and at the next that tells something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.diagnostics import StriateError, plural
from striate.views.diff_record import diff_record
from striate.views.json_records import images, show_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from striate.analysis import Sizes
    from striate.analysis.fitting import AxisSizes
    from striate.network import Network
    from striate.views.schemas.live_views import LiveComparison
    from striate.views.schemas.networks import Diff, Show

LEFT_OUT = ("window", "activation_bytes")
MAX_STEPS = 4096
"""Sizes above its own that are looked at."""
MAX_NODES = 2000
"""Of a larger network there is no picture of both."""


def comparison_part(net: Network, show: Show) -> LiveComparison:
    """A: the network as it is; B: at the nearest size that fits where its own does not, else at the next larger one."""
    from striate.analysis import sizes

    if len(show["nodes"]) > MAX_NODES:
        return {
            "missing": f"both networks together are too large to be drawn: {plural(len(show['nodes']), 'node')} each"
        }
    try:
        name = images(net)[0]
        own = net.inputs[name].spatial
        solved = sizes(net, None, name)
        fits = all(axis.fits(n) for axis, n in zip(solved.axes.values(), own, strict=True))
        other = _larger(solved.axes, own) if fits else _nearest(solved, own)
        group = [
            one
            for one, spec in net.inputs.items()
            if (spec.axes, spec.spatial) == (net.inputs[name].axes, own)
        ]
        variant = net.with_input({one: (net.inputs[one].channels, *other) for one in group})
        return _compared(net, show, variant, _size(own), _size(other), fits)
    except StriateError as error:
        return {"missing": error.reason}


def _compared(net: Network, show: Show, variant: Network, own: str, other: str, fits: bool) -> LiveComparison:
    from striate.views.drawing.comparison import diff_picture
    from striate.views.drawing.svg import svg

    shows: tuple[Show, Show] = ({**show, "findings": []}, show_record(variant))
    if own == other:
        return {"missing": f"no other input size fits: only {own} does"}
    why = (
        f"{own} fits; {other} is the next larger size that fits"
        if fits
        else f"{own} does not fit exactly; {other} is the nearest size that does"
    )
    picture = diff_picture((net, variant), shows)
    return {
        "missing": "",
        "why": why,
        "diff": _short(diff_record(*shows)),
        "svg": svg(picture.scene["drawing"], ids="compare-").rstrip("\n"),
    }


def _short(diff: Diff) -> Diff:
    """Without facts that take more room than they tell."""
    changed = [
        {**change, "facts": {key: pair for key, pair in change["facts"].items() if key not in LEFT_OUT}}
        for change in diff["changed"]
    ]
    return {**diff, "changed": changed}  # type: ignore[typeddict-item]


def _nearest(solved: Sizes, own: Sequence[int]) -> list[int]:
    """The fitting size nearest to the own one along each axis. Raises StriateError if no size fits."""
    near = []
    for axis, n in zip(solved.axes.values(), own, strict=True):
        if not axis.residues:
            raise StriateError("no input size fits exactly", why=axis.conflict)
        near.append(min(axis.nearest(n), key=lambda size: (abs(size - n), size)))
    return near


def _larger(axes: Mapping[str, AxisSizes], own: Sequence[int]) -> list[int]:
    """The next fitting size above the own one along each axis; the own one if no size fits."""
    return [
        next((m for m in range(n + 1, n + MAX_STEPS) if axis.fits(m)), n)
        for axis, n in zip(axes.values(), own, strict=True)
    ]


def _size(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
