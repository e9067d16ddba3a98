"""The record of `striate diff`, striate.diff/1: what changed between two networks, in cost and in findings.

Nodes are matched in order: by name, or by op and settings where the name is only a number (`conv3`, `features.3`), so
that a layer added in front does not change all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.views.schemas.networks import ChangedNode, Diff, DiffSide, LoneNode, Show, ShownNode

    Pair = tuple[ShownNode | None, ShownNode | None]

FACTS = (
    "text", "sizes", "params", "macs", "field", "window", "activation_bytes", "aligned", "shares", "fixed", "frozen",
)  # fmt: skip
"""What is compared of two matched nodes."""


def diff_record(a: Show, b: Show) -> Diff:
    """a, b: striate.show/1 of both networks."""
    pairs = list(_match(a["nodes"], b["nodes"]))
    old = {(f["code"], f["node"]): f for f in (*a["problems"], *a["findings"])}
    new = {(f["code"], f["node"]): f for f in (*b["problems"], *b["findings"])}
    renamed = {one["name"]: other["name"] for one, other in pairs if one and other}
    before = {(code, renamed.get(node or "", node)) for code, node in old}
    return {
        "schema": "striate.diff/1",
        "a": _side(a),
        "b": _side(b),
        "changed": [change for one, other in pairs if one and other and (change := _change(one, other))],
        "removed": [_brief(one) for one, other in pairs if one and not other],
        "added": [_brief(other) for one, other in pairs if other and not one],
        "unchanged": sum(bool(one and other and not _change(one, other)) for one, other in pairs),
        "gone": [f for (code, node), f in old.items() if (code, renamed.get(node or "", node)) not in new],
        "come": [f for key, f in new.items() if key not in before],
    }


def _side(record: Show) -> DiffSide:
    return {
        "name": record["name"],
        "inputs": record["inputs"],
        "totals": record["totals"],
        "convention": record["convention"],
        "nodes": len(record["nodes"]),
    }


def _brief(node: ShownNode) -> LoneNode:
    return {
        "name": node["name"],
        "text": node["text"],
        "sizes": node["sizes"],
        "params": node["params"],
        "macs": node["macs"],
    }


def _facts(node: ShownNode) -> dict[str, Any]:
    facts: dict[str, Any] = {key: value for key, value in node.items() if key in FACTS}
    facts["field"] = {axis: field["size"] for axis, field in node["receptive_field"].items()}
    facts["window"] = {
        axis: {key: value for key, value in window.items() if key != "formula"}
        for axis, window in node["window"].items()
    }
    return facts


def _change(one: ShownNode, other: ShownNode) -> ChangedNode | None:
    """Facts that differ, each as [before, after]; None when nothing does."""
    before, after = _facts(one), _facts(other)
    facts = {key: [before[key], after[key]] for key in FACTS if before[key] != after[key]}
    return (
        {"a": one["name"], "b": other["name"], "facts": facts}
        if facts or one["name"] != other["name"]
        else None
    )


def _key(node: ShownNode) -> str:
    """The name; where it is only a number (`conv3`, `features.3`), what the layer is and the module it stands in."""
    scope, _, leaf = node["name"].rpartition(".")
    numbered = leaf.isdecimal() or (not scope and re.fullmatch(rf"{re.escape(node['op'])}\d+", leaf))
    return f"{scope} {node['text']}" if numbered else str(node["name"])


def _match(a: Sequence[ShownNode], b: Sequence[ShownNode]) -> Iterator[Pair]:
    keys_a, keys_b = [_key(node) for node in a], [_key(node) for node in b]
    first = 0
    while first < min(len(a), len(b)) and keys_a[first] == keys_b[first]:
        yield a[first], b[first]
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and keys_a[-1 - last] == keys_b[-1 - last]:
        last += 1
    end_a, end_b = len(a) - last, len(b) - last
    matcher = SequenceMatcher(None, keys_a[first:end_a], keys_b[first:end_b], autojunk=False)
    for kind, i0, i1, j0, j1 in matcher.get_opcodes():
        ours, theirs = a[first + i0 : first + i1], b[first + j0 : first + j1]
        yield from zip(ours, theirs, strict=True) if kind == "equal" else _match_by_op(ours, theirs)
    yield from zip(a[end_a:], b[end_b:], strict=True)


def _match_by_op(ours: Sequence[ShownNode], theirs: Sequence[ShownNode]) -> Iterator[Pair]:
    """Where names differ, match nodes with the same op, in order."""
    matcher = SequenceMatcher(None, [n["op"] for n in ours], [n["op"] for n in theirs], autojunk=False)
    for kind, i0, i1, j0, j1 in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(ours[i0:i1], theirs[j0:j1], strict=True)
        else:
            yield from ((node, None) for node in ours[i0:i1])
            yield from ((None, node) for node in theirs[j0:j1])
