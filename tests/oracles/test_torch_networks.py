"""Whole networks lowered to torch, which the benchmarks' other tools are given, against the numpy engine in float64."""

import numpy as np
import pytest

import striate as st
from op_cases import CLASSES
from striate.diagnostics import StriateError
from striate.formats.torch.names import RESERVED
from striate.formats.torch.python_source import source
from striate.models import catalogue

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

    from striate.engine.torch.lowering import lower, straight_line

    net = st.create(name, input=NETWORKS[name])
    model = st.Model(net, seed=0, engine="numpy")
    weights = {key: array.astype(np.float64) for key, array in model.weights.items()}
    x = np.random.default_rng(0).standard_normal((2, *net.input.without_batch))
    with torch.no_grad():
        module = lower(net, weights)
        found, line = module(torch.tensor(x)), straight_line(module)(torch.tensor(x))
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


@pytest.mark.torch("torchvision")
@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
def test_torchvisions_state_loads_and_goes_back(name):
    import torch

    from torchvision_twin import twin

    theirs = twin(name).to_empty(device="cpu")
    ours = st.Model(st.create(name), engine="numpy").to_torch()
    state = {k: torch.rand_like(t) if t.is_floating_point() else t + 7 for k, t in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert all(torch.equal(tensor, state[key]) for key, tensor in ours.state_dict().items())
    theirs.to_empty(device="cpu").load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.torch("torchvision")
def test_every_state_has_torchvisions_keys():
    """In one network of every family."""
    import torch

    from striate.engine.torch.lowering import Lowered
    from torchvision_twin import known, twin

    families = {catalogue.get(name).family.name: name for name in reversed(known())}
    with torch.device("meta"):
        for name in families.values():
            ours = {key: (t.shape, t.dtype) for key, t in Lowered(st.create(name)).state_dict().items()}
            assert ours == {key: (t.shape, t.dtype) for key, t in twin(name).state_dict().items()}, name


def test_batches_are_counted_and_counters_may_be_missing():
    import torch

    model = st.Model(st.parse("8x8x3 -> conv 3x3 4 -> bn -> relu"), engine="numpy")
    module = model.to_torch()
    module(torch.zeros(2, 3, 8, 8))
    assert module.state_dict()["bn1.num_batches_tracked"] == 0
    module.train()(torch.zeros(2, 3, 8, 8))
    assert module.state_dict()["bn1.num_batches_tracked"] == 1
    module.load_state_dict({name: torch.tensor(array) for name, array in model.weights.items()}, strict=True)
    with pytest.raises(RuntimeError, match=r"bn1\.weight"):
        module.load_state_dict({"bn1.bias": torch.zeros(4)}, strict=True)


@pytest.mark.parametrize("name", ["train", "a.forward", "parameters"])
def test_names_that_torch_keeps_for_itself_are_refused(name):
    net = st.parse(f"8x8x1 -> {name}: conv 3x3 2 -> relu")
    with pytest.raises(StriateError, match="rename the node"):
        st.Model(net, engine="numpy").to_torch()
    with pytest.raises(StriateError, match="rename the node"):
        source(net)


def test_every_word_that_torch_keeps_is_known():
    import torch

    own = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert own <= RESERVED


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
    from striate.engine.torch.operations import LOWERINGS

    assert {cls.word for cls in CLASSES} - set(LOWERINGS) == {"opaque"}
