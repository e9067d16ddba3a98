"""Operators of aten by themselves, read from PyTorch: one op or a few, never opaque, the same numbers as torch."""

import numpy as np
import pytest

import striate as st
from striate.engine.registry import get_engine

pytestmark = pytest.mark.torch

X = (4, 6, 5)


def cases():
    import torch
    import torch.nn.functional as F

    gate = torch.linspace(-1, 1, 4).reshape(4, 1, 1)
    wide = torch.linspace(0, 1, 30).reshape(6, 5)
    return {
        "sum": lambda x: x.sum((2, 3)),
        "sum over channels": lambda x: x.sum(1, keepdim=True),
        "mean over rows": lambda x: x.mean(2),
        "largest and smallest": lambda x: x.amax(1, keepdim=True) - x.amin(1, keepdim=True),
        "max along an axis": lambda x: x.max(1)[0],
        "norms": lambda x: x.norm(2, (2, 3), True) + torch.linalg.vector_norm(x, 1, (2, 3), True),
        "variance": lambda x: x.var(1, keepdim=True) + x.var((2, 3), unbiased=False, keepdim=True),
        "deviation": lambda x: x.std((2, 3)),
        "functions": lambda x: torch.log(torch.exp(x) + x.abs()) * torch.erf(x),
        "powers": lambda x: (x.square() + 1).rsqrt() + (x.abs() + 1).sqrt() + (x * x + 1).reciprocal() + x.pow(3),
        "exponents": lambda x: (x.abs() + 0.5) ** 1.5,
        "quotients": lambda x: x / (1 + x.mean((2, 3), keepdim=True).abs()) + 2 / (x * x + 1),
        "extremes": lambda x: torch.maximum(x, x.mean(1, keepdim=True)) + torch.minimum(x, -x),
        "extremes with constants": lambda x: torch.maximum(x, gate) - torch.minimum(gate, x) + x.clamp(min=-0.5),
        "addcmul": lambda x: torch.addcmul(x, gate, x.sigmoid(), value=0.5) + torch.addcdiv(x, x, x * x + 2),
        "expanded": lambda x: x * x.mean((2, 3), keepdim=True).expand_as(x),
        "expanded and kept": lambda x: F.avg_pool2d(x.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4), 2),
        "expanded by a constant": lambda x: x.mean((2, 3), keepdim=True) + wide,
        "repeated": lambda x: x.repeat(1, 2, 1, 1) + torch.cat([x, x], 1).repeat_interleave(1, 1),
        "interleaved": lambda x: x.repeat_interleave(2, 1),
        "stacked": lambda x: torch.stack([x, x.tanh()], 1).sum(1),
        "flipped": lambda x: x.flip((2,)) + x.flip((1, 3)),
        "rolled": lambda x: x.roll((1, -2), (2, 3)),
        "listed": lambda x: x[:, [3, 1, 1]] + torch.index_select(x, 1, torch.tensor([0, 2, 3])),
        "where": lambda x: torch.where(wide > 0.5, x, torch.tensor(2.0)) + torch.where(wide > 0.3, x, -x),
        "softmax over space": lambda x: x.flatten(2).softmax(2),
        "softmax over rows": lambda x: x.softmax(2) + x.log_softmax(3),
        "context": lambda x: x.flatten(2) @ x[:, :1].flatten(2).softmax(2).transpose(1, 2),
        "attention": lambda x: F.scaled_dot_product_attention(x, x.tanh(), x.sigmoid()),
        "linear on rows": lambda x: F.linear(x, wide[:3]),
        "norm on rows": lambda x: F.layer_norm(x, (5,), wide[0], wide[1]),
        "space to depth": lambda x: x.reshape(-1, 4, 3, 2, 5, 1).permute(0, 3, 5, 1, 2, 4).reshape(-1, 8, 3, 5),
        "cubic": lambda x: F.interpolate(x, (9, 11), mode="bicubic") + 1,
        "cubic with corners": lambda x: F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=True),
        "celu": lambda x: F.celu(x, 0.5),
        "log sigmoid": F.logsigmoid,
        "response norm of even size": lambda x: F.local_response_norm(x, 2),
        "standardized weights": lambda x: F.conv2d(
            x, F.batch_norm(wide[:, :4].reshape(1, 6, 4), None, None, training=True).reshape(6, 4, 1, 1)
        ),
    }  # fmt: skip


NAMES = [
    "sum", "sum over channels", "mean over rows", "largest and smallest", "max along an axis", "norms", "variance",
    "deviation", "functions", "powers", "exponents", "quotients", "extremes", "extremes with constants", "addcmul",
    "expanded", "expanded and kept", "expanded by a constant", "repeated", "interleaved", "stacked", "flipped",
    "rolled", "listed", "where", "softmax over space", "softmax over rows", "context", "attention", "linear on rows",
    "norm on rows", "space to depth", "cubic", "cubic with corners", "celu", "log sigmoid",
    "response norm of even size", "standardized weights",
]  # fmt: skip


def test_every_case_has_its_name():
    assert list(cases()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_operator(name):
    import torch

    class Module(torch.nn.Module):
        def forward(self, x):
            return cases()[name](x)

    torch.manual_seed(3)
    module, x = Module().eval(), torch.randn(2, *X)
    net = st.from_torch(module, X)
    assert not [node.op.operator for node in net.nodes if node.op.word == "opaque"]
    found = get_engine("numpy").compile(net, net.weights)(x.numpy())
    wanted = module(x).numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
