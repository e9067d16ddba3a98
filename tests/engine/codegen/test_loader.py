"""Object code in memory: references between code and constants, damaged files, and what may be written when."""

import ctypes
import functools
import platform
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.engine.codegen import loader
from striate.engine.target import TARGETS, able

HERE = [target.name for target in able()]
CASES = 8


@functools.cache
def example(name: str) -> bytes:
    """A kernel with constants and, on x86, a table of jumps.

    kernel(a, choice, out): out = a·(0, 1, 2, …) + 1.25, then that times (choice + 0.5) for choice 0…7.
    """
    from llvmlite import ir

    from striate.engine.codegen.emit import Code
    from striate.engine.codegen.llvm import object_code

    code = Code(TARGETS[name], "pip")
    a, choice, out = code.arguments
    steps = ir.Constant(code.vector, [float(k) for k in range(code.lanes)])
    value = code.fma(a.vector(), steps, code.broadcast(1.25))
    out.store(value)
    build = code.builder
    end = build.append_basic_block("end")
    switch = build.switch(choice.value, end)
    for case in range(CASES):
        block = build.append_basic_block(f"case{case}")
        switch.add_case(ir.Constant(choice.value.type, case), block)
        build.position_at_end(block)
        out.store(code.mul(value, code.broadcast(case + 0.5)), 64 * (1 + case % 3))
        build.ret_void()
    build.position_at_end(end)
    return object_code(TARGETS[name], code.finish())


def call(address: int, lanes: int, choice: int) -> np.ndarray:
    a, out = np.arange(1, lanes + 1, dtype=np.float32), np.zeros(64, np.float32)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    kind(address)(a.ctypes.data, choice, out.ctypes.data)
    expected = np.zeros(64, np.float32)
    expected[:lanes] = a * np.arange(lanes, dtype=np.float32) + np.float32(1.25)
    if 0 <= choice < CASES:
        at = 16 * (1 + choice % 3)
        expected[at : at + lanes] = expected[:lanes] * np.float32(choice + 0.5)
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    return out


@pytest.mark.parametrize("name", HERE)
def test_it_runs(name):
    images = [loader.parse(example(name))] * 3
    assert images[0].relocations, "the example should need some"
    for address in loader.load(images):
        assert address % 64 == 0
        for choice in range(-1, CASES + 1):
            call(address, TARGETS[name].lanes, choice)


def permissions(address: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end:
            return mode
    return ""


@pytest.mark.skipif(not HERE, reason="no kernels here")
def test_memory_is_never_writable_and_executable(monkeypatch):
    seen = []
    real = ctypes.memmove
    monkeypatch.setattr(
        ctypes, "memmove", lambda to, *rest: (seen.append(permissions(to)), real(to, *rest))[1]
    )
    addresses = loader.load([loader.parse(example(HERE[0]))] * 2)
    assert seen == ["rw-p", "rw-p"]
    assert {permissions(address) for address in addresses} == {"r-xp"}
    code = (
        "import ctypes, sys; from striate.engine.codegen import loader\n"
        "a, = loader.load([loader.parse(sys.stdin.buffer.read())]); ctypes.memset(a, 0, 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=example(HERE[0]), capture_output=True, check=False
    )
    assert done.returncode == -11, done.stderr  # a write is a segmentation fault


@pytest.mark.skipif(not HERE, reason="no kernels here")
@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_a_system_that_gives_no_executable_memory(monkeypatch, call):
    class Refusing:
        def __getattr__(self, name):
            answer = {"mmap": ctypes.c_void_p(-1).value, "mprotect": -1}
            return (lambda *_: answer[name]) if name == call else getattr(real, name)

    real = loader._system()
    monkeypatch.setattr(loader, "_system", Refusing)
    with pytest.raises(OSError, match=call):
        loader.load([loader.parse(example(HERE[0]))])


def test_code_of_another_processor_is_not_loaded(monkeypatch):
    with pytest.raises(ValueError, match="another kind of processor"):
        loader.load([loader.parse(example("neon" if platform.machine() != "aarch64" else "sse"))])
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ValueError, match="another kind of processor"):
        loader.load([loader.parse(example("sse"))])


def test_nothing_to_load():
    assert loader.load([]) == []


# ------------------------------------------------------------------------------------------------- references


