"""A training run as it happens: what is not a default, one line per epoch, a progress bar in a terminal, the result.

A listener of the loop's events (`train/events.py`). Lines are complete when they are written, so that a log that
ends anywhere is still right.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.diagnostics import plural
from striate.formats.folder import RUN_CONFIG
from striate.network import Network
from striate.terminal import Bar, Terminal, in_ascii
from striate.train.config import Config, options
from striate.train.events import Compiled, EpochDone, Event, Finished, Note, Prepared, Progress, Started
from striate.train.history import History
from striate.train.run import FILES
from striate.units import clock, duration
from striate.views.text.number_format import count
from striate.views.text.page import Page, Text

QUIET_S = 60.0
"""Seconds between progress lines of a long epoch without a bar."""

COLUMNS: Sequence[tuple[str, str, int]] = (
    ("epoch", "epoch", 7),
    ("train_loss", "loss", 8),
    ("train_accuracy", "accuracy", 10),
    ("validation_loss", "validation", 12),
    ("validation_accuracy", "accuracy", 10),
    ("lr", "lr", 9),
    ("images_per_second", "images/s", 10),
    ("seconds", "time", 8),
)
"""Key of a row, heading, width. With the mark of the best epoch a line has less than 80 columns."""

Emit = Callable[[Page], None]
Head = Callable[[Page, Prepared], None]


@contextlib.contextmanager
def display() -> Iterator[Callable[[Event], None] | None]:
    """What `Model.fit` shows on standard output; None if there is none. Notes are warnings there."""
    if (out := sys.stdout) is None:
        yield None
        return

    def emit(page: Page) -> None:
        text = str(page)
        try:
            out.write(text)
        except UnicodeEncodeError:
            out.write(in_ascii(text))
        out.flush()

    with Bar(out) as bar:
        view = TrainingView(lambda: Page(Terminal.of(out)), emit, bar, draw_data)
        yield lambda event: None if isinstance(event, Note) else view(event)


class TrainingView:
    """A callback that prints a run.

    page: makes an empty page; emit: prints one at once; head: draws the network and the data, before the first epoch.
    """

    def __init__(self, page: Callable[[], Page], emit: Emit, bar: Bar, head: Head) -> None:
        self.page, self.emit, self.bar, self.head = page, emit, bar, head
        self.prepared: Prepared | None = None
        self.started = self.printed_at = time.monotonic()
        self.first, self.headed = 1, False

    def __call__(self, event: Event) -> None:
        match event:
            case Prepared():
                self.prepared = event
            case Started():
                self._start(event)
            case Progress():
                self._progress(event)
            case Compiled():
                took = f"{event.seconds:.1f} s" if event.seconds >= 0.1 else "a moment"
                self.say(f"{plural(event.kernels, 'kernel')} compiled for this processor in {took}")
            case EpochDone():
                self._epoch(event)
            case Note():
                self.say([("note ", "yellow"), event.text], 0, 5)
            case Finished():
                self.bar.stop()

    def say(self, text: Text, indent: int = 0, hang: int | None = None) -> None:
        """One paragraph, above the bar."""
        page = self.page()
        _unfold(page)
        page.line(text, indent, hang)
        self._print(page)

    def _print(self, page: Page) -> None:
        with self.bar.aside():
            self.emit(page)

    def _start(self, event: Started) -> None:
        if self.prepared:
            head = self.page()
            self.head(head, self.prepared)
            self.emit(head)
        self.first = event.epoch
        self.started = self.printed_at = time.monotonic()
        if event.resumed:
            complete = event.epoch > event.epochs
            place = (
                "all epochs are done" if complete else f"continuing in epoch {event.epoch} of {event.epochs}"
            )
            self.say(place)

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        training = event.phase == "train"
        share = event.done / event.total if training and event.total else 1.0
        epochs = event.epoch - self.first + share
        remaining = (
            (now - self.started) * (event.epochs - self.first + 1 - epochs) / epochs if epochs else 0.0
        )
        what = f"epoch {event.epoch}/{event.epochs}" + ("" if training else " validation")
        accuracy = "" if event.accuracy is None else f"  accuracy {event.accuracy:.1%}"
        speed = f"{event.images_per_second:,.0f} images/s" if event.images_per_second >= 10 else ""
        short = f"{duration(remaining)} left"
        state = f"loss {event.loss:.3f}{accuracy}  {speed}  {short}"
        self.bar.update(what, event.done, event.total, state, short)
        if not self.bar.enabled and now - self.printed_at > QUIET_S:
            self.printed_at = now
            self.say(f"{what}: {count(event.done)} of {plural(event.total, 'image')}, {state}")

    def _epoch(self, event: EpochDone) -> None:
        self.printed_at = time.monotonic()
        page = self.page()
        cells = {key: _cell(key, value, event.epochs) for key, value in event.row.items()}
        columns = [(key, title, width) for key, title, width in COLUMNS if key in cells]
        if sum(width for _, _, width in columns) + 6 > page.terminal.width:
            page.line(_sentence(cells, event.best), 0, 2)
        else:
            if not self.headed:
                page.line([("".join(title.rjust(width) for _, title, width in columns), "bold")])
                self.headed = True
            line = "".join(cells[key].rjust(width) for key, _, width in columns)
            page.line([line, ("  best", "green") if event.best else ""])
        self._print(page)


def history_table(history: History) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row for each epoch, as they are printed during a run."""
    columns = [(key, title) for key, title, _ in COLUMNS if any(key in row for row in history)]
    epochs = max(history.planned, len(history))
    rows = [[_cell(key, row[key], epochs) if key in row else "" for key, _ in columns] for row in history]
    for epoch in history.resumed:
        rows[epoch - 1][0] += " resumed"
    return [title for _, title in columns], rows


