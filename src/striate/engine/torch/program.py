"""Inference on torch: the lowered network on a device, with a copy of the weights."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.engine.inputs import Given, named, rows
from striate.engine.interface import Program
from striate.engine.torch.devices import memory, placed
from striate.engine.torch.lowering import Lowered, lower
from striate.network import Network

Array = NDArray[Any]


class TorchProgram(Program):
    """Batches go to the device, the wanted values come back. Float64 batches are computed in float64 where the device
    knows it.
    """

    def __init__(
        self, net: Network, weights: Mapping[str, Array], device: torch.device, threads: int, strict: bool
    ) -> None:
        self.net, self._device, self._threads, self._strict = net, device, threads, strict
        self._weights = weights
        self._modules = {np.dtype(np.float32): self._made(np.float32)}

    def _made(self, dtype: Any) -> Lowered:
        arrays = {name: self._weights[name].astype(dtype, copy=False) for name in self.net.parameters}
        module: Lowered = placed(lower(self.net, arrays), self._device)
        return module

    def renew(self) -> None:
        self._modules = {dtype: self._made(dtype) for dtype in self._modules}

    def values(self, x: Given, names: Sequence[str]) -> dict[str, Array]:
        return {
            name: tensor.cpu().numpy().copy() for name, tensor in self._run(x, names).items() if name in names
        }

    def profile(self, x: Given) -> dict[str, float]:
        found: dict[str, float] = {}
        start = time.perf_counter()

        def done(node: str) -> None:
            nonlocal start
            self._settle()
            now = time.perf_counter()
            found[node], start = now - start, now

        self._run(x, self.net.outputs, done)
        return found

    def first_non_finite(self, x: Given) -> str | None:
        for node in self.net.nodes:
            made = self._run(x, node.outputs)
            if not all(bool(torch.isfinite(made[name]).all()) for name in node.outputs):
                return node.name
        return None

    def _run(self, x: Given, names: Sequence[str], done: Any = lambda node: None) -> dict[str, Any]:
        arrays = named(self.net, x)
        dtype = next(iter(arrays.values())).dtype
        if dtype == np.float64 and self._device.type == "mps":
            dtype = np.dtype(np.float32)  # Metal has no float64
        if dtype not in self._modules:
            self._modules[dtype] = self._made(dtype)
        module = self._modules[dtype]
        with torch.inference_mode(), memory(rows(arrays)), self._arithmetic():
            given = {
                name: placed(tensor(array.astype(dtype, copy=False)), self._device)
                for name, array in arrays.items()
            }
            self._settle()
            return module.values(given, names, done)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """This program's threads and precision: unless told not to, a GPU rounds the factors of convolutions."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        if self._device.type != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=not self._strict):
            yield

    def _settle(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


def tensor(array: Array) -> Any:
    """The array as a tensor, in the same memory where that may be written."""
    contiguous = np.ascontiguousarray(array)
    return torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())
