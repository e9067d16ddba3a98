"""Memory of training steps: what a plan says is what it takes, nothing is spoilt before it is read, a budget is kept,
and no bit of a result depends on it."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject
from hypothesis import settings as tried
from hypothesis import strategies as some

import striate as st
from engine.compiled import drawn
from engine.kernels.support import targets
from engine.processes import python
from engine.test_compiled_engine_networks import ANY, WINDOWED, small
from engine.test_training_gradients import NETWORKS, seeded, stepped
from exhaustive import EXHAUSTIVE
from striate.diagnostics import LimitError, StriateError, UsageError
from striate.engine.layout import ALIGN_BYTES
from striate.engine.learner import OptimizerState, UpdateRule
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.process_group import SINGLE_PROCESS
from striate.engine.registry import get_engine
from striate.engine.target import AVX512
from striate.engine.training.budget import NoRoom, fit_plan
from striate.engine.training.compiled_training import CompiledTraining
from striate.engine.training.taped_node import Unsupported
from striate.engine.training.training_plan import plan
from striate.train.loop import fit
from striate.train.settings import Settings
from striate.weights import initialize
from train.small import stripes

here = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

RESIDUAL = "cifar_resnet20", (3, 16, 16)
CHAIN = "12x12x3 -> [conv 3x3 24 pad 1 bias off -> bn -> relu]*8 -> gap -> flatten -> fc 3"


def planned(net, batch, room=0, threads=2):
    whole, context = batched(net, batch), PlanContext(AVX512, threads)
    return fit_plan(whole, context, room) if room else plan(whole, context)


def smallest(net, batch):
    with pytest.raises(NoRoom) as error:
        planned(net, batch, 1)
    return error.value.smallest


def sound(made):
    """Whether every value that a step reads is as its makers left it, and every gradient at the end."""
    places = made.arena.offsets
    roots = {v.root for step in made.steps for v in (*step.reads, *step.writes) if not v.root.outside}
    assert set(places) == roots
    assert all(places[v] % ALIGN_BYTES == 0 and places[v] + v.layout.bytes <= made.arena.bytes for v in roots)
    ordered = sorted(roots, key=places.__getitem__)
    ends = {v: places[v] + v.layout.bytes for v in ordered}
    over = {
        a: [b for b in ordered if b is not a and places[a] < ends[b] and places[b] < ends[a]] for a in ordered
    }
    whole = set()
    for epoch in dict.fromkeys(made.epochs):
        own = [step for step, when in zip(made.steps, made.epochs, strict=True) if when == epoch]
        used = {v.root for step in own for v in (*step.reads, *step.writes) if not v.root.outside}
        assert not any(used.intersection(over[value]) for value in used), epoch
        for value in {v.root for step in own for v in step.writes if not v.root.outside}:
            whole.add(value)
            whole.difference_update(over[value])
        for step in own:
            for value in {v.root for v in step.reads if not v.root.outside}:
                assert value in whole, f"{value.name} for {step.unit.name}"
    assert whole >= set(made.buffers.gradients.values())
    return True


FAMILIES = {
    "lenet5": ((1, 28, 28), 8), "cifar_resnet20": ((3, 16, 16), 4), "resnet18": ((3, 32, 32), 2),
    "vgg11": ((3, 32, 32), 1), "mobilenet_v2": ((3, 32, 32), 4), "squeezenet1_1": ((3, 48, 48), 2),
    "densenet121": ((3, 32, 32), 2), "googlenet": ((3, 64, 64), 2),
}  # fmt: skip


FEW = ("lenet5", "squeezenet1_1")


def test_a_plan_holds_no_weights():
    net = st.parse("10x10x3 -> conv 3 8 -> flatten -> fc 20000 -> fc 4")
    planned(net, 1)
    tracemalloc.start()
    made = planned(net, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * sum(4 * math.prod(value.shape) for value in made.buffers.parameters.values())


@pytest.mark.parametrize("name", FAMILIES if EXHAUSTIVE else FEW)
def test_families_within_a_budget(name):
    shape, batch = FAMILIES[name]
    net = st.create(name, input=shape, num_classes=7)
    whole, least = planned(net, batch), smallest(net, batch)
    assert sound(whole) and not whole.repeats
    assert least <= whole.bytes
    room = (least + whole.bytes) // 2
    for asked in {least, room}:
        made = planned(net, batch, asked)
        assert sound(made) and made.bytes <= asked
        assert made.repeats or made.bytes == whole.bytes
        assert made.buffers.gradients.keys() == whole.buffers.gradients.keys()


def test_deep_networks_take_little_more_for_every_layer():
    """With n layers of one size, √n of them are kept, and the segments between them are made again one by one."""
    short, long = (st.parse(CHAIN.replace("*8", f"*{n}")) for n in (4, 16))
    assert planned(long, 64).bytes > 3 * planned(short, 64).bytes
    assert smallest(long, 64) < 2.3 * smallest(short, 64)


def test_a_tight_budget_costs_less_than_another_forward_run():
    net = st.parse(CHAIN)
    whole, least = planned(net, 16), smallest(net, 16)
    flops = [sum(step.flops for step in planned(net, 16, asked).steps) for asked in (whole.bytes, least)]
    assert flops[0] < flops[1] < 4 / 3 * flops[0]
    room = planned(net, 16, whole.bytes - 1)
    assert 0 < room.repeats < planned(net, 16, least).repeats


def runs(net, batch, weights, memory=0):
    program = CompiledTraining(net, weights, PlanContext(targets()[0], 2), memory=memory)
    found = stepped(program, *seeded(net, batch))
    return program, [*found[0], *found[1].values(), *found[2].values()]


def unchanged(net, batch, shares, without_kernels=pytest.fail):
    weights = drawn(net)
    program, wanted = runs(net, batch, weights)
    if not program.compiled:
        without_kernels()
    whole, context = batched(net, batch), PlanContext(targets()[0], 2)
    full, least = program.plan_for(batch).plan.bytes, 1
    try:
        fit_plan(whole, context, 1)
    except NoRoom as error:
        least = error.smallest
    for share in shares:
        room = least + int(share * (full - least))
        program, found = runs(net, batch, weights, room)
        assert program.plan_for(batch).plan.bytes <= room
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


@here
@pytest.mark.parametrize(
    "text", [NETWORKS["norms"], NETWORKS["groups"], CHAIN], ids=["norms", "groups", "chain"]
)
def test_a_budget_changes_no_bit(text):
    unchanged(st.parse(text), 8, (0.0, 0.5))


@here
def test_a_budget_changes_no_bit_where_branches_meet():
    unchanged(st.create(RESIDUAL[0], input=RESIDUAL[1]), 4, (0.0, 0.6) if EXHAUSTIVE else (0.0,))


@here
@tried(max_examples=10, suppress_health_check=list(HealthCheck))
@given(ANY | WINDOWED, some.sampled_from([2, 3]), some.sampled_from([0.0, 0.4]))
def test_a_budget_changes_no_bit_of_generated_networks(net, batch, share):
    assume(small(net))
    try:
        unchanged(net, batch, (share,), without_kernels=reject)
    except StriateError as error:
        assert "batch norm cannot train" in str(error)


def learner(net, **more):
    weights = drawn(net)
    rule = UpdateRule("sgd", 0.9, decayed=frozenset(), **more)
    return get_engine("compiled").learner(
        net, rule, OptimizerState(weights, {"velocity": {}}, None), SINGLE_PROCESS
    )


@here
def test_too_little_memory_says_what_is_enough():
    net = st.parse(CHAIN)
    with pytest.raises(LimitError) as error:
        learner(net, memory=100_000, batch_size=16)
    said = error.value
    assert "16 images does not fit into 100KB" in str(said)
    fix = said.fix.split(",")[0].removeprefix('memory="').removesuffix('"')
    enough = int(fix[:-2]) * {"KB": 10**3, "MB": 10**6}[fix[-2:]]
    learner(net, memory=enough, batch_size=16)
    with pytest.raises(LimitError):
        learner(net, memory=int(0.9 * enough), batch_size=16)


@here
def test_a_network_without_plan_has_no_budget(monkeypatch):
    from striate.engine.training import budget

    def refused(*_):
        raise Unsupported("node")

    monkeypatch.setattr(budget, "record_tape", refused)
    with pytest.raises(UsageError, match="cannot be trained within"):
        learner(st.parse(CHAIN), memory=10**9, batch_size=2)


@here
def test_a_run_within_an_amount_of_memory():
    net = st.parse("8x8x1 -> [conv 3x3 16 pad 1 bias off -> bn -> relu]*6 -> gap -> flatten -> fc 3")
    arrays = initialize(net, 0)
    held = 3 * sum(array.nbytes for array in arrays.values())
    full, least = planned(net, 32).bytes + held, smallest(net, 32) + held
    memory = (full + least) // 2000
    assert least < 1000 * memory < full
    found = []
    for amount in ("", f"{memory}KB"):
        arrays = initialize(net, 0)
        fit(
            net,
            arrays,
            stripes(40),
            None,
            Settings(epochs=1, batch_size=32, memory=amount),
            engine="compiled",
        )
        found.append(arrays)
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])


@pytest.mark.parametrize("given, engine, says", [
    ("2 parrots", "auto", "an amount of memory such as 2GB"), ("0MB", "auto", "an amount of memory such as 2GB"),
    ("2GB", "numpy", 'engine="compiled", or leave out memory'),
])  # fmt: skip
def test_an_amount_that_cannot_be_kept_is_refused(given, engine, says):
    net = st.parse("8x8x1 -> conv 3x3 4 -> gap -> flatten -> fc 3")
    with pytest.raises(UsageError) as error:
        fit(net, initialize(net, 0), stripes(8), None, Settings(epochs=1, memory=given), engine=engine)
    assert says in str(error.value)


@here
def test_batch_sizes_share_memory():
    net = st.parse(NETWORKS["norms"])
    program = CompiledTraining(net, drawn(net), PlanContext(targets()[0], 2))
    for batch in (4, 9, 3):
        wanted = stepped(CompiledTraining(net, drawn(net), PlanContext(targets()[0], 2)), *seeded(net, batch))
        found = stepped(program, *seeded(net, batch))
        for name, gradient in wanted[1].items():
            np.testing.assert_array_equal(found[1][name], gradient)
    assert program._shared.nbytes < 1.01 * program.plan_for(9).plan.arena.bytes + 128


MEASURED = """
import sys, numpy as np, striate as st
from striate.engine.compiled_engine import CompiledEngine
from striate.engine.learner import UpdateRule, OptimizerState
from striate.engine.target import host
from striate.engine.process_group import SINGLE_PROCESS
from striate.weights import initialize

