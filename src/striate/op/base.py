"""An op is a frozen declaration: typed fields, and statements from which everything else is derived."""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from striate.diagnostics import OpError, UnknownNameError, plural, suggest
from striate.fields import MISSING, Unsuited, read, shown
from striate.geometry import Window
from striate.op import spelling
from striate.op.declaration import Declaration
from striate.op.fields import Padding, Sizes, in_notation, plain, tuples
from striate.op.traits import Trait
from striate.signatures import ExplainMisuse
from striate.tensor import TensorSpec

ANY = -1

_REGISTRY: dict[str, type[Op]] = {}


class _Named(ExplainMisuse, abc.ABCMeta):
    """Accepts other frameworks' names of an op's fields: ``Conv(16, kernel_size=3)``."""

    if not TYPE_CHECKING:  # a type checker sees only our names

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            names = [field.name for field in dataclasses.fields(cls)]
            if not kwargs.keys() <= {*names}:
                kwargs = spelling.arguments(kwargs, names, cls.__name__)
            spelling.check_order(cls.__name__, names, args)
            op = super().__call__(*args, **kwargs)
            if names[:3] == ["filters", "kernel", "stride"] and [*map(type, args[:3])] == [int, int, int]:
                vars(op)["_in_order"] = args[:3]  # for `check_input`, once the input is known
            return op


