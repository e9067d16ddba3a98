"""The settings of a run as keywords of `Model.fit`, for editors and type checkers.

The declaration is `striate.train.settings.Settings`, where each says what it does; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict


class FitSettings(TypedDict, total=False):
    """Every setting of `striate.train.settings.Settings` but `epochs`, which `fit` names itself."""

    batch_size: int
    accumulate: int
    drop_last: bool
    seed: int
    loss: Literal["cross_entropy", "binary_cross_entropy", "mean_squared_error"]
    label_smoothing: float
    class_weights: Sequence[float] | Literal["balanced"]
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: float
    nesterov: bool
    beta1: float
    beta2: float
    eps: float
    weight_decay: float | None
    clip_norm: float
    clip_value: float
    amp: bool
    memory: str | int
    lr: float | None
    schedule: Literal["constant", "step", "cosine", "onecycle", "plateau"]
    warmup_epochs: float
    final_lr: float
    gamma: float
    milestones: Sequence[float]
    plateau_patience: int
    pad_crop: int
    flip: float
    resized_crop: bool
    jitter: float
    erasing: float
    mixup: float
    cutmix: float
    ema: float
    auxiliary: float
    monitor: Literal["auto", "accuracy", "loss"]
    keep: Literal["best", "last"]
    patience: int
    min_delta: float
    checkpoint_steps: int
    checkpoint_minutes: float
    worst: int
    log: Sequence[Literal["tensorboard", "wandb", "mlflow"]]
    fast_dev_run: bool
    overfit_batches: int
