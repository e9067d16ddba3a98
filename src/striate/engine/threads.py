"""Number of threads that this process may use: its processors, limited by the container's CPU quota."""

from __future__ import annotations

import os
from pathlib import Path

GROUPS, GROUP_FILE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available() -> int:
    """Threads worth starting, at least 1."""
    return useful(affinity(), quota())


def affinity() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def useful(processors: int, quota: float | None) -> int:
    """Threads within the quota: more than it has whole processors would make all of them wait."""
    return processors if quota is None else max(min(processors, int(quota)), 1)


def quota(root: Path = GROUPS, group_file: Path = GROUP_FILE) -> float | None:
    """Smallest CPU quota, in processors, of the control groups of this process; None without a limit."""
    try:
        lines = group_file.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / path.strip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(base):
                break
            limits.append(_limit(place))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(place: Path) -> float | None:
    try:
        if (place / "cpu.max").exists():  # version 2: "200000 100000" or "max 100000"
            most, period = (place / "cpu.max").read_text().split()
        else:
            most = (place / "cpu.cfs_quota_us").read_text().strip()
            period = (place / "cpu.cfs_period_us").read_text().strip()
        return float(most) / float(period) if most not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
