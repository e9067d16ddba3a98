"""Copy from one layout to another: inputs, results, slices, concatenation, padding by channels.

    for row: for block of destination channels: for pixel: for lane:
        out[block][row][pixel][lane] = in[channel - shift], or 0 where the source has no such channel

Addresses, row and pixel strides select the pixels, which gives crops and strided slices. Only destination channels
[first, last) are written, so that the neighbors in a block shared by two parts of a concatenation survive; a part that
ends a value has `last` at the block's end and so fills it up with zeros.

Whole blocks are fast: vectors between equal lanes (rotated by a fixed number of lanes where the channels are not
aligned), and squares of pixels by channels transposed in registers from and to plain planes. The rest is copied number
by number.
"""

from __future__ import annotations

from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.target import Target

IN, IN_IMAGE, IN_BLOCK, IN_ROW, IN_PIXEL = 0, 8, 16, 24, 32
"""Address of the first number read of channel 0; bytes to the next image, channel block, row and pixel that is read."""
OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW, OUT_PIXEL = 40, 48, 56, 64, 72
ROWS, COLUMNS = 80, 88
"""Rows written in one image, pixels in one row."""
FIRST, LAST, SHIFT, CHANNELS = 96, 104, 112, 120
"""Destination channels written: [first, last). Channel d holds source channel d - shift; the source has `channels`."""
ARGUMENTS = 128


