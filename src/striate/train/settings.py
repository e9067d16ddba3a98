"""Settings of a training run, each declared once: TOML keys, flags, checks and documentation are derived from here.

Defaults < file < flags. A field's default is what it says unless it is None ("auto"): then it follows from the others,
and `resolved` says which value that is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from striate.diagnostics import UnknownNameError, UsageError, suggest
from striate.train.fields import (
    Unsuited,
    choice,
    expected,
    flag,
    memory,
    number,
    numbers,
    read,
    read_text,
    whole,
    words,
    written,
)
from striate.train.loggers import LOGGERS
from striate.train.losses import LOSSES
from striate.train.optimizers import OPTIMIZERS
from striate.train.schedules import SCHEDULES

_LENGTH, _LOSS, _STEP, _RATE = "length", "loss", "steps", "learning rate"
_AUGMENT, _REGULAR, _KEEP, _DEBUG = "augmentation", "regularization", "keeping", "trying out"

ELSEWHERE = {"learning_rate": "lr", "max_lr": "lr", "validation_data": "validation", "val_data": "validation"}
"""Names that other tools use for a setting, or for an argument of `fit`."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of one training run, as `Model.fit` and `striate train` take them.

    Each field has its meaning, its unit and its limits in its declaration; docs/settings.md lists them.
    Raises UsageError for a value that a setting does not take.

    >>> import striate as st
    >>> st.Settings(epochs=3, lr=0.01).resolved.weight_decay
    0.01
    """

    epochs: int = whole(10, "passes over the training set", _LENGTH, least=1)
    batch_size: int = whole(64, "images in one forward pass", _LENGTH, least=1)
    accumulate: int = whole(1, "batches whose gradients are accumulated for one update", _LENGTH, least=1)
    drop_last: bool = flag(False, "leave out a last batch that is not full", _LENGTH)
    seed: int = whole(0, "start of every random choice; the same seed gives the same weights", _LENGTH)

    loss: str = choice("cross_entropy", tuple(LOSSES), "loss that training minimizes", _LOSS)
    label_smoothing: float = number(
        0.0, "share of a target that is distributed over all classes", _LOSS, below=1.0
    )
    class_weights: tuple[float, ...] | str = numbers(
        (), "one factor per class, or balanced: rare classes weigh more", _LOSS, also=("balanced",)
    )

    optimizer: str = choice("adamw", tuple(OPTIMIZERS), "update rule", _STEP)
    momentum: float = number(0.9, "share of the last step that sgd keeps", _STEP, below=1.0)
    nesterov: bool = flag(True, "sgd looks ahead along its momentum", _STEP)
    beta1: float = number(0.9, "decay of the mean gradient (adam, adamw)", _STEP, below=1.0)
    beta2: float = number(0.999, "decay of the mean squared gradient (adam, adamw)", _STEP, below=1.0)
    eps: float = number(1e-8, "added to the root of the mean square (adam, adamw)", _STEP, above=0.0)
    weight_decay: float | None = number(
        None, "decay of weights towards 0; biases and norms are exempt", _STEP
    )
    clip_norm: float = number(0.0, "maximum norm of the gradient of all parameters; 0: no limit", _STEP)
    clip_value: float = number(0.0, "maximum absolute entry of a gradient; 0: no limit", _STEP)
    amp: bool = flag(False, "mixed precision: 16-bit arithmetic where it is safe (torch engine)", _STEP)

    memory: str = memory(
        "",
        "memory budget of a step with its weights, such as 2GB: values beyond it are recomputed; empty: no limit",
        _STEP,
    )

    lr: float | None = number(None, "highest learning rate", _RATE, above=0.0)
    schedule: str = choice("cosine", tuple(SCHEDULES), "schedule of the learning rate", _RATE)
    warmup_epochs: float = number(0.0, "epochs of linear warm-up from 0", _RATE)
    final_lr: float = number(0.0, "final learning rate of a falling schedule", _RATE)
    gamma: float = number(0.1, "factor of a drop (step, plateau)", _RATE, above=0.0, most=1.0)
    milestones: tuple[float, ...] = numbers(
        (), "epochs of the drops (step); empty: at half and three quarters", _RATE
    )
    plateau_patience: int = whole(5, "epochs without progress before a drop (plateau)", _RATE)

    pad_crop: int = whole(0, "pixels of padding before a crop of the old size", _AUGMENT)
    flip: float = number(0.0, "share of images that are mirrored left to right", _AUGMENT, most=1.0)
    resized_crop: bool = flag(False, "crops of random size and shape, resized", _AUGMENT)
    jitter: float = number(
        0.0, "strength of random brightness, contrast, saturation and hue", _AUGMENT, most=1.0
    )
    erasing: float = number(0.0, "share of images that lose a random box", _AUGMENT, most=1.0)
    mixup: float = number(0.0, "strength of blending two images; 0: off", _AUGMENT)
    cutmix: float = number(0.0, "strength of pasting one image into another; 0: off", _AUGMENT)
    ema: float = number(
        0.0, "decay of the moving average of the weights, such as 0.999; 0: off", _REGULAR, below=1.0
    )
    auxiliary: float = number(0.3, "weight of the loss of every output after the first", _REGULAR)

    monitor: str = choice("auto", ("auto", "accuracy", "loss"), "what makes an epoch the best", _KEEP)
    keep: str = choice("best", ("best", "last"), "epoch whose weights are the result", _KEEP)
    patience: int = whole(0, "epochs without progress before stopping early; 0: never", _KEEP)
    min_delta: float = number(0.0, "smallest change that counts as progress", _KEEP)
    checkpoint_steps: int = whole(0, "updates between checkpoints within an epoch; 0: by time alone", _KEEP)
    checkpoint_minutes: float = number(5.0, "minutes between checkpoints within an epoch; 0: none", _KEEP)
    worst: int = whole(20, "images with the largest losses in report.json", _KEEP)
    log: tuple[str, ...] = words((), tuple(LOGGERS), "loggers, each if installed", _KEEP)

    fast_dev_run: bool = flag(False, "one batch of everything, to try out the setup", _DEBUG)
    overfit_batches: int = whole(0, "overfit this many batches and validate on them; 0: off", _DEBUG)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                object.__setattr__(self, field.name, read(value, field.metadata))
            except Unsuited as problem:
                raise unsuited(field.name, value, problem, "settings") from None

    def replace(self, values: Mapping[str, Any], where: str = "settings") -> Settings:
        """The same with other values of TOML, JSON or Python, by name; where: the place that an error names.

        Raises UnknownNameError with the nearest name, UsageError with what a field takes.
        """
        return self._with(values, where, read)

    def replace_flags(self, texts: Mapping[str, Any]) -> Settings:
        """The same with what flags said: texts, numbers or truth values; None means that a flag was not given."""
        given = {name: value for name, value in texts.items() if value is not None}
        return self._with(
            given, "flags", lambda v, meta: read_text(v, meta) if isinstance(v, str) else read(v, meta)
        )

    def _with(self, values: Mapping[str, Any], where: str, reader: Any) -> Settings:
        fields = {field.name: field for field in dataclasses.fields(self)}
        changes = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in fields:
                other = ELSEWHERE.get(name, "")
                near = suggest(name, fields) or (other if other in fields or where == "settings" else "")
                raise UnknownNameError(
                    f"no such setting: {key}",
                    where=where,
                    why="" if near else f"the settings are {', '.join(fields)}",
                    fix=f"did you mean {near}?" if near else f"remove {key}",
                )
            try:
                changes[name] = reader(value, fields[name].metadata)
            except Unsuited as problem:
                raise unsuited(key, value, problem, where) from None
        return dataclasses.replace(self, **changes)

    @property
    def resolved(self) -> Settings:
        """The same with a value for every "auto"."""
        rule = OPTIMIZERS[self.optimizer]
        changes: dict[str, Any] = {
            "lr": rule.usual_lr if self.lr is None else self.lr,
            "weight_decay": rule.usual_decay if self.weight_decay is None else self.weight_decay,
        }
        if self.fast_dev_run:
            changes |= {"epochs": 1, "warmup_epochs": 0.0}
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def toml(self) -> str:
        """All settings as lines of TOML, each with what it means."""
        lines: list[str] = []
        group = ""
        for option in options():
            if option.group != group:
                group = option.group
                lines += [""] * bool(lines) + [f"# {group}"]
            line = f"{option.name} = {written(getattr(self, option.name))}"
            lines.append(f"{line:<32} # {option.doc}")
        return "\n".join(lines) + "\n"


@dataclasses.dataclass(frozen=True)
class Option:
    """One setting as the command line and the documentation see it. takes: its values in words."""

    name: str
    kind: str
    default: Any
    doc: str
    group: str
    takes: str
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def shown(self) -> str:
        """Its default as typed on the command line."""
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default)) or "none"
        return written(self.default).strip('"')


def declared(cls: Any) -> Iterator[Option]:
    """Every setting that a dataclass declares, in order."""
    for field in dataclasses.fields(cls):
        meta = field.metadata
        doc, group, choices = meta["doc"], meta["group"], meta.get("options", ())
        yield Option(field.name, meta["kind"], field.default, doc, group, expected(meta), choices)


def options() -> Iterator[Option]:
    """Every setting of training: flags, pages and completions are made from these."""
    return declared(Settings)


def unsuited(name: str, value: Any, problem: Unsuited, where: str) -> UsageError:
    """The error for a value that a setting does not accept."""
    shown = repr(value)
    return UsageError(
        f"{name} = {shown if len(shown) <= 40 else shown[:37] + '…'} is not allowed",
        where=where,
        why=f"{name} takes {problem}",
        fix=f"did you mean {problem.near}?" if problem.near else f"correct it, or leave {name} out",
    )
