"""An op is a frozen declaration: typed fields, and statements from which everything else is derived.

Decides how fields are validated, named in files and derived from; refuses to know any particular op.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, TypeVar

from striate.diagnostics import LimitError, OpError, UnknownNameError, suggest
from striate.geometry import PADDING_MODES, PADDING_POLICIES, AxisMap, Nearest, Shift, TransposedWindow, Whole, Window
from striate.statement import Affine, Call, Index, Load, Statement, Tap
from striate.tensor import Parameter, TensorSpec

Sizes = int | tuple[int, ...]
"""One size for every spatial axis, or one per axis."""
Padding = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]
"""One padding for every side, one per axis, (before, after) per axis, or a policy's name."""

LARGEST = 10**12
MISSING = dataclasses.MISSING


def _attribute(kind: str, default: Any, words: Sequence[str], doc: str, **more: Any) -> Any:
    metadata = {"kind": kind, "words": tuple(words), "doc": doc, **more}
    return dataclasses.field(default=default, metadata=metadata)


def sizes(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int = 1) -> Any:
    """A field of sizes per spatial axis."""
    return _attribute("sizes", default, words, doc, least=least)


def count(
    default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int | None = 1, **more: Any
) -> Any:
    """A whole number, at least `least`; `also` names words that are accepted beside numbers."""
    return _attribute("count", default, words, doc, least=least, **more)


def padding(default: Any = 0, *, words: Sequence[str] = ("pad",), doc: str = "", policies: bool = True) -> Any:
    """A field of paddings: numbers or, with `policies`, a policy's name."""
    return _attribute("padding", default, words, doc, policies=policies)


def flag(default: bool, *, words: Sequence[str], doc: str = "") -> Any:
    return _attribute("flag", default, words, doc)


def choice(default: Any, options: Sequence[str], *, words: Sequence[str] = (), doc: str = "") -> Any:
    return _attribute("choice", default, words, doc, options=tuple(options))


def mode(doc: str = "what lies beyond the border") -> Any:
    return choice("zeros", PADDING_MODES, words=("mode",), doc=doc)


def number(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: float | None = None) -> Any:
    return _attribute("number", default, words, doc, least=least)


def integers(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "", least: int | None = None) -> Any:
    """A tuple of whole numbers."""
    return _attribute("ints", default, words, doc, least=least)


