"""What a model is asked about, as its network reads it: arrays and images, of one input or of several by name.

Decides what goes through the recorded transformation, and what the network takes as it is.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from striate.diagnostics import UsageError
from striate.engine.inputs import Array, Given, assigned, axes_of, is_image
from striate.network import Network
from striate.train.adapt_network import image_input
from striate.train.data import Transform
from striate.train.data.dataset import Shape
from striate.train.data.transforms import ByInput
from striate.train.inputs import ImageReader, as_trained, batches, no_transformation, unit


class PredictionInputs:
    """The inputs of one network under one recorded transformation, in plain values; empty: none is recorded."""

    def __init__(self, net: Network, recorded: Mapping[str, Any]) -> None:
        self.net, self.recorded = net, copy.deepcopy(dict(recorded))
        self.transform = Transform.from_dict(recorded) if recorded else Transform()

    @property
    def target(self) -> Shape | None:
        """(C, H, W) of the images that the network reads; None where it reads something else."""
        (spec, *more) = self.net.inputs.values()
        shape = spec.without_batch
        return None if more or len(shape) != 3 else (shape[0], shape[1], shape[2])

    def batches(self, x: Any, batch: int) -> Iterator[Given]:
        """Everything in `x` as the network reads it; images `batch` at a time. Raises what `Model.predict` says."""
        if len(self.net.inputs) > 1:
            yield self._by_input(x)
            return
        target = self.target
        several = target is None and not isinstance(x, str | os.PathLike)
        if target and isinstance(x, Mapping):
            (x,) = assigned(self.net, x).values()
        elif target and isinstance(x, tuple) and any(axes_of(one) == 4 for one in x):
            x, several = (x[0], False) if len(x) == 1 else (x, True)
        if several:
            yield x
            return
        yield from batches(x, self.transform, target, self.reader, batch)

    def reader(self) -> ImageReader:
        """What brings images to the network. Raises UsageError where the model does not say how."""
        if not self.recorded:
            raise no_transformation(self.net.name)
        return ImageReader(self.transform, image_input(self.net))

    def _by_input(self, x: Any) -> Given:
        """Arrays of several inputs, by name: images as training has normalized them, the others as they are."""
        given = assigned(self.net, x)
        if not self.recorded and all(getattr(array, "dtype", None) != np.uint8 for array in given.values()):
            return given
        if self.transform.steps:
            raise UsageError(
                f"the transformation of {self.net.name} is for a single input",
                why=f"the network has {len(self.net.inputs)}: {', '.join(self.net.inputs)}",
                fix='model.transform = {"inputs": {NAME: {"steps": […]}, …}}, one for each',
            )
        ways = dict(self.transform.inputs) if isinstance(self.transform, ByInput) else {}
        arrays: dict[str, Array] = {}
        for name, array in given.items():
            array = np.asarray(array)
            arrays[name] = array.astype(np.float32) if ways and array.dtype.kind in "fiub" else array
            spec = self.net.inputs[name]
            if is_image(spec):
                target = (spec.shape[1], spec.shape[2], spec.shape[3])
                way = ways.get(name)
                taken = as_trained(array, way, target) if way and way.steps else None
                arrays[name] = unit(array) if taken is None else taken[1](taken[0])
        return arrays
