"""Setup of a training run: network, data, loss and length, checked before the first batch."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from striate.diagnostics import OpError, TrainingError, plural, setting
from striate.engine.learner import UpdateRule
from striate.network import Network, declaration_of
from striate.train.clipping import clip_norm, clip_value, global_norm
from striate.train.data import Dataset
from striate.train.data_source import Source
from striate.train.losses import LOSSES, Array, Loss
from striate.train.mixing import Mixing
from striate.train.optimizers import OPTIMIZERS, SGD, Adam, Optimizer, decayed
from striate.train.schedules import SCHEDULES, OneCycle, Plateau, Schedule, Span, StepDecay
from striate.train.settings import Settings


@dataclasses.dataclass(frozen=True)
class TrainingSetup:
    """A checked training run. span: its length in epochs and updates."""

    net: Network
    settings: Settings
    train: Source
    validation: Source | None
    loss: Loss
    span: Span

    @property
    def mixing(self) -> Mixing:
        return Mixing(self.settings.mixup, self.settings.cutmix)

    @property
    def rule(self) -> UpdateRule:
        """The update rule in plain values, for engines that update weights themselves."""
        names = {field.name for field in dataclasses.fields(UpdateRule)} & self.settings.to_dict().keys()
        names -= {"memory", "batch_size"}
        return UpdateRule(
            word=self.settings.optimizer,
            decayed=decayed(self.net.parameters),
            mixed=self.settings.amp,
            memory=self.settings.memory_bytes,
            batch_size=min(self.settings.batch_size, max(self.train.images, 1)),
            **{name: getattr(self.settings, name) for name in names},
        )

    def optimizer(self) -> Optimizer:
        """A fresh optimizer."""
        settings, rule = self.settings, OPTIMIZERS[self.settings.optimizer]
        decay, names = settings.weight_decay or 0.0, decayed(self.net.parameters)
        if issubclass(rule, SGD):
            return rule(settings.momentum, settings.nesterov, decay, names)
        assert issubclass(rule, Adam)
        return rule(settings.beta1, settings.beta2, settings.eps, decay, names)

    def schedule(self) -> Schedule:
        """A fresh schedule."""
        settings, curve = self.settings, SCHEDULES[self.settings.schedule]
        lr, final = settings.lr or 0.0, settings.final_lr
        if issubclass(curve, StepDecay):
            return curve(self.span, lr, final, settings.gamma, settings.milestones)
        if issubclass(curve, Plateau):
            return curve(self.span, lr, final, settings.gamma, settings.plateau_patience)
        return curve(self.span, lr, final)

    def clip_gradients(self, gradients: dict[str, Array]) -> float:
        """Clip gradients in place by the settings; return their norm before."""
        norm = global_norm(gradients)
        if self.settings.clip_norm:
            clip_norm(gradients, self.settings.clip_norm, norm)
        if self.settings.clip_value:
            clip_value(gradients, self.settings.clip_value)
        return norm


def set_up_training(
    net: Network, settings: Settings, train: Source, validation: Source | None
) -> TrainingSetup:
    """The setup of a run. Raises TrainingError if network, data and settings do not fit together."""
    _check_trainable(net)
    loss = make_loss(net, settings, train.data)
    _check_last_op(net, loss)
    _check_last_batch(net, train)
    for source in filter(None, (train, validation)):
        _check_shapes(net, loss, source)
    _check_classes(train.data, loss)
    updates = math.ceil(train.steps / settings.accumulate)
    one_cycle = SCHEDULES[settings.schedule] is OneCycle  # which has its own warm-up
    if settings.warmup_epochs > settings.epochs or (
        settings.warmup_epochs == settings.epochs and not one_cycle
    ):
        raise TrainingError(
            f"a warm-up of {settings.warmup_epochs:g} epochs is too long for {settings.epochs}",
            fix=f"use {setting('warmup_epochs')} below {settings.epochs}",
        )
    warmup = min(round(settings.warmup_epochs * updates), settings.epochs * updates - 1)
    if Mixing(settings.mixup, settings.cutmix) and train.data.inputs:
        raise TrainingError(
            "mixup and cutmix mix one image with another",
            where=f"{net.name} has {plural(len(net.inputs), 'input')}",
            why="it is undefined which of them to mix",
            fix="turn them off",
        )
    if Mixing(settings.mixup, settings.cutmix) and len(net.specs[net.outputs[0]].shape) != 2:
        raise TrainingError("mixup and cutmix need one output vector per image", fix="turn them off")
    return TrainingSetup(net, settings, train, validation, loss, Span(settings.epochs, updates, warmup))


def make_loss(net: Network, settings: Settings, data: Dataset) -> Loss:
    """The loss of the settings for this network and the classes of this data. Raises TrainingError."""
    weights = settings.class_weights
    factors = balanced(data) if isinstance(weights, str) else weights
    return LOSSES[settings.loss](settings.label_smoothing, factors)


OBJECTIVE = ("loss", "label_smoothing", "class_weights")
"""Settings of a run that its model keeps, because they define its outputs and their evaluation."""


def objective_of(settings: Settings, data: Dataset | None = None) -> dict[str, Any]:
    """The loss of a run in plain values, as its model keeps it; data: for balanced class weights."""
    plain = settings.to_dict()
    objective = {name: plain[name] for name in OBJECTIVE}
    if data is not None and objective["class_weights"] == "balanced":
        objective["class_weights"] = list(balanced(data))
    return objective


def _check_trainable(net: Network) -> None:
    if any(parameter.trainable for parameter in net.parameters.values()):
        return
    count = len(net.parameters)
    raise TrainingError(
        f"{net.name} cannot be trained",
        why=f"all of its {plural(count, 'parameter')} are frozen" if count else "it has no parameters",
        fix="name fewer parameters in `frozen`" if count else "add a layer with weights: fc 10",
    )


def _check_last_op(net: Network, loss: Loss) -> None:
    last = net.producers.get(net.outputs[0])
    if last is not None and any(trait in last.op.traits for trait in loss.ends_badly):
        raise TrainingError(
            f"{loss.word} needs the values before {last.op.word}",
            where=f"{last.name} = {last.op}, the end of {net.name}",
            why="the loss applies it, and applied twice it trains slowly and converges too early",
            fix=f"end the network before {last.name}; predictions and reports still give probabilities",
        )


def _check_last_batch(net: Network, train: Source) -> None:
    """Raise TrainingError if batch normalization would fail for a last batch of one image, before the first epoch."""
    if train.images % train.batch_size != 1:
        return
    what = f"the last of {plural(train.steps, 'batch', 'batches')} is a single image"
    for node in net.nodes:
        try:
            # Declared for a batch of one.
            declaration_of(node.op, *net.declarations[node.name].inputs, training=True)
        except OpError as error:
            raise TrainingError(
                what,
                where=f"{node.name} = {node.op}",
                why=f"{error.what}: {error.why}",
                fix=f"{setting('drop_last', True)}, or another {setting('batch_size')}",
            ) from None


def _check_classes(data: Dataset, loss: Loss) -> None:
    """Raise TrainingError for data of one class, or class weights that leave nothing to learn."""
    counts = list(data.counts().values())
    present = [name for name, count in data.counts().items() if count]
    if len(present) == 1:
        subject = "the only image is" if len(data) == 1 else f"all {len(data):,} images are"
        raise TrainingError(
            f"{subject} of one class, {present[0]}",
            where=data.source,
            why="a network that always predicts this class would always be right",
            fix="add images of another class",
        )
    weights = loss.class_weights
    if len(weights) == len(counts) and not any(w and n for w, n in zip(weights, counts, strict=True)):
        raise TrainingError(
            "the class weights are 0 for every class with images",
            where=f"class_weights = {','.join(f'{w:g}' for w in weights)}",
            why="no image would contribute to the gradients",
            fix=f"use weights above 0, or {setting('class_weights', 'balanced')}",
        )


def balanced(data: Dataset) -> tuple[float, ...]:
    """Weights in inverse proportion to the classes' images, 1 on average over the images."""
    counts = list(data.counts().values())
    if not all(counts):
        empty = [name for name, n in data.counts().items() if n == 0]
        raise TrainingError(
            f"class {empty[0]} has no images",
            why="balanced class weights would be infinite",
            fix="add images, or give the weights",
        )
    return tuple(sum(counts) / (len(counts) * n) for n in counts)


def _check_shapes(net: Network, loss: Loss, source: Source) -> None:
    data = source.data
    shape = source.transform.output(data.shape) if not data.inputs else ()
    if shape and shape != net.input.without_batch:
        size = f"{shape[1]}x{shape[2]}x{shape[0]}"
        raise TrainingError(
            f"{net.name} takes images of {net.input}; the data has {size}",
            where=data.source,
            why=source.transform.describe(),
            fix=f"resize the images, or declare the network with {setting('input', size)}",
        )
    output = net.specs[net.outputs[0]]
    if output.shape[1:2] and data.classes and loss.labels(output.shape[1]) != len(data.classes):
        count = len(data.classes)
        raise TrainingError(
            f"{net.name} has {plural(loss.labels(output.shape[1]), 'class', 'classes')}, but the data has {count}",
            where=data.source,
            why=f"its output {net.outputs[0]} is {output}",
            fix=f"use num_classes={count}, or data with the classes of the network",
        )
