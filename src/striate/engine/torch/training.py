"""Training on torch: the lowered network in training mode, torch's optimizers under Striate's rules, on one device.

The losses give gradients of sums; `clip_gradients` divides. With several processes DistributedDataParallel adds the
gradients up while they are computed; norms and noise are those of the whole batch (`sharing`). Dropout draws from
torch's generator, which is seeded for every batch from the number that the loop passes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parallel import DistributedDataParallel

from striate.engine.inputs import InputBatch, arrays_by_input, rows
from striate.engine.interface import TrainingProgram
from striate.engine.learner import Arrays, Learner, OptimizerState, UpdateRule
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup
from striate.engine.torch.devices import memory, to_device
from striate.engine.torch.lowering import Lowered, lower
from striate.engine.torch.processes import Processes, translate_errors
from striate.engine.torch.program import tensor
from striate.engine.torch.sharing import Part, share, shared
from striate.engine.update_rules import average_decay
from striate.network import Network, declaration_of
from striate.op import Trait

Array = NDArray[Any]

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
MOMENTS = {"velocity": "momentum_buffer", "first": "exp_avg", "second": "exp_avg_sq"}
"""Names of the moments in torch's optimizers."""

_NEW = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
NO_BUFFERS = {"forward_sync_buffers" if _NEW else "broadcast_buffers": False}
"""Running statistics are not sent before every forward pass: they are the same in all processes."""

HALF = {"cpu": torch.bfloat16, "cuda": torch.float16, "mps": torch.float16}
LOSS_SCALE, GROWTH = 2.0**16, 2000
"""The factor of 16-bit gradients at the start, and the updates after which it is doubled (as torch.amp.GradScaler)."""


class Module:
    """The network on a device in training mode: forward and backward runs of one batch at a time."""

    def __init__(self, net: Network, weights: Mapping[str, Array], device: torch.device, mixed: bool = False):
        self.net, self.device, self.mixed = net, device, mixed
        self.half = HALF[device.type] if mixed else torch.float32
        self.scale = 1.0
        self.lowered: Lowered = to_device(Lowered(net), device)
        state = self.lowered.state_dict(keep_vars=True)
        self.tensors = {name: state[self.lowered.first_names[name]] for name in net.parameters}
        self.trainable = {name: t for name, t in self.tensors.items() if net.parameters[name].trainable}
        self.statistics = {
            name: t
            for name, t in self.tensors.items()
            if name not in self.trainable and not net.parameters[name].constant
        }
        for name in self.trainable.keys() - _read(net):
            self.trainable[name].requires_grad_(False)
        self.run: Any = self.lowered
        self._noisy = any(Trait.RANDOM in node.op.traits for node in net.nodes)
        self._outputs: tuple[Any, ...] = ()
        self._together = False
        self.part = Part()
        self.load(weights)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def load(self, weights: Mapping[str, Array]) -> None:
        """Copy these weights into the module."""
        for name, target in self.tensors.items():
            target.copy_(tensor(weights[name]))

    def share(self, group: Any) -> None:
        """From now on compute a part of every batch; the other processes of `group` compute the rest."""
        share(self.lowered, self.net, self.part, group)
        self._together = any(shared(node.op) for node in self.net.nodes)

    def forward(
        self, x: InputBatch, rng: np.random.Generator, process_group: ProcessGroup = SINGLE_PROCESS
    ) -> tuple[Array, ...]:
        """Outputs of a batch. An empty batch becomes one image that does not count, because all ops support it."""
        arrays = [array.astype(np.float32, copy=False) for array in arrays_by_input(self.net, x).values()]
        counts = np.zeros(process_group.size)
        counts[process_group.rank] = images = rows(arrays)
        if self._together:
            counts = process_group.sum(counts)
        part = self.part
        part.start, part.images, part.total = (
            int(counts[: process_group.rank].sum()),
            images,
            int(counts.sum()),
        )
        if part.total == 1:
            _ = self._suits_one
        self.run.train(images > 0)
        inputs = [tensor(a if images else np.zeros((1, *a.shape[1:]), np.float32)) for a in arrays]
        autocast = torch.autocast(self.device.type, self.half, enabled=self.mixed)
        with memory(images), translate_errors(), self._chance(rng), autocast:
            outputs = self.run(*(to_device(one, self.device) for one in inputs))
        self._outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(y.detach().float().cpu().numpy()[:images] for y in self._outputs)

    @functools.cached_property
    def _suits_one(self) -> bool:
        """True. Raises OpError if a norm cannot learn from a batch of one image."""
        for node in self.net.nodes:
            declaration_of(node.op, *self.net.declarations[node.name].inputs, training=True)
        return True

    def backward(self, gradients: Sequence[Array]) -> None:
        """Add up gradients in the parameters."""
        arriving = []
        for output, gradient in zip(self._outputs, gradients, strict=True):
            padded = torch.zeros(output.shape, dtype=torch.float32)
            padded[: self.part.images] = tensor(gradient)
            arriving.append((padded * self.scale).to(output))
        # Outputs that depend on no trained parameter have no gradient.
        trained = [k for k, output in enumerate(self._outputs) if output.requires_grad]
        if trained:
            with memory(self.part.images), translate_errors():
                torch.autograd.backward([self._outputs[k] for k in trained], [arriving[k] for k in trained])
        self._outputs = ()

    @contextlib.contextmanager
    def _chance(self, rng: np.random.Generator) -> Any:
        """Seed the noise of this batch, and restore torch's generators afterwards (except Metal's)."""
        if not self._noisy:
            yield
            return
        gpus = [self.device.index] if self.device.type == "cuda" else []
        with torch.random.fork_rng(gpus):
            torch.manual_seed(int(rng.integers(2**63)))
            yield


