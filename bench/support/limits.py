"""What this machine can do at most, on a number of threads: `limits.py THREADS` prints it as JSON.

Multiplications need native code, which `striate.engine.runtime.limits` has; where it is missing, nothing is made up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LEVELS = {"L1": 32 << 10, "L2": 512 << 10, "4 MB": 4 << 20, "16 MB": 16 << 20, "64 MB": 64 << 20}
"""Bytes that each thread, or all together from 4 MB on, read again and again."""


def machine_limits(threads: int) -> dict[str, Any]:
    """`fma_gflops`, and `read_gb_s` per level; or `not_measured` with the reason."""
    try:
        from striate.engine.runtime.limits import fma_peak, read_bandwidth
    except ImportError as error:
        return {"threads": threads, "not_measured": str(error)}
    read = {
        name: read_bandwidth(size * (threads if name in ("L1", "L2") else 1), threads)
        for name, size in LEVELS.items()
    }
    return {"threads": threads, "fma_gflops": fma_peak(threads), "read_gb_s": read}


def asked(threads: int) -> dict[str, Any]:
    """The same from a process of its own."""
    said = subprocess.run([sys.executable, str(Path(__file__)), str(threads)], capture_output=True, text=True)
    if said.returncode:
        return {"threads": threads, "not_measured": (said.stderr.strip().splitlines() or ["no answer"])[-1]}
    return dict(json.loads(said.stdout))


def sentence(limits: dict[str, Any]) -> str:
    """
    >>> sentence({"threads": 1, "fma_gflops": 171.2, "read_gb_s": {"L1": 160.1, "64 MB": 11.0}})
    'Limits of the machine, 1 thread: 171 GFLOP/s; reads L1 160, 64 MB 11 GB/s.'
    """
    threads = limits["threads"]
    head = f"Limits of the machine, {threads} thread{'s' * (threads > 1)}: "
    if "not_measured" in limits:
        return f"{head}not measured ({limits['not_measured']})."
    reads = ", ".join(f"{name} {speed:.0f}" for name, speed in limits["read_gb_s"].items())
    return f"{head}{limits['fma_gflops']:.0f} GFLOP/s; reads {reads} GB/s."


if __name__ == "__main__":
    from striate.peers.worker import pin

    pin(int(sys.argv[1]))
    print(json.dumps(machine_limits(int(sys.argv[1]))))
