"""A run of a benchmark that is written after every case, so that an interrupted one can go on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import limited, limits, record
from support.schedule import Schedule

from striate.peers.contest import Failed, Result, contest, once
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


COMPILE_LIMIT_S = 120
"""Seconds in which torch.compile must have compiled a case: it is left out of the others, and named there."""


class Run:
    """settings: threads (several numbers), rounds, sample_s and whatever else makes two runs alike.

    Where all tools are limited to narrower vectors (`limited`), only those take part that show in a case that they are.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], resume: bool, question: str = "inference"
    ) -> None:
        self.path = path
        self.schedule: Schedule | None = None
        if limited.asked():
            limited.limit()
            settings = {**settings, "limited": limited.asked()}
        begun = record.last(path) if resume else None
        if resume and (begun is None or begun["settings"] != dict(settings)):
            sys.exit(f"nothing to resume: {path} is {'missing' if begun is None else 'of other settings'}")
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.saved = begun or record.document(question, [], [], load) | {
            "settings": dict(settings),
            "limits": [limits.asked(threads) for threads in settings["threads"]],
            "levels": {},
            "left_out": [],
            "macs": {},
        }

    def plan(self, expected: Mapping[str, float], minutes: float = 0) -> None:
        """Say how long the cases take that the run does not have. minutes: after which no further one begins."""
        self.schedule = Schedule({case: s for case, s in expected.items() if not self.has(case)}, minutes)

    def partial(self) -> dict[str, Any]:
        """What is measured, and the names of the cases that are not."""
        assert self.schedule is not None
        return {**self.saved, "unmeasured": [case for case in self.schedule.left if not self.has(case)]}

    def unable(self, tools: Sequence[str]) -> None:
        """Name the tools that cannot be limited, once for the whole run."""
        for tool in (tool for tool in tools if tool in limited.UNABLE):
            entry = {"case": "every case", "tool": tool, "why": limited.UNABLE[tool]}
            told(f"left out: {TOOLS[tool].label}: {limited.UNABLE[tool]}")
            if entry not in self.saved["left_out"]:
                self.saved["left_out"].append(entry)

    def begins(self, group: str) -> bool:
        """Whether this case is still to be measured: then it is announced."""
        if self.has(group):
            return False
        if self.schedule:
            self.schedule.begin(group)
        else:
            print(group, file=sys.stderr)
        return True

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
        rounds: int | None = None,
    ) -> None:
        """The tools side by side on one subject, unless the run has it; more: what else is kept of it; rounds: other
        than the run's.
        """
        if not self.begins(group):
            return
        settings = self.saved["settings"]
        left_out, proofs = self._limited(subject, group, tools, threads) if limited.asked() else ([], [])
        tools = [tool for tool in tools if tool not in {entry["tool"] for entry in left_out}]
        try:
            found = contest(
                subject, tools, threads, rounds or settings["rounds"], seconds=settings["sample_s"],
                slow_s=COMPILE_LIMIT_S, steady=self._speed(threads), group=group, report=told, progress=counted,
            )  # fmt: skip
        except Failed as why:
            self.add((), left_out=[{"case": group, "tool": "all", "why": str(why)}])
            return
        for tool, why in found.left_out.items():
            told(f"left out: {TOOLS[tool].label}: {why}")
        again = sum(row.repeated for row in found.rows.values())
        if again:
            told(f"{again} samples taken again: the processors were slow")
        self.add(
            list(found.rows.values()),
            answers=[{"case": group, "tool": t, "error": error} for t, error in found.answers.items()],
            left_out=left_out
            + [{"case": group, "tool": tool, "why": why} for tool, why in found.left_out.items()],
            proofs=proofs,
            bounds=self._bound(subject, group, threads),
            **more(found),
        )

    def _speed(self, threads: int) -> float:
        """The multiply-adds of that many threads at the run's beginning, in GFLOP/s; 0 if they were not measured."""
        return max(
            (e.get("fma_gflops", 0.0) for e in self.saved["limits"] if e["threads"] == threads), default=0.0
        )

    def _bound(self, subject: Subject, group: str, threads: int) -> list[dict[str, Any]]:
        """The lower bound of Striate's plan, with the best limits of the machine that this run has seen so far."""
        levels = self.saved["levels"]
        try:
            for _ in range(1 if str(threads) in levels else 3):
                (found,) = once("limits", subject, threads)
                if not found:
                    return []
                levels[str(threads)] = best_of(levels.get(str(threads)), found)
            known = json.dumps(levels[str(threads)], separators=(",", ":"))
            (bound,) = once("striate", subject, threads, (f"bound {known}",))
        except Failed as why:
            told(f"no lower bound: {why}")
            return []
        return [{"case": group, **bound}] if bound else []

    def _limited(
        self, subject: Subject, group: str, tools: Sequence[str], threads: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The tools that do not show in this case that they are limited, and why; and what the others show.
        STRIATE_TARGET limits Striate's engines.
        """
        left_out, proofs = [], []
        for tool in tools:
            if TOOLS[tool].ours:
                continue
            try:
                proofs.append({"case": group, "tool": tool, **limited.prove(tool, subject, threads)})
            except Failed as why:
                told(f"left out: {TOOLS[tool].label}: {why}")
                left_out.append({"case": group, "tool": tool, "why": str(why)})
        return left_out, proofs


def best_of(known: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """The higher of two measurements, limit by limit: what slows a machine down is no property of it."""
    if known is None:
        return dict(now)
    read = [
        old | {"gb_s": max(old["gb_s"], new["gb_s"])}
        for old, new in zip(known["read"], now["read"], strict=True)
    ]
    return {"fma_gflops": max(known["fma_gflops"], now["fma_gflops"]), "read": read}
