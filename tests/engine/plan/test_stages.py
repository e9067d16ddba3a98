"""Stages of a plan: each leaves what the one before made as it was, and finds a plan that was broken on purpose."""

import dataclasses

import pytest

import striate as st
from engine.plan.support import buffer, network
from striate.diagnostics import EngineError
from striate.engine.plan import place
from striate.engine.plan.arena import Arena
from striate.engine.plan.execution_plan import plan, stages
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.plan.stages import VERIFY
from striate.engine.plan.units import Buffer
from striate.engine.target import AVX512
from striate.engine.training import training_plan as training
from striate.network import Builder
from striate.ops import Add, Concat, Conv, Relu
from striate.weights import initialize

BATCH = 3
CONTEXT = PlanContext(AVX512, 2, cache=1 << 12)
"""So small a cache that spans pay."""


def skip():
    """A residual sum, a concatenation and padding."""
    b = Builder("skip", (16, 12, 12))
    x = b(Relu(), b.input, name="x")
    total = b(Add(), b(Conv(16, 3, padding=1), x, name="inner"), x, name="sum")
    both = b(Concat(), b(Conv(16, 1), total, name="left"), b(Conv(16, 3, padding=1), total, name="right"))
    return b.build(b(Conv(8, 1), both, name="last"))


def inference(net=None, batch=BATCH, context=CONTEXT):
    net = network(net or skip(), batch)
    return {stage.name: stage for stage in stages(net, initialize(net), net.outputs, context)}


def trained(net=None, dropped=()):
    net = network(net or skip(), BATCH)
    taped = training.record_tape(net, training.training_declarations(net), CONTEXT)
    return {stage.name: stage for stage in training.stages(taped, CONTEXT, dropped)}


