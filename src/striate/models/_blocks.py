"""Pieces that several families share: numbered chains of ops, a convolution with its batch normalization."""

from __future__ import annotations

from collections.abc import Iterable

from striate.network import Builder, Ref
from striate.op import Op
from striate.ops.conv import Conv
from striate.ops.norm import BatchNorm


def sequential(b: Builder, x: Ref, scope: str, ops: Iterable[Op], start: int = 0) -> Ref:
    """One op after the other, named `scope`.0, `scope`.1, … (from `start` on), as torch's Sequential numbers them."""
    with b.scope(scope):
        for index, op in enumerate(ops, start):
            x = b(op, x, name=str(index))
    return x


def conv_bn(
    b: Builder, x: Ref, conv: str, bn: str, filters: int, kernel: int, *, stride: int = 1, padding: int = 0
) -> Ref:
    """A convolution without bias, named `conv`, and its batch normalization, named `bn`."""
    x = b(Conv(filters, kernel=kernel, stride=stride, padding=padding, bias=False), x, name=conv)
    return b(BatchNorm(), x, name=bn)
