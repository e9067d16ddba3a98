"""Peephole rewrites after import: operator sequences that Striate has a single op for.

Each rewrite preserves all results and the name of the node that has the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from striate.diagnostics import OpError, ShapeError
from striate.network import Network, Node, declare
from striate.ops.conv import Conv
from striate.ops.norm import LayerNorm
from striate.ops.pool import MaxPool
from striate.ops.reshape import ChannelShuffle, Pad, Permute, Reshape

Chain = tuple[Node, ...]

LOWEST = -3.4028234663852886e38
"""The lowest float32, which stands for padding with minus infinity because fields take finite numbers only."""


def tidy(net: Network) -> Network:
    """Replace every known chain by its single op."""
    net = _merge_permutes(net)
    producers, readers = net.producers, net.consumers
    replaced: dict[str, Node] = {}
    merged: dict[str, str] = {}
    for last in net.nodes:
        for length, merge in RULES:
            chain = _chain(last, length, producers, readers, net.outputs)
            if chain is None or any(node.name in merged or node.name in replaced for node in chain):
                continue
            match = merge(chain, net)
            if match is not None:
                keep, op = match
                node = dataclasses.replace(keep, op=op, inputs=chain[0].inputs)
                if not _same_output(node, net, chain[-1]):
                    continue
                for member in chain:
                    if member is not keep:
                        merged[member.name] = keep.name
                replaced[keep.name] = node
                break
    if not replaced:
        return net
    nodes = [replaced.get(node.name, node) for node in net.nodes if node.name not in merged]
    renamed = [
        dataclasses.replace(node, inputs=tuple(merged.get(value, value) for value in node.inputs))
        for node in nodes
    ]
    outputs = tuple(merged.get(value, value) for value in net.outputs)
    return dataclasses.replace(net, nodes=tuple(renamed), outputs=outputs)


def _same_output(node: Node, net: Network, last: Node) -> bool:
    """True if the single op gives the output of the chain: sizes that round up, for example, depend on where padding is
    declared.
    """
    try:
        return declare(node, [net.specs[value] for value in node.inputs]).outputs == (net.specs[last.name],)
    except (OpError, ShapeError):
        return False


def _merge_permutes(net: Network) -> Network:
    """Merge consecutive permutations, and drop those that cancel out."""
    source: dict[str, str] = {}
    alias: dict[str, str] = {}
    nodes = []
    for node in net.nodes:
        inputs = tuple(alias.get(value, value) for value in node.inputs)
        if isinstance(node.op, Permute):
            first = source.get(inputs[0], inputs[0])
            if node.op.order == "".join(net.specs[first].axes[1:]):
                alias[node.name] = first
            else:
                source[node.name] = first
                inputs = (first,)
        nodes.append(node if inputs == node.inputs else dataclasses.replace(node, inputs=inputs))
    if not alias and all(new is old for new, old in zip(nodes, net.nodes)):
        return net
    outputs = tuple(alias.get(value, value) for value in net.outputs)
    if any(value in net.inputs for value in outputs):
        return net
    remaining, needed = [], set(outputs)
    for node in reversed(nodes):
        if node.name not in alias and (not isinstance(node.op, Permute) or node.name in needed):
            needed.update(node.inputs)
            remaining.append(node)
    return dataclasses.replace(net, nodes=tuple(reversed(remaining)), outputs=outputs)


def _chain(
    last: Node,
    length: int,
    producers: Mapping[str, Node],
    readers: Mapping[str, tuple[Node, ...]],
    outputs: tuple[str, ...],
) -> Chain | None:
    """The chain of `length` nodes that ends in `last`, each read by the next one only."""
    chain = [last]
    while len(chain) < length:
        if len(chain[0].inputs) != 1 or chain[0].inputs[0] not in producers:
            return None
        before = producers[chain[0].inputs[0]]
        if len(before.outputs) != 1 or len(readers[before.name]) != 1 or before.name in outputs:
            return None
        chain.insert(0, before)
    return tuple(chain)


def _merge_shuffle(chain: Chain, net: Network) -> tuple[Node, Any] | None:
    """Channel shuffle: reshape C to groups x C/groups, transpose, and reshape back."""
    first, middle, last = chain
    if not (
        isinstance(first.op, Reshape) and isinstance(middle.op, Permute) and isinstance(last.op, Reshape)
    ):
        return None
    before, split, after = (net.specs[v] for v in (first.inputs[0], first.name, last.name))
    exchanged = middle.op.order == "".join((split.axes[2], split.axes[1], *split.axes[3:]))
    same = before == after and before.axes[1] == "C" and split.shape[3:] == before.shape[2:]
    return (last, ChannelShuffle(split.shape[1])) if exchanged and same else None


def _merge_norm(chain: Chain, net: Network) -> tuple[Node, Any] | None:
    """Layer normalization between two permutations that cancel out."""
    first, norm, last = chain
    if not (
        isinstance(first.op, Permute) and isinstance(norm.op, LayerNorm) and isinstance(last.op, Permute)
    ):
        return None
    same = norm.op.axes == "channels" and net.specs[first.inputs[0]] == net.specs[last.name]
    return (norm, norm.op) if same else None


def _merge_pad(chain: Chain, net: Network) -> tuple[Node, Any] | None:
    """Merge a pad op into the window op after it, if that has no padding.

    A max pool takes padding with the lowest value, a convolution zeros or a border mode.
    """
    pad, last = chain
    op = last.op
    if not isinstance(pad.op, Pad) or any(pad.op.channels):
        return None
    if isinstance(op, Conv) and op.padding == 0 and not pad.op.value:
        return last, dataclasses.replace(op, padding=pad.op.padding, mode=pad.op.mode)
    if isinstance(op, MaxPool) and op.padding == 0 and pad.op.mode == "zeros" and pad.op.value <= LOWEST:
        return last, dataclasses.replace(op, padding=pad.op.padding)
    return None


RULES: tuple[tuple[int, Callable[[Chain, Network], tuple[Node, Any] | None]], ...] = (
    (3, _merge_shuffle),
    (3, _merge_norm),
    (2, _merge_pad),
)
