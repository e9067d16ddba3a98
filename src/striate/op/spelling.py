"""Names of ops and arguments in PyTorch and Keras, accepted as spellings of ours.

A spelling changes only the name: omitted values keep Striate's defaults, and printed or saved texts have Striate's
names. Names whose arguments have another meaning there are in `DIFFERENT`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from striate.diagnostics import OpError, plural, warn
from striate.elsewhere import fold

P = ParamSpec("P")
R = TypeVar("R")


def _dimensions(stems: Mapping[str, str]) -> dict[str, str]:
    """The names with 1d, 2d and 3d in place of the star."""
    return {stem.replace("*", f"{n}d"): ours for stem, ours in stems.items() for n in (1, 2, 3)}


OPS: Mapping[str, str] = {
    **_dimensions(
        {
            "conv*": "conv", "convtranspose*": "tconv", "conv*transpose": "tconv", "depthwiseconv*": "dwconv",
            "batchnorm*": "bn", "instancenorm*": "in", "zeropadding*": "pad",
            "maxpool*": "maxpool", "maxpooling*": "maxpool", "avgpool*": "avgpool", "averagepooling*": "avgpool",
            "lppool*": "lppool", "globalavgpool*": "gap", "globalaveragepooling*": "gap",
            "globalmaxpool*": "gmp", "globalmaxpooling*": "gmp",
            "adaptiveavgpool*": "adaptiveavgpool", "adaptivemaxpool*": "adaptivemaxpool",
        }
    ),
    "convtranspose": "tconv", "depthwiseconv": "dwconv", "dense": "fc",
    "globalavgpool": "gap", "globalaveragepooling": "gap", "globalmaxpool": "gmp", "globalmaxpooling": "gmp",
    "maxpooling": "maxpool", "averagepooling": "avgpool",
    "batchnorm": "bn", "layernorm": "ln", "layernormalization": "ln", "groupnorm": "gn",
    "groupnormalization": "gn", "instancenorm": "in", "localresponsenorm": "lrn",
    "concatenate": "concat", "cat": "concat", "multiply": "mul", "swish": "silu",
}  # fmt: skip
"""Lowercase name without underscores -> Striate's word."""

ARGUMENTS: Mapping[str, str] = {
    "kernel_size": "kernel", "pool_size": "kernel", "strides": "stride", "dilation_rate": "dilation",
    "out_channels": "filters", "out_features": "features", "units": "features", "num_groups": "groups",
    "use_bias": "bias", "padding_mode": "mode", "ceil_mode": "ceil", "epsilon": "eps", "negative_slope": "slope",
    "p": "rate", "norm_type": "p", "scale_factor": "scale", "output_size": "size",
    "upscale_factor": "factor", "downscale_factor": "factor",
    "alpha": "slope", "mode": "method", "input": "x", "weight": "w", "bias": "b", "grad_output": "dy",
}  # fmt: skip
"""Argument name -> Striate's. It is accepted if an op or function has Striate's name, and not this one."""

DIFFERENT: Mapping[str, tuple[str, str]] = {
    "batchnormalization": ("bn", "its momentum weights the old statistics, the momentum of bn the new ones"),
    "upsampling1d": ("upsample", "its size is a factor, the size of upsample is the output size"),
    "upsampling2d": ("upsample", "its size is a factor, the size of upsample is the output size"),
    "upsampling3d": ("upsample", "its size is a factor, the size of upsample is the output size"),
    "zeropad2d": ("pad", "its four sides are left, right, top, bottom; pad takes top, bottom, left, right"),
}  # fmt: skip
"""Names that are not accepted -> the op that is meant, and the difference."""

ELSEWHERE: Mapping[str, str] = {
    "activation": "an activation is a separate stage: -> relu",
    "input_shape": "a notation begins with the input size: 32x32x3 -> conv 3x3",
    "inplace": "leave it out",
    "dim": "name the axis by its letter: axis C is PyTorch's dim=1",
    "num_features": "leave it out: the number of channels follows from what it reads",
    "data_format": "leave it out: the notation is height x width x channels, arrays are (N, C, H, W)",
}
"""Arguments of other frameworks that no op has, and what to write instead."""

IN_PYTHON: Mapping[str, str] = {
    "activation": "an activation is an op of its own: build(Relu(), build(Conv(16), x)) with build = st.Builder(…)",
    "input_shape": "the builder has the input: st.Builder(input=(3, 32, 32))",
}
"""The same for the ops of Python, where it is said otherwise there."""

CALLS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    **{
        f"{name}{n}{d}": order
        for n in (1, 2, 3)
        for name, d, order in (
            (
                "Conv",
                "d",
                (
                    2,
                    (
                        "in_channels",
                        "filters",
                        "kernel",
                        "stride",
                        "padding",
                        "dilation",
                        "groups",
                        "bias",
                        "mode",
                    ),
                ),
            ),
            ("Conv", "D", (1, ("filters", "kernel", "stride", "padding"))),
            ("MaxPool", "d", (2, ("kernel", "stride", "padding", "dilation"))),
            ("AvgPool", "d", (2, ("kernel", "stride", "padding", "ceil"))),
            ("MaxPooling", "D", (2, ("kernel", "stride", "padding"))),
            ("AveragePooling", "D", (2, ("kernel", "stride", "padding"))),
        )
    },
    "Linear": (2, ("in_features", "features", "bias")),
}
"""Class of PyTorch or Keras -> the least number of values without a name at which their order is certain, and our
fields in this order. Capitals count: Conv2d is PyTorch's, Conv2D that of Keras."""

