"""What a run of `bench/inference.py` says: Striate compared with the best of the others, as text, Markdown and a
chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from support import limits, record

from striate.diagnostics import plural
from striate.peers.timing import Summary
from striate.peers.tools import TOOLS
from striate.views.text.number_format import digits

OURS = "striate"
KINDS = {"avx512": "a processor with AVX-512", "avx2": "a processor with AVX2 and without AVX-512"}
"""Kinds of machine that a saved run is wanted of: they choose other tiles, and the others are fast elsewhere, too."""
GATES = {  # network -> how many times faster than the best other tool, per batch size
    "resnet18": {1: 1.5, 8: 2.0},
    "vgg16": {1: 1.8, 8: 2.5},
    "resnet50": {1: 1.2, 8: 1.3},
    "mobilenet_v2": {1: 1.3, 8: 1.3},
    "lenet5": {1: 3.0, 8: 3.0},
    "cifar_resnet20": {1: 3.0, 8: 3.0},
}
ERROR, START_S = 1e-5, 0.3
"""Striate's other gates: difference from float64; a process with cached code up to its first result."""


def group_of(model: str, batch: int, threads: int) -> str:
    return f"{model}, batch {batch}, {plural(threads, 'thread')}"


def case_of(group: str) -> tuple[str, int, int]:
    """
    >>> case_of("resnet18, batch 8, 1 thread")
    ('resnet18', 8, 1)
    """
    model, batch, threads = group.rsplit(", ", 2)
    return model, int(batch.split()[1]), int(threads.split()[0])


def comparisons(run: Mapping[str, Any]) -> Iterator[list[str]]:
    """Per case: Striate's median, the best other tool, how many times faster Striate is, the gate, and if it is met."""
    groups: dict[str, dict[str, float]] = {}
    for row in run["rows"]:
        groups.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"]).median
    for group, rows in groups.items():
        mine = rows.pop(TOOLS[OURS].label, None)
        model, batch, threads = case_of(group)
        if mine is None or not rows or model.startswith(("process", "peak")):
            continue
        best = min(rows, key=lambda name: rows[name])
        ratio, gate = rows[best] / mine, GATES.get(model, {}).get(batch)
        speed = digits(2e-6 * run["macs"][model] * batch / mine)
        met = "" if gate is None else "yes" if ratio >= gate else "no"
        wanted = "" if gate is None else f"{gate:.1f}"
        yield [
            model,
            str(batch),
            str(threads),
            digits(mine),
            speed,
            best,
            digits(rows[best]),
            f"{ratio:.2f}",
            wanted,
            met,
        ]


TITLES = ["", "batch", "threads", "striate ms", "GFLOP/s", "best other", "ms", "ratio", "gate", "met"]


def verdict(run: Mapping[str, Any]) -> str:
    """In how many rows Striate is ahead, and how many gates it meets.

    >>> verdict({"rows": []})
    ''
    """
    lines = list(comparisons(run))
    if not lines:
        return ""
    ratios, gates = [float(line[-3]) for line in lines], [line[-1] for line in lines if line[-1]]
    ahead = sum(ratio >= 1 for ratio in ratios)
    met = f"; it meets {gates.count('yes')} of {len(gates)} gates" if gates else ""
    return (
        f"Striate is ahead of the best other tool in {ahead} of {plural(len(ratios), 'row')}: {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as fast{met}."
    )


def notes(run: Mapping[str, Any]) -> Iterator[str]:
    """Where Striate stands, limits of the machine, errors, and who was left out."""
    if said := verdict(run):
        yield said
    yield from map(limits.sentence, run["limits"])
    errors: dict[str, float] = {}
    for answer in run["answers"]:
        errors[answer["tool"]] = max(errors.get(answer["tool"], 0.0), answer["error"])
    if errors:
        shown = ", ".join(f"{TOOLS[tool].label} {error:.0e}" for tool, error in errors.items())
        yield f"Largest differences from float64: {shown} (Striate's gate: {ERROR:.0e})."
    warm = next(
        (row for row in run["rows"] if row["group"].startswith("process") and row["name"] == OURS), None
    )
    if warm:
        median = Summary.of(warm["seconds"]).median
        yield f"A process to its first result: {median:.0f} ms (gate: {1e3 * START_S:.0f})."
    reasons: dict[tuple[str, str], list[str]] = {}
    for entry in run["left_out"]:
        reasons.setdefault((entry["tool"], entry["why"]), []).append(entry["case"])
    for (tool, why), cases in reasons.items():
        yield f"Left out: {TOOLS[tool].label if tool in TOOLS else tool} in {'; '.join(cases)}: {why}"


