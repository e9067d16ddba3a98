"""A network for the page's own forward engine: its statements in plain values, its weights as text.

The engine runs statements, so it knows no op and lacks none that declares what it computes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.engine.numpy_.reference import extent, within_padding
from striate.statement import Affine, Blend, Call, Const, Expr, Index, Inside, Load, Statement, Tap

if TYPE_CHECKING:
    from striate.network import Network, Node
    from striate.op import Declaration
    from striate.views.schemas.forward import Instruction, PageNode, PageStatement, PageWeight, Place, Table


def forward_nodes(net: Network) -> tuple[list[PageNode], list[Table]]:
    """The nodes in order, and the tables that their statements look up."""
    tables = _Tables()
    return [_node(node, net.declarations[node.name], tables) for node in net.nodes], tables.records


def forward_weights(net: Network, weights: Mapping[str, Any]) -> dict[str, PageWeight]:
    """Arrays by full name: all, or some of them."""
    return {
        name: {"shape": [*spec.shape], "data": text_of(np.asarray(weights[name], "<f4"))}
        for name, spec in net.parameters.items()
        if name in weights
    }


def text_of(array: np.ndarray[Any, Any]) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


class _Tables:
    """Numbers along one axis, each table once."""

    def __init__(self) -> None:
        self.records: list[Table] = []
        self._known: dict[tuple[int, tuple[float, ...]], int] = {}

    def add(self, tap: Tap, ranges: Mapping[str, int], value: Callable[[int, int], float]) -> int:
        """The number of the table of value(output, tap)."""
        columns = ranges[tap.tap] if tap.tap else 1
        values = tuple(value(i, u) for i in range(ranges[tap.out]) for u in range(columns))
        key = columns, values
        if key not in self._known:
            self._known[key] = len(self.records)
            self.records.append({"columns": columns, "values": [*values]})
        return self._known[key]


def _node(node: Node, declaration: Declaration, tables: _Tables) -> PageNode:
    shapes = {f"y{k}": spec.shape for k, spec in enumerate(declaration.outputs)}
    return {
        "name": node.name,
        "op": node.op.word,
        "inputs": [*node.inputs],
        "outputs": [*node.outputs],
        "shapes": [[*spec.shape] for spec in declaration.outputs],
        "weights": {one.name: node.key(one.name) for one in declaration.parameters},
        "statements": [
            _statement(one, shapes.get(one.target) or extent(one), tables) for one in declaration.statements
        ],
    }


def _statement(statement: Statement, shape: tuple[int, ...], tables: _Tables) -> PageStatement:
    ranges = {**statement.domain.free, **statement.domain.reduced}
    record: PageStatement = {
        "target": statement.target,
        "shape": [*shape],
        "at": [_place(index, ranges, tables) for index in statement.index],
        "value": [*_instructions(statement.value, ranges, tables)],
        "reduce": statement.reduce,
        "free": dict(statement.domain.free),
        "reduced": dict(statement.domain.reduced),
    }
    if statement.start is not None:
        record["start"] = [*_instructions(statement.start, ranges, tables)]
    return record


def _place(index: Index, ranges: Mapping[str, int], tables: _Tables) -> Place:
    match index:
        case Affine(terms, offset, divisor, modulus):
            place: Place = {"terms": dict(terms)}
            if offset:
                place["offset"] = offset
            if divisor != 1:
                place["divisor"] = divisor
            if modulus:
                place["modulus"] = modulus
            return place
        case Tap(axis_map):

            def position(i: int, u: int) -> int:
                x = axis_map.position(i, u)
                return -1 if x is None else x

            return {"table": tables.add(index, ranges, position), **_variables(index)}


def _variables(tap: Tap) -> Place:
    return {"out": tap.out, "tap": tap.tap} if tap.tap else {"out": tap.out}


def _instructions(expr: Expr, ranges: Mapping[str, int], tables: _Tables) -> list[Instruction]:
    """An expression, the arguments of a call before it."""
    match expr:
        case Const(value):
            return [{"number": _number(value)}]
        case Load(tensor, places, outside):
            read: Instruction = {"read": tensor, "at": [_place(one, ranges, tables) for one in places]}
            if outside:
                read["outside"] = _number(outside)
            return [read]
        case Inside(tap, padded):

            def inside(i: int, u: int) -> float:
                return float(within_padding(tap, i, u) if padded else tap.map.position(i, u) is not None)

            return [{"table": tables.add(tap, ranges, inside), "out": tap.out, "tap": tap.tap}]
        case Blend(tap):
            weight = expr.map.weight
            number = tables.add(tap, ranges, lambda i, u: float(weight(i, u)))
            return [{"table": number, "out": tap.out, "tap": tap.tap}]
        case Call(function, args):
            before = [step for arg in args for step in _instructions(arg, ranges, tables)]
            return [*before, {"call": function, "takes": len(args)}]
    raise TypeError(type(expr).__name__)


def _number(value: float) -> float | str:
    """JSON has no infinity: JavaScript's word for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