def parts(first: int, last: int, lanes: int) -> int:
    """Number of parts: destination blocks that hold a channel of [first, last). Part 0 is the first of them."""
    return -(-last // lanes) - first // lanes


def rotation(shift: int, source: int, lanes: int) -> int:
    """Lane of the source that becomes lane 0 of a destination block; 0 if source and destination differ in lanes."""
    return int(-shift % lanes) if source == lanes else 0


def emit(target: Target, source: int, lanes: int, rotation: int = 0) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch); lanes of source and destination, and `rotation`."""
    code = Code(target, "piiiip")
    a, row, end_row, part, end_part, _ = code.arguments
    rows, first, last = a.int(ROWS), a.int(FIRST), a.int(LAST)
    copy = _Copy(code, source, lanes, rotation)
    base = first // lanes
    with code.loop(row, end_row) as r:
        image, line = r // rows, r % rows
        x = a.pointer(IN) + (image * a.int(IN_IMAGE) + line * a.int(IN_ROW))
        y = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + line * a.int(OUT_ROW))
        if lanes == 1 and source > 1:
            copy.planes(x, y, first + part, first + end_part)
        else:
            with code.loop(base + part, base + end_part) as block:
                copy.part(x, y + block * copy.out_block, block * lanes, first, last)
    return code.finish()


class _Copy:
    """Copy of one row of one block, for each combination of layouts."""

    def __init__(self, code: Code, source: int, lanes: int, rotation: int) -> None:
        self.code, self.source, self.lanes, self.rotation = code, source, lanes, rotation
        a: Pointer = code.arguments[0]
        self.in_block, self.in_pixel = a.int(IN_BLOCK), a.int(IN_PIXEL)
        self.out_block, self.out_pixel = a.int(OUT_BLOCK), a.int(OUT_PIXEL)
        self.columns, self.shift, self.channels = a.int(COLUMNS), a.int(SHIFT), a.int(CHANNELS)
        self.side = code.target.lanes

    def real(self, channel: Int) -> Any:
        """Whether the source has this channel."""
        return self.code.builder.and_(channel >= 0, channel < self.channels)

    def offset(self, channel: Int) -> Int:
        """Bytes from channel 0 to a channel of the source."""
        return channel // self.source * self.in_block + channel % self.source * 4

    def dense(self) -> Any:
        """Whether pixels lie side by side in source and destination."""
        return self.code.builder.and_(
            self.in_pixel.equals(4 * self.source), self.out_pixel.equals(4 * self.lanes)
        )

    def part(self, x: Pointer, out: Pointer, low: Int, first: Int, last: Int) -> None:
        """The channels of [first, last) that lie in the block whose first channel is `low`."""
        code, lanes = self.code, self.lanes
        if lanes == 1:
            self.plane(x, out, low)
            return
        with code.choice(code.builder.and_(low >= first, low + lanes <= last)) as (then, otherwise):
            with then:
                self.block(x, out, low)
            with otherwise:
                self.numbers(x, out, low, low.most(first), (low + lanes).least(last), code.int(0))

    def numbers(self, x: Pointer, out: Pointer, low: Int, start: Int, stop: Int, column: Int) -> None:
        """Channels [start, stop) of the block that begins at `low`, pixels from `column` on, number by number."""
        code = self.code
        with code.loop(start, stop) as d:
            channel = d - self.shift
            to = out + (d - low) * 4
            with code.choice(self.real(channel)) as (then, otherwise):
                with then:
                    at = x + self.offset(channel)
                    with code.loop(column, self.columns) as i:
                        to.store(at.number(i * self.in_pixel), i * self.out_pixel)
                with otherwise, code.loop(column, self.columns) as i:
                    to.store(code.number(0), i * self.out_pixel)

    def block(self, x: Pointer, out: Pointer, low: Int) -> None:
        """All lanes of a block."""
        if self.source == self.lanes:
            self.vectors(x, out, low)
        elif self.source == 1:
            column = self.squares(lambda i: self.interleave_square(x, out, low, i))
            self.numbers(x, out, low, low, low + self.lanes, column)
        else:
            self.numbers(x, out, low, low, low + self.lanes, self.code.int(0))

    def vectors(self, x: Pointer, out: Pointer, low: Int) -> None:
        """Vectors of one or two source blocks; zeros for channels that the source does not have."""
        code, lanes, build = self.code, self.lanes, self.code.builder
        start = low - self.shift
        near = Int(code, build.sdiv((start - self.rotation).value, code.int(lanes).value))
        end = (self.channels - 1) // lanes
        at = x + near.most(0).least(end) * self.in_block
        neighbor = x + (near + 1).most(0).least(end) * self.in_block
        kind = ir.VectorType(ir.IntType(64), lanes)
        bounds = [
            build.shuffle_vector(
                build.insert_element(ir.Constant(kind, ir.Undefined), number.value, ir.IntType(32)(0)),
                ir.Constant(kind, ir.Undefined),
                ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes),
            )
            for number in (start, self.channels)
        ]
        channel = build.add(bounds[0], ir.Constant(kind, list(range(lanes))))
        real = build.and_(
            build.icmp_signed(">=", channel, ir.Constant(kind, [0] * lanes)),
            build.icmp_signed("<", channel, bounds[1]),
        )
        with code.wide(lanes), code.loop(0, self.columns) as i:
            value = at.vector(i * self.in_pixel)
            if self.rotation:
                other = neighbor.vector(i * self.in_pixel)
                value = code.shuffle(value, other, range(self.rotation, self.rotation + lanes))
            (out + i * self.out_pixel).store(code.select(real, value, code.broadcast(0.0)))

    def squares(self, move: Any) -> Int:
        """Copy `side` pixels at a time where pixels are contiguous; returns the number of pixels copied.

        The last square overlaps the one before it, so that maps of at least `side` pixels leave no remainder.
        """
        code, end = self.code, self.code.variable(0)
        fits = code.builder.and_(self.dense(), self.columns >= self.side)
        with code.when(fits):
            count = (self.columns + self.side - 1) // self.side
            with code.wide(self.side), code.loop(0, count) as t:
                move((t * self.side).least(self.columns - self.side))
            end.set(self.columns)
        column = end.get()
        assert isinstance(column, Int)
        return column

    def interleave_square(self, x: Pointer, out: Pointer, low: Int, i: Int) -> None:
        """Transpose `side` pixels of the planes of one block into pixels of all lanes."""
        code = self.code
        planes = []
        for lane in range(self.lanes):
            channel = low + (lane - self.shift)
            real = self.real(channel)
            offset = code.select(real, channel, code.int(0)) * self.in_block
            planes.append(code.select(real, (x + offset).vector(i * 4), code.broadcast(0.0)))
        for k, vector in enumerate(interleave(code, planes)):
            (out + i * self.out_pixel).store(vector, k * code.bytes)

    def plane(self, x: Pointer, out: Pointer, channel: Int) -> None:
        """Copy a row of a plain source to a row of a plain destination."""
        code = self.code
        from_channel = channel - self.shift
        at = x + self.offset(from_channel.most(0))

        def move(i: Int) -> None:
            (out + i * 4).store((at + i * 4).vector())

        column = code.variable(0)
        with code.when(self.real(from_channel)):
            column.set(self.squares(move))
        self.numbers(x, out, channel, channel, channel + 1, column.get())

    def planes(self, x: Pointer, y: Pointer, start: Int, stop: Int) -> None:
        """Copy rows of a blocked source to rows of planes: a whole source block at a time, else plane by plane."""
        code, next_channel = self.code, self.code.variable(start)
        with code.loop(start, stop) as d, code.when(d >= next_channel.get()):
            channel, out = d - self.shift, y + d * self.out_block
            fits = [d + self.source <= stop, channel >= 0, channel + self.source <= self.channels]
            fits += [(channel.most(0) % self.source).equals(0), self.dense(), self.columns >= self.side]
            together = fits[0]
            for condition in fits[1:]:
                together = code.builder.and_(together, condition)
            with code.choice(together) as (then, otherwise):
                with then:
                    at = x + self.offset(channel)
                    self.squares(lambda i: self.deinterleave_square(at, out, i))
                    next_channel.set(d + self.source)
                with otherwise:
                    self.numbers(x, out, d, d, d + 1, code.int(0))

    def deinterleave_square(self, at: Pointer, out: Pointer, i: Int) -> None:
        """Transpose `side` pixels of a whole source block into planes."""
        code, base = self.code, at + i * self.in_pixel
        pixels = [base.vector(k * code.bytes) for k in range(self.source)]
        for k, vector in enumerate(deinterleave(code, pixels)):
            (out + (i * 4 + self.out_block * k)).store(vector)


def interleave(code: Code, planes: list[Any]) -> list[Any]:
    """Numbers [plane][pixel], one vector a plane, in the order [pixel][plane].

    For a power of two of planes: log2(planes) rounds of shuffles of halves, each rotating the index by one bit; they
    need only two constants.
    """
    count, width = len(planes), code.lanes
    if count & (count - 1):
        return [
            _select_lanes(
                code, planes, [j % count * width + j // count for j in range(k * width, k * width + width)]
            )
            for k in range(count)
        ]
    half = count // 2
    ends = [[j // 2 + (width if j % 2 else 0) + start for j in range(width)] for start in (0, width // 2)]
    for _ in range(count.bit_length() - 1):
        planes = [code.shuffle(planes[k], planes[k + half], end) for k in range(half) for end in ends]
    return planes


def deinterleave(code: Code, pixels: list[Any]) -> list[Any]:
    """The inverse: numbers [pixel][plane] in the order [plane][pixel]."""
    count, width = len(pixels), code.lanes
    if count & (count - 1):
        return [
            _select_lanes(code, pixels, [j * count + plane for j in range(width)]) for plane in range(count)
        ]
    ends = [list(range(start, 2 * width, 2)) for start in (0, 1)]
    for _ in range(count.bit_length() - 1):
        pairs = [(pixels[k], pixels[k + 1]) for k in range(0, count, 2)]
        pixels = [code.shuffle(*pair, end) for end in ends for pair in pairs]
    return pixels


def _select_lanes(code: Code, vectors: list[Any], places: list[int]) -> Any:
    """The numbers at these places of the concatenated vectors, as one vector."""
    width = code.lanes
    result = ir.Constant(code.vector, ir.Undefined)
    for k, vector in enumerate(vectors):
        if any(place // width == k for place in places):
            lanes = [width + place % width if place // width == k else j for j, place in enumerate(places)]
            result = code.shuffle(result, vector, lanes)
    return result
