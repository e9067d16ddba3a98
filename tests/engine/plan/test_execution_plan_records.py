"""Records of plans: they declare every address that they hold, and hide none."""

import numpy as np
import pytest

import striate as st
from engine.compiled import drawn
from engine.test_training_gradients import NETWORKS, RARER
from engine.test_verify import SPATIAL
from striate.engine.kernels.argument_record import Address, Constant, Record, Resolver
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan.execution_plan import plan
from striate.engine.plan.kernel_calls import Packed, PlanContext
from striate.engine.plan.units import Buffer
from striate.engine.target import AVX2, AVX512, SSE
from striate.engine.training import training_plan as training

TRAINED = {
    name: (NETWORKS | RARER)[name]
    for name in ("plane", "few channels", "norms", "windows", "groups", "transposed", "winograd", "pixel norms")
}  # fmt: skip
PLANS = [
    *((kind, text) for kind in ("inference", "two threads") for text in (*SPATIAL.values(), *TRAINED.values())),
    *(("training", text) for text in TRAINED.values()),
]  # fmt: skip


def made(kind, text, target):
    net = st.parse(text)
    context = PlanContext(target, 1 if kind == "inference" else 2, cache=1 << 16)
    if kind == "training":
        return training.plan(batched(net, 3), context)
    return plan(batched(net, 3), drawn(net), net.outputs, context)


def all_records(plan_):
    distinct = {id(step.record): step.record for step in plan_.steps}.values()
    return [one for record in distinct for one in record.records()]


def arrays(records, distance):
    """Arrays of records, with everything they refer to that many bytes apart."""
    places = dict.fromkeys(p for one in records for _, a in one.addresses for p in a.places)
    places = [place for place in places if not isinstance(place, Record)]
    resolver = Resolver({place: (k + 1) * distance for k, place in enumerate(places)}, np.copy)
    return [resolver.array(one) for one in records], resolver


@pytest.mark.parametrize("target", [AVX512, AVX2, SSE], ids=lambda target: target.name)
@pytest.mark.parametrize("kind, text", PLANS)
def test_what_moves_with_memory_is_what_is_declared(kind, text, target):
    records = all_records(made(kind, text, target))
    near, _near = arrays(records, 1 << 32)
    far, _far = arrays(records, 1 << 40)
    for one, a, b in zip(records, near, far, strict=True):
        assert {8 * k for k in np.flatnonzero(a != b)} == {offset for offset, _ in one.addresses}


@pytest.mark.parametrize("kind, text", PLANS)
def test_no_record_hides_an_address(kind, text):
    """An address of this process in place of a declared one would differ from plan to plan."""
    first, second = (all_records(made(kind, text, AVX512)) for _ in range(2))
    assert [one.data for one in first] == [one.data for one in second]


@pytest.mark.parametrize("kind, text", PLANS)
def test_all_that_a_step_reads_and_writes_is_declared(kind, text):
    plan_ = made(kind, text, AVX512)
    packed = getattr(plan_, "packed", {})
    for step in plan_.steps:
        declared = {value.root for value in step.record.places(Buffer)}
        declared |= {packed[one.key] for one in step.record.places(Packed) if one.key in packed}
        assert {value.root for value in (*step.reads, *step.writes)} <= declared, step.unit.name
        for _, address in step.record.addresses:  # the caller's memory has an address of its own in each run
            assert isinstance(address, Address) or not any(place.root.outside for place in address.places)


def test_a_record_names_its_weights():
    (direct,) = (
        s for s in made("inference", "8x8x16 -> conv 1 32 -> relu", AVX512).steps if s.algorithm == "direct"
    )
    ((weights,), (bias,)) = direct.record.places(Packed), direct.record.places(Constant)
    assert weights.packing().size == 16 * 32 and bias.key == (*weights.key, "bias")
    assert bias.make().shape == (32,)
