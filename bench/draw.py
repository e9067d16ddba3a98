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

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import parts, pictures  # noqa: E402
from support.parts import PYTHON, environment, striate  # noqa: E402
from support.pictures import NAMES  # noqa: E402

from striate.peers.timing import Server, Timing, process  # noqa: E402

MODELS = ("resnet50", "googlenet")
PEERS = {  # tool -> the packages it needs, the programs it needs, how its file ends
    "torchview": (("torch", "torchvision", "torchview", "graphviz"), ("dot",), "svg"),
    "visualtorch_flow": (("torch", "torchvision", "visualtorch"), (), "png"),
    "visualtorch_graph": (("torch", "torchvision", "visualtorch"), (), "png"),
}
OURS = ("striate_graph", "striate_blocks")
NODES = (100, 300, 1_000, 3_000)
DRAWERS = str(HERE / "support" / "drawers.py")


def installed() -> list[str]:
    """The peers that can draw here."""
    return parts.installed(
        {tool: packages for tool, (packages, _, _) in PEERS.items()},
        {tool: programs for tool, (_, programs, _) in PEERS.items()},
    )


def drawer(tool: str, model: str, file: Path) -> list[str]:
    return [PYTHON, "-W", "ignore", DRAWERS, tool, model, str(file)]


def file_of(tool: str, folder: Path) -> Path:
    return folder / f"{tool}.{PEERS[tool][2] if tool in PEERS else 'svg'}"


# ---------------------------------------------------------------- first the files
def sizes(peers: list[str]) -> list[dict[str, object]]:
    """The bytes of each tool's file. Ends the run where a tool draws nothing."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model, tool in itertools.product(MODELS, (*OURS, *peers)):
            file = file_of(tool, Path(folder))
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


if __name__ == "__main__":
    parts.main("draw", __doc__, PARTS, installed, sizes, pictures.page, pictures.text)
