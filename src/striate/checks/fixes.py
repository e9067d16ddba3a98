"""Computed fixes: a change is applied, the network inferred again, and the consequences are reported.

A change that does not cure the finding, or that breaks another node, is never offered. The number of inferences is
limited (`MAX_INFERRED_NODES`): in a very long network with many findings, later findings have their rule's general
advice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from striate.checks.context import Context, by
from striate.diagnostics import Fix, StriateError
from striate.geometry import Window
from striate.network import Inference, Node, declare
from striate.op import Declaration

IsCured = Callable[[Declaration], bool]
"""Returns whether the finding is gone, given the new declaration of its node."""
MAX_INFERRED_NODES = 30_000
"""Maximum nodes re-inferred for the fixes of one network: well below a second."""


def change(
    context: Context, node: Node, text: str, is_cured: IsCured | None = None, **fields: Any
) -> Iterator[Fix]:
    """The fix that sets op fields of a node, if its op has them, it cures the finding and it breaks nothing."""
    if not fields.keys() <= {field.name for field in dataclasses.fields(node.op)}:
        return
    before = context.inference
    old = before.declarations.get(node.name)
    try:
        variant = dataclasses.replace(node, op=dataclasses.replace(node.op, **fields))
        declaration = declare(variant, [before.specs[value] for value in node.inputs])
        if is_cured and not is_cured(declaration):
            return
        now = before
        if old is None or declaration.outputs != old.outputs:  # otherwise all other nodes are unchanged
            if context.trials + len(context.nodes) > MAX_INFERRED_NODES:
                return
            context.trials += len(context.nodes)
            now = context.network.replace(node.name, variant.op).inference
    except StriateError:
        return
    if len(now.problems) > len(before.problems):
        return
    spatial = declaration.outputs[0].spatial
    if spatial and (old is None or spatial != old.outputs[0].spatial):
        text += f" (-> {by(spatial)})"
    yield Fix(
        text,
        safe=old is not None and now is before and _alike(old, declaration),
        node=node.name,
        change=fields,
        consequences=_consequences(context, now, variant, declaration),
    )


def _alike(old: Declaration, new: Declaration) -> bool:
    """Whether weights keep their shapes, and windows their kernel, stride, dilation and mode; padding may change."""

    def reach(declaration: Declaration) -> list[tuple[int, int, int, str]]:
        return [
            (w.kernel, w.stride, w.dilation, w.mode if isinstance(w, Window) else "")
            for w in declaration.windows.values()
        ]

    return old.parameters == new.parameters and reach(old) == reach(new)


def resize(context: Context, node: Node | None, is_cured: IsCured | None = None) -> Iterator[Fix]:
    """The network inputs next to the present one on which the whole network fits exactly, nearest below and above."""
    for shape, network in context.fitting_inputs:
        now = network.inference
        declaration = now.declarations.get(node.name) if node else None
        if not now.problems and not (declaration and is_cured and not is_cured(declaration)):
            yield Fix(
                f"input {by(shape[1:])}",
                input=shape,
                consequences=_consequences(context, now, node, declaration),
            )


def _consequences(
    context: Context, now: Inference, node: Node | None, declaration: Declaration | None
) -> dict[str, Any]:
    """After the change: the node's output and receptive field, the network's outputs, parameters and MACs."""
    consequences: dict[str, Any] = {}
    if node is not None and declaration is not None:
        consequences["output"] = list(declaration.outputs[0].without_batch)
        consequences["receptive_field"] = {
            axis.lower(): axis_field.field.through(declaration.windows[axis_field.axis]).size
            for axis, axis_field in context.fields.get(node.inputs[0], {}).items()
            if axis_field.axis in declaration.windows
        }
    consequences["network_outputs"] = [
        list(now.specs[v].without_batch) for v in context.network.outputs if v in now.specs
    ]
    for name, total in (("params", context.total_params), ("macs", context.total_macs)):
        if now is context.inference and node is not None and declaration is not None:
            consequences[name] = (
                total + getattr(declaration, name) - getattr(context.declarations[node.name], name)
            )
        else:
            consequences[name] = sum(getattr(one, name) for one in now.declarations.values())
    return consequences
