"""Loader for relocatable object code: enough of ELF for code without external references.

Object code of a kernel has a `.text`, constants in `.rodata*`, and references between the two. Everything else (symbols
of other libraries, writable data, thread-local data) is refused, and so is every offset that points outside.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import platform
import struct
from collections.abc import Callable, Sequence

X86_64, AARCH64 = 62, 183
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}

ALIGN_BYTES = 64
"""Code starts on a cache line, so that hot loops keep the alignment of the code generator."""
PAGE_BYTES = 4096
MAX_KERNEL_BYTES = 1 << 26
"""Bytes of one kernel, in memory; real ones have a few thousand."""

PROGBITS, SYMTAB, STRTAB, RELA, REL = 1, 2, 3, 4, 9
WRITE, ALLOC, EXECUTE = 1, 2, 4
_UNUSUAL = ~(WRITE | ALLOC | EXECUTE | 0x10 | 0x20 | 0x10000000)
"""Flags of a section besides merging (0x10), strings (0x20) and large constants."""


@dataclasses.dataclass(frozen=True)
class Relocation:
    """The bytes at `at` refer to the address `symbol` + `addend`. Both offsets count from the start of the image."""

    at: int
    kind: int
    symbol: int
    addend: int


@dataclasses.dataclass(frozen=True)
class Image:
    """One object's code and constants as they lie in memory, not yet adjusted to an address."""

    machine: int
    content: bytes
    align: int
    entry: int
    """Offset of the function."""
    relocations: tuple[Relocation, ...]


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise ValueError(f"object code: {why}")


