"""Environment of a run, to explain later why two runs differ. Without user name, host name and paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

from striate.engine.threads import processors
from striate.version import __version__

PACKAGES = ("numpy", "llvmlite", "pillow", "torch")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment(engine: str) -> dict[str, Any]:
    """Versions, machine and threads, as plain values."""
    return {
        "striate": __version__,
        "engine": engine,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(processors()),
        "byte_order": sys.byteorder,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
