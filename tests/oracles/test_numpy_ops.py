"""Every op against its definition in plain numpy, on generated fields and shapes: first of the independent roads."""

import pytest
from hypothesis import given

from op_cases import RUNNABLE, cases, fixture
from op_oracles import NUMPY, agree


@pytest.mark.parametrize("word", RUNNABLE)
def test_the_interpreter_agrees_with_the_definition(word):
    expression = fixture(word)["oracle"]["numpy"]

    @given(cases(word))
    def agrees(case):
        assert agree(case, NUMPY, expression)

    agrees()
