"""Networks: immutable graphs of ops, and the builder that makes them."""

from striate.network import sharing
from striate.network.builder import Builder, Ref
from striate.network.graph import Inference, Network, Node, declare, unread

__all__ = ["Builder", "Inference", "Network", "Node", "Ref", "declare", "sharing", "unread"]
