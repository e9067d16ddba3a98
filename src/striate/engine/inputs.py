"""Inputs of a network: one batch, or one per input, in order or by name."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, OpError, UsageError, plural, suggest
from striate.network import Network
from striate.tensor import TensorSpec

P = ParamSpec("P")
R = TypeVar("R")
Array = NDArray[Any]
InputBatch: TypeAlias = "Array | Sequence[Array] | Mapping[str, Array]"
"""A batch of the only input, or those of several: a tuple in the network's order, or a mapping by name."""


def arrays_by_input(net: Network, x: InputBatch) -> dict[str, Array]:
    """Batches by input, in the network's order, as floats: float64 where one of them is.

    Raises UsageError where inputs are missing or unknown, FormatError for what holds no numbers, and OpError for a
    shape that does not fit, or batches of different sizes; each with the fix.
    """
    arrays = {name: _numbers(array) for name, array in assign_inputs(net, x).items()}
    for name, array in arrays.items():
        _suits(net, name, array)
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise OpError(
            f"the batches of {net.name} differ in size: {_joined(f'{n} has {k}' for n, k in sizes.items())}",
            why="row 5 of one input belongs to row 5 of the others",
            fix="give every input the same number of rows",
        )
    if any(array.dtype == np.float64 for array in arrays.values()):
        return {name: array.astype(np.float64, copy=False) for name, array in arrays.items()}
    return arrays


def join_arguments(x: InputBatch, more: Sequence[Array]) -> InputBatch:
    """Join the arguments of a call into one input."""
    return cast("InputBatch", (x, *more)) if more else x


def rows(x: InputBatch) -> int:
    """The size of a batch."""
    if isinstance(x, Mapping):
        x = next(iter(x.values()))
    elif not isinstance(x, np.ndarray):
        x = x[0]
    return len(x)


def bare(x: Mapping[str, Array]) -> Array | Mapping[str, Array]:
    """The batch itself if there is one input, else the mapping."""
    return x if len(x) != 1 else next(iter(x.values()))


def part(x: InputBatch, where: Any) -> Any:
    """The rows that an index, a slice or a mask selects, of every input."""
    if isinstance(x, Mapping):
        return {name: array[where] for name, array in x.items()}
    return x[where] if isinstance(x, np.ndarray) else tuple(array[where] for array in x)


def is_image(spec: TensorSpec) -> bool:
    """Whether an input has height and width: what is normalized; vectors, sequences and volumes never are."""
    return len(spec.shape) == 4


def assign_inputs(net: Network, x: InputBatch) -> Mapping[str, Any]:
    """The batches by the names of their inputs. Raises UsageError where inputs are missing or unknown."""
    names = list(net.inputs)
    if isinstance(x, Mapping):
        unknown = [name for name in x if name not in net.inputs]
        missing = [name for name in names if name not in x]
        if unknown or missing:
            near = suggest(str(unknown[0]), missing) if unknown else None
            what = f"{net.name} has no input {unknown[0]!r}" if unknown else f"{missing[0]} is missing"
            raise UsageError(
                what,
                where=_inputs(net),
                why=f"the batches are {_joined(map(repr, x))}" if x else "there are no batches",
                fix=f"write {near!r}" if near else f"give one batch for each of {_joined(names)}",
            )
        return {name: x[name] for name in names}
    several = isinstance(x, tuple | list)
    if len(names) == 1:  # a list of images is a batch of it, a tuple of batches is not
        several = several and any(axes_of(one) == len(net.input.shape) for one in x)
        if not several:
            return {names[0]: x}
    if not several or len(x) != len(names):
        count = plural(len(x), "array") if several and len(x) != 1 else "one array"
        by_name = f"{{{', '.join(f'{name!r}: …' for name in names)}}}"
        raise UsageError(
            f"{net.name} takes {plural(len(names), 'input')} (got {count})",
            where=_inputs(net),
            why="every input needs one batch, in this order or by name",
            fix=f"give ({', '.join(names)}), or {by_name}" if len(names) > 1 else "give one array",
        )
    return dict(zip(names, x, strict=True))


def as_array(x: Any) -> Array:
    """The value as an array of any type. Raises FormatError where it is not an array."""
    try:
        return np.asarray(x)
    except ValueError:
        raise FormatError(
            "a batch of lists of different lengths is not an array",
            why="a batch is one array: images of one size",
            fix="resize the images, then np.stack(images)",
        ) from None
    except (RuntimeError, TypeError) as error:  # a tensor that has gradients, or is on a GPU
        raise FormatError(
            f"a batch of type {type(x).__name__} cannot be read",
            why=(str(error) or type(error).__name__).splitlines()[0][:200],
            fix="x.detach().cpu().numpy()" if hasattr(x, "detach") else "give a float32 array",
        ) from None


