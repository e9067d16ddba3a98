"""Inputs of a torch module: the forward argument of each shape, and its name in the network."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from striate.diagnostics import UsageError, plural, suggest
from striate.tensor import TensorSpec

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = "Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]"


@dataclasses.dataclass(frozen=True)
class Argument:
    """One input. name: in the network; keyword: of the argument, empty for a positional one."""

    name: str
    shape: Shape
    keyword: str = ""


def arguments(module: Any, input: Shapes) -> tuple[Argument, ...]:
    """Match shapes to arguments of `forward`: (C, H, W), a sequence of these in order, or a mapping by argument name.

    A single shape is the input "input". Inputs have the names of their arguments; `_input` is appended if a part of the
    module has that name. Raises UsageError if shapes and arguments do not match.
    """
    accepted, required, open_ended = _signature(module)
    if isinstance(input, Mapping):
        matches = _by_name(module, input, accepted, required, open_ended)
    else:
        several = len(input) > 0 and all(
            isinstance(one, Sequence) and not isinstance(one, str) for one in input
        )
        shapes: Any = list(input) if several else [input]
        if len(shapes) < len(required) or (len(shapes) > len(accepted) and not open_ended):
            raise _mismatch(
                module,
                accepted,
                f"got {plural(len(shapes), 'shape')}",
                shapes,
            )
        names = (
            [*accepted, *(f"input{k + 1}" for k in range(len(accepted), len(shapes)))]
            if several
            else ["input"]
        )
        matches = [Argument(name, _shape(shape)) for name, shape in zip(names, shapes)]
    if len(matches) == 1 and not isinstance(input, Mapping):
        return tuple(matches)
    parts = {name for name, _ in module.named_modules()}
    unique = [f"{a.name}_input" if a.name in parts else a.name for a in matches]
    return tuple(dataclasses.replace(a, name=name) for a, name in zip(matches, unique, strict=True))


def _by_name(
    module: Any, input: Mapping[str, Any], accepted: list[str], required: list[str], open_ended: bool
) -> list[Argument]:
    unknown = [name for name in input if name not in accepted]
    if open_ended and not any(name in accepted for name in input):
        return [Argument(name, _shape(shape)) for name, shape in input.items()]  # labels, in their order
    missing = [name for name in required if name not in input]
    if unknown or missing:
        near = suggest(str(unknown[0]), missing or accepted) if unknown else None
        problem = f"it has no argument {unknown[0]!r}" if unknown else f"{', '.join(missing)} is missing"
        raise _mismatch(module, accepted, problem, list(input.values()), near)
    order = [name for name in accepted if name in input]
    by_place = order == accepted[: len(order)]
    return [Argument(name, _shape(input[name]), "" if by_place else name) for name in order]


def _signature(module: Any) -> tuple[list[str], list[str], bool]:
    """(arguments of forward, those without a default, whether it takes any number)."""
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError, AttributeError):
        return [], [], True
    explicit = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return [p.name for p in explicit], [p.name for p in explicit if p.default is p.empty], open_ended


def _shape(shape: Any) -> Shape:
    if (of_array := getattr(shape, "shape", None)) is not None:
        raise UsageError(
            "the input is an array, not the shape of an image",
            why="a network is traced with zeros of this shape",
            fix=f"write input={tuple(of_array[1:])}, its shape without the batch axis",
        )
    sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else shape
    TensorSpec.image(sizes)
    return tuple(sizes)


def _mismatch(
    module: Any, accepted: list[str], problem: str, shapes: list[Any], near: str | None = None
) -> UsageError:
    kind, count = type(module).__name__, len(accepted)
    shape = next((tuple(s) for s in shapes if isinstance(s, Sequence)), (3, 224, 224))
    example = f"{{{', '.join(f'{name!r}: {shape}' for name in accepted)}}}"
    return UsageError(
        f"{kind} takes {plural(count, 'input')}; {problem}",
        where=f"{kind}.forward({', '.join(accepted)})",
        why="every argument of forward needs a shape",
        fix=f"write {near!r}" if near else f"input={example}, or shapes in this order",
    )
