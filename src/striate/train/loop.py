"""The training loop: epochs of updates, each followed by a validation, and checkpoints. One function, no globals.

Everything that changes is in a State, everything else in a TrainingSetup; the loop prints nothing and calls callbacks.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from striate.diagnostics import (
    FormatError,
    LimitError,
    SourceError,
    StriateError,
    TrainingError,
)
from striate.engine.interface import Engine, Program
from striate.engine.learner import Learner
from striate.engine.process_group import ProcessGroup, restart_count, total
from striate.engine.registry import get_engine
from striate.network import Network
from striate.train.array_learner import make_learner
from striate.train.config import Config, Job
from striate.train.data import Dataset, Transform
from striate.train.data.several import lay_out
from striate.train.data_source import Source, gather_bad, make_transforms, sources
from striate.train.evaluation import Evaluation, evaluate
from striate.train.events import (
    Callback,
    Compiled,
    EpochDone,
    Finished,
    Note,
    Progress,
    Saved,
    Started,
    Updated,
    tell,
)
from striate.train.history import History, Row
from striate.train.interrupts import Interrupted, Stop, stop_signals
from striate.train.loggers import loggers
from striate.train.losses import Array
from striate.train.report import report
from striate.train.run import BEST, CONFIG, STATE, Run, read_run, resume_command
from striate.train.settings import Settings
from striate.train.setup import TrainingSetup, objective_of, set_up_training
from striate.train.state import Meter, State
from striate.train.update import Diverged, NotFinite, check_bounded, explain, groups, update
from striate.weights import check


class _Halt(Exception):
    """A stop was requested, and the state is consistent."""


def fit(
    net: Network,
    weights: dict[str, Array],
    train: Dataset,
    validation: Dataset | None = None,
    settings: Settings | None = None,
    *,
    engine: str | Engine = "auto",
    out: Path | None = None,
    resume: bool = False,
    transforms: tuple[Transform, Transform] | None = None,
    job: Job | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train `weights` in place; with `out`, write a run folder there, and with `resume` continue it.

    transforms: transformations for training and for everything else; by default those of the settings. job: model and
    data for config.toml. Raises Diverged, with `weights` as they were after the best or the last epoch, if the loss is
    not finite or a thousand times the first; TrainingError if the parts do not fit together; Interrupted after Ctrl-C
    (saved if there is a folder); and StriateErrors for data and disk; the last checkpoint always stays. Without
    validation images no epoch is the best, and the last weights are the result.

    Under torchrun every process calls this with the same arguments. They share each batch; the first one writes files
    and calls the callbacks. Processes that torchrun has restarted continue the run in `out`.
    """
    settings = (settings or Settings()).resolved
    check(net, weights)
    train, validation = lay_out(net, train), None if validation is None else lay_out(net, validation)
    implementation = get_engine(engine)
    notes = []
    if validation is not None and not len(validation):
        notes.append(
            "the validation part has no images: there is no best epoch, and the last weights are kept"
        )
        validation = None
    with ExitStack() as stack:
        process_group = stack.enter_context(implementation.process_group())
        first = process_group.rank == 0
        run: Run | None = None
        if out is not None:
            again = first and restart_count() > 0 and (Path(out) / CONFIG).exists()
            resume = resume or total(process_group, again)[0] > 0
        if out is not None and resume:
            transforms = read_run(Path(out)).transforms
            run = Run.open(Path(out)) if first else Run(Path(out))
            stack.callback(run.close)
            process_group.wait()  # until the first process has opened the folder
        transforms = transforms or make_transforms(net, train, settings)
        setup = set_up_training(
            net, settings, *sources(train, validation, transforms, settings, process_group)
        )
        listeners = (*callbacks, *loggers(settings.log, Path(out) if out else None)) if first else ()
        state = State.fresh(setup, weights)
        resumed = run is not None and run.restore(setup, state)
        learner = make_learner(setup, state, implementation, process_group)
        if out is not None and run is None and first:  # nothing is written before everything fits together
            config = Config(job or Job(), settings)
            objective = objective_of(settings, train)
            run = Run.create(Path(out), net, transforms, train.classes, config, objective, weights)
            stack.callback(run.close)
        process_group.wait()
        stop = stack.enter_context(stop_signals())
        loop = _Loop(
            setup,
            state,
            learner,
            implementation,
            process_group,
            run if first else None,
            tuple(listeners),
            stop,
            tuple(notes),
        )
        return loop.run_all(resumed)


