"""Build the network of a traced module: calls become nodes, tensors become weights, unsupported calls become opaque.

Decides names: a node with weights has the name of the module that owns them; the only call of a module has the module's
name; repeated calls are numbered; everything else is named after its operation, under the calling module.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from striate.diagnostics import FormatError, InternalError, StriateError, plural, warn
from striate.formats.importing import Unknown, distinct, expressible, fault, need, reason, undo
from striate.formats.loaded import Loaded
from striate.formats.names import UniqueNames
from striate.formats.peephole import tidy
from striate.formats.tied import seal_weights
from striate.formats.torch import arithmetic, moves  # noqa: F401 (they register their operators)
from striate.formats.torch.aten import MODULES, RECURRENT
from striate.formats.torch.parameters import Parameters
from striate.formats.torch.rules import OPERATORS, Ref, full
from striate.formats.torch.tracing import Call, Constant, Trace, Value
from striate.network import Network, Node, declare
from striate.op import Op
from striate.ops.opaque import Opaque, unsupported
from striate.ops.rearrange import Rearrange
from striate.tensor import TensorSpec


@dataclasses.dataclass(frozen=True)
class Foreign:
    """A value that a Network cannot hold (too many axes, a first axis that is not the batch), or the result of an
    unsupported operator.

    tensors: tensors of the module that it was computed from.
    """

    sources: tuple[Ref, ...]
    operator: str
    why: str = "its result has more than five axes, or its first axis is not the batch"
    tensors: tuple[Constant, ...] = dataclasses.field(default=(), kw_only=True)


@dataclasses.dataclass(frozen=True)
class Apart(Foreign):
    """A value that has too many axes between operators: its entries under the sizes `sizes`, in axis order `order`
    (both without the batch).
    """

    sizes: tuple[int, ...] = ()
    order: tuple[int, ...] = ()


class Site:
    """One call during import."""

    def __init__(self, importer: _Importer, call: Call) -> None:
        self._importer, self._call = importer, call
        self.operator, self.shapes = call.operator, call.shapes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the call's output, batch first."""
        return self.shapes[0]

    @property
    def module(self) -> str:
        """Class name of the innermost module."""
        return self._importer.class_name(self._call.path)

    def learned(self, constant: Constant) -> bool:
        """True if a tensor is a parameter or computed from one."""
        return constant.name in self._importer.parameters.learned

    def is_stored(self, constant: Constant) -> bool:
        """True if a tensor is a complete tensor of the module in its original shape."""
        return self._importer.parameters.names_of(constant.tensor) is not None

    def node(self, op: Op, *inputs: Ref, **weights: Constant | None) -> Ref:
        """Add an op with one output that reads these values, with weights by its parameter names."""
        (output,) = self.nodes(op, *inputs, **weights)
        return output

    def nodes(self, op: Op, *inputs: Ref, **weights: Constant | None) -> list[Ref]:
        """Add an op with several outputs."""
        return self._importer.place(
            self._call, op, inputs, {k: v for k, v in weights.items() if v is not None}
        )