def _cell(key: str, value: float, epochs: int) -> str:
    match key:
        case "epoch":
            return f"{value:.0f}/{epochs}"
        case "train_accuracy" | "validation_accuracy":
            return f"{value:.1%}"
        case "lr":
            return f"{value:.2g}"
        case "images_per_second":
            return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
        case "seconds":
            return clock(value)
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.3g}"


def _sentence(cells: Mapping[str, str], best: bool) -> str:
    parts = [f"epoch {cells['epoch']}: loss {cells['train_loss']}"]
    if "validation_loss" in cells:
        parts.append(f"validation {cells['validation_loss']}, {cells['validation_accuracy']}")
    return ", ".join([*parts, cells["seconds"], *(["best"] if best else [])])


def draw_data(page: Page, event: Prepared) -> None:
    """The network, and the data."""
    page.line([(event.network + (f" on {event.source}" if event.source else ""), "bold")])
    page.fields([("data", event.found)])


def draw_head(page: Page, event: Prepared, config: Config, out: Path | None) -> None:
    """The same with notes, and the settings that are not defaults. out: the run folder, which holds all of them."""
    page.line([(f"{event.network} on {event.source}", "bold")])
    place = f"all are in {out / RUN_CONFIG}" if out else "--print-config prints all"
    page.fields(
        [
            ("data", event.found),
            *(("note", note) for note in event.notes),
            ("settings", _settings(config)),
            ("others", f"defaults; {place}"),
        ]
    )


def _settings(config: Config) -> Text:
    """On one line the settings that differ from their defaults, in bold, and those that were derived."""
    given = {**vars(config.job), **vars(config.settings)}
    values = {**given, **vars(config.resolved.settings)}
    pieces: list[str | tuple[str, str]] = []
    for option in options():
        value = values[option.name]
        if option.name in ("model", "data") or value == option.default:
            continue
        text = f"{option.name} {dataclasses.replace(option, default=value).shown}"
        derived = given[option.name] == option.default
        pieces += [" · "] if pieces else []
        pieces.append(f"{text} (derived)" if derived else (text, "bold"))
    return pieces


def train_record(
    net: Network, classes: Sequence[str], event: Prepared, history: History, out: Path | None, following: str
) -> dict[str, Any]:
    """striate.train/1: the record of a finished run. following: the command to type next."""
    return {
        "schema": "striate.train/1",
        "out": str(out) if out else None,
        "network": net.name,
        "input": list(next(iter(net.inputs.values())).without_batch),
        "inputs": {name: list(spec.without_batch) for name, spec in net.inputs.items()},
        "parameters": sum(p.elements for p in net.parameters.values() if p.trainable),
        "classes": list(classes),
        "data": event.found,
        "notes": list(event.notes),
        "epochs": [dict(row) for row in history.rows],
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "seconds": sum(row["seconds"] for row in history.rows),
        "files": {str(out / name): what for name, what in FILES.items()} if out else {},
        "next": following,
    }


def draw_result(page: Page, record: Mapping[str, Any]) -> None:
    """record: striate.train/1. The last line says where the result is and what to type next."""
    _unfold(page)
    best = next((row for row in record["epochs"] if row["epoch"] == record["best_epoch"]), None)
    took = duration(record["seconds"])
    if best:
        page.line(
            [
                f"best epoch {record['best_epoch']} of {len(record['epochs'])}: validation accuracy ",
                (f"{best['validation_accuracy']:.1%}", "bold green"),
                f", loss {best['validation_loss']:.4f}; {record['stopped']} after {took}",
            ]
        )
    elif record["epochs"]:
        last = record["epochs"][-1]
        page.line(f"{record['stopped']} after {took}: training loss {last['train_loss']:.4f}")
    place = f"the result is in {record['out']}" if record["out"] else "nothing was saved"
    page.line([(place, "bold"), "; next: ", (record["next"], "cyan")], 0, 2)


def _unfold(page: Page) -> None:
    """Do not wrap lines in a pipe or file, so that they can be searched, and commands copied."""
    if not page.terminal.folds:
        page.terminal = dataclasses.replace(page.terminal, width=1 << 16)


def draw_files(page: Page, files: Mapping[str, str]) -> None:
    """The files of a run folder, each with a description."""
    page.fields(list(files.items()))
