"""Inputs of a prediction: arrays and images, of one input or of several by name.

Decides what goes through the recorded transformation, and what the network takes unchanged.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from striate.diagnostics import UsageError
from striate.engine.inputs import Array, InputBatch, assign_inputs, axes_of, is_image
from striate.network import Network
from striate.train.adapt_network import image_input
from striate.train.data import Transform
from striate.train.data.dataset import Shape
from striate.train.data.transforms import ByInput
from striate.train.inputs import ImageReader, as_in_training, batches, no_transformation, unit


class PredictionInputs:
    """The inputs of one network under one recorded transformation, in plain values, empty if none is recorded."""

    def __init__(self, net: Network, recorded: Mapping[str, Any]) -> None:
        self.net, self.recorded = net, copy.deepcopy(dict(recorded))
        self.transform = Transform.from_dict(recorded) if recorded else Transform()

    @property
    def target(self) -> Shape | None:
        """(C, H, W) of the network's image input; None if it has another input."""
        (spec, *more) = self.net.inputs.values()
        shape = spec.without_batch
        return None if more or len(shape) != 3 else (shape[0], shape[1], shape[2])

    def batches(self, x: Any, batch: int) -> Iterator[InputBatch]:
        """`x` as inputs of the network, images `batch` at a time. Raises as `Model.predict`."""
        if len(self.net.inputs) > 1:
            yield self._by_input(x)
            return
        target = self.target
        several = target is None and not isinstance(x, str | os.PathLike)
        if target and isinstance(x, Mapping):
            (x,) = assign_inputs(self.net, x).values()
        elif target and isinstance(x, tuple) and any(axes_of(one) == 4 for one in x):
            x, several = (x[0], False) if len(x) == 1 else (x, True)
        if several:
            yield x
            return
        yield from batches(x, self.transform, target, self.reader, batch)

    def reader(self) -> ImageReader:
        """The reader of images. Raises UsageError if the model records no transformation."""
        if not self.recorded:
            raise no_transformation(self.net.name)
        return ImageReader(self.transform, image_input(self.net))

    def _by_input(self, x: Any) -> InputBatch:
        """Arrays of several inputs, by name: images normalized as in training, the others unchanged."""
        inputs = assign_inputs(self.net, x)
        if not self.recorded and all(getattr(array, "dtype", None) != np.uint8 for array in inputs.values()):
            return inputs
        if self.transform.steps:
            raise UsageError(
                f"the transformation of {self.net.name} is for a single input",
                why=f"the network has {len(self.net.inputs)}: {', '.join(self.net.inputs)}",
                fix='model.transform = {"inputs": {NAME: {"steps": […]}, …}}, one for each',
            )
        ways = dict(self.transform.inputs) if isinstance(self.transform, ByInput) else {}
        arrays: dict[str, Array] = {}
        for name, array in inputs.items():
            array = np.asarray(array)
            arrays[name] = array.astype(np.float32) if ways and array.dtype.kind in "fiub" else array
            spec = self.net.inputs[name]
            if is_image(spec):
                target = (spec.shape[1], spec.shape[2], spec.shape[3])
                way = ways.get(name)
                pair = as_in_training(array, way, target) if way and way.steps else None
                arrays[name] = unit(array) if pair is None else pair[1](pair[0])
        return arrays