def drawn(stage):
    """Everything that a stage decided, in words."""
    units = getattr(stage, "units", ())
    calls = getattr(stage, "calls", getattr(stage, "steps", ()))
    numbers = {}

    def value(v: Buffer):
        known = v in numbers
        at = numbers.setdefault(v, len(numbers))
        fields = {f.name: getattr(v, f.name) for f in dataclasses.fields(v) if f.name != "home"}
        return at if known else (at, fields, v.home and value(v.home))

    return [
        *(
            (u.nodes[:], repr(u.body)[:40], [value(v) for v in (*u.reads, *u.outputs)], u.low, u.high, u.epilogue)
            for u in units
        ),
        *(
            (c.unit.name, c.algorithm, c.tile, c.rows, c.parts, c.tasks[:], c.after_all, c.weights,
             [value(v) for v in (*c.reads, *c.writes)])
            for c in calls
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["skip", "cifar_resnet20", "squeezenet1_1"])
def test_a_later_stage_leaves_the_earlier_ones_as_they_were(name):
    net = network(skip() if name == "skip" else st.create(name), BATCH)
    taped = training.record_tape(net, training.training_declarations(net), CONTEXT)
    for row in (stages(net, initialize(net), net.outputs, CONTEXT), training.stages(taped, CONTEXT)):
        made = [(stage, drawn(stage)) for stage in row]
        assert len(made) == 5
        for stage, before in made:
            assert drawn(stage) == before, stage.name


def test_a_plan_has_its_stages_in_order():
    made = inference()
    assert list(made) == ["fused", "placed", "spanned", "stepped", "allotted"]
    assert made["spanned"].spans  # or nothing below tests them
    assert list(trained()) == ["fused", "repeated", "placed", "stepped", "allotted"]


@pytest.mark.parametrize("name", ["lenet5", "cifar_resnet20", "squeezenet1_1", "densenet121", "mobilenet_v2"])
@pytest.mark.parametrize("batch", [1, 3])
def test_all_stages_are_sound(name, batch):
    for cache in (1 << 12, 1 << 18, 1 << 20):
        for stage in inference(st.create(name), batch, dataclasses.replace(CONTEXT, cache=cache)).values():
            stage.verify()


@pytest.mark.parametrize("name", ["lenet5", "cifar_resnet20", "mobilenet_v2"])
def test_all_stages_of_a_training_plan_are_sound(name):
    for stage in trained(st.create(name)).values():
        stage.verify()


# ------------------------------------------------------------------ each invariant, broken
def without_a_unit(made):
    (at,) = (k for k, unit in enumerate(made.units) if "inner" in unit.nodes)
    return dataclasses.replace(made, units=(*made.units[:at], *made.units[at + 1 :]))


def with_a_unit_twice(made):
    return dataclasses.replace(made, units=(*made.units, made.units[-1]))


def with_a_part_outside(made):
    value = next(v for unit in made.units for v in unit.outputs if v.name == "right")
    value.offset = value.home.channels
    return made


def without_layouts(made):
    for unit in made.units:
        for value in unit.outputs:
            value.root.lanes = 0
    return made


def with_another_border(made):
    (unit,) = (unit for unit in made.units if unit.residual is not None)
    inner = dataclasses.replace(unit.outputs[0], home=None, pads=(3, 3, 3, 3))
    return dataclasses.replace(
        made, units=[dataclasses.replace(u, outputs=[inner]) if u is unit else u for u in made.units]
    )


def with_a_slot_that_others_touch(made):
    span = made.spans[0]
    late = made.calls[span.first]
    return dataclasses.replace(made, calls=(*made.calls, late))


def with_spans_that_overlap(made):
    return dataclasses.replace(made, spans=(*made.spans, made.spans[-1]))


def with_calls(made, change):
    """The stage with some calls changed: `change` gives one in place of each, or None."""
    pairs = [(change(call), epoch) for call, epoch in zip(made.calls, made.epochs, strict=True)]
    pairs = [(call, epoch) for call, epoch in pairs if call is not None]
    return dataclasses.replace(
        made, calls=tuple(call for call, _ in pairs), epochs=tuple(epoch for _, epoch in pairs)
    )


def with_a_task_less(made):
    busy = next(call for call in made.calls if call.tasks)
    return with_calls(
        made, lambda call: dataclasses.replace(call, tasks=call.tasks[1:]) if call is busy else call
    )


def with_a_task_twice(made):
    busy = next(call for call in made.calls if call.tasks)
    return with_calls(
        made,
        lambda call: dataclasses.replace(call, tasks=[*call.tasks, busy.tasks[0]]) if call is busy else call,
    )


def with_shorter_rows(made):
    busy = next(call for call in made.calls if call.tasks)
    first, last, part, end = busy.tasks[-1]
    tasks = [*busy.tasks[:-1], (first, last - 1, part, end)]
    return with_calls(made, lambda call: dataclasses.replace(call, tasks=tasks) if call is busy else call)


def without_a_writer(made):
    return with_calls(made, lambda call: None if call.unit.nodes[:1] == ["inner"] else call)


def with_one_epoch(made):
    return dataclasses.replace(made, epochs=(0,) * len(made.epochs))


def with_epochs_backwards(made):
    return dataclasses.replace(made, epochs=made.epochs[::-1])


def with_arena(made, **offsets):
    """The plan with other places for some buffers, by name."""
    changed = {value: offsets.get(value.name, at) for value, at in made.arena.offsets.items()}
    return dataclasses.replace(made, arena=Arena(changed, made.arena.bytes))


def with_a_buffer_without_memory(made):
    offsets = dict(list(made.arena.offsets.items())[1:])
    return dataclasses.replace(made, arena=Arena(offsets, made.arena.bytes))


def with_memory_for_nothing(made):
    return dataclasses.replace(
        made, arena=Arena({**made.arena.offsets, buffer("nothing"): 0}, made.arena.bytes)
    )


def with_everything_at_zero(made):
    return with_arena(made, **{value.name: 0 for value in made.arena.offsets})


def with_a_buffer_outside(made):
    return with_arena(made, **{next(iter(made.arena.offsets)).name: made.arena.bytes})


def with_a_buffer_between_lines(made):
    return with_arena(made, **{value.name: at + 4 for value, at in made.arena.offsets.items()})


def with_a_gradient_overwritten(made):
    """A gradient that lies where a later buffer is written."""
    (early,) = (value for name, value in made.buffers.gradients.items() if name == "last.weight")
    (late,) = (value for name, value in made.buffers.gradients.items() if name == "inner.weight")
    return dataclasses.replace(
        made, arena=Arena({**made.arena.offsets, early: made.arena.offsets[late]}, made.arena.bytes)
    )


@pytest.mark.parametrize(
    ("stage", "broken", "why"),
    [
        ("fused", without_a_unit, "reads .*, which no earlier unit writes"),
        ("fused", with_a_unit_twice, "last is in 2 units.*last has 2 writers"),
        ("placed", without_a_unit, "which no earlier unit writes"),
        ("placed", with_a_unit_twice, "last has 2 writers"),
        ("placed", with_a_part_outside, "right does not lie inside"),
        ("placed", without_layouts, "has no layout"),
        ("placed", with_another_border, "has another layout than sum"),
        ("spanned", with_a_part_outside, "right does not lie inside"),
        ("spanned", with_a_slot_that_others_touch, "which has one slot for all images"),
        ("spanned", with_spans_that_overlap, "overlap"),
        ("stepped", with_a_task_less, "do not cover"),
        ("stepped", with_a_task_twice, "do not cover"),
        ("stepped", with_shorter_rows, "do not cover"),
        ("stepped", without_a_writer, "which no earlier call writes"),
        ("stepped", with_one_epoch, "which another call of epoch 0 writes"),
        ("stepped", with_epochs_backwards, "not in order"),
        ("allotted", with_a_buffer_without_memory, "has no memory"),
        ("allotted", with_memory_for_nothing, "nothing has memory, but no call uses it"),
        ("allotted", with_everything_at_zero, "share memory in epoch|after its memory was overwritten"),
        ("allotted", with_a_buffer_outside, "not inside the arena"),
        ("allotted", with_a_buffer_between_lines, "not aligned"),
    ],
)
def test_a_stage_that_is_broken_is_named(stage, broken, why):
    made = inference()[stage]
    made.verify()
    with pytest.raises(EngineError, match=f"(?s)plan of skip is wrong after the stage '{stage}'.*({why})"):
        broken(made).verify()


def with_a_dropped_value(made):
    (lost,) = (v for unit in made.units for v in unit.outputs if v.name == "x" and not v.outside)
    return dataclasses.replace(made, alike={lost: lost})


@pytest.mark.parametrize(
    ("stage", "broken", "why"),
    [
        ("fused", without_a_unit, "which no earlier unit writes"),
        ("repeated", with_a_dropped_value, "which is not kept for the backward pass"),
        ("placed", with_a_unit_twice, "has 2 writers"),
        ("stepped", with_a_task_less, "do not cover"),
        ("stepped", with_one_epoch, "which another call of epoch 0 writes"),
        ("allotted", with_a_gradient_overwritten, "overwritten before the end"),
    ],
)
def test_a_stage_of_training_that_is_broken_is_named(stage, broken, why):
    made = trained()[stage]
    made.verify()
    with pytest.raises(EngineError, match=f"(?s)plan of skip is wrong after the stage '{stage}'.*({why})"):
        broken(made).verify()


def test_the_switch_names_the_stage(monkeypatch):
    """A plan whose concatenation has parts beyond its end is refused where its buffers were placed."""

    def beyond(y, members, pieces):
        for member, piece in zip(members, pieces, strict=True):
            member.home, member.offset = y, piece.target + y.channels
        return True

    monkeypatch.setattr(place, "_view", beyond)
    net = network(skip(), BATCH)
    for asked in ("1", "small"):
        monkeypatch.setenv(VERIFY, asked)
        with pytest.raises(EngineError, match="after the stage 'placed'"):
            plan(net, initialize(net), net.outputs, CONTEXT)
    monkeypatch.delenv(VERIFY)
    assert plan(net, initialize(net), net.outputs, CONTEXT).steps
