"""Whole networks lowered to torch, which the benchmarks' other tools are given, against the numpy engine in float64."""

import numpy as np
import pytest

import striate as st
from op_cases import CLASSES

pytestmark = pytest.mark.torch

NETWORKS = {
    "lenet5": (1, 32, 32),
    "cifar_resnet20": (3, 32, 32),
    "squeezenet1_1": (3, 64, 64),
    "resnet18": (3, 64, 64),
    "mobilenet_v2": (3, 64, 64),
    "mobilenet_v3_small": (3, 64, 64),
    "densenet121": (3, 64, 64),
    "efficientnet_b0": (3, 64, 64),
    "convnext_tiny": (3, 64, 64),
    "shufflenet_v2_x0_5": (3, 64, 64),
    "googlenet": (3, 64, 64),
    "unet": (1, 188, 188),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_lowered_network_agrees(name):
    import torch

    from striate.engine.torch.lowering import flat, lower

    net = st.create(name, input=NETWORKS[name])
    model = st.Model(net, seed=0, engine="numpy")
    weights = {key: array.astype(np.float64) for key, array in model.weights.items()}
    x = np.random.default_rng(0).standard_normal((2, *net.input.without_batch))
    with torch.no_grad():
        module = lower(net, weights)
        found, line = module(torch.tensor(x)), flat(module)(torch.tensor(x))
    wanted = model.predict(x)
    assert abs(found.numpy() - wanted).max() <= 1e-10 * abs(wanted).max()
    assert (line == found).all()


def test_the_state_is_striates():
    from striate.engine.torch.lowering import lower

    model = st.Model(
        st.create("convnext_tiny"), seed=0, engine="numpy"
    )  # a block there has a parameter and parts of its own
    state = lower(model.net, model.weights).state_dict()
    assert set(state) == set(model.weights)
    assert all((state[name].numpy() == array).all() for name, array in model.weights.items())


def test_training_runs_as_striates():
    import torch

    from striate.engine.torch.lowering import lower

    model = st.Model(
        st.parse("8x8x3 -> conv 3x3 4 -> bn -> relu -> gap -> flatten -> fc 2"), seed=0, engine="numpy"
    )
    module = lower(model.net, model.weights).train()
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8), np.float32)
    program = model.engine.training(model.net, model.weights)
    (wanted,) = program.forward(x, np.random.default_rng(0))
    found = module(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    for name, statistic in program.updates.items():
        np.testing.assert_allclose(module.state_dict()[name].numpy(), statistic, rtol=1e-4, atol=1e-6)


def test_every_op_is_lowered_or_known_not_to_be():
    from striate.engine.torch.lowering import _LOWERINGS

    assert {cls.word for cls in CLASSES} - set(_LOWERINGS) == {"opaque", "lppool"}
