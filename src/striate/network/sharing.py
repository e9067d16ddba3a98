"""Parameters of nodes: who owns them, which are constants, and which are not trained.

A node that `shares` uses another node's parameters: they are counted, stored and trained once, under the owner's name,
and their gradients add up. An owner itself shares nothing, so that one lookup finds it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import FormatError, GraphError, OpError, ShapeError, suggest
from striate.fields import shown
from striate.op import Declaration
from striate.tensor import Parameter

if TYPE_CHECKING:
    from striate.network.graph import Network, Node

FIELDS = ("shares", "fixed", "frozen")
"""Keys of a node in files, besides those of its op."""


def owner(node: Node, parameter: str) -> str:
    """Name of the node that a parameter belongs to."""
    return node.key(parameter).rpartition(".")[0]


def owners(node: Node) -> tuple[str, ...]:
    """The nodes whose parameters a node uses."""
    if isinstance(node.shares, str):
        return (node.shares,) if node.shares else ()
    return tuple(dict.fromkeys(full.rpartition(".")[0] for _, full in node.shares))


def check(nodes: Sequence[Node], by_name: Mapping[str, Node]) -> None:
    """Raise GraphError if a node shares parameters that no node owns, or that another op owns."""
    for node in nodes:
        for name in owners(node) if node.shares else ():
            other = by_name.get(name)
            if other is None:
                near = suggest(name, by_name)
                raise _wrong(
                    node,
                    f"shares parameters of {name or 'no node'!r}, which is not a node",
                    "the owner of shared parameters must be a node of the same network",
                    f"write {near!r}" if near else "use the name of a node",
                )
            if other is node:
                raise _wrong(
                    node,
                    "shares its own parameters",
                    "a node owns its parameters unless it shares another node's",
                    "leave out shares",
                )
            if isinstance(node.shares, str) and (other.shares or type(other.op) is not type(node.op)):
                if other.shares:
                    why = f"{name} itself shares those of {' and '.join(owners(other))}"
                    fix = f"shares = {owners(other)[0]!r}"
                else:
                    why = f"{name} is {other.op.word}, {node.name} is {node.op.word}"
                    fix = 'name single parameters: shares = {weight = "enc.weight"}'
                raise _wrong(node, f"cannot share all parameters of {name}", why, fix)
        if not isinstance(node.shares, str):
            for parameter, full in node.shares:
                name, _, original = full.rpartition(".")
                if by_name[name].key(original) != full:
                    raise _wrong(
                        node,
                        f"shares {full} for its {parameter}, which is itself shared",
                        f"{full} is {by_name[name].key(original)}",
                        f"write {by_name[name].key(original)!r}",
                    )


def mark(node: Node, declaration: Declaration, by_name: Mapping[str, Node]) -> Declaration:
    """Mark the parameters of a declaration as shared, constant or frozen. Raises OpError for unknown names."""
    if not (node.shares or node.fixed or node.frozen):
        return declaration
    parameters = {parameter.name: parameter for parameter in declaration.parameters}
    names_by_field = {"fixed": node.fixed, "frozen": node.frozen}
    if not isinstance(node.shares, str):
        names_by_field["shares"] = tuple(name for name, _ in node.shares)
    for field, names in names_by_field.items():
        for name in names:
            if name not in parameters:
                near = suggest(name, parameters)
                raise OpError(
                    f"{node.op.word} has no parameter {name!r}",
                    where=f"{node.name}: {field} {', '.join(names)}",
                    why=f"its parameters are {', '.join(parameters) or 'none'}",
                    fix=f"write {near!r}" if near else "leave it out",
                ).at(node.name, "", node.place)
    return dataclasses.replace(
        declaration, parameters=tuple(_mark(node, parameter, by_name) for parameter in parameters.values())
    )


def _mark(node: Node, parameter: Parameter, by_name: Mapping[str, Node]) -> Parameter:
    name, _, original = node.key(parameter.name).rpartition(".")
    shared = name != node.name
    owner_node = by_name[name]
    if shared and parameter.name in (*node.fixed, *node.frozen):
        field = "fixed" if parameter.name in node.fixed else "frozen"
        raise OpError(
            f"{node.name} declares its {parameter.name} as {field}, but it belongs to {name}",
            where=f"{node.name} shares {name}.{original}",
            why="a shared tensor is trained, or not, for all of its nodes",
            fix=f"declare it at {name}: {field} = [{original!r}]",
        ).at(node.name, "", node.place)
    trainable = parameter.trainable and original not in owner_node.fixed and original not in owner_node.frozen
    frozen = parameter.trainable and original in owner_node.frozen and original not in owner_node.fixed
    return dataclasses.replace(parameter, trainable=trainable, frozen=frozen, shared=shared)


def mismatches(nodes: Sequence[Node], declarations: Mapping[str, Declaration]) -> Iterator[ShapeError]:
    """One error for each node whose shared parameters differ in shape or kind from its owner's."""
    for node in nodes:
        if not node.shares or node.name not in declarations:
            continue
        for parameter in declarations[node.name].parameters:
            name, _, original = node.key(parameter.name).rpartition(".")
            if name == node.name or name not in declarations:
                continue
            theirs = {p.name: p for p in declarations[name].parameters}
            match = theirs.get(original)
            if match is None or match.shape != parameter.shape or match.kind != parameter.kind:
                has = f"has {_describe(match)}" if match else f"has no {original}"
                problem = ShapeError(
                    f"{node.name} cannot use {name}.{original} as its {parameter.name}",
                    code="G004",
                    why=f"{node.name} needs {_describe(parameter)}, {name} {has}",
                    fix="give both the same channels, window and bias, or remove shares",
                )
                problem.at(node.name, f"{node.name} = {node.op}, shares {name}", node.place)
                yield problem
                break


