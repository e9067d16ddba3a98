"""Write a network as readable PyTorch source: named modules, chains as Sequential, blocks as classes.

Blocks of the same form share a class; differences become its arguments. Needs no torch. `modules` writes single ops;
this file decides the structure.
"""

from __future__ import annotations

import dataclasses
import itertools
import keyword
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from striate.diagnostics import FormatError
from striate.formats.torch.helpers import HELPERS
from striate.formats.torch.modules import IN_SCOPE, Arg, Code, write_op
from striate.formats.torch.names import Spot, attribute, choose_spot, class_word, printable
from striate.formats.torch.note import note
from striate.network import Network, Node, sharing

WIDTH = 88


@dataclasses.dataclass
class _Item:
    """A node or scope inside a scope: its inputs, outputs and name."""

    name: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    code: Code | None = None
    scope: _Scope | None = None
    fixed: bool = False
    """True if its name must stay, because parameters are found by it."""
    owner: str = ""
    """The item whose module it reuses."""
    spot: Spot | None = None

    @property
    def chained(self) -> bool:
        """True if it can be part of a Sequential."""
        one = len(self.reads) == len(self.makes) == 1
        return one and (
            self.scope is not None
            or bool(self.code and self.code.module and not self.code.before and not self.code.after)
        )


@dataclasses.dataclass
class _Scope:
    """Nodes with a common name prefix: a class, a Sequential, or a plain container of modules."""

    path: str
    items: list[_Item]
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    sequential: bool = False
    skeleton: str = ""
    values: tuple[Arg, ...] = ()


class _Class:
    """The form of one or several scopes."""

    def __init__(self, name: str, scope: _Scope) -> None:
        self.name, self.scope = name, scope
        self.rows: list[tuple[Arg, ...]] = []
        self.parameters: dict[int, str] = {}  # column -> name; equal columns share one
        self.order: list[tuple[str, int]] = []

    def settle(self) -> None:
        """Turn the values that differ between the scopes into arguments."""
        names: dict[tuple[Any, ...], str] = {}
        for at, first in enumerate(self.rows[0]):
            column = tuple(row[at].value for row in self.rows)
            if len(set(map(repr, column))) == 1:
                continue
            if column not in names:
                name, number = first.role, 1
                while name in names.values():
                    number += 1
                    name = f"{first.role}{number}"
                names[column] = name
                self.order.append((name, at))
            self.parameters[at] = names[column]


