"""Nothing is read or written outside a run's buffers, and nothing is read that no step has written.

Every value, result, weight, table and scratch lies by itself between pages that nobody may touch, first with its end
at such a page, then with its start; memory that a run has to fill holds NaN before. The runs are made in a child
process, whose death is the answer.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import striate
from engine.compiled import FAST, assert_agrees, described, drawn, images, one_op, wanted
from engine.kernels.support import PAGE, guarded, targets
from engine.test_compiled_engine_networks import ANY, WINDOWED, branched, reduced, small
from engine.test_compiled_engine_ops import windowed
from engine.test_training_gradients import NETWORKS as TRAINED
from engine.test_training_gradients import RARER, seeded, stepped
from exhaustive import EXHAUSTIVE
from striate.diagnostics import StriateError
from striate.engine import aligned
from striate.engine.codegen import compiling
from striate.engine.numpy_.numpy_engine import NumpyTraining, batched
from striate.engine.plan.execution_plan import plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.runtime.loaded_plan import Constants, LoadedPlan
from striate.engine.target import TARGETS, Target
from striate.engine.training.budget import NoRoom, fit_plan
from striate.engine.training.compiled_training import CompiledTraining

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

TESTS = Path(__file__).parents[1]
SIDES = ("end", "start")


def fenced(side: str):
    """An allocator of buffers whose end, or whose start, is next to a page that must not be touched."""

    def allocate(count: int, dtype) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        room = guarded(size if side == "end" else -(-max(size, 1) // PAGE) * PAGE, np.dtype(dtype).itemsize)
        made = room[:size].view(dtype)
        if made.dtype.kind == "f":
            made[:] = np.nan
        return made

    return allocate


def run(net, size: int, side: str, target: Target, names=(), threads: int = 2, strict: bool = False) -> None:
    """One network between guards, twice: the second run finds what the first one left."""
    print(f"{target.name}, batch {size}, {threads} threads, {names}: {described(net)}", flush=True)
    names = tuple(dict.fromkeys(names)) or net.outputs
    weights, x = drawn(net), images(net, size)
    allocate = fenced(side)
    given = aligned.aligned_copy(x, allocate)
    made = plan(batched(net, size), weights, names, PlanContext(target, threads, strict))
    loaded = LoadedPlan(made, Constants(allocate), allocate)
    for _ in range(2):
        found = loaded.run(given)
    for name, reference in wanted(net, weights, x, names).items():
        assert_agrees(found[name], reference, FAST, f"{name} of {described(net)}")


def quick(count: int) -> settings:
    """As many examples, the same every time, none tried again when one kills the process."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def networks(side: str, target: Target) -> None:
    """Generated networks, outputs alone or every value."""

    @quick(25)
    @given(ANY | WINDOWED, st.sampled_from([1, 2, 7]), st.sampled_from([1, 2, 3]), st.booleans())
    def walk(net, size, threads, every) -> None:
        assume(small(net))
        run(net, size, side, target, tuple(net.specs) if every else (), threads)

    walk()


def windows(side: str, target: Target) -> None:
    """Convolutions and pools of any geometry."""

    @quick(40)
    @given(windowed(), st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.booleans())
    def walk(case, size, threads, strict) -> None:
        run(one_op(*case), size, side, target, (), threads, strict)

    walk()


def whole(side: str, target: Target) -> None:
    """Networks whose layers are large enough for every algorithm."""
    for strict in (False, True):
        run(branched(), 2, side, target, strict=strict)
    run(branched(), 40, side, target)
    for name in ("lenet5", "mobilenet_v3_small", "shufflenet_v2_x0_5"):
        run(reduced(name), 1, side, target)


def training(side: str, target: Target) -> None:
    """Forward and back, twice."""
    allocate = fenced(side)

    def step(net, size, memory=0) -> None:
        print(f"training, {target.name}, batch {size}, {memory} bytes: {described(net)}", flush=True)
        weights = {name: aligned.aligned_copy(array, allocate) for name, array in drawn(net).items()}
        program = CompiledTraining(net, weights, PlanContext(target, 2), allocate, memory)
        x, seeds = seeded(net, size)
        x, seeds = aligned.aligned_copy(x, allocate), [aligned.aligned_copy(seed, allocate) for seed in seeds]
        exact = NumpyTraining(net, {name: array.astype(float) for name, array in weights.items()})
        for _ in range(2):
            found, wanted = stepped(program, x, seeds), stepped(exact, x, seeds, float)
            for name, gradient in wanted[1].items():
                assert np.isfinite(found[1][name]).all() or not np.isfinite(gradient).all(), name

    for text in (*TRAINED.values(), *RARER.values()):
        step(striate.parse(text), 3)
    deep = striate.parse(
        "12x12x3 -> [conv 3x3 24 pad 1 bias off -> bn -> relu]*6 -> maxpool 2 -> flatten -> fc 3"
    )
    with pytest.raises(NoRoom) as least:
        fit_plan(batched(deep, 16), PlanContext(target, 2), 1)
    step(deep, 16, least.value.smallest)

    @quick(25)
    @given(ANY | WINDOWED, st.sampled_from([2, 5]))
    def walk(net, size) -> None:
        assume(small(net))
        with contextlib.suppress(StriateError):  # a batch norm of one number
            step(net, size)

    walk()


def _main(what: str, side: str, target: str) -> None:
    compiling.available = lambda: 1  # kernels are compiled here: new processes would start for every network
    globals()[what](side, TARGETS[target])


WIDEST = [
    (what, side, target.name)
    for target in targets()[:1]
    for what in ("networks", "windows", "whole", "training")
    for side in SIDES
]
NARROWER = [
    (what, "end", target.name) for target in targets()[1:] for what in ("windows", "whole", "training")
]


# `.ci/run` runs the widest of every target, by STRIATE_TARGET.
@pytest.mark.parametrize("what, side, target", WIDEST + NARROWER if EXHAUSTIVE else WIDEST)
def test_no_stray_access(what, side, target):
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-c",
            f"from engine.test_compiled_engine_memory import _main; _main({what!r}, {side!r}, {target!r})",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    assert done.returncode == 0, f"exit {done.returncode} in\n{last}\n{done.stderr[-3000:]}"
    assert last, "nothing was run"


def test_a_guard_kills():
    """The fences stand: one number beyond either end of a buffer ends the process."""
    for side, index in (("end", "made.nbytes"), ("start", "-1")):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import ctypes; from engine.test_compiled_engine_memory import fenced, np;"
                f"made = fenced({side!r})(1001, np.float32);"
                f"ctypes.c_char.from_address(made.ctypes.data + {index}).value",
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
            capture_output=True,
            timeout=60,
        )
        assert done.returncode < 0
