"""Trace a torch module into an ordered list of aten calls, each with its path in the module.

Decides how a module is traced; knows no operator.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import operator
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from striate.diagnostics import FormatError, Place, by_reader
from striate.formats.torch.arguments import Argument
from striate.tensor import TensorSpec

BATCH = 11
"""Batch size for tracing: 1 could be confused with a broadcast axis, 2 with the layers or directions of a recurrent
module; hardly any axis has eleven entries.
"""


STOCHASTIC = ("StochasticDepth", "DropPath")
"""Class names of modules that drop whole branches; in evaluation they return their input."""


@dataclasses.dataclass(frozen=True)
class Value:
    """Output of a call, by number."""

    id: int


@dataclasses.dataclass(frozen=True)
class Constant:
    """A tensor of the module: parameter, buffer or constant, and its dotted name."""

    tensor: Any
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """One operator: `args` hold Values, Constants and plain numbers; `shapes`: of all outputs, batch first.

    operator: aten's name, without overload and trailing underscore; path: of the innermost module.
    """

    operator: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    makes: tuple[Value, ...]
    shapes: tuple[tuple[int, ...], ...]
    path: str
    place: Place | None
    several: bool = False
    function: Any = None


@dataclasses.dataclass(frozen=True)
class Trace:
    """The calls of a module, and its input and output values."""

    module: Any
    calls: tuple[Call, ...]
    inputs: tuple[tuple[Argument, Value], ...]
    outputs: tuple[Value, ...]
    batch: int = BATCH


def trace(module: Any, inputs: Sequence[Argument], via: str = "auto") -> Trace:
    """Trace the module at these input shapes (without batch). Its training mode is restored."""
    first = next(iter(module.parameters()), next(iter(module.buffers()), torch.zeros(0)))
    kind = first.dtype if first.dtype.is_floating_point else torch.float32
    examples = [torch.zeros((BATCH, *one.shape), dtype=kind, device=first.device) for one in inputs]
    roads = {"export": [_export], "fx": [_fx], "auto": [_export, _fx]}[via]
    failures = []
    with evaluating(module), torch.no_grad(), quiet():
        for road in roads:
            try:
                return road(module, inputs, examples)
            except Exception as error:  # whatever a user's forward raises
                failures.append(f"{road.__name__[1:]}: {type(error).__name__}: {_first_line(error)}")
    batches = [f"input={one.shape[1:]}" for one in inputs if len(one.shape) == 4 and one.shape[0] == 1]
    raise FormatError(
        f"{type(module).__name__} cannot be traced with {_input_text(inputs)}",
        why="\n".join(failures),
        fix=f"leave out the batch axis: {batches[0]}"
        if batches
        else f"set the input size that it expects ({by_reader('input=(C, H, W)', '--input HxWxC')}); "
        "forward must not branch on values",
    )


@contextlib.contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Context with the module in evaluation mode, in which dropped branches are visible to the trace; restores its
    mode.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    branches = [part for part in module.modules() if type(part).__name__ in STOCHASTIC]
    for part in branches:  # in evaluation they would leave no trace
        rate = float(getattr(part, "p", None) or getattr(part, "drop_prob", None) or 0.0)
        part.forward = functools.partial(torch.nn.functional.dropout, p=rate, training=False)
    try:
        yield
    finally:
        for part in branches:
            del part.forward
        for part, mode in modes.items():
            part.training = mode


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context without torch's warnings, which concern its internals."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _input_text(inputs: Sequence[Argument]) -> str:
    sizes = [str(TensorSpec.image(one.shape)) for one in inputs]
    if len(sizes) == 1:
        return f"an input of {sizes[0]}"
    return f"inputs of {', '.join(f'{one.name} {size}' for one, size in zip(inputs, sizes, strict=True))}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no details"


# ---------------------------------------------------------------------------------------------------- torch.export


def _export(module: Any, inputs: Sequence[Argument], examples: Sequence[Any]) -> Trace:
    pairs = list(zip(inputs, examples, strict=True))
    by_keyword = {one.keyword: example for one, example in pairs if one.keyword}
    positional = tuple(example for one, example in pairs if not one.keyword)
    program = torch.export.export(module, positional, by_keyword or None)
    if _shares_storage(program.graph):
        program = program.run_decompositions({})
    return _Reader(module).read(program, inputs)


def _operator(target: Any) -> str:
    name = str(getattr(target, "__name__", target)) if not hasattr(target, "overloadpacket") else ""
    return name or str(target.overloadpacket).rpartition(".")[2]


VIEWS = ("view", "reshape", "flatten", "transpose", "permute", "chunk", "split", "slice", "select", "squeeze",
         "unsqueeze", "getitem", "expand", "narrow", "unflatten", "alias", "detach", "split_with_sizes", "unbind",
         "t", "swapaxes", "movedim", "contiguous", "to", "dropout", "view_as", "expand_as")  # fmt: skip
"""Operators whose result may share memory with their input."""


def _shares_storage(graph: Any) -> bool:
    """True if a view is written in place while its base is still read; torch.export resolves that."""
    order = {node: at for at, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        name = _operator(node.target) if node.op == "call_function" else ""
        if not name.endswith("_") or name.endswith("__") or not node.args:
            continue
        source = node.args[0]
        if any(u.op == "call_function" and _operator(u.target) in VIEWS and order[u] < order[node]
               and any(order[r] > order[node] for r in u.users) for u in source.users):  # fmt: skip
            return True
        while (
            getattr(source, "op", "") == "call_function"
            and _operator(source.target).removesuffix("_") in VIEWS
        ):
            source = source.args[0]
            if any(order[user] > order[node] for user in source.users):
                return True
    return False


class _Reader:
    """Reader that numbers the values of exported graphs."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.count = 0
        self.calls: list[Call] = []

    def value(self) -> Value:
        self.count += 1
        return Value(self.count)

    def read(self, program: Any, inputs: Sequence[Argument]) -> Trace:
        numbered = [(one, self.value()) for one in inputs]
        outputs = self.splice(program, [value for _, value in numbered], "")
        values = tuple(v for v in outputs if isinstance(v, Value))
        return Trace(self.module, tuple(self.calls), tuple(numbered), values)

    def splice(self, program: Any, inputs: list[Any], prefix: str) -> list[Any]:
        """Append the calls of an exported program on these inputs; return its outputs."""
        signature = program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers,
                 **signature.inputs_to_lifted_tensor_constants}  # fmt: skip
        tensors = {**program.state_dict, **program.constants}
        env: dict[Any, Any] = {}
        waiting = list(inputs)
        for node in program.graph.nodes:
            if node.op == "placeholder":
                name = names.get(node.name)
                env[node] = (
                    waiting.pop(0)
                    if name is None
                    else Constant(tensors[name].detach(), _join_path(prefix, name))
                )
            elif node.op == "call_function":
                self._call(node, env, prefix)
            elif node.op == "output":
                results = torch.fx.map_arg(node.args[0], lambda n: env[n])
                user_names = signature.user_outputs
                flat = [env.get(n) if isinstance(n, torch.fx.Node) else n for n in node.args[0]]
                of_user = [v for v, n in zip(flat, node.args[0]) if getattr(n, "name", None) in user_names]
                return of_user or list(results)
        raise AssertionError("a graph without output")

    def _call(self, node: Any, env: dict[Any, Any], prefix: str) -> None:
        name = _operator(node.target)
        args = _substitute(node.args, env)
        kwargs = {key: _substitute(value, env) for key, value in node.kwargs.items()}
        if name == "getitem" and isinstance(args[0], tuple | list):
            env[node] = args[0][args[1]]
            return
        example = node.meta.get("val")
        several = isinstance(example, tuple | list)
        shapes = tuple(
            tuple(map(int, v.shape)) for v in (example if several else (example,)) if hasattr(v, "shape")
        )
        if not shapes:
            return
        makes = tuple(self.value() for _ in shapes)
        stack = node.meta.get("nn_module_stack") or {}
        path = _path(list(stack.values())[-1][0]) if stack else ""
        short = name.removesuffix("_")
        self.calls.append(
            Call(
                short,
                args,
                kwargs,
                makes,
                shapes,
                _join_path(prefix, path),
                _place(node),
                several,
                node.target,
            )
        )
        env[node] = makes if several else makes[0]
        if name.endswith("_") and not name.endswith(
            "__"
        ):  # in place: every name of the old value means the new one
            old = args[0]
            for other, known in env.items():
                if known is old and isinstance(old, Value):
                    env[other] = makes[0]


