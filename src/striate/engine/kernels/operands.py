"""Operands of elementwise functions: where their numbers lie, and how a kernel's code reads them.

The kinds, one letter each:

    s  a number for each pixel and channel, in its own layout
    c  one for each channel: a packed vector [block][lanes]        i  one for each image and channel: [n][block][lanes]
    p  one for each pixel: [n][rows][columns], plain float32       k  one for each image: float32
    u  one for all
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from striate.engine.codegen.values import Int, Pointer
from striate.engine.kernels.argument_record import Location, Value
from striate.engine.layout import Layout

KINDS = "sicpku"

OPERAND_SIZE = 32
"""Bytes of a record's entry for an operand:"""
IN, IN_IMAGE, IN_BLOCK, IN_ROW = 0, 8, 16, 24
"""address of the number that goes with the first pixel; bytes to the next image, channel block and row."""


@dataclasses.dataclass(frozen=True)
class OperandPlace:
    """Where the numbers of an operand lie: address and byte strides."""

    address: Location
    image: int = 0
    block: int = 0
    row: int = 0

    @classmethod
    def of(cls, layout: Layout, address: Location) -> OperandPlace:
        """The pixels of a layout whose memory starts at an address."""
        return cls(address + layout.origin, layout.image, layout.block, layout.row)

    @classmethod
    def vector(cls, lanes: int, address: Location, images: bool = False, blocks: int = 0) -> OperandPlace:
        """A number for each channel (kind c) or, with the number of blocks, for each image and channel (kind i)."""
        return cls(address, 4 * lanes * blocks if images else 0, 4 * lanes)


def entries(first: int, operands: Sequence[OperandPlace]) -> dict[int, Value]:
    """Numbers of a record whose operands' entries start at byte `first`."""
    numbers: dict[int, Value] = {}
    for k, place in enumerate(operands):
        at = first + k * OPERAND_SIZE
        numbers |= {
            at + IN: place.address, at + IN_IMAGE: place.image, at + IN_BLOCK: place.block, at + IN_ROW: place.row,
        }  # fmt: skip
    return numbers


class Operand:
    """One operand in a kernel's code."""

    def __init__(self, entry: Pointer, kind: str) -> None:
        code, self.kind, self.entry = entry.code, kind, entry
        self.image = entry.int(IN_IMAGE) if kind in "sipk" else code.int(0)
        self.row = entry.int(IN_ROW) if kind in "sp" else code.int(0)

    def base(self, block: Int) -> Pointer:
        """Its first number for a channel block."""
        return self.entry.pointer(IN) + (block * self.entry.int(IN_BLOCK) if self.kind in "sic" else 0)

    def row_constant(self, at: Pointer) -> Any:
        """Its vector for all pixels of a row, or None if it differs per pixel."""
        if self.kind in "ic":
            return at.vector()
        return None if self.kind in "sp" else at.broadcast()

    def value(self, row: Pointer, start: Int, t: int, constant: Any) -> Any:
        """Its vector for pixel start + t of a row."""
        if self.kind == "s":
            size = row.code.bytes
            return (row + start * size).vector(t * size)
        return (row + start * 4).broadcast(t * 4) if self.kind == "p" else constant


def operands(first: Pointer, kinds: str) -> list[Operand]:
    """The operands of a record, from their first entry on. Raises ValueError for an unknown kind."""
    if not set(kinds) <= set(KINDS):
        raise ValueError(f"operand kinds {kinds!r}: use letters of {KINDS!r}")
    return [Operand(first + k * OPERAND_SIZE, kind) for k, kind in enumerate(kinds)]
