"""Lowerings, in one table for both passes: each type of body has one, each is listed, and each computes some unit."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections import Counter
from typing import get_args

import pytest

import striate as st
from engine.compiled import drawn
from engine.test_training_gradients import NETWORKS, RARER
from engine.test_verify import SPATIAL
from generators import plan as graphs
from striate.diagnostics import OpError
from striate.engine import plan as room
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan import choose, execution_plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.plan.lowering import Lowering
from striate.engine.plan.stages import Placed
from striate.engine.plan.units import Body
from striate.engine.plan.windows import DepthwiseLowering, GroupedLowering
from striate.engine.target import AVX2, AVX512, NEON, SSE
from striate.engine.training import training_plan
from striate.engine.training.taped_node import Unsupported

TEXTS = {**NETWORKS, **RARER, **SPATIAL}
WHOLE = ("lenet5", "cifar_resnet20", "mobilenet_v2", "squeezenet1_1")
"""Networks of the catalogue; random graphs follow by number."""
SEEDS = range(24)
FIRST = PlanContext(AVX512, 1)


def networks():
    for text in TEXTS.values():
        yield st.parse(text)
    for name in WHOLE:
        yield st.create(name)
    for seed in SEEDS:
        yield graphs.made(seed)


def placed(net, context):
    """The units of the plan, then those of a training step where the network can learn, with their borders."""
    net = batched(net, 2)
    plans = [execution_plan.stages(net, drawn(net), net.outputs, context)]
    try:
        tape = training_plan.record_tape(net, training_plan.training_declarations(net), context)
        plans.append(training_plan.stages(tape, context))
    except (OpError, Unsupported):
        pass
    for stages in plans:
        yield from next(stage for stage in stages if isinstance(stage, Placed)).units


@pytest.fixture(scope="module")
def units():
    """(unit, context) of all networks on one target, of the texts on every other."""
    found = [(unit, FIRST) for net in networks() for unit in placed(net, FIRST)]
    for context in (PlanContext(AVX2, 2), PlanContext(SSE, 1, strict=True), PlanContext(NEON, 2)):
        found += [(unit, context) for text in TEXTS.values() for unit in placed(st.parse(text), context)]
    return found


def kinds(base):
    """All classes of the package below one, those that cannot be made left out."""
    below = {kind for child in base.__subclasses__() for kind in (child, *kinds(child))}
    return {kind for kind in below if kind.__module__.startswith("striate.") and not inspect.isabstract(kind)}


def unreached(units):
    """The lowerings that compute none of these units."""
    used = {type(next(choose.lowerings(unit, context))[0]) for unit, context in units}
    return {type(lowering) for lowering in choose.LOWERINGS} - used


def test_every_lowering_is_listed_once():
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
    listed = Counter(type(lowering) for lowering in choose.LOWERINGS)
    assert listed == Counter(kinds(Lowering))


def test_every_type_of_body_has_a_lowering():
    assert choose.BY_BODY.keys() == set(get_args(Body))


def test_every_lowering_computes_something(units):
    assert len(units) > 3000 and not unreached(units)


def test_a_lowering_that_comes_too_late_is_found(units, monkeypatch):
    """Grouped convolution supports depthwise convolution, too, and is slower."""
    for body, order in choose.BY_BODY.items():
        others = [lowering for lowering in order if not isinstance(lowering, DepthwiseLowering)]
        monkeypatch.setitem(choose.BY_BODY, body, (*others, *(one for one in order if one not in others)))
    assert GroupedLowering not in unreached(units)
    assert unreached(units) == {DepthwiseLowering}


def test_calls_are_those_of_the_lowering_that_got_its_border(units):
    """The order of choice is one for borders and for calls: nothing falls back where the units have not changed."""
    for unit, context in units:
        _, _, pads = next(choose.lowerings(unit, context))
        assert not any(pads) or all(a >= b for a, b in zip(unit.inputs[0].root.pads, pads, strict=True))


def test_what_a_lowering_promises_of_all_units_holds_for_each(units):
    for unit, context in units:
        for lowering in choose.BY_BODY[type(unit.body)]:
            if lowering.covers(unit.body, context.target.lanes):
                assert lowering.choose(unit, context) is not None, (lowering, unit.name)


def test_only_lowerings_that_finish_get_something_fused(units):
    fused = [
        (unit, context)
        for unit, context in units
        if unit.clamped or unit.residual is not None or unit.epilogue is not None
    ]
    assert len(fused) > 100
    for unit, context in fused:
        assert all(lowering.finishes for lowering, _, _ in choose.lowerings(unit, context)), unit.name


def test_strict_plans_have_no_transforms(units):
    strict = dataclasses.replace(FIRST, strict=True)
    wide = [unit for unit, context in units if context is FIRST]
    served = [type(lowering).__name__ for unit in wide for lowering, _, _ in choose.lowerings(unit, strict)]
    assert "DenseLowering" in served and "WinogradLowering" not in served
