"""Write one op as PyTorch: a module built in __init__, or an expression in forward.

`write_op(node, declaration)` returns a Code; one table has the writer of every op. Needs no torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from striate.diagnostics import FormatError
from striate.engine.torch.listed import maps, same_in_torch, torch_folds
from striate.network import Node
from striate.op import Declaration

IN_SCOPE = ("layerscale",)
"""Ops whose parameter may belong to the enclosing block."""


@dataclasses.dataclass(frozen=True)
class Arg:
    """A constructor argument; it may be left out if it equals `usual`."""

    role: str
    value: Any
    usual: Any = None
    by_keyword: bool = True


@dataclasses.dataclass(frozen=True)
class Code:
    """PyTorch form of an op: a module, or an expression. `before` wraps the input, `after` the output."""

    word: str
    module: str = ""
    arguments: tuple[Arg, ...] = ()
    expression: str = ""
    before: str = ""
    after: str = ""
    helpers: tuple[str, ...] = ()
    parameter: str = ""

    @property
    def form(self) -> str:
        roles = ",".join(a.role for a in self.arguments)
        return f"{self.module}[{roles}]{self.expression}{self.before}{self.after}"

    def tree(self, names: Sequence[str | None]) -> tuple[str, list[Any]]:
        """The constructor call. names: of the arguments that are not plain values."""
        parts: list[Any] = []
        for arg, name in zip(self.arguments, names):
            if (
                name is None
                and arg.by_keyword
                and arg.value == arg.usual
                and type(arg.value) is type(arg.usual)
            ):
                continue
            text = name or repr(arg.value)
            parts.append(f"{arg.role}={text}" if arg.by_keyword else text)
        if self.parameter:
            return "nn.Parameter", [f"torch.full({parts[0]}, {parts[1]})"]
        return self.module, parts

    def call(self, module: str, variables: Sequence[str]) -> str:
        """The call in forward with these variables."""
        if self.expression:
            by_name = {f"x{k}": name for k, name in enumerate(variables)} | {"module": module}
            return self.expression.format(*variables, all=", ".join(variables), plus=" + ".join(variables),
                                          times=" * ".join(variables), **by_name)  # fmt: skip
        inner = self.before.format(*variables) if self.before else ", ".join(variables)
        return f"{module}({inner}){self.after}"


def _one(sizes: Sequence[int]) -> Any:
    """A size in torch's form: one number if all axes agree."""
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _plain(*values: tuple[str, Any]) -> tuple[Arg, ...]:
    return tuple(Arg(role, value, by_keyword=False) for role, value in values)


def _rank(declaration: Declaration) -> int:
    return max(len(declaration.inputs[0].spatial_axes), 1)


def _field(declaration: Declaration, name: str) -> Any:
    return _one([getattr(w, name) for w in declaration.windows.values()])


def _sides(declaration: Declaration) -> tuple[Any, str]:
    """torch's padding argument, or 0 and the flat list for F.pad."""
    pairs = [(w.before, w.after) for w in declaration.windows.values()]
    if all(a == b for a, b in pairs):
        return _one([a for a, _ in pairs]), ""
    return 0, str(tuple(side for pair in reversed(pairs) for side in pair))