@dataclasses.dataclass
class _Loop:
    """State shared by the steps of one call of `fit`."""

    setup: TrainingSetup
    state: State
    learner: Learner
    engine: Engine
    process_group: ProcessGroup
    run: Run | None
    callbacks: tuple[Callback, ...]
    stop: Stop
    notes: tuple[str, ...] = ()
    saved_at: float = dataclasses.field(default_factory=time.monotonic)
    ticked_at: float = dataclasses.field(default_factory=time.monotonic)
    compiled: tuple[int, float] = (0, 0.0)
    validator: tuple[dict[str, Array], Program] | None = None
    """The validation program, and the weights that it was compiled for."""
    good: dict[str, Array] = dataclasses.field(default_factory=dict)
    """A copy of the weights after the last epoch that did not diverge."""

    def run_all(self, resumed: bool) -> History:
        setup, state, settings = self.setup, self.state, self.setup.settings
        self.compiled = self.engine.compiled
        parameters = sum(p.elements for p in setup.net.parameters.values() if p.trainable)
        place = (
            settings.epochs,
            state.epoch + 1,
            setup.span.updates_per_epoch,
            setup.train.images,
            parameters,
        )
        out = self.run.path if self.run else None
        self._tell(Started(*place, settings.to_dict(), out, resumed))
        for text in self.notes:
            self._tell(Note(text))
        self._keep_good()
        try:
            if self.run and not resumed:
                self._save()
            going_on = state.epoch < settings.epochs and not state.early_stopping.should_stop
            if resumed and going_on and state.epoch + 1 not in state.resumed:
                state.resumed.append(state.epoch + 1)
            while state.epoch < settings.epochs and not state.early_stopping.should_stop:
                self._epoch()
            self._finish()
        except _Halt:
            raise self._interrupt() from None
        except TrainingError as error:
            if error.exit_code != Diverged.exit_code:
                raise self._with_checkpoint(error) from None
            self._collect()
            failure = error
            if isinstance(error, NotFinite):
                failure = explain(error, self.engine.compile(setup.net, state.weights))
            raise self._fall_back(failure) from None
        except (SourceError, FormatError, LimitError) as error:
            if self.run:
                with suppress(StriateError):  # a full disk fails again: the older checkpoint stays
                    self._save()
            raise self._with_checkpoint(error) from None
        except StriateError as error:
            raise self._with_checkpoint(error) from None
        best = state.early_stopping.best_epoch
        resumes = tuple(state.resumed)
        return History(tuple(state.rows), best, state.stopped, out, settings.epochs, resumes)

    # ------------------------------------------------------------ one epoch
    def _epoch(self) -> None:
        setup, state, settings = self.setup, self.state, self.setup.settings
        self.ticked_at = time.monotonic()
        start, images_before = time.monotonic(), state.meter.images
        for group in groups(setup.train.epoch(state.epoch, state.batch), settings.accumulate):
            step = update(setup, state, self.learner, group, self.process_group, self.stop)
            if state.first_loss is None:
                state.first_loss = step.loss
            self._tick()
            meter = state.meter
            self._tell(Updated(state.epoch + 1, state.optimizer.steps, step.loss, step.lr, step.grad_norm))
            speed = (meter.images - images_before) / max(time.monotonic() - start, 1e-9)
            self._progress("train", setup.train.images, meter.images, meter.mean_loss, meter.accuracy, speed)
            check_bounded(step.loss, state)
            self._between_updates(step.stopped)
        self._collect()
        validation = self._validate() if setup.validation else None
        if validation:
            check_bounded(validation.loss, state, "validation loss")
        self._tick()
        self._epoch_done(validation)

    def _validate(self) -> Evaluation:
        source = self.setup.validation
        assert source is not None
        start = time.monotonic()

        def watch(images: int, loss: float, accuracy: float) -> None:
            speed = images / max(time.monotonic() - start, 1e-9)
            self._progress("validate", source.images, images, loss, accuracy, speed)
            if self.stop and self.process_group.size == 1:
                raise _Halt

        program = self._program(self.state.evaluated_weights, source)
        return evaluate(program, source, self.setup.loss, watch=watch, process_group=self.process_group)

    def _program(self, weights: dict[str, Array], source: Source) -> Program:
        """A program with these weights for the batches of `source`; the previous one if the weights are the same."""
        if self.validator is not None and self.validator[0] is weights:
            self.validator[1].renew()
        else:
            size = max(min(source.batch_size, source.images), 1)
            self.validator = weights, self.engine.compile(self.setup.net, weights, batch=size)
        return self.validator[1]

    def _epoch_done(self, validation: Evaluation | None) -> None:
        setup, state = self.setup, self.state
        row = _row(state, validation)
        state.rows.append(row)
        state.epoch, state.batch = state.epoch + 1, 0
        state.seconds, state.meter = state.seconds + state.meter.seconds, Meter()
        best = False
        score = -row["train_loss"]
        if validation:
            score = validation.accuracy if setup.settings.monitors_accuracy else -validation.loss
            best = state.early_stopping.epoch_done(state.epoch, score, -validation.loss)
        if best:
            self.good = {}
            state.keep_best()
        self._keep_good()
        state.schedule.epoch_done(score)
        if self.run:
            self.run.save_epoch(setup, state)
            self._tell_saved()
        before, self.compiled = self.compiled, self.engine.compiled
        if (kernels := self.compiled[0] - before[0]) > 0:
            self._tell(Compiled(kernels, self.compiled[1] - before[1]))
        self._tell(EpochDone(state.epoch, setup.settings.epochs, row, best))
        if total(self.process_group, bool(self.stop))[0]:
            raise _Halt

    # ------------------------------------------------------------ the end
    def _finish(self) -> None:
        setup, state = self.setup, self.state
        state.stopped = "done" if state.epoch >= setup.settings.epochs else "early stop"
        gather_bad(setup.train.data, self.process_group)
        best = state.best if setup.settings.keep == "best" and state.best else None
        result, epoch = (
            (best, state.early_stopping.best_epoch) if best else (state.evaluated_weights, state.epoch)
        )
        if self.run:
            validation = None
            if setup.validation:
                validation = evaluate(
                    self._program(result, setup.validation),
                    setup.validation,
                    setup.loss,
                    worst=setup.settings.worst,
                    watch=self._check_stop,
                )
            self.run.save_result(result, epoch or 0)
            self.run.save_report(report(setup, state, validation, self.engine.description, epoch or 0), setup)
            self._save()
        for name, array in state.weights.items():
            array[...] = result[name]
        for text in setup.train.data.notes():
            self._tell(Note(text))
        out = self.run.path if self.run else None
        self._tell(Finished(state.stopped, state.epoch, state.early_stopping.best_epoch, state.seconds, out))

    def _check_stop(self, images: int, loss: float, accuracy: float) -> None:
        if self.stop:
            raise _Halt

    def _interrupt(self) -> Interrupted:
        self._collect()
        if self.run:
            self._save()
        self.state.stopped = "interrupted"
        out = self.run.path if self.run else None
        best = self.state.early_stopping.best_epoch
        self._tell(Finished("interrupted", self.state.epoch, best, self.state.seconds, out))
        note = f"; saved, continue with: {resume_command(out)}" if out else ""
        return Interrupted(f"interrupted at {self.state.place}{note}", self.stop.signum or 2)

    # ------------------------------------------------------------ small things
    def _between_updates(self, stopped: bool) -> None:
        """Save when due, and stop when requested; several processes stop together."""
        if stopped or (self.stop and self.process_group.size == 1):
            raise _Halt
        settings, steps = self.setup.settings, self.state.optimizer.steps
        late = 0 < settings.checkpoint_minutes * 60 < time.monotonic() - self.saved_at
        if self.run and (late or (settings.checkpoint_steps and steps % settings.checkpoint_steps == 0)):
            self._save()

    def _keep_good(self) -> None:
        """Copy the weights, unless a run that diverges falls back to those of the best epoch."""
        state = self.state
        returns_best = self.setup.settings.keep == "best" and state.best
        self.good = (
            {} if returns_best else {name: array.copy() for name, array in state.evaluated_weights.items()}
        )

    def _fall_back(self, error: StriateError) -> StriateError:
        """Restore the best or the last good weights after divergence; return the error with a note about them."""
        state = self.state
        best = state.best if self.setup.settings.keep == "best" and state.best else None
        for name, array in state.weights.items():
            array[...] = (best or self.good)[name]
        epoch = state.early_stopping.best_epoch if best else state.epoch
        if epoch:
            where = f" in {self.run.path / BEST}" if self.run else ""
            error.fix = f"{error.fix}; the weights of epoch {epoch} are kept{where}"
        return error

    def _collect(self) -> None:
        """Copy the learner's arrays into the state."""
        self.learner.collect()
        self.state.loss_scale = self.learner.loss_scale

    def _save(self) -> None:
        assert self.run is not None
        self._collect()
        self.run.save_state(self.setup, self.state)
        self._tell_saved()

    def _tell_saved(self) -> None:
        assert self.run is not None
        self.saved_at = time.monotonic()
        self._tell(Saved(self.run.path / STATE, self.state.epoch, self.state.optimizer.steps))

    def _tick(self) -> None:
        """Add the time since the last tick to the epoch."""
        now = time.monotonic()
        self.state.meter.seconds += now - self.ticked_at
        self.ticked_at = now

    def _progress(
        self, phase: str, total: int, done: int, loss: float, accuracy: float | None, speed: float
    ) -> None:
        eta_s = max(total - done, 0) / speed if speed > 0 else 0.0
        lr = self.state.schedule.rate(max(self.state.optimizer.steps - 1, 0))
        epoch, epochs = self.state.epoch + 1, self.setup.settings.epochs
        self._tell(Progress(phase, epoch, epochs, done, total, loss, accuracy, lr, speed, eta_s))

    def _tell(self, event: Any) -> None:
        tell(self.callbacks, event)

    def _with_checkpoint(self, error: StriateError) -> StriateError:
        """The error, with a note about the last checkpoint."""
        if self.run and (self.run.path / STATE).exists():
            note = f"the last checkpoint is kept: {resume_command(self.run.path)}"
            error.fix = f"{error.fix}; {note}" if error.fix else note
        return error


def _row(state: State, validation: Evaluation | None) -> Row:
    """The line of metrics.csv of the epoch that has just ended."""
    meter = state.meter
    row: dict[str, float] = {
        "epoch": state.epoch + 1,
        "updates": state.optimizer.steps,
        "lr": state.schedule.rate(max(state.optimizer.steps - 1, 0)),
        "train_loss": meter.mean_loss,
    }
    if meter.accuracy is not None:
        row["train_accuracy"] = meter.accuracy
    row["grad_norm"] = meter.grad_norm / max(meter.updates, 1)
    if validation:
        row |= {"validation_loss": validation.loss, "validation_accuracy": validation.accuracy}
    seconds = meter.seconds
    return row | {"seconds": seconds, "images_per_second": meter.images / seconds if seconds > 0 else 0.0}
