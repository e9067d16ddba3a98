"""Each convention against the tool it is named after, to the unit: op by op, then whole torchvision models.

How torchvision spells what a tool cannot see as a module is listed in WRITTEN. The list is strict: an entry
that changes no tool's count fails, and so does any difference that it does not explain.
"""

import fnmatch
import functools
import io
import logging
import warnings

import pytest

from striate.analysis.conventions import CONVENTIONS
from striate.analysis.cost import macs, reconcile
from striate.models.catalogue import create, get
from striate.network import Builder
from striate.op import registry
from striate.ops import activation as act
from striate.ops import conv, linear, norm, pool, regularize, reshape, upsample

TOOLS = {"torchvision": "torch", "fvcore": "fvcore", "thop": "thop", "ptflops": "ptflops"}
TOOL = [
    pytest.param(tool, marks=pytest.mark.torch("torchvision", package), id=tool)
    for tool, package in TOOLS.items()
]


def measure(tool, module, shape):
    """What the tool says of a module in eval mode, for one image of shape (C, …)."""
    import torch

    import torchvision_cpu  # noqa: F401  some tools import torchvision themselves

    x = torch.zeros(1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return globals()[f"by_{tool}"](module.eval(), x)


def by_torchvision(module, x):
    """PyTorch's own counter: torchvision's rules (convolutions, matrix products) at 2 per multiplication."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops() / 2


def by_fvcore(module, x):
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    return FlopCountAnalysis(module, (x,)).unsupported_ops_warnings(False).total()


def by_thop(module, x):
    from thop import profile

    return profile(module, (x,), verbose=False)[0]


def by_ptflops(module, x):
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(
        module, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, ost=io.StringIO()
    )[0]


# ---------------------------------------------------------------- op by op
C = 6
PAIRS = [  # op, how torch.nn spells it, shape without the batch axis
    (conv.Conv(4, kernel=3), "Conv2d(6, 4, 3)", (C, 8, 8)),
    (conv.Conv(4, kernel=3, stride=2, padding=1, bias=False), "Conv2d(6, 4, 3, 2, 1, bias=False)", (C, 8, 8)),
    (conv.Conv(4, kernel=3, groups=2, dilation=2), "Conv2d(6, 4, 3, groups=2, dilation=2)", (C, 8, 8)),
    (conv.Conv(6, kernel=3, groups="depthwise"), "Conv2d(6, 6, 3, groups=6)", (C, 8, 8)),
    (
        conv.Conv(4, kernel=3, padding=1, mode="circular"),
        "Conv2d(6, 4, 3, padding=1, padding_mode='circular')",
        (C, 8, 8),
    ),
    (conv.Conv(4, kernel=3), "Conv1d(6, 4, 3)", (C, 8)),
    (conv.Conv(4, kernel=3), "Conv3d(6, 4, 3)", (C, 4, 4, 4)),
    (conv.ConvTranspose(4, kernel=3, stride=2), "ConvTranspose2d(6, 4, 3, 2)", (C, 8, 8)),
    (
        conv.ConvTranspose(4, kernel=3, stride=2, padding=1, output_padding=1, groups=2, bias=False),
        "ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2, bias=False)",
        (C, 8, 8),
    ),
    (conv.ConvTranspose(4, kernel=3), "ConvTranspose1d(6, 4, 3)", (C, 8)),
    (conv.ConvTranspose(4, kernel=3), "ConvTranspose3d(6, 4, 3)", (C, 4, 4, 4)),
    (linear.Linear(5), "Linear(8, 5)", (8,)),
    (linear.Linear(5, bias=False), "Linear(8, 5, bias=False)", (8,)),
    (pool.MaxPool(2), "MaxPool2d(2)", (C, 8, 8)),
    (pool.MaxPool(3, stride=2, padding=1, ceil=True), "MaxPool2d(3, 2, 1, ceil_mode=True)", (C, 8, 8)),
    (pool.MaxPool(2), "MaxPool1d(2)", (C, 8)),
    (pool.MaxPool(2), "MaxPool3d(2)", (C, 4, 4, 4)),
    (pool.AvgPool(3, stride=2, padding=1), "AvgPool2d(3, 2, 1)", (C, 8, 8)),
    (pool.AvgPool(2), "AvgPool1d(2)", (C, 8)),
    (pool.AvgPool(2), "AvgPool3d(2)", (C, 4, 4, 4)),
    (pool.LpPool(2), "LPPool2d(2, 2)", (C, 8, 8)),
    (pool.LpPool(2), "LPPool1d(2, 2)", (C, 8)),
    (pool.LpPool(2), "LPPool3d(2, 2)", (C, 4, 4, 4)),
    (pool.GlobalAvgPool(), "AdaptiveAvgPool2d(1)", (C, 8, 8)),
    (pool.GlobalAvgPool(), "AdaptiveAvgPool1d(1)", (C, 8)),
    (pool.GlobalAvgPool(), "AdaptiveAvgPool3d(1)", (C, 4, 4, 4)),
    (pool.GlobalMaxPool(), "AdaptiveMaxPool2d(1)", (C, 8, 8)),
    (pool.AdaptiveAvgPool(3), "AdaptiveAvgPool2d(3)", (C, 8, 8)),
    (pool.AdaptiveAvgPool(3), "AdaptiveAvgPool1d(3)", (C, 8)),
    (pool.AdaptiveMaxPool(3), "AdaptiveMaxPool2d(3)", (C, 8, 8)),
    (norm.BatchNorm(), "BatchNorm2d(6)", (C, 8, 8)),
    (norm.BatchNorm(affine=False), "BatchNorm2d(6, affine=False)", (C, 8, 8)),
    (norm.BatchNorm(), "BatchNorm1d(6)", (C, 8)),
    (norm.BatchNorm(), "BatchNorm3d(6)", (C, 4, 4, 4)),
    (norm.LayerNorm(axes="all"), "LayerNorm((6, 8, 8))", (C, 8, 8)),
    (norm.LayerNorm(axes="all", affine=False), "LayerNorm((6, 8, 8), elementwise_affine=False)", (C, 8, 8)),
    (norm.GroupNorm(2), "GroupNorm(2, 6)", (C, 8, 8)),
    (norm.GroupNorm(2, affine=False), "GroupNorm(2, 6, affine=False)", (C, 8, 8)),
    (norm.InstanceNorm(), "InstanceNorm2d(6)", (C, 8, 8)),
    (norm.InstanceNorm(affine=True), "InstanceNorm2d(6, affine=True)", (C, 8, 8)),
    (norm.LocalResponseNorm(5), "LocalResponseNorm(5)", (C, 8, 8)),
    (norm.LocalResponseNorm(5), "LocalResponseNorm(5)", (C, 8)),
    (act.Relu(), "ReLU()", (C, 8, 8)),
    (act.Relu6(), "ReLU6()", (C, 8, 8)),
    (act.LeakyRelu(), "LeakyReLU()", (C, 8, 8)),
    (act.Prelu(), "PReLU()", (C, 8, 8)),
    (act.Prelu(channels="each"), "PReLU(6)", (C, 8, 8)),
    (act.Elu(), "ELU()", (C, 8, 8)),
    (act.Selu(), "SELU()", (C, 8, 8)),
    (act.Gelu(), "GELU()", (C, 8, 8)),
    (act.Gelu(approximate=True), "GELU(approximate='tanh')", (C, 8, 8)),
    (act.Silu(), "SiLU()", (C, 8, 8)),
    (act.Sigmoid(), "Sigmoid()", (C, 8, 8)),
    (act.Tanh(), "Tanh()", (C, 8, 8)),
    (act.Hardswish(), "Hardswish()", (C, 8, 8)),
    (act.Hardsigmoid(), "Hardsigmoid()", (C, 8, 8)),
    (act.Softplus(), "Softplus()", (C, 8, 8)),
    (act.Mish(), "Mish()", (C, 8, 8)),
    (act.Softmax(), "Softmax(1)", (C, 8, 8)),
    (act.Softmax(), "Softmax(1)", (C,)),
    (act.LogSoftmax(), "LogSoftmax(1)", (C, 8, 8)),
    (regularize.Dropout(), "Dropout()", (C, 8, 8)),
    (reshape.Flatten(), "Flatten()", (C, 8, 8)),
    (reshape.Identity(), "Identity()", (C, 8, 8)),
    (reshape.ChannelShuffle(2), "ChannelShuffle(2)", (C, 8, 8)),
    (reshape.PixelShuffle(2), "PixelShuffle(2)", (8, 4, 4)),
    (reshape.Pad(1), "ZeroPad2d(1)", (C, 8, 8)),
    (reshape.Pad(1, mode="reflect"), "ReflectionPad2d(1)", (C, 8, 8)),
    (upsample.Upsample(scale=2), "Upsample(scale_factor=2)", (C, 8, 8)),
    (upsample.Upsample(scale=2), "Upsample(scale_factor=2)", (C, 8)),
    (upsample.Upsample(scale=2), "Upsample(scale_factor=2)", (C, 4, 4, 4)),
    (upsample.Upsample(scale=2, method="bilinear"), "Upsample(scale_factor=2, mode='bilinear')", (C, 8, 8)),
    (upsample.Upsample(size=13, method="bilinear"), "Upsample(size=13, mode='bilinear')", (C, 8, 8)),
    (upsample.Upsample(scale=2, method="bilinear"), "Upsample(scale_factor=2, mode='linear')", (C, 8)),
]
NO_MODULE = {
    "add", "mul", "concat", "crop", "slice", "split", "permute", "reshape", "layerscale", "stochasticdepth",
    "opaque",
}  # fmt: skip
"""Ops that PyTorch has no module for, or whose modules (torchvision's) no tool counts."""


@pytest.mark.parametrize("tool", TOOL)
@pytest.mark.parametrize(("op", "spelling", "shape"), PAIRS, ids=lambda value: str(value))
def test_one_op(tool, op, spelling, shape):
    import torch

    b = Builder("one", input=shape)
    net = b.build(b(op, b.input))
    module = eval(f"nn.{spelling}", {"nn": torch.nn})
    holder = torch.nn.Sequential(module, torch.nn.Identity())  # some tools want a module with children
    assert macs(net, tool) == measure(tool, holder, shape)


FUNCTIONS = [  # op, the same as a function
    (pool.MaxPool(2), "max_pool2d(x, 2)"),
    (pool.AvgPool(2), "avg_pool2d(x, 2)"),
    (pool.LpPool(2), "lp_pool2d(x, 2, 2)"),
    (pool.GlobalAvgPool(), "adaptive_avg_pool2d(x, 1)"),
    (pool.GlobalMaxPool(), "adaptive_max_pool2d(x, 1)"),
    (pool.AdaptiveAvgPool(3), "adaptive_avg_pool2d(x, 3)"),
    (pool.AdaptiveMaxPool(3), "adaptive_max_pool2d(x, 3)"),
    (norm.LayerNorm(axes="all", affine=False), "layer_norm(x, x.shape[1:])"),
    (norm.GroupNorm(2, affine=False), "group_norm(x, 2)"),
    (norm.InstanceNorm(), "instance_norm(x)"),
    (norm.LocalResponseNorm(5), "local_response_norm(x, 5)"),
    (act.Relu(), "relu(x)"),
    (act.Relu6(), "relu6(x)"),
    (act.LeakyRelu(), "leaky_relu(x)"),
    (act.Prelu(), "prelu(x, torch.zeros(1))"),
    (act.Elu(), "elu(x)"),
    (act.Gelu(), "gelu(x)"),
    (act.Silu(), "silu(x)"),
    (act.Hardswish(), "hardswish(x)"),
    (act.Softmax(), "softmax(x, 1)"),
    (upsample.Upsample(scale=2), "interpolate(x, scale_factor=2)"),
    (upsample.Upsample(size=13, method="bilinear"), "interpolate(x, size=(13, 13), mode='bilinear')"),
]


@pytest.mark.parametrize("tool", TOOL)
@pytest.mark.parametrize(("op", "spelling"), FUNCTIONS, ids=lambda value: str(value))
def test_one_function(tool, op, spelling):
    import torch

    class Calls(torch.nn.Module):
        def forward(self, x):
            return eval(f"F.{spelling}", {"F": torch.nn.functional, "torch": torch, "x": x})

    b = Builder("one", input=(C, 8, 8))
    net = b.build(b(op, b.input, name="node"))
    holder = torch.nn.Sequential(Calls(), torch.nn.Identity())
    assert macs(net, tool, functions=["node"]) == measure(tool, holder, (C, 8, 8))


def test_every_function_that_counts_is_compared():
    assert {word for one in CONVENTIONS.values() for word in one.functions or ()} <= {
        op.word for op, _ in FUNCTIONS
    }


def test_every_op_that_counts_is_compared():
    counted = {word for one in CONVENTIONS.values() for word in one.modules}
    assert counted <= {op.word for op, *_ in PAIRS} | NO_MODULE <= {op.word for op in registry().values()}


# ---------------------------------------------------------------- model by model
WRITTEN = {  # model -> how its code spells some nodes: F.relu(x), x.mean(…), a subclass around F.layer_norm
    "googlenet": {"functions": ("*.relu",)},
    "inception_v3": {"functions": ("*.relu", "Mixed_*.pool")},
    "densenet121": {"functions": ("relu", "avgpool")},
    "mobilenet_v2": {"functions": ("avgpool",)},
    "convnext_tiny": {"functions": ("features.0.1", "features.[246].0", "classifier.0")},
    "shufflenet_v2_x1_0": {"expressions": ("avgpool",)},
    "mnasnet1_0": {"expressions": ("avgpool",)},
}
MODELS = [
    "alexnet", "vgg11_bn", "googlenet", "inception_v3", "resnet50", "resnext50_32x4d", "densenet121",
    "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x1_0", "squeezenet1_1",
    "convnext_tiny", "regnet_y_400mf", "mnasnet1_0",
]  # fmt: skip


@functools.lru_cache(1)
def twins(name):
    """Our network, how its twin is written, and the twin."""
    from torchvision_cpu import torchvision

    net = create(name)
    written = {
        kind: [node.name for node in net.nodes if any(fnmatch.fnmatchcase(node.name, p) for p in patterns)]
        for kind, patterns in WRITTEN.get(name, {}).items()
    }
    flags = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return net, written, torchvision.models.get_model(name, weights=None, **flags)


@pytest.mark.parametrize("tool", TOOL)
@pytest.mark.parametrize("name", MODELS)
def test_one_model(name, tool):
    net, written, module = twins(name)
    assert macs(net, tool, **written) == measure(tool, module, get(name).input)


@pytest.mark.torch("torchvision")
@pytest.mark.parametrize("name", MODELS)
def test_published_gmacs(name):
    """The `_ops` of torchvision's weights, at the size they were measured at."""
    from torchvision_cpu import torchvision

    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert round(macs(create(name), "torchvision") / 1e9, 3) == weights.meta["_ops"]


@pytest.mark.parametrize("name", WRITTEN)
def test_no_listed_spelling_is_stale(name):
    """Each listed pattern matches, and each matching node is counted differently by some tool for it."""
    net = create(name)
    for kind, patterns in WRITTEN[name].items():
        for pattern in patterns:
            nodes = [node.name for node in net.nodes if fnmatch.fnmatchcase(node.name, pattern)]
            assert nodes, pattern
            plain = {row.node: row.counts for row in reconcile(net).rows}
            written = {row.node: row.counts for row in reconcile(net, **{kind: nodes}).rows}
            assert [node for node in nodes if plain[node] == written[node]] == []
