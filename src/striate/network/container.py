"""Base of what holds a network: its nodes are read as those of the network itself."""

from __future__ import annotations

from collections.abc import Iterator

from striate.network.graph import Network, Node


class HoldsNetwork:
    """Base of a class with a network in `net`: ``model["conv1"]``, ``"conv1" in model``, ``len(model)``, and a loop."""

    net: Network

    def __getitem__(self, name: str) -> Node:
        return self.net[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.net)

    def __len__(self) -> int:
        return len(self.net)

    def __bool__(self) -> bool:
        return True  # also without a node

    def __contains__(self, node: object) -> bool:
        return node in self.net
