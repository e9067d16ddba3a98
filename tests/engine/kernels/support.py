"""What tests of step kernels share: guarded memory, blocked layouts from and to plain arrays, and calls."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from hypothesis import strategies as st

from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import Record, Resolver
from striate.engine.kernels.winograd_sizes import KERNEL_MATRIX, odd_lines
from striate.engine.layout import Layout
from striate.engine.target import AVX2, AVX512, SSE, Target, host
from striate.geometry import Window

STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p)
PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


@cache
def targets() -> tuple[Target, ...]:
    """The targets whose code runs here."""
    order = (AVX512, AVX2, SSE)
    found = host()
    return order[order.index(found) :] if found in order else (found,) if found else ()


def guarded(nbytes: int, align: int = 64) -> np.ndarray:
    """Bytes of 0 that end right before a page that must not be touched; a page of the same kind lies before them."""
    pages = -(-max(nbytes, 1) // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    for page in (0, pages + 1):
        if _libc.mprotect(ctypes.c_void_p(whole.ctypes.data + page * PAGE), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = (pages + 1) * PAGE - nbytes
    return whole[first - first % align :][:nbytes]


def filled(
    layout: Layout, values: np.ndarray | None, rng: np.random.Generator, border: float = 0.0
) -> np.ndarray:
    """Guarded memory of a layout, as bytes: values (images, channels, height, width), `border` around them, and
    arbitrary finite numbers in filled-up lanes."""
    memory = guarded(layout.bytes)
    memory.view(np.float32)[:] = border
    inside = view(layout, memory)
    if values is None:
        inside[:] = np.nan
        return memory
    inside[:] = rng.normal(size=inside.shape) * 100
    n, c, h, w = values.shape
    spread = np.moveaxis(inside, 4, 2).reshape(n, -1, h, w)
    spread[:, :c] = values
    inside[:] = np.moveaxis(spread.reshape(n, layout.blocks, layout.lanes, h, w), 2, 4)
    return memory


def view(layout: Layout, memory: np.ndarray) -> np.ndarray:
    """(images, blocks, height, width, lanes) without the border, over the same memory."""
    strides = (layout.image, layout.block, layout.row, layout.pixel, 4)
    shape = (layout.images, layout.blocks, layout.height, layout.width, layout.lanes)
    numbers = memory.view(np.float32)[layout.origin // 4 :]
    return np.lib.stride_tricks.as_strided(numbers, shape, strides)


def plain(layout: Layout, memory: np.ndarray) -> np.ndarray:
    """(images, channels, height, width)"""
    inside = np.moveaxis(view(layout, memory), 4, 2)
    return inside.reshape(layout.images, -1, layout.height, layout.width)[:, : layout.channels].copy()


def border(layout: Layout, memory: np.ndarray) -> np.ndarray:
    """Every number that does not belong to a pixel, as bit patterns."""
    copy = memory.copy()
    view(layout, copy)[:] = 0
    return copy.view(np.uint32)


def held(values: np.ndarray) -> np.ndarray:
    """The same numbers in guarded memory that ends with them."""
    memory = guarded(values.nbytes, values.itemsize).view(values.dtype).reshape(values.shape)
    memory[...] = values
    return memory


def step(
    target: Target,
    kernel: Kernel,
    arguments: np.ndarray | Record,
    rows: tuple[int, int],
    parts: tuple[int, int],
    scratch: np.ndarray | None = None,
) -> None:
    """Run one task of a step kernel. A record's own addresses are real; its tables end at a guard page."""
    room, tables = None if scratch is None else scratch.ctypes.data, Resolver({}, held)
    record = tables.array(arguments) if isinstance(arguments, Record) else arguments
    STEP(addresses(target, [kernel])[kernel])(record.ctypes.data, *rows, *parts, room)


