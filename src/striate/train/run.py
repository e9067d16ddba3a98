"""The run folder: its files, the order in which they are written, and a lock, so that only one run writes it.

The order matters if a process is killed: the checkpoint is written last, after all files that belong to it. Everything
newer than the checkpoint is computed again, bit-identically, when the run is resumed.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from striate import weights
from striate.diagnostics import FormatError, SourceError, StriateError, UsageError, by_reader, setting
from striate.formats import folder, safetensors
from striate.formats.folder import describe
from striate.network import Network
from striate.train import checkpoint
from striate.train.card import card
from striate.train.config import Config
from striate.train.data import Transform
from striate.train.history import History
from striate.train.losses import Array
from striate.train.run_files import clear_leftovers, make_folder, read_json, write_json, write_text
from striate.train.setup import TrainingSetup
from striate.train.state import State

CONFIG, NETWORK, BEST, LAST = folder.RUN_CONFIG, folder.CONFIG, folder.WEIGHTS, "last.safetensors"
STATE, LINES, TABLE, REPORT = folder.CHECKPOINT, folder.LINES, "metrics.csv", "report.json"
INITIAL = "initial_weights"
"""Key in config.json: the checksum of the weights before training."""
FILES = {
    CONFIG: "the resolved configuration",
    NETWORK: "the network, its classes, and the transformation of its input",
    BEST: "the resulting weights",
    LAST: "the weights after the last epoch",
    STATE: "the checkpoint from which a run resumes",
    LINES: "metrics: one JSON object per epoch",
    TABLE: "the same metrics as a table",
    folder.CARD: "the model card: description and results",
    REPORT: "confusion matrix, per-class numbers, calibration, worst images, environment",
}
"""Files of a finished run folder."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Record of a run's start. transforms: transformations for training, and for everything else."""

    net: Network
    classes: tuple[str, ...]
    transforms: tuple[Transform, Transform]
    config: Config


def must_hold(path: Path, *names: str) -> None:
    """Raises SourceError unless a folder holds the files of a run."""
    for name in names:
        if not (path / name).is_file():
            raise SourceError(
                f"{path} does not hold a run",
                where=str(path),
                why=f"there is no {name}",
                fix=f"give a folder that was written with {setting('out', 'RUN')}",
            )


def read_run(path: Path) -> Recorded:
    """How a run began, without touching it. Raises SourceError if there is none, FormatError if it is damaged."""
    must_hold(path, CONFIG, NETWORK)
    config, record = Config.read(path / CONFIG), read_json(path / NETWORK)
    try:
        net, classes = Network.from_dict(record["network"]), tuple(map(str, record["classes"]))
        plain = record["transform"]
        transforms = Transform.from_dict(record.get("training_transform", plain)), Transform.from_dict(plain)
    except StriateError:  # first, because an UnknownNameError is a KeyError too
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{NETWORK} describes no network", where=str(path / NETWORK), why=str(error), fix="train it again"
        ) from None
    return Recorded(net, classes, transforms, config)


def read_resumed_run(path: Path, net: Network) -> Recorded:
    """Read the record of a run to resume. Raises UsageError if its network is not `net`."""
    recorded = read_run(path)
    if recorded.net != net:
        raise UsageError(
            f"the run in {path} trains a different network",
            where=str(path),
            why=f"it trains {recorded.net.name}, not {net.name}"
            if recorded.net.name != net.name
            else f"its {recorded.net.name} has different nodes or another input size",
            fix=f"continue with Model({str(path)!r}), or start a new run with another out",
        )
    return recorded


def resume_command(run: Path) -> str:
    """What continues a run."""
    return by_reader(f"model.fit({setting('resume', run)})", f"striate train {setting('resume', run)}")


def is_held(path: Path) -> bool:
    """Whether a process is writing to a run folder now; False where the system has no such locks."""
    try:
        import fcntl

        folder = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(folder)
    return False


