"""How fast does training go? Striate compared with torch, on this processor.

    python bench/train.py                     steps, then whole trainings: compare, measure, print, save
    python bench/train.py --steps             only steps (also --accuracy: only whole trainings)
    python bench/train.py --compile           torch.compile too, where it compiles in two minutes (--reference: it is;
                                              --no-compile: it is not)
    python bench/train.py --only lenet5       one network, or one recipe (digits, textures); it is not saved
    python bench/train.py --batch 256         another batch size, for every network (may be repeated); it is not saved
    python bench/train.py --threads 1 --rounds 25 --seeds 5
    python bench/train.py --minutes 60        begin no further network after an hour
    python bench/train.py --resume            go on with the run that was interrupted, or that ran out of minutes
    python bench/train.py --show FILE         a saved run as Markdown
    python bench/train.py --reference         keep this run as that of this kind of machine, which docs/benchmarks.md
                                              shows
    STRIATE_TARGET=avx2 python bench/train.py    on a processor with AVX-512: Striate and torch limited to AVX2

A step is forward, gradient of the loss, backward and SGD with momentum, on a batch that lies in memory, in float32. Its
loss and what it changes in every weight are compared with float64 first: a tool that is wrong is left out and named.
Memory is that of each tool's fresh process. A whole training ends when a share of the held-out images is right: same
network, first weights, batches, optimizer and schedule for every tool, several seeds, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import limited, record  # noqa: E402
from support.comparison import OURS, group_of  # noqa: E402
from support.runs import Run, installed, told  # noqa: E402
from support.schedule import case_s  # noqa: E402
from support.trainers import RECIPES  # noqa: E402
from support.training import UNCACHED, page, text  # noqa: E402

from striate.peers.contest import Result, environment  # noqa: E402
from striate.peers.subject import Subject  # noqa: E402
from striate.peers.tools import TOOLS, unable  # noqa: E402

BATCHES = {
    "lenet5": (64,), "cifar_resnet20": (64,), "resnet18 64x64x3": (32,), "mobilenet_v2 64x64x3": (32,),
    "resnet50": (8,),
}  # fmt: skip
PARTS = ("steps", "accuracy")
PASSES = 3
"""A step computes about three times the products of an inference."""
LIMIT_S = 1800
"""Of a whole training."""


def steps(run: Run, batches: Mapping[str, Sequence[int]], tools: Sequence[str]) -> None:
    """Networks side by side, and the memory of each tool."""
    for case, sizes in batches.items():
        model, _, size = case.partition(" ")
        for batch in sizes:
            for threads in run.saved["settings"]["threads"]:
                group = group_of(case, batch, threads)
                with tempfile.TemporaryDirectory() as folder:
                    subject = Subject(model, size, batch, folder, train=True)
                    run.compare(subject, group, tools, threads, lambda found, group=group: kept(found, group))


def expected(
    batches: Mapping[str, Sequence[int]], tools: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Every case of `steps` with its expected seconds, in order."""
    from striate.analysis import macs

    return {
        group_of(case, batch, threads): case_s(
            PASSES * macs(Subject(*case.split()).network()), batch, threads, tools, settings
        )
        for case, sizes in batches.items()
        for batch in sizes
        for threads in settings["threads"]
    }


def kept(found: Result, group: str) -> dict[str, list[dict[str, Any]]]:
    """What the tools' processes told besides times."""
    told = {tool: found.prepared[tool] for tool in found.rows}
    return {
        "memory": [
            {"case": group, "tool": tool} | {key: round(said[key], 1) for key in ("mib", "grown_mib")}
            for tool, said in told.items()
        ],
        "phases": [
            {"case": group, "tool": tool, "engine": said["engine"]}
            | {name: round(seconds, 7) for name, seconds in said["phases"].items()}
            for tool, said in told.items()
        ],
    }


def trainings(run: Run, recipes: Sequence[str], tools: Sequence[str]) -> None:
    """Every tool with every seed, in turns; Striate with the code that it has compiled before, and without."""
    settings = run.saved["settings"]
    rows = [(OURS, TOOLS[OURS].label), (OURS, UNCACHED), *((t, TOOLS[t].label) for t in tools if t != OURS)]
    for recipe in recipes:
        for threads in settings["threads"]:
            done = {(e["recipe"], e["threads"], e["seed"], e["name"]) for e in run.saved.get("accuracy", ())}
            failed = set()
            for seed in range(settings["seeds"]):
                for tool, name in rows if seed % 2 else reversed(rows):
                    if (recipe, threads, seed, name) in done or tool in failed:
                        continue
                    print(f"{recipe}, seed {seed}: {name}", file=sys.stderr)
                    try:
                        answer = training(tool, threads, recipe, seed, name == UNCACHED)
                    except RuntimeError as why:
                        told(f"left out: {why}")
                        failed.add(tool)
                        run.add((), left_out=[{"case": recipe, "tool": tool, "why": str(why)}])
                        continue
                    told(f"{100 * max(answer['accuracies']):.1f} % at best, {answer['seconds']:.1f} s")
                    known = {
                        "recipe": recipe,
                        "target": RECIPES[recipe].target,
                        "threads": threads,
                        "seed": seed,
                    }
                    run.add((), accuracy=[known | {"tool": tool, "name": name} | answer])