class _Writer:
    def __init__(self, net: Network, named: bool = True) -> None:
        self.net, self.named = net, named
        self.classes: dict[str, _Class] = {}
        self.names: set[str] = {"nn", "torch", "F"}
        self.helpers: set[str] = set()
        self.again = {n.name: str(n.shares) for n in net.nodes if n.shares and sharing.called_again(net, n)}
        """Node -> the node whose module it reuses."""
        self.root = self._scope("", net.nodes)

    # ------------------------------------------------------------------ the tree

    def _scope(self, path: str, nodes: Sequence[Node]) -> _Scope:
        depth = len(path) + 1 if path else 0
        groups: dict[str, list[Node]] = {}
        owners = {n.name for n in nodes if n.op.word not in IN_SCOPE}
        for node in nodes:
            rest = node.name[depth:] if node.name != path else ""
            head = rest.split(".")[0]
            full = f"{path}.{head}" if path else head
            if full in owners and node.name != full:  # the prefix is a module itself
                head = rest
            groups.setdefault(head, []).append(node)
        items = []
        for head, members in groups.items():
            inner = f"{path}.{head}" if path else head
            if len(members) == 1 and members[0].name in (inner, path):
                items.append(self._leaf(head, members[0], depth, within=members[0].name == path))
            elif self._crossed({member.name for member in members}):  # its nodes are called one by one
                return self._finish(
                    _Scope(path, [self._leaf(n.name[depth:], n, depth) for n in nodes]), nodes
                )
            else:
                scope = self._scope(inner, members)
                fixed = any(item.fixed for item in scope.items)
                items.append(_Item(head, scope.reads, scope.makes, scope=scope, fixed=fixed))
        in_order = _sort(items)
        if in_order is None:  # two scopes need values of each other: its nodes are called one by one
            return self._finish(_Scope(path, [self._leaf(n.name[depth:], n, depth) for n in nodes]), nodes)
        return self._finish(_Scope(path, in_order), nodes)

    def _crossed(self, names: Collection[str]) -> bool:
        """True if a shared module is called from both inside and outside of these nodes."""
        return any((owner in names) != (again in names) for again, owner in self.again.items())

    def _leaf(self, name: str, node: Node, depth: int, within: bool = False) -> _Item:
        declaration = self.net.declarations[node.name]
        code = write_op(node, declaration, within)
        self.helpers.update(code.helpers)
        if code.word in IN_SCOPE and (node.name in self.again or node.name in self.again.values()):
            error = FormatError(
                f"a shared {node.op.word} cannot be written as PyTorch",
                why="its parameter belongs to the enclosing block",
                fix="convert to .toml instead, or remove `shares` from the node",
            )
            error.at(node.name, f"{node.name} = {node.op}", node.place)
            raise error
        if node.name in self.again:
            again = Code(code.word, expression=f"{{module}}({code.before or '{0}'})")
            return _Item(name, node.inputs, node.outputs, again, owner=self.again[node.name][depth:])
        return _Item(name, node.inputs, node.outputs, code=code, fixed=bool(declaration.parameters))

    def _finish(self, scope: _Scope, nodes: Sequence[Node]) -> _Scope:
        produced = {value for node in nodes for value in node.outputs}
        names = {node.name for node in nodes}
        scope.reads = tuple(dict.fromkeys(v for n in nodes for v in n.inputs if v not in produced))
        scope.makes = tuple(
            v for n in nodes for v in n.outputs
            if v in self.net.outputs or any(r.name not in names for r in self.net.consumers[v])
        )  # fmt: skip
        if not scope.path:  # the order of a network's inputs and outputs is fixed
            scope.reads, scope.makes = tuple(self.net.inputs), self.net.outputs
        items = scope.items
        used = {name for item in items for name in (item.name, item.name.split(".")[0])}
        for item in items:
            bare = item.code is not None and bool(item.code.parameter)  # a parameter without a module
            item.spot = choose_spot(item.name, item.fixed and not bare, used - {item.name})
            used.add(item.spot.path)
        linked = all(b.reads == a.makes for a, b in itertools.pairwise(items))
        numbered = bool(scope.path) and all(item.name.isdigit() for item in items)
        scope.sequential = (
            numbered and linked and all(item.chained for item in items) and scope.makes == items[-1].makes
        )
        scope.values = tuple(arg for item in items for arg in self._values(item))
        parts = [self._form(item, scope) for item in items]
        scope.skeleton = f"{'sequence' if scope.sequential else 'class'}({';'.join(parts)})"
        if not scope.sequential and scope.path and scope.skeleton not in self.classes:
            self.classes[scope.skeleton] = _Class(self._class_name(scope), scope)
        return scope

    def _values(self, item: _Item) -> tuple[Arg, ...]:
        if item.scope is not None:
            return item.scope.values
        assert item.code is not None
        return item.code.arguments

    def _form(self, item: _Item, scope: _Scope) -> str:
        """Key of scopes that share a class: everything except the values of arguments."""
        local = {value: f"<{k}>" for k, value in enumerate(scope.reads)}
        for k, other in enumerate(scope.items):
            local.update((value, f"{k}:{port}") for port, value in enumerate(other.makes))
        wires = ",".join(local[v] for v in item.reads)
        body = item.scope.skeleton if item.scope else item.code.form if item.code else ""
        leaves = ",".join(local[v] for v in scope.makes)
        return f"{item.name}={body}@{item.owner}({wires})->{leaves if item is scope.items[-1] else ''}"

    def _class_name(self, scope: _Scope) -> str:
        words = {item.code.word for item in scope.items if item.code}
        last = scope.path.rpartition(".")[2]
        if last.isdigit():
            base = "Residual" if "add" in words else "Branches" if "concat" in words else "Block"
        else:
            base = (
                "".join(part.capitalize() for part in re.split(r"[^A-Za-z]+|\d+[a-z]?$", last) if part)
                or "Block"
            )
        name, number = base, 1
        while name in self.names or name in HELPERS:
            number += 1
            name = f"{base}{number}"
        self.names.add(name)
        return name

    # ------------------------------------------------------------------ the text

    def text(self) -> str:
        self._collect(self.root)
        for form in self.classes.values():
            form.settle()
        name = class_word(self.net.name)
        while name in self.names or name in HELPERS:
            name += "Net"
        top = _Class(name, self.root)
        top.rows = [self.root.values]
        statements = self._statements()
        parts = [HELPERS[h] for h in HELPERS if h in self.helpers]
        parts += [self._class(c) for c in self.classes.values() if c.rows]
        about = f"{printable(self.net.name)}, for an input of {_size(self.net)}."
        parts.append(self._class(top, about, statements))
        body = "\n\n\n".join(parts)
        heads = [f'"""{about} Written by striate convert."""\n', "import torch"]
        heads += ["import torch.nn.functional as F"] if re.search(r"\bF\.", body) else []
        heads += ["from torch import nn"]
        if "OrderedDict" in body:
            heads.insert(1, "from collections import OrderedDict\n")
        if not re.search(r"\btorch\.", body):
            heads.remove("import torch")
        return "\n".join(heads) + f"\n\n\n{body}\n\n\nmodel = {name}()\n"

    def _collect(self, scope: _Scope) -> None:
        for item in scope.items:
            if item.scope is not None:
                if not item.scope.sequential:
                    self.classes[item.scope.skeleton].rows.append(item.scope.values)
                self._collect(item.scope)

    def _statements(self) -> list[str]:
        """Statements for shared, constant and frozen parameters, after all modules."""
        untrained, tied = [], []
        for node in self.net.nodes:
            if node.name in self.again or not (node.shares or node.fixed or node.frozen):
                continue
            place = _module_at(node.name)
            for parameter in self.net.declarations[node.name].parameters:
                name, state = parameter.name, self.net.parameters[node.key(parameter.name)]
                owner, _, owner_parameter = node.key(name).rpartition(".")
                if name in node.fixed or (parameter.shared and owner_parameter in self.net.node(owner).fixed):
                    untrained.append(f'        constant({place}, "{name}")')
                elif state.frozen:
                    untrained.append(f"        {place}.{name}.requires_grad_(False)")
                if parameter.shared:
                    tied.append(f"        {place}.{name} = {_module_at(owner)}.{owner_parameter}")
        if any("constant(" in line for line in untrained):
            self.helpers.add("constant")
        return untrained + tied

    def _class(self, form: _Class, about: str = "", more: Sequence[str] = ()) -> str:
        arguments = [f"{name}: {_type([row[at].value for row in form.rows])}" for name, at in form.order]
        lines = [f"class {form.name}(nn.Module):"]
        lines += [f'    """{about}"""', ""] if about else []
        lines += _break("    def __init__", ["self", *arguments], " -> None:")
        lines.append("        super().__init__()")
        names, at = [], 0
        for item in form.scope.items:
            length = len(self._values(item))
            names.append([form.parameters.get(at + k) for k in range(length)])
            at += length
        lines += [*self._members(form.scope.items, names), *more, "", *self._forward(form.scope)]
        return "\n".join(lines)

    def _members(self, items: Sequence[_Item], names: Sequence[Sequence[str | None]]) -> list[str]:
        """The modules of a scope; nested ones follow their container."""
        lines: list[str] = []
        existing: set[str] = set()
        for item, item_names in sorted(zip(items, names), key=lambda pair: _depth(pair[0])):
            assert item.spot is not None
            for path in item.spot.holders:
                if path not in existing:
                    lines += _render(*choose_spot(path, True, ()).creation(("nn.Module", [])))
                    existing.add(path)
            if item.code is not None and item.code.parameter:
                lines += _render(f"self.{item.code.parameter} = ", item.code.tree(item_names))
            elif item.code is None or item.code.module:
                lines += _render(*item.spot.creation(self._tree(item, item_names)))
                existing.add(item.spot.path)
        return lines

    def _tree(self, item: _Item, names: Sequence[str | None]) -> tuple[str, list[Any]]:
        """The constructor call of an item's module, as (function, arguments)."""
        if item.code is not None:
            return item.code.tree(names)
        scope = item.scope
        assert scope is not None
        if not scope.sequential:
            form = self.classes[scope.skeleton]
            return form.name, [names[at] or repr(scope.values[at].value) for _, at in form.order]
        parts: list[Any] = []
        at = 0
        for inner in scope.items:
            length = len(self._values(inner))
            parts.append((inner.name, self._tree(inner, names[at : at + length])))
            at += length
        if [name for name, _ in parts] == [str(k) for k in range(len(parts))]:
            return "nn.Sequential", [tree for _, tree in parts]
        pairs = [("", [repr(name), tree]) for name, tree in parts]
        return "nn.Sequential", [("OrderedDict", [("[", pairs)])]

    def _forward(self, scope: _Scope) -> list[str]:
        top = scope is self.root and self.named
        reads: Sequence[str] = list(self.net.inputs) if top else scope.reads
        names = ["x"] if len(reads) == 1 else [f"x{k + 1}" for k in range(len(reads))]
        if top and len(reads) > 1 and all(map(_argument, reads)):
            names = list(reads)
        variables = dict(zip(reads, names))
        last: dict[str, int] = {v: at for at, item in enumerate(scope.items) for v in item.reads}
        last.update(dict.fromkeys(scope.makes, len(scope.items)))
        args = ", ".join(f"{name}: torch.Tensor" for name in names)
        several = len(scope.makes) > 1
        returns = "tuple[torch.Tensor, ...]" if several else "torch.Tensor" if scope.makes else "None"
        lines = [f"    def forward(self, {args}) -> {returns}:"]
        spots = {item.name: item.spot for item in scope.items}
        if len(f"{lines[0]}") > WIDTH:
            lines = _break("    def forward", ["self", *args.split(", ")], f" -> {returns}:")
        for at, item in enumerate(scope.items):
            arguments = [variables[v] for v in item.reads]
            dying = [variables[v] for v in item.reads if last[v] == at]
            for value in item.reads:
                if last[value] == at:
                    variables.pop(value, None)
            targets: list[str] = []
            for value in item.makes:
                name = next((d for d in dying if d not in variables.values() and d not in targets), "")
                targets.append(name or _free_name(item, set(variables.values()) | set(targets)))
                variables[value] = targets[-1]
            code = item.code
            place = spots[item.owner] if item.owner else item.spot
            call = place.call if place else ""
            text = code.call(call, arguments) if code is not None else f"{call}({', '.join(arguments)})"
            lines += _statement(", ".join(targets), text)
        result = ", ".join(variables[v] for v in scope.makes)
        if not scope.makes:
            return lines
        if not several and lines[-1].startswith(f"        {result} = ") and "\n" not in lines[-1]:
            lines[-1] = lines[-1].replace(f"{result} = ", "return ", 1)
        else:
            lines.append(f"        return {result}")
        return lines