class Run:
    """One run folder, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        net: Network,
        transforms: tuple[Transform, Transform],
        classes: tuple[str, ...],
        config: Config,
        objective: dict[str, Any],
        initial: dict[str, Array],
    ) -> Run:
        """Create a run folder. initial: the weights before training.

        Raises UsageError if it holds a run already, SourceError if it cannot be written.
        """
        if (path / CONFIG).exists() or (path / STATE).exists():
            raise UsageError(
                f"{path} already holds a run",
                where=str(path),
                why="a run is never overwritten",
                fix=f"continue it with {setting('resume', path)}, or choose another {setting('out')}",
            )
        make_folder(path)
        run = cls(path)
        run._hold()
        record = describe(net, classes, transforms[1].to_dict(), objective)
        record |= {"training_transform": transforms[0].to_dict(), INITIAL: weights.checksum(initial)}
        write_json(path / NETWORK, record)
        write_text(path / CONFIG, config.toml())
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run folder to continue the run. Raises SourceError if it cannot be written."""
        make_folder(path)
        run = cls(path)
        run._hold()
        clear_leftovers(path)
        return run

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _hold(self) -> None:
        """Lock the folder itself: the system releases the lock when the process ends, however it ends."""
        try:
            import fcntl
        except ImportError:  # no such locks on Windows
            return
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UsageError(
                f"another run is writing to {self.path}",
                where=str(self.path),
                why="another process holds its lock",
                fix=f"wait for it, stop it, or choose another {setting('out')}",
            ) from None
        except OSError:  # a file system without locks
            self.close()

    # ------------------------------------------------------------ what a resumed run reads
    def restore(self, setup: TrainingSetup, state: State) -> bool:
        """Restore the checkpoint; False if the run was stopped before its first.

        Raises SourceError if a file that the run has written is missing, FormatError if one belongs to another run.
        """
        if not (self.path / STATE).exists():
            later = [name for name in (LAST, BEST, LINES, TABLE, REPORT) if (self.path / name).exists()]
            if later:
                raise self._incomplete(STATE, f"{', '.join(later)} were written after its first checkpoint")
            return False
        checkpoint.restore(self.path / STATE, setup, state)
        if state.epoch:
            for name in (BEST, LAST):
                if not (self.path / name).is_file():
                    raise self._incomplete(name, f"its checkpoint is from the end of epoch {state.epoch}")
            if state.early_stopping.best_epoch is not None:
                state.best = self._best(setup, state)
            if not all((self.path / name).is_file() for name in (LINES, TABLE)):
                self._save_tables(state)  # the checkpoint holds all of them
        return True

    def _best(self, setup: TrainingSetup, state: State) -> dict[str, Array]:
        """The weights of the best epoch. Raises FormatError if the file holds others."""
        path, epoch = self.path / BEST, state.early_stopping.best_epoch
        arrays, metadata = safetensors.load(path)
        weights.check(setup.net, arrays)
        file_epoch = metadata.get("epoch", str(epoch))
        # A process killed between weights and checkpoint has left the weights of the epoch that is now repeated.
        newer = file_epoch == str(state.epoch + 1) and state.epoch < setup.settings.epochs
        others = ""
        if newer or setup.settings.keep != "best":
            return arrays
        if file_epoch != str(epoch):
            others = f"the weights of epoch {file_epoch}, but the best epoch is {epoch}"
        elif state.best_sum not in (None, weights.checksum(arrays)):  # None: of an earlier version
            others = f"weights that differ from those of this run after epoch {epoch}"
        if others:
            raise FormatError(
                f"{BEST} holds {others}",
                where=str(path),
                why="the files of a run belong together",
                fix=f"restore the file of this run, or start a new one with another {setting('out')}",
            )
        return arrays

    def _incomplete(self, name: str, why: str) -> SourceError:
        return SourceError(
            f"the run in {self.path} is incomplete: there is no {name}",
            where=str(self.path / name),
            why=why,
            fix=f"restore the file, or start a new run with another {setting('out')}",
        )

    # ------------------------------------------------------------ what a run writes
    def save_state(self, setup: TrainingSetup, state: State) -> None:
        """The checkpoint, in the middle of an epoch."""
        checkpoint.save(self.path / STATE, setup, state)

    def save_epoch(self, setup: TrainingSetup, state: State) -> None:
        """Metrics and weights, then the checkpoint."""
        self._save_tables(state)
        self._save_weights(LAST, state.evaluated_weights, state.epoch)
        if state.early_stopping.best_epoch in (None, state.epoch):
            self._save_weights(BEST, state.evaluated_weights, state.epoch)
        self.save_state(setup, state)

    def _save_tables(self, state: State) -> None:
        history = History(tuple(state.rows))
        write_text(self.path / LINES, history.jsonl())
        write_text(self.path / TABLE, history.csv())

    def save_result(self, arrays: dict[str, Array], epoch: int) -> None:
        """Write the resulting weights to model.safetensors."""
        self._save_weights(BEST, arrays, epoch)

    def save_report(self, record: dict[str, Any], setup: TrainingSetup) -> None:
        """Write the report, and the model card."""
        write_json(self.path / REPORT, record)
        transform = read_json(self.path / NETWORK)["transform"]
        write_text(self.path / folder.CARD, card(setup.net, setup.train.data.classes, transform, record))

    def _save_weights(self, name: str, arrays: dict[str, Array], epoch: int) -> None:
        safetensors.save(self.path / name, arrays, {"epoch": str(epoch)})
