"""Every op after every order of axes, on every engine and in every file; some seeds of a generator without end."""

import dataclasses

import numpy as np
import pytest

import striate as st
from engine.kernels.support import targets
from exhaustive import EXHAUSTIVE
from generators import axes
from op_cases import RUNNABLE
from striate.network import Network, Node
from striate.ops import BatchNorm, LayerScale, Permute, Upsample
from striate.tensor import TensorSpec

pytestmark = [pytest.mark.torch, pytest.mark.onnx]

ROUNDS = 100 if EXHAUSTIVE else 2
ENGINES = ("numpy", "torch", *(["compiled"] if targets() else []))


@pytest.mark.parametrize("at", range(len(RUNNABLE)), ids=RUNNABLE)
def test_right_or_refused(at):
    for turn in range(ROUNDS):
        assert axes.trial(at + turn * len(RUNNABLE)) is None


@pytest.mark.parametrize("order", ["HWC", "HCW", "WCH"])
def test_a_wrong_axis_is_noticed(order, monkeypatch):
    """Where all sizes are equal nothing but the numbers tells: torch's batch norm of the second axis is another one."""
    from striate.engine.torch import operations

    nodes = (Node("p", Permute(order), ("x",)), Node("op", BatchNorm(affine=False), ("p",)))
    net = Network("net", {"x": TensorSpec.image((4, 4, 4))}, nodes, ("op",))
    draw = np.random.default_rng(0)
    weights = {name: draw.uniform(0.5, 2, p.shape).astype(np.float32) for name, p in net.parameters.items()}
    x = draw.standard_normal((2, 4, 4, 4)).astype(np.float32)
    exact = axes.wanted(net, net.node("op"), weights, x)
    assert not axes.judged(axes.ROADS["torch"], exact, net, weights, x)
    monkeypatch.setattr(operations, "CHANNELS_SECOND", ())
    assert axes.judged(axes.ROADS["torch"], exact, net, weights, x).startswith("off by")


def test_the_formula_does_not_come_from_the_declaration():
    net, own, rng = axes.drawn_network(RUNNABLE.index("gn"))
    weights, x = axes.numbers(net, rng, False)
    exact = axes.wanted(net, own, weights, x)
    other = net.replace("op", dataclasses.replace(own.op, eps=own.op.eps + 1.0))
    assert axes.judged(axes.interpreter, exact, other, weights, x)


def _standard(groups):
    return (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)


CHANNELS_LAST = [
    ("5x4x6 -> permute HWC -> in", lambda x: _standard(x.reshape(2, 6, -1))),
    ("4x4x4 -> permute HWC -> gn 2", lambda x: _standard(x.reshape(2, 2, -1))),
    ("4x4x4 -> permute HCW -> gn 2", lambda x: _standard(x.reshape(2, 2, -1))),
    ("1x1x4000 -> permute HWC -> channelshuffle 2", lambda x: x.reshape(2, 2, 2000).transpose(0, 2, 1)),
    ("4x4x4 -> permute HWC -> channelshuffle 2", lambda x: x.reshape(2, 2, 2, 16).transpose(0, 2, 1, 3)),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("text", "formula"), CHANNELS_LAST, ids=[text for text, _ in CHANNELS_LAST])
def test_channels_are_found_wherever_they_stand(text, formula, engine):
    net = st.parse(text)
    x = np.random.default_rng(0).standard_normal((2, *net.input.without_batch)).astype(np.float32)
    x *= 1 + np.arange(x.shape[1], dtype=np.float32).reshape(1, -1, 1, 1)
    weights = {name: np.full(p.shape, p.initial, np.float32) for name, p in net.parameters.items()}
    order = ["NCHW".index(axis) for axis in net.specs[net.outputs[0]].axes]
    want = formula(x.astype(np.float64)).reshape(x.shape).transpose(order)
    found = st.Model(net, weights=weights, engine=engine).predict(x)
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_scale_per_channel_between_other_axes(engine):
    """On paper: an image of two rows, its channels times 10 and 100."""
    nodes = (Node("p", Permute("HCW"), ("x",)), Node("s", LayerScale(), ("p",)))
    net = Network("net", {"x": TensorSpec.image((2, 2, 1))}, nodes, ("s",))
    x = np.array([[[1], [2]], [[3], [4]]], np.float32)[None]
    weights = {"s.layer_scale": np.array([10, 100], np.float32)}
    found = st.Model(net, weights=weights, engine=engine).predict(x)
    assert found.reshape(2, 2).tolist() == [[10, 300], [20, 400]]


@pytest.mark.parametrize("shape", [(1, 4, 2), (1, 2, 2), (1, 2)])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_an_axis_that_keeps_its_size_is_resampled_all_the_same(method, shape):
    """torch and onnxruntime copy it, whatever the scale: 1.3 times 2 is 2, and its pixels lie elsewhere."""
    op = Upsample(scale=1.3, method=method)
    net = Network("net", {"x": TensorSpec.image(shape)}, (Node("op", op, ("x",)),), ("op",))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    exact = axes.interpreter(net, {}, x)
    assert np.abs(exact[0][..., -1, :2] - x[..., -1, :2]).max() > 0.1
    for name, run in axes.ROADS.items():
        assert not axes.judged(run, exact, net, {}, x), name


def test_an_imported_module_resamples_as_torch_does():
    """torch copies an axis that keeps its size: such a scale is a size, or said to be unsupported."""
    import torch

    modules = {
        "size": torch.nn.Upsample(scale_factor=1.3),
        "unsupported": torch.nn.Upsample(scale_factor=1.3, mode="bilinear"),
        "scale": torch.nn.Upsample(scale_factor=1.3, mode="bicubic"),
    }
    for shape, name in (((1, 2, 2), "size"), ((1, 4, 2), "unsupported"), ((1, 4, 2), "scale")):
        x = torch.rand(1, *shape)
        net = st.from_torch(modules[name], shape)
        (op,) = (node.op for node in net.nodes)
        assert op.word == "opaque" if name == "unsupported" else getattr(op, name) is not None
        if name != "unsupported":
            found = st.Model(net, engine="numpy").predict(x.numpy())
            np.testing.assert_allclose(found, modules[name](x).numpy(), rtol=1e-4, atol=1e-5)
