"""How many images per second does training take? Striate beside torch, on this processor.

    python bench/train.py                     compare the answers, measure, print, save, compare with the last run
    python bench/train.py --rounds 25         more rounds
    python bench/train.py --batch 256         another batch size, for every network (may be repeated); it is not saved
    python bench/train.py --threads 1         the same number for all tools; else one per core
    python bench/train.py --only lenet5       one network; it is not saved
    python bench/train.py --no-compile        without torch.compile, which takes minutes before it runs
    python bench/train.py --show FILE         a saved run as Markdown
    python bench/train.py --reference         keep this run as the one to compare with where no other is saved

A step is forward, gradient of the loss, backward and SGD with momentum, on a batch that lies in memory, in float32.
Outputs, gradients and the weights after one step are compared first, those of Striate's numpy engine in float64 and
the outputs of what is timed in float32: where they differ, nothing is timed.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import record  # noqa: E402
from support.training import OURS, TOOLS, agreement, page, verdicts  # noqa: E402

from striate.peers.timing import Row, Server, measure  # noqa: E402

BATCHES = {
    "lenet5": (64,), "cifar_resnet20": (64,), "resnet18 64x64x3": (32,), "mobilenet_v2 64x64x3": (32,),
    "resnet50": (8,),
}  # fmt: skip
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Largest difference from torch's tensor, as a share of that tensor's largest number."""
COMPILING_S = 400


def command(tool: str, threads: int, *more: str) -> list[str]:
    return [sys.executable, "-W", "ignore", str(HERE / "support" / "trainers.py"), tool, str(threads), *more]


def environment(threads: int) -> dict[str, str]:
    """The same number of threads for every library that a tool computes with."""
    return os.environ | {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}


def answered(tools: Sequence[str], cases: Sequence[str], threads: int, folder: str) -> Iterator[str]:
    """The tools that can run a step here; each has left its answers in the folder. Others are named."""
    for tool in tools:
        print(f"first step: {TOOLS[tool]}", file=sys.stderr)
        asked = command(tool, threads, "--answers", folder, *cases)
        try:
            said = subprocess.run(
                asked, env=environment(threads), capture_output=True, text=True, timeout=COMPILING_S
            )
            failed = said.stderr[-2000:] if said.returncode else ""
        except subprocess.TimeoutExpired:
            failed = f"no step within {COMPILING_S} s"
        if not failed:
            yield tool
        elif tool == "torch_compile":  # needs a C++ compiler and Python's headers
            print(f"left out: {TOOLS[tool]}: {failed.strip().splitlines()[-1]}", file=sys.stderr)
        else:
            sys.exit(f"{TOOLS[tool]}:\n{failed}")


def compare(tools: Sequence[str], cases: Sequence[str], folder: str) -> list[dict[str, Any]]:
    """The largest relative difference of Striate and torch per case and type. Ends the run where it is no rounding."""
    import numpy as np

    rows = []
    for case, tool, (dtype, tolerance) in itertools.product(cases, tools, TOLERANCE.items()):
        answers = Path(folder) / f"{tool} {case} {dtype}.npz"
        if not answers.exists():  # torch.compile in float64
            continue
        mine, theirs = np.load(Path(folder) / f"{OURS} {case} {dtype}.npz"), np.load(answers)
        unlike = set(mine.files) ^ set(theirs.files)
        if unlike and dtype == "float64":
            sys.exit(f"{case}: only one of striate and {tool} has {sorted(unlike)}; nothing was timed")
        asked = mine.files if dtype == "float64" else ["output"]  # why: trainers.FIRST_STEPS
        found = {name: difference(mine[name], theirs[name]) for name in asked}
        worst = max(found, key=lambda name: found[name])
        if not found[worst] <= tolerance:
            sys.exit(
                f"{case}, {dtype}: {worst} differs from {tool}'s by {found[worst]:.1e}; nothing was timed"
            )
        rows.append({"case": case, "tool": tool, "dtype": dtype, "worst": worst, "difference": found[worst]})
    return rows


def difference(mine: Any, theirs: Any) -> float:
    """Largest difference over the largest number; a tensor that is 0 but for rounding counts as 1e-9."""
    return float(abs(mine - theirs).max() / max(abs(theirs).max(), 1e-9))


def run(
    batches: Mapping[str, Sequence[int]], peers: Sequence[str], threads: int, rounds: int
) -> dict[str, Any]:
    """Compare the answers, then measure. The rows of a network and a batch size are interleaved."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cases = [f"{net} {batch}" for net, sizes in batches.items() for batch in sizes]
    has_torch = importlib.util.find_spec("torch") is not None
    if not has_torch:
        print("left out: torch, not installed", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        tools = list(answered([OURS, *(peers if has_torch else ())], cases, threads, folder))
        answers = compare([tool for tool in tools if tool != OURS], cases, folder)
    done: list[Row] = []
    servers = {tool: Server(command(tool, threads, "--serve"), environment(threads)) for tool in tools}
    try:
        for case in cases:
            net, batch = case.rsplit(" ", 1)
            group = f"{net}, batch {batch}, {threads} thread{'s' * (threads > 1)}"
            print(group, file=sys.stderr)
            rows = [Row(group, TOOLS[tool], servers[tool].go(case), images=int(batch)) for tool in tools]
            measure(rows, rounds, warm_up=2)
            done += rows
    finally:
        for server in servers.values():
            server.close()
    return record.document("train", done, answers, load)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = record.machine()["cores"]
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--only", action="append", metavar="NETWORK")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--show", type=Path, metavar="FILE")
    parser.add_argument("--reference", action="store_true")
    chosen = parser.parse_args()
    if min(chosen.rounds, chosen.threads, *(chosen.batch or ())) < 1:
        parser.error("rounds, threads and batches are 1 or more")
    if chosen.show:
        saved = json.loads(chosen.show.read_text("utf-8"))
        print(page(saved))
        return
    batches = {
        net: chosen.batch or sizes
        for net, sizes in BATCHES.items()
        if not chosen.only or net.split()[0] in chosen.only
    }
    if not batches:  # `make bench ARGS='--only …'` asks every benchmark, and means another one
        print(f"nothing to train; networks: {', '.join(BATCHES)}", file=sys.stderr)
        return
    results, reference = HERE / "results" / "train.json", HERE / "reference" / "train.json"
    before = record.last(results, reference)
    peers = [tool for tool in TOOLS if tool != OURS and not (chosen.no_compile and tool == "torch_compile")]
    now = run(batches, peers, chosen.threads, chosen.rounds)
    print("\n\n".join([record.text(now, before), agreement(now), "\n".join(verdicts(now))]))
    if not (chosen.only or chosen.batch):
        record.save(results, now)
    if chosen.reference:
        record.save(reference, now)


if __name__ == "__main__":
    main()
