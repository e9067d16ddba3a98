"""One training step in each tool: forward, cross-entropy, backward, SGD with Nesterov momentum, in float32.

All tools start from the same weights and use the same batch, which stays in memory: a step includes no reading or
augmentation. Before anything is timed, the first step is compared with that of the numpy engine in float64.
"""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.engine.inputs import InputBatch
from striate.engine.interface import Engine, TrainingProgram
from striate.engine.learner import Learner, OptimizerState, UpdateRule
from striate.engine.process_group import SINGLE_PROCESS
from striate.engine.registry import get_engine
from striate.network import Network
from striate.peers.subject import Subject
from striate.train.losses import CrossEntropy
from striate.train.optimizers import SGD, decayed

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

LR, MOMENTUM, DECAY = 1e-3, 0.9, 5e-4
"""A small learning rate, because gradients must not vanish while the same batch is trained repeatedly."""

AUXILIARY = 0.3
"""Weight of the loss of every output after the first, as in `striate train`."""

COMPARED = 4
"""Images of the compared step; few, because float64 in numpy is slow."""

COMPARED_LR = 1.0
"""Large enough that an update is not lost in the rounding of the weights."""

DRAWS = 2
"""Maximum number of batches drawn for the comparison."""

FLOOR = 1e-3
"""An update with less than this share of the total norm is rounding: a bias before a batch norm has gradient 0."""


class Problem(NamedTuple):
    """The input of every tool. x: (N, C, H, W); labels: (N, …) for each output."""

    net: Network
    weights: dict[str, Array]
    x: Array
    labels: list[Array]


class Trainer(NamedTuple):
    """Training steps of one tool. phases: the parts of a step, in order; loss: of the last step.

    weights: current ones by name; engine: name of the engine of the last step.
    """

    phases: Mapping[str, Callable[[], None]]
    loss: Callable[[], float]
    weights: Callable[[], Mapping[str, Array]]
    engine: Callable[[], str]

    def step(self) -> None:
        for phase in self.phases.values():
            phase()


def problem(subject: Subject) -> Problem:
    """The network, its weights and a batch of noise."""
    model = subject.load("numpy")  # only its weights are needed
    weights = {name: np.array(array) for name, array in model.weights.items()}
    return _draw_problem(model.net, weights, subject.batch, 0)


def comparison_problem(subject: Subject, dtype: Any, draw: int) -> Problem:
    """The problem of the compared step: few images, and no random layers."""
    model = subject.load("numpy")
    weights = {name: array.astype(dtype) for name, array in model.weights.items()}
    task = _draw_problem(_without_noise(model.net), weights, min(subject.batch, COMPARED), draw)
    return task._replace(x=task.x.astype(dtype))


def _draw_problem(net: Network, weights: dict[str, Array], images: int, draw: int) -> Problem:
    rng = np.random.default_rng(draw)
    x = rng.standard_normal((images, *net.input.without_batch), np.float32)
    shapes = [net.specs[name].shape[1:] for name in net.outputs]
    return Problem(net, weights, x, [rng.integers(0, shape[0], (images, *shape[1:])) for shape in shapes])


def _without_noise(net: Network) -> Network:
    """Set the rate of random layers to 0, because tools draw different random numbers."""
    nodes = []
    for node in net.nodes:
        declared = net.training[node.name]
        quiet: Any = node.op
        nodes.append(
            dataclasses.replace(node, op=dataclasses.replace(quiet, rate=0.0)) if declared.noise else node
        )
    return dataclasses.replace(net, nodes=tuple(nodes))


# ---------------------------------------------------------------- Striate's engines
def striate(task: Problem, threads: int, lr: float) -> Trainer:
    """The engine that `auto` selects."""
    return _engine(get_engine("auto"), task, lr)


def numpy(task: Problem, threads: int, lr: float) -> Trainer:
    """The numpy engine, which runs everywhere."""
    return _engine(get_engine("numpy"), task, lr)


