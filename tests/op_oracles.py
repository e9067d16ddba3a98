"""Plain definitions of the ops that a one-line formula does not define, in numpy: the second opinion on the arithmetic.

Nothing here asks the op for more than its fields; sizes and padding are worked out anew.
"""

import functools
import math

import numpy as np


def space(x):
    """The spatial axes."""
    return tuple(range(2, x.ndim))


def taps(x):
    """The axes that `windows` appends for an input of x's rank."""
    return tuple(range(2 - x.ndim, 0))


def each(value, x):
    """A field with one entry per spatial axis."""
    return [int(v) for v in np.broadcast_to(value, x.ndim - 2)]


def by_channel(values, x):
    """One number per channel, ready to meet (N, C, …)."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def ones(x):
    return np.ones(x.shape[1])


def standard(x, axes, eps):
    """Mean 0 and (nearly) variance 1 over some axes."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def scaled(x, w):
    """x · weight + bias per channel, where there are any."""
    return x * by_channel(w["weight"], x) + by_channel(w["bias"], x) if "weight" in w else x


def sides(op, x):
    """Padding (before, after) per spatial axis, policies worked out."""
    if not isinstance(op.padding, str):
        given = np.asarray(op.padding)
        pairs = given if given.ndim == 2 else np.stack([np.broadcast_to(given, x.ndim - 2)] * 2, 1)
        return [(int(a), int(b)) for a, b in pairs]
    pairs = []
    for n, k, s, d in zip(x.shape[2:], *_window(op, x), strict=True):
        reach = d * (k - 1)
        match op.padding:
            case "valid":
                pairs.append((0, 0))
            case "full":
                pairs.append((reach, reach))
            case "half":
                pairs.append((reach // 2, reach // 2))
            case "same" | "same_lower":
                # TensorFlow: ⌈n/s⌉ outputs; what they need beyond n is shared, the odd one at the end (or the start).
                need = max((math.ceil(n / s) - 1) * s + reach + 1 - n, 0)
                pair = need // 2, need - need // 2
                pairs.append(pair if op.padding == "same" else pair[::-1])
    return pairs


def _window(op, x):
    stride = op.kernel if getattr(op, "stride", None) is None else op.stride
    return each(op.kernel, x), each(stride, x), each(getattr(op, "dilation", 1), x)


def pad(x, pairs, mode="zeros", value=0.0, first=2):
    """x with its axes from `first` on padded."""
    widths = [(0, 0)] * first + [tuple(pair) for pair in pairs]
    widths += [(0, 0)] * (x.ndim - len(widths))
    if mode == "zeros":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))


def windows(op, x, fill, beyond=None):
    """Every window of a pool: (N, C, positions…, taps…). Padding holds `fill`; what ceil mode hangs over, `beyond`."""
    kernel, stride, dilation = _window(op, x)
    pairs = sides(op, x)
    padded = pad(x, pairs, value=fill)
    starts, hang = [], []
    for n, k, s, d, (before, after) in zip(x.shape[2:], kernel, stride, dilation, pairs, strict=True):
        size, extent = before + n + after, d * (k - 1) + 1
        begin = list(range(0, size - extent + 1, s))
        if op.ceil:
            # Windows may hang over the end, but not begin after it, nor in the padding there.
            begin = list(range(0, min(size - extent + s, before + n), s))
        starts.append(begin)
        hang.append((0, max(begin[-1] + extent - size, 0)))
    padded = pad(padded, hang, value=fill if beyond is None else beyond)
    for axis, (begin, k, d) in enumerate(zip(starts, kernel, dilation, strict=True)):
        rows = [np.take(padded, range(start, start + d * (k - 1) + 1, d), 2 + axis) for start in begin]
        # The positions take the axis' place, the taps go to the end.
        padded = np.moveaxis(np.stack(rows, 2 + axis), 3 + axis, -1)
    return padded


def conv(op, x, w):
    """One filter and one position at a time."""
    weight = w["weight"]
    kernel, stride, dilation = _window(op, x)
    x = pad(x, sides(op, x), op.mode)
    each_in, each_out = weight.shape[1], weight.shape[0] * weight.shape[1] // x.shape[1]
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), len(weight), *sizes))
    for k, filter in enumerate(weight):
        depth = slice(k // each_out * each_in, (k // each_out + 1) * each_in)
        for place in np.ndindex(*sizes):
            seen = (
                slice(i * s, i * s + d * (u - 1) + 1, d)
                for i, s, d, u in zip(place, stride, dilation, kernel)
            )
            y[(slice(None), k, *place)] = (x[(slice(None), depth, *seen)] * filter).sum(
                tuple(range(1, x.ndim))
            )
    return y + (by_channel(w["bias"], y) if op.bias else 0)


def tconv(op, x, w):
    """A convolution with the flipped filters over the input spread out with zeros (Dumoulin & Visin, section 4)."""
    weight = w["weight"]
    kernel, stride, dilation = _window(op, x)
    groups = op.groups
    spread = np.zeros((*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], stride))))
    spread[(..., *(slice(None, None, s) for s in stride))] = x
    edges = []
    for k, d, extra, (before, after) in zip(kernel, dilation, each(op.output_padding, x), sides(op, x)):
        edges.append((d * (k - 1) - before, d * (k - 1) - after + extra))
    spread = pad(spread, [(max(a, 0), max(b, 0)) for a, b in edges])
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(spread.shape[2:], edges))
    spread = spread[(..., *cut)]
    # Weight (C, filters / groups, …) to (filters, C / groups, …), every filter turned around.
    turned = np.flip(weight, tuple(range(2, weight.ndim)))
    blocks = np.split(turned, groups, 0)
    turned = np.concatenate([np.swapaxes(block, 0, 1) for block in blocks], 0)
    sizes = [n - d * (k - 1) for n, k, d in zip(spread.shape[2:], kernel, dilation)]
    y = np.zeros((len(x), len(turned), *sizes))
    for g, (part, filters) in enumerate(zip(np.split(spread, groups, 1), np.split(turned, groups, 0))):
        for tap in np.ndindex(*kernel):
            seen = tuple(slice(u * d, u * d + m) for u, d, m in zip(tap, dilation, sizes))
            y[:, g * len(filters) : (g + 1) * len(filters)] += np.einsum(
                "nc...,kc->nk...", part[(..., *seen)], filters[(..., *tap)]
            )
    return y + (by_channel(w["bias"], y) if op.bias else 0)


