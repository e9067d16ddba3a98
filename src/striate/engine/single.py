"""One operation in machine code: planned once for its shapes, with the weights of each call packed anew."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import aligned, caches
from striate.engine.bound import Bound, Constants
from striate.engine.code import Kernel
from striate.engine.plan.plan import plan
from striate.engine.plan.steps import Context, Memory
from striate.engine.plan.units import Value
from striate.engine.target import Target
from striate.engine.threads import available
from striate.locks import lock
from striate.network import Network, Node
from striate.op import Op
from striate.tensor import TensorSpec

Array = NDArray[Any]

KEPT = 8
"""Operations that stay ready to run."""


PACKED = 2048
"""Pixels from which on Winograd's algorithm saves more than the transformation of its weights takes, at each call."""


class Single:
    """An op on inputs of one shape, without weights or with factors of a product: no plan depends on their values."""

    def __init__(self, op: Op, spec: TensorSpec, target: Target) -> None:
        net = Network("operation", {"x": spec}, (Node("y", op, ("x",)),), ("y",))
        self.declaration = net.declarations["y"]
        self._given = {p.name: np.zeros(p.shape, np.float32) for p in self.declaration.parameters}
        result = net.specs["y"].shape
        pixels = math.prod((result[0], *result[2:]))
        context = Context(target, available(), pixels < PACKED, caches.size(2), caches.size(3))
        weights = {f"y.{name}": array for name, array in self._given.items()}
        self._constants = Constants()
        self._bound = Bound(plan(net, weights, ("y",), context), self._constants)
        self._lock = lock()

    def __call__(self, x: Array, weights: Mapping[str, Array]) -> Array:
        """The result for a float32 batch, with weights of the declared shapes."""
        with self._lock:
            for name, array in self._given.items():
                array[...] = weights[name]
            if self._given:
                anew = Anew(self._bound, self._constants)
                for record in dict.fromkeys(step.record for step in self._bound.plan.steps):
                    record(anew)
            return self._bound.run(x)["y"]


class Anew(Memory):
    """Where everything of a bound plan lies already; what is packed there is packed again."""

    def __init__(self, bound: Bound, constants: Constants) -> None:
        self._bound, self._constants = bound, constants
        self._done: set[tuple[Any, ...]] = set()

    def start(self, value: Value) -> int:
        return self._bound.start(value)

    def constant(self, key: tuple[Any, ...], make: Callable[[], Array]) -> int:
        kept = self._constants.get(key, make)
        if key not in self._done:
            kept[...] = make().reshape(kept.shape)
            self._done.add(key)
        return aligned.address(kept)

    def kept(self, array: Array) -> Array:
        return array

    def kernel(self, kernel: Kernel) -> int:
        return self._bound.kernel(kernel)


@functools.lru_cache(maxsize=KEPT)
def single(op: Op, spec: TensorSpec, target: Target) -> Single:
    """The operation, from the last ones where it is among them."""
    return Single(op, spec, target)
