"""Repeated blocks in one line: `layer3.2 … layer3.5` are four times what `layer3.1` is.

A block is a run of nodes under one numbered scope (`layer3.2`, `features.7`, `denselayer4`). It is folded only when
every op, size, cost, finding and connection is that of the block before it: only names and receptive fields may differ.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from striate.views.schemas.networks import Show, ShownNode

    Item: TypeAlias = "ShownNode | Blocks"
    """One item of the table: a node, or blocks that repeat the one before them."""


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks that repeat the one before them: their names, that one's name, their costs, and their last node."""

    names: list[str]
    like: str
    params: int
    macs: int
    last: ShownNode


def block_of(name: str) -> str:
    """The numbered scope of a node: up to the first part that is a number, else to the last that ends in one.

    >>> block_of("layer2.0.downsample.1"), block_of("a.denselayer4.conv1"), block_of("conv1")
    ('layer2.0', 'a.denselayer4', '')
    """
    scope = name.split(".")[:-1]
    numbers = [k for k, part in enumerate(scope) if part.isdecimal()]
    ends = numbers[:1] or [k for k, part in enumerate(scope) if re.search(r"\d$", part)][-1:]
    return ".".join(scope[: ends[0] + 1]) if ends else ""


def fold_blocks(record: Show) -> Iterator[Item]:
    """The nodes in order, repeats of a block replaced by one item for all of them."""
    codes: dict[str, list[str]] = {}
    for finding in record["findings"]:
        codes.setdefault(finding["node"] or "", []).append(finding["code"])
    runs = [
        (name, list(nodes))
        for name, nodes in groupby(record["nodes"], key=lambda node: block_of(node["name"]))
    ]
    for _, same in groupby(runs, key=lambda run: _kind(run[0], run[1], codes) if run[0] else None):
        blocks = list(same)
        yield from blocks[0][1]
        if len(blocks) > 1:
            rest = [node for _, nodes in blocks[1:] for node in nodes]
            yield Blocks(
                [block for block, _ in blocks[1:]],
                blocks[0][0],
                params=sum(node["params"] for node in rest),
                macs=sum(node["macs"] for node in rest),
                last=rest[-1],
            )


def _kind(block: str, nodes: list[ShownNode], codes: dict[str, list[str]]) -> tuple[tuple[Any, ...], ...]:
    """Everything about a block except its name and its receptive fields."""

    def near(name: str) -> str:
        return name.removeprefix(block) if name.startswith(f"{block}.") else "outside"

    return tuple(
        (
            near(node["name"]),
            node["text"],
            *map(near, node["inputs"]),
            *node["sizes"],
            node["params"],
            node["macs"],
            str(node["shares"]),
            *node["fixed"],
            *node["frozen"],
            node["aligned"],
            *codes.get(node["name"], ()),
        )
        for node in nodes
    )