def text(default: Any = MISSING, *, words: Sequence[str] = (), doc: str = "") -> Any:
    return _attribute("text", default, words, doc)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one input axis is read: by output axis `axis` through `map`; `axis` None: every output reads all of it.

    `map` None is the identity. `context` says that besides, something global is read (a norm's statistics).
    """

    axis: str | None
    map: AxisMap | None = None
    context: bool = False


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What an op says once its inputs are known: outputs, parameters and statements. The rest is derived."""

    op: Op
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: tuple[Parameter, ...] = ()
    statements: tuple[Statement, ...] = ()

    @functools.cached_property
    def params(self) -> int:
        """Learned numbers."""
        return sum(parameter.elements for parameter in self.parameters if parameter.trainable)

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates with a weight, per image: the volume of every sum of products with a parameter."""
        names = {parameter.name for parameter in self.parameters}
        total = 0
        for statement in self.statements:
            value = statement.value
            if statement.reduce == "sum" and isinstance(value, Call) and value.function == "mul":
                if any(isinstance(arg, Load) and arg.tensor in names for arg in value.args):
                    total += statement.domain.volume // statement.domain.free.get("n", 1)
        return total

    @functools.cached_property
    def windows(self) -> dict[str, Window | TransposedWindow]:
        """The windows that slide over the first input, keyed by its spatial axis."""
        spatial = self.inputs[0].spatial_axes if self.inputs else ()
        readings = self.readings[0] if spatial else {}
        return {a: m for a in spatial if isinstance(m := readings[a].map, Window | TransposedWindow)}

    @functools.cached_property
    def readings(self) -> tuple[dict[str, Reading], ...]:
        """Per input: its axis -> how the first output reads it, derived from the statements' accesses."""
        return tuple(
            self._readings("y0", f"x{port}", spec, self.outputs[0]) for port, spec in enumerate(self.inputs)
        )

    def readings_of(self, output: int) -> tuple[dict[str, Reading], ...]:
        """`readings` of another output."""
        spec = self.outputs[output]
        return tuple(self._readings(f"y{output}", f"x{port}", x, spec) for port, x in enumerate(self.inputs))

    def _readings(self, target: str, source: str, x: TensorSpec, y: TensorSpec) -> dict[str, Reading]:
        found: dict[str, list[Reading]] = {axis: [] for axis in x.axes}
        self._collect(target, source, x, dict(zip(y.axes, y.shape, strict=True)), {axis: Reading(axis) for axis in y.axes}, found)
        return {axis: _strongest(readings, x.size(axis)) for axis, readings in found.items()}

    def _collect(
        self,
        target: str,
        source: str,
        x: TensorSpec,
        axes: Mapping[str, int],
        outer: Mapping[str, Reading],
        found: dict[str, list[Reading]],
    ) -> None:
        """Follow the statements that make `target` back to `source`, through temporaries."""
        for statement in self.statements:
            if statement.target != target:
                continue
            for load in statement.loads:
                if load.tensor == source:
                    for axis, index in zip(x.axes, load.index, strict=True):
                        found[axis].append(_compose(outer, _reading(statement, axes, index, x.size(axis))))
                elif load.tensor.startswith("t") and load.tensor[1:].isdigit():
                    names = tuple(f"{load.tensor}.{k}" for k in range(len(load.index)))
                    inner = {
                        name: _compose(outer, _reading(statement, axes, index, 1))
                        for name, index in zip(names, load.index, strict=True)
                    }
                    self._collect(load.tensor, source, x, dict.fromkeys(names, 0), inner, found)


def _reading(statement: Statement, axes: Mapping[str, int], index: Index, size: int) -> Reading:
    """How the target axes of one statement read the axis that `index` addresses."""
    for (axis, extent), target in zip(axes.items(), statement.index, strict=True):
        match target, index:
            case Affine(), Affine() if target.terms and target == index:
                return Reading(axis)
            case Affine(terms=((name, 1),), divisor=1, modulus=0), Affine() if name == index.variable:
                return Reading(axis, Shift(size, target.offset, extent - size - target.offset))
            case Affine(), Tap(map=axis_map, out=out) if target.variable == out:
                return Reading(axis, axis_map)
            case Tap(map=Window() as w, out=out), Affine() if index.variable == out:
                spread = w.input - ((size - 1) * w.stride + w.extent - w.before - w.after)
                return Reading(
                    axis, TransposedWindow(size, w.kernel, w.stride, w.dilation, w.before, w.after, spread)
                )
            case Affine(terms=((first, factor), _)), Affine() if factor > 1 and first == index.variable:
                return Reading(axis, Nearest(size, size * factor, Fraction(factor)))
            case Affine(), Affine(terms=((first, factor), _)) if factor > 1 and target.variable == first:
                return Reading(axis, Window(size, factor, factor))
    return Reading(None)


def _compose(outer: Mapping[str, Reading], inner: Reading) -> Reading:
    if inner.axis is None or outer[inner.axis].axis is None:
        return Reading(None)
    through = outer[inner.axis]
    if through.map is not None and inner.map is not None:
        raise TypeError("a statement reads a window of a window; declare it as two ops")
    return Reading(through.axis, through.map or inner.map)


def _strongest(readings: list[Reading], size: int) -> Reading:
    """The local reading of several, windows before the identity; global ones beside it are context."""
    local = [reading for reading in readings if reading.axis is not None]
    if not local:
        return Reading(None, Whole(size))
    best = next((reading for reading in local if reading.map is not None), local[0])
    return dataclasses.replace(best, context=len(local) < len(readings))


OpClass = TypeVar("OpClass", bound="type[Op]")
_REGISTRY: dict[str, type[Op]] = {}


@dataclasses.dataclass(frozen=True)
class Op(abc.ABC):
    """Base of all ops. Subclasses are frozen dataclasses whose fields come from the helpers above."""

    word: ClassVar[str]
    """Name in the registry, the notation, files and JSON."""
    aliases: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Other words of the notation, each with the fields it presets."""
    positional: ClassVar[tuple[str, ...]] = ()
    """Fields that the notation takes without a word, in order."""
    arity: ClassVar[int | None] = 1
    """Number of inputs; None for two or more."""
    follows: ClassVar[int | None] = None
    """Input whose spatial size the output takes over, where it is not the first one's."""
    onnx: ClassVar[str] = ""
    torch: ClassVar[str] = ""
    """What the field calls it: the ONNX operator and the torch.nn class, for documentation and exchange."""

    @abc.abstractmethod
    def declare(self, *inputs: TensorSpec) -> Declaration:
        """Outputs, parameters and statements for these inputs (batch axis first).

        Raises ShapeError when there is no output, OpError when the attributes do not suit the input.
        """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "word" in cls.__dict__:
            for word in (cls.word, *cls.aliases):
                if word in _REGISTRY:
                    raise TypeError(f"two ops claim the word {word!r}")
                _REGISTRY[word] = cls

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, self._validated(field, value))

    def _validated(self, field: dataclasses.Field[Any], value: Any) -> Any:
        if value is None and (field.default is None or field.metadata.get("optional")):
            return None
        try:
            return _VALIDATE[field.metadata["kind"]](value, field.metadata)
        except _Meaningless as error:
            raise OpError(
                f"{field.name} {_shown(value)} has no meaning for {self.word}",
                where=f"{self.word}: {field.name}, {field.metadata['doc'] or field.metadata['kind']}",
                why=f"expected {error}",
                fix=f"give {field.name} {error}",
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain form: {"op": word, field: value, …}, fields at their defaults left out."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        return {"op": self.word} | {k: _plain(v) for k, v in fields.items() if v != defaults[k]}

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
        for alias, fixed in self.aliases.items():
            if fixed and all(getattr(self, k) == v for k, v in fixed.items() if k not in self.positional):
                word, preset = alias, dict(fixed)
        usual = {name: preset.get(name, field.default) for name, field in fields.items()}
        given = [name for name in self.positional if getattr(self, name) != usual[name]]
        last = self.positional.index(given[-1]) if given else -1
        parts = [word]
        for at, name in enumerate(self.positional):
            value = getattr(self, name)
            if value is not None and (at <= last or fields[name].metadata["kind"] == "sizes"):
                parts.append(_in_notation(value, fields[name].metadata, rank))
        for name, field in fields.items():
            value, words = getattr(self, name), field.metadata["words"]
            if name not in self.positional and value != usual[name] and value is not None:
                text = _in_notation(value, field.metadata, rank)
                parts.append(f"/{text}" if words[:1] == ("/",) else f"{words[0] if words else name} {text}")
        return " ".join(parts)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Op:
        """The op of a plain form; errors name the nearest known word."""
        word = data.get("op")
        if not isinstance(word, str):
            raise OpError("an op without a name", why=f"got op = {_shown(word)}", fix='give op = "conv"')
        cls = op_class(word)
        fields = {k: _tuples(v) for k, v in data.items() if k != "op"}
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                near = suggest(name, known)
                raise OpError(
                    f"{word} has no field {name!r}",
                    why=f"its fields are {', '.join(known) or 'none'}",
                    fix=f"write {near!r}" if near else "leave it out",
                )
        given = {**cls.aliases.get(word, {}), **fields}
        required = [f.name for f in dataclasses.fields(cls) if f.default is MISSING and f.name not in given]
        if required:
            raise OpError(f"{word} needs {', '.join(required)}", fix=f"give {required[0]}")
        return cls(**given)

    def _error(self, what: str, why: str, fix: str) -> OpError:
        return OpError(what, why=why, fix=fix)

    def per_axis(self, name: str, rank: int) -> tuple[int, ...]:
        """A `Sizes` field with one entry per spatial axis."""
        value = getattr(self, name)
        if isinstance(value, int):
            return (value,) * rank
        if len(value) != rank:
            raise OpError(
                f"{name} {'x'.join(map(str, value))} does not suit {rank} spatial axes",
                why=f"{self.word} slides over {rank} axes, {name} names {len(value)}",
                fix=f"give {name} {rank} sizes, or one for all",
            )
        return tuple(value)

    def padding_per_axis(self, rank: int) -> tuple[str | tuple[int, int], ...]:
        """The `padding` field as a policy's name or (before, after) per spatial axis."""
        value = self.padding  # type: ignore[attr-defined]
        if isinstance(value, str | int):
            value = (value,) * rank
        if len(value) != rank:
            raise OpError(
                f"padding {_shown(value)} does not suit {rank} spatial axes",
                why=f"{self.word} slides over {rank} axes, padding names {len(value)}",
                fix=f"give {rank} paddings, or one for all",
            )
        return tuple((p, p) if isinstance(p, int) else p for p in value)


class _Meaningless(Exception):
    """Says what was expected instead."""


def _whole(value: Any, least: int | None, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        bound = "" if least is None else " of 1 or more" if least == 1 else f" of {least} or more"
        raise _Meaningless(f"{what}{bound}")
    if abs(value) > LARGEST:
        raise LimitError(
            f"{value} is beyond any size that can be meant", why=f"the limit is {LARGEST}", fix="give a smaller number"
        )
    return value


def _sizes(value: Any, meta: Mapping[str, Any]) -> Sizes:
    if isinstance(value, list | tuple):
        if not value:
            raise _Meaningless("a whole number, or one per axis")
        entries = tuple(_whole(item, meta["least"], "whole numbers") for item in value)
        return entries[0] if len(set(entries)) == 1 else entries
    return _whole(value, meta["least"], "a whole number")


def _count(value: Any, meta: Mapping[str, Any]) -> int | str:
    if isinstance(value, str) and value in meta.get("also", ()):
        return value
    return _whole(value, meta["least"], "a whole number")


def _padding(value: Any, meta: Mapping[str, Any]) -> Padding:
    policies = PADDING_POLICIES if meta["policies"] else ()
    expected = "a whole number of 0 or more, one (or a before, after pair) per axis"
    expected += f", or one of {', '.join(policies)}" if policies else ""
    if isinstance(value, str):
        if value not in policies:
            raise _Meaningless(expected)
        return value
    if isinstance(value, list | tuple) and value:
        entries = [item if isinstance(item, list | tuple) else (item, item) for item in value]
        if any(len(entry) != 2 for entry in entries):
            raise _Meaningless(expected)
        pairs = [(_whole(a, 0, "whole numbers"), _whole(b, 0, "whole numbers")) for a, b in entries]
        if any(a != b for a, b in pairs):
            return tuple(pairs)
        return pairs[0][0] if len(set(pairs)) == 1 else tuple(a for a, _ in pairs)
    return _whole(value, 0, expected.removesuffix(" of 0 or more"))


def _number(value: Any, meta: Mapping[str, Any]) -> float:
    least = meta["least"]
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    if not fine or (least is not None and value < least):
        raise _Meaningless("a number" + (f" of {least:g} or more" if least is not None else ""))
    return float(value)


def _flag(value: Any, meta: Mapping[str, Any]) -> bool:
    if not isinstance(value, bool):
        raise _Meaningless("true or false")
    return value


def _choice(value: Any, meta: Mapping[str, Any]) -> str:
    if value not in meta["options"]:
        near = suggest(str(value), meta["options"])
        raise _Meaningless(f"one of {', '.join(meta['options'])}" + (f" (nearest: {near})" if near else ""))
    return str(value)


def _ints(value: Any, meta: Mapping[str, Any]) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else (value,)
    return tuple(_whole(item, meta["least"], "whole numbers") for item in items)


def _text(value: Any, meta: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise _Meaningless("a text")
    return value


_VALIDATE: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "sizes": _sizes, "count": _count, "padding": _padding, "number": _number,
    "flag": _flag, "choice": _choice, "ints": _ints, "text": _text,
}  # fmt: skip


def _in_notation(value: Any, meta: Mapping[str, Any], rank: int) -> str:
    """A field's value as the notation writes it."""
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            return repr(value).removesuffix(".0")
        case int() if meta["kind"] == "sizes" and not meta["words"]:
            return "x".join([str(value)] * max(rank, 1))
        case tuple() if value and isinstance(value[0], tuple):
            return ",".join(str(side) for pair in value for side in pair)
        case tuple():
            return ("x" if meta["kind"] in ("sizes", "padding") else ",").join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


@functools.cache
def registry() -> Mapping[str, type[Op]]:
    """Every word of every op, aliases included; importing the package `striate.ops` fills it."""
    package = importlib.import_module("striate.ops")
    for module in pkgutil.iter_modules(package.__path__, "striate.ops."):
        importlib.import_module(module.name)
    return dict(_REGISTRY)


def op_class(word: str) -> type[Op]:
    """The op of a word; UnknownNameError names the nearest known one."""
    known = registry()
    if word not in known:
        near = suggest(word, known)
        raise UnknownNameError(
            f"no op {word!r}",
            why=f"known words: {', '.join(sorted(known))}",
            fix=f"write {near!r}" if near else "choose one of the known words",
        )
    return known[word]
