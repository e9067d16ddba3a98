"""Number of threads that this process may use: its processor cores, limited by the container's CPU quota.

Two hardware threads of one core share its arithmetic: a second thread there adds nothing to a product and takes half of
its caches. So there is one thread per core, and workers go to cores of their own before they share one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

GROUPS, GROUP_FILE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
PROCESSORS = Path("/sys/devices/system/cpu")


def available() -> int:
    """Threads worth starting, at least 1."""
    return useful(len(cores()), quota())


def processors() -> tuple[int, ...]:
    """Numbers of the processors (hardware threads) that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cores(allowed: Sequence[int] | None = None, root: Path = PROCESSORS) -> tuple[tuple[int, ...], ...]:
    """The allowed processors of each core, the fastest cores first; a core of its own for each whose place is unknown.

    Cores differ in speed in many laptops and phones: the system states a capacity or a highest frequency.
    """
    return _cores(processors() if allowed is None else tuple(allowed), root)


@functools.lru_cache(maxsize=8)
def _cores(allowed: tuple[int, ...], root: Path) -> tuple[tuple[int, ...], ...]:
    siblings: dict[str, list[int]] = {}
    for number in allowed:
        place = root / f"cpu{number}" / "topology"
        core = _read(place / "core_cpus_list") or _read(place / "thread_siblings_list") or f"cpu{number}"
        siblings.setdefault(core, []).append(number)

    def speed(core: tuple[int, ...]) -> int:
        place = root / f"cpu{core[0]}"
        stated = _read(place / "cpu_capacity") or _read(place / "cpufreq" / "cpuinfo_max_freq")
        return int(stated) if stated.isdecimal() else 0

    return tuple(sorted(map(tuple, siblings.values()), key=speed, reverse=True))


def order(near: int | None = None, among: Sequence[tuple[int, ...]] | None = None) -> list[int]:
    """The processors in the order in which threads take them: one of each core, then the other ones.

    near: the processor where the first thread runs; its core comes first. among: cores; by default all of them.
    """
    found = sorted(cores() if among is None else among, key=lambda core: near not in core)
    return [
        core[turn] for turn in range(max(map(len, found), default=0)) for core in found if turn < len(core)
    ]


def current() -> int | None:
    """The processor that runs this thread; None if unknown."""
    line = _read(Path("/proc/thread-self/stat"))
    fields = line.rpartition(")")[2].split()
    return int(fields[36]) if len(fields) > 36 and fields[36].isdecimal() else None


def useful(count: int, quota: float | None) -> int:
    """Threads within the quota: more than it has whole processors would make all of them wait."""
    return count if quota is None else max(min(count, int(quota)), 1)


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


def _read(path: Path) -> str:
    """A file's text without the line's end; "" where it cannot be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
