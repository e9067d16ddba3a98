"""PyTorch source and state dicts: the network written, run by torch alone, and read back as it was."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

import striate as st
from network_strategies import renamed
from striate.diagnostics import StriateError
from striate.formats import pth
from striate.formats.torch.python_source import source

IDENTICAL = [
    "lenet5",
    "alexnet",
    "cifar_resnet20",
    "squeezenet1_1",
    "resnet18",
    "mobilenet_v2",
    "convnext_tiny",
]
RENAMED = ["googlenet", "densenet121", "neocognitron", "shufflenet_v2_x0_5", "efficientnet_b0", "unet_padded"]


@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_the_source(golden, name):
    golden(f"source/{name}.py", source(st.create(name)))


@pytest.mark.torch
@pytest.mark.parametrize("name", IDENTICAL + RENAMED)
def test_round_trip(name):
    import torch  # noqa: F401

    net = st.create(name)
    space = {"__name__": "written"}
    exec(compile(source(net), name, "exec"), space)
    back = st.from_torch(space["model"], net.input.without_batch, name=name)
    wanted = {key: (p.shape, p.trainable) for key, p in net.parameters.items()}
    assert {key: (p.shape, p.trainable) for key, p in back.parameters.items()} == wanted
    assert [back.specs[v] for v in back.outputs] == [net.specs[v] for v in net.outputs]
    if name in IDENTICAL and not name.startswith("cifar"):
        assert back == net


@pytest.mark.torch
def test_any_source_computes_what_the_network_says():
    """Whatever the names and the wiring; op by op against the lowering, which other tests hold to the reference."""
    import torch

    @settings(max_examples=60)
    @given(renamed(max_nodes=5))
    def holds(net):
        model = st.Model(net, seed=1, engine="numpy")
        try:
            text, ours = source(net), model.to_torch()
        except StriateError as error:
            assert error.fix
            return
        space = {"__name__": "written"}
        exec(compile(text, "net.py", "exec"), space)
        theirs = space["model"].eval()
        state = {name: torch.tensor(array) for name, array in model.weights.items()}
        theirs.load_state_dict(state, strict=True)
        xs = [torch.rand(2, *spec.without_batch) for spec in net.inputs.values()]
        found, wanted = theirs(*xs), ours(*xs)
        pairs = zip(found, wanted) if isinstance(wanted, tuple) else [(found, wanted)]
        for one, other in pairs:
            torch.testing.assert_close(one, other, equal_nan=True)

    holds()


@pytest.mark.torch
def test_torch_alone_gives_the_same_outputs(tmp_path):
    model = st.Model(st.create("cifar_resnet20"), seed=3, engine="numpy")
    (tmp_path / "net.py").write_text(source(model.net))
    pth.save(tmp_path / "net.pth", model.weights.current())
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy, torch; from net import model; "
        "model.load_state_dict(torch.load('net.pth', weights_only=True), strict=False); "
        "numpy.save('y.npy', model.eval()(torch.tensor(numpy.load('x.npy'))).detach().numpy()); "
        "torch.save(model.state_dict(), 'back.pth'); assert 'striate' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.predict(x), rtol=1e-4, atol=1e-4)
    back = pth.load(tmp_path / "back.pth")
    assert all((back[name] == array).all() for name, array in model.weights.current().items())
