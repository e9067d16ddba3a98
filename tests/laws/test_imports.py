"""Generated ONNX graphs and torch modules: what is read is right in size and number, or refused with a reason."""

import pytest

from exhaustive import EXHAUSTIVE
from generators import imports

pytestmark = [pytest.mark.torch, pytest.mark.onnx("onnxruntime")]

SEEDS = range(1000, 1000 + (2000 if EXHAUSTIVE else 60))


def test_what_is_read_is_right_or_refused():
    answers = {seed: imports.attempt(seed) for seed in SEEDS}
    wrong = {seed: said for seed, said in answers.items() if said and not said.startswith(imports.REFUSED)}
    assert not wrong, wrong
    assert sum(said is not None for said in answers.values()) < len(SEEDS) / 4, "most are refused"
