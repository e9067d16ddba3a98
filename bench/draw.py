"""How long does a picture of a network take, and how large is its file? Striate beside torchview and visualtorch.

    python bench/draw.py                  draw everything once, measure, print, save, compare with the last run
    python bench/draw.py --rounds 25      more rounds
    python bench/draw.py --only scale     one part: process, warm or scale; it is not saved
    python bench/draw.py --show FILE      a saved run as Markdown
    python bench/draw.py --reference      keep this run as the one that docs/benchmarks.md prints (`make docs`)

`make bench` installs the peers into an environment of their own and runs it. A peer that is not installed is left
out and named; torchview needs Graphviz's `dot` too. Every whole run is saved in bench/results and compared with the
one before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import pictures, record  # noqa: E402
from support.pictures import NAMES  # noqa: E402

from striate.peers.timing import Server, Timing, measure, process  # noqa: E402

MODELS = ("resnet50", "googlenet")
PEERS = {  # tool -> the packages it needs, the programs it needs, how its file ends
    "torchview": (("torch", "torchvision", "torchview", "graphviz"), ("dot",), "svg"),
    "visualtorch_flow": (("torch", "torchvision", "visualtorch"), (), "png"),
    "visualtorch_graph": (("torch", "torchvision", "visualtorch"), (), "png"),
}
OURS = ("striate_graph", "striate_blocks")
NODES = (100, 300, 1_000, 3_000)
DRAWERS = str(HERE / "support" / "drawers.py")
PYTHON = sys.executable


def environment() -> dict[str, str]:
    """As most people have it: bytecode is cached, texts are plain."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {"NO_COLOR": "1", "COLUMNS": "80"}


def striate(*arguments: str) -> list[str]:
    """The installed command, or the module where there is none."""
    command = Path(PYTHON).with_name("striate")
    return [str(command), *arguments] if command.exists() else [PYTHON, "-m", "striate", *arguments]


def installed() -> list[str]:
    """The peers that can draw here; the others are named on standard error."""
    able = []
    for tool, (packages, programs, _) in PEERS.items():
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        missing += [program for program in programs if shutil.which(program) is None]
        if missing:
            print(f"left out: {tool}, not installed: {', '.join(missing)}", file=sys.stderr)
        else:
            able.append(tool)
    return able


def drawer(tool: str, model: str, file: Path) -> list[str]:
    return [PYTHON, "-W", "ignore", DRAWERS, tool, model, str(file)]


def file_of(tool: str, folder: Path) -> Path:
    return folder / f"{tool}.{PEERS[tool][2] if tool in PEERS else 'svg'}"


# ---------------------------------------------------------------- first the files
def sizes(peers: list[str], folder: Path) -> list[dict[str, object]]:
    """The bytes of each tool's file. Ends the run where a tool draws nothing."""
    rows: list[dict[str, object]] = []
    for model in MODELS:
        for tool in (*OURS, *peers):
            file = file_of(tool, folder)
            outcome = subprocess.run(
                drawer(tool, model, file), env=environment(), capture_output=True, text=True
            )
            if outcome.returncode or not file.stat().st_size:
                sys.exit(f"{tool} on {model}:\n{outcome.stderr[-2000:]}")
            rows.append({"model": model, "tool": tool, "form": file.suffix[1:], "bytes": file.stat().st_size})
    return rows


# ---------------------------------------------------------------- the rows
def whole_processes(peers: list[str], folder: Path, _servers: list[Server]) -> Iterator[Timing]:
    """From the shell's point of view: start, import, draw, write, end."""
    for model in MODELS:
        group = f"whole process, {model}"
        yield Timing(group, "striate show", process(striate("show", model), environment(), codes=(0, 1)))
        for kind in ("graph", "blocks"):
            file = str(folder / f"{kind}.svg")
            command = striate("draw", model, "--kind", kind, "-o", file)
            yield Timing(group, f"striate draw --kind {kind}", process(command, environment()))
        for tool in peers:
            yield Timing(
                group, NAMES[tool], process(drawer(tool, model, file_of(tool, folder)), environment())
            )


def warm(peers: list[str], folder: Path, servers: list[Server]) -> Iterator[Timing]:
    """In a process that has imported and prepared everything. Peers get a ready module; Striate builds its network."""
    for tool in (*OURS, *peers):
        server = started(tool, file_of(tool, folder), servers)
        for model in MODELS:
            yield Timing(f"warm process, {model}", NAMES[tool], server.go(model))


def graphs(_peers: list[str], folder: Path, servers: list[Server]) -> Iterator[Timing]:
    """Branched networks of growing size, built and drawn with every node in a box of its own."""
    for kind in ("graph", "blocks"):
        server = started(f"branched_{kind}", folder / f"branched_{kind}.svg", servers)
        for nodes in NODES:
            few = 3 if nodes >= 3_000 else 0
            yield Timing(
                "branched networks, warm process", f"{kind}, {nodes} nodes", server.go(str(nodes)), few
            )


def started(tool: str, file: Path, servers: list[Server]) -> Server:
    servers.append(Server(drawer(tool, "--serve", file), environment()))
    return servers[-1]


PARTS = {"process": whole_processes, "warm": warm, "scale": graphs}


def run(parts: list[str], rounds: int) -> dict[str, object]:
    """Draw once for the sizes, then measure. Each part is interleaved in itself, so that its rows can be compared."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    peers = installed()
    timings: list[Timing] = []
    with tempfile.TemporaryDirectory() as scratch:
        answers = sizes(peers, Path(scratch))
        for part in parts:
            print(part, file=sys.stderr)
            servers: list[Server] = []
            rows = list(PARTS[part](peers, Path(scratch), servers))
            try:
                measure(rows, rounds, warm_up=2 if part == "warm" else 1)
            finally:
                for server in servers:
                    server.close()
            groups = list(dict.fromkeys(row.group for row in rows))
            timings += sorted(rows, key=lambda row: groups.index(row.group))
    return record.document("draw", timings, answers, load)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--show", type=Path, metavar="FILE")
    parser.add_argument("--reference", action="store_true")
    arguments = parser.parse_args()
    if arguments.show:
        print(pictures.page(json.loads(arguments.show.read_text("utf-8"))))
        return
    results, reference = HERE / "results" / "draw.json", HERE / "reference" / "draw.json"
    before = record.last(results, reference)
    now = run(arguments.only or list(PARTS), arguments.rounds)
    print(record.text(now, before))
    print(f"\n{pictures.text(now)}")
    if not arguments.only:
        record.save(results, now)
    if arguments.reference:
        record.save(reference, now)


if __name__ == "__main__":
    main()
