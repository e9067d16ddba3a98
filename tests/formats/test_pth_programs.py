"""Programs in place of weights: they are named as what they are, and nothing of them runs."""

import pytest

import striate as st
from cli.run import run
from striate.diagnostics import FormatError

torch = pytest.importorskip("torch")


@pytest.fixture
def module():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())


def refused(path, *words):
    with pytest.raises(FormatError) as caught:
        st.load(path)
    for command in (["show", str(path)], ["convert", str(path), f"{path}.onnx"],
                    ["convert", "lenet5", f"{path}.onnx", "--weights", str(path)]):  # fmt: skip
        done = run(*command)
        assert done.code == 2 and all(word in " ".join(done.err.split()) for word in words)
        assert "holds weights but no network" not in done.err
    return caught.value.fix


def test_a_torchscript_archive(module, tmp_path):
    path = tmp_path / "m.pt"
    torch.jit.script(module).save(path)
    fix = refused(path, "is a TorchScript archive", "no code of the file was executed")
    assert fix.startswith("save the state dict of its module: ")
    other_path = tmp_path / "weights.pth"
    exec(fix.partition(": ")[2], {"torch": torch, "path": path, "other_path": other_path})
    net = st.from_torch(module, input=(1, 8, 8))
    assert st.Model(net.network, weights=other_path).weights.keys() == st.Model(net).weights.keys()


def test_a_pickled_module(module, tmp_path):
    path = tmp_path / "m.pth"
    torch.save(module, path)
    assert "st.from_torch(model)" in refused(
        path, "holds more than tensors", "no code of the file was executed"
    )


def test_a_state_dict_is_weights(module, tmp_path):
    path = tmp_path / "m.pth"
    torch.save(module.state_dict(), path)
    with pytest.raises(FormatError, match="holds weights but no network"):
        st.load(path)
