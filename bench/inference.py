"""How long does inference take? Striate compared with PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN, on this processor.

    python bench/inference.py                    networks, then start and memory: compare, measure, print, save
    python bench/inference.py --layers           single layers instead (also --networks, --start, --memory: only those)
    python bench/inference.py --quick            three small networks, few rounds; it is not saved
    python bench/inference.py --only resnet18    these networks (may be repeated); it is not saved
    python bench/inference.py --batch 1 --threads 1 --rounds 25
    python bench/inference.py --short            all networks, 5 rounds, no torch.compile, layers, start or memory: some
                                                 40 minutes on two cores at rest; it is saved by --reference only
    python bench/inference.py --no-compile       without torch.compile; it takes part where it compiles in two minutes
    python bench/inference.py --minutes 60       begin no further case after an hour; --reference then keeps the cases
                                                 that are measured, and says which are not
    python bench/inference.py --resume           go on with the run that was interrupted, or that ran out of minutes
    python bench/inference.py --show [FILE]      a saved run as Markdown: by default the one of this kind of machine
    python bench/inference.py --reference        networks, layers, start and memory; keep this run as that of this kind
                                                 of machine (AVX-512, AVX2), which README.md and docs/benchmarks.md
                                                 show: `make reference` does both
    STRIATE_TARGET=avx2 python bench/inference.py    on a processor with AVX-512: Striate and every tool that can be are
                                                 limited to AVX2, and show it; the others are left out

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

from support import limited, record  # noqa: E402
from support.chart import svg  # noqa: E402
from support.comparison import OURS, group_of, page, text  # noqa: E402
from support.layers import layers  # noqa: E402
from support.runs import Run, counted, installed  # noqa: E402
from support.schedule import PREPARE_S, TimeIsOver, case_s  # noqa: E402

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
PARTS = ("networks", "layers", "start", "memory")
LAYER_ROUNDS = 5
USUAL = [part for part in PARTS if part != "layers"]
ONE_FILE = ("torch_channels_last", "torch_frozen", "torch_compile")
"""Left out of start and memory: they start as torch does, and later."""


def of_part(part: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a part: there are many layers, so they have all threads and few rounds."""
    if part != "layers":
        return dict(settings)
    return {**settings, "threads": settings["threads"][-1:], "rounds": min(settings["rounds"], LAYER_ROUNDS)}


def start_group(threads: int) -> str:
    model, batch = START
    return group_of(f"process to first result of {model}", batch, threads)


def memory_group(threads: int) -> str:
    model, batch = MEMORY
    return group_of(f"peak memory of {model}", batch, threads)


def expected(
    parts: Mapping[str, Sequence[tuple[str, int]]],
    tools: Mapping[str, Sequence[str]],
    settings: Mapping[str, Any],
) -> dict[str, float]:
    """Every case with its expected seconds, in order. parts, tools: the cases and tools of each part."""
    import striate as st
    from striate.analysis import macs

    found: dict[str, float] = {}
    for part in (part for part in ("networks", "layers") if part in parts):
        for model, batch in parts[part]:
            count = macs(st.load(model))
            for threads in of_part(part, settings)["threads"]:
                group = group_of(model, batch, threads)
                found[group] = case_s(count, batch, threads, tools[part], of_part(part, settings))
    samples = max(settings["rounds"] // 2, 3) + 1
    if "start" in parts:
        found |= {start_group(n): PREPARE_S * samples * len(tools["start"]) for n in settings["threads"]}
    if "memory" in parts:
        found[memory_group(settings["threads"][-1])] = 3 * PREPARE_S * len(tools["memory"])
    return found


def side_by_side(run: Run, part: str, cases: Sequence[tuple[str, int]], tools: Sequence[str]) -> None:
    """Networks or layers: per case one folder of converted files, then every number of threads."""
    from striate.analysis import macs

    settings = of_part(part, run.saved["settings"])
    for model, batch in cases:
        with tempfile.TemporaryDirectory() as folder:
            subject = Subject(model, batch=batch, folder=folder)
            run.saved["macs"][model] = macs(subject.network())
            for threads in settings["threads"]:
                group = group_of(model, batch, threads)
                run.compare(subject, group, tools, threads, rounds=settings["rounds"])


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
        group = start_group(threads)
        if not run.begins(group):
            continue
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
    group = memory_group(threads)
    if not run.begins(group):
        return
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
    return HERE / "reference" / f"{question}-{record.kept()}.json"


def keep(path: Path, saved: Mapping[str, Any]) -> None:
    """Save the run of this kind of machine, with the chart of README.md."""
    record.save(path, saved)
    if path.name.startswith("inference"):
        (CHARTS / f"{path.stem}.svg").write_text(svg(saved), "utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in (*PARTS, "quick", "short", "no-compile", "resume", "reference"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--only", action="append", metavar="NETWORK", choices=[*NETWORKS])
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--show", type=Path, nargs="?", const=reference("inference"), metavar="FILE")
    chosen = parser.parse_args()
    if chosen.short:
        chosen.networks = True
        chosen.rounds, chosen.no_compile = chosen.rounds or 5, True
    asked = os.environ.get("STRIATE_TARGET")
    if chosen.reference and asked not in (None, "", record.kind(), limited.asked()):
        parser.error(f"other tools cannot be limited to {asked}: unset STRIATE_TARGET, or set it to avx2")
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
    usual = ["networks"] if chosen.only or chosen.quick else [*PARTS] if chosen.reference else USUAL
    parts = [part for part in PARTS if getattr(chosen, part)] or usual
    settings = {
        "parts": parts,
        "networks": list(names),
        "batches": chosen.batch,
        "threads": chosen.threads or sorted({1, min(2, cores)}),
        "rounds": chosen.rounds or (3 if chosen.quick else 15),
        "sample_s": 0.05 if chosen.quick else 0.2,
        "compile": not (chosen.no_compile or chosen.quick),
    }
    tools = installed([tool for tool in TOOLS if tool != "numpy"])
    question = "layers" if parts == ["layers"] else "inference"
    results, kept = HERE / "results" / f"{question}.json", reference(question)
    before = record.last(results, kept)
    run = Run(results.with_suffix(".begun.json"), settings, chosen.resume)
    tools_of = {
        "networks": [tool for tool in tools if settings["compile"] or not TOOLS[tool].slow],
        "layers": [tool for tool in tools if not TOOLS[tool].slow],
        **{part: [tool for tool in tools if tool not in ONE_FILE] for part in ("start", "memory")},
    }
    if limited.asked():
        run.unable(tools)
        tools_of = {part: [t for t in each if t not in limited.UNABLE] for part, each in tools_of.items()}
    all_cases = {
        "networks": [(name, batch) for name in names for batch in chosen.batch or NETWORKS[name]],
        "layers": [(layer, 1) for layer in layers()],
        "start": [START],
        "memory": [MEMORY],
    }
    cases = {part: all_cases[part] for part in parts}
    run.plan(expected(cases, tools_of, settings), chosen.minutes)
    try:
        for part in parts:
            if part in ("networks", "layers"):
                side_by_side(run, part, cases[part], tools_of[part])
            else:
                {"start": starts, "memory": memory}[part](run, tools_of[part])
    except TimeIsOver:
        if chosen.reference:
            keep(kept, run.partial())
        raise
    print(text(run.saved, before))
    filtered = chosen.only or chosen.quick or chosen.batch or chosen.threads
    if not filtered and parts in (USUAL, [*PARTS], ["layers"]):
        record.save(results, run.saved)
    if chosen.reference:
        keep(kept, run.saved)
    run.path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
