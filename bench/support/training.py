"""A saved run of `bench/train.py` as text: steps, memory, time to an accuracy, and who is ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support import gates, limited, limits, record
from support.comparison import OURS, ROOFLINE, case_of, of_roofline, repetitions, share, without_empty
from support.trainers import RECIPES

from striate.diagnostics import plural
from striate.peers.timing import Summary
from striate.peers.tools import TOOLS
from striate.views.text.number_format import digits

UNCACHED = f"{OURS}, no code cached"

Lines = list[list[str]]


def steps(run: Mapping[str, Any]) -> Lines:
    """Per network: Striate's median, the share of the lower bound of its plan, the best other tool, how many times
    faster Striate is, gate, and if it is met.
    """
    bounds = of_roofline(run)
    groups: dict[str, dict[str, Summary]] = {}
    for row in run["rows"]:
        groups.setdefault(row["group"], {})[row["name"]] = Summary.of(row["seconds"])
    lines = [["", "striate ms", ROOFLINE, "best other", "ms", "times", "gate", "met"]]
    for group, rows in groups.items():
        mine = rows.pop(TOOLS[OURS].label, None)
        if mine is None or not rows:
            continue
        best = min(rows, key=lambda name: rows[name].median)
        times = rows[best].median / mine.median
        within = " (within the spread)" * mine.overlaps(rows[best])
        model, batch, _ = case_of(group)
        judged = _judged(times, gates.TRAINING.get(model, {}).get(batch))
        lines.append(
            [
                group,
                digits(mine.median),
                share(bounds.get(group), mine.median),
                best,
                digits(rows[best].median),
                f"{times:.2f}{within}",
                *judged,
            ]
        )
    return without_empty(lines) if len(lines) > 1 else lines


def _judged(times: float, gate: float | None) -> list[str]:
    return ["", ""] if gate is None else [f"{gate:.1f}", "yes" if times >= gate else "no"]


def memory(run: Mapping[str, Any]) -> Lines:
    """Per network and tool, MiB: by how much the process grew, and all that it had."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in run.get("memory", ()):
        found.setdefault(entry["case"], {})[entry["tool"]] = entry
    tools = list(dict.fromkeys(tool for each in found.values() for tool in each))
    lines = [["", *(TOOLS[tool].label for tool in tools), "no more than the others"]]
    for case, each in found.items():
        cells = [f"{each[t]['grown_mib']:.0f} ({each[t]['mib']:.0f})" if t in each else "" for t in tools]
        others = [entry["grown_mib"] for tool, entry in each.items() if tool not in (OURS, "numpy")]
        met = OURS in each and others and each[OURS]["grown_mib"] <= min(others)
        lines.append([case, *cells, ("yes" if met else "no") if OURS in each and others else ""])
    return lines


def accuracies(
    run: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, Lines]]:
    """Per recipe and number of threads a sentence, and per tool the seconds until its target, over the seeds."""
    old = _by_tool(before or {})
    for place, tools in _by_tool(run).items():
        target = next(iter(tools.values()))[0]["target"]
        titles = ["", f"s to {target:.0%}", "min", "max", "epoch", "with its process", "first step s", "whole run s",
                  "batches alone s", "at the end"]  # fmt: skip
        lines = [titles + ["was"] * bool(old)]
        for name, entries in tools.items():
            was = _times(old.get(place, {}).get(name, ()))
            shown = ([_median(was)] if was else ["new"]) if old else []
            lines.append([name, *_reached(entries), *_whole(entries), *shown])
        yield _sentence(*place, target, tools), lines


