"""Inference on torch: the lowered network on a device, with a copy of the weights."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.engine.inputs import InputBatch, arrays_by_input, rows
from striate.engine.interface import Program
from striate.engine.torch.devices import memory, to_device
from striate.engine.torch.lowering import Lowered, lower
from striate.network import Network

Array = NDArray[Any]


class TorchProgram(Program):
    """The lowered network on a device. Float64 batches are computed in float64 if the device supports it."""

    def __init__(
        self, net: Network, weights: Mapping[str, Array], device: torch.device, threads: int, strict: bool
    ) -> None:
        self.net, self._device, self._threads, self._strict = net, device, threads, strict
        self._weights = weights
        self._modules = {np.dtype(np.float32): self._make_module(np.float32)}

    def _make_module(self, dtype: Any) -> Lowered:
        arrays = {name: self._weights[name].astype(dtype, copy=False) for name in self.net.parameters}
        module: Lowered = to_device(lower(self.net, arrays), self._device)
        return module

    def renew(self) -> None:
        self._modules = {dtype: self._make_module(dtype) for dtype in self._modules}

    def values(self, x: InputBatch, names: Sequence[str]) -> dict[str, Array]:
        return {
            name: tensor.cpu().numpy().copy() for name, tensor in self._run(x, names).items() if name in names
        }

    def profile(self, x: InputBatch) -> dict[str, float]:
        seconds: dict[str, float] = {}
        start = time.perf_counter()

        def on_node(node: str) -> None:
            nonlocal start
            self._synchronize()
            now = time.perf_counter()
            seconds[node], start = now - start, now

        self._run(x, self.net.outputs, on_node)
        return seconds

    def first_non_finite(self, x: InputBatch) -> str | None:
        for node in self.net.nodes:
            values = self._run(x, node.outputs)
            if not all(bool(torch.isfinite(values[name]).all()) for name in node.outputs):
                return node.name
        return None

    def _run(self, x: InputBatch, names: Sequence[str], on_node: Any = lambda node: None) -> dict[str, Any]:
        arrays = arrays_by_input(self.net, x)
        dtype = next(iter(arrays.values())).dtype
        if dtype == np.float64 and self._device.type == "mps":
            dtype = np.dtype(np.float32)  # Metal has no float64
        if dtype not in self._modules:
            self._modules[dtype] = self._make_module(dtype)
        module = self._modules[dtype]
        with torch.inference_mode(), memory(rows(arrays)), self._arithmetic():
            inputs = {
                name: to_device(tensor(array.astype(dtype, copy=False)), self._device)
                for name, array in arrays.items()
            }
            self._synchronize()
            return module.values(inputs, names, on_node)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Set this program's threads and precision: by default a GPU rounds the factors of convolutions (TF32)."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        if self._device.type != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=not self._strict):
            yield

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


def tensor(array: Array) -> Any:
    """The array as a tensor, sharing its memory if that is writable."""
    contiguous = np.ascontiguousarray(array)
    return torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())
