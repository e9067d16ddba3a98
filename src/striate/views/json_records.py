"""The plain JSON records that every view reads: numbers, texts and lists only, documented in docs/json.md.

A record is made once from the analysis; views draw it and compute nothing about networks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from striate.diagnostics import OpError
from striate.geometry import ReceptiveField, TransposedWindow, Window
from striate.jsontext import number
from striate.network import sharing
from striate.op import Trait

if TYPE_CHECKING:
    from striate.analysis import Analysis, NodeFacts
    from striate.analysis import Sizes as SolvedSizes
    from striate.analysis.cost import CostRow
    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.op import Declaration
    from striate.views.schemas.lists import ModelList
    from striate.views.schemas.networks import CostRow as CountedRow
    from striate.views.schemas.networks import (
        Costs,
        FieldAxis,
        Finding,
        Show,
        ShownNode,
        Sizes,
        SizesAxis,
        SizesByInput,
        SizesOfInput,
        WindowAxis,
    )

COUNTS_LIMIT = 4096
"""Pixel counts are written cell by cell up to this many pixels; larger maps per axis."""


# -- striate.show/1 -------------------------------------------------------------------------------------------


def show_record(net: Network, convention: str = "striate", findings: Iterable[Diagnostic] = ()) -> Show:
    """Schema striate.show/1: what `striate show` prints, for a network that fits and for one that does not.

    `nodes` holds every node that has an output; `problems` those that have none, `unreached` the nodes after them.
    findings: those of a check, run by the caller with its own settings.
    Raises UnknownNameError for an unknown convention.
    """
    from striate.analysis import analyze

    return analysis_record(analyze(net, convention), findings)


def analysis_record(facts: Analysis, findings: Iterable[Diagnostic] = ()) -> Show:
    """Schema striate.show/1 of an analysis."""
    net = facts.network
    inputs = {name: list(spec.without_batch) for name, spec in net.inputs.items()}
    failed = {problem.node for problem in facts.problems}
    return {
        "schema": "striate.show/1",
        "name": net.title,
        "input": next(iter(inputs.values())),
        "inputs": inputs,
        "nodes": [node_record(net, node) for node in facts.nodes],
        "totals": {
            "params": facts.totals.params,
            "macs": facts.totals.macs,
            "activation_bytes": facts.totals.activation_bytes,
            "peak_bytes": facts.totals.peak_bytes,
            "training_peak_bytes": facts.totals.training_peak_bytes,
            "unknown": {
                "params": list(facts.totals.unknown["params"]),
                "macs": list(facts.totals.unknown["macs"]),
                "memory": list(facts.totals.unknown["memory"]),
            },
        },
        "convention": facts.convention,
        "outputs": list(net.outputs),
        "findings": cast("list[Finding]", [f.to_dict() for f in findings if f.node not in failed]),
        "problems": cast("list[Finding]", [problem.diagnostic.to_dict() for problem in facts.problems]),
        "unreached": list(facts.unknown),
    }


def checked_record(facts: Analysis, findings: Sequence[Diagnostic]) -> Show:
    """Schema striate.show/1 of an analysis, its problems as the check reports them: with their fixes."""
    show = analysis_record(facts, findings)
    checked = {(f.node, f.code): cast("Finding", f.to_dict()) for f in findings}
    show["problems"] = [checked.get((one["node"], one["code"]), one) for one in show["problems"]]
    return show


def node_record(net: Network, facts: NodeFacts) -> ShownNode:
    """One node of striate.show/1."""
    specs = net.inference.specs
    node = net.node(facts.name)
    parameters = sharing.to_dict(node)
    record: ShownNode = {
        "name": facts.name,
        "op": facts.op,
        "text": node.op.phrase(len(net.inference.declarations[facts.name].inputs[0].spatial) or 2),
        "inputs": list(facts.inputs),
        "output": list(facts.output.without_batch),
        "outputs": [list(specs[value].without_batch) for value in node.outputs],
        "sizes": [str(specs[value]) for value in node.outputs],
        "filter": filter_shape(net.inference.declarations[facts.name]),
        "params": facts.params,
        "macs": facts.macs,
        "unknown": list(net.inference.declarations[facts.name].uncounted),
        "shares": parameters.get("shares", ""),
        "fixed": parameters.get("fixed", []),
        "frozen": parameters.get("frozen", []),
        "window": {axis: window_record(w) for axis, w in facts.windows.items()},
        "receptive_field": {axis: field_record(f) for axis, f in facts.receptive_field.items()},
        "aligned": facts.aligned,
        "activation_bytes": facts.activation_bytes,
    }
    if len(net.inputs) > 1:
        record["receptive_fields"] = {
            name: {axis: field_record(f) for axis, f in fields.items()}
            for name, fields in facts.fields_by_input.items()
            if fields
        }
    return record


def filter_shape(declaration: Declaration) -> list[int] | None:
    """(depth, height, width) of one filter of a convolution; None for other ops."""
    if Trait.CONVOLUTION not in declaration.op.traits:
        return None
    return next(list(p.shape[1:]) for p in declaration.parameters if p.name == "weight")


def window_record(window: Window | TransposedWindow) -> WindowAxis:
    """A window along one axis, every padding policy resolved; a transposed one loses and wastes nothing."""
    sliding = isinstance(window, Window)
    record: WindowAxis = {
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
        "pad": [window.before, window.after],
        "output": window.output,
        "remainder": window.remainder if isinstance(window, Window) else 0,
        "lost": window.lost if isinstance(window, Window) else 0,
        "wasted_padding": window.wasted_padding if isinstance(window, Window) else 0,
        "overhang": window.overhang if isinstance(window, Window) else 0,
        "formula": window.formula,
    }
    if not sliding:
        record["transposed"] = True
    return record


def field_record(field: ReceptiveField) -> FieldAxis:
    """A receptive field along one axis, in input pixels."""
    return {"size": field.size, "jump": number(field.jump), "start": number(field.start)}


def reconcile_record(net: Network) -> Costs:
    """Schema striate.cost/1: MACs under every convention, per op and per node, with the reasons for differences."""
    from striate.analysis import reconcile, unknown_costs
    from striate.analysis.conventions import CONVENTIONS

    costs = reconcile(net)

    def row(entry: CostRow) -> CountedRow:
        return {
            "node": entry.node,
            "op": entry.op,
            "macs": dict(entry.counts),
            "reasons": dict(entry.reasons),
        }

    return {
        "schema": "striate.cost/1",
        "name": net.name,
        "inputs": {name: list(spec.without_batch) for name, spec in net.inputs.items()},
        "conventions": {name: CONVENTIONS[name].sentence for name in costs.conventions},
        "totals": costs.totals,
        "unknown": list(unknown_costs(net)["macs"]),
        "ops": [row(entry) for entry in costs.summary],
        "nodes": [row(entry) for entry in costs.rows],
    }


# -- sizes ----------------------------------------------------------------------------------------------------


def sizes_by_input(net: Network, near: int | None = None) -> Sizes | SizesByInput:
    """Schema striate.sizes/1 of the only input; of several, `inputs` holds one record for each image, by name.

    near: by default the longest side of all of them. Raises OpError if no input is an image, and what `sizes` raises.
    """
    from striate.analysis import sizes

    if len(net.inputs) == 1:
        return sizes_record(sizes(net, near), net.input.without_batch)
    inputs = {}
    near = near or max(size for name in images(net) for size in net.inputs[name].spatial)
    for name in images(net):
        record = sizes_record(sizes(net, near, name), net.inputs[name].without_batch)
        inputs[name] = cast(
            "SizesOfInput", {key: value for key, value in record.items() if key not in ("schema", "near")}
        )
    return {"schema": "striate.sizes/1", "near": near, "inputs": inputs}


def images(net: Network) -> list[str]:
    """Names of the inputs with spatial axes. Raises OpError if there are none."""
    names = [name for name, spec in net.inputs.items() if spec.spatial]
    if not names:
        raise OpError(
            "no input has height and width",
            why=f"they are {', '.join(f'{name} {spec}' for name, spec in net.inputs.items())}",
            fix="give an image size such as 32x32x3",
        )
    return names


def sizes_record(solved: SolvedSizes, shape: Sequence[int]) -> Sizes:
    """Schema striate.sizes/1 of one input: per axis the congruence, and the nearest sizes that fit.

    shape: the network's own input (C, H, W), which `fits` judges.
    """
    axes: dict[str, SizesAxis] = {}
    for (axis, solution), size in zip(solved.axes.items(), shape[1:], strict=True):
        axes[axis] = {
            "modulus": solution.modulus,
            "residues": list(solution.residues),
            "minimum": solution.minimum,
            "rule": solution.rule,
            "nearest": list(solution.nearest(solved.near)) if solution.residues else [],
            "size": size,
            "fits": solution.fits(size),
            "conflict": solution.conflict,
        }
    head = {"schema": "striate.sizes/1", "input": list(shape), "near": solved.near}
    return cast("Sizes", {**head, **axes, "nearest": list(solved.nearest)})


# -- models ---------------------------------------------------------------------------------------------------


def models_record(glob: str = "*") -> ModelList:
    """Schema striate.models/1: the catalogue entries whose name or family matches, oldest first."""
    from striate.models.catalogue import matching

    return {
        "schema": "striate.models/1",
        "models": [
            {
                "name": entry.name,
                "year": entry.family.year,
                "family": entry.family.name,
                "paper": entry.family.paper,
                "url": entry.family.url,
                "new": entry.family.new,
                "params": entry.params,
                "gmacs": entry.gmacs,
                "input": list(entry.input),
                "note": entry.note,
            }
            for entry in matching(glob)
        ],
    }
