"""Gradient maps: how the response of a unit to one image changes with the light in each pixel of its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.interface import Engine
from striate.probe.electrode import Electrode

Array = NDArray[Any]

MAX_BATCH_IMAGES, MAX_BATCH_PIXELS = 16, 1 << 19
"""Images whose gradients are computed together: a backward pass keeps all activations."""


def gradient_maps(
    engine: Engine, electrode: Electrode, weights: Mapping[str, Array], units: Sequence[int], patterns: Array,
    colors: Sequence[str],
) -> Array:  # fmt: skip
    """Derivatives of each unit's response to its own pattern (n, rows, columns) by the values of the pattern.

    units: channels (n,); colors: the axis of color of each pattern.
    """
    net = electrode.net
    ((name, spec),) = net.inputs.items()
    program = engine.differentiate(net, {held: weights[held] for held in net.parameters}, [name])
    gray = electrode.light.gray[None, :, None, None]
    lit = {color: gray + electrode.amplitude(color)[None, :, None, None] for color in dict.fromkeys(colors)}
    dark = electrode.light.transform(gray.astype(np.float32))
    gains = {c: (electrode.light.transform(x.astype(np.float32)) - dark)[0, :, 0, 0] for c, x in lit.items()}
    size = max(
        1, min(MAX_BATCH_IMAGES, MAX_BATCH_PIXELS // (spec.channels * spec.size("H") * spec.size("W")))
    )
    (top, bottom), (left, right) = electrode.screen.rows, electrode.screen.columns
    at = electrode.place
    maps = []
    for start in range(0, len(units), size):
        # Always as many: another batch size would be planned again.
        some = np.minimum(np.arange(start, start + size), len(units) - 1)
        images = electrode.images(patterns[some], np.stack([electrode.amplitude(colors[k]) for k in some]))
        (responses,) = program.forward(images, np.random.default_rng(0))
        seeds = np.zeros_like(responses)
        seeds[np.arange(size), [units[k] for k in some], at.row, at.column] = 1
        grown = program.backward([seeds])[name][:, :, top : bottom + 1, left : right + 1]
        gain = np.stack([gains[colors[k]] for k in some]).astype(np.float64)
        maps.append(np.einsum("nchw,nc->nhw", grown, gain)[: len(units) - start])
    return np.concatenate(maps)