def _substitute(argument: Any, env: Mapping[Any, Any]) -> Any:
    if isinstance(argument, torch.fx.Node):
        return env.get(argument)
    if isinstance(argument, list | tuple):
        return tuple(_substitute(part, env) for part in argument)
    return argument


def _path(text: str) -> str:
    """The dotted path of a module; older torch versions write L['self'].layer1 and getattr(…, '0')."""
    if "(" in text or "[" in text:
        words = re.findall(r"'([^']+)'|\.([A-Za-z_]\w*)|\[(\d+)\]", text)
        return ".".join(word for word in ("".join(w) for w in words) if word != "self")
    return text.split("@")[0]


def _join_path(prefix: str, name: str) -> str:
    return ".".join(part for part in (prefix, name) if part)


_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_TORCH = str(torch.__path__[0])


def _place(node: Any) -> Place | None:
    """The innermost line outside of torch."""
    frames = [(f, int(line)) for f, line in _FRAME.findall(node.meta.get("stack_trace") or "")]
    outside = [frame for frame in frames if not frame[0].startswith(_TORCH)]
    return Place(*outside[-1]) if outside else None


# ---------------------------------------------------------------------------------------------------- torch.fx


def _fx(module: Any, inputs: Sequence[Argument], examples: Sequence[Any]) -> Trace:
    """Trace with torch.fx and export each node separately; one that cannot be exported stays an unknown operator."""
    graph = torch.fx.Tracer().trace(module)
    _refuse_shared_writes(module, graph)
    reader = _Reader(module)
    numbered = [(one, reader.value()) for one in inputs]
    waiting = list(zip(numbered, examples, strict=True))
    env: dict[Any, Any] = {}  # node -> Value, Constant or plain
    real: dict[Any, Any] = {}  # node -> its value when it runs
    outputs: list[Any] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            keyword = waiting[0][0][0].keyword if waiting else ""
            if waiting and keyword in ("", node.target):
                (_, env[node]), real[node] = waiting.pop(0)
            else:  # the default of an argument
                env[node], real[node] = (node.args[0],) * 2 if node.args else (None,) * 2
        elif node.op == "get_attr":
            attribute: Any = module
            for part in node.target.split("."):
                attribute = getattr(attribute, part)
            real[node] = attribute
            env[node] = (
                Constant(attribute.detach(), node.target)
                if isinstance(attribute, torch.Tensor)
                else attribute
            )
        elif node.op == "output":
            flat = torch.utils._pytree.tree_leaves(_substitute(node.args[0], env))
            outputs = [v for v in flat if isinstance(v, Value)]
        else:
            _trace_node(reader, module, node, env, real)
    return Trace(module, tuple(reader.calls), tuple(numbered), tuple(outputs))