@dataclasses.dataclass(frozen=True)
class Op(metaclass=_Named):
    """Base of all ops. Subclasses are frozen dataclasses whose fields come from the helpers above."""

    word: ClassVar[str]
    """Name in the registry, the notation, files and JSON."""
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Other words of the notation, each with preset fields."""
    positional: ClassVar[tuple[str, ...]] = ()
    """Positional fields in the notation, in order."""
    arity: ClassVar[int | None] = 1
    """Number of inputs; None for two or more, ANY for one or more."""
    follows: ClassVar[int | None] = None
    """Input that determines the output's spatial size, if it is not the first."""
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = ""
    """Names in the field: the ONNX operator and the torch.nn class, for documentation and exchange."""

    @property
    def traits(self) -> Trait:
        """Properties of the op; a plain class attribute if they do not depend on its fields."""
        return Trait.NONE

    @abc.abstractmethod
    def declare(self, *inputs: TensorSpec) -> Declaration:
        """Outputs, parameters and statements for these inputs (batch axis first).

        Raises ShapeError when there is no output, OpError when the attributes do not suit the input.
        """

    def declare_training(self, *inputs: TensorSpec) -> Declaration:
        """The declaration while training, where it differs: batch statistics, noise."""
        return self.declare(*inputs)

    def averaged(self, x: TensorSpec) -> Mapping[str, int]:
        """Axis of the input -> how many of its entries one mean runs over, for a normalization; else empty."""
        return {}

    def check_input(self, x: TensorSpec) -> None:
        """Warn if the op's arguments seem to be in PyTorch's order, judged by its input x."""
        if values := vars(self).get("_in_order"):
            spelling.check_filters(type(self).__name__, values, x.channels)

    def idle(self, declaration: Declaration) -> str:
        """Why the op with these settings is the identity; empty if it is not."""
        return ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "word" in cls.__dict__:
            for word in (cls.word, *cls.aliases):
                other = _REGISTRY.get(word, cls)
                if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise TypeError(f"two ops claim the word {word!r}")
                _REGISTRY[word] = cls  # a notebook may define an op several times: the last one counts
            registry.cache_clear()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, self._validate(field, value))

    def _validate(self, field: dataclasses.Field[Any], value: Any) -> Any:
        if value is None and (field.default is None or field.metadata.get("optional")):
            return None
        try:
            return read(value, field.metadata)
        except Unsuited as problem:
            near = f" (nearest: {problem.near})" if problem.near else ""
            raise OpError(
                f"{field.name} of {self.word} must be {problem} (got {shown(value)})",
                where=f"{self.word}: {field.name}",
                why=f"{field.name}: {field.metadata['doc'] or field.metadata['kind']}",
                fix=f"give {field.name} {problem}{near}",
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain form: {"op": word, field: value, …}, fields at their defaults left out."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        return {"op": self.word} | {k: plain(v) for k, v in fields.items() if v != defaults[k]}

    @property
    def output_count(self) -> int:
        """Number of values that the op makes."""
        return 1

    def __str__(self) -> str:
        """The op in notation: ``conv 5x5 6 /2 pad same``."""
        return self.phrase()

    def phrase(self, rank: int = 2) -> str:
        """The op in notation for an input of `rank` spatial axes; reading it gives the op back."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        word, preset = self.word, {}
        for alias, preset_fields in self.aliases.items():
            if preset_fields and all(
                getattr(self, k) == v for k, v in preset_fields.items() if k not in self.positional
            ):
                word, preset = alias, dict(preset_fields)
        usual = {name: preset.get(name, field.default) for name, field in fields.items()}
        explicit = [name for name in self.positional if getattr(self, name) != usual[name]]
        last = self.positional.index(explicit[-1]) if explicit else -1
        parts = [word]
        for at, name in enumerate(self.positional):
            value = getattr(self, name)
            if value is not None and (at <= last or fields[name].metadata["kind"] == "sizes"):
                parts.append(in_notation(value, fields[name].metadata, rank))
        for name, field in fields.items():
            value, words = getattr(self, name), field.metadata["words"]
            if name in self.positional or field.metadata.get("note"):
                continue
            if value != usual[name] and value is not None:
                text = in_notation(value, field.metadata, rank)
                parts.append(f"/{text}" if words[:1] == ("/",) else f"{words[0] if words else name} {text}")
        return " ".join(parts)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Op:
        """The op of a plain form; errors name the nearest known word."""
        word = data.get("op")
        if not isinstance(word, str):
            raise OpError(
                "the name of the op is missing",
                where=shown(dict(data)),
                why=f"got op = {shown(word)}",
                fix='give op = "conv"',
            )
        cls = op_class(word)
        fields = {k: tuples(v) for k, v in data.items() if k != "op"}
        names = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in names:
                near = suggest(name, names)
                raise OpError(
                    f"{word} has no field {name!r}",
                    where=f"{word}: {name}",
                    why=f"its fields are {', '.join(names) or 'none'}",
                    fix=f"write {near!r}" if near else "leave it out",
                )
        arguments = {**cls.aliases.get(word, {}), **fields}
        required = [
            f.name for f in dataclasses.fields(cls) if f.default is MISSING and f.name not in arguments
        ]
        if required:
            meaning = {f.name: f.metadata["doc"] for f in dataclasses.fields(cls)}
            raise OpError(
                f"{word} needs {', '.join(required)}",
                where=f"{word}: its fields are {', '.join(names)}",
                why="; ".join(f"{name}: {meaning[name]}" for name in required),
                fix=f"give {required[0]}",
            )
        return cls(**arguments)

    def per_axis(self, name: str, rank: int) -> tuple[int, ...]:
        """A `Sizes` field with one entry per spatial axis."""
        value = getattr(self, name)
        if isinstance(value, int):
            return (value,) * rank
        if len(value) != rank:
            raise OpError(
                f"{name} {'x'.join(map(str, value))} does not match {rank} spatial axes",
                why=f"{self.word} slides over {plural(rank, 'axis', 'axes')}, {name} names {len(value)}",
                fix=f"give {plural(rank, 'size')} for {name}, or one for all axes",
            )
        return tuple(value)

    def padding_per_axis(self, rank: int) -> tuple[str | tuple[int, int], ...]:
        """The `padding` field as a policy's name or (before, after) per spatial axis."""
        value = self.padding  # type: ignore[attr-defined]
        if isinstance(value, str | int):
            value = (value,) * rank
        if len(value) != rank:
            raise OpError(
                f"padding {shown(value)} does not match {rank} spatial axes",
                why=f"{self.word} slides over {plural(rank, 'axis', 'axes')}, padding names {len(value)}",
                fix=f"give {rank} paddings, or one for all axes",
            )
        return tuple((p, p) if isinstance(p, int) else p for p in value)


class Windowed(Op):
    """Base of ops that slide a window over every spatial axis."""

    kernel: Sizes
    stride: Sizes | None
    """None: the kernel."""
    padding: Padding
    dilation: Sizes

    def windows_over(self, x: TensorSpec) -> list[Window]:
        """The window along every spatial axis of x, every policy resolved, whether or not it fits even once."""
        rank = len(x.spatial)
        kernel = self.per_axis("kernel", rank)
        stride = kernel if self.stride is None else self.per_axis("stride", rank)
        fields = (kernel, stride, self.per_axis("dilation", rank), self.padding_per_axis(rank))
        ceil, mode = getattr(self, "ceil", False), getattr(self, "mode", "zeros")
        return [Window.resolve(*axis, ceil, mode) for axis in zip(x.spatial, *fields, strict=True)]


@functools.cache
def registry() -> Mapping[str, type[Op]]:
    """Every word of every op, aliases included; importing the package `striate.ops` fills it."""
    package = importlib.import_module("striate.ops")
    for module in pkgutil.iter_modules(package.__path__, "striate.ops."):
        importlib.import_module(module.name)
    return dict(_REGISTRY)


def op_class(word: str) -> type[Op]:
    """The op of a word; UnknownNameError names the nearest known one."""
    ops = registry()
    if word not in ops:
        near = suggest(word, ops)
        raise UnknownNameError(
            f"no op {word!r}",
            why=f"the ops are {', '.join(sorted(ops))}",
            fix=f"write {near!r}" if near else "use one of them",
        )
    return ops[word]