def correlation(
    windows: tuple[Window, Window],
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
    added: np.ndarray | None = None,
) -> np.ndarray:
    """Grouped convolution in float64. x: (n, c, h, w), weight: (k, c // groups, kh, kw)."""
    (down, across), (n, _, h, w), k = windows, x.shape, len(weight)
    reach = [(win.output - 1) * win.stride + win.extent for win in windows]
    padded = np.zeros((n, x.shape[1], max(reach[0], down.before + h), max(reach[1], across.before + w)))
    padded[:, :, down.before : down.before + h, across.before : across.before + w] = x
    spread = padded.reshape(n, groups, -1, *padded.shape[2:])
    kernels = weight.astype(np.float64).reshape(groups, k // groups, *weight.shape[1:])
    total = np.zeros((n, groups, k // groups, down.output, across.output))
    for u, v in np.ndindex(down.kernel, across.kernel):
        rows = slice(u * down.dilation, u * down.dilation + (down.output - 1) * down.stride + 1, down.stride)
        columns = slice(
            v * across.dilation, v * across.dilation + (across.output - 1) * across.stride + 1, across.stride
        )
        total += np.einsum("ngchw,gkc->ngkhw", spread[:, :, :, rows, columns], kernels[:, :, :, u, v])
    result = total.reshape(n, k, down.output, across.output)
    if bias is not None:
        result += bias[:, None, None]
    return result if added is None else result + added


@st.composite
def windows(draw: st.DrawFn, longest: int = 19) -> tuple[Window, Window]:
    """A window for the height and one for the width, each with at least one output."""

    def one() -> Window:
        kernel, dilation, size = (
            draw(st.integers(1, 7)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, longest)),
        )
        extent = dilation * (kernel - 1) + 1
        before = draw(st.integers(0, extent - 1))
        after = draw(st.integers(max(extent - size - before, 0), extent))
        return Window(size, kernel, draw(st.integers(1, 4)), dilation, before, after)

    return one(), one()


def hot_spills(assembly: str, tight: bool = False) -> list[str]:
    """Vector moves to and from the stack inside innermost loops (a stretch from a label to a jump back to it); tight:
    inside those of one basic block."""
    lines = [line.split("#")[0].split("//")[0].strip() for line in assembly.splitlines()]
    labels = {line[:-1]: at for at, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for at, line in enumerate(lines):
        words = line.replace(",", " ").split()
        if len(words) > 1 and words[0][0] in "jbtc" and labels.get(words[-1], at) < at:
            loops.append((labels[words[-1]], at))
    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    if tight:
        inner = [
            (start, stop) for start, stop in inner if not any(start < at < stop for at in labels.values())
        ]
        assert inner, "no loop of one basic block"
    x86 = re.compile(r"\(%rsp.*[xyz]mm|[xyz]mm.*\(%rsp")
    arm = re.compile(r"^(str|ldr|stp|ldp|stur|ldur)\s+q.*\[sp")
    return [
        line for start, stop in inner for line in lines[start:stop] if x86.search(line) or arm.search(line)
    ]


def winograd_weights(m: int, weight: np.ndarray, target: Target, panels: Sequence[int]) -> np.ndarray:
    """G g Gᵀ of weights (outputs, channels, 3, 3) in float64, in the order of use: [frequency][panel][channel][the
    panel's outputs], each frequency's filled up to an odd number of cache lines."""
    outputs, channels = weight.shape[:2]
    g, wide = KERNEL_MATRIX[m], target.lanes * sum(panels)
    whole = np.zeros(((m + 2) ** 2, channels, wide))
    taps = weight.astype(np.float64).reshape(outputs, channels, 9).transpose(2, 1, 0)
    whole[:, :, :outputs] = np.tensordot(np.kron(g, g), taps, 1)
    made = np.zeros((len(whole), odd_lines(4 * channels * wide) // 4), np.float32)
    first = 0
    for end in np.cumsum(panels) * target.lanes:
        made[:, first * channels : end * channels] = whole[:, :, first:end].reshape(len(whole), -1)
        first = end
    return made.reshape(-1)