def test_arm_code_finds_its_constants():
    """ADRP and the load after it, decoded by hand, lead to the constants of the example."""
    image = loader.parse(example("neon"))
    base = 0x7F12_3456_7000
    content = loader.relocate_image(image, base)
    words = struct.unpack(f"<{len(content) // 4}I", content[: len(content) // 4 * 4])
    pages, found = {}, []
    for index, word in enumerate(words):
        at = base + 4 * index
        if word & 0x9F000000 == 0x90000000:  # adrp
            steps = (word >> 29 & 3) | (word >> 5 & 0x7FFFF) << 2
            steps -= (steps >> 20) << 21
            pages[word & 31] = (at & ~0xFFF) + (steps << 12)
        elif word & 0xFFC00000 == 0x3DC00000 and word >> 5 & 31 in pages:  # ldr q, [x, #16·n]
            to = pages[word >> 5 & 31] + 16 * (word >> 10 & 0xFFF)
            found.append(struct.unpack("<4f", content[to - base : to - base + 16]))
    assert {(0.0, 1.0, 2.0, 3.0), (4.0, 5.0, 6.0, 7.0)} <= set(found)


@pytest.mark.parametrize(
    ("machine", "kind", "old", "at", "to", "new"),
    [
        (loader.X86_64, 1, 0, 0x1000, 0x1234567890, 0x1234567890),
        (loader.X86_64, 2, 0, 0x2000, 0x1FFC, 0xFFFFFFFC),
        (loader.X86_64, 4, 0, 0x2000, 0x2100, 0x100),
        (loader.X86_64, 24, 0, 0x2000, 0x1FFF, 2**64 - 1),
        (loader.AARCH64, 257, 0, 0x1000, 0x1234567890, 0x1234567890),
        (loader.AARCH64, 261, 0, 0x2000, 0x1FFC, 0xFFFFFFFC),
        (loader.AARCH64, 275, 0x90000001, 0x1000, 0x3FFF, 0xD0000001),  # adrp x1, +2 pages
        (loader.AARCH64, 275, 0x90000001, 0x2000, 0x1FFF, 0xF0FFFFE1),  # adrp x1, -1 page
        (loader.AARCH64, 277, 0x91000021, 0x1000, 0x3ABC, 0x912AF021),  # add x1, x1, #0xabc
        (loader.AARCH64, 285, 0xBD400020, 0x1000, 0x3ABC, 0xBD4ABC20),  # ldr s0, [x1, #0xabc]
        (loader.AARCH64, 299, 0x3DC00020, 0x1000, 0x3AB0, 0x3DC2AC20),  # ldr q0, [x1, #0xab0]
        (loader.AARCH64, 283, 0x94000000, 0x1000, 0x0FFC, 0x97FFFFFF),  # bl -4
        (loader.AARCH64, 282, 0x14000000, 0x1000, 0x1010, 0x14000004),  # b +16
    ],
)
def test_relocations_as_the_manuals_define_them(machine, kind, old, at, to, new):
    width = loader._WIDTH.get((machine, kind), 4)
    made = loader._RELOCATE[machine][kind](old.to_bytes(width, "little"), at, to)
    assert int.from_bytes(made, "little") == new, hex(int.from_bytes(made, "little"))


@pytest.mark.parametrize(
    ("machine", "kind", "at", "to"),
    [
        (loader.X86_64, 2, 0, 1 << 31),
        (loader.X86_64, 4, 1 << 32, 0),
        (loader.AARCH64, 275, 0, 1 << 33),
        (loader.AARCH64, 283, 0, 1 << 28),
        (loader.AARCH64, 283, 0, 2),
        (loader.AARCH64, 299, 0, 8),
        (loader.AARCH64, 275, 2, 0x1000),
    ],
)
def test_references_that_do_not_reach_are_refused(machine, kind, at, to):
    with pytest.raises(ValueError):
        loader._RELOCATE[machine][kind](bytes(4), at, to)


# ------------------------------------------------------------------------------------------------- damage


def handled(data: bytes) -> None:
    """Whatever the bytes: an image whose relocations stay inside of it, or a ValueError."""
    try:
        image = loader.parse(data)
        assert 0 <= image.entry < len(image.content) <= loader.MAX_KERNEL_BYTES
        assert len(loader.relocate_image(image, 0x7F00_0000_0000)) == len(image.content)
    except ValueError:
        pass


@pytest.mark.parametrize("name", TARGETS)
def test_every_truncation_is_refused(name):
    data = example(name)
    loader.parse(data)
    for length in range(len(data)):
        with pytest.raises(ValueError):
            loader.parse(data[:length])


@pytest.mark.parametrize("name", ["avx2", "neon"])
def test_every_damaged_byte_is_handled(name):
    data = example(name)
    for at in range(len(data)):
        for change in (0xFF, 0x01, 0x80):
            handled(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])


@given(st.data())
def test_numbers_written_over_are_handled(data):
    spoilt = bytearray(example(data.draw(st.sampled_from(["sse", "avx512", "neon"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(spoilt) // 8 - 1)) * 8
        number = data.draw(st.sampled_from([0, 1, 0x7FFFFFFF, 1 << 63, (1 << 64) - 1]) | st.integers(0, 4096))
        spoilt[at : at + 8] = number.to_bytes(8, "little")
    handled(bytes(spoilt))


@given(st.binary(max_size=400))
def test_any_bytes_are_handled(data):
    handled(data)
    handled(b"\x7fELF\x02\x01\x01" + data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("declare void @other()\ndefine void @kernel() {\ncall void @other()\nret void\n}", "outside itself"),
        ("define void @other() {\nret void\n}", "not one function kernel"),
        (
            "define internal void @kernel() {\nret void\n}\n@x = global ptr @kernel",
            "not one function|section",
        ),
        ("@x = global i32 1\ndefine ptr @kernel() {\nret ptr @x\n}", "section .data|relocation"),
        (
            "@x = thread_local global i32 1\ndefine ptr @kernel() {\nret ptr @x\n}",
            "section .tdata|relocation",
        ),
    ],
)
def test_what_a_kernel_never_has_is_refused(text, why):
    from striate.engine.codegen.llvm import object_code

    head = f'target triple = "{TARGETS["sse"].triple}"\n'
    with pytest.raises(ValueError, match=why):
        loader.parse(object_code(TARGETS["sse"], head + text))


@pytest.mark.parametrize("name", TARGETS)
def test_loops_do_not_become_calls(name):
    """A loop that clears memory and one that copies it: LLVM would call memset and memcpy."""
    from striate.engine.codegen.emit import Code
    from striate.engine.codegen.llvm import object_code

    code = Code(TARGETS[name], "ppi")
    a, b, count = code.arguments
    with code.loop(0, count) as index:
        (a + index * code.bytes).store(code.broadcast(0.0))
    with code.loop(0, count) as index:
        (b + index * 8).store((a + index * 8).int())
    loader.parse(object_code(TARGETS[name], code.finish()))
