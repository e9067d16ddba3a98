"""The border of a blocked value: a constant, or the value's own numbers as a border mode repeats them.

    for image, line of the plane, border included: for channel block:
        lines above and below the map, and the pixels left and right of it: constant, or map[y[line]][x[column]]

Two tables say which pixel a border pixel repeats; `source` makes them from the rule that the statements use:
circular, reflected, replicated and symmetric borders are one kernel. Rows are lines of planes over all images, parts
are channel blocks.
"""

from __future__ import annotations

from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer
from striate.engine.target import Target
from striate.geometry.window import fold

OUT, OUT_IMAGE, OUT_BLOCK, OUT_ROW = 0, 8, 16, 24
"""Address of the first number of the border; bytes to the next image, channel block and line."""
TOP, HEIGHT, BOTTOM, LEFT, WIDTH, RIGHT = 32, 40, 48, 56, 64, 72
"""Lines and pixels of the border and of the map."""
VALUE = 80
"""The constant, a float32 (mode "constant")."""
LINES, PIXELS = 88, 96
"""Tables of int32 (mode "fold"): line of the map that each border line repeats, top then bottom; and pixels."""
ARGUMENTS = 104


def source(before: int, size: int, after: int, mode: str) -> list[int]:
    """The table for one axis. Modes are those of `striate.geometry.fold` but "zeros", which is a constant."""
    places = [fold(x, size, mode) for x in (*range(-before, 0), *range(size, size + after))]
    return [place for place in places if place is not None]


def emit(target: Target, mode: str, lanes: int) -> str:
    """kernel(arguments, line, end_line, block, end_block, scratch); mode "constant" or "fold"."""
    code = Code(target, "piiiip", lanes=lanes)
    a, first, last, block, end_block, _ = code.arguments
    top, height, left, width, right = (a.int(at) for at in (TOP, HEIGHT, LEFT, WIDTH, RIGHT))
    lines = top + height + a.int(BOTTOM)
    row: Int = a.int(OUT_ROW)
    value = code.broadcast(a.number(VALUE))
    rows, pixels = a.pointer(LINES), a.pointer(PIXELS)

    def fill(out: Pointer, start: Int | int, count: Int) -> None:
        with code.loop(0, count) as i:
            (out + (i + start) * code.bytes).store(value)

    def repeat(out: Pointer, line: Pointer, start: Int | int, count: Int, entry: Int | int) -> None:
        """Pixels from `start` on, repeating pixels of a line of the map; `entry`: first entry of the table."""
        with code.loop(0, count) as i:
            pixel = (pixels + (i + entry) * 4).short() + left
            (out + (i + start) * code.bytes).store(line.vector(pixel * code.bytes))

    with code.loop(first, last) as n, code.loop(block, end_block) as b:
        image, line = n // lines, n % lines
        plane = a.pointer(OUT) + (image * a.int(OUT_IMAGE) + b * a.int(OUT_BLOCK))
        out = plane + line * row
        inside = code.builder.and_(line >= top, line < top + height)
        if mode == "constant":
            with code.choice(inside) as (then, otherwise):
                with then:
                    fill(out, 0, left)
                    fill(out, left + width, right)
                with otherwise:
                    fill(out, 0, left + width + right)
        else:
            at = code.variable(line)
            with code.when(code.builder.not_(inside)):
                entry = code.select(line < top, line, line - height)
                at.set((rows + entry * 4).short() + top)
                origin = plane + at.get() * row
                with code.loop(left, left + width) as i:
                    (out + i * code.bytes).store(origin.vector(i * code.bytes))
            repeated = plane + at.get() * row
            repeat(out, repeated, 0, left, 0)
            repeat(out, repeated, left + width, right, left)
    return code.finish()
