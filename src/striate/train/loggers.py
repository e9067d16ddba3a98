"""Loggers as callbacks: TensorBoard, Weights & Biases, MLflow, each if installed and requested.

All of them write into the run folder by default; nothing goes over the network unless their own variables say so.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate.diagnostics import MissingExtraError, UsageError, warn
from striate.train.events import Callback, EpochDone, Event, Finished, Started, Updated


def _need(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{package} is not installed",
            where=f"log = {package}",
            why=str(error),
            fix=f"pip install {package}, or remove it from `log`",
        ) from None


def _measures(event: Event) -> tuple[int, dict[str, float]] | None:
    """The update of an event and its metrics; None for other events."""
    match event:
        case Updated():
            return event.update, {
                "step/loss": event.loss,
                "step/lr": event.lr,
                "step/grad_norm": event.grad_norm,
            }
        case EpochDone():
            row = {
                f"epoch/{name}": value
                for name, value in event.row.items()
                if name not in ("epoch", "updates")
            }
            return int(event.row["updates"]), row
    return None


def tensorboard(folder: Path) -> Callback:
    """Event files in `folder`/tensorboard (package tensorboard)."""
    writing = _need("tensorboard.summary.writer.event_file_writer", "tensorboard")
    event_pb2 = _need("tensorboard.compat.proto.event_pb2", "tensorboard")
    summary_pb2 = _need("tensorboard.compat.proto.summary_pb2", "tensorboard")
    writer: Any = None

    def log_event(event: Event) -> None:
        nonlocal writer
        if isinstance(event, Started):
            writer = writing.EventFileWriter(str(folder / "tensorboard"))
        elif writer is not None and (measured := _measures(event)) is not None:
            step, numbers = measured
            values = [summary_pb2.Summary.Value(tag=name, simple_value=n) for name, n in numbers.items()]
            summary = summary_pb2.Summary(value=values)
            writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
        elif writer is not None and isinstance(event, Finished):
            writer.close()

    return log_event


def wandb(folder: Path) -> Callback:
    """A Weights & Biases run, kept on this machine unless WANDB_MODE says otherwise (package wandb)."""
    module = _need("wandb", "wandb")
    run: Any = None

    def log_event(event: Event) -> None:
        nonlocal run
        if isinstance(event, Started):
            mode = os.environ.get("WANDB_MODE", "offline")
            run = module.init(dir=str(folder), config=dict(event.settings), mode=mode, name=folder.name)
        elif run is not None and (measured := _measures(event)) is not None:
            run.log(measured[1], step=measured[0])
        elif run is not None and isinstance(event, Finished):
            run.finish(exit_code=0)

    return log_event


def mlflow(folder: Path) -> Callback:
    """An MLflow run, in `folder`/mlflow.db unless MLFLOW_TRACKING_URI says otherwise (package mlflow)."""
    module = _need("mlflow", "mlflow")

    def log_event(event: Event) -> None:
        if isinstance(event, Started):
            if "MLFLOW_TRACKING_URI" not in os.environ:
                module.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').resolve()}")
            module.start_run(run_name=folder.name)
            module.log_params({name: str(value) for name, value in event.settings.items()})
        elif (measured := _measures(event)) is not None:
            module.log_metrics({name: float(n) for name, n in measured[1].items()}, step=measured[0])
        elif isinstance(event, Finished):
            module.end_run("KILLED" if event.reason == "interrupted" else "FINISHED")

    return log_event


LOGGERS: dict[str, Callable[[Path], Callback]] = {
    maker.__name__: maker for maker in (tensorboard, wandb, mlflow)
}


def loggers(names: tuple[str, ...], folder: Path | None) -> tuple[Callback, ...]:
    """The callbacks of these names; nothing is written before training starts. Raises MissingExtraError."""
    return tuple(_guard(name, LOGGERS[name](folder or Path())) for name in names)


def _guard(name: str, log_event: Callback) -> Callback:
    """A logger that cannot start is an error; one that fails later is dropped with a warning, and training
    continues."""
    deaf = False

    def guarded(event: Event) -> None:
        nonlocal deaf
        if deaf:
            return
        try:
            log_event(event)
        except Exception as error:
            if isinstance(event, Started):
                raise UsageError(
                    f"{name} could not start",
                    where=f"log = {name}",
                    why=str(error).partition("\n")[0][:300],
                    fix="check its configuration, or remove it from `log`",
                ) from None
            deaf = True
            warn(f"{name} has failed and gets no further events of this run: {error}")

    return guarded
