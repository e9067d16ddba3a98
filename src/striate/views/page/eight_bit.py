"""Maps of one image in 8 bits, for a saved page whose network is too large to run inside it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.engine.registry import get_engine
from striate.op import Trait
from striate.train.evaluate_model import loss_of
from striate.train.prediction import probabilities
from striate.train.prediction_inputs import PredictionInputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.formats.loaded import Loaded
    from striate.network import Node
    from striate.views.schemas.forward import EightBitMap, EightBitMaps, SampleImage

MAX_MACS = 5 * 10**9
"""Multiply-accumulates that a report computes: some seconds."""
MAX_BYTES = 180_000
"""Bytes of all maps together."""
MAX_CHANNELS = 16
LEVELS = 255


def eight_bit_maps(net: Loaded, image: Sequence[int], sample: SampleImage, answers: bool) -> EightBitMaps:
    """Maps of a trained network for a sample. image: its height, width, channels; answers: the network classifies.

    Only some nodes have maps: those after an activation, the first one, and the outputs; and only their first channels.
    """
    pixels = np.frombuffer(base64.b64decode(sample["pixels"]), np.uint8).reshape(image)
    (x,) = PredictionInputs(net, net.transform).batches(
        np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), 1
    )
    nodes = _nodes(net)
    program = get_engine("numpy").compile(net.network, net.weights or {})
    values = program.values(x, list({node.name: 0 for node in nodes} | dict.fromkeys(net.outputs, 0)))
    shares: list[float] = []
    if answers:
        outputs = tuple(values[name] for name in net.outputs)
        row = probabilities(net, loss_of(net, net.objective), outputs if len(outputs) > 1 else outputs[0])[0]
        shares = [float(share) for share in row]
    maps: dict[str, EightBitMap] = {}
    room, share = MAX_BYTES, MAX_BYTES // len(nodes)
    for node in nodes:
        one = _map(values[node.name][0], share)
        size = len(one["data"]) * 3 // 4
        if size <= room:
            maps[node.name] = one
            room -= size
    return {"sample": sample, "shares": shares, "maps": maps}


def _nodes(net: Loaded) -> list[Node]:
    single = [node for node in net.nodes if len(node.outputs) == 1]
    chosen = [
        node
        for node in single
        if node is single[0] or Trait.ACTIVATION in node.op.traits or node.name in net.outputs
    ]
    return chosen or single[:1]


def _map(value: Any, share: int) -> EightBitMap:
    """The first channels of a value, in levels between its least and its largest number."""
    size = int(np.prod(value.shape[1:]))
    kept = value[: max(1, min(MAX_CHANNELS if size > 1 else share, share // size))]
    finite = kept[np.isfinite(kept)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    levels = np.rint(
        (np.nan_to_num(kept, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1) * LEVELS
    )
    data = base64.b64encode(np.ascontiguousarray(levels, np.uint8).tobytes()).decode()
    return {"shape": [*kept.shape], "channels": int(value.shape[0]), "low": low, "high": high, "data": data}
