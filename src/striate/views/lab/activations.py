"""What every node says about an image: exact values, computed by Python's engine with the model's transformation."""

from __future__ import annotations

import base64
import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, LimitError, StriateError, plural
from striate.engine.registry import get_engine
from striate.formats.with_weights import with_weights
from striate.probe.before_training import initial_weights
from striate.train.adapt_network import image_input
from striate.train.data.dataset import BadImage
from striate.train.evaluate_model import loss_of, normalization
from striate.train.prediction import probabilities
from striate.train.prediction_inputs import PredictionInputs
from striate.units import format_bytes
from striate.views.lab.bodies import Refusal
from striate.views.page.before import mixed

if TYPE_CHECKING:
    from striate.engine.interface import Program
    from striate.formats.loaded import Loaded
    from striate.views.lab.bodies import Body
    from striate.views.lab.networks import Checked, Networks, Source
    from striate.views.schemas.lab import LabActivations, LabArray

Array = NDArray[Any]
SEED = 0
"""Of fresh weights."""
MAX_SIDE = 4096
"""Pixels along a side of an image."""
MAX_MACS = 50 * 10**9
"""Multiply-accumulates of a network that is run: some seconds."""
MAX_BYTES = 2 << 30
"""Of the parameters and activations of a network that is run."""
MAX_VALUES = 4_000_000
"""Numbers in an answer: 16 MB."""
MAX_KEPT = 2
"""Programs that are kept."""


@dataclass(frozen=True)
class _Ready:
    model: Loaded
    program: Program
    inputs: PredictionInputs


class Activations:
    """Runs the networks of a page, one image at a time. It is used by one thread."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._kept: collections.OrderedDict[tuple[Source, int], _Ready] = collections.OrderedDict()
        self._before: tuple[Path, Mapping[str, Any]] | None = None

    def answer(
        self, source: Source, pixels: Array, nodes: Sequence[str], percent: int = 100
    ) -> LabActivations:
        """Values for an image, uint8 of (H, W, C). percent: of the way from the weights before training to the trained
        ones. Raises LimitError, and what compiling, transforming and reading a run raise.
        """
        ready = self._ready(source, percent)
        net = ready.model.network
        image = ready.inputs.reader().read(("image", np.ascontiguousarray(pixels.transpose(2, 0, 1))))
        if isinstance(image, BadImage):
            raise FormatError(
                "the image cannot be read", where="image", why=image.why, fix="give another one"
            )
        x = image.x[None]
        values = {name: net.node(name).outputs[0] for name in nodes}
        wanted = dict.fromkeys((*values.values(), *net.outputs))
        count = sum(net.specs[value].elements for value in wanted)
        if count > MAX_VALUES:
            raise LimitError(
                f"{plural(len(wanted), 'node')} have {count:,} numbers",
                where=net.name,
                why=f"an answer has at most {MAX_VALUES:,}",
                fix="ask for fewer nodes",
            )
        found = ready.program.values(x, list(wanted))
        outputs = [found[value] for value in net.outputs]
        try:
            shares = probabilities(
                net, loss_of(net, ready.model.objective), tuple(outputs) if len(outputs) > 1 else outputs[0]
            )[0]
        except StriateError:  # the outputs are no classes
            shares = None
        return {
            "input": _array(x[0]),
            "values": {name: _array(found[value][0]) for name, value in values.items()},
            "outputs": [_array(one[0]) for one in outputs],
            "probabilities": None if shares is None or not np.isfinite(shares).all() else shares.astype(float).tolist(),
            "classes": [*ready.model.classes],
            "transform": ready.inputs.transform.describe() if ready.model.transform else "",
            "trained": ready.model.trained,
        }  # fmt: skip

    def _ready(self, source: Source, percent: int) -> _Ready:
        key = source, percent
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        checked = self._networks.find(source)
        limit(checked)
        model = with_weights(checked.net, seed=SEED)
        net = model.network
        image_input(net)  # raises for other inputs
        weights = model.weights or {}
        if percent < 100 and checked.run:
            weights = mixed(self._initial(checked.run), weights, percent / 100)
        program = get_engine("numpy").compile(net, weights)
        inputs = PredictionInputs(net, model.transform or normalization(net, "0", "1"))
        while len(self._kept) >= MAX_KEPT:
            self._kept.popitem(last=False)
        self._kept[key] = _Ready(model, program, inputs)
        return self._kept[key]

    def _initial(self, run: Path) -> Mapping[str, Any]:
        """The weights with which a run began: drawn and verified once for all places of the slider."""
        if self._before is None or self._before[0] != run:
            self._before = run, initial_weights(run)[0]
        return self._before[1]


def image(body: Body) -> Array:
    """The pixels of a request, uint8 of (H, W, C). Raises Refusal."""
    height, width = body.whole("height", 1, MAX_SIDE), body.whole("width", 1, MAX_SIDE)
    channels = body.whole("channels", 1, 4)
    content = body.binary("pixels")
    if len(content) != height * width * channels:
        raise Refusal(
            422,
            f"the image has {plural(len(content), 'number')}",
            where="image.pixels",
            why=f"{height} x {width} x {channels} are {height * width * channels:,}",
            fix="send height x width x channels numbers of 8 bits",
        )
    return np.frombuffer(content, np.uint8).reshape(height, width, channels)


def _array(values: Array) -> LabArray:
    content = np.ascontiguousarray(values, "<f4").tobytes()
    return {"shape": list(values.shape), "values": base64.b64encode(content).decode()}


def limit(checked: Checked) -> None:
    """Raises for a network that has no output, and LimitError for one that would keep the page waiting."""
    net = checked.net.network
    for problem in net.inference.problems:
        raise problem
    totals = checked.show["totals"]
    held = 4 * totals["params"] + totals["peak_bytes"]
    if totals["macs"] > MAX_MACS or held > MAX_BYTES:
        raise LimitError(
            "the network is too large to run in the page",
            where=net.name,
            why=f"it has {totals['macs']:,} MACs and needs {format_bytes(held)}; "
            f"the page takes at most {MAX_MACS:,} and {format_bytes(MAX_BYTES)}",
            fix="choose a smaller input size",
        )
