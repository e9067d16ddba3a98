"""Facts of a whole network, derived from its declarations: sizes, fields, pixel use, cost, memory."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.analysis.cost import macs as macs
    from striate.analysis.cost import reconcile as reconcile
    from striate.analysis.facts import Analysis as Analysis
    from striate.analysis.facts import NodeFacts as NodeFacts
    from striate.analysis.facts import Totals as Totals
    from striate.analysis.facts import analyze as analyze
    from striate.analysis.facts import unknown_costs as unknown_costs
    from striate.analysis.fields import exact_field as exact_field
    from striate.analysis.fields import misalignments as misalignments
    from striate.analysis.fields import receptive_fields as receptive_fields
    from striate.analysis.fitting import AxisSizes as AxisSizes
    from striate.analysis.fitting import Sizes as Sizes
    from striate.analysis.fitting import sizes as sizes
    from striate.analysis.memory import liveness as liveness
    from striate.analysis.pixel_use import PixelUse as PixelUse
    from striate.analysis.pixel_use import pixels as pixels

# Each command needs few of these: they load on first use.
_HOME = {
    "Analysis": "facts",
    "AxisSizes": "fitting",
    "NodeFacts": "facts",
    "PixelUse": "pixel_use",
    "Sizes": "fitting",
    "Totals": "facts",
    "analyze": "facts",
    "exact_field": "fields",
    "liveness": "memory",
    "macs": "cost",
    "misalignments": "fields",
    "pixels": "pixel_use",
    "receptive_fields": "fields",
    "reconcile": "cost",
    "sizes": "fitting",
    "unknown_costs": "facts",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