def _refuse_shared_writes(module: Any, graph: Any) -> None:
    """Raise for an in-place write to a value with other readers, because separate nodes do not share memory."""
    for node in graph.nodes:
        name = str(getattr(node.target, "__name__", node.target))
        part = module.get_submodule(node.target) if node.op == "call_module" else None
        writes = getattr(part, "inplace", False) or node.kwargs.get("inplace", False)
        if node.op in ("call_method", "call_function"):
            writes = (
                writes
                or (name.endswith("_") and not name.endswith("__"))
                or name in ("iadd", "imul", "setitem")
            )
        source = node.args[0] if writes and node.args else None
        while isinstance(source, torch.fx.Node):
            if len(source.users) > 1:
                raise RuntimeError(f"{node.name} writes in place to a value with other readers")
            viewed = str(getattr(source.target, "__name__", source.target)) in VIEWS and source.args
            source = source.args[0] if viewed else None


class _NodeModule(torch.nn.Module):  # type: ignore[misc]
    """One node of a symbolic graph as a module with its tensors."""

    def __init__(self, run: Any, node: Any, real: Mapping[Any, Any], tensors: list[Any]) -> None:
        super().__init__()
        self.run, self.node, self.real, self.tensors = run, node, real, tensors

    def forward(self, *values: Any) -> Any:
        arguments = dict(zip(self.tensors, values))
        args, kwargs = torch.fx.map_arg(
            (self.node.args, self.node.kwargs), lambda n: arguments[n] if n in arguments else self.real[n]
        )
        return self.run(*args, **kwargs)


def _trace_node(reader: _Reader, module: Any, node: Any, env: dict[Any, Any], real: dict[Any, Any]) -> None:
    run: Any = node.target
    prefix = ""
    if run is operator.getitem and isinstance(real[node.args[0]], tuple | list):
        real[node], env[node] = (table[node.args[0]][node.args[1]] for table in (real, env))
        return
    if node.op == "call_module":
        run, prefix = module.get_submodule(node.target), node.target
    elif node.op == "call_method":
        method = node.target
        run = lambda receiver, *rest, **options: getattr(receiver, method)(*rest, **options)  # noqa: E731
    tensors = [n for n in node.all_input_nodes if isinstance(real[n], torch.Tensor)]
    piece = _NodeModule(run, node, real, tensors)
    result = piece(*(real[n].clone() for n in tensors))
    real[node] = result
    leaves = torch.utils._pytree.tree_leaves(result)
    if not tensors or not any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        env[node] = result
        return
    try:
        program = torch.export.export(piece, tuple(real[n] for n in tensors))
        before = len(reader.calls)
        outputs = reader.splice(program, [env[n] for n in tensors], "")
        for at in range(before, len(reader.calls)):
            call = reader.calls[at]
            path = prefix if prefix else _scope(node)
            inner = tuple(_restore_names(a, prefix) for a in call.args)
            reader.calls[at] = dataclasses.replace(call, path=path, args=inner, place=_place(node))
    except Exception:  # only this node stays unknown
        shapes = tuple(tuple(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor))
        makes = tuple(reader.value() for _ in shapes)
        name = getattr(node.target, "__name__", str(node.target))
        args = tuple(env[n] for n in tensors)
        reader.calls.append(
            Call(name, args, {}, makes, shapes, prefix or _scope(node), _place(node), len(makes) > 1)
        )
        outputs = list(makes)
    env[node] = outputs[0] if isinstance(result, torch.Tensor) else tuple(outputs)


def _scope(node: Any) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return _path(list(stack.values())[-1][0]) if stack else ""


def _restore_names(argument: Any, prefix: str) -> Any:
    """Restore the name of a constant in the original module; the module of the node names it run.weight."""
    if isinstance(argument, Constant) and argument.name.startswith("run."):
        return dataclasses.replace(argument, name=_join_path(prefix, argument.name[4:]))
    if isinstance(argument, tuple):
        return tuple(_restore_names(part, prefix) for part in argument)
    return argument