def _engine(engine: Engine, task: Problem, lr: float) -> Trainer:
    net, weights = task.net, task.weights
    rule = UpdateRule("sgd", MOMENTUM, nesterov=True, weight_decay=DECAY, decayed=decayed(net.parameters))
    learner = engine.learner(net, rule, OptimizerState(weights, {"velocity": {}}, None), SINGLE_PROCESS)
    return _trainer(task, learner or Arrays(engine.training(net, weights), weights, rule), lr)


class Arrays(Learner):
    """Learner for engines without one: numpy updates the weights, as in `striate.train`."""

    def __init__(self, program: TrainingProgram, weights: dict[str, Array], rule: UpdateRule) -> None:
        self._program, self._weights = program, weights
        self._rule = SGD(rule.momentum, rule.nesterov, rule.weight_decay, rule.decayed)
        self._gradients: dict[str, Array] = {}

    def forward(self, x: InputBatch, rng: np.random.Generator, last: bool) -> tuple[Array, ...]:
        return self._program.forward(x, rng)

    def backward(self, gradients: Sequence[Array]) -> None:
        for name, statistic in self._program.updates.items():
            self._weights[name][...] = statistic
        self._gradients = self._program.backward(gradients)

    def clip_gradients(self, scale: float) -> float:
        self._gradients = {name: gradient * scale for name, gradient in self._gradients.items()}
        return 1.0

    def broken(self) -> list[str]:
        return []

    def step(self, lr: float, momentum: float | None) -> None:
        self._rule.step(self._weights, self._gradients, lr, momentum)

    def collect(self) -> None:
        """Do nothing: the arrays of the weights are always current."""


def _trainer(task: Problem, learner: Learner, lr: float) -> Trainer:
    x, labels, weights = task.x, task.labels, task.weights
    loss, rng = CrossEntropy(), np.random.default_rng(0)
    shares = [1.0, *[AUXILIARY] * (len(labels) - 1)]
    outputs: tuple[Array, ...] = ()
    gradients: list[Array] = []
    value, weight = 0.0, 1.0

    def forward() -> None:
        nonlocal outputs
        outputs = learner.forward(x, rng, True)

    def losses() -> None:
        nonlocal gradients, value, weight
        results = [loss(output, target) for output, target in zip(outputs, labels, strict=True)]
        weight = results[0].weight
        value = sum(share * result.mean for share, result in zip(shares, results, strict=True))
        gradients = [results[0].gradient]
        gradients += [result.gradient * (AUXILIARY * weight / result.weight) for result in results[1:]]

    def update() -> None:
        learner.clip_gradients(1 / weight)
        learner.step(lr, None)

    phases = {
        "forward": forward,
        "loss": losses,
        "backward": lambda: learner.backward(gradients),
        "update": update,
    }
    return Trainer(
        phases,
        lambda: value,
        lambda: weights,
        lambda: "compiled" if getattr(learner, "compiled", False) else "numpy",
    )


# ---------------------------------------------------------------- torch
def torch_eager(
    task: Problem, threads: int, lr: float, *, last: bool = False, compiled: bool = False
) -> Trainer:
    """Eager torch with its fused optimizer; denormal numbers are flushed to zero, as in Striate."""
    import torch

    from striate.engine.torch.lowering import lower

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    layout = {"memory_format": torch.channels_last} if last and task.x.ndim == 4 else {}
    x = torch.from_numpy(task.x).to(**layout)
    labels = [torch.from_numpy(target) for target in task.labels]
    names, module = list(task.net.parameters), lower(task.net, task.weights).train().to(**layout)
    optimizer = torch.optim.SGD(
        groups(module, task.net, DECAY), lr=lr, momentum=MOMENTUM, nesterov=True, fused=True
    )
    run: Any = module
    if compiled:
        import torch._inductor.config as inductor

        inductor.compile_threads = 1  # no compiler processes next to the measured one
        run = torch.compile(module, dynamic=False)
    shares = [1.0, *[AUXILIARY] * (len(labels) - 1)]
    entropy = torch.nn.functional.cross_entropy
    outputs: Any = None
    value: Any = None

    def forward() -> None:
        nonlocal outputs
        optimizer.zero_grad()
        outputs = run(x)

    def losses() -> None:
        nonlocal value
        logits = outputs if isinstance(outputs, tuple) else (outputs,)
        value = sum(
            share * entropy(output, target)
            for share, output, target in zip(shares, logits, labels, strict=True)
        )

    def weights() -> dict[str, Array]:
        state = module.state_dict()
        return {name: state[name].detach().numpy().copy() for name in names}

    phases = {
        "forward": forward,
        "loss": losses,
        "backward": lambda: value.backward(),
        "update": lambda: optimizer.step(),
    }
    return Trainer(phases, lambda: float(value), weights, lambda: "torch")