def bins(op, x, reduce):
    """Adaptive pooling: bins ⌊i·n/m⌋ up to ⌈(i+1)·n/m⌉ along every axis."""
    sizes = each(op.size, x)
    y = np.zeros((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        seen = (
            slice(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(place, x.shape[2:], sizes)
        )
        y[(..., *place)] = reduce(x[(..., *seen)], space(x))
    return y


def resize(op, x):
    """Resampling, one axis after the other."""
    targets = [int(n * op.scale) for n in x.shape[2:]] if op.size is None else each(op.size, x)
    if op.method == "bicubic":
        return _cubic(op, x, targets)
    for axis, (n, m) in enumerate(zip(x.shape[2:], targets), 2):
        step = n / m if op.scale is None else 1 / op.scale
        if op.method == "nearest":
            x = np.take(x, [math.floor(i * step + 1e-9) for i in range(m)], axis)
        else:
            where = np.linspace(0, n - 1, m) if op.align_corners else (np.arange(m) + 0.5) * step - 0.5
            x = np.apply_along_axis(lambda row, at: np.interp(at, np.arange(len(row)), row), axis, x, where)
    return x


def _cubic(op, x, targets):
    """Cubic convolution (Keys 1981): a sum over all inputs of the kernel at their distance, the border's repeated."""

    def kernel(d, a=-0.75):
        d = np.abs(d)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        return np.where(d <= 1, near, np.where(d < 2, a * (d**3 - 5 * d**2 + 8 * d - 4), 0))

    for axis, (n, m) in enumerate(zip(x.shape[2:], targets), 2):
        step = n / m if op.scale is None else 1 / op.scale
        where = (
            np.arange(m) * (n - 1) / max(m - 1, 1) if op.align_corners else (np.arange(m) + 0.5) * step - 0.5
        )
        wide = np.arange(-n - 2, 2 * n + 3)
        shares = np.zeros((n, m))
        np.add.at(shares, np.clip(wide, 0, n - 1), kernel(where - wide[:, None]))
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ shares, -1, axis)
    return x


def agree(case, names, expression, convert=np.asarray, close=1e-10):
    """The interpreter and an oracle say the same about a case. False where the oracle cannot say."""
    from striate.engine.numpy_.reference import run

    weights = {k: convert(v) for k, v in case.weights.items()}
    expected = oracle(case, names, expression, [convert(x) for x in case.inputs], weights)
    if expected is None:
        return False
    found = run(case.declaration, case.inputs, case.weights)
    assert len(found) == len(expected)
    for y, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, np.asarray(other), rtol=close, atol=close, err_msg=str(case.op))
        assert y.shape == tuple(other.shape)
    return True


def oracle(case, names, expression, inputs, weights):
    """What an oracle says about a case, in its own arrays; None where it cannot say. `names` may be made of an input.

    Most oracles know the channels second only: they see the axes moved there, and what they say is moved back.
    """
    from op_cases import fixture

    axes = case.declaration.inputs[0].axes
    at = axes.index("C")
    if at != 1 and not fixture(case.op.word)["generate"].get("any_order"):
        inputs = [_moved(x, at, 1) for x in inputs]
        axes = ("N", "C", *(axis for axis in axes if axis not in "NC"))
    else:
        at = 1
    values = {"op": case.op, "axes": "".join(axes), "c": axes.index("C"), "xs": inputs, "w": weights}
    made = opinion(expression, names(inputs[0]) if callable(names) else names, x=inputs[0], **values)
    return made if made is None or at == 1 else [_moved(y, 1, at) for y in made]


def _moved(x, source, target):
    return x.movedim(source, target) if hasattr(x, "movedim") else np.moveaxis(x, source, target)


def opinion(expression, names, **values):
    """What a fixture's oracle says: its expression evaluated, as a list of outputs; None where it cannot say."""
    answer = eval(expression.strip().replace("\n", " "), {**names, **values})
    if answer is NotImplemented:
        return None
    return list(answer) if isinstance(answer, list | tuple) else [answer]


NUMPY = {
    name: value for name, value in vars().copy().items() if callable(value) and not name.startswith("_")
} | {"np": np, "math": math, "functools": functools}
