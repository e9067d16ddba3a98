"""Seconds of each node of a network, or of each group of nodes that is computed together."""

from __future__ import annotations

import statistics
from typing import Any

from striate.peers.subject import Subject

RUNS = 3


def node_seconds(subject: Subject, threads: int) -> dict[str, Any]:
    """Measure the nodes. `engine`: its name; `nodes`: name and seconds per batch, in order, the median of some runs."""
    model = subject.load()
    program, x = model.compile(batch=subject.batch, threads=threads), subject.images()
    runs = [program.profile(x) for _ in range(RUNS)]
    nodes = [{"node": name, "seconds": statistics.median(run[name] for run in runs)} for name in runs[0]]
    return {"engine": model.engine.name, "nodes": nodes}
