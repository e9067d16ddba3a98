"""The numpy engine: every declaration run by `vectorized.py`, node by node. Works everywhere, and checks the others."""

from __future__ import annotations

import collections
import functools
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import InputBatch, arrays_by_input, rows
from striate.engine.interface import (
    Engine,
    Program,
    TrainingProgram,
    frozen_declarations,
    is_strict,
    runnable,
)
from striate.engine.numpy_ import philox
from striate.engine.numpy_.vectorized import OpTape, backward, forward
from striate.network import Network, Node
from striate.op import Declaration
from striate.tensor import TensorSpec

Array = NDArray[Any]


@functools.lru_cache(maxsize=8)
def batched(net: Network, size: int) -> Network:
    """The network declared for a batch of that size."""
    inputs = {name: TensorSpec((size, *spec.shape[1:]), spec.axes) for name, spec in net.inputs.items()}
    batch_net = Network(net.name, inputs, net.nodes, net.outputs)
    _ = batch_net.specs
    return batch_net


def _node_weights(
    node: Node, declaration: Declaration, weights: Mapping[str, Array], dtype: Any
) -> dict[str, Array]:
    arrays = {p.name: weights[node.key(p.name)] for p in declaration.parameters}
    return {name: array.astype(dtype, copy=False) for name, array in arrays.items()}


class NumpyProgram(Program):
    """A network run node by node; values are dropped after their last reader."""

    def __init__(self, net: Network, weights: Mapping[str, Array]) -> None:
        self.net = net
        self._weights = weights
        self._last_use = {value: k for k, node in enumerate(net.nodes) for value in node.inputs}

    def renew(self) -> None:
        """Nothing to do: weights are read in every run."""

    def values(self, x: InputBatch, names: Sequence[str]) -> dict[str, Array]:
        keep = set(names)
        return {name: array for name, array in self._run(x, keep).items() if name in keep}

    def first_non_finite(self, x: InputBatch) -> str | None:
        with np.errstate(all="ignore"):
            for node in self.net.nodes:
                values = self.values(x, node.outputs)
                if not all(np.isfinite(array).all() for array in values.values()):
                    return node.name
        return None

    def profile(self, x: InputBatch) -> dict[str, float]:
        seconds: dict[str, float] = {}
        self._run(x, set(self.net.outputs), seconds)
        return seconds

    def _run(
        self, x: InputBatch, keep: set[str], seconds: dict[str, float] | None = None
    ) -> dict[str, Array]:
        values = arrays_by_input(self.net, x)
        size, dtype = rows(values), next(iter(values.values())).dtype
        net = batched(self.net, size)
        open_names = set(keep)
        for at, node in enumerate(net.nodes):
            if not open_names - values.keys():
                break
            declaration = net.declarations[node.name]
            inputs = [values[value] for value in node.inputs]
            start = time.perf_counter()
            tape = forward(declaration, inputs, _node_weights(node, declaration, self._weights, dtype))
            if seconds is not None:
                seconds[node.name] = time.perf_counter() - start
            values.update(zip(node.outputs, (tape.tensors[f"y{k}"] for k in range(len(node.outputs)))))
            for value in set(node.inputs):
                if self._last_use[value] == at and value not in keep:
                    del values[value]
        return values


class NumpyTraining(TrainingProgram):
    """Forward passes that keep their tapes, and backward runs that read them.

    values: names of values whose gradients are computed instead of the parameters', in the network's inference form.
    """

    def __init__(
        self, net: Network, weights: Mapping[str, Array], values: Sequence[str] | None = None
    ) -> None:
        self.net, self._gradient_values = net, values
        self.updates = {}
        self._weights = weights
        self._tapes: dict[str, OpTape] = {}
        self._arrays: dict[str, Array] = {}
        """Values of the last forward pass whose gradients are computed."""

    def forward(self, x: InputBatch, rng: np.random.Generator) -> tuple[Array, ...]:
        values = arrays_by_input(self.net, x)
        size, dtype = rows(values), next(iter(values.values())).dtype
        net = batched(self.net, size)
        declarations = net.training if self._gradient_values is None else frozen_declarations(net)
        self._tapes, self.updates = {}, {}
        key, noise_numbers = philox.draw_key(rng), itertools.count()
        for node in net.nodes:
            declaration = declarations[node.name]
            # Nodes that share statistics update them one after another.
            now = collections.ChainMap(self.updates, self._weights)  # type: ignore[arg-type]
            weights = _node_weights(node, declaration, now, dtype)
            for noise in declaration.noise:
                weights[noise.name] = philox.noise(noise, key, next(noise_numbers)).astype(dtype, copy=False)
            tape = forward(declaration, [values[value] for value in node.inputs], weights)
            self._tapes[node.name] = tape
            values.update(zip(node.outputs, (tape.tensors[f"y{k}"] for k in range(len(node.outputs)))))
            for parameter, tensor in declaration.updates.items():
                self.updates[node.key(parameter)] = tape.tensors[tensor]
        self._arrays = {name: values[name] for name in self._gradient_values or ()}
        return tuple(values[name] for name in self.net.outputs)

    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        arriving: dict[str, Array] = {}
        for name, gradient in zip(self.net.outputs, gradients, strict=True):
            arriving[name] = arriving[name] + gradient if name in arriving else gradient
        totals: dict[str, Array] = {}
        entered = self._arrays.keys() & self.net.inputs.keys()
        for node in reversed(self.net.nodes):
            tape = self._tapes[node.name]
            for value in self._arrays.keys() & {*node.outputs}:
                totals[value] = arriving.get(value, np.zeros_like(self._arrays[value]))
            node_gradients = backward(tape, [arriving.pop(value, None) for value in node.outputs])
            for k, value in enumerate(node.inputs):
                if value in self.net.producers or value in entered:
                    input_gradient = node_gradients[f"x{k}"]
                    arriving[value] = (
                        arriving[value] + input_gradient if value in arriving else input_gradient
                    )
            for parameter in tape.declaration.parameters:
                if parameter.trainable:
                    full, gradient = node.key(parameter.name), node_gradients[parameter.name]
                    totals[full] = totals[full] + gradient if full in totals else gradient
        for value in entered:
            totals[value] = arriving.get(value, np.zeros_like(self._arrays[value]))
        return {name: totals[name] for name in sorted(totals)}


class NumpyEngine(Engine):
    """Whole-array numpy, on whatever machine numpy runs."""

    name = "numpy"

    def compile(
        self,
        net: Network,
        weights: Mapping[str, Array],
        *,
        batch: int | None = None,
        threads: int | None = None,
        precision: str = "fast",
    ) -> Program:
        is_strict(precision)
        return NumpyProgram(runnable(net), weights)

    def training(self, net: Network, weights: Mapping[str, Array]) -> TrainingProgram:
        return NumpyTraining(runnable(net), weights)

    def differentiate(
        self, net: Network, weights: Mapping[str, Array], values: Sequence[str]
    ) -> TrainingProgram:
        return NumpyTraining(runnable(net), weights, values)
