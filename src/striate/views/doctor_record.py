"""The record of `striate doctor`: versions, CPU, threads this process may use, kernels, optional parts.

Everything is read (package metadata, /proc, /sys); only llvmlite is imported, to see whether it
loads.
"""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from striate.extras import install_command

if TYPE_CHECKING:
    from striate.views.schemas.machines import CodeCache, Cpu, Doctor, Kernels, Package, Threads

VECTORS = (
    *(
        "sse4_2",
        "avx",
        "f16c",
        "fma",
        "avx2",
        "avx512f",
        "avx512vl",
        "avx512bw",
        "avx512_vnni",
        "avx512_bf16",
    ),
    *("amx_tile", "asimd", "asimddp", "fphp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
"""CPU features that decide how fast a convolution runs: x86's, then ARM's."""


def doctor_record() -> Doctor:
    """Schema striate.doctor/1."""
    from striate import __version__

    return {
        "schema": "striate.doctor/1",
        "striate": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu(),
        "threads": threads(),
        "kernels": kernels(),
        "cache": code_cache_record(),
        "packages": packages(),
    }


def cpu(proc: Path = Path("/proc/cpuinfo")) -> Cpu:
    """Name and vector features of the first processor; empty if the system does not list them."""
    try:
        text = proc.read_text(errors="replace")
    except OSError:
        text = ""
    first = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", text.split("\n\n")[0], flags=re.M))
    flags = set((first.get("flags") or first.get("Features") or "").split())
    return {
        "name": first.get("model name") or platform.processor() or platform.machine(),
        "features": [flag for flag in VECTORS if flag in flags],
    }


def threads() -> Threads:
    """How many threads are worth starting: cores this process may run on, cut by the container's CPU quota."""
    from striate.engine import threads as engine

    return {
        "present": os.cpu_count() or 1,
        "affinity": len(engine.processors()),
        "cores": len(engine.cores()),
        "quota": engine.quota(),
        "useful": engine.available(),
    }


def kernels() -> Kernels:
    """The processor that code is compiled for, its vectors, and LLVM; or why nothing can be compiled."""
    from striate.engine import target as engine

    target, why, llvm = engine.host(), engine.why_not(), None
    if target is not None:
        try:
            from striate.engine.codegen import memory

            llvm = memory.version()
        except Exception as error:  # missing, for another system, or broken: its message is shown as it is
            why = f"llvmlite does not load: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    return {
        "target": target.name if target and not why else None,
        "vector": 32 * target.width if target and not why else None,
        "block": target.lanes if target and not why else None,
        "able": [level.name for level in engine.able()],
        "llvm": llvm,
        "why": why or None,
    }


def code_cache_record() -> CodeCache:
    """The folder of compiled kernels."""
    from striate.engine.codegen import code_cache

    state = code_cache.state()
    return {
        "folder": str(state.path) if state.path else None,
        "usable": not state.why,
        "why": state.why or None,
        "owner": state.owner,
        "mode": None if state.mode is None else f"{state.mode:04o}",
        "files": state.files,
        "bytes": state.bytes,
    }


def packages() -> list[Package]:
    """Every package that Striate's own metadata names: base ones first, then those of the extras (not `dev`)."""
    try:
        requirements = metadata.requires("striate") or []
    except metadata.PackageNotFoundError:
        return []
    rows: list[Package] = []
    for line in requirements:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if name is None or (extra and extra[1] == "dev"):
            continue
        rows.append({"name": name[0], "version": _version(name[0]), "extra": extra[1] if extra else None})
    return sorted(rows, key=lambda row: row["extra"] is not None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def missing_command(record: Doctor) -> str:
    """The one command that installs every optional part that is missing, or an empty string."""
    missing = sorted({row["extra"] for row in record["packages"] if row["extra"] and not row["version"]})
    return install_command(*missing) if missing else ""