def training(tool: str, threads: int, recipe: str, seed: int, uncached: bool) -> dict[str, Any]:
    """One training in a process of its own. Raises RuntimeError with its last words."""
    if why := unable(tool):
        raise RuntimeError(why)
    asked = (
        sys.executable,
        "-W",
        "ignore",
        str(HERE / "support" / "trainers.py"),
        tool,
        str(threads),
        recipe,
    )
    with tempfile.TemporaryDirectory() as empty:
        env = environment(threads)
        if uncached:
            env["STRIATE_CACHE"] = empty
        elif tool == OURS and seed == 0:  # the code is there before the clock runs
            subprocess.run((*asked, "0", "0"), env=env, capture_output=True, timeout=LIMIT_S)
        try:
            said = subprocess.run(
                (*asked, str(seed), str(time.monotonic())),
                env=env,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not done within {LIMIT_S} s") from None
    if said.returncode:
        raise RuntimeError((said.stderr.strip().splitlines() or ["no answer"])[-1][:300])
    answer: dict[str, Any] = json.loads(said.stdout.strip().splitlines()[-1])
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in answer.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in (*PARTS, "compile", "no-compile", "resume", "reference"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--show", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if min(chosen.rounds, chosen.seeds, *(chosen.batch or (1,)), *(chosen.threads or (1,))) < 1:
        parser.error("rounds, seeds, threads and batches are 1 or more")
    chosen.compile = (chosen.compile or chosen.reference) and not chosen.no_compile
    asked = os.environ.get("STRIATE_TARGET")
    if chosen.reference and asked not in (None, "", record.kind(), limited.asked()):
        parser.error(f"other tools cannot be limited to {asked}: unset STRIATE_TARGET, or set it to avx2")
    return chosen


def main() -> None:
    chosen = arguments()
    if chosen.show:
        print(page(json.loads(chosen.show.read_text("utf-8"))))
        return
    wanted = [name.split()[0] for name in chosen.only or ()]
    batches = {
        net: chosen.batch or sizes for net, sizes in BATCHES.items() if not wanted or net.split()[0] in wanted
    }
    recipes = [name for name in RECIPES if not wanted or name in wanted]
    if (
        not batches and not recipes
    ):  # `make bench ARGS='--only …'` asks every benchmark, and means another one
        print(f"nothing to train: {', '.join([*BATCHES, *RECIPES])}", file=sys.stderr)
        return
    parts = [part for part in PARTS if getattr(chosen, part)] or list(PARTS)
    settings = {
        "parts": parts,
        "networks": list(batches),
        "recipes": recipes,
        "batches": chosen.batch,
        "threads": chosen.threads or [record.machine()["cores"]],
        "rounds": chosen.rounds,
        "seeds": chosen.seeds,
        "sample_s": 0.2,
        "compile": chosen.compile,
    }
    tools = [name for name, tool in TOOLS.items() if tool.trains and name != "numpy"]
    tools = installed([tool for tool in tools if chosen.compile or not TOOLS[tool].slow])
    if not chosen.compile:
        print(f"left out: {TOOLS['torch_compile'].label}: --compile asks for it", file=sys.stderr)
    results, reference = HERE / "results" / "train.json", HERE / "reference" / f"train-{record.kept()}.json"
    before = record.last(results, reference)
    run = Run(results.with_suffix(".begun.json"), settings, chosen.resume, "train")
    if limited.asked():
        run.unable(tools)
        tools = [tool for tool in tools if tool not in limited.UNABLE]
    if "steps" in parts:
        run.plan(expected(batches, tools, settings), chosen.minutes)
        steps(run, batches, tools)
    if "accuracy" in parts:
        trainings(run, recipes, tools)
    print(text(run.saved, before))
    if not (chosen.only or chosen.batch or chosen.threads) and parts == list(PARTS):
        record.save(results, run.saved)
    if chosen.reference:
        record.save(reference, run.saved)
    run.path.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted; --resume goes on with it", file=sys.stderr)
        sys.exit(130)
