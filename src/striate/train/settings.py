"""Settings of a training run, each declared once: TOML keys, flags, checks and documentation are derived from here.

Defaults < file < flags. A field's default is what it says unless it is None ("auto"): then it follows from the others,
and `resolved` says which value that is.
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

_LENGTH, _LOSS, _STEP, _RATE = "length", "loss", "steps", "learning rate"
_AUGMENT, _REGULAR, _KEEP, _DEBUG = "augmentation", "regularization", "keeping", "trying out"

count = functools.partial(fields.count, least=0)
number = functools.partial(fields.number, least=0.0)  # no setting is negative


@dataclasses.dataclass(frozen=True)
class Settings(Declared):
    """The settings of one training run, as `Model.fit` and `striate train` take them.

    Each field has its meaning, its unit and its limits in its declaration; docs/settings.md lists them.
    Raises UsageError for a value that a setting does not take.

    >>> import striate as st
    >>> st.Settings(epochs=3, lr=0.01).resolved.weight_decay
    0.01
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = elsewhere.SETTINGS

    epochs: int = count(10, "passes over the training set", _LENGTH, least=1)
    batch_size: int = count(64, "images in one forward pass", _LENGTH, least=1)
    accumulate: int = count(1, "batches whose gradients are accumulated for one update", _LENGTH, least=1)
    drop_last: bool = flag(False, "leave out a last batch that is not full", _LENGTH)
    seed: int = count(0, "start of every random choice; the same seed gives the same weights", _LENGTH)

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
        None, "decay of weights towards 0; biases and norms are exempt", _STEP, auto=True
    )
    clip_norm: float = number(0.0, "maximum norm of the gradient of all parameters; 0: no limit", _STEP)
    clip_value: float = number(0.0, "maximum absolute entry of a gradient; 0: no limit", _STEP)
    amp: bool = flag(False, "mixed precision: 16-bit arithmetic where it is safe (torch engine)", _STEP)

    memory: str = memory(
        "",
        "memory budget of a step with its weights, such as 2GB: values beyond it are recomputed; empty: no limit",
        _STEP,
        as_text=True,
    )

    lr: float | None = number(None, "highest learning rate", _RATE, above=0.0, auto=True)
    schedule: str = choice("cosine", tuple(SCHEDULES), "schedule of the learning rate", _RATE)
    warmup_epochs: float = number(0.0, "epochs of linear warm-up from 0", _RATE)
    final_lr: float = number(0.0, "final learning rate of a falling schedule", _RATE)
    gamma: float = number(0.1, "factor of a drop (step, plateau)", _RATE, above=0.0, most=1.0)
    milestones: tuple[float, ...] = numbers(
        (), "epochs of the drops (step); empty: at half and three quarters", _RATE
    )
    plateau_patience: int = count(5, "epochs without progress before a drop (plateau)", _RATE)

    pad_crop: int = count(0, "pixels of padding before a crop of the old size", _AUGMENT)
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
    patience: int = count(0, "epochs without progress before stopping early; 0: never", _KEEP)
    min_delta: float = number(0.0, "smallest change that counts as progress", _KEEP)
    checkpoint_steps: int = count(0, "updates between checkpoints within an epoch; 0: by time alone", _KEEP)
    checkpoint_minutes: float = number(5.0, "minutes between checkpoints within an epoch; 0: none", _KEEP)
    worst: int = count(20, "images with the largest losses in report.json", _KEEP)
    log: tuple[str, ...] = choices((), tuple(LOGGERS), "loggers, each if installed", _KEEP)

    fast_dev_run: bool = flag(False, "one batch of everything, to try out the setup", _DEBUG)
    overfit_batches: int = count(0, "overfit this many batches and validate on them; 0: off", _DEBUG)

    def replace(self, values: Mapping[str, Any], where: str = "settings") -> Settings:
        """The same with other values of TOML, JSON or Python, by name; where: the place that an error names.

        Raises UnknownNameError with the nearest name, UsageError with what a field takes.
        """
        return self.with_values(values, where)

    def replace_flags(self, texts: Mapping[str, Any]) -> Settings:
        """The same with what flags said: texts, numbers or truth values; None means that a flag was not given."""
        given = {name: value for name, value in texts.items() if value is not None}
        return self.with_values(given, "flags", texts=True)

    @property
    def memory_bytes(self) -> int:
        """What `memory` allows; 0: any."""
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


def options() -> Iterator[Option]:
    """Every setting of training: flags, pages and completions are made from these."""
    return fields.options(Settings)
