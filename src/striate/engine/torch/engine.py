"""The second engine: PyTorch, on a processor or a GPU, in one process or in many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray

from striate.engine.interface import Engine, Program, TrainingProgram, is_strict, runnable
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.process_group import ProcessGroup
from striate.engine.torch import devices, processes
from striate.engine.torch.program import TorchProgram
from striate.engine.torch.training import TorchGradients, TorchLearner, TorchTraining
from striate.network import Network

Array = NDArray[Any]


class TorchEngine(Engine):
    """Networks lowered to torch. device: a name as in `devices.device`."""

    name = "torch"
    supports_amp = True

    def __init__(self, device: str = "") -> None:
        self.device = devices.device(device)
        self._threads = devices.threads()
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)

    @property
    def description(self) -> str:
        if self.device.type != "cuda":
            return f"torch on {self.device}"
        return f"torch on {self.device} ({torch.cuda.get_device_name(self.device)})"

    def compile(
        self,
        net: Network,
        weights: Mapping[str, Array],
        *,
        batch: int | None = None,
        threads: int | None = None,
        precision: str = "fast",
    ) -> Program:
        return TorchProgram(
            runnable(net), weights, self.device, threads or self._threads, is_strict(precision)
        )

    def training(self, net: Network, weights: Mapping[str, Array]) -> TrainingProgram:
        return TorchTraining(runnable(net), weights, self.device)

    def differentiate(
        self, net: Network, weights: Mapping[str, Array], values: Sequence[str]
    ) -> TrainingProgram:
        return TorchGradients(runnable(net), weights, self.device, values)

    def learner(
        self, net: Network, rule: UpdateRule, store: OptimizerState, process_group: ProcessGroup
    ) -> Learner:
        return TorchLearner(runnable(net), rule, store, self.device, process_group)

    def process_group(self) -> AbstractContextManager[ProcessGroup]:
        return processes.join(self.device)
