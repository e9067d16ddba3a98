"""The replay of plans: what it says of a kernel call is what the call does, and it finds plans that are wrong."""

import contextlib
import dataclasses
import random

import numpy as np
import pytest

import striate as st
from engine.compiled import drawn, images
from engine.kernels.support import STEP, targets
from engine.test_training_gradients import NETWORKS, RARER, seeded
from exhaustive import EXHAUSTIVE
from generators import plan as graphs
from striate.diagnostics import EngineError, OpError, StriateError
from striate.engine.kernels import cost_model, tile
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan import dense, place, planar, winograd
from striate.engine.plan.execution_plan import plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.plan.planar import PlanarLowering
from striate.engine.runtime.loaded_plan import Constants, LoadedPlan
from striate.engine.target import AVX2, AVX512, NEON, SSE
from striate.engine.training import training_plan as training
from striate.engine.training.compiled_training import CompiledTraining, LoadedTrainingPlan
from striate.engine.training.taped_node import Unsupported
from striate.engine.verify.regions import FIRST, HALF, SPACE
from striate.engine.verify.replay import MODELS, Replay, faults
from striate.engine.verify.touches import KernelTask
from striate.models import catalogue
from striate.network import Builder
from striate.ops import Add, Affine, Conv, Relu

EVERY = (AVX512, AVX2, SSE, NEON)
SEEDS = range(2000 if EXHAUSTIVE else 40)
SPATIAL = {
    "blocks": "9x7x20 -> conv 3 24 pad 1 -> relu -> conv 3 4 groups 4 pad 1 -> lrn 3 -> gn 2 -> softmax"
    " -> conv 1 9 -> silu",
    "deep": "8x8x16 -> conv 3x3 256 pad 1 -> relu -> conv 3x3 256 pad 1 -> maxpool 2 -> gap -> flatten -> fc 3",
    "planes": "32x32x40 -> conv 7x7 3 pad 3 -> tanh -> tconv 2 20 /2 -> adaptiveavgpool 3 -> flatten"
    " -> hardsigmoid -> fc 3",
    "groups": "9x8x12 -> conv 3 24 groups 6 pad 1 -> conv 3 16 groups 4 -> dwconv 5 pad 2 -> upsample 2 -> ln -> gap",
}


# ------------------------------------------------------------------ what is said of kernel calls
def _places(replay, memory, addresses):
    """Numbers of the memory that a step's addresses mean; none where these lie outside of it."""
    if not addresses.size:
        return np.zeros(0, np.int64)
    region = int(addresses[0] - FIRST) // SPACE
    owner = replay.regions.owners[region]
    root = getattr(owner, "root", None)
    if root not in memory:
        return np.zeros(0, np.int64)
    return memory[root] + (addresses - (FIRST + region * SPACE + HALF)) // 4


def _tried(loaded, room, memory, rng, seen):
    """Run every task twice, on memory that differs wherever it is said to read nothing."""
    replay = Replay(loaded.plan)
    backgrounds = [rng.uniform(-1, 1, room.size).astype(np.float32) for _ in range(2)]
    for step, record in zip(loaded.plan.steps, loaded._records, strict=True):
        seen.add(step.kernel.template)
        told = replay.regions.array(step.record)
        for task in step.tasks:
            call = KernelTask(loaded.plan.context.target, step.kernel.parameters, told, task, step.rows)
            touched = MODELS[step.kernel.template](call)
            read = [_places(replay, memory, a) for a in (*touched.reads, *(a for a, _ in touched.local))]
            written = [_places(replay, memory, a) for a in touched.writes]
            reads, writes = (
                np.unique(np.concatenate([*some, np.zeros(0, np.int64)])) for some in (read, written)
            )
            common, results = rng.uniform(0.1, 1, reads.size).astype(np.float32), []
            what = f"{step.unit.name}: {step.algorithm} {step.tile}, {task}"
            for background in backgrounds:
                other = background[reads]
                background[reads] = common
                room[:] = background
                STEP(loaded._code[step.kernel])(record.ctypes.data, *task, loaded._rooms[0])
                results.append(room[writes].copy())
                room[writes] = background[writes]
                assert (room == background).all(), f"{what} writes more"
                background[reads] = other
            np.testing.assert_array_equal(*results, f"{what} reads more, or writes less")


