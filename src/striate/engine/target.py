"""The processor that code is compiled for: vector width, registers, and LLVM's names."""

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
    """LLVM's feature string, besides what `cpu` implies."""
    lanes: int
    """Channels in a block: 16 fill one AVX-512 register; elsewhere a block of 8 is one or two registers."""
    tiles: tuple[int, ...]
    """Pixels of a micro-tile with 1, 2, … output vectors: accumulators, weights and one broadcast fit the registers."""
    registers: int
    """Vector registers."""
    width: int
    """Numbers in one vector register."""
    fused: bool = True
    """Whether one instruction multiplies and adds."""
    broadcast_loads: bool = True
    """Whether the instruction that loads a number, or that multiplies by it, also puts it in all lanes."""
    fma_pipes: int = 2
    """Multiplications of vectors that start in a cycle."""
    memory_operands: bool = True
    """Whether arithmetic reads operands from memory; else LLVM loads several of them ahead into registers."""
    load_ports: int = 2
    """Vectors loaded in a cycle. Processors that halve AVX-512's vectors load and multiply half as many: what counts is
    the ratio of the two."""
    store_ports: int = 1
    """Vectors stored in a cycle."""
    sum_latency_cycles: int = 4
    """Cycles until a sum can be added to again; 3 to 5 on these processors."""
    l2_bytes_per_cycle: int = 32
    """Bytes a cycle from the second-level cache, where weights lie while all pixels pass: half of what makers name."""
    prefetch_bytes: int = 0
    """How far ahead a product's input is prefetched, 0: not at all. Each block of channels is a stream of its own: with
    more than some 16 of them a processor's own prefetching fails, and 1x1 convolutions of 256 channels took eight times
    as long (Zen 3)."""
    flops_per_s: float = 1e11
    """Estimate of one thread's floating-point operations per second, used only to choose algorithms."""

    @property
    def panel(self) -> int:
        """Most output vectors of one micro-tile."""
        return len(self.tiles)

    @property
    def pieces(self) -> int:
        """Registers that a block's channels fill."""
        return max(self.lanes // self.width, 1)

    @property
    def flops_per_cycle(self) -> int:
        """Floating-point operations that start in a cycle, multiplications and additions in equal number."""
        return self.width * self.fma_pipes * (2 if self.fused else 1)


AVX512 = Target(
    "avx512", "x86_64-unknown-linux-gnu", "x86-64-v4", "-prefer-256-bit", 16, (8, 8, 8, 6), 32, 16
)
AVX2 = Target("avx2", "x86_64-unknown-linux-gnu", "x86-64-v3", "", 8, (8, 6, 4), 16, 8, prefetch_bytes=256)
SSE = Target(
    "sse", "x86_64-unknown-linux-gnu", "x86-64-v2", "", 8, (4, 2), 16, 4,
    fused=False, broadcast_loads=False, flops_per_s=4e10,
)  # fmt: skip
NEON = Target(
    "neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 8, (8, 4, 3), 32, 4,
    memory_operands=False, flops_per_s=5e10,
)  # fmt: skip
TARGETS = {target.name: target for target in (AVX512, AVX2, SSE, NEON)}


NEEDS = {
    SSE: frozenset(["pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16"]),
    AVX2: frozenset(["avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"]),
    AVX512: frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
}
"""Feature words that a target needs in addition to the one before it: all that LLVM may use for its `cpu`."""


def flags() -> frozenset[str]:
    """Feature words of the host's processor, as the operating system spells them; empty where it does not say."""
    try:
        with Path("/proc/cpuinfo").open(errors="replace") as lines:
            for line in lines:
                name, _, words = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(words.split())
    except OSError:
        pass
    return frozenset()


def able() -> tuple[Target, ...]:
    """The targets whose code this processor and system can run, the widest first."""
    machine = platform.machine().lower()
    if sys.platform != "linux":
        return ()
    if machine in ("aarch64", "arm64"):
        return (NEON,)
    targets: list[Target] = []
    if machine in ("x86_64", "amd64"):
        words = flags()
        for target, features in NEEDS.items():
            if not features <= words:
                break
            targets.insert(0, target)
    return tuple(targets)


@functools.cache
def host() -> Target | None:
    """The target of this machine, or None if kernels cannot run. STRIATE_TARGET=avx2 (avx512, sse, neon) selects
    another one."""
    name = os.environ.get("STRIATE_TARGET")
    return next((target for target in able() if name in (None, "", target.name)), None)


def why_not() -> str:
    """Why there is no `host()`, or an empty string."""
    if host() is not None:
        return ""
    name, names = os.environ.get("STRIATE_TARGET"), ", ".join(target.name for target in able())
    if names:
        return f"STRIATE_TARGET={name} does not run here; {names} would"
    if sys.platform != "linux":
        return f"kernels run on Linux, and this is {platform.system()}"
    if platform.machine().lower() in ("x86_64", "amd64"):
        return f"the processor lacks {' '.join(sorted(NEEDS[SSE] - flags()))}"
    return f"there are no kernels for {platform.machine()}"
