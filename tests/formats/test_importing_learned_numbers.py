"""Learned tensors in arithmetic, of one number or more: counted, trained, and kept by every file under their names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import striate as st

FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "times": lambda x, p: x * p,
    "times from the left": lambda x, p: p * x,
    "plus": lambda x, p: x + p,
    "minus": lambda x, p: x - p,
    "minus from the left": lambda x, p: p - x,
    "by": lambda x, p: x / p,
    "by from the left": lambda x, p: p / (x * x + 1),
}
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (1,),
    (1, 1),
    (1, 1, 1),
    (1, 1, 1, 1),
    (1, 6, 1, 1),
    (6, 1, 1),
    (1, 6, 7, 7),
)


def _module(form: str, shape: tuple[int, ...], trained: bool = True) -> Any:
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.gamma = nn.Parameter(torch.rand(shape) + 0.5, requires_grad=trained)

        def forward(self, x: Any) -> Any:
            return FORMS[form](self.conv(x), self.gamma)

    torch.manual_seed(0)
    return Module().eval()


def _gradients(net: Any, module: Any, x: Any) -> str | None:
    """What is wrong with the gradients of a network that holds the module's parameters."""
    import torch

    from striate.engine.registry import get_engine
    from striate.network.sharing import file_names

    y = module(torch.from_numpy(x))
    slopes = np.linspace(-1, 1, y.numel(), dtype=np.float32).reshape(y.shape)
    y.backward(torch.from_numpy(slopes))
    training = get_engine("numpy").training(net, dict(st.Model(net).weights))
    training.forward(x, np.random.default_rng(0))
    found, names = training.backward([slopes]), file_names(net)
    for name, parameter in module.named_parameters():
        if parameter.grad is None:
            if names[name] in found:
                return f"{name} is trained"
            continue
        wanted = parameter.grad.numpy().ravel()
        if not np.allclose(found[names[name]].ravel(), wanted, atol=2e-4 * max(1, abs(wanted).max())):
            return f"gradient of {name}: {found[names[name]].ravel()[:3]} for {wanted[:3]}"
    return None


@pytest.mark.torch
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_learned_tensor_is_counted_trained_and_kept(
    form: str, shape: tuple[int, ...], tmp_path: Any
) -> None:
    import torch

    module = _module(form, shape)
    net = st.from_torch(module, input=(3, 7, 7))
    assert st.analyze(net).totals.params == sum(p.numel() for p in module.parameters())
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 7)).astype(np.float32)
    wanted = module.double()(torch.from_numpy(x).double()).detach().numpy()
    module.float()
    for engine in ("numpy", "compiled"):
        assert np.allclose(st.Model(net, engine=engine).predict(x), wanted, atol=1e-4)
    assert _gradients(net, module, x) is None
    model = st.Model(net, engine="numpy")
    model.export(tmp_path / "m.pth")
    model.export(tmp_path / "m.onnx")
    state = torch.load(tmp_path / "m.pth", weights_only=True)
    module.load_state_dict({name: torch.zeros_like(t) for name, t in module.state_dict().items()})
    module.load_state_dict(state, strict=True)
    assert np.allclose(module(torch.from_numpy(x)).detach().numpy(), wanted, atol=1e-4)
    torch.save(module.state_dict(), tmp_path / "theirs.pth")
    assert np.allclose(
        st.Model(net, weights=tmp_path / "theirs.pth", engine="numpy").predict(x), wanted, atol=1e-4
    )
    made = model.to_torch()
    assert sum(p.numel() for p in made.parameters()) == st.analyze(net).totals.params
    assert np.allclose(made(torch.from_numpy(x)).detach().numpy(), wanted, atol=1e-4)
    assert st.load(tmp_path / "m.onnx") == net


@pytest.mark.torch
def test_a_frozen_number_is_counted_and_not_trained() -> None:
    module = _module("times", (1,), trained=False)
    net = st.from_torch(module, input=(3, 7, 7))
    assert st.analyze(net).totals.params == 169
    assert _gradients(net, module, np.ones((2, 3, 7, 7), np.float32)) is None


@pytest.mark.torch
def test_a_buffer_of_one_number_is_a_number() -> None:
    import torch

    module = _module("times", (1,))
    held = module.gamma.detach()
    del module.gamma
    module.register_buffer("gamma", held)
    net = st.from_torch(module, input=(3, 7, 7))
    assert (
        net.nodes[-1].op.scale == float(torch.as_tensor(held)) and not net.declarations["affine"].parameters
    )


@pytest.mark.torch
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("pow", "computed or learned"),
        ("where", "at some positions only"),
        ("both", "both as a scale and as a"),
    ],
)
def test_a_learned_number_that_cannot_be_one_is_told_of(word: str, reason: str) -> None:
    import torch
    from torch import nn

    forms: dict[str, Callable[[Any, Any], Any]] = {
        "pow": lambda x, p: x.relu() ** p,
        "where": lambda x, p: torch.where(torch.eye(7, dtype=torch.bool), x, p),
        "both": lambda x, p: x * p + p,
    }

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.p = nn.Conv2d(3, 6, 3, padding=1), nn.Parameter(torch.tensor([1.5]))

        def forward(self, x: Any) -> Any:
            return forms[word](self.conv(x), self.p)

    net = st.from_torch(Module(), input=(3, 7, 7))
    (unknown,) = (node.op for node in net.nodes if node.op.word == "opaque")
    assert reason in unknown.why
    assert st.analyze(net).totals.params == 169


@pytest.mark.torch
@pytest.mark.onnx
@pytest.mark.parametrize("form", ["times", "plus", "minus from the left"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)], ids=str)
def test_a_learned_number_of_an_onnx_file_is_one_where_the_exporter_says_so(
    form: str, shape: tuple[int, ...], tmp_path: Any
) -> None:
    import torch

    pytest.importorskip("onnxscript")
    module = _module(form, shape)
    x = torch.rand(2, 3, 7, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), str(tmp_path / "m.onnx"), dynamo=True, verbose=False)
    net = st.load(tmp_path / "m.onnx")
    assert st.analyze(net).totals.params == 169
    assert np.allclose(
        st.Model(net, engine="numpy").predict(x.numpy()), module(x).detach().numpy(), atol=1e-4
    )


@pytest.mark.parametrize("shape", ["1", "1,1", "6,1,1", "1,6,1,1", "7"])
def test_the_axes_in_front_of_a_tensor_may_be_missing(shape: str) -> None:
    net = st.parse(f"7x7x6 -> affine weight {shape} bias {shape}")
    rng = np.random.default_rng(0)
    sizes = tuple(map(int, shape.split(",")))
    weights = {f"affine1.{n}": rng.standard_normal(sizes).astype(np.float32) for n in ("weight", "bias")}
    x = rng.standard_normal((2, 6, 7, 7)).astype(np.float32)
    wanted = x * weights["affine1.weight"] + weights["affine1.bias"]
    for engine in ("numpy", "compiled"):
        assert np.allclose(st.Model(net, weights=weights, engine=engine).predict(x), wanted, atol=1e-6)


@pytest.mark.parametrize("shape", ["6", "2,6,1,1", "1,1,6,1,1", "6,1"])
def test_a_tensor_of_other_sizes_is_refused(shape: str) -> None:
    assert st.parse(f"7x7x6 -> affine weight {shape}").inference.problems
