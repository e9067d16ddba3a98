"""How long does inference take? Striate compared with PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN, on this processor.

    python bench/inference.py                    networks, then start and memory: compare, measure, print, save
    python bench/inference.py --layers           single layers instead (also --start, --memory: only those)
    python bench/inference.py --quick            three small networks, few rounds; it is not saved
    python bench/inference.py --only resnet18    these networks (may be repeated); it is not saved
    python bench/inference.py --batch 1 --threads 1 --rounds 25
    python bench/inference.py --short            all networks but U-Net, 5 rounds, no torch.compile, start or memory:
                                                 half an hour on two cores at rest; it is saved by --reference only
    python bench/inference.py --no-compile       without torch.compile, which takes minutes before it runs
    python bench/inference.py --resume           go on with the run that was interrupted
    python bench/inference.py --show [FILE]      a saved run as Markdown: by default the one of this kind of machine
    python bench/inference.py --reference        keep this run as that of this kind of machine (AVX-512, AVX2), which
                                                 README.md and docs/benchmarks.md show: `make reference` does both

Every tool gets the same network, weights, batch (in memory, float32) and threads, has a process of its own that is
stopped while another is timed, and is compared with float64 before anything is timed: a tool that is wrong is left out
and named. A row's time is the median over interleaved rounds, and a sample the median of repeated runs.
`make bench` installs the tools into an environment of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import record  # noqa: E402
from support.chart import svg  # noqa: E402
from support.comparison import OURS, group_of, page, text  # noqa: E402
from support.layers import layers  # noqa: E402
from support.runs import Run, counted, installed  # noqa: E402

from striate.peers.contest import environment, once, worker  # noqa: E402
from striate.peers.subject import Subject  # noqa: E402
from striate.peers.timing import Sample, Timing, measure, process  # noqa: E402
from striate.peers.tools import TOOLS  # noqa: E402
from striate.peers.worker import SAVED  # noqa: E402

NETWORKS = {
    **dict.fromkeys(("lenet5", "cifar_resnet20", "squeezenet1_1", "mobilenet_v2", "resnet18"), (1, 8)),
    **dict.fromkeys(("efficientnet_b0", "resnet50", "densenet121", "convnext_tiny", "vgg16"), (1, 8)),
    "unet": (1,),
}
QUICK = ("lenet5", "cifar_resnet20", "squeezenet1_1")
CHARTS = HERE.parent / "docs"
START = ("resnet18", 1)
MEMORY = ("resnet50", 8)
ONE_FILE = ("torch_channels_last", "torch_frozen", "torch_compile")
"""Left out of start and memory: they start as torch does, and later."""


def side_by_side(run: Run, cases: Sequence[tuple[str, int]], tools: Sequence[str]) -> None:
    """Networks or layers: per case one folder of converted files, then every number of threads."""
    from striate.analysis import macs

    settings = run.saved["settings"]
    for model, batch in cases:
        with tempfile.TemporaryDirectory() as folder:
            subject = Subject(model, batch=batch, folder=folder)
            run.saved["macs"][model] = macs(subject.network())
            for threads in settings["threads"]:
                run.compare(subject, group_of(model, batch, threads), tools, threads)


def prepared(folder: str, model: str, batch: int, tools: Sequence[str]) -> Subject:
    """The network saved as a model, and converted for every tool: nothing of that is timed."""
    once("save", Subject(model, folder=folder))
    subject = Subject(str(Path(folder) / SAVED), batch=batch, folder=folder)
    for kind in dict.fromkeys(TOOLS[tool].file for tool in tools if TOOLS[tool].file):
        once(f"convert-{kind}", subject)
    return subject


def starts(run: Run, tools: Sequence[str]) -> None:
    """Whole processes up to their first result, weights read from files; Striate's with and without cached code."""
    model, batch = START
    for threads in run.saved["settings"]["threads"]:
        group = group_of(f"process to first result of {model}", batch, threads)
        if run.has(group):
            continue
        print(group, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            subject = prepared(folder, model, batch, tools)
            rows = []
            for tool in tools:
                env = environment(threads) | {"XDG_CACHE_HOME": str(Path(folder) / "cache")}
                env.pop("PYTHONDONTWRITEBYTECODE", None)
                go = process(worker(tool, threads, subject, "first"), env)
                rows.append(Timing(group, TOOLS[tool].label, go))
                if tool == OURS:
                    rows.append(
                        Timing(
                            group, f"{OURS}, no code cached", uncached(folder, tool, threads, subject, env)
                        )
                    )
            measure(rows, max(run.saved["settings"]["rounds"] // 2, 3), progress=counted)
        run.add(rows)


def uncached(folder: str, tool: str, threads: int, subject: Subject, env: Mapping[str, str]) -> Any:
    """The same, each time with an empty place for compiled code."""

    def go() -> Sample:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            return process(worker(tool, threads, subject, "first"), dict(env) | {"XDG_CACHE_HOME": empty})()

    return go


def memory(run: Run, tools: Sequence[str]) -> None:
    """The most memory a process has while it loads the network, makes its program and runs it."""
    model, batch = MEMORY
    threads = run.saved["settings"]["threads"][-1]
    group = group_of(f"peak memory of {model}", batch, threads)
    if run.has(group):
        return
    print(group, file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        subject = prepared(folder, model, batch, tools)
        rows = [Timing(group, TOOLS[tool].label, loaded(tool, threads, subject)) for tool in tools]
        measure(rows, 3, warm_up=0, progress=counted)
    run.add(rows)


def loaded(tool: str, threads: int, subject: Subject) -> Any:
    def go() -> Sample:
        first, _, peak = once(tool, subject, threads, ("prepare", "time 0", "peak"))
        return Sample(first["seconds"], None, peak["mib"])

    return go


def reference(question: str) -> Path:
    """Where the run of this kind of machine is kept."""
    return HERE / "reference" / f"{question}-{record.kind()}.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in ("layers", "start", "memory", "quick", "short", "no-compile", "resume", "reference"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--only", action="append", metavar="NETWORK", choices=[*NETWORKS])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--show", type=Path, nargs="?", const=reference("inference"), metavar="FILE")
    chosen = parser.parse_args()
    if chosen.short:
        chosen.only = chosen.only or [name for name in NETWORKS if name != "unet"]
        chosen.rounds, chosen.no_compile = chosen.rounds or 5, True
    if chosen.reference and (asked := os.environ.get("STRIATE_TARGET")) not in (None, "", record.kind()):
        parser.error(f"a reference is what the processor can do: unset STRIATE_TARGET={asked}")
    if chosen.show and not chosen.show.is_file():
        parser.error(f"there is no run {chosen.show}")
    if min(chosen.rounds or 1, *(chosen.batch or (1,)), *(chosen.threads or (1,))) < 1:
        parser.error("rounds, threads and batches are 1 or more")
    return chosen


def main() -> None:
    chosen = arguments()
    if chosen.show:
        print(page(json.loads(chosen.show.read_text("utf-8"))))
        return
    names = chosen.only or (QUICK if chosen.quick else NETWORKS)
    cores = record.machine()["cores"]
    settings = {
        "parts": [part for part in ("layers", "start", "memory") if getattr(chosen, part)],
        "networks": list(names),
        "batches": chosen.batch,
        "threads": chosen.threads or sorted({1, min(2, cores)}),
        "rounds": chosen.rounds or (3 if chosen.quick else 15),
        "sample_s": 0.05 if chosen.quick else 0.2,
        "compile": not (chosen.no_compile or chosen.quick),
    }
    parts = settings["parts"] or ["networks", "start", "memory"]
    if chosen.only or chosen.quick:
        parts = settings["parts"] or ["networks"]
    tools = installed([tool for tool in TOOLS if tool != "numpy"])
    question = "layers" if parts == ["layers"] else "inference"
    results, kept = HERE / "results" / f"{question}.json", reference(question)
    before = record.last(results, kept)
    run = Run(results.with_suffix(".begun.json"), settings, chosen.resume)
    quick_to_start = [tool for tool in tools if tool not in ONE_FILE]
    if "networks" in parts:
        cases = [(name, batch) for name in names for batch in chosen.batch or NETWORKS[name]]
        side_by_side(run, cases, [t for t in tools if settings["compile"] or not TOOLS[t].slow])
    if "layers" in parts:
        side_by_side(run, [(layer, 1) for layer in layers()], [t for t in tools if not TOOLS[t].slow])
    if "start" in parts:
        starts(run, quick_to_start)
    if "memory" in parts:
        memory(run, quick_to_start)
    print(text(run.saved, before))
    filtered = chosen.only or chosen.quick or chosen.batch or chosen.threads
    if not filtered and parts in (["networks", "start", "memory"], ["layers"]):
        record.save(results, run.saved)
    if chosen.reference:
        record.save(kept, run.saved)
        if question == "inference":
            (CHARTS / f"{kept.stem}.svg").write_text(svg(run.saved), "utf-8")
    run.path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
