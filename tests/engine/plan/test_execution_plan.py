"""The plan: which nodes are computed together, where values lie, and the choices of algorithms."""

from __future__ import annotations

from typing import Any

import pytest

import striate as st
from striate.engine.plan.execution_plan import ExecutionPlan, plan
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.target import AVX2, AVX512, NEON
from striate.network import Builder, Network
from striate.ops import Add, Concat, Conv, Relu
from striate.tensor import TensorSpec
from striate.weights import initialize

CHAIN = """20x20x3 -> conv 3x3 40 pad 1 bias off -> bn -> relu
-> dwconv 3 pad 1 -> relu6 -> conv 1x1 24 -> maxpool 2 -> flatten -> fc 10"""
BLOCK = 1 << 12


def planned(
    net: Network, batch: int = 1, threads: int = 1, target: Any = AVX512, **more: Any
) -> ExecutionPlan:
    (name,) = net.inputs
    spec = net.input
    whole = Network(net.name, {name: TensorSpec((batch, *spec.shape[1:]), spec.axes)}, net.nodes, net.outputs)
    return plan(whole, initialize(net), net.outputs, PlanContext(target, threads, **more))


def branched() -> Network:
    """Three branches, a concatenation of concatenations, a residual and a value that is read late."""
    b = Builder("branched", (3, 16, 16))
    x = b(Conv(32, 3, padding=1), b.input, name="first")
    left = b(Conv(16, 1), x, name="left")
    right = b(Conv(32, 3, padding=1), x, name="right")
    both = b(Concat(), left, right, name="both")
    third = b(Conv(32, 3, padding=1), both, name="third")
    every = b(Concat(), left, right, third, name="every")
    last = b(Conv(32, 1), every, name="last")
    return b.build(b(Relu(), b(Add(), last, x, name="sum"), name="relu"))


def test_images_run_one_by_one_where_a_batch_is_too_much() -> None:
    net = st.create("mobilenet_v2")
    one, all_ = planned(net, 4), planned(net, 4, cache=1 << 40)
    assert len(one.steps) > 2 * len(all_.steps) and one.arena.bytes < all_.arena.bytes / 2
    covered: dict[int, list[Any]] = {}
    for step in one.steps:
        covered.setdefault(id(step.record), []).extend(step.tasks)
    for step in all_.steps:
        tasks = next(t for r, t in covered.items() if t and _same(r, step, one))
        assert sum((b - a) * (d - c) for a, b, c, d in tasks) == step.rows * step.parts
        assert len(set(tasks)) == len(tasks)


def _same(record: int, step: KernelCall, made: ExecutionPlan) -> bool:
    other = next(s for s in made.steps if id(s.record) == record)
    return (other.algorithm, other.unit.name, other.writes[0].name) == (
        step.algorithm, step.unit.name, step.writes[0].name,
    )  # fmt: skip


def test_a_chain_becomes_few_units() -> None:
    names = {step.unit.name for step in planned(st.parse(CHAIN)).steps}
    assert names == {"input", "conv1 + bn1 + relu1", "conv2 + relu61", "conv3", "maxpool1", "fc1"}


def test_concatenations_lie_in_one_place() -> None:
    made = planned(branched())
    assert not [step for step in made.steps if step.algorithm == "copy"]
    roots = {value.name: value.root.name for step in made.steps for value in step.writes if not value.outside}
    assert roots["left"] == roots["right"] == roots["third"] == "every"


def test_a_residual_is_added_in_the_store() -> None:
    made = planned(branched())
    assert {step.unit.residual.name for step in made.steps if step.unit.residual is not None} == {"first"}


def test_a_sum_lies_over_its_residual_only_where_nothing_else_reads_that() -> None:
    def homes(skips_one: bool) -> bool:
        b = Builder("skip", (32, 9, 9))
        x = b(Relu(), b.input, name="x")
        y = x if skips_one else b(Conv(32, 3, padding=1), x, name="between")
        steps = planned(b.build(b(Add(), x, b(Conv(32, 3, padding=1), y), name="sum"))).steps
        (residual,) = {step.unit.residual for step in steps if step.unit.residual is not None}
        (total,) = {
            value for step in steps for value in step.writes if value.name == "sum" and not value.outside
        }
        return residual.root is total.root

    assert homes(skips_one=False)
    assert not homes(skips_one=True)