class TorchTraining(TrainingProgram):
    """Gradients as arrays, from arrays of weights."""

    def __init__(self, net: Network, weights: Mapping[str, Array], device: torch.device) -> None:
        self.net, self.updates = net, {}
        self._weights, self._module = weights, Module(net, weights, device)

    def forward(self, x: InputBatch, rng: np.random.Generator) -> tuple[Array, ...]:
        self._module.load(self._weights)
        outputs = self._module.forward(x, rng)
        self.updates = {name: _array(t) for name, t in self._module.statistics.items()}
        return outputs

    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        self._module.lowered.zero_grad()
        self._module.backward(gradients)
        return {
            name: np.zeros(t.shape, np.float32) if t.grad is None else _array(t.grad)
            for name, t in sorted(self._module.trainable.items())
        }


class TorchGradients(TrainingProgram):
    """Gradients of values of a network in its inference form, in the type of the batch."""

    def __init__(
        self, net: Network, weights: Mapping[str, Array], device: torch.device, values: Sequence[str]
    ) -> None:
        self.net, self.updates = net, {}
        self._weights, self._device, self._names = weights, device, values
        self._values: dict[str, Any] = {}

    def forward(self, x: InputBatch, rng: np.random.Generator) -> tuple[Array, ...]:
        arrays = arrays_by_input(self.net, x)
        dtype = next(iter(arrays.values())).dtype
        weights = {name: self._weights[name].astype(dtype, copy=False) for name in self.net.parameters}
        module = to_device(lower(self.net, weights), self._device).requires_grad_(False)
        inputs = {name: to_device(tensor(a), self._device).requires_grad_() for name, a in arrays.items()}
        with memory(rows(arrays)), translate_errors():
            self._values = module.values(inputs, {*self.net.outputs, *self._names})
        return tuple(_array(self._values[name]) for name in self.net.outputs)

    def backward(self, gradients: Sequence[Array]) -> dict[str, Array]:
        outputs = [self._values[name] for name in self.net.outputs]
        watched = [self._values[name] for name in self._names]
        arriving = [tensor(g).to(y) for y, g in zip(outputs, gradients, strict=True)]
        with translate_errors():
            results = torch.autograd.grad(outputs, watched, arriving, allow_unused=True, retain_graph=True)
        return {
            name: np.zeros(tuple(value.shape), np.float32) if g is None else _array(g)
            for name, value, g in zip(self._names, watched, results, strict=True)
        }


