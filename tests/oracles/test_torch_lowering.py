"""Every op as torch computes it once lowered, against the interpreter, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings

from op_cases import RUNNABLE, cases
from striate.diagnostics import OpError

pytestmark = pytest.mark.torch

REFUSED = {"fc": "last axis"}
"""What torch has no counterpart of, by a word of the message."""


@pytest.mark.parametrize("word", RUNNABLE)
def test_an_op_is_lowered(word):
    import torch

    from striate.engine.numpy_.reference import run
    from striate.engine.torch.operations import lower_op

    @settings(max_examples=20)
    @given(cases(word))
    def agrees(case):
        own = {name: torch.from_numpy(w) for name, w in case.weights.items()}
        inputs = [torch.from_numpy(x) for x in case.inputs]
        try:
            with torch.no_grad():
                made = lower_op(case.op, case.declaration)(False, inputs, own)
        except OpError as error:
            assert error.what and error.fix
            assert REFUSED[word] in f"{error.what} {error.why}"
            return
        found = made if isinstance(made, list | tuple) else [made]
        wanted = run(case.declaration, case.inputs, case.weights)
        assert len(found) == len(wanted)
        for y, other in zip(found, wanted):
            np.testing.assert_allclose(y.numpy(), other, rtol=1e-9, atol=1e-9)

    agrees()


def test_a_straight_line_of_calls_needs_no_look_at_its_input():
    """The pools that torch has not, and listed entries, in the form that benchmarks run."""
    import torch

    import striate as st
    from striate.engine.torch.lowering import lower, straight_line

    net = st.parse(
        "11x9x4 -> avgpool 2 /1 dil 2 pad 1 countpad off -> lppool 2 /1 dil 2 -> gather H entries 3,1,1"
    )
    x = torch.rand(2, 4, 11, 9)
    module = lower(net, {})
    np.testing.assert_array_equal(straight_line(module)(x).numpy(), module(x).numpy())