def test_a_value_that_is_wanted_stays() -> None:
    net = st.parse("8x8x3 -> conv 3x3 8 -> bn -> relu -> flatten -> fc 4")
    weights = initialize(net)
    made = plan(net, weights, ["conv1", "bn1", "fc1"], PlanContext(AVX512, 1))
    assert {"conv1", "bn1", "relu1 + fc1"} - {step.unit.name for step in made.steps} == {"relu1 + fc1"}
    assert set(made.outputs) == {"conv1", "bn1", "fc1"}


def test_strict_keeps_to_plain_sums() -> None:
    net = st.parse("56x56x64 -> conv 3x3 64 pad 1")
    fast, strict = ({step.algorithm for step in planned(net, strict=s).steps} for s in (False, True))
    assert any(name.startswith("F(") for name in fast)
    assert not any(name.startswith("F(") for name in strict)


def test_heavy_weights_are_shared_out_among_threads() -> None:
    made = planned(st.parse("7x7x512 -> conv 1x1 2048"), threads=2)
    (step,) = [step for step in made.steps if step.algorithm == "direct"]
    assert step.by_parts and len({task[2:] for task in step.tasks}) == len(step.tasks) >= 2


@pytest.mark.parametrize("target", [AVX2, NEON], ids=lambda target: target.name)
def test_other_processors_get_plans_too(target: Any) -> None:
    made = planned(st.create("mobilenet_v2"), target=target)
    assert {step.unit.name for step in made.steps} == {
        s.unit.name for s in planned(st.create("mobilenet_v2")).steps
    }
    assert all(value.root.lanes in (1, 3, 8) for step in made.steps for value in step.writes)


@pytest.mark.parametrize("target", [AVX512, AVX2])
def test_a_flattened_map_gets_whole_blocks_of_its_own(target: Any) -> None:
    net = st.parse("2x3x5 -> hardsigmoid -> flatten -> hardsigmoid")
    steps = planned(net, 3, target=target).steps
    last = steps[-2]
    assert last.algorithm == "nest" and last.reads[0].layout.lanes == target.lanes and not last.reads[0].flat
    copies = [s.tile for s in steps if s.algorithm == "copy"]
    assert copies == [f"{target.lanes}->1", f"1->{target.lanes}"]


def test_planes_without_their_border_are_read_by_others() -> None:
    """A sum that leaves its convolution, because layouts differ, does so when borders are settled."""
    b = Builder("late", (1, 12, 12))
    other = b(Conv(4, 1), b.input)
    both = b(Concat(), b(Conv(16, 1), b.input), other)
    made = b(Add(), b(Conv(4, 5, padding=2), b.input, name="late"), other)
    steps = planned(b.build(b(Conv(4, 1), b(Concat(), both, made)))).steps
    assert [step.algorithm for step in steps if "late" in step.unit.nodes] == ["direct"]


def test_heavy_weights_are_read_once_for_a_batch() -> None:
    made = planned(st.parse("14x14x256 -> conv 1x1 64 -> flatten -> fc 1000"), 4)
    turns = {step.unit.nodes[0]: 0 for step in made.steps}
    for step in made.steps:
        turns[step.unit.nodes[0]] += step.algorithm == "direct"
    assert turns["conv1"] == 4 and turns["fc1"] == 1, turns


def test_a_border_needs_no_memory_before_what_it_surrounds() -> None:
    made = planned(st.create("resnet18"))
    borders = [k for k, step in enumerate(made.steps) if step.algorithm == "border"]
    assert borders
    for k in borders:
        (value,) = made.steps[k].writes
        writers = [
            j for j, step in enumerate(made.steps) if j != k and value in {v.root for v in step.writes}
        ]
        assert made.epochs[k] == made.epochs[writers[0]]