class TorchLearner(Learner):
    """Weights, moments and their moving average on a device, stepped there; `collect` copies them into the store."""

    def __init__(
        self,
        net: Network,
        rule: UpdateRule,
        store: OptimizerState,
        device: torch.device,
        process_group: ProcessGroup,
    ) -> None:
        self._module = Module(net, store.weights, device, rule.mixed)
        self._rule, self._store, self._world = rule, store, process_group
        self._parameters = list(self._module.trainable.values())
        self._skip, self._steps = False, store.steps
        if self._module.half == torch.float16:
            self._module.scale = store.loss_scale or LOSS_SCALE
        self._average = {
            name: tensor(array).to(device, copy=True) for name, array in (store.average or {}).items()
        }
        self._optimizer = self._make_optimizer()
        self._load_moments()
        if isinstance(process_group, Processes):
            self._module.share(process_group.norms)
        if isinstance(process_group, Processes) and any(p.requires_grad for p in self._parameters):
            self._module.run = DistributedDataParallel(
                self._module.lowered,
                device_ids=[device] if device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                **NO_BUFFERS,
            )

    def _make_optimizer(self) -> Any:
        rule, trainable = self._rule, self._module.trainable
        groups = [
            {"params": [t for name, t in trainable.items() if name in rule.decayed], "weight_decay": rule.weight_decay},
            {"params": [t for name, t in trainable.items() if name not in rule.decayed], "weight_decay": 0.0},
        ]  # fmt: skip
        make: Any = functools.partial(OPTIMIZERS[rule.word], [g for g in groups if g["params"]], lr=0.0)
        fused = self._module.device.type != "mps"
        if rule.word == "sgd":
            return make(momentum=rule.momentum, fused=fused)
        return make(betas=(rule.beta1, rule.beta2), eps=rule.eps, fused=fused)

    def _load_moments(self) -> None:
        """Load the moments of the store into the optimizer."""
        for kind, moments in self._store.moments.items():
            for name, array in moments.items():
                parameter = self._module.trainable[name]
                self._optimizer_state(parameter)[MOMENTS[kind]].copy_(tensor(array))

    def _optimizer_state(self, parameter: Any) -> dict[str, Any]:
        """The optimizer's state of a parameter; initially zero moments and the run's steps."""
        state: dict[str, Any] = self._optimizer.state[parameter]
        if not state:
            state.update({MOMENTS[kind]: torch.zeros_like(parameter) for kind in self._store.moments})
            if self._rule.word != "sgd":
                state["step"] = torch.tensor(float(self._steps), device=parameter.device)
        return state

    @property
    def loss_scale(self) -> float:
        return self._module.scale if self._module.half == torch.float16 else 0.0

    # ------------------------------------------------------------ one update
    def forward(self, x: InputBatch, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        run = self._module.run
        apart = isinstance(run, DistributedDataParallel) and not last
        with run.no_sync() if apart else contextlib.nullcontext():
            return self._module.forward(x, rng, self._world)

    def backward(self, gradients: Sequence[Array]) -> None:
        self._module.backward(gradients)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def clip_gradients(self, scale: float) -> float:
        rule, module = self._rule, self._module
        for parameter in self._parameters:
            if parameter.grad is None:  # leads to no output
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._parameters]
        if not gradients:
            return 0.0
        # DistributedDataParallel gives the mean over the processes.
        torch._foreach_mul_(gradients, scale * self._world.size / module.scale)
        norm = float(torch.stack(torch._foreach_norm(gradients)).cpu().double().norm())
        self._skip = not np.isfinite(norm) and module.scale > 1
        if self._skip:
            module.scale /= 2
            return 0.0
        if rule.clip_norm and norm > rule.clip_norm:
            torch._foreach_mul_(gradients, rule.clip_norm / norm)
        if rule.clip_value:
            torch._foreach_clamp_max_(gradients, rule.clip_value)
            torch._foreach_clamp_min_(gradients, -rule.clip_value)
        return norm

    def broken(self) -> list[str]:
        return [
            name
            for name, parameter in self._module.trainable.items()
            if not bool(torch.isfinite(parameter.grad).all())
        ]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, lr: float, momentum: float | None) -> None:
        module, rule = self._module, self._rule
        if not self._skip:
            for group in self._optimizer.param_groups:
                group["lr"] = lr
                if rule.word == "sgd":
                    group["momentum"] = rule.momentum if momentum is None else momentum
                    group["nesterov"] = rule.nesterov and group["momentum"] > 0
                else:
                    group["betas"] = (rule.beta1 if momentum is None else momentum, rule.beta2)
            self._optimizer.step()
        elif rule.word != "sgd":
            for parameter in self._parameters:  # left out, and counted
                self._optimizer_state(parameter)["step"] += 1
        self._steps += 1
        if module.half == torch.float16 and self._steps % GROWTH == 0:
            module.scale *= 2
        self._optimizer.zero_grad()
        if self._average:
            decay = average_decay(rule.ema, self._steps)
            average = list(self._average.values())
            torch._foreach_mul_(average, decay)
            now = [module.tensors[name] for name in self._average]
            torch._foreach_add_(average, now, alpha=1 - decay)

    def collect(self) -> None:
        store = self._store
        _copy(store.weights, self._module.tensors)
        if store.average is not None:
            _copy(store.average, self._average)
        for kind in store.moments:
            for name, parameter in self._module.trainable.items():
                moment = self._optimizer.state[parameter].get(MOMENTS[kind])
                if moment is not None:
                    store.moments[kind][name] = _array(moment)


def _read(net: Network) -> set[str]:
    """Names of the parameters that the outputs depend on."""
    values, names = set(net.outputs), set[str]()
    for node in reversed(net.nodes):
        if values & set(node.outputs):
            values |= set(node.inputs)
            names |= {node.key(p.name) for p in net.declarations[node.name].parameters}
    return names


def _array(source: Any) -> Array:
    """A contiguous numpy copy of a tensor."""
    array: Array = source.detach().contiguous().cpu().numpy().copy()
    return array


def _copy(arrays: Arrays, tensors: Mapping[str, Any]) -> None:
    for name, source in tensors.items():
        arrays[name][...] = _array(source)