class _Importer:
    def __init__(self, trace: Trace) -> None:
        self.module = trace.module
        self.batch = trace.batch
        self.parts = dict(trace.module.named_modules())
        self.owners = {name.rpartition(".")[0] for name in trace.module.state_dict()}
        self.parameters = Parameters(trace.module)
        self.nodes: list[Node] = []
        self.weights: dict[str, Any] = {}
        self.inputs = {one.name: TensorSpec.image(one.shape) for one, _ in trace.inputs}
        self.names = UniqueNames()
        for name in self.inputs:
            self.names.add(name)
        self.env: dict[Value, Any] = {
            value: Ref(one.name, self.inputs[one.name]) for one, value in trace.inputs
        }
        self.calls = collections.Counter(call.path for call in trace.calls)
        self.visits: collections.Counter[str] = collections.Counter()
        self.handled: set[int] = set()  # calls imported as part of their module
        self.makers: dict[Value, Call] = {}
        self.readers: dict[Value, list[int]] = {}
        for at, call in enumerate(trace.calls):
            self.makers.update(dict.fromkeys(call.makes, call))
            for leaf in _leaves((call.args, list(call.kwargs.values()))):
                if isinstance(leaf, Value):
                    self.readers.setdefault(leaf, []).append(at)
        self.outputs = set(trace.outputs)
        self.remarks: dict[str, None] = {}

    def class_name(self, path: str) -> str:
        return type(self.parts[path]).__name__ if path in self.parts else ""

    def place(self, call: Call, op: Op, inputs: Sequence[Ref], weights: dict[str, Constant]) -> list[Ref]:
        name = self._name(call, op, weights)
        node = Node(name, op, tuple(ref.name for ref in inputs), call.place)
        declaration = declare(node, [ref.spec for ref in inputs])
        arrays = {}
        for parameter in declaration.parameters:
            constant = weights[parameter.name]
            tensor = constant.tensor
            need(
                tuple(tensor.shape) == parameter.shape,
                f"its {parameter.name} has shape {tuple(tensor.shape)}",
            )
            self.parameters.record(f"{name}.{parameter.name}", constant, parameter.kind)
            if tensor.device.type != "meta":
                arrays[f"{name}.{parameter.name}"] = tensor.detach().to("cpu", torch.float32).numpy().copy()
        self.weights.update(arrays)
        self.nodes.append(node)
        self.names.add(name)
        return [Ref(value, spec) for value, spec in zip(node.outputs, declaration.outputs)]

    def _name(self, call: Call, op: Op, weights: dict[str, Constant]) -> str:
        owned = next((self.parameters.name(w, call.path) for w in weights.values() if w.name), None)
        part = self.parts.get(call.path)
        if owned is not None:
            base = owned.rpartition(".")[0] or op.word
        elif call.path and part is not None and not any(part.children()) and call.path not in self.owners:
            # A module called several times, such as the activation of a block: all calls but the last are numbered.
            self.visits[base := call.path] += 1
            if self.visits[base] < self.calls[base]:
                base += str(self.visits[base])
        else:
            base = f"{call.path}.{op.word}" if call.path else op.word
        return self.names.free(base, self.parts)

    def run(self, calls: Sequence[Call]) -> None:
        for at, call in enumerate(calls):
            if at not in self.handled:
                self._import(at, call, calls)

    def _import(self, at: int, call: Call, calls: Sequence[Call]) -> None:
        if self._import_module(at, call, calls) or self._import_opaque_module(at, call, calls):
            return
        args = [self._resolve(a) for a in call.args]
        if args and isinstance(args[0], Apart) and call.operator in PARTS:
            self.env[call.makes[0]] = self._move_apart(call, args[0], args[1:])
            return
        kwargs = {key: self._resolve(value) for key, value in call.kwargs.items()}
        leaves = _leaves((args, list(kwargs.values())))
        if call.function is not None and not any(isinstance(leaf, Ref | Foreign) for leaf in leaves):
            self._fold(call, args, kwargs)
            return
        try:
            foreign = next((leaf.why for leaf in leaves if isinstance(leaf, Foreign)), None)
            need(foreign is None, f"it reads a value that a network cannot hold: {foreign}")
            need(call.operator in OPERATORS, unsupported(f"aten.{call.operator}"))
            outputs = self._apply(call, OPERATORS[call.operator], args, kwargs)
            if call.operator == "detach" and isinstance(args[0], Ref) and args[0].name not in self.inputs:
                self.remarks[DETACHED] = None
            self.env.update(zip(call.makes, outputs))
        except Unknown as error:
            for port, value in enumerate(call.makes):
                self.env[value] = self._opaque(call, port, leaves, reason(error))

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, Value):
            return self.env.get(argument)
        if isinstance(argument, tuple):
            return tuple(self._resolve(part) for part in argument)
        return argument

    def _apply(self, call: Call, rule: Callable[..., Any], args: Any, kwargs: Any) -> list[Any]:
        """Apply a rule to a call. Raises Unknown, and undoes everything, if the rule does not support it; any other
        exception is a bug in the rule.
        """
        wide = any(isinstance(leaf, Ref) and leaf.wide for leaf in _leaves((args, list(kwargs.values()))))
        if wide and call.operator in REPEATING:
            try:
                return self._try(call, rule, args, kwargs)
            except Unknown:  # retried below with full shapes
                pass
        return self._try(call, rule, args, kwargs, broadcast=wide)

    def _try(
        self, call: Call, rule: Callable[..., Any], args: Any, kwargs: Any, broadcast: bool = False
    ) -> list[Any]:
        before, noted = len(self.nodes), len(self.parameters.log)
        site = Site(self, call)
        try:
            if broadcast:
                args = _broadcast_all(site, args)
                kwargs = {key: _broadcast_all(site, value) for key, value in kwargs.items()}
            try:
                _signature(rule).bind(site, *args, **kwargs)
            except TypeError as error:
                raise Unknown(f"unsupported arguments: {error}") from None
            result = rule(site, *args, **kwargs)
            outputs = list(result) if isinstance(result, list) else [result]
            outputs += [None] * (
                len(call.makes) - len(outputs)
            )  # the second output of a pool, its indices, has no value
            for ref, shape in zip(outputs, call.shapes):
                if isinstance(ref, Ref):
                    size = ref.wide or ref.spec.shape[1:]
                    need(size == shape[1:], f"its shape would be {size} instead of {shape[1:]}")
            return outputs
        except Exception as error:
            for name in undo(self.nodes, self.weights, before)[0]:
                self.names.discard(name)
            self.parameters.forget(noted)
            if isinstance(error, Unknown | InternalError):
                raise
            if isinstance(error, StriateError):
                raise Unknown(reason(error)) from None
            place = call.place or call.path or type(self.module).__name__
            raise fault(f"aten.{call.operator}", str(place), error) from error

    def _opaque(self, call: Call, port: int, leaves: Sequence[Any], why: str, operator: str = "") -> Any:
        shape = call.shapes[port]
        foreign = [leaf for leaf in leaves if isinstance(leaf, Foreign)]
        site = Site(self, call)
        sources = [full(site, leaf) for leaf in leaves if isinstance(leaf, Ref)]
        sources += [ref for leaf in foreign for ref in leaf.sources]
        if not operator:
            operator, why = (
                (foreign[0].operator, foreign[0].why) if foreign else (f"aten.{call.operator}", why)
            )
        tensors = (
            *(leaf for leaf in leaves if isinstance(leaf, Constant)),
            *(constant for leaf in foreign for constant in leaf.tensors),
        )
        unique = tuple(distinct(sources))
        if not unique:
            return None
        if not expressible(shape, self.batch):
            if call.operator in VIEWED and len(unique) == 1 and not foreign and shape[:1] == (self.batch,):
                return Apart(unique, operator, why, shape[1:], tuple(range(len(shape) - 1)), tensors=tensors)
            return Foreign(unique, operator, why, tensors=tensors)
        (output,) = self.place(call, Opaque(operator, shape=shape[1:], why=why), unique, {})
        self.parameters.read_by[output.name] = tensors
        return output

    def full_value(self, value: Value) -> Any:
        """Broadcast a value to its full shape, and keep the result."""
        source = self.env.get(value)
        if isinstance(source, Ref) and source.wide is not None:
            source = self.env[value] = full(Site(self, self.makers[value]), source)
        return source

    def _move_apart(self, call: Call, parts: Apart, rest: Sequence[Any]) -> Any:
        """Follow a permutation or reshape of a value with too many axes; the sequence becomes one op."""
        shape, sizes = call.shapes[0], parts.sizes
        if call.operator == "permute" and rest and rest[0][0] == 0:
            order = tuple(parts.order[d % (len(sizes) + 1) - 1] for d in rest[0][1:])
            return dataclasses.replace(parts, order=order)
        if call.operator in ("contiguous", "clone"):
            return parts
        if call.operator in VIEWED and expressible(shape, self.batch):
            op = Rearrange(sizes, parts.order, shape[1:])
            try:
                return self._apply(call, lambda site: site.node(op, parts.sources[0]), (), {})[0]
            except Unknown as error:
                return self._opaque(call, 0, [dataclasses.replace(parts, why=reason(error))], "")
        return self._opaque(call, 0, [parts], "")

    def _fold(self, call: Call, args: Any, kwargs: Any) -> None:
        """Compute calls that depend on the module's tensors alone."""
        constants = [leaf for leaf in _leaves((args, list(kwargs.values()))) if isinstance(leaf, Constant)]
        names = sorted((c.name for c in constants if c.name), key=lambda n: n not in self.parameters.learned)
        learned = [n for n in names if n in self.parameters.learned] or names
        name = next((n for n in learned if n.endswith(".weight")), learned[0] if learned else "")
        with torch.no_grad():
            results = call.function(*_tensors(args), **{k: _tensors(v) for k, v in kwargs.items()})
        for value, tensor in zip(call.makes, results if call.several else (results,)):
            self.env[value] = Constant(tensor, name)

    def _import_module(self, at: int, call: Call, calls: Sequence[Call]) -> bool:
        """Import a module that is recognized by class as one op."""
        part = self.parts.get(call.path)
        make = MODULES.get(type(part).__name__) if type(part).__module__.startswith("torch.nn") else None
        if make is None:
            return False
        end = at
        while end + 1 < len(calls) and calls[end + 1].path == call.path:
            end += 1
        (source,) = {v for v in _leaves(call.args) if isinstance(v, Value)}
        argument = self.env.get(source)
        last = calls[end]
        self.visits[call.path] += end - at
        if not isinstance(argument, Ref):
            return False
        try:
            outputs = self._apply(last, lambda site, x: make(site, part, x), (argument,), {})
        except Unknown:  # import its operators one by one
            return False
        self.env[last.makes[0]] = outputs[0]
        self.handled.update(range(at, end + 1))
        return True

    def _import_opaque_module(self, at: int, call: Call, calls: Sequence[Call]) -> bool:
        """Import a torch module without a counterpart, which makes dozens of calls, as one opaque node."""
        path = next((p for p in _within(call.path) if type(self.parts.get(p)).__name__ in RECURRENT), None)
        if path is None or not type(part := self.parts[path]).__module__.startswith("torch.nn"):
            return False
        end = at
        while end + 1 < len(calls) and path in _within(calls[end + 1].path):
            end += 1
        inner_calls = calls[at : end + 1]
        produced = {value for one in inner_calls for value in one.makes}
        leaves = [leaf for one in inner_calls for leaf in _leaves((one.args, list(one.kwargs.values())))]
        read = dict.fromkeys(leaf for leaf in leaves if isinstance(leaf, Value) and leaf not in produced)
        sources = [self.full_value(value) for value in read]
        if not any(isinstance(source, Ref | Foreign) for source in sources):
            return False
        sources += [leaf for leaf in leaves if isinstance(leaf, Constant)]
        kind = type(part).__name__
        why = unsupported(f"torch.nn.{kind}", "module")
        for one in inner_calls:
            for port, value in enumerate(one.makes):
                outside = any(not at <= reader <= end for reader in self.readers.get(value, ()))
                if outside or value in self.outputs:
                    outer_call = dataclasses.replace(one, path=path)
                    self.env[value] = self._opaque(outer_call, port, sources, why, f"nn.{kind}")
        self.handled.update(range(at, end + 1))
        return True