def _by_tool(run: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]]:
    """Trainings per recipe and threads, per tool."""
    found: dict[tuple[str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for entry in run.get("accuracy", ()):
        found.setdefault((entry["recipe"], entry["threads"]), {}).setdefault(entry["name"], []).append(entry)
    return {
        place: {name: tools[name] for name in sorted(tools, key=lambda name: not name.startswith(OURS))}
        for place, tools in found.items()
    }


def _times(entries: Sequence[Mapping[str, Any]]) -> list[float]:
    return [entry["reached_s"] for entry in entries if entry["reached_s"] is not None]


def _reached(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    those = [entry for entry in entries if entry["reached_s"] is not None]
    if not those:
        return ["never", "", "", "", ""]
    times, whole = _times(those), [entry["process_s"] for entry in those]
    some = "" if len(those) == len(entries) else f" ({len(those)} of {len(entries)})"
    ends = [1 + next(k for k, share in enumerate(e["accuracies"]) if share >= e["target"]) for e in those]
    return [f"{_median(times)}{some}", digits(min(times)), digits(max(times)), _span(ends), _median(whole)]


def _whole(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    ends = [entry["accuracies"][-1] for entry in entries]
    times = (_median([entry[key] for entry in entries]) for key in ("first_s", "seconds", "batches_s"))
    return [*times, _span(ends, ".1%")]


def _span(values: Sequence[float], form: str = "") -> str:
    return " to ".join(dict.fromkeys((format(min(values), form), format(max(values), form))))


def _median(seconds: Sequence[float]) -> str:
    return digits(Summary.of(seconds).median / 1e3)


def _sentence(recipe: str, threads: int, target: float, tools: Mapping[str, Sequence[Any]]) -> str:
    seeds = max(len(entries) for entries in tools.values())
    said = RECIPES[recipe].said if recipe in RECIPES else recipe
    head = (
        f"Seconds until {target:.0%} of the held-out images are right: {said}, {plural(threads, 'thread')}, "
        f"{plural(seeds, 'seed')}"
    )
    medians = {
        name: Summary.of(times).median
        for name, entries in tools.items()
        if len(times := _times(entries)) == len(entries)
    }
    mine = medians.get(TOOLS[OURS].label)
    others = [name for name in medians if name not in (TOOLS[OURS].label, UNCACHED)]
    if mine is None or not others:
        return f"{head}."
    best = min(others, key=lambda name: medians[name])
    times = medians[best] / mine
    gate, met = _judged(times, gates.ACCURACY.get(recipe))
    judged = f" (gate {gate}: {'met' if met == 'yes' else 'not met'})" * bool(gate)
    return f"{head}. {best} takes {times:.2f} times as long as striate{judged}."


def agreement(run: Mapping[str, Any]) -> str:
    """What was compared before, in a sentence."""
    worst: dict[str, float] = {}
    for entry in run["answers"]:
        kind = entry["dtype"] if "dtype" in entry else TOOLS[entry["tool"]].label
        worst[kind] = max(worst.get(kind, 0.0), entry.get("error", entry.get("difference", 0.0)))
    shown = ", ".join(f"{kind} {error:.0e}" for kind, error in worst.items())
    if "float64" in worst:  # older runs: outputs in float32, gradients and weights in float64
        return f"Largest differences from torch: {shown}."
    what = "of the loss and of what a step changes from float64, on up to four images"
    return f"Largest differences {what}: {shown}." if worst else ""


def notes(run: Mapping[str, Any]) -> Iterator[str]:
    """Limits of the machine, agreement, and who was left out."""
    yield from limited.notes(run)
    yield from map(limits.sentence, run.get("limits", ()))
    yield from filter(None, (repetitions(run), agreement(run)))
    for entry in run.get("left_out", ()):
        name = TOOLS[entry["tool"]].label if entry["tool"] in TOOLS else entry["tool"]
        yield f"Left out: {name} in {entry['case']}: {entry['why']}"


MEMORY = "Peak memory in MiB: by how much the process grew from before the network was there, libraries imported, until after two steps (and all it had)"  # noqa: E501


def page(run: Mapping[str, Any]) -> str:
    """As Markdown: what the run holds, and nothing else."""
    head, *tables = record.markdown(run).split("\n\n")
    blocks = [head, "\n".join(f"- {note}" for note in notes(run))]
    if len(lines := steps(run)) > 1:
        blocks.append(record.markdown_table(*lines))
    for sentence, lines in accuracies(run):
        blocks += [f"**{sentence}**", record.markdown_table(*lines)]
    if len(lines := memory(run)) > 1:
        blocks += [f"**{MEMORY}**", record.markdown_table(*lines)]
    return "\n\n".join(block for block in [*blocks, *tables] if block)


def text(run: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """For a terminal, the medians next to those of another run."""
    blocks = [record.text(run, before)]
    for sentence, lines in accuracies(run, before):
        blocks.append(f"{sentence}\n{record.text_table(lines, indent=2)}")
    if len(lines := memory(run)) > 1:
        blocks.append(f"{MEMORY}\n{record.text_table(lines, indent=2)}")
    blocks.append("\n".join(notes(run)))
    if len(lines := steps(run)) > 1:
        blocks.append(record.text_table(lines))
    return "\n\n".join(block for block in blocks if block)
