"""How long does it take to be told about a network? Striate compared with torchinfo, fvcore, PyTorch's counter and
ONNX.

    python bench/analysis.py                  compare the answers, measure, print, save, compare with the last run
    python bench/analysis.py --rounds 25      more rounds
    python bench/analysis.py --only scale     one part: process, warm, scale or large; it is not saved
    python bench/analysis.py --show FILE      a saved run as Markdown
    python bench/analysis.py --reference      keep this run as the one that docs/benchmarks.md prints (`make docs`)

`make bench` installs the peers into an environment of their own and runs it. A peer that is not installed is left
out and named. Every whole run is saved in bench/results and compared with the one before.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import parts  # noqa: E402
from support.parts import PYTHON, environment, striate  # noqa: E402

from striate.peers.timing import Server, Timing, process  # noqa: E402

MODELS = ("resnet50", "densenet121")
PEERS = {  # tool -> (the packages it needs, what its row is called)
    "torchvision": (("torch", "torchvision"), "torch + torchvision, module only"),
    "torchinfo": (("torch", "torchvision", "torchinfo"), "torchinfo (meta)"),
    "flop_counter": (("torch", "torchvision"), "torch FlopCounterMode (meta)"),
    "fvcore": (("torch", "torchvision", "fvcore"), "fvcore (CPU)"),
    "onnx": (("onnx",), "onnx shape inference"),
}
WARM = {
    "striate_show": "striate, all facts",
    "striate_show_again": "striate, all facts, seen before",
    "striate_check": "striate check",
}
LENGTHS = (10, 100, 1_000, 10_000)
QUESTIONS = ("build", "analyze", "check", "sizes", "pixels")
LARGE = {  # command -> networks that it is asked about at both sizes
    "show": "resnet50",
    "check": "resnet50",
    "sizes": "resnet50",
    "pixels": "vgg16",
}
TOOLS = str(HERE / "support" / "tools.py")


def installed() -> list[str]:
    """The peers that can be asked."""
    return parts.installed({tool: packages for tool, (packages, _) in PEERS.items()}, {})


# ---------------------------------------------------------------- first the answers
def answer(tool: str, model: str) -> dict[str, int]:
    asked = [PYTHON, "-W", "ignore", TOOLS, tool, model]
    said = subprocess.run(asked, env=environment(), capture_output=True, text=True)
    if said.returncode:
        sys.exit(f"{tool} on {model}:\n{said.stderr[-2000:]}")
    return dict(json.loads(said.stdout.splitlines()[-1]))


def compare(peers: list[str]) -> list[dict[str, object]]:
    """What every tool says of every model. Ends the run where Striate's count under its convention is another."""
    rows: list[dict[str, object]] = []
    for model in MODELS:
        wanted = answer("expected", model)
        for tool in ("striate_show", *peers):
            said = answer("onnx_products" if tool == "onnx" else tool, model)
            for quantity, value in said.items():
                right = wanted["params" if quantity == "params" else tool]
                if value != right:
                    sys.exit(f"{model}: {tool} says {value} {quantity}, expected {right}; nothing was timed")
            rows.append({"model": model, "tool": tool, **said})
    return rows


# ---------------------------------------------------------------- the rows
def whole_processes(peers: list[str], scratch: Path, _servers: list[Server]) -> Iterator[Timing]:
    """From the shell's point of view: start, import, answer, end."""
    env = environment()
    floor = "floor of this machine"
    yield Timing(floor, "python -c pass", process([PYTHON, "-c", "pass"], env))
    yield Timing(floor, "python -c 'import striate'", process([PYTHON, "-c", "import striate"], env))
    yield Timing(floor, "striate --version", process(striate("--version"), env))
    for model in MODELS:
        group = f"whole process, {model}"
        for command in ("show", "check"):
            yield Timing(group, f"striate {command}", process(striate(command, model), env, codes=(0, 1)))
        yield Timing(
            group,
            "striate check, bytecode not cached",
            process([PYTHON, "-m", "striate", "check", model], uncached(scratch), codes=(0, 1)),
        )
        for tool in peers:
            yield Timing(group, PEERS[tool][1], process([PYTHON, "-W", "ignore", TOOLS, tool, model], env))


def uncached(scratch: Path) -> dict[str, str]:
    """Striate's source without its bytecode, as on the first run or where writing bytecode is switched off."""
    spec = importlib.util.find_spec("striate")
    assert spec and spec.origin
    copy = scratch / "striate"
    if not copy.exists():
        shutil.copytree(Path(spec.origin).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return environment(PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(scratch))


def warm(peers: list[str], _scratch: Path, servers: list[Server]) -> Iterator[Timing]:
    """In a process that has imported and prepared everything. Peers get a ready module; Striate builds its network."""
    for tool in (*WARM, *(peer for peer in peers if peer != "torchvision")):
        server = started(tool, servers)
        for model in MODELS:
            yield Timing(f"warm process, {model}", WARM.get(tool) or PEERS[tool][1], server.go(model))


def chains(_peers: list[str], _scratch: Path, servers: list[Server]) -> Iterator[Timing]:
    """Networks of growing length: each row builds the chain, and then asks one question about it."""
    for question in QUESTIONS:
        server = started(f"chain_{question}", servers)
        for length in LENGTHS:
            name = f"{length} nodes: build" + ("" if question == "build" else f" + {question}")
            few = 3 if length >= 10_000 else 0
            yield Timing("chains of nodes, warm process", name, server.go(str(length)), rounds=few)


def large(_peers: list[str], _scratch: Path, _servers: list[Server]) -> Iterator[Timing]:
    """The same network on a photograph and on an image of 10 gigapixels: whole processes, with their memory."""
    for command, model in LARGE.items():
        for size in ("224x224x3", "100000x100000x3"):
            asked = striate(command, model, "--input", size)
            name = f"striate {command} {model} --input {size}"
            yield Timing("large input, whole process", name, process(asked, environment(), codes=(0, 1)))


def started(tool: str, servers: list[Server]) -> Server:
    servers.append(Server([PYTHON, "-W", "ignore", TOOLS, tool, "--serve"], environment()))
    return servers[-1]


PARTS = {"process": whole_processes, "warm": warm, "scale": chains, "large": large}


if __name__ == "__main__":
    parts.main("analysis", __doc__, PARTS, installed, compare)
