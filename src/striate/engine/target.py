"""The processor that code is made for: vector width, registers, and what identifies it."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import sys
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Target:
    """One kind of processor, as kernels see it."""

    name: str
    triple: str
    cpu: str
    """LLVM's name of the processor; "" is the most general of its kind."""
    features: str
    """LLVM's feature string, beside what `cpu` implies."""
    lanes: int
    """Channels in a block: 16 fill one AVX-512 register; elsewhere a block of 8 is one or two registers."""
    tiles: tuple[int, ...]
    """Pixels of a micro-tile with 1, 2, … output vectors: accumulators, weights and one broadcast fit the registers."""
    registers: int
    """Vector registers."""
    width: int
    """Numbers in one vector register."""

    @property
    def panel(self) -> int:
        """Most output vectors of one micro-tile."""
        return len(self.tiles)


AVX512 = Target(
    "avx512", "x86_64-unknown-linux-gnu", "x86-64-v4", "-prefer-256-bit", 16, (8, 8, 8, 6), 32, 16
)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "x86-64-v3", "", 8, (8, 6, 4), 16, 8)
SSE = Target("sse", "x86_64-unknown-linux-gnu", "x86-64-v2", "", 8, (5, 2), 16, 4)
NEON = Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 8, (8, 6, 4), 32, 4)
TARGETS = {target.name: target for target in (AVX512, AVX2, SSE, NEON)}


def flags() -> frozenset[str]:
    """Feature words of the host's processor, as the operating system spells them; empty where it does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.split(":")[0].strip() in ("flags", "Features"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


@functools.cache
def host() -> Target | None:
    """What runs here, or None where kernels cannot. STRIATE_TARGET=avx2 (avx512, sse, neon) asks for another one."""
    machine = platform.machine().lower()
    asked = os.environ.get("STRIATE_TARGET")
    if sys.platform != "linux":
        return None
    found = flags()
    if machine in ("x86_64", "amd64"):
        able = [SSE] if {"sse4_1", "sse4_2", "ssse3"} <= found else []
        if {"avx2", "fma", "bmi2"} <= found:
            able.insert(0, AVX2)
        if {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"} <= found:
            able.insert(0, AVX512)
    elif machine in ("aarch64", "arm64"):
        able = [NEON]
    else:
        able = []
    if asked:
        able = [target for target in able if target.name == asked]
    return able[0] if able else None
