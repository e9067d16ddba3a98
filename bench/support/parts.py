"""A benchmark in parts, each interleaved in itself: its processes, the peers that it finds, its command line."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import record

from striate.peers.timing import Server, Timing, measure

BENCH = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
Part = Callable[[list[str], Path, list[Server]], Iterator[Timing]]
"""Peers, a scratch folder and the servers to close -> the rows of a part."""


def environment(**more: str) -> dict[str, str]:
    """As most people have it: bytecode is cached, texts are plain."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {"NO_COLOR": "1", "COLUMNS": "80"} | more


def striate(*arguments: str) -> list[str]:
    """The installed command, or the module where there is none."""
    command = Path(PYTHON).with_name("striate")
    return [str(command), *arguments] if command.exists() else [PYTHON, "-m", "striate", *arguments]


def installed(packages: Mapping[str, Sequence[str]], programs: Mapping[str, Sequence[str]]) -> list[str]:
    """The tools that have their packages and programs; the others are named on standard error."""
    missing = {
        tool: [
            *(name for name in names if importlib.util.find_spec(name) is None),
            *(name for name in programs.get(tool, ()) if shutil.which(name) is None),
        ]
        for tool, names in packages.items()
    }
    for tool, names in missing.items():
        if names:
            print(f"left out: {tool}, not installed: {', '.join(names)}", file=sys.stderr)
    return [tool for tool, names in missing.items() if not names]


def timed(parts: Mapping[str, Part], peers: list[str], rounds: int) -> list[Timing]:
    """The rows of all parts, those of a group together."""
    timings: list[Timing] = []
    for name, part in parts.items():
        print(name, file=sys.stderr)
        servers: list[Server] = []
        with tempfile.TemporaryDirectory() as scratch:
            rows = list(part(peers, Path(scratch), servers))
            try:
                measure(rows, rounds, warm_up=2 if name == "warm" else 1)
            finally:
                for server in servers:
                    server.close()
        groups = list(dict.fromkeys(row.group for row in rows))
        timings += sorted(rows, key=lambda row: groups.index(row.group))
    return timings


def main(
    question: str,
    description: str | None,
    parts: Mapping[str, Part],
    peers: Callable[[], list[str]],
    answers: Callable[[list[str]], list[dict[str, object]]],
    page: Callable[[Mapping[str, Any]], str] = record.markdown,
    more: Callable[[Mapping[str, Any]], str] | None = None,
) -> None:
    """The command line of a benchmark: compare the answers, measure the parts, print, save.

    page: a saved run as Markdown; more: what a terminal is told below the rows.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=parts, action="append")
    parser.add_argument("--show", type=Path, metavar="FILE")
    parser.add_argument("--reference", action="store_true")
    chosen = parser.parse_args()
    if chosen.show:
        print(page(json.loads(chosen.show.read_text("utf-8"))))
        return
    results, reference = (BENCH / folder / f"{question}.json" for folder in ("results", "reference"))
    before = record.last(results, reference)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    found = peers()
    replies = answers(found)
    timings = timed({name: parts[name] for name in chosen.only or parts}, found, chosen.rounds)
    now = record.document(question, timings, replies, load)
    print(record.text(now, before))
    if more:
        print(f"\n{more(now)}")
    if not chosen.only:
        record.save(results, now)
    if chosen.reference:
        record.save(reference, now)
