"""What a run of `bench/inference.py` says: Striate compared with the best of the others, as text, Markdown and a
chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from support import gates, limited, limits, record

from striate.diagnostics import plural
from striate.peers.timing import Summary
from striate.peers.tools import TOOLS
from striate.views.text.number_format import digits

OURS = "striate"
KINDS = {"avx512": "a processor with AVX-512", "avx2": "a processor with AVX2 and without AVX-512"}
"""Kinds of machine that a saved run is wanted of: they choose other tiles, and the others are fast elsewhere, too."""
STAND_INS = {
    "avx2": (
        "avx2-limited",
        "a processor with AVX-512, Striate and the other tools limited to AVX2; ONNX Runtime and ncnn cannot be "
        "and are left out (no run of a processor without AVX-512 is saved)",
    )
}
"""Kind of machine -> the kind of run that is shown where there is none of it, and what it is."""


def group_of(model: str, batch: int, threads: int) -> str:
    return f"{model}, batch {batch}, {plural(threads, 'thread')}"


def case_of(group: str) -> tuple[str, int, int]:
    """
    >>> case_of("resnet18, batch 8, 1 thread")
    ('resnet18', 8, 1)
    """
    model, batch, threads = group.rsplit(", ", 2)
    return model, int(batch.split()[1]), int(threads.split()[0])


def is_layer(model: str) -> bool:
    """Whether this is the notation of a single layer rather than the name of a network."""
    return "->" in model


def of_roofline(run: Mapping[str, Any]) -> dict[str, float]:
    """Case -> the lower bound of Striate's plan, in milliseconds."""
    return {entry["case"]: 1e3 * entry["seconds"] for entry in run.get("bounds", ())}


def share(bound: float | None, mine: float) -> str:
    """
    >>> share(9.0, 12.0), share(None, 12.0)
    ('75%', '')
    """
    return "" if bound is None else f"{bound / mine:.0%}"


def comparisons(run: Mapping[str, Any], layers: bool = False) -> Iterator[list[str]]:
    """Per network (or layer), batch and threads: Striate's median, the share of the lower bound in it, the best other
    tool, how many times faster Striate is, the gate, and if it is met.
    """
    bounds = of_roofline(run)
    groups: dict[str, dict[str, float]] = {}
    for row in run["rows"]:
        groups.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"]).median
    for group, rows in groups.items():
        mine = rows.pop(TOOLS[OURS].label, None)
        model, batch, threads = case_of(group)
        if mine is None or not rows or model.startswith(("process", "peak")) or is_layer(model) != layers:
            continue
        best = min(rows, key=lambda name: rows[name])
        ratio, gate = rows[best] / mine, gates.INFERENCE.get(model, {}).get(batch)
        speed = digits(2e-6 * run["macs"][model] * batch / mine)
        met = "" if gate is None else "yes" if ratio >= gate else "no"
        wanted = "" if gate is None else f"{gate:.1f}"
        yield [
            model,
            str(batch),
            str(threads),
            digits(mine),
            speed,
            share(bounds.get(group), mine),
            best,
            digits(rows[best]),
            f"{ratio:.2f}",
            wanted,
            met,
        ]


ROOFLINE = "of roofline"
TITLES = [
    *("", "batch", "threads", "striate ms", "GFLOP/s", ROOFLINE),
    *("best other", "ms", "ratio", "gate", "met"),
]


def table(run: Mapping[str, Any], layers: bool = False) -> list[list[str]]:
    """Titles and rows, without the columns that say nothing; empty if there are no rows."""
    lines = list(comparisons(run, layers))
    return without_empty([TITLES, *lines]) if lines else []


def without_empty(lines: list[list[str]]) -> list[list[str]]:
    """
    >>> without_empty([["", "ms", "gate"], ["a", "1", ""]])
    [['', 'ms'], ['a', '1']]
    """
    kept = [k for k in range(len(lines[0])) if any(line[k] for line in lines[1:])]
    return [[line[k] for k in kept] for line in lines]


def verdict(run: Mapping[str, Any], layers: bool = False) -> str:
    """In how many rows Striate is ahead, and how many gates it meets.

    >>> verdict({"rows": []})
    ''
    """
    lines = list(comparisons(run, layers))
    if not lines:
        return ""
    ratios, judged = [float(line[-3]) for line in lines], [line[-1] for line in lines if line[-1]]
    ahead = sum(ratio >= 1 for ratio in ratios)
    met = f"; it meets {judged.count('yes')} of {len(judged)} gates" if judged else ""
    return (
        f"{'On single layers ' * layers}Striate is ahead of the best other tool in {ahead} of "
        f"{plural(len(ratios), 'row')}: {min(ratios):.2f} to {max(ratios):.2f} times as fast{met}."
    )


def notes(run: Mapping[str, Any]) -> Iterator[str]:
    """Where Striate stands, limits of the machine, errors, and who was left out."""
    yield from filter(None, (verdict(run), verdict(run, layers=True)))
    if unmeasured := run.get("unmeasured"):
        yield f"The run's time was over before: {'; '.join(unmeasured)}."
    yield from limited.notes(run)
    yield from map(limits.sentence, run["limits"])
    if said := repetitions(run):
        yield said
    errors: dict[str, float] = {}
    for answer in run["answers"]:
        errors[answer["tool"]] = max(errors.get(answer["tool"], 0.0), answer["error"])
    if errors:
        shown = ", ".join(f"{TOOLS[tool].label} {error:.0e}" for tool, error in errors.items())
        yield f"Largest differences from float64: {shown} (Striate's gate: {gates.ERROR:.0e})."
    warm = next(
        (row for row in run["rows"] if row["group"].startswith("process") and row["name"] == OURS), None
    )
    if warm:
        median = Summary.of(warm["seconds"]).median
        yield f"A process to its first result: {median:.0f} ms (gate: {1e3 * gates.START_S:.0f})."
    reasons: dict[tuple[str, str], list[str]] = {}
    for entry in run["left_out"]:
        reasons.setdefault((entry["tool"], entry["why"]), []).append(entry["case"])
    for (tool, why), cases in reasons.items():
        yield f"Left out: {TOOLS[tool].label if tool in TOOLS else tool} in {_cases(cases, run)}: {why}"


