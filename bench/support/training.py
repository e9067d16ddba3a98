"""A saved run of training steps as text: tables, how far the answers differ, who is ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from support import record

from striate.peers.timing import Summary

OURS = "striate"
TOOLS = {
    OURS: "striate",
    "torch_eager": "torch, eager",
    "torch_channels_last": "torch, eager, channels_last",
    "torch_compile": "torch.compile",
}


def verdicts(now: Mapping[str, Any]) -> Iterator[str]:
    """One sentence per group: how far Striate is from torch at its fastest."""
    groups: dict[str, dict[str, Summary]] = {}
    for row in now["rows"]:
        groups.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"])
    for group, rows in groups.items():
        mine = rows.pop(TOOLS[OURS])
        if rows:
            best = min(rows, key=lambda name: rows[name].median)
            times = mine.median / rows[best].median
            told = f"{times:.1f} times slower than" if times >= 1 else f"{1 / times:.1f} times faster than"
            if mine.overlaps(rows[best]):
                told = "within the spread of"
            yield f"{group}: striate is {told} {best}."


def agreement(now: Mapping[str, Any]) -> str:
    """What was compared before, in a sentence."""
    if not now["answers"]:
        return "Nothing to compare with: torch is not installed."
    worst = {
        dtype: max(row["difference"] for row in now["answers"] if row["dtype"] == dtype)
        for dtype in sorted({row["dtype"] for row in now["answers"]})
    }
    told = {
        "float32": "outputs in float32",
        "float64": "outputs, gradients and the weights after a step in float64",
    }
    return (
        "Largest relative difference from torch: "
        + "; ".join(f"{told[dtype]} {value:.1e}" for dtype, value in worst.items())
        + "."
    )


def page(saved: Mapping[str, Any]) -> str:
    """As Markdown."""
    return "\n\n".join(
        [record.markdown(saved), agreement(saved), "\n".join(f"- {told}" for told in verdicts(saved))]
    )
