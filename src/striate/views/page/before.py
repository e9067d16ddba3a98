"""The weights before training, for a page that shows those between them and the trained ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.diagnostics import StriateError

if TYPE_CHECKING:
    from pathlib import Path

    from striate.formats.loaded import Loaded
    from striate.views.schemas.forward import Drawing

Weights = Mapping[str, Any]


def before_training(net: Loaded, run: Path, drawing: Drawing, most: int | None) -> Weights:
    """The weights of a run's network before training, as far as training changed them; the drawing says which, or why
    there are none. most: bytes of both sets of weights, if there is a limit.
    """
    from striate.probe.before_training import initial_weights

    after = net.weights or {}
    try:
        weights, said = initial_weights(run)
    except (StriateError, OSError) as error:
        drawing["no_before"] = getattr(error, "reason", str(error))
        return {}
    changed = {name: weights[name] for name, one in after.items() if not np.array_equal(weights[name], one)}
    size = sum(one.nbytes for one in (*after.values(), *changed.values()))
    if most is not None and size > most:
        drawing["no_before"] = (
            f"with those before training, its weights have {size / 1e3:,.0f} kB, and a page holds at most "
            f"{most // 1000} kB; striate lab shows both"
        )
        return {}
    drawing["before"] = said
    return changed


def mixed(before: Weights, after: Weights, share: float) -> dict[str, Any]:
    """Weights on the straight line from those before training to the trained ones, as the page computes them.

    share: of the way, 0 to 1. Both ends are exact.
    """
    return {
        name: ((1 - share) * before[name].astype(np.float64) + share * one.astype(np.float64)).astype(
            np.float32
        )
        if name in before
        else one
        for name, one in after.items()
    }
