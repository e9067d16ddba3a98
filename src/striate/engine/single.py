"""One operation in machine code: planned once for its shapes, with the weights of each call packed again."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.engine import cpu_caches
from striate.engine.plan.execution_plan import plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.runtime.loaded_plan import Constants, LoadedPlan
from striate.engine.target import Target
from striate.engine.threads import available
from striate.locks import fork_safe_lock
from striate.network import Network, Node
from striate.op import Op
from striate.tensor import TensorSpec

Array = NDArray[Any]

READY_OPERATIONS = 8
"""Number of operations that stay ready to run."""


WINOGRAD_MIN_PIXELS = 2048
"""With fewer pixels, transforming Winograd's weights at each call costs more than the algorithm saves."""


class Single:
    """An op on inputs of one shape, without weights or with a product's weights, on whose values no plan depends."""

    def __init__(self, op: Op, spec: TensorSpec, target: Target) -> None:
        net = Network("operation", {"x": spec}, (Node("y", op, ("x",)),), ("y",))
        self.declaration = net.declarations["y"]
        self._weights = {p.name: np.zeros(p.shape, np.float32) for p in self.declaration.parameters}
        result = net.specs["y"].shape
        pixels = math.prod((result[0], *result[2:]))
        context = PlanContext(
            target, available(), pixels < WINOGRAD_MIN_PIXELS, cpu_caches.size(2), cpu_caches.size(3)
        )
        weights = {f"y.{name}": array for name, array in self._weights.items()}
        self._constants = Constants()
        self._loaded = LoadedPlan(plan(net, weights, ("y",), context), self._constants)
        self._lock = fork_safe_lock()

    def __call__(self, x: Array, weights: Mapping[str, Array]) -> Array:
        """The result for a float32 batch, with weights of the declared shapes."""
        with self._lock:
            for name, array in self._weights.items():
                array[...] = weights[name]
            if self._weights:
                self._constants.renew()
                self._loaded.renew()
            return self._loaded.run(x)["y"]


@functools.lru_cache(maxsize=READY_OPERATIONS)
def single(op: Op, spec: TensorSpec, target: Target) -> Single:
    """The operation, cached for the most recent shapes."""
    return Single(op, spec, target)