def _argument(name: str) -> bool:
    """True if forward can have an argument of this name."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in ("self", "nn", "torch", "F")


def _module_at(path: str) -> str:
    """The expression of the module at this path."""
    text: str = choose_spot(path, True, ()).call
    return text


def _depth(item: _Item) -> int:
    return len(item.spot.holders) if item.spot else 0


def _free_name(item: _Item, used: set[str]) -> str:
    stem = attribute(item.name) if item.name and not item.name[0].isdigit() else "out"
    for name in ("out", stem, *(f"{stem}{k}" for k in range(2, 10_000))):
        if name not in used:
            return name
    raise AssertionError("no free class name")


def _size(net: Network) -> str:
    return " and ".join(str(spec) for spec in net.inputs.values())


def _type(values: Iterable[Any]) -> str:
    kinds = {type(value).__name__ for value in values}
    return " | ".join(sorted(kinds)).replace("tuple", "tuple[int, ...]")


def _sort(items: list[_Item]) -> list[_Item] | None:
    """Sort the items topologically; None if there is a cycle."""
    producers = {value: item.name for item in items for value in item.makes}
    remaining, done, in_order = list(items), set[str](), list[_Item]()
    while remaining:
        next_item = next(
            (
                i
                for i in remaining
                if all(
                    producers.get(v, i.name) in done or producers.get(v) in (None, i.name) for v in i.reads
                )
            ),
            None,
        )
        if next_item is None:
            return None
        remaining.remove(next_item)
        done.add(next_item.name)
        in_order.append(next_item)
    return in_order


# ---------------------------------------------------------------------------------------------------- lines

Tree = tuple[str, list[Any]]


def _flat(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    name, parts = tree
    inner = ", ".join(map(_flat, parts))
    return f"[{inner}]" if name == "[" else f"{name}({inner})"


def _render(before: str, tree: Any, indent: int = 8, after: str = "") -> list[str]:
    line = f"{' ' * indent}{before}{_flat(tree)}{after}"
    if len(line) <= WIDTH or isinstance(tree, str) or not tree[1]:
        return [line]
    name, parts = tree
    opening, closing = ("[", "]") if name == "[" else (f"{name}(", ")")
    inner = f"{' ' * (indent + 4)}{', '.join(map(_flat, parts))}"
    simple = all(isinstance(part, str) for part in parts)
    lines = [f"{' ' * indent}{before}{opening}"]
    if simple and len(inner) <= WIDTH:
        lines.append(inner)
    else:
        comma = "" if len(parts) == 1 and not isinstance(parts[0], str) and parts[0][0] == "[" else ","
        for part in parts:
            lines += _render("", part, indent + 4, comma or ("," if len(parts) > 1 else ""))
    return [*lines, f"{' ' * indent}{closing}{after}"]


def _break(head: str, arguments: Sequence[str], tail: str) -> list[str]:
    line = f"{head}({', '.join(arguments)}){tail}"
    if len(line) <= WIDTH:
        return [line]
    indent = len(head) - len(head.lstrip()) + 4
    inner = ", ".join(arguments)
    body = [inner] if indent + len(inner) <= WIDTH else [f"{a}," for a in arguments]
    return [f"{head}(", *(f"{' ' * indent}{part}" for part in body), f"{' ' * (indent - 4)}){tail}"]


def _statement(target: str, text: str) -> list[str]:
    line = f"        {target} = {text}" if target else f"        {text}"
    if not target or len(line) <= WIDTH or not text.endswith(")") or "(" not in text:
        return [line]
    opening = text.index("(") + 1
    inner = text[opening:-1]
    body = textwrap.wrap(inner, WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 12)
    return [f"        {target} = {text[:opening]}", *body, "        )"]


def source(net: Network, named: bool = True) -> str:
    """Write the PyTorch source of a network: importing it gives `model`, with Striate's parameter names.

    The comments at its end hold the network in Striate's form (see `striate_metadata`). Raises FormatError for an op
    without a counterpart in torch. named: arguments of forward have the names of the inputs; earlier versions numbered
    them.
    """
    return f"{_Writer(net, named).text()}\n\n{note(net)}"
