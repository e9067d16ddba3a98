"""Memory layout of a buffer: channel blocks, each a plane of pixels with its own border."""

from __future__ import annotations

import dataclasses
import math

ALIGN_BYTES = 64
"""Bytes: a cache line, and the widest vector."""
CONFLICT_BYTES = 4096
"""Planes this many bytes apart (or a multiple) fall into the same cache sets: such a stride gets one line more."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """[images][blocks][top + height + bottom][left + width + right][lanes], float32.

    A block holds `lanes` neighboring channels of a pixel; the last one has padding lanes. lanes 1 without border is
    plain NCHW. Borders and padding lanes hold finite numbers; borders hold 0 if a reader needs padding. Strides are in
    bytes.
    """

    images: int
    channels: int
    height: int
    width: int
    lanes: int
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    apart: int = 0
    """Bytes to the next image, where other channels lie between: a part of a concatenation."""
    shares_image_slot: bool = False
    """All images use the same memory, one after another."""

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.lanes)

    @property
    def pixel(self) -> int:
        """Bytes to the next pixel of a row."""
        return 4 * self.lanes

    @property
    def row(self) -> int:
        return self.pixel * (self.left + self.width + self.right)

    @property
    def block(self) -> int:
        """Bytes to the next channel block."""
        plane = self.row * (self.top + self.height + self.bottom)
        if self.lanes == 1 or plane == self.pixel:
            return plane  # plain order; or a vector of channels, in one piece
        plane += -plane % ALIGN_BYTES
        return plane + ALIGN_BYTES if plane and plane % CONFLICT_BYTES == 0 else plane

    @property
    def image(self) -> int:
        return 0 if self.shares_image_slot else self.apart or self.block * self.blocks

    @property
    def bytes(self) -> int:
        """Size of the buffer, borders included."""
        return self.block * self.blocks * (min(self.images, 1) if self.shares_image_slot else self.images)

    @property
    def origin(self) -> int:
        """Offset of the first pixel inside the border."""
        return self.top * self.row + self.left * self.pixel

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Border: top, bottom, left, right."""
        return self.top, self.bottom, self.left, self.right

    @property
    def elements(self) -> int:
        """Number of elements, without borders."""
        return math.prod((self.images, self.channels, self.height, self.width))

    def with_border(self, top: int, bottom: int, left: int, right: int) -> Layout:
        """The same layout with at least this border."""
        pads = self.pads
        return dataclasses.replace(
            self,
            top=max(pads[0], top),
            bottom=max(pads[1], bottom),
            left=max(pads[2], left),
            right=max(pads[3], right),
        )