def resident(word):
    with open("/proc/self/status") as status:
        return 1024 * int(next(line for line in status if line.startswith(word)).split()[1])

net, x = st.parse({text!r}), np.random.default_rng(0).standard_normal((64, 3, 32, 32), np.float32)

def steps(net, x, memory):
    store = OptimizerState(initialize(net), {{"velocity": {{}}}}, None)
    rule = UpdateRule("sgd", 0.9, memory=memory, batch_size=len(x))
    learner = CompiledEngine(host()).learner(net, rule, store, SINGLE_PROCESS)
    for _ in range(3):
        outputs = learner.forward(x, np.random.default_rng(0), True)
        learner.backward([output / output.size for output in outputs])
        learner.clip_gradients(1.0)
        learner.step(0.01, None)

steps(st.parse({text!r}), x[:1].repeat(2, 0), 0)  # code, threads and what else there is only once
before = resident("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
steps(net, x, {memory})
print(resident("VmHWM") - before)
"""


@here
def test_what_a_process_grows_by_is_within_the_budget():
    text = "32x32x3 -> [conv 3x3 16 pad 1 bias off -> bn -> relu -> dropout 0.1]*8 -> gap -> flatten -> fc 3"
    net = st.parse(text)
    least, full = smallest(net, 64), planned(net, 64).bytes
    memory = (least + full) // 2
    done = python(MEASURED.format(text=text, memory=memory))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 1.05 * memory < full
