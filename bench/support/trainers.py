"""One training step in each tool: forward, gradient of the loss, backward, SGD with Nesterov momentum.

    python trainers.py TOOL THREADS --answers FOLDER CASE …   what the first step computes, as FOLDER/TOOL CASE TYPE.npz
    python trainers.py TOOL THREADS --serve                   each line names a case; the answer: seconds of one step

A case is a network, perhaps its input, and a batch size: `lenet5 64`, `resnet18 64x64x3 32`. All tools start from the
same weights and see the same batch, which stays in memory: reading and augmenting images is not part of a step.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LR, MOMENTUM, DECAY = 1e-3, 0.9, 5e-4
"""A small rate: the same batch is learnt again and again, and its gradients must not die away meanwhile."""

SAMPLE_S = 0.3
"""Steps are repeated for this long; a sample is their mean."""

FIRST_STEPS = (np.float64, np.float32)
"""The first step is compared in both. In float64 everything must agree. In float32 some of millions of numbers are
rounded to the other side of a relu's corner, in every tool at another place, and a gradient jumps there: only outputs
are compared. torch.compile is asked in float32 only; compiling takes minutes."""


class Trainer(NamedTuple):
    """step: one whole step. answers: what the last step computed, and the weights after it, by name."""

    step: Callable[[], None]
    answers: Callable[[], Mapping[str, Any]]


class Problem(NamedTuple):
    """net: Striate's network; weights: its start; x (N, C, H, W) and labels (N,)."""

    net: Any
    weights: dict[str, Any]
    x: Any
    labels: Any


def problem(case: str, dtype: Any = np.float32) -> Problem:
    """The same for every tool; in float64, where only answers are asked for, a few images."""
    from striate.formats import load
    from striate.weights import initialise

    name, *size, batch = case.split()
    net = load(name, *size)
    images = min(int(batch), 4) if dtype == np.float64 else int(batch)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, *net.input.without_batch), np.float32)
    weights = {name: array.astype(dtype) for name, array in initialise(net).items()}
    return Problem(net, weights, x.astype(dtype), rng.integers(0, 10, images))


def striate(given: Problem, threads: int) -> Trainer:
    """The fastest engine that runs here; in float64 the numpy engine."""
    from striate.engine.interface import get
    from striate.engine.learner import Rule, Store
    from striate.engine.world import ALONE
    from striate.train.losses import CrossEntropy
    from striate.train.optimizers import SGD, decayed

    net, weights, x, labels = given
    if x.dtype == np.float32:
        rule = Rule("sgd", MOMENTUM, nesterov=True, weight_decay=DECAY, decayed=decayed(net.parameters))
        store = Store(weights, {"velocity": {}}, None)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        learner = get("auto").learner(net, rule, store, ALONE)
        if learner is not None:
            return _learning(learner, weights, x, labels)
    program, loss, rng = get("numpy").training(net, weights), CrossEntropy(), np.random.default_rng(0)
    optimizer = SGD(MOMENTUM, nesterov=True, weight_decay=DECAY, decayed=decayed(net.parameters))
    last: dict[str, Any] = {}

    def step() -> None:
        (output,) = program.forward(x, rng)
        value = loss(output, labels)
        for name, statistic in program.updates.items():
            weights[name][...] = statistic
        gradients = program.backward([value.gradient / value.gradient.dtype.type(value.weight)])
        optimizer.step(weights, gradients, LR)
        last.update({"output": output} | {f"gradient of {name}": g for name, g in gradients.items()})

    return Trainer(step, lambda: last | weights)


def _learning(learner: Any, weights: dict[str, Any], x: Any, labels: Any) -> Trainer:
    from striate.train.losses import CrossEntropy

    loss, rng, last = CrossEntropy(), np.random.default_rng(0), {}

    def step() -> None:
        (output,) = learner.forward(x, rng, True)
        value = loss(output, labels)
        learner.backward([value.gradient])
        learner.bound(1 / value.weight)
        learner.step(LR, None)
        last["output"] = output

    return Trainer(step, lambda: last | weights)


def torch_eager(given: Problem, threads: int, last_channels: bool = False, compiled: bool = False) -> Trainer:
    """torch, with its fused optimizer; weight decay on the same tensors as Striate's."""
    import torch

    from striate.engine.torch.lowering import lower
    from striate.train.optimizers import decayed

    torch.set_num_threads(threads)
    x, labels = torch.tensor(given.x), torch.tensor(given.labels)
    module = lower(given.net, given.weights).train()
    if last_channels:
        module = module.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    heavy = decayed(given.net.parameters)
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, weight in module.named_parameters():
        groups[name in heavy].append(weight)
    optimizer = torch.optim.SGD(
        [{"params": ps, "weight_decay": DECAY * shrinks} for shrinks, ps in groups.items()],
        lr=LR,
        momentum=MOMENTUM,
        nesterov=True,
        fused=True,
    )
    run = torch.compile(module, dynamic=False) if compiled else module
    last: dict[str, Any] = {}

    def step() -> None:
        optimizer.zero_grad()
        output = run(x)
        torch.nn.functional.cross_entropy(output, labels).backward()
        optimizer.step()
        last["output"] = output

    def answers() -> dict[str, Any]:
        gradients = {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
        found = last | gradients | {name: module.state_dict()[name] for name in given.weights}
        return {name: tensor.detach().numpy() for name, tensor in found.items()}

    return Trainer(step, answers)


def torch_channels_last(given: Problem, threads: int) -> Trainer:
    """Images and filters with the channels innermost, as oneDNN's convolutions like them."""
    return torch_eager(given, threads, last_channels=True)


def torch_compile(given: Problem, threads: int) -> Trainer:
    """Forward and backward compiled by TorchInductor, which needs a C++ compiler."""
    return torch_eager(given, threads, compiled=True)


TOOLS = {tool.__name__: tool for tool in (striate, torch_eager, torch_channels_last, torch_compile)}


# ---------------------------------------------------------------- the process
def serve(prepare: Callable[[str], Trainer]) -> None:
    """Each line of standard input names a case; the answer: seconds of a step, on the clock and of processor time."""
    ready: dict[str, Trainer] = {}
    for line in sys.stdin:
        case = line.strip()
        step = (ready.get(case) or ready.setdefault(case, prepare(case))).step
        step()  # unseen: caches and threads were another row's
        count, start, used = 0, time.perf_counter(), time.process_time()
        while count < 2 or time.perf_counter() - start < SAMPLE_S:
            step()
            count += 1
        print((time.perf_counter() - start) / count, (time.process_time() - used) / count, flush=True)


if __name__ == "__main__":
    _, tool, number, mode, *rest = sys.argv

    def prepare(case: str) -> Trainer:
        return TOOLS[tool](problem(case), int(number))

    if mode == "--serve":
        serve(prepare)
    else:
        folder, *cases = rest
        for case in cases:
            for dtype in FIRST_STEPS[tool == "torch_compile" :]:
                trainer = TOOLS[tool](problem(case, dtype), int(number))
                trainer.step()
                np.savez(Path(folder) / f"{tool} {case} {np.dtype(dtype)}.npz", **trainer.answers())