DETACHED = "forward detaches a value; in training, Striate's gradients still flow through it; predictions are the same"
VIEWED = ("view", "reshape", "_unsafe_view", "unflatten", "flatten")
PARTS = (*VIEWED, "permute", "contiguous", "clone")
REPEATING = (
    "alias",
    "clone",
    "contiguous",
    "detach",
    "to",
    "_to_copy",
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "max",
    "min",
    "where",
    "expand",
    "expand_as",
)
"""Operators that broadcast by themselves."""


def _broadcast_all(site: Site, value: Any) -> Any:
    """Broadcast every value in these arguments to its full shape."""
    if isinstance(value, list | tuple):
        return type(value)(_broadcast_all(site, part) for part in value)
    return full(site, value) if isinstance(value, Ref) else value


@functools.cache
def _signature(rule: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(rule)


def _within(path: str) -> list[str]:
    """A dotted path and all its parents, outermost first."""
    parts = path.split(".")
    return [".".join(parts[: k + 1]) for k in range(len(parts))]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _tensors(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_tensors(part) for part in value]
    return value.tensor if isinstance(value, Constant) else value


def network(trace: Trace, name: str) -> Loaded:
    """Build the network of a trace, with its weights."""
    importer = _Importer(trace)
    importer.run(trace.calls)
    outputs = []
    for value in trace.outputs:
        output = importer.full_value(value)
        if not isinstance(output, Ref):
            raise FormatError(
                f"an output of {type(trace.module).__name__} cannot be part of a network",
                why="its first axis is not the batch, or it depends on no input",
                fix="wrap the module so that it returns values of shape (N, …)",
            )
        outputs.append(output.name)
    nodes = tuple(importer.parameters.count_opaque(_reachable(importer.nodes, outputs)))
    for text in (*_unused_parameters(importer, nodes), *importer.remarks):
        warn(text)
    net = Network(name, importer.inputs, nodes, tuple(outputs))
    net = importer.parameters.sources.mark(tidy(net))
    net = dataclasses.replace(net, aliases=importer.parameters.aliases(net))
    return Loaded.of(net, seal_weights(net, importer.weights))


def _unused_parameters(importer: _Importer, nodes: Sequence[Node]) -> list[str]:
    """Warning about parameters that are not part of the network, if there are any."""
    missing = importer.parameters.unused(nodes)
    if not missing:
        return []
    count = sum(importer.parameters.state[name].numel() for name in missing)
    more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
    return [
        f"{plural(count, 'learned number')} of the module {'is' if count == 1 else 'are'} not in the network, because "
        "forward does not read them, or computes a weight from them: "
        f"{', '.join(missing[:3])}{more}"
    ]


def _reachable(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that an output depends on."""
    needed, remaining = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed.update(node.inputs)
            remaining.append(node)
    return remaining[::-1]
