"""Gradients of every op against PyTorch's, on generated fields and shapes, in float64."""

import numpy as np
import pytest
from hypothesis import assume, given, reject

import op_oracles
from op_cases import RUNNABLE, cases, fixture
from oracles.test_torch_ops import names
from striate.engine.numpy_.vectorized import backward, forward

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("word", [word for word in RUNNABLE if fixture(word)["oracle"].get("torch")])
def test_the_gradients_agree_with_torch(word):
    import torch

    expression = fixture(word)["oracle"]["torch"]

    @given(cases(word))
    def agrees(case):
        def leaf(array, learned=True):
            return torch.from_numpy(array.copy()).requires_grad_(learned)

        learned = {p.name for p in case.declaration.parameters if p.trainable}
        xs = [leaf(x) for x in case.inputs]
        w = {name: leaf(v, name in learned) for name, v in case.weights.items()}
        try:
            made = op_oracles.oracle(case, names(), expression, xs, w)
        except RuntimeError as error:
            assume("requires grad" not in str(error))  # an oracle that goes by way of numpy has no gradient
            raise
        if made is None or not any(y.requires_grad for y in made):
            reject()
        rng = np.random.default_rng(0)
        upstream = [rng.standard_normal(tuple(y.shape)) for y in made]
        torch.autograd.backward(made, [torch.from_numpy(g) for g in upstream])
        found = backward(forward(case.declaration, case.inputs, case.weights), upstream)
        wanted = {f"x{k}": x.grad for k, x in enumerate(xs)} | {name: v.grad for name, v in w.items()}
        for name, gradient in found.items():
            want = np.zeros_like(gradient) if wanted[name] is None else wanted[name].numpy()
            # PyTorch keeps some slopes, hardsigmoid's 1/6 among them, in single precision.
            both = np.isfinite(want) & np.isfinite(gradient)  # the root of nothing has no slope
            np.testing.assert_allclose(gradient[both], want[both], rtol=1e-7, atol=1e-9, err_msg=name)

    agrees()