def summary(run: Mapping[str, Any]) -> str:
    """The machine, what is to be said of the run, and Striate compared with the best other tool."""
    lines = list(comparisons(run))
    blocks = [record.heading(run), "\n".join(f"- {note}" for note in notes(run))]
    if lines:
        blocks.append(record.markdown_table(TITLES, *lines))
    return "\n\n".join(blocks)


def page(run: Mapping[str, Any]) -> str:
    """The same, and every row."""
    return "\n\n".join([summary(run), *record.markdown(run).split("\n\n")[1:]])


def text(run: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    lines = list(comparisons(run))
    blocks = [record.text(run, before), "\n".join(notes(run))]
    return "\n\n".join([*blocks, *([record.text_table([TITLES, *lines])] if lines else [])])


def by_kind(runs: Mapping[str, Mapping[str, Any]], show: Callable[[str, Mapping[str, Any]], str]) -> str:
    """Each kind of machine with its saved run, the newest first, and which kinds there is none of."""
    dated = sorted(
        (kind for kind in KINDS if kind in runs), key=lambda kind: runs[kind]["date"], reverse=True
    )
    blocks = []
    for kind in dated:
        date = runs[kind]["date"]
        older = (
            "" if kind == dated[0] or date == runs[dated[0]]["date"] else ", an older run than the one above"
        )
        blocks.append(f"**On {KINDS[kind]}** ({date}{older})\n\n{show(kind, runs[kind])}")
    for kind, machine in KINDS.items():
        if kind not in runs:
            blocks.append(
                f"**On {machine}** no run is saved, and the rows of other kinds say nothing about it."
            )
    return "\n\n".join(blocks)


def readme(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The networks of the saved runs on all threads, with the middle half of the rounds, and the machines."""

    def show(kind: str, run: Mapping[str, Any]) -> str:
        lines, threads = list(_lines(run)), max(run["settings"]["threads"])
        ahead = sum(float(line[-1]) >= 1 for line in lines)
        table = record.markdown_table(
            ["network", "batch", "Striate ms", "best other ms", "which", "times"], *lines
        )
        versions = ", ".join(
            f"{name} {version}" for name, version in run["versions"].items() if name in SHOWN
        )
        return (
            f"{table}\n\nAhead in {ahead} of {plural(len(lines), 'row')}. {record.heading(run).splitlines()[0]} "
            f"{plural(threads, 'thread')}, float32. {versions}.\n\n"
            f"![Times of the tools relative to Striate, network by network](docs/inference-{kind}.svg)"
        )

    return by_kind(runs, show)


def _lines(run: Mapping[str, Any]) -> Iterator[list[str]]:
    """Network, batch, Striate's time, the best other's, which that is, and how many times as fast Striate is."""
    threads = max(run["settings"]["threads"])
    for group, rows in _groups(run).items():
        mine = rows.pop(TOOLS[OURS].label, None)
        if mine is None or not rows or group.startswith(("process", "peak")) or case_of(group)[2] != threads:
            continue
        model, batch, _ = case_of(group)
        best = min(rows, key=lambda name: rows[name].median)
        times = [f"{digits(each.median)} ± {digits(each.spread / 2)}" for each in (mine, rows[best])]
        ratio = rows[best].median / mine.median
        yield [model, str(batch), times[0], times[1], best, f"{ratio:.2f}"]


SHOWN = ("torch", "onnxruntime", "openvino", "ncnn", "MNN")


def _groups(run: Mapping[str, Any]) -> dict[str, dict[str, Summary]]:
    found: dict[str, dict[str, Summary]] = {}
    for row in run["rows"]:
        found.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"])
    return found
