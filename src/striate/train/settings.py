"""Settings of a training run, each declared once: TOML keys, flags, checks and documentation are derived from here.

Defaults < file < flags. A default of None means "auto": the value is derived from other settings, see `resolved`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from striate import elsewhere, fields
from striate.fields import Declared, Option, choice, choices, flag, memory, numbers
from striate.train.loggers import LOGGERS
from striate.train.losses import LOSSES
from striate.train.optimizers import OPTIMIZERS
from striate.train.schedules import SCHEDULES
from striate.units import parse_bytes

_LENGTH, _LOSS, _STEP, _RATE = "epochs and batches", "loss", "optimizer", "learning rate"
_AUGMENT, _REGULAR, _KEEP, _DEBUG = (
    "augmentation",
    "regularization",
    "model selection and checkpoints",
    "debugging",
)

count = functools.partial(fields.count, least=0)
number = functools.partial(fields.number, least=0.0)  # no setting is negative


@dataclasses.dataclass(frozen=True)
class Settings(Declared):
    """Settings of one training run, as `Model.fit` and `striate train` take them.

    docs/settings.md lists all fields with meaning, unit and limits. Raises UsageError for an invalid value.

    >>> import striate as st
    >>> st.Settings(epochs=3, lr=0.01).resolved.weight_decay
    0.01
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = elsewhere.SETTINGS

    epochs: int = count(10, "passes over the training set", _LENGTH, least=1)
    batch_size: int = count(64, "images per batch", _LENGTH, least=1)
    accumulate: int = count(1, "batches per update; their gradients are accumulated", _LENGTH, least=1)
    drop_last: bool = flag(False, "drop the last batch of an epoch if it is not full", _LENGTH)
    seed: int = count(0, "seed of all random numbers; the same seed gives the same weights", _LENGTH)

    loss: str = choice("cross_entropy", tuple(LOSSES), "loss function", _LOSS)
    label_smoothing: float = number(
        0.0, "share of the target that is spread evenly over all classes", _LOSS, below=1.0
    )
    class_weights: tuple[float, ...] | str = numbers(
        (), "one factor per class, or balanced: rare classes count more", _LOSS, also=("balanced",)
    )

    optimizer: str = choice("adamw", tuple(OPTIMIZERS), "update rule", _STEP)
    momentum: float = number(0.9, "momentum of sgd", _STEP, below=1.0)
    nesterov: bool = flag(True, "Nesterov momentum for sgd", _STEP)
    beta1: float = number(0.9, "decay rate of the mean gradient (adam, adamw)", _STEP, below=1.0)
    beta2: float = number(0.999, "decay rate of the mean squared gradient (adam, adamw)", _STEP, below=1.0)
    eps: float = number(1e-8, "added to the denominator of the update (adam, adamw)", _STEP, above=0.0)
    weight_decay: float | None = number(
        None, "weight decay; biases and normalization parameters are exempt", _STEP, auto=True
    )
    clip_norm: float = number(0.0, "maximum norm of the gradient of all parameters; 0: no limit", _STEP)
    clip_value: float = number(0.0, "maximum absolute value of a gradient's elements; 0: no limit", _STEP)
    amp: bool = flag(False, "mixed precision: 16-bit arithmetic where it is safe (torch engine)", _STEP)

    memory: str = memory(
        "",
        "memory budget of a training step including the weights, such as 2GB; values that do not fit are "
        "recomputed; empty: no limit",
        _STEP,
        as_text=True,
    )

    lr: float | None = number(None, "peak learning rate", _RATE, above=0.0, auto=True)
    schedule: str = choice("cosine", tuple(SCHEDULES), "schedule of the learning rate", _RATE)
    warmup_epochs: float = number(0.0, "epochs of linear warm-up from 0", _RATE)
    final_lr: float = number(0.0, "learning rate at the end of a decaying schedule", _RATE)
    gamma: float = number(0.1, "factor of each decay (step, plateau)", _RATE, above=0.0, most=1.0)
    milestones: tuple[float, ...] = numbers(
        (), "epochs at which the rate decays (step); empty: at one half and three quarters", _RATE
    )
    plateau_patience: int = count(5, "epochs without improvement before a decay (plateau)", _RATE)

    pad_crop: int = count(0, "pixels of padding before a random crop to the original size", _AUGMENT)
    flip: float = number(0.0, "probability of a left-right flip", _AUGMENT, most=1.0)
    resized_crop: bool = flag(False, "random crops of random size and aspect ratio, resized", _AUGMENT)
    jitter: float = number(
        0.0, "strength of random brightness, contrast, saturation and hue", _AUGMENT, most=1.0
    )
    erasing: float = number(0.0, "probability of erasing a random box", _AUGMENT, most=1.0)
    mixup: float = number(0.0, "alpha of mixup, which blends two images; 0: off", _AUGMENT)
    cutmix: float = number(0.0, "alpha of CutMix, which pastes one image into another; 0: off", _AUGMENT)
    ema: float = number(
        0.0, "decay rate of the moving average of the weights, such as 0.999; 0: off", _REGULAR, below=1.0
    )
    auxiliary: float = number(0.3, "weight of the loss of every output after the first", _REGULAR)

    monitor: str = choice(
        "auto", ("auto", "accuracy", "loss"), "validation metric that decides which epoch is best", _KEEP
    )
    keep: str = choice("best", ("best", "last"), "epoch whose weights become the result", _KEEP)
    patience: int = count(0, "epochs without improvement before early stopping; 0: never stop early", _KEEP)
    min_delta: float = number(0.0, "smallest change that counts as improvement", _KEEP)
    checkpoint_steps: int = count(0, "updates between checkpoints within an epoch; 0: by time only", _KEEP)
    checkpoint_minutes: float = number(5.0, "minutes between checkpoints within an epoch; 0: none", _KEEP)
    worst: int = count(20, "number of images with the largest losses listed in report.json", _KEEP)
    log: tuple[str, ...] = choices((), tuple(LOGGERS), "loggers, each if installed", _KEEP)

    fast_dev_run: bool = flag(False, "train and validate on one batch, to test the setup", _DEBUG)
    overfit_batches: int = count(
        0,
        "train and validate on this many batches only, to test whether the network can overfit; 0: off",
        _DEBUG,
    )

    def replace(self, values: Mapping[str, Any], where: str = "settings") -> Settings:
        """The same with other values of TOML, JSON or Python, by name; where: the place that an error names.

        Raises UnknownNameError with the nearest name, UsageError with what a field takes.
        """
        return self.with_values(values, where)

    def replace_flags(self, texts: Mapping[str, Any]) -> Settings:
        """The same with the values of flags: texts, numbers or booleans; None means that a flag was not given."""
        values = {name: value for name, value in texts.items() if value is not None}
        return self.with_values(values, "striate train", texts=True)

    @property
    def memory_bytes(self) -> int:
        """The budget `memory` in bytes; 0: no limit."""
        return parse_bytes(self.memory) if self.memory else 0

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

    @property
    def monitors_accuracy(self) -> bool:
        """Whether the validation accuracy decides which epoch is best, or else the loss."""
        return self.monitor == "accuracy" or (self.monitor == "auto" and self.loss != "mean_squared_error")


def options() -> Iterator[Option]:
    """Every setting of training: flags, pages and completions are made from these."""
    return fields.options(Settings)