def _pool_sides(declaration: Declaration) -> tuple[Any, str]:
    """As `_sides`; a pool pads by at most half of its kernel."""
    windows = declaration.windows.values()
    if all(w.before == w.after <= w.kernel // 2 for w in windows):
        return _sides(declaration)
    return 0, str(tuple(side for w in reversed([*windows]) for side in (w.before, w.after)))


def _refusal(node: Node, why: str) -> FormatError:
    error = FormatError(
        f"{node.op.word} cannot be written as PyTorch",
        why=why,
        fix="convert to .toml instead, or replace the node",
    )
    error.at(node.name, f"{node.name} = {node.op}", node.place)
    return error


def _check_border(node: Node, mode: str, d: Declaration, pairs: Sequence[tuple[int, int]]) -> None:
    if mode == "symmetric":
        raise _refusal(node, "PyTorch has no padding mode symmetric")
    if mode != "zeros" and not torch_folds(mode, d.inputs[0].spatial, pairs):
        raise _refusal(
            node, f"PyTorch reflects at a border at most once, and the padding is longer than {d.inputs[0]}"
        )


def _conv(node: Node, op: Any, d: Declaration) -> Code:
    padding, uneven = _sides(d)
    channels, filters = d.inputs[0].channels, d.outputs[0].channels
    groups = channels if op.groups == "depthwise" else op.groups
    _check_border(node, op.mode, d, [(w.before, w.after) for w in d.windows.values()])
    mode = op.mode if padding != 0 and not uneven else "zeros"
    options = (
        Arg("kernel_size", _field(d, "kernel")), Arg("stride", _field(d, "stride"), 1), Arg("padding", padding, 0),
        Arg("dilation", _field(d, "dilation"), 1), Arg("groups", groups, 1), Arg("bias", op.bias, True),
        Arg("padding_mode", mode, "zeros"),
    )  # fmt: skip
    extra = "" if op.mode == "zeros" else f', mode="{op.mode}"'
    before = f"F.pad({{0}}, {uneven}{extra})" if uneven else ""
    ends = _plain(("in_channels", channels), ("out_channels", filters))
    return Code("conv", f"nn.Conv{_rank(d)}d", (*ends, *options), before=before)


def _tconv(node: Node, op: Any, d: Declaration) -> Code:
    padding, uneven = _sides(d)
    if uneven:
        raise _refusal(node, "torch crops transposed convolutions equally on both sides")
    rank = _rank(d)
    options = (
        Arg("kernel_size", _one(op.per_axis("kernel", rank))), Arg("stride", _one(op.per_axis("stride", rank)), 1),
        Arg("padding", padding, 0), Arg("output_padding", _one(op.per_axis("output_padding", rank)), 0),
        Arg("dilation", _one(op.per_axis("dilation", rank)), 1), Arg("groups", op.groups, 1),
        Arg("bias", op.bias, True),
    )  # fmt: skip
    ends = _plain(("in_channels", d.inputs[0].channels), ("out_channels", op.filters))
    return Code("tconv", f"nn.ConvTranspose{rank}d", (*ends, *options))


def _fc(node: Node, op: Any, d: Declaration) -> Code:
    ends = _plain(("in_features", d.inputs[0].shape[-1]), ("out_features", op.features))
    return Code("fc", "nn.Linear", (*ends, Arg("bias", op.bias, True)))


def _maxpool(node: Node, op: Any, d: Declaration) -> Code:
    padding, uneven = _pool_sides(d)
    kernel, stride = _field(d, "kernel"), _field(d, "stride")
    if uneven and op.ceil:
        raise _refusal(node, "torch cannot round sizes up with separate padding")
    options = (
        Arg("stride", stride, kernel), Arg("padding", padding, 0), Arg("dilation", _field(d, "dilation"), 1),
        Arg("ceil_mode", op.ceil, False),
    )  # fmt: skip
    before = f'F.pad({{0}}, {uneven}, value=float("-inf"))' if uneven else ""
    return Code(
        "maxpool", f"nn.MaxPool{_rank(d)}d", (*_plain(("kernel_size", kernel)), *options), before=before
    )


def _avgpool(node: Node, op: Any, d: Declaration) -> Code:
    padding, uneven = _pool_sides(d)
    kernel, stride = _field(d, "kernel"), _field(d, "stride")
    if _field(d, "dilation") != 1:
        raise _refusal(node, "torch has no dilated average pool")
    if uneven and (op.ceil or not op.count_include_pad):
        raise _refusal(
            node, "with separate padding, torch can neither round sizes up nor exclude the padding"
        )
    options = (
        Arg("stride", stride, kernel), Arg("padding", padding, 0), Arg("ceil_mode", op.ceil, False),
        Arg("count_include_pad", op.count_include_pad, True),
    )  # fmt: skip
    before = f"F.pad({{0}}, {uneven})" if uneven else ""
    return Code(
        "avgpool", f"nn.AvgPool{_rank(d)}d", (*_plain(("kernel_size", kernel)), *options), before=before
    )


def _adaptive(kind: str) -> Callable[[Node, Any, Declaration], Code]:
    def make(node: Node, op: Any, d: Declaration) -> Code:
        size = _one(op.per_axis("size", _rank(d))) if hasattr(op, "size") else 1
        return Code(op.word, f"nn.Adaptive{kind}Pool{_rank(d)}d", _plain(("output_size", size)))

    return make


def _bn(node: Node, op: Any, d: Declaration) -> Code:
    rank = len(d.inputs[0].spatial_axes)
    args = (Arg("eps", op.eps, 1e-5), Arg("momentum", op.momentum, 0.1), Arg("affine", op.affine, True))
    return Code(
        "bn", f"nn.BatchNorm{max(rank, 1)}d", (*_plain(("num_features", d.inputs[0].channels)), *args)
    )


def _gn(node: Node, op: Any, d: Declaration) -> Code:
    ends = _plain(("num_groups", op.groups), ("num_channels", d.inputs[0].channels))
    return Code("gn", "nn.GroupNorm", (*ends, Arg("eps", op.eps, 1e-5), Arg("affine", op.affine, True)))


def _in(node: Node, op: Any, d: Declaration) -> Code:
    if math.prod(d.inputs[0].spatial_sizes) == 1:
        raise _refusal(node, "torch's InstanceNorm needs more than one position")
    args = (Arg("eps", op.eps, 1e-5), Arg("affine", op.affine, False))
    return Code("in", f"nn.InstanceNorm{_rank(d)}d", (*_plain(("num_features", d.inputs[0].channels)), *args))


def _ln(node: Node, op: Any, d: Declaration) -> Code:
    (spec,) = d.inputs
    shape: Any = spec.shape[1:] if op.axes == "all" else spec.channels
    args = (
        *_plain(("normalized_shape", shape)),
        Arg("eps", op.eps, 1e-5),
        Arg("elementwise_affine", op.affine, True),
    )
    if op.axes == "all" or spec.axes[-1] == "C":
        return Code("ln", "nn.LayerNorm", args)
    if spec.axes[1] != "C":
        raise _refusal(node, f"it normalizes axis C of {' '.join(spec.axes)}")
    return Code("ln", "ChannelNorm", args, helpers=("ChannelNorm",))


def _layerscale(node: Node, op: Any, d: Declaration) -> Code:
    (parameter,) = d.parameters
    args = _plain(("shape", parameter.shape), ("init", op.init))
    return Code("layerscale", "LayerScale", args, helpers=("LayerScale",))


def _affine(node: Node, op: Any, d: Declaration) -> Code:
    if op.weight is None and op.bias is None:
        text = "{0}" if op.scale == 1 else f"{{0}} * {op.scale!r}"
        return Code("affine", expression=text if op.shift == 0 else f"{text} + {op.shift!r}")
    args = (
        Arg("scale", op.scale, 1.0), Arg("shift", op.shift, 0.0), Arg("weight", op.weight), Arg("bias", op.bias),
        Arg("learned", op.learned, True),
    )  # fmt: skip
    return Code("affine", "Affine", args, helpers=("Affine",))


def _permute(node: Node, op: Any, d: Declaration) -> Code:
    axes = d.inputs[0].axes
    order = (0, *(axes.index(axis) for axis in op.order))
    return Code("permute", "Permute", _plain(("dims", order)), helpers=("Permute",))


def _pad(node: Node, op: Any, d: Declaration) -> Code:
    pairs = [p if isinstance(p, tuple) else (p, p) for p in op.padding_per_axis(_rank(d))]
    _check_border(node, op.mode, d, pairs)
    pairs = [tuple(op.channels), *pairs] if any(op.channels) else pairs
    flat = tuple(side for pair in reversed(pairs) for side in pair)
    if op.mode != "zeros" and any(op.channels):
        raise _refusal(node, f"torch has no padding mode {op.mode} for channels")
    more = f', mode="{op.mode}"' if op.mode != "zeros" else f", value={op.value!r}" if op.value else ""
    return Code("pad", expression=f"F.pad({{0}}, {flat}{more})")


def _upsample(node: Node, op: Any, d: Declaration) -> Code:
    linear = ("linear", "bilinear", "trilinear")[_rank(d) - 1]
    if not same_in_torch(maps(d)):
        raise _refusal(node, f"torch resamples {d.inputs[0]} by {op.scale or op.size} differently")
    if op.method == "bicubic":
        if _rank(d) != 2:
            raise _refusal(node, "torch interpolates bilinearly only for images")
        linear = "bicubic"
    size = None if op.scale is not None else _one(d.outputs[0].spatial)
    scale = int(op.scale) if op.scale and op.scale == int(op.scale) else op.scale
    mode = "nearest" if op.method == "nearest" else linear
    args = (
        Arg("size", size), Arg("scale_factor", scale), Arg("mode", mode, "nearest"),
        Arg("align_corners", True if op.align_corners and mode != "nearest" else None),
    )  # fmt: skip
    return Code("upsample", "nn.Upsample", args)


def _rearrange(node: Node, op: Any, d: Declaration) -> Code:
    product = math.prod(size for size in op.apart if size != -1)
    apart = ", ".join(str(d.inputs[0].elements // product if size == -1 else size) for size in op.apart)
    order = ", ".join(str(k + 1) for k in op.order)
    shape = ", ".join(map(str, d.outputs[0].shape[1:]))
    text = f"{{0}}.reshape(-1, {apart}).permute(0, {order}).reshape(-1, {shape})"
    return Code("rearrange", expression=text)


def _gather(node: Node, op: Any, d: Declaration) -> Code:
    at = d.inputs[0].axes.index(op.axis)
    return Code("gather", expression=f"{{0}}[{', '.join([':'] * at + [str(list(op.entries))])}]")


_REDUCTIONS = {"max": "amax", "min": "amin"}


def _reduce(node: Node, op: Any, d: Declaration) -> Code:
    at = tuple(d.inputs[0].axes.index(axis) for axis in op.over)
    if op.function in ("l1", "l2"):
        return Code("reduce", expression=f"torch.linalg.vector_norm({{0}}, {op.function[1]}, {at}, True)")
    name = _REDUCTIONS.get(op.function, op.function)
    return Code("reduce", expression=f"{{0}}.{name}({at}, keepdim=True)")


def _lrn(node: Node, op: Any, d: Declaration) -> Code:
    if op.odd == "after" and op.size % 2 == 0:
        raise _refusal(node, "for an even size, torch puts the extra channel before, not after")
    options = (Arg("alpha", op.alpha, 1e-4), Arg("beta", op.beta, 0.75), Arg("k", op.k, 1.0))
    before = (
        "{0}.contiguous()" if len(d.inputs[0].axes) == 5 else ""
    )  # it reshapes volumes internally, which needs contiguous memory
    return Code("lrn", "nn.LocalResponseNorm", (*_plain(("size", op.size)), *options), before=before)


def _slice(node: Node, op: Any, d: Declaration) -> Code:
    at = d.inputs[0].axes.index(op.axis)
    start = "" if op.start == 0 else op.start
    cut = f"{start}:{'' if op.stop is None else op.stop}" + (f":{op.step}" if op.step != 1 else "")
    return Code("slice", expression=f"{{0}}[{', '.join([':'] * at + [cut])}]")


def _split(node: Node, op: Any, d: Declaration) -> Code:
    at = d.inputs[0].axes.index("C")
    if op.sizes is None:
        return Code("split", expression=f"{{0}}.chunk({op.parts}, {at})")
    return Code("split", expression=f"{{0}}.split({tuple(op.sizes)}, {at})")


def _channel_shuffle(node: Node, op: Any, d: Declaration) -> Code:
    if len(d.inputs[0].axes) == 2:  # the module needs at least one position
        text = f"{{0}}.unflatten(1, ({op.groups}, -1)).transpose(1, 2).flatten(1)"
        return Code("channelshuffle", expression=text)
    return Code("channelshuffle", "nn.ChannelShuffle", _plain(("groups", op.groups)))


def _crop(node: Node, op: Any, d: Declaration) -> Code:
    (spec, _), (output,) = d.inputs, d.outputs
    cuts = [":", ":"]
    for axis, reading in d.readings[0].items():
        if axis in spec.spatial_axes:
            start = max(-getattr(reading.map, "before", 0), 0)
            cuts.append(
                ":" if spec.size(axis) == output.size(axis) else f"{start}:{start + output.size(axis)}"
            )
    return Code("crop", expression=f"{{0}}[{', '.join(cuts)}]")


def _clip(node: Node, op: Any, d: Declaration) -> Code:
    if op.low is None and op.high is None:
        return Code("clip", expression="{0}")
    return Code("clip", expression=f"torch.clamp({{0}}, {op.low!r}, {op.high!r})")


def _simple(module: str, *fields: tuple[str, str, Any]) -> Callable[[Node, Any, Declaration], Code]:
    """A module from the fields of the op: (field, torch's argument, default)."""

    def make(node: Node, op: Any, d: Declaration) -> Code:
        args = tuple(Arg(role, getattr(op, field), usual) for field, role, usual in fields)
        return Code(op.word, module, args)

    return make


def _pixels(module: str) -> Callable[[Node, Any, Declaration], Code]:
    """For images only: torch takes the last three axes as channels, height and width."""

    def make(node: Node, op: Any, d: Declaration) -> Code:
        if _rank(d) != 2:
            raise _refusal(node, f"{module} takes images")
        return Code(op.word, module, _plain(("factor", op.factor)))

    return make


def _expression(text: str) -> Callable[[Node, Any, Declaration], Code]:
    return lambda node, op, d: Code(op.word, expression=text)


def _chain(function: str) -> Callable[[Node, Any, Declaration], Code]:
    """A function of two values, applied to any number of inputs in turn."""

    def make(node: Node, op: Any, d: Declaration) -> Code:
        text = "{0}"
        for k in range(1, len(d.inputs)):
            text = f"torch.{function}({text}, {{{k}}})"
        return Code(op.word, expression=text)

    return make


_WRITERS: dict[str, Callable[[Node, Any, Declaration], Code]] = {
    "conv": _conv, "tconv": _tconv, "fc": _fc, "maxpool": _maxpool, "avgpool": _avgpool,
    "gap": _adaptive("Avg"), "gmp": _adaptive("Max"), "adaptiveavgpool": _adaptive("Avg"),
    "adaptivemaxpool": _adaptive("Max"), "bn": _bn, "gn": _gn, "in": _in, "ln": _ln, "layerscale": _layerscale,
    "affine": _affine, "permute": _permute, "pad": _pad, "upsample": _upsample, "slice": _slice, "split": _split,
    "crop": _crop, "clip": _clip, "relu": _simple("nn.ReLU"), "relu6": _simple("nn.ReLU6"),
    "leakyrelu": _simple("nn.LeakyReLU", ("slope", "negative_slope", 0.01)),
    "elu": _simple("nn.ELU", ("alpha", "alpha", 1.0)), "selu": _simple("nn.SELU"),
    "gelu": lambda n, op, d: Code(
        "gelu", "nn.GELU", (Arg("approximate", "tanh" if op.approximate else "none", "none"),)),
    "silu": _simple("nn.SiLU"), "sigmoid": _simple("nn.Sigmoid"), "tanh": _simple("nn.Tanh"),
    "hardsigmoid": _simple("nn.Hardsigmoid"), "hardswish": _simple("nn.Hardswish"),
    "softplus": _simple("nn.Softplus"), "softsign": _simple("nn.Softsign"), "mish": _simple("nn.Mish"),
    "softmax": lambda n, op, d: Code("softmax", "nn.Softmax", (Arg("dim", d.inputs[0].axes.index(op.axis)),)),
    "logsoftmax": lambda n, op, d: Code("logsoftmax", "nn.LogSoftmax", (Arg("dim", d.inputs[0].axes.index(op.axis)),)),
    "prelu": lambda n, op, d: Code("prelu", "nn.PReLU", (Arg("num_parameters", d.parameters[0].elements, 1),)),
    "dropout": lambda n, op, d: Code("dropout", "nn.Dropout", _plain(("p", op.rate))),
    "stochasticdepth": lambda n, op, d: Code(
        "stochasticdepth", "StochasticDepth", _plain(("p", op.rate)), helpers=("StochasticDepth",)),
    "lrn": _lrn, "gather": _gather, "rearrange": _rearrange, "reduce": _reduce,
    "channelshuffle": _channel_shuffle,
    "pixelshuffle": _pixels("nn.PixelShuffle"), "pixelunshuffle": _pixels("nn.PixelUnshuffle"),
    "flatten": _simple("nn.Flatten"), "identity": _simple("nn.Identity"),
    "reshape": lambda n, op, d: Code(
        "reshape", expression=f"{{0}}.reshape(-1, {', '.join(map(str, d.outputs[0].shape[1:]))})"),
    "add": _expression("{plus}"), "mul": _expression("{times}"), "div": _expression("{0} / {1}"),
    "matmul": _expression("torch.matmul({0}, {1})"), "maximum": _chain("maximum"), "minimum": _chain("minimum"),
    "abs": _expression("{0}.abs()"), "exp": _expression("torch.exp({0})"), "log": _expression("torch.log({0})"),
    "erf": _expression("torch.erf({0})"),
    "pow": lambda n, op, d: Code("pow", expression=f"torch.pow({{0}}, {op.exponent!r})"),
    "concat": lambda n, op, d: Code("concat", expression=f"torch.cat(({{all}}), {d.inputs[0].axes.index(op.axis)})"),
}  # fmt: skip


_CHANNELS_SECOND = ("bn", "gn", "in", "prelu", "lrn", "channelshuffle")
"""Ops whose module expects channels on the second axis."""


def _move_channels(code: Code, axes: Sequence[str]) -> Code:
    """Move the channels to the axis that a module expects, and its result back."""
    at, target = axes.index("C"), len(axes) - 1 if code.word == "layerscale" else 1
    ahead = code.word == "layerscale" and axes[1] == "C"  # its scale includes the axes after the channels
    if at == target or ahead or code.word not in (*_CHANNELS_SECOND, "layerscale"):
        return code
    before, after = f"{{0}}.movedim({at}, {target})", f".movedim({target}, {at})"
    return dataclasses.replace(code, before=code.before.replace("{0}", before) or before, after=after)


def write_op(node: Node, declaration: Declaration, within: bool = False) -> Code:
    """Write a node; `within`: its parameter belongs to the enclosing block.

    Raises FormatError for an op without a counterpart in torch.
    """
    if node.op.word not in _WRITERS:
        raise _refusal(node, "torch has no counterpart")
    code = _WRITERS[node.op.word](node, node.op, declaration)
    code = _move_channels(code, declaration.inputs[0].axes)
    if within and code.word in IN_SCOPE:
        text = f"({code.before} * self.layer_scale){code.after}" if code.before else "{0} * self.layer_scale"
        return Code(code.word, code.module, code.arguments, text, parameter="layer_scale")
    return code
