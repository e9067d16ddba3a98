"""A whole training by one tool, and when a share of the held-out images was right.

    python trainers.py TOOL THREADS RECIPE SEED BEGUN

BEGUN: the clock (time.monotonic) when the process was started. One line of JSON answers: see `Answer`.

Every tool has the same network with the same first weights, the same batches in the same order, made ahead by the same
thread (`striate.train.data_source`), AdamW and the one-cycle schedule. torch's loop is written as its own documentation
does, with its fused optimizer, its scheduler and its autograd; after every epoch the held-out images are judged.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from striate.cli import tour

TEXTURES = """32x32x1
    -> conv 5x5 8 bias off -> bn -> relu -> maxpool 2
    -> conv 3x3 16 bias off -> bn -> relu -> maxpool 2
    -> conv 3x3 32 bias off -> bn -> relu -> gap -> flatten -> fc 3"""
"""As in examples/textures.py."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """settings: of `striate train`; target: share of the held-out images."""

    model: str
    data: str
    settings: dict[str, Any]
    target: float
    said: str


RECIPES = {
    "digits": Recipe(tour.MODEL, tour.DATA, tour.SETTINGS, 0.98, "LeNet-5 on digits"),
    "textures": Recipe(
        TEXTURES,
        "textures",
        {"epochs": 6, "batch_size": 32, "lr": 0.01, "schedule": "onecycle", "keep": "last", "flip": 0.5},
        0.95,
        "a small network on textures",
    ),
}


class Answer(TypedDict):
    """Seconds from the start of training to the first weights that were changed, and to the epoch after which the
    target was reached; the latter also from the start of the process; None where it never was. accuracies: after each
    epoch. seconds: of the whole training; batches_s: of making its batches, alone.
    """

    first_s: float
    reached_s: float | None
    process_s: float | None
    seconds: float
    batches_s: float
    accuracies: list[float]


class Watch:
    """The clock, from the start of training."""

    def __init__(self, target: float, begun: float) -> None:
        self.target, self.begun, self.start = target, begun, time.monotonic()
        self.answer: Answer = {
            "first_s": 0.0, "reached_s": None, "process_s": None, "seconds": 0.0, "batches_s": 0.0, "accuracies": [],
        }  # fmt: skip

    def updated(self) -> None:
        self.answer["first_s"] = self.answer["first_s"] or time.monotonic() - self.start

    def judged(self, accuracy: float) -> None:
        now = time.monotonic()
        self.answer["accuracies"].append(accuracy)
        self.answer["seconds"] = now - self.start
        if accuracy >= self.target and self.answer["reached_s"] is None:
            self.answer |= {"reached_s": now - self.start, "process_s": now - self.begun}


@dataclasses.dataclass
class Job:
    """What every tool gets. weights: changed in place. made: transformations for training and for everything else."""

    net: Any
    weights: dict[str, Any]
    train: Any
    test: Any
    transforms: Any
    settings: Any

    @classmethod
    def of(cls, recipe: Recipe, seed: int) -> Job:
        import striate as st
        from striate.train.adapt_network import adapt_network
        from striate.train.data import open_data
        from striate.train.data_source import make_transforms
        from striate.train.settings import Settings

        parts = open_data(recipe.data)
        net = adapt_network(recipe.model, parts.train).net
        settings = Settings().replace({**recipe.settings, "seed": seed}).resolved
        assert parts.test is not None
        transforms = make_transforms(net, parts.train, settings)
        weights = dict(st.Model(net, seed=seed, engine="numpy").weights)
        return cls(net, weights, parts.train, parts.test, transforms, settings)

    def batches(self, size: int = 0) -> tuple[Any, Any]:
        """Sources of the training's and of the held-out batches (these of another size)."""
        from striate.train.data_source import sources

        train, test = sources(self.train, self.test, self.transforms, self.settings)
        return train, dataclasses.replace(test, batch_size=size or test.batch_size)


def striate(job: Job, threads: int, watch: Watch) -> None:
    """`fit`, with the engine that `auto` takes."""
    from striate.train.events import EpochDone, Updated
    from striate.train.loop import fit

    def hear(event: Any) -> None:
        if isinstance(event, Updated):
            watch.updated()
        elif isinstance(event, EpochDone):
            watch.judged(event.row["validation_accuracy"])

    fit(job.net, job.weights, job.train, job.test, job.settings, transforms=job.transforms, callbacks=[hear])


def torch_eager(job: Job, threads: int, watch: Watch, *, last: bool = False, compiled: bool = False) -> None:
    """torch's own loop. Held-out images come in larger batches, which is faster there."""
    import torch

    from striate.engine.torch.lowering import lower
    from striate.peers.training import groups

    settings = job.settings
    train, test = job.batches(256)
    layout = {"memory_format": torch.channels_last} if last else {}
    module = lower(job.net, job.weights).to(**layout)
    run = torch.compile(module) if compiled else module
    optimizer = torch.optim.AdamW(
        groups(module, job.net, settings.weight_decay),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.lr, total_steps=settings.epochs * train.steps
    )
    entropy = torch.nn.functional.cross_entropy

    def tensors(batches: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        for batch in batches:
            yield torch.from_numpy(batch.x).to(**layout), torch.from_numpy(batch.y)

    for epoch in range(settings.epochs):
        module.train()
        for x, labels in tensors(train.epoch(epoch)):
            optimizer.zero_grad()
            entropy(run(x), labels).backward()
            optimizer.step()
            schedule.step()
            watch.updated()
        module.eval()
        with torch.inference_mode():
            right = sum(int((module(x).argmax(1) == labels).sum()) for x, labels in tensors(test.epoch()))
        watch.judged(right / test.images)
    state = module.state_dict()
    for name, array in job.weights.items():
        array[...] = state[name].numpy()


def torch_channels_last(job: Job, threads: int, watch: Watch) -> None:
    torch_eager(job, threads, watch, last=True)


def torch_compile(job: Job, threads: int, watch: Watch) -> None:
    torch_eager(job, threads, watch, last=True, compiled=True)


TRAINERS: dict[str, Callable[[Job, int, Watch], None]] = {
    trainer.__name__: trainer for trainer in (striate, torch_eager, torch_channels_last, torch_compile)
}


def main(tool: str, threads: int, recipe: str, seed: int, begun: float) -> Answer:
    from striate.peers.training import import_tool
    from striate.peers.worker import pin

    pin(threads)
    import_tool(tool)
    if tool != "striate":
        import torch

        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
    job = Job.of(RECIPES[recipe], seed)
    watch = Watch(RECIPES[recipe].target, begun)
    TRAINERS[tool](job, threads, watch)
    start = time.monotonic()
    source, _ = job.batches()
    for epoch in range(job.settings.epochs):
        for _ in source.epoch(epoch):
            pass
    watch.answer["batches_s"] = time.monotonic() - start
    return watch.answer


if __name__ == "__main__":
    _, chosen, count, which, drawn, at = sys.argv
    print(json.dumps(main(chosen, int(count), which, int(drawn), float(at))))
