"""Training runs below a folder, as far as they have been written: one may be training now, or may have been killed."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.diagnostics import SourceError, StriateError, UnknownNameError, suggest
from striate.train.config import Config
from striate.train.run import CONFIG, is_held
from striate.train.run_results import UNFINISHED, RunResults

if TYPE_CHECKING:
    from striate.train.history import Row
    from striate.views.schemas.lab import LabRun, LabRunName

State = Literal["running", "stopped", "finished", "gone"]
MAX_DEPTH = 4
"""Folders below the first that are searched."""
MAX_FOLDERS = 5000
"""Folders that are searched."""
MAX_RUNS = 500
LEFT_OUT = ("node_modules", "__pycache__")
"""Folders that hold no runs."""
SETTINGS = ("epochs", "optimizer", "lr", "schedule", "batch_size", "loss", "weight_decay", "seed")
"""Settings that the page names; the run's config.toml holds all."""


class Runs:
    """The run folders of a page: those below `root`, and the one that it was opened with, if that was one."""

    def __init__(self, root: Path, start: str = "") -> None:
        self._root, path = root, Path(start).expanduser()
        self._folders = {start: path} if start and (path / CONFIG).is_file() else {}

    def folder(self, name: str) -> Path | None:
        """The folder of a run that was listed; None for any other name."""
        if name and name not in self._folders:
            self.names()
        return self._folders.get(name)

    def names(self) -> list[LabRunName]:
        """Every run that is there now, by name."""
        listed = {path.resolve() for path in self._folders.values()}
        for path in _found(self._root):
            if path.resolve() not in listed:
                self._folders[_readable(path.relative_to(self._root).as_posix())] = path
        there = {name: _state(path) for name, path in self._folders.items()}
        return [{"name": name, "state": state} for name, state in sorted(there.items()) if state != "gone"]

    def run(self, name: str, since: int) -> LabRun:
        """What a run has written. since: rows that are known already. Raises UnknownNameError, FormatError."""
        path = self.folder(name)
        if path is None:
            near = suggest(name, self._folders)
            raise UnknownNameError(
                f"no run is called {name[:80]!r}",
                why=f"runs are found below {self._root.name or self._root}",
                fix=f"did you mean {near}?" if near else "start striate lab in the folder of the run",
            )
        try:
            return _record(name, path, since)
        except SourceError:
            if (path / CONFIG).is_file():
                raise
            return _gone(name)


def _record(name: str, path: Path, since: int) -> LabRun:
    held = is_held(path)  # before the files are read: a run that ends meanwhile is seen to have ended
    results = RunResults(path, growing=True)
    config: Config = results.config.resolved
    _ = results.report  # before the rows, which are written first
    answer = _gone(name)
    answer["planned"] = config.settings.epochs
    answer["settings"] = {key: str(getattr(config.settings, key)) for key in SETTINGS}
    answer["state"] = "running" if held else "stopped"
    try:
        history = results.history
    except SourceError:  # no epoch has ended
        return answer
    rows = [*history.rows]
    answer["since"] = min(since, len(rows))
    answer["rows"] = [_plain(row) for row in rows[answer["since"] :]]
    answer["epochs"] = len(rows)
    answer["planned"] = history.planned
    answer["best_epoch"] = history.best_epoch
    answer["ended"] = history.stopped
    if history.stopped != UNFINISHED:
        answer["state"] = "finished"
        with contextlib.suppress(SourceError):  # trained without validation data
            answer["evaluation"] = results.evaluation  # type: ignore[typeddict-item]
    return answer


def _gone(name: str) -> LabRun:
    return {
        "name": name,
        "state": "gone",
        "since": 0,
        "rows": [],
        "epochs": 0,
        "planned": 0,
        "best_epoch": None,
        "ended": UNFINISHED,
        "settings": {},
        "evaluation": None,
    }


def _plain(row: Row) -> dict[str, float | None]:
    """A row as JSON: a loss may have overflowed."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}


def _readable(name: str) -> str:
    """The name of a folder as a text that can be sent back: its bytes may be no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _state(path: Path) -> State:
    if not (path / CONFIG).is_file():
        return "gone"
    if is_held(path):
        return "running"
    try:
        return "finished" if RunResults(path).report else "stopped"
    except StriateError:  # damaged: `run` says how
        return "stopped"


def _found(root: Path) -> list[Path]:
    """Run folders, without following links."""
    found: list[Path] = []
    level, visited = [root], 0
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Path] = []
        for folder in level:
            visited += 1
            if visited > MAX_FOLDERS or len(found) >= MAX_RUNS:
                return found
            try:
                with os.scandir(folder) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            if any(entry.name == CONFIG and entry.is_file() for entry in inside):
                found.append(folder)
                continue
            deeper += [
                Path(entry.path)
                for entry in inside
                if entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and entry.name not in LEFT_OUT
            ]
        level = deeper
    return found