class _Reader:
    """Reads numbers from bytes, never past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def numbers(self, form: str, at: int) -> tuple[int, ...]:
        _require(at + struct.calcsize(form) <= len(self.data), "cut short")
        return struct.unpack_from(form, self.data, at)

    def span(self, at: int, size: int) -> bytes:
        _require(at + size <= len(self.data), "a part lies outside of the file")
        return self.data[at : at + size]


def _text(table: bytes, at: int) -> str:
    end = table.find(b"\0", at)
    _require(at < len(table) and end >= 0, "a name lies outside of its table")
    return table[at:end].decode("ascii", "replace")


@dataclasses.dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    content: bytes
    link: int
    info: int
    align: int
    entry: int

    @property
    def in_image(self) -> bool:
        """Whether the section is part of the image; unwind tables are not, because kernels raise nothing."""
        return bool(self.flags & ALLOC) and self.name != ".eh_frame"


def parse(data: bytes, symbol: str = "kernel") -> Image:
    """The image of an ELF64 relocatable file with the global function `symbol`.

    Raises ValueError for damaged files and for everything that this loader does not support.
    """
    file = _Reader(data)
    ident = file.span(0, 16)
    _require(ident[:7] == b"\x7fELF\x02\x01\x01", "not a little-endian ELF64 file")
    kind, machine, version, _, _, start, _, size, _, programs, entry, count, names = file.numbers(
        "<HHIQQQIHHHHHH", 16
    )
    _require((kind, version, size, programs) == (1, 1, 64, 0), "not a relocatable file")
    _require(machine in MACHINES.values(), "made for another kind of processor")
    _require(entry == 64 and count > 0 and names < count, "no table of sections")
    sections = _sections(file, start, count, names)

    content, places, align = bytearray(), {}, ALIGN_BYTES
    for index, part in enumerate(sections):
        if not part.in_image:
            continue
        _require(part.kind == PROGBITS and not part.flags & (WRITE | _UNUSUAL), f"section {part.name}")
        _require(part.name.startswith((".text", ".rodata")), f"section {part.name}")
        _require(part.name.startswith(".text") == bool(part.flags & EXECUTE), f"section {part.name}")
        need = max(part.align, ALIGN_BYTES if part.flags & EXECUTE else 1)
        _require(need <= PAGE_BYTES and need & (need - 1) == 0, "alignment")
        content += bytes(-len(content) % need)
        places[index] = len(content)
        content += part.content
        align = max(align, need)
    _require(len(content) <= MAX_KERNEL_BYTES, "too large")

    tables = [index for index, part in enumerate(sections) if part.kind == SYMTAB]
    _require(len(tables) == 1, "not one table of symbols")
    symbols, function = _symbols(sections, tables[0], places, symbol)
    relocations = []
    for part in sections:
        _require(part.kind != REL, "relocations of the short form")
        if part.kind != RELA:
            continue
        _require(part.entry == 24 and len(part.content) % 24 == 0, "relocations of another size")
        _require(part.link == tables[0] and part.info < len(sections), "relocations of nothing")
        if part.info not in places:
            _require(not sections[part.info].in_image, "relocations of nothing")
            continue
        room = len(sections[part.info].content)
        for at, info, addend in struct.iter_unpack("<QQq", part.content):
            which, how = info >> 32, info & 0xFFFFFFFF
            _require(how in _RELOCATE[machine], f"relocation {how}")
            _require(at + _WIDTH.get((machine, how), 4) <= room, "a relocation outside of its section")
            place = symbols[which] if which < len(symbols) else None
            if place is None:
                raise ValueError("object code: refers to something outside itself")
            relocations.append(Relocation(places[part.info] + at, how, place, addend))
    return Image(machine, bytes(content), align, function, tuple(relocations))


def _sections(file: _Reader, start: int, count: int, names: int) -> list[_Section]:
    raw = [file.numbers("<IIQQQQIIQQ", start + 64 * index) for index in range(count)]
    table = file.span(raw[names][4], raw[names][5])
    _require(raw[names][1] == STRTAB, "no names of sections")
    sections = []
    for name, kind, flags, _, offset, size, link, info, align, entry in raw:
        # A section of kind 0 has no content, one of kind 8 none in the file.
        content = b"" if kind in (0, 8) else file.span(offset, size)
        _require(kind != 8 or not flags & ALLOC, "memory without content")
        sections.append(
            _Section(_text(table, name) if kind else "", kind, flags, content, link, info, align, entry)
        )
    return sections


def _symbols(
    sections: Sequence[_Section], index: int, places: dict[int, int], symbol: str
) -> tuple[list[int | None], int]:
    """Offset of each symbol in the image (None: not in it), and of the function `symbol`."""
    table = sections[index]
    _require(table.entry == 24 and len(table.content) % 24 == 0, "symbols of another size")
    _require(table.link < len(sections) and sections[table.link].kind == STRTAB, "symbols without names")
    names = sections[table.link].content
    offsets: list[int | None] = []
    functions = []
    for name, info, _, where, value, _ in struct.iter_unpack("<IBBHQQ", table.content):
        if where not in places:
            offsets.append(None)
            continue
        _require(value <= len(sections[where].content), "a symbol outside of its section")
        offsets.append(places[where] + value)
        executable = sections[where].flags & EXECUTE and value < len(sections[where].content)
        if info == 0x12 and executable and _text(names, name) == symbol:  # global, function
            functions.append(places[where] + value)
    _require(len(functions) == 1, f"not one function {symbol}")
    return offsets, functions[0]


# Relocations: (bytes there now, address of those bytes P, wanted address S + A) -> new bytes.
# Names and formulas: System V ABI, AMD64 supplement, table 4.9; ELF for the Arm 64-bit architecture, section 5.7.


def _signed(value: int, bits: int, why: str = "too far away") -> int:
    _require(-(1 << bits - 1) <= value < 1 << bits - 1, why)
    return value & ((1 << bits) - 1)


def _absolute(old: bytes, at: int, to: int) -> bytes:
    return (to % (1 << 64)).to_bytes(8, "little")


def _relative32(old: bytes, at: int, to: int) -> bytes:
    return _signed(to - at, 32).to_bytes(4, "little")


def _relative64(old: bytes, at: int, to: int) -> bytes:
    return ((to - at) % (1 << 64)).to_bytes(8, "little")


def _instruction(old: bytes, at: int, mask: int, bits: int) -> bytes:
    _require(at % 4 == 0, "an instruction at an odd address")
    return ((int.from_bytes(old, "little") & ~mask) | bits).to_bytes(4, "little")


def _page(old: bytes, at: int, to: int) -> bytes:
    """ADRP: 4 KB pages from here to there, 21 bits: the low two at 29, the others at 5."""
    pages = _signed((to >> 12) - (at >> 12), 21)
    return _instruction(old, at, 0x60FFFFE0, (pages & 3) << 29 | (pages >> 2) << 5)


def _low(shift: int) -> Callable[[bytes, int, int], bytes]:
    """ADD or a load: the low 12 bits of the address, in units of what is loaded."""

    def relocate(old: bytes, at: int, to: int) -> bytes:
        low = to & 0xFFF
        _require(low % (1 << shift) == 0, "a constant at an odd address")
        return _instruction(old, at, 0x3FFC00, low >> shift << 10)

    return relocate


def _branch(old: bytes, at: int, to: int) -> bytes:
    _require((to - at) % 4 == 0, "a branch to an odd address")
    return _instruction(old, at, 0x3FFFFFF, _signed(to - at, 28) >> 2)


_RELOCATE: dict[int, dict[int, Callable[[bytes, int, int], bytes]]] = {
    X86_64: {1: _absolute, 2: _relative32, 4: _relative32, 24: _relative64},
    AARCH64: {
        257: _absolute,
        260: _relative64,
        261: _relative32,
        275: _page,
        277: _low(0),
        278: _low(0),
        282: _branch,
        283: _branch,
        284: _low(1),
        285: _low(2),
        286: _low(3),
        299: _low(4),
    },
}
_WIDTH = {(X86_64, 1): 8, (X86_64, 24): 8, (AARCH64, 257): 8, (AARCH64, 260): 8}


def relocate_image(image: Image, base: int) -> bytes:
    """The image's bytes at the address `base`. Raises ValueError if a reference is out of range."""
    content = bytearray(image.content)
    for relocation in image.relocations:
        end = relocation.at + _WIDTH.get((image.machine, relocation.kind), 4)
        change = _RELOCATE[image.machine][relocation.kind]
        content[relocation.at : end] = change(
            bytes(content[relocation.at : end]),
            base + relocation.at,
            base + relocation.symbol + relocation.addend,
        )
    return bytes(content)


