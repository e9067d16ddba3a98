"""Computed fixes: a change is really made, the network inferred again, and what follows from it is reported.

A change that does not cure the finding, or that breaks another node, is never offered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from striate.checks.context import Context, by
from striate.diagnostics import Fix, StriateError
from striate.network import Inference, Network, Node
from striate.op import Declaration
from striate.tensor import Parameter

Cured = Callable[[Declaration], bool]
"""Whether the finding is gone, judged by the new declaration of its node."""


def change(context: Context, node: Node, text: str, cured: Cured | None = None, **fields: Any) -> Iterator[Fix]:
    """The fix that sets op fields of a node, if it cures the finding and breaks nothing."""
    try:
        op = dataclasses.replace(node.op, **fields)
        network = context.network.replace(node.name, op)
    except StriateError:
        return
    yield from _fix(context, network, node, Fix(text, node=node.name, change=fields), cured)


def resize(context: Context, node: Node | None, cured: Cured | None = None) -> Iterator[Fix]:
    """The network inputs next to the present one on which the whole network fits exactly, nearest below and above."""
    for shape, network in context.fitting_inputs:
        yield from _fix(context, network, node, Fix(f"input {by(shape[1:])}", input=shape), cured)


def _fix(context: Context, network: Network, node: Node | None, fix: Fix, cured: Cured | None) -> Iterator[Fix]:
    """The fix with its consequences, unless the changed network contradicts it."""
    now, before = network.inference, context.inference
    if len(now.problems) > len(before.problems):
        return
    declaration = now.declarations.get(node.name) if node else None
    if node and declaration is None or declaration and cured and not cured(declaration):
        return
    text = fix.text
    if declaration and fix.change and (spatial := declaration.outputs[0].spatial):
        text += f" (-> {by(spatial)})"
    # Safe: every size and every weight stays as it was.
    safe = fix.input is None and now.specs == before.specs and _weights(now) == _weights(before)
    yield dataclasses.replace(fix, text=text, safe=safe, consequences=_consequences(network, declaration))


def _weights(inference: Inference) -> dict[str, tuple[Parameter, ...]]:
    return {name: declaration.parameters for name, declaration in inference.declarations.items()}


def _consequences(network: Network, declaration: Declaration | None) -> dict[str, Any]:
    """Sizes of the node and of the network, parameters and MACs after the change."""
    inference = network.inference
    found: dict[str, Any] = {}
    if declaration:
        found["output"] = list(declaration.outputs[0].without_batch)
    found["network_output"] = [
        list(inference.specs[value].without_batch) for value in network.outputs if value in inference.specs
    ]
    found["params"] = sum(d.params for d in inference.declarations.values())
    found["macs"] = sum(d.macs for d in inference.declarations.values())
    return found
