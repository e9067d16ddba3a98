"""Training as a guest of a process: nothing grows, however long it lasts and whatever is dropped."""

import gc
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import striate
from engine.compiled import drawn
from engine.kernels.support import targets
from engine.test_compiled_engine_runtime import _held, _resident, child
from exhaustive import EXHAUSTIVE
from striate import weights
from striate.diagnostics import LimitError
from striate.engine.learner import OptimizerState, UpdateRule
from striate.engine.process_group import SINGLE_PROCESS
from striate.engine.registry import get_engine
from striate.train.data import ArrayData, Transform
from striate.train.data.image_transforms import Normalize
from striate.train.events import Updated
from striate.train.loop import fit
from striate.train.settings import Settings

pytestmark = [
    pytest.mark.skipif(not targets(), reason="no kernels run on this processor"),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here"),
]

UNIT = Transform((Normalize((0.5,), (0.35,)),))


class Gauge:
    """What this process holds, now and since."""

    def __init__(self) -> None:
        gc.collect()
        self.blocks, self.bytes, self.held = sys.getallocatedblocks(), _resident(), _held()

    def assert_flat(self, blocks: int, megabytes: float) -> None:
        now = Gauge()
        for _ in range(40):  # a thread that has ended is still there for a moment
            if now.held == self.held:
                break
            time.sleep(0.05)
            now = Gauge()
        print(
            f"{now.blocks - self.blocks} blocks, {(now.bytes - self.bytes) / 2**20:.2f} MB", file=sys.stderr
        )
        assert now.held == self.held, (now.held, self.held)
        assert now.blocks - self.blocks <= blocks
        assert now.bytes - self.bytes <= megabytes * 2**20


def _steps(count: int) -> None:
    """One epoch of LeNet-5 on batches of 4, with everything that a step may have."""
    net = striate.create("lenet5")
    few = np.random.default_rng(0).random((50, 1, 32, 32), np.float32)
    at = np.arange(4 * count) % 50
    data = ArrayData(np.broadcast_to(few[0], (4 * count, 1, 32, 32)), at % 10)
    data.images = lambda ids: (few[at[ids]], np.asarray(ids, np.int64))  # type: ignore[method-assign]
    warm, gauges = count // 4, []

    def hear(event: object) -> None:
        if isinstance(event, Updated) and event.update in (warm, count):
            gauges.append(Gauge())
            if event.update == count:
                gauges[0].assert_flat(blocks=200, megabytes=1)

    chosen = Settings(epochs=1, batch_size=4, ema=0.9, clip_norm=1.0, mixup=0.2, lr=1e-4)
    fit(
        net,
        weights.initialize(net, 0),
        data,
        None,
        chosen,
        engine="compiled",
        callbacks=[hear],
        transforms=(UNIT, UNIT),
    )
    assert len(gauges) == 2


def _learner(net, arrays, word: str):
    rule = UpdateRule(word, weight_decay=0.01, decayed=frozenset(arrays))
    kinds = {"sgd": ("velocity",), "adamw": ("first", "second")}[word]
    return get_engine("compiled").learner(
        net, rule, OptimizerState(arrays, {kind: {} for kind in kinds}, None), SINGLE_PROCESS
    )


def _step(learner, x) -> None:
    outputs = learner.forward(x, np.random.default_rng(0), True)
    learner.backward([np.ones_like(y) for y in outputs])
    assert np.isfinite(learner.clip_gradients(1e-3))
    learner.step(1e-4, None)


def _learners(count: int) -> None:
    """Each holds some 10 to 30 MB while it lives, for two batch sizes; memory that is free again varies by 30 MB."""
    net = striate.parse("8x8x64 -> conv 3 256 pad 1 -> relu -> conv 3 256 pad 1 -> gap -> flatten -> fc 10")
    batches = [np.ones((size, 64, 8, 8), np.float32) for size in (2, 3)]

    def turn(k: int) -> None:
        learner = _learner(net, drawn(net), ("sgd", "adamw")[k % 2])
        for x in batches:
            _step(learner, x)

    for k in range(8):
        turn(k)
    gauge = Gauge()
    for k in range(count):
        turn(k)
    gauge.assert_flat(blocks=2000, megabytes=2 * max(count, 20))  # a learner is thousands


def _sizes(count: int) -> None:
    """Batches of many sizes: only a few stay ready."""
    net = striate.parse("16x16x3 -> conv 3 32 pad 1 -> relu -> conv 3 32 pad 1 -> gap -> flatten -> fc 10")
    learner = _learner(net, drawn(net), "sgd")

    def turn(first: int) -> None:
        for size in range(first, first + 12):
            _step(learner, np.ones((size, 3, 16, 16), np.float32))

    for first in (30, 1, 15):
        turn(first)
    gauge = Gauge()
    for k in range(count):
        turn((15, 30, 1)[k % 3])
    turn(15)
    gauge.assert_flat(blocks=3000, megabytes=8)


def _beyond_memory() -> None:
    """With 3 GB of addresses: the house's error with a fix, and the next small batch is learned from."""
    import resource

    net = striate.parse("64x64x3 -> conv 3 256 pad 1 -> relu -> conv 3 256 pad 1 -> gap -> flatten -> fc 3")
    learner = _learner(net, drawn(net), "sgd")
    _step(learner, np.ones((1, 3, 64, 64), np.float32))
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    with pytest.raises(LimitError) as raised:
        learner.forward(np.zeros((1000, 3, 64, 64), np.float32), np.random.default_rng(0), True)
    assert "batch_size" in raised.value.fix
    _step(learner, np.ones((1, 3, 64, 64), np.float32))


def test_a_batch_that_does_not_fit():
    done = child("from engine.test_training_runs import _beyond_memory; _beyond_memory()")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("what", "count"), [("_steps", 500), ("_learners", 20), ("_sizes", 1)])
def test_nothing_grows(what, count):
    count *= 20 if EXHAUSTIVE else 1  # ten thousand steps and four hundred learners take minutes
    done = child(f"from engine.test_training_runs import {what}; {what}({count})", timeout=550)
    assert done.returncode == 0, done.stderr
