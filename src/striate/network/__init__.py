"""Networks: immutable graphs of ops, and the builder that makes them."""

from striate.network import sharing
from striate.network.builder import Builder, Ref
from striate.network.container import HoldsNetwork
from striate.network.graph import (
    UNNAMED,
    Inference,
    Network,
    NetworkSource,
    Node,
    as_network,
    declaration_of,
    declare,
    unread,
)

__all__ = [
    "UNNAMED",
    "Builder",
    "HoldsNetwork",
    "Inference",
    "Network",
    "NetworkSource",
    "Node",
    "Ref",
    "as_network",
    "declaration_of",
    "declare",
    "sharing",
    "unread",
]