@functools.cache
def _system() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


def _os_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what} of executable memory")


def load(images: Sequence[Image]) -> list[int]:
    """Load images into one block of memory, first writable, then executable, never both; returns function addresses.

    The memory stays until the process ends, because threads may be running in it. Raises ValueError if an image cannot
    run here or a reference is out of range, OSError if the system denies executable memory.
    """
    here = MACHINES.get(platform.machine())
    starts, size = [], 0
    for image in images:
        _require(image.machine == here, "made for another kind of processor")
        size += -size % image.align
        starts.append(size)
        size += len(image.content)
    if not size:
        return []
    libc = _system()
    base = libc.mmap(None, size, 1 | 2, 0x22, -1, 0)  # read and write; private and anonymous
    if base in (None, ctypes.c_void_p(-1).value):
        raise _os_error("mmap")
    try:
        for start, image in zip(starts, images, strict=True):
            ctypes.memmove(base + start, relocate_image(image, base + start), len(image.content))
        if here == AARCH64:  # the instruction cache is not coherent
            clear = ctypes.CDLL("libgcc_s.so.1").__clear_cache
            clear.argtypes, clear.restype = (ctypes.c_void_p, ctypes.c_void_p), None
            clear(base, base + size)
        if libc.mprotect(base, size, 1 | 4):  # read and execute
            raise _os_error("mprotect")
    except BaseException:
        libc.munmap(base, size)
        raise
    return [base + start + image.entry for start, image in zip(starts, images, strict=True)]
