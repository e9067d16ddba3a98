"""Saved runs: which machine, which versions, every sample; and the tables made of them."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import limited

from striate.diagnostics import plural
from striate.engine.target import able
from striate.engine.threads import processors
from striate.peers.timing import Summary, Timing
from striate.views.text.number_format import digits

SCHEMA = "striate.bench-run/1"
PACKAGES = (
    *("striate", "numpy", "torch", "torchvision", "torchinfo", "fvcore", "onnx"),
    *("onnxruntime", "openvino", "ncnn", "MNN", "torchview", "visualtorch"),
)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next(
                (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
            )
    except OSError:
        pass
    system = f"{platform.system()} {platform.machine()}"
    known = {"cpu": model, "cores": len(processors()), "system": system, "kind": kind()}
    return known | ({"limited": limited.asked()} if limited.asked() else {})


def kind() -> str:
    """The widest vectors of this processor, whatever STRIATE_TARGET asks for: the other tools use them, too."""
    return next((target.name for target in able()), platform.machine().lower())


def kept() -> str:
    """The kind that a reference run is kept of: another one where all tools are limited to narrower vectors."""
    return f"{limited.asked()}-limited" if limited.asked() else kind()


def versions() -> dict[str, str]:
    """Python and the packages that are measured, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def document(
    question: str, rows: Iterable[Timing], answers: Sequence[Mapping[str, Any]], load: float
) -> dict[str, Any]:
    """A whole run, ready to be saved. load: the machine's load average before the run."""
    return {
        "schema": SCHEMA,
        "question": question,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": load,
        "versions": versions(),
        "answers": list(answers),
        "rows": [row.record() for row in rows],
    }


def save(path: Path, run: Mapping[str, Any]) -> None:
    """Write aside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    # One row per line: a saved run is read in a diff, too.
    text = json.dumps({**run, "rows": []}, indent=1, ensure_ascii=False)
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in run["rows"])
    aside.write_text(text.replace('"rows": []', f'"rows": [\n  {rows}\n ]') + "\n", "utf-8")
    aside.replace(path)


def last(*paths: Path) -> dict[str, Any] | None:
    """The first saved run that exists and can be read."""
    for path in paths:
        if path.is_file():
            run = json.loads(path.read_text("utf-8"))
            if run.get("schema") == SCHEMA:
                return dict(run)
    return None


def table(
    run: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, list[list[str]]]]:
    """Per group of rows its heading and its lines, the first one being the column titles."""
    old = {(row["group"], row["name"]): row["seconds"] for row in (before or {}).get("rows", ())}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in run["rows"]:
        groups.setdefault(row["group"], []).append(row)
    for group, rows in groups.items():
        memory = any(row["peak_mib"] for row in rows)
        images = any(row.get("images") for row in rows)
        titles = ["", "median ms", "min", "IQR", "CPU ms"]
        lines = [titles + ["MiB"] * memory + ["images/s"] * images + ["was"] * bool(old)]
        for row in rows:
            now = Summary.of(row["seconds"])
            line = [row["name"], *map(digits, (now.median, now.least, now.spread))]
            line.append(digits(Summary.of(row["cpu"]).median) if row["cpu"] else "")
            if memory:
                line.append(f"{max(row['peak_mib']):.0f}" if row["peak_mib"] else "")
            if images:
                line.append(digits(1e3 * row["images"] / now.median) if row.get("images") else "")
            if old:
                line.append(_change(now, old.get((group, row["name"]))))
            lines.append(line)
        yield group, lines


def _change(now: Summary, samples: Sequence[float] | None) -> str:
    """The median before; in how far it changed, where the two runs' spreads leave no doubt."""
    if not samples:
        return "new"
    was = Summary.of(samples)
    if now.overlaps(was):
        return f"{digits(was.median)} same"
    return f"{digits(was.median)} {100 * (now.median / was.median - 1):+.0f} %"


def text(run: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """The run for a terminal."""
    blocks = [f"{group}\n{text_table(lines, indent=2)}" for group, lines in table(run, before)]
    return "\n\n".join([heading(run), *blocks])


def text_table(lines: Sequence[Sequence[str]], indent: int = 0) -> str:
    """Lines of cells under each other, the first column to the left."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    rows = (
        "  ".join(cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths)))
        for line in lines
    )
    return "\n".join(" " * indent + row.rstrip() for row in rows)


def markdown(run: Mapping[str, Any]) -> str:
    """The run as a section of a page."""
    blocks = [f"**{group}**\n\n{markdown_table(*lines)}" for group, lines in table(run)]
    return "\n\n".join([heading(run), *blocks])


def markdown_table(*lines: Sequence[str]) -> str:
    """Lines of cells, the first being the column titles."""
    titles, *rows = lines
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (titles, rule, *rows))


def heading(run: Mapping[str, Any]) -> str:
    """Machine and versions in two lines."""
    known = run["machine"]
    rounds = max((len(row["seconds"]) for row in run["rows"]), default=0)
    where = f"{known['cpu']}, {known['cores']} cores, {known['system']}"
    packages = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    return f"{run['date']}, {where}, load {run['load']:.2f} before, {plural(rounds, 'interleaved round')}.\n{packages}."