def _cases(cases: Sequence[str], run: Mapping[str, Any]) -> str:
    """Names of cases, or that it is all of them."""
    every = {row["group"] for row in run["rows"] if not row["group"].startswith(("process", "peak"))}
    return f"all {len(every)} cases" if len(every) > 1 and every <= set(cases) else "; ".join(cases)


def repetitions(run: Mapping[str, Any]) -> str:
    """How many samples were taken again."""
    again = sum(row.get("repeated", 0) for row in run["rows"])
    samples = sum(len(row["seconds"]) for row in run["rows"])
    if not again:
        return ""
    return (
        f"{plural(again, 'sample')} taken again, in addition to the {samples} that are kept: the processors "
        "were below 90 % of their best speed."
    )


def summary(run: Mapping[str, Any]) -> str:
    """The machine, what is to be said of the run, and Striate compared with the best other tool."""
    blocks = [record.heading(run), "\n".join(f"- {note}" for note in notes(run))]
    for layers in (False, True):
        if lines := table(run, layers):
            blocks += ["**Single layers**"] * layers + [record.markdown_table(*lines)]
    return "\n\n".join(blocks)


def page(run: Mapping[str, Any]) -> str:
    """The same, and every row."""
    return "\n\n".join([summary(run), *record.markdown(run).split("\n\n")[1:]])


def text(run: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    blocks = [record.text(run, before), "\n".join(notes(run))]
    tables = [record.text_table(lines) for layers in (True, False) if (lines := table(run, layers))]
    return "\n\n".join([*blocks, *tables])


def by_kind(runs: Mapping[str, Mapping[str, Any]], show: Callable[[str, Mapping[str, Any]], str]) -> str:
    """Each kind of machine with its saved run, the newest first, and which kinds there is none of. A run of limited
    tools stands in for a kind of which there is none.
    """
    titles = {kind: title for kind, title in KINDS.items() if kind in runs}
    for kind, (instead, title) in STAND_INS.items():
        if kind not in runs and instead in runs:
            titles[instead] = title
    stood_in = {kind for kind, (instead, _) in STAND_INS.items() if instead in titles}
    dated = sorted(titles, key=lambda kind: runs[kind]["date"], reverse=True)
    blocks = []
    for kind in dated:
        date = runs[kind]["date"]
        older = (
            "" if kind == dated[0] or date == runs[dated[0]]["date"] else ", an older run than the one above"
        )
        blocks.append(f"**On {titles[kind]}** ({date}{older})\n\n{show(kind, runs[kind])}")
    for kind, machine in KINDS.items():
        if kind not in runs and kind not in stood_in:
            blocks.append(
                f"**On {machine}** no run is saved, and the rows of other kinds say nothing about it."
            )
    return "\n\n".join(blocks)


def readme(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The networks of the saved runs on all threads, with the middle half of the rounds, and the machines."""

    def show(kind: str, run: Mapping[str, Any]) -> str:
        lines, threads = list(_lines(run)), max(run["settings"]["threads"])
        ahead = sum(float(line[-1]) >= 1 for line in lines)
        titles = ["network", "batch", "Striate ms", ROOFLINE, "best other ms", "which", "times"]
        shown = record.markdown_table(*without_empty([titles, *lines]))
        versions = ", ".join(
            f"{name} {version}" for name, version in run["versions"].items() if name in SHOWN
        )
        return (
            f"{shown}\n\nAhead in {ahead} of {plural(len(lines), 'row')}. {record.heading(run).splitlines()[0]} "
            f"{plural(threads, 'thread')}, float32. {versions}.\n\n"
            f"![Times of the tools relative to Striate, network by network](docs/inference-{kind}.svg)"
        )

    return by_kind(runs, show)


def _lines(run: Mapping[str, Any]) -> Iterator[list[str]]:
    """Network, batch, Striate's time, the lower bound's share of it, the best other's, which that is, and how many
    times as fast Striate is.
    """
    threads, bounds = max(run["settings"]["threads"]), of_roofline(run)
    for group, rows in _groups(run).items():
        mine = rows.pop(TOOLS[OURS].label, None)
        model, batch, count = case_of(group)
        if mine is None or not rows or group.startswith(("process", "peak")) or is_layer(model):
            continue
        if count != threads:
            continue
        best = min(rows, key=lambda name: rows[name].median)
        times = [f"{digits(each.median)} ± {digits(each.spread / 2)}" for each in (mine, rows[best])]
        ratio = rows[best].median / mine.median
        bound = share(bounds.get(group), mine.median)
        yield [model, str(batch), times[0], bound, times[1], best, f"{ratio:.2f}"]


SHOWN = ("torch", "onnxruntime", "openvino", "ncnn", "MNN")


def _groups(run: Mapping[str, Any]) -> dict[str, dict[str, Summary]]:
    found: dict[str, dict[str, Summary]] = {}
    for row in run["rows"]:
        found.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"])
    return found
