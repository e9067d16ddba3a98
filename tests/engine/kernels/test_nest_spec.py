"""The parts of a generic loop nest, and their text."""

import dataclasses

import pytest

import striate as st
from engine.plan.support import CONTEXT
from generators.plan import made
from striate.engine.kernels.nest_spec import Access, AffineAxis, Let, NestSpec, TableAxis, parse
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan.execution_plan import plan
from striate.weights import initialize

AXES = AffineAxis((("i", 2), ("u", 1)), -1, 1, 0, 9, 16, 640, 64), TableAxis(3, "j", 3, "v", True)
NAMES = {"i": 0, "j": 1, "u": 2}
SPEC = NestSpec(
    (9, 8, 3), 2, 1, 1, 8, (Let(4, "i@", "i#", 2).numbered(NAMES),),
    Access(0, 0.0, (), 4).numbered({}), (20, 16), "mul(a,2)",
    (Access(1, float("-inf"), AXES, -1, True).numbered(NAMES),), "max", "a", (),
)  # fmt: skip


def test_a_text_is_read_as_what_it_was_made_of():
    assert parse(SPEC.text) == SPEC
    assert '"reads":[[1,-Infinity,[[0,[[0,2],[2,1]],-1,1,0,9,16,640,64],[1,3,1,3,-1,1]],-1,1]]' in SPEC.text


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(NestSpec)])
def test_every_part_is_in_the_text(field):
    part = getattr(SPEC, field)
    other = dataclasses.replace(SPEC, **{field: part[:-1] if isinstance(part, tuple) and part else
                                         "other" if isinstance(part, str) else
                                         (SPEC.target,) if part == () else
                                         SPEC.reads[0] if isinstance(part, Access) else part + 1})  # fmt: skip
    assert parse(other.text) == other != SPEC


def test_variables_without_a_number_are_always_zero():
    assert SPEC.lets == (Let(4, -1, -1, 2),)
    assert SPEC.reads[0].axes[1].variables == (1, -1)


@pytest.mark.parametrize("seed", range(4))
def test_nests_of_networks(seed):
    net = batched(made(seed) if seed else st.parse("9x9x5 -> hardsigmoid -> upsample 2"), 2)
    kernels = plan(net, initialize(net), net.outputs, CONTEXT).kernels
    texts = [str(kernel.parameters[0]) for kernel in kernels if kernel.template == "nest"]
    assert texts or seed
    assert [parse(text).text for text in texts] == texts