def groups(module: Any, net: Network, decay: float) -> list[dict[str, Any]]:
    """Parameter groups of a torch module: weight decay applies to the same parameters as in Striate."""
    heavy = decayed(net.parameters)
    kinds: dict[bool, list[Any]] = {True: [], False: []}
    for name, weight in module.named_parameters():
        kinds[name in heavy].append(weight)
    return [{"params": ps, "weight_decay": decay * shrinks} for shrinks, ps in kinds.items() if ps]


def torch_channels_last(task: Problem, threads: int, lr: float) -> Trainer:
    """Eager torch with channels-last images and filters, the layout that oneDNN's convolutions prefer."""
    return torch_eager(task, threads, lr, last=True)


def torch_compile(task: Problem, threads: int, lr: float) -> Trainer:
    """Forward and backward compiled by TorchInductor, which needs a C++ compiler."""
    return torch_eager(task, threads, lr, last=True, compiled=True)


TRAINERS: dict[str, Callable[[Problem, int, float], Trainer]] = {
    trainer.__name__: trainer for trainer in (striate, numpy, torch_eager, torch_channels_last, torch_compile)
}


def import_tool(tool: str) -> None:
    """Import the packages of a tool, so that their memory does not count as that of the step."""
    if tool.startswith("torch"):
        importlib.import_module("striate.engine.torch.lowering")
    elif tool == "striate" and get_engine("auto").name == "compiled":
        importlib.import_module("striate.engine.training.compiled_learner")


# ---------------------------------------------------------------- what is compared
def changes(
    tool: str, subject: Subject, threads: int, dtype: Any = np.float32, draw: int = 0
) -> dict[str, Array]:
    """Run the first step; return its `loss`, and the change of every weight and running statistic."""
    task = comparison_problem(subject, dtype, draw)
    before = {name: array.copy() for name, array in task.weights.items()}
    trainer = TRAINERS[tool](task, threads, COMPARED_LR)
    trainer.step()
    after = trainer.weights()
    return {"loss": np.array(trainer.loss())} | {name: after[name] - old for name, old in before.items()}


def difference(
    changes: Mapping[str, Array], reference: Mapping[str, Array], net: Network
) -> tuple[float, str]:
    """The largest relative difference between two results of `changes`, and the name of its tensor."""
    learned = {name for name, parameter in net.parameters.items() if parameter.trainable}
    worst = 0.0, "loss"
    for names in ({"loss"}, learned, reference.keys() - learned - {"loss"}):
        norm = np.sqrt(sum(_length(reference[name]) ** 2 for name in names))
        for name in sorted(names):
            least = max(_length(reference[name]), FLOOR * norm, 1e-30)
            gap = _length(changes[name].astype(np.float64) - reference[name]) / least
            worst = max(worst, (gap if gap == gap else np.inf, name))
    return worst


def _length(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64).reshape(-1)))


# ---------------------------------------------------------------- what is timed
def phase_seconds(trainer: Trainer, runs: int) -> dict[str, float]:
    """Seconds of each phase of a step, the median of some runs."""
    by_phase: dict[str, list[float]] = {name: [] for name in trainer.phases}
    for _ in range(runs):
        for name, phase in trainer.phases.items():
            start = time.perf_counter()
            phase()
            by_phase[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds)) for name, seconds in by_phase.items()}