def _describe(parameter: Parameter) -> str:
    return f"{parameter.kind} {'x'.join(map(str, parameter.shape))}"


def _wrong(node: Node, what: str, why: str, fix: str) -> GraphError:
    where = f"{node.name} = {node.op}, shares {shown(node.shares)}"
    error = GraphError(f"{node.name} {what}", where=where, why=why, fix=fix)
    error.at(node.name, "", node.place)
    return error


def to_dict(node: Node) -> dict[str, Any]:
    """The fields `shares`, `fixed` and `frozen` of a node in plain form; without empty ones."""
    shares = node.shares if isinstance(node.shares, str) else dict(node.shares)
    fields = {"shares": shares, "fixed": list(node.fixed), "frozen": list(node.frozen)}
    return {field: value for field, value in fields.items() if value}


def from_dict(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a Node from its plain form. Raises FormatError for what is neither a text nor texts by name."""
    arguments: dict[str, Any] = {}
    shares = plain.get("shares", "")
    if isinstance(shares, Mapping):
        if not all(isinstance(text, str) for pair in shares.items() for text in pair):
            raise _unlike(plain, "shares", 'a name, or full names by parameter: {weight = "enc.weight"}')
        arguments["shares"] = tuple(sorted(shares.items()))
    elif isinstance(shares, str):
        arguments["shares"] = shares
    else:
        raise _unlike(plain, "shares", "the name of a node")
    for field in ("fixed", "frozen"):
        names = plain.get(field, ())
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise _unlike(plain, field, 'a list of parameters: ["weight"]')
        arguments[field] = tuple(names)
    return arguments


def read_aliases(aliases: Any) -> dict[str, str]:
    """`Network.aliases` of a plain form. Raises FormatError for what is not texts by texts."""
    if not isinstance(aliases, Mapping) or not all(
        isinstance(text, str) for pair in aliases.items() for text in pair
    ):
        raise FormatError(
            f"aliases are {shown(aliases)}",
            why="aliases map names in a file to full names in the network",
            fix='give aliases = {"decoder.weight" = "encoder.weight"}',
        )
    return dict(aliases)


def file_names(net: Network) -> dict[str, str]:
    """Names of parameters in files -> their full names here.

    `aliases` hold the names of the network's source, if they differ. A node that calls its owner again has no names;
    tensors tied between different operations have a name at each, as in PyTorch.
    """
    parameters = net.parameters
    renamed = set(net.aliases.values())
    names = {name: name for name in parameters if name not in renamed}
    names |= {name: full for name, full in net.aliases.items() if full in parameters}
    for node in net.nodes:
        if node.shares and not called_again(net, node):
            for parameter in net.declarations[node.name].parameters:
                full = node.key(parameter.name)
                if full not in renamed:
                    names.setdefault(f"{node.name}.{parameter.name}", full)
    return names


def called_again(net: Network, node: Node) -> bool:
    """Whether a node repeats its owner, with the same parameters and settings."""
    if not isinstance(node.shares, str) or node.op != net.node(node.shares).op:
        return False
    one, other = (net.declarations[name].windows for name in (node.name, node.shares))
    return _paddings(one) == _paddings(other)


def _paddings(windows: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(window.before, window.after) for window in windows.values()]


def all_names(net: Network) -> dict[str, str]:
    """Every name by which a parameter may be called -> its full name."""
    names = {
        f"{node.name}.{parameter.name}": node.key(parameter.name)
        for node in net.nodes
        for parameter in net.declarations[node.name].parameters
    }
    return {**net.aliases, **names}


def _unlike(plain: Mapping[str, Any], field: str, expected: str) -> FormatError:
    return FormatError(
        f"{field} is {shown(plain[field])}",
        where=str(plain.get("name", ""))[:80],
        why=f"expected {expected}",
        fix=f"give {expected}",
    )
