"""The record behind `striate doctor`: versions, CPU, threads this process may use, optional parts.

Everything is read (package metadata, /proc, /sys); nothing is run and no optional part is imported.
"""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

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


def machine_record() -> dict[str, Any]:
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
        "packages": packages(),
    }


def cpu(proc: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Name and vector features of the first processor; empty where the system does not tell."""
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


def threads(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> dict[str, Any]:
    """How many threads are worth starting: processors this process may run on, cut by the container's CPU quota."""
    present = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quota = cpu_quota(root, own)
    useful = affinity if quota is None else max(min(affinity, int(quota)), 1)
    return {"present": present, "affinity": affinity, "quota": quota, "useful": useful}


def cpu_quota(root: Path, own: Path) -> float | None:
    """Processors' worth of time that the control groups above this process allow, the smallest; None without limit."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = root if not controllers else root / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = base / path.strip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(base):
                break
            limits.append(_limit(place))
    known = [limit for limit in limits if limit is not None]
    return min(known, default=None)


def _limit(place: Path) -> float | None:
    try:
        if (place / "cpu.max").exists():  # version 2: "200000 100000" or "max 100000"
            quota, period = (place / "cpu.max").read_text().split()
        else:
            quota = (place / "cpu.cfs_quota_us").read_text().strip()
            period = (place / "cpu.cfs_period_us").read_text().strip()
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def packages() -> list[dict[str, Any]]:
    """Every package that Striate's own metadata names: base ones first, then those of the extras (not `dev`)."""
    try:
        wanted = metadata.requires("striate") or []
    except metadata.PackageNotFoundError:
        return []
    rows = []
    for line in wanted:
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


def install_command(record: dict[str, Any]) -> str:
    """The one command that installs every optional part that is missing, or an empty string."""
    missing = sorted({row["extra"] for row in record["packages"] if row["extra"] and not row["version"]})
    return f"pip install 'striate[{','.join(missing)}]'" if missing else ""