def _inference(net, target, threads, batch, seen, strict=False):
    made = plan(
        batched(net, batch), drawn(net), net.outputs, PlanContext(target, threads, strict, cache=1 << 16)
    )
    loaded = LoadedPlan(made, Constants())
    x = images(net, batch)
    results = loaded.run(x)  # both stay where the records say
    memory = {value: offset // 4 for value, offset in made.arena.offsets.items()}
    _tried(loaded, loaded._arena, memory, np.random.default_rng(0), seen)
    assert x.size and results


def _training(net, target, threads, batch, seen):
    program = CompiledTraining(net, drawn(net), PlanContext(target, threads))
    x, seeds = seeded(net, batch)
    program.forward(x, np.random.default_rng(0))
    assert program.compiled
    program.backward(seeds)
    loaded = program._now
    assert isinstance(loaded, LoadedTrainingPlan)
    memory = {value: offset // 4 for value, offset in loaded.plan.arena.offsets.items()}
    _tried(loaded, program._shared, memory, np.random.default_rng(0), seen)


@pytest.mark.skipif(not targets(), reason="no kernels run on this processor")
def test_what_is_said_of_a_kernel_call_is_what_it_does():
    seen: set[str] = set()
    for text in SPATIAL.values():
        _inference(st.parse(text), targets()[0], 2, 2, seen)
    for name in ("plane", "few channels", "norms", "windows", "groups", "transposed", "winograd"):
        _training(st.parse(NETWORKS[name]), targets()[0], 2, 3, seen)
    for name in ("pixel norms", "small groups", "near channels", "padding"):
        _training(st.parse(RARER[name]), targets()[-1], 2, 3, seen)
    assert seen >= set(MODELS) - (
        {"planar_conv", "to_planes", "winograd_input"} if targets()[0] is not AVX512 else set()
    )


@pytest.mark.skipif(not targets(), reason="no kernels run on this processor")
@pytest.mark.parametrize("seed", range(200 if EXHAUSTIVE else 6))
def test_so_it_is_in_graphs(seed):
    net, seen = graphs.made(seed), set()
    target = random.Random(seed).choice(targets())
    _inference(net, target, 2, 3, seen, strict=seed % 2 == 1)
    try:
        _training(net, target, 2, 3, seen)
    except OpError as error:
        assert "batch norm cannot train" in str(error)


# ------------------------------------------------------------------ sound plans
@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
@pytest.mark.parametrize(
    "text", {**NETWORKS, **RARER, **SPATIAL}.values(), ids={**NETWORKS, **RARER, **SPATIAL}
)
def test_plans_of_layers_are_sound(text, target):
    net = st.parse(text)
    assert not faults(plan(batched(net, 3), drawn(net), net.outputs, PlanContext(target, 2, cache=1 << 16)))
    try:
        assert not faults(training.plan(batched(net, 3), PlanContext(target, 2)))
    except Unsupported:
        assert "winograd" not in text


@pytest.mark.parametrize("part", range(4))
def test_plans_of_graphs_are_sound(part):
    for seed in SEEDS[part::4]:
        found = graphs.replayed(graphs.made(seed), random.Random(seed), EVERY if EXHAUSTIVE else None)
        assert found is None, f"seed {seed}: {found}"


NARROW_INPUTS = {
    f"{channels} channels, {size}x{size}": f"{size}x{size}x{channels} -> conv 3x3 {filters} {more} -> flatten -> fc 3"
    for channels in (1, 2, 3, 4, 5)
    for size, filters, more in ((6, 16, ""), (7, 40, "pad 1"), (13, 8, "pad 1 -> relu -> maxpool 2"))
}


@pytest.fixture()
def costs(monkeypatch):
    """Sets what is predicted of every loop: cycles by chance, of no processor."""

    def forget():
        for module in (dense, planar, tile, winograd):
            for known in vars(module).values():
                getattr(known, "cache_clear", lambda: None)()

    def by_chance(seed):
        forget()

        def cycles(target, **counts):
            return random.Random(f"{seed} {counts}").choice([0.01, 1.0, 100.0])

        monkeypatch.setattr(cost_model, "cycles", cycles)

    yield by_chance
    forget()


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
def test_plans_are_sound_whatever_is_predicted_to_be_fastest(costs, target):
    """What may be chosen follows from what kernels read, not from costs that happen to exclude the rest."""
    seen = set()
    for name, text in {**NARROW_INPUTS, **SPATIAL}.items():
        net = st.parse(text)
        for batch, threads in ((2, 1), (5, 2)):
            costs(f"{name} {batch}")
            context = PlanContext(target, threads)
            made = [plan(batched(net, batch), drawn(net), net.outputs, context)]
            with contextlib.suppress(Unsupported):
                made.append(training.plan(batched(net, batch), context))
            found = [*map(str, [fault for one in made for fault in faults(one)])]
            assert not found, (text, batch, threads)
            seen |= {(step.unit.inputs[0].root.lanes, step.algorithm) for one in made for step in one.steps}
    assert seen >= {(3, "direct"), (target.lanes, "direct"), (target.lanes, "F(4x4)")}


SMALL = ["lenet5", "cifar_resnet20"]
WHOLE = list(catalogue.list_models()) if EXHAUSTIVE else SMALL


WIDE, NARROW = 4096, 256
"""A classifier of VGG's time has layers of 4,096 units, between which 100 million weights lie; here they have fewer."""
MOST = 150_000_000
"""Parameters up to which a training step is replayed too: its shadow takes 17 bytes for each of their gradients."""


def _narrowed(net):
    nodes = []
    for node in net.nodes:
        for field in ("filters", "features"):
            if getattr(node.op, field, None) == WIDE:
                node = dataclasses.replace(node, op=dataclasses.replace(node.op, **{field: NARROW}))
        nodes.append(node)
    return dataclasses.replace(net, nodes=tuple(nodes))


def _created(name):
    """A network of the catalogue, narrowed, and for a small image where it takes one."""
    net = _narrowed(st.create(name))
    for side in (64, 96, 188):
        if net.input.shape[-1] > side:
            with contextlib.suppress(StriateError):
                made = _narrowed(st.create(name, input=(net.input.channels, side, side)))
                assert made.specs
                return made
    return net


@pytest.mark.parametrize("name", WHOLE)
def test_plans_of_the_catalogue_are_sound(name):
    net = _created(name)
    weights = {key: np.broadcast_to(np.float32(1), p.shape) for key, p in net.parameters.items()}
    for target, batch, threads in ((AVX512, 1, 2), (AVX2, 2, 3), (NEON, 1, 1)):
        assert not faults(plan(batched(net, batch), weights, net.outputs, PlanContext(target, threads)))
    if sum(p.elements for p in net.parameters.values()) > MOST:
        return
    try:
        assert not faults(training.plan(batched(net, 2), PlanContext(AVX512, 2)))
    except (Unsupported, OpError):
        assert name not in SMALL


@pytest.mark.parametrize("part", range(4))
def test_graphs_compute_what_the_numpy_engine_computes(part):
    for seed in range(part, 3000 if EXHAUSTIVE else 16, 4):
        found = graphs.computed(graphs.made(seed), random.Random(seed))
        assert found is None, f"seed {seed}: {found}"


# ------------------------------------------------------------------ plans that are not
def _skip():
    b = Builder("skip", input=(16, 9, 9))
    x = b(Relu(), b.input)
    return b.build(b(Add(), x, b(Conv(16, 3, padding=1), x)))


def _planned(net, target=AVX512, threads=2, batch=2):
    return plan(batched(net, batch), drawn(net), net.outputs, PlanContext(target, threads))


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
def test_a_sum_over_what_its_convolution_reads_is_found(monkeypatch, target):
    assert not faults(_planned(_skip(), target))
    monkeypatch.setattr(place, "overwritable", lambda unit: [] if unit.residual is None else [unit.residual])
    found = faults(_planned(_skip(), target))
    assert found and "add1" in found[0].step


def test_a_weight_that_is_moved_before_the_run_that_computes_it_is_found(monkeypatch):
    b = Builder("few", input=(6, 1, 17))
    x = b(Affine(weight=b.input.spec.without_batch), b.input)
    net = b.build(b(Conv(2, (1, 3), padding=((7, 0), (1, 1)), groups=2), x))
    assert not faults(training.plan(batched(net, 1), PlanContext(AVX512, 1)))
    chosen = PlanarLowering.choose

    def careless(self, unit, context):
        return chosen(self, dataclasses.replace(unit, parameters={}), context)

    monkeypatch.setattr(PlanarLowering, "choose", careless)
    (found,) = faults(training.plan(batched(net, 1), PlanContext(AVX512, 1)))
    assert "before the run" in found.why


def _changed(change):
    """Faults of a plan with something done to it."""
    made = _planned(
        st.parse("12x12x3 -> conv 3x3 20 pad 1 -> relu -> maxpool 2 -> conv 3x3 40 pad 1 -> flatten -> fc 5")
    )
    assert not faults(made)
    change(made)
    return faults(made)


def test_values_that_share_memory_too_early_are_found():
    def together(made):
        offsets = made.arena.offsets
        for value in offsets:
            offsets[value] = 0

    assert _changed(together)


def test_a_step_too_early_is_found():
    def swapped(made):
        steps = made.steps
        at = next(k for k, step in enumerate(steps) if step.algorithm == "max pool")
        steps[at - 1], steps[at] = steps[at], steps[at - 1]

    assert _changed(swapped)


def test_a_border_that_is_not_cleared_is_found():
    def without(made):
        at = next(k for k, step in enumerate(made.steps) if step.algorithm == "border")
        del made.steps[at], made.epochs[at]

    (found, *_) = _changed(without)
    assert "never written" in found.why


def test_a_missing_task_is_found():
    def without(made):
        step = next(step for step in made.steps if step.algorithm == "max pool")
        first, last, part, end = step.tasks[0]
        step.tasks[0] = first, last - 1, part, end

    assert "never written" in _changed(without)[0].why


def test_steps_that_may_run_side_by_side_and_must_not_are_found():
    def side_by_side(made):
        made.epochs[:] = [0] * len(made.epochs)

    assert any("while another task" in fault.why for fault in _changed(side_by_side))


def test_the_switch_refuses_a_plan_that_is_not_sound(monkeypatch):
    monkeypatch.setattr(place, "overwritable", lambda unit: [] if unit.residual is None else [unit.residual])
    made = _planned(_skip(), (targets() or EVERY)[0])
    if targets():
        monkeypatch.delenv("STRIATE_VERIFY", raising=False)
        LoadedPlan(made, Constants())
        for asked in ("1", "small"):
            monkeypatch.setenv("STRIATE_VERIFY", asked)
            with pytest.raises(EngineError, match="plan of skip is wrong"):
                LoadedPlan(made, Constants())
