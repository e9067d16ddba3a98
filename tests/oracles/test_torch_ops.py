"""Every op against PyTorch on generated fields and shapes, in float64.

Where PyTorch has no such padding, the input is padded first, with PyTorch's own function where it has that.
"""

import functools

import pytest
from hypothesis import given, reject

import op_oracles
from op_cases import CLASSES, RUNNABLE, cases, fixture

pytestmark = pytest.mark.torch


def pad(x, pairs, mode="zeros", value=0.0):
    """x with its spatial axes padded."""
    import torch
    import torch.nn.functional as F

    flat = [side for pair in reversed(pairs) for side in pair]
    if mode == "zeros":
        return F.pad(x, flat, value=value)
    if mode != "symmetric" and max(flat) < min(x.shape[2:]):
        return F.pad(x, flat, mode=mode)
    return torch.from_numpy(op_oracles.pad(x.numpy(), pairs, mode, value))


def conv(op, x, w):
    import torch.nn.functional as F

    groups = x.shape[1] if op.groups == "depthwise" else op.groups
    function = getattr(F, f"conv{x.ndim - 2}d")
    x = pad(x, op_oracles.sides(op, x), op.mode)
    return function(x, w["weight"], w.get("bias"), op.stride, 0, op.dilation, groups)


def tconv(op, x, w):
    import torch.nn.functional as F

    pairs = op_oracles.sides(op, x)
    if any(before != after for before, after in pairs):
        return NotImplemented
    function = getattr(F, f"conv_transpose{x.ndim - 2}d")
    padding = [before for before, _ in pairs]
    return function(
        x, w["weight"], w.get("bias"), op.stride, padding, op.output_padding, op.groups, op.dilation
    )


def _own(op, x):
    """Whether PyTorch's pools know this padding: the same before and after, at most half of the kernel."""
    pairs, kernel = op_oracles.sides(op, x), op_oracles.each(op.kernel, x)
    return all(before == after <= k // 2 for (before, after), k in zip(pairs, kernel, strict=True))


def _pool(name, op, x, fill, *more, **named):
    """A pool with PyTorch's padding where it knows it, else of the padded input."""
    import torch.nn.functional as F

    function = getattr(F, f"{name}_pool{x.ndim - 2}d")
    pairs = op_oracles.sides(op, x)
    if _own(op, x):
        padding = [before for before, _ in pairs]
        return function(x, op.kernel, op.stride, padding, *more, ceil_mode=op.ceil, **named)
    if op.ceil:
        return NotImplemented
    return function(pad(x, pairs, value=fill), op.kernel, op.stride, 0, *more, **named)


def max_pool(op, x):
    return _pool("max", op, x, -float("inf"), op.dilation)


def avg_pool(op, x):
    import torch

    if set(op_oracles.each(op.dilation, x)) != {1}:
        return NotImplemented
    # PyTorch refuses a kernel beyond the input in three dimensions, and in three only.
    if x.ndim == 5 and any(k > n for k, n in zip(op_oracles.each(op.kernel, x), x.shape[2:], strict=True)):
        return NotImplemented
    mean = _pool("avg", op, x, 0.0, count_include_pad=op.count_include_pad)
    if mean is NotImplemented or op.count_include_pad or _own(op, x):
        return mean
    return mean / _pool("avg", op, torch.ones_like(x), 0.0)


def lp_pool(op, x):
    import torch.nn.functional as F

    # PyTorch sums x^p with its sign, and in ceil mode takes what is not there for what is.
    if op.ceil or set(op_oracles.each(op.dilation, x)) != {1}:
        return NotImplemented
    function = getattr(F, f"lp_pool{x.ndim - 2}d")
    return function(pad(x, op_oracles.sides(op, x)).abs(), op.p, op.kernel, op.stride)


def interpolate(op, x):
    import torch.nn.functional as F

    size = op.size if op.size is None or isinstance(op.size, int) else list(op.size)
    scale = None if op.scale is None else float(op.scale)
    if scale not in (None, 1.0) and any(n > 1 and int(n * scale) == n for n in x.shape[2:]):
        return NotImplemented  # PyTorch copies an axis that keeps its size, whatever the scale
    if op.method == "nearest":
        return F.interpolate(x, size, scale)
    if op.method == "bicubic":  # in two dimensions only
        return F.interpolate(x, size, scale, "bicubic", op.align_corners) if x.ndim == 4 else NotImplemented
    linear = ("linear", "bilinear", "trilinear")[x.ndim - 3]
    return F.interpolate(x, size, scale, mode=linear, align_corners=op.align_corners)


@functools.cache
def names():
    import torch
    import torch.nn.functional as F

    own = (pad, conv, tconv, max_pool, avg_pool, lp_pool, interpolate)
    shared = (op_oracles.space, op_oracles.sides, op_oracles.by_channel)
    return {f.__name__: f for f in (*shared, *own)} | {"torch": torch, "F": F, "functools": functools}


@pytest.mark.parametrize("word", [word for word in RUNNABLE if fixture(word)["oracle"].get("torch")])
def test_the_interpreter_agrees_with_torch(word):
    import torch

    expression = fixture(word)["oracle"]["torch"]

    @given(cases(word))
    def agrees(case):
        if not op_oracles.agree(case, names(), expression, torch.from_numpy):
            reject()

    with torch.no_grad():
        agrees()


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls.torch], ids=lambda cls: cls.word)
def test_the_torch_name_exists(cls):
    import torch

    if cls.torch.startswith("torchvision."):
        torchvision = pytest.importorskip("torchvision_cpu").torchvision
        found = functools.reduce(getattr, cls.torch.split(".")[1:], torchvision)
    elif cls.torch.startswith("torch."):
        found = functools.reduce(getattr, cls.torch.split(".")[1:], torch)
    else:
        found = getattr(torch.nn, cls.torch)
    assert callable(found)
