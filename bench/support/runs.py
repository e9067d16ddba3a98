"""A run of a benchmark that is written after every case, so that an interrupted one can go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import limits, record

from striate.peers.contest import Failed, Result, contest
from striate.peers.subject import Subject
from striate.peers.timing import Timing
from striate.peers.tools import TOOLS, missing


def told(text: str) -> None:
    print(f"  {text}", file=sys.stderr)


def counted(done: int, total: int) -> None:
    if done == total:
        told(f"{total} rounds")


def installed(tools: Sequence[str]) -> list[str]:
    """Those that are; the others are named."""
    for tool in tools:
        if lacks := missing(tool):
            print(f"left out: {TOOLS[tool].label}, not installed: {', '.join(lacks)}", file=sys.stderr)
    return [tool for tool in tools if not missing(tool)]


class Run:
    """settings: threads (several numbers), rounds, sample_s and whatever else makes two runs alike."""

    def __init__(
        self, path: Path, settings: Mapping[str, Any], resume: bool, question: str = "inference"
    ) -> None:
        self.path = path
        begun = record.last(path) if resume else None
        if resume and (begun is None or begun["settings"] != dict(settings)):
            sys.exit(f"nothing to resume: {path} is {'missing' if begun is None else 'of other settings'}")
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.saved = begun or record.document(question, [], [], load) | {
            "settings": dict(settings),
            "limits": [limits.asked(threads) for threads in settings["threads"]],
            "left_out": [],
            "macs": {},
        }

    def has(self, group: str) -> bool:
        return any(row["group"] == group for row in self.saved["rows"])

    def add(self, rows: Sequence[Timing], **more: Sequence[Any]) -> None:
        self.saved["rows"] += [row.record() for row in rows if row.samples]
        for key, entries in more.items():
            self.saved.setdefault(key, []).extend(entries)
        record.save(self.path, self.saved)

    def compare(
        self,
        subject: Subject,
        group: str,
        tools: Sequence[str],
        threads: int,
        more: Callable[[Result], Mapping[str, Sequence[Any]]] = lambda found: {},
    ) -> None:
        """The tools side by side on one subject, unless the run has it; more: what else is kept of it."""
        if self.has(group):
            return
        print(group, file=sys.stderr)
        settings = self.saved["settings"]
        try:
            found = contest(subject, tools, threads, settings["rounds"], seconds=settings["sample_s"],
                            group=group, report=told, progress=counted)  # fmt: skip
        except Failed as why:
            self.add((), left_out=[{"case": group, "tool": "all", "why": str(why)}])
            return
        for tool, why in found.left_out.items():
            told(f"left out: {TOOLS[tool].label}: {why}")
        self.add(
            list(found.rows.values()),
            answers=[{"case": group, "tool": t, "error": error} for t, error in found.answers.items()],
            left_out=[{"case": group, "tool": tool, "why": why} for tool, why in found.left_out.items()],
            **more(found),
        )