IN_ORDER: Mapping[str, str] = {
    "bias": "the number of inputs follows from what it reads: Linear(10)",
    "eps": "the number of channels follows from what it reads; name the argument if it is meant: eps=1.0",
}
"""Fields in whose position PyTorch has an integer argument, and what to write."""

MAX_SHOWN_LETTERS = 200
"""Maximum letters of a text that a remark repeats in Striate's names."""

_warned: set[str] = set()


def op_word(name: str, words: Collection[str]) -> str:
    """Our word for an op's name; the name itself if it is unknown.

    >>> op_word("Conv2d", ["conv"]), op_word("ReLU", ["relu"]), op_word("conve", ["conv"])
    ('conv', 'relu', 'conve')
    """
    if name in words:
        return name
    plain = fold(name.rpartition(".")[2])  # nn.ReLU
    return plain if plain in words else OPS.get(plain, name)


def call_order(name: str, count: int) -> tuple[str, ...]:
    """Our fields in the order of a class of PyTorch or Keras, called with `count` values without a name; or none.

    >>> call_order("Conv2D", 2), call_order("conv2d", 2)
    (('filters', 'kernel', 'stride', 'padding'), ())
    """
    least, order = CALLS.get(name.rpartition(".")[2], (1, ()))
    return order if count >= least else ()


def argument(name: str, names: Collection[str]) -> str:
    """Our name of an argument, if `names` has it and not the name itself; else the name.

    >>> argument("kernel_size", ["kernel", "stride"]), argument("p", ["p"])
    ('kernel', 'p')
    """
    ours = ARGUMENTS.get(name, name)
    return ours if name not in names and ours in names else name


def arguments(kwargs: Mapping[str, Any], names: Collection[str], of: str) -> dict[str, Any]:
    """Arguments by our names, with a remark for the others. Raises OpError if an argument is given by two names."""
    ours: dict[str, Any] = {}
    for theirs, value in kwargs.items():
        name = argument(theirs, names)
        if name not in names and name in ELSEWHERE:
            raise OpError(
                f"{of} does not take {name}",
                where=f"{of}: {', '.join(kwargs)}",
                fix=IN_PYTHON.get(name, ELSEWHERE[name]),
            )
        if name in ours:
            raise OpError(
                f"{name} of {of} is given twice",
                where=f"{of}: {', '.join(kwargs)}",
                why=f"{next(n for n in kwargs if argument(n, names) == name)} and {theirs} are the same argument",
                fix="remove one of them",
            )
        ours[name] = value
    spellings = {theirs: argument(theirs, names) for theirs in kwargs if argument(theirs, names) != theirs}
    remark(spellings, f"{of}({', '.join(f'{name}=…' for name in ours)})")
    return ours


def check_order(cls: str, fields: Sequence[str], values: Sequence[Any]) -> None:
    """Raise OpError for values in PyTorch's order, with sizes of the input, that do not fit our fields."""
    for field, value in zip(fields, values):
        if field in IN_ORDER and type(value) is int and value >= 1:
            raise OpError(
                f"{value} comes as {field} of {cls}",
                where=f"{cls}({', '.join(map(repr, values))})",
                why=f"in order, {cls} takes {', '.join(fields)}",
                fix=IN_ORDER[field],
            )


def check_filters(cls: str, values: Sequence[Any], channels: int) -> None:
    """Warn where (filters, kernel, stride) look like PyTorch's (channels of the input, filters, kernel).

    They do if the first number is the number of input channels, and the stride (3, 5, 7) or the kernel (even and at
    least 6, or above 11) is unusual.
    """
    filters, kernel, stride = values
    if filters != channels or not (
        stride in (3, 5, 7, 9, 11) or kernel > 11 or (kernel >= 6 and kernel % 2 == 0)
    ):
        return
    warn(
        f"{cls}({filters}, {kernel}, {stride}) is {plural(filters, 'filter')} of {kernel}x{kernel}, stride {stride}; "
        f"if {kernel} filters of {stride}x{stride} are meant, as in PyTorch, write {cls}({kernel}, kernel={stride}); "
        f"if not, name them: {cls}({filters}, kernel={kernel}, stride={stride})"
    )


def remark(spellings: Mapping[str, str], example: str) -> None:
    """Warn of names that are not ours, on the first use of each; example: the same in our names."""
    new = {theirs: ours for theirs, ours in spellings.items() if theirs not in _warned}
    if not new:
        return
    _warned.update(new)
    pairs = ", ".join(f"{ours} for {theirs}" for theirs, ours in new.items())
    text = f"Striate's names are {pairs}; everything left out has Striate's defaults"
    if len(example) <= MAX_SHOWN_LETTERS:
        text += f": {' '.join(example.split())}"
    warn(text)


def accept_spellings(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function also accept the argument names of other frameworks."""
    code = function.__code__
    names = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not names.issuperset(kwargs):
            ours: Any = arguments(kwargs, names, function.__name__)
            return function(*args, **ours)
        return function(*args, **kwargs)

    return call