MAX_COUNT = 2**31 - 1
"""Maximum number of images in a batch, and of other counts."""


def as_count(value: Any, name: str, least: int = 1, most: float = MAX_COUNT) -> int:
    """A number of images or of answers. Raises UsageError if it is not a whole number from `least` to `most`."""
    try:
        count = operator.index(value)
    except TypeError:
        count = least - 1
    if not least <= count <= most:
        raise UsageError(
            f"{name} = {value!r} is not allowed",
            why=f"{name} takes a whole number of {f'{least} or more' if count < least else f'{most} or less'}",
            fix=f"correct it, or leave {name} out",
        )
    return count


def accept_former_name(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that takes an argument under its former name, too."""

    def accept(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs and new not in kwargs:
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return accept


def axes_of(x: Any) -> int:
    """The number of axes; 0 if it is not an array."""
    try:
        return np.ndim(x)
    except (ValueError, RuntimeError, TypeError):
        return int(getattr(x, "ndim", 0))


def _numbers(x: Any) -> Array:
    array = as_array(x)
    if array.dtype.kind not in "fiub":
        raise FormatError(
            f"a batch of type {array.dtype} is not numeric",
            why="a batch holds numbers",
            fix="give a float32 array"
            + "; of a loader: np.concatenate([x for x, *_ in loader])" * (not array.ndim),
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _suits(net: Network, name: str, array: Array) -> None:
    spec = net.inputs[name]
    shape = spec.without_batch
    if array.shape[1:] == shape and array.ndim:
        return
    hint = f"resize the images, or declare the network on this size: {_declared(net, name)}"
    sizes = ", ".join(map(str, shape))
    if len(shape) == 1:
        hint = f"give rows of {plural(shape[0], 'number')}"
    elif array.ndim in (1, 2) and array.shape[-1:] == (math.prod(shape),):
        hint = f"restore the axes: x.reshape(-1, {sizes})"
    elif shape[0] == 1 and array.shape == shape[1:]:
        hint = "add the axes of batch and channels: x[None, None]"
    elif shape[0] == 1 and array.shape[1:] == shape[1:]:
        hint = "add the axis of channels: x[:, None]"
    elif array.shape[2:] == shape[1:] and array.shape[1:2] == (1,):
        hint = f"repeat the gray channel: np.repeat(x, {shape[0]}, axis=1)"
    elif shape[1:] and array.shape[2:] == shape[1:]:
        hint = f"give the {plural(shape[0], 'channel')} that the network reads"
    elif shape[1:] and array.shape[1:-1] == shape[1:]:
        hint = f"give the {plural(shape[0], 'channel')} that the network reads, before height and width"
    elif array.ndim != len(shape) + 1 or not array.size:
        hint = f"give an array of shape (N, {sizes}), N examples at once"
    if array.shape == shape:
        hint = "add the batch axis: x[None]"
    elif (*array.shape[-1:], *array.shape[:-1]) == shape:
        hint = "channels go first, and a batch axis before them: x.transpose(2, 0, 1)[None]"
    elif (*array.shape[-1:], *array.shape[1:-1]) == shape:
        hint = "channels go before height and width: x.transpose(0, 3, 1, 2)"
    what = net.name if len(net.inputs) == 1 else f"{name} of {net.name}"
    raise OpError(
        f"{what} takes batches of shape (N, {', '.join(map(str, shape))}) (got {array.shape})",
        fix=hint,
    )


def _declared(net: Network, name: str) -> str:
    return "net.with_input" if len(net.inputs) == 1 else f"net.with_input({{{name!r}: …}})"


def _inputs(net: Network) -> str:
    return f"inputs of {net.name}: {_joined(f'{name} {_size(spec)}' for name, spec in net.inputs.items())}"


def _size(spec: TensorSpec) -> str:
    return f"(N, {', '.join(map(str, spec.without_batch))})"


def _joined(parts: Any) -> str:
    texts = list(map(str, parts))
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1]))) if texts else ""


def pieces(count: int, most: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each piece of a batch: pieces of `most`, then decreasing powers of two."""
    start = 0
    while start < count or not start:
        remaining = count - start
        stop = start + (most if remaining >= most else 1 << max(remaining.bit_length() - 1, 0))
        yield start, min(stop, count)
        start = stop


def concatenate(outputs: Sequence[Array | tuple[Array, ...]]) -> Array | tuple[Array, ...]:
    """Concatenate the outputs of several batches."""
    if len(outputs) == 1:
        return outputs[0]
    if isinstance(outputs[0], tuple):
        return tuple(np.concatenate(parts) for parts in zip(*outputs, strict=True))
    return np.concatenate(outputs)
