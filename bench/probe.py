"""How long does a population of the Hubel & Wiesel experiment take? `striate probe --population` beside torch.

    python bench/probe.py                  compare the answers, measure, print, save, compare with the last run
    python bench/probe.py --rounds 25      more rounds
    python bench/probe.py --only warm      one part: process or warm; it is not saved
    python bench/probe.py --show FILE      a saved run as Markdown

The networks are those of `bench/train.py`, LeNet-5 on digits and a small network on textures, each beside three
untrained networks and three with shuffled weights. torch runs the same loop over the same stimuli, drawn once, with all
nodes in one pass. Every whole run is saved in bench/results and compared with the one before.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import parts  # noqa: E402
from support.parts import PYTHON, environment  # noqa: E402

from striate.peers.timing import Server, Timing, process  # noqa: E402

RECIPES = ("digits", "textures")
PEERS = {"torch": (("torch",), ())}
PROBERS = str(HERE / "support" / "probers.py")
NAMES = {"striate": "striate probe --population", "torch": "the same loop in torch"}
TOLERANCE = 5e-3
"""Of a median circular variance: torch adds in another order, and a tie of two frequencies may fall otherwise."""


def installed() -> list[str]:
    return parts.installed(
        {tool: p for tool, (p, _) in PEERS.items()}, {tool: p for tool, (_, p) in PEERS.items()}
    )


def answers(peers: list[str]) -> list[dict[str, object]]:
    """Median circular variances by node. Ends the run where two tools disagree."""
    rows: list[dict[str, object]] = []
    for recipe in RECIPES:
        found = {}
        for tool in ("striate", *peers):
            command = [PYTHON, "-W", "ignore", PROBERS, tool, recipe]
            outcome = subprocess.run(command, env=environment(), capture_output=True, text=True)
            if outcome.returncode:
                sys.exit(f"{tool} on {recipe}:\n{outcome.stderr[-2000:]}")
            found[tool] = json.loads(outcome.stdout)
            rows.append({"recipe": recipe, "tool": tool, "median_cv": found[tool]})
        for tool, (value, median) in itertools.product(peers, found["striate"].items()):
            if not math.isclose(found[tool][value], median, abs_tol=TOLERANCE):
                sys.exit(f"{recipe}, {value}: median CV {median} of striate, {found[tool][value]} of {tool}")
    return rows


def whole_processes(peers: list[str], _folder: Path, _servers: list[Server]) -> Iterator[Timing]:
    """From the shell's point of view: start, import, measure, print, end."""
    for recipe, tool in itertools.product(RECIPES, ("striate", *peers)):
        go = process([PYTHON, "-W", "ignore", PROBERS, tool, recipe], environment())
        yield Timing(f"whole process, {recipe}", NAMES[tool], go)


def warm(peers: list[str], _folder: Path, servers: list[Server]) -> Iterator[Timing]:
    """In a process that has imported everything and has run it before."""
    for tool in ("striate", *peers):
        servers.append(Server([PYTHON, "-W", "ignore", PROBERS, tool, "--serve"], environment()))
        for recipe in RECIPES:
            yield Timing(f"warm process, {recipe}", NAMES[tool], servers[-1].go(recipe))


PARTS = {"process": whole_processes, "warm": warm}


if __name__ == "__main__":
    parts.main("probe", __doc__, PARTS, installed, answers)
