"""A transformation: steps in order, from images as stored to the network's input; recorded with the model.

The random draws for an image depend only on its key (splitmix.py), so that the same epoch gives bit-identical pixels in
any batch and on any thread.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.diagnostics import FormatError, UnknownNameError, suggest
from striate.formats.recorded_steps import word_of
from striate.signatures import ExplainMisuse
from striate.train.data import image_transforms, splitmix
from striate.train.data.dataset import Array, Shape, stack, to_float
from striate.train.data.image_transforms import (
    Channels,
    ColorJitter,
    Fit,
    Flip,
    ImageTransform,
    Normalize,
    PadCrop,
    RandomErasing,
    RandomResizedCrop,
)

#: word -> step, found in image_transforms.py: adding a step edits no list.
STEPS: Mapping[str, type[ImageTransform]] = types.MappingProxyType(
    {
        member.word: member
        for _, member in inspect.getmembers(image_transforms, inspect.isclass)
        if issubclass(member, ImageTransform) and member is not ImageTransform
    }
)


@dataclasses.dataclass(frozen=True)
class Transform(metaclass=ExplainMisuse):
    """Steps in order, to be called with images (N, C, H, W) or a list of (C, H, W) of any sizes.

    steps: each is a class of `striate.transforms`. white: the whole number that is 1 where pixels are whole numbers;
    0: they are not, or it is unknown.
    """

    steps: tuple[ImageTransform, ...] = ()
    white: int = 0

    def __call__(
        self, images: Sequence[Array] | Array, keys: splitmix.Keys | None = None
    ) -> NDArray[np.float32]:
        """float32 (N, C, H, W). keys: one per image, for random steps; by default all are 0."""
        if keys is None:
            keys = np.zeros(len(images), np.uint64)
        if isinstance(images, np.ndarray):
            return self._run(images, keys)
        if len({(image.shape, image.dtype) for image in images}) == 1:
            return self._run(np.stack(images), keys)
        arrays = [self._run(image[None], keys[n : n + 1])[0] for n, image in enumerate(images)]
        return to_float(stack(arrays))

    def _run(self, x: Array, keys: splitmix.Keys) -> NDArray[np.float32]:
        x = np.ascontiguousarray(x)  # the last bit of a sum depends on the layout
        for place, step in enumerate(self.steps):
            x = step(x, splitmix.uniform(keys, place, step.draws) if step.draws else np.empty((len(x), 0)))
        return np.ascontiguousarray(to_float(x))

    @property
    def random(self) -> bool:
        """True if any step is random."""
        return any(step.draws for step in self.steps)

    @property
    def normalize(self) -> Normalize | None:
        """The step with mean and standard deviation, or None."""
        return next((step for step in self.steps if isinstance(step, Normalize)), None)

    @property
    def pixelwise(self) -> Transform:
        """The steps that are independent of the size: normalization and channels."""
        steps = tuple(step for step in self.steps if isinstance(step, Normalize | Channels))
        return dataclasses.replace(self, steps=steps)

    def takes(self, shape: Shape, target: Shape) -> bool:
        """True if the output for an image of `shape` (C, H, W) has shape `target`."""
        try:
            return self.output(shape) == target
        except FormatError:
            return False

    def for_arrays(self, shape: Shape, target: Shape) -> Transform:
        """The transformation of arrays of images (C, H, W): only the normalization, if they have the network's size."""
        return self.pixelwise if self.pixelwise.takes(shape, target) else self

    def output(self, shape: Shape) -> Shape:
        """The output shape for an image of `shape` (C, H, W). Raises FormatError if a step cannot take it."""
        for step in self.steps:
            shape = step.output(shape)
        return shape

    def describe(self) -> str:
        """The steps on one line."""
        return " -> ".join(str(step) for step in self.steps) or "pixels in [0, 1], unchanged"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and TOML."""
        steps = [{"step": step.word, **_plain(dataclasses.asdict(step))} for step in self.steps]
        return {"steps": steps, **({"white": self.white} if self.white else {})}

    @classmethod
    def from_dict(cls, data: Any) -> Transform:
        """The inverse of to_dict. Raises FormatError and UnknownNameError with the place."""
        inputs = data.get("inputs") if isinstance(data, Mapping) else None
        if isinstance(inputs, Mapping):
            return ByInput(inputs=tuple((str(name), cls._in_order(one)) for name, one in inputs.items()))
        return cls._in_order(data)

    @staticmethod
    def _in_order(data: Any) -> Transform:
        """The transformation of one input."""
        entries = data.get("steps") if isinstance(data, Mapping) else None
        if not isinstance(entries, list | tuple):
            raise FormatError(
                "no transformation is recorded",
                where="transform",
                why='expected {"steps": [...]}',
                fix='{"steps": [{"step": "normalize", "mean": [0.5], "std": [0.5]}]}, with one number per channel',
            )
        white = data.get("white", 0)
        steps = tuple(_step(entry, f"transform, step {n}") for n, entry in enumerate(entries, 1))
        return Transform(steps, white if isinstance(white, int) and not isinstance(white, bool) else 0)

    @classmethod
    def standard(
        cls,
        shape: Shape,
        target: Shape,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        train: bool = False,
        uniform: bool = True,
        white: int = 0,
        **augmentation: Any,
    ) -> Transform:
        """The usual steps from images of `shape` to a network's `target` (C, H, W); random steps only with `train`.

        mean, std: of the images as stored, one per channel of `shape`. uniform=False: sizes differ, always resize.
        """
        steps: list[ImageTransform] = []
        if not uniform or shape[1:] != target[1:]:
            steps.append(Fit(target[1:]))
        steps.append(Normalize(tuple(map(float, mean)), tuple(map(float, std))))
        if shape[0] != target[0]:
            steps.append(Channels(target[0]))
        transform = cls(tuple(steps), white)
        transform.output(shape)
        return transform.augmented(shape, target, **augmentation) if train else transform

    def augmented(
        self,
        shape: Shape,
        target: Shape,
        *,
        pad_crop: int = 0,
        flip: float = 0.0,
        resized_crop: bool = False,
        jitter: float = 0.0,
        erasing: float = 0.0,
    ) -> Transform:
        """Add random steps: a random crop instead of the resize, erasing last, the others before normalization.

        shape, target: (C, H, W) of the images, and of the network's input.
        """
        at = next((n for n, step in enumerate(self.steps) if isinstance(step, Normalize)), len(self.steps))
        before, after = list(self.steps[:at]), self.steps[at:]
        if resized_crop:
            conversions = [step for step in before if isinstance(step, Channels)]
            before = [RandomResizedCrop(target[1:]), *conversions]
        channels = Transform(tuple(before)).output(shape)[0]
        if pad_crop:
            before.append(PadCrop(pad_crop))
        if flip:
            before.append(Flip(flip))
        if jitter:
            before.append(ColorJitter(jitter, jitter, jitter, jitter / 4 if channels == 3 else 0.0))
        result = Transform((*before, *after, *([RandomErasing(erasing)] if erasing else [])), self.white)
        result.output(shape)
        return result

    def fit_to(self, shape: Shape, target: Shape, uniform: bool = True) -> tuple[Transform, tuple[str, ...]]:
        """Adapt the transformation to images of `shape` and a network of input `target`; with notes about added steps.

        shape, target: (C, H, W). uniform=False: the images differ in size, and `shape` is one of them. Raises
        FormatError if mean and std are missing, or the channels cannot be converted.
        """
        if self.normalize is None:
            raise FormatError(
                "the model's transformation has no mean and std",
                where="transform",
                why=f"it is {self.describe()}; the scale of the training pixels was not recorded",
                fix='add {"step": "normalize", "mean": [0.0], "std": [1.0]} with the values from training',
            )
        steps: list[ImageTransform] = []
        notes = []
        channels = self._takes(shape[0], target[0])
        if channels != shape[0]:
            steps.append(Channels(channels))
            Channels(channels).output(shape)
            notes.append("gray repeated to every channel" if shape[0] == 1 else "color converted to gray")
        transform = Transform((*steps, *self.steps), self.white)
        sizes = [shape[1:]] if uniform else [shape[1:], (1, 1), (1 << 20, 1 << 20)]
        if not all(transform._gives((shape[0], *size), target[1:]) for size in sizes):
            transform = Transform((Fit(target[1:]), *transform.steps), self.white)
            old = f"{shape[1]}x{shape[2]}" if uniform else "images of several sizes"
            notes.append(f"{old} resized to {target[1]}x{target[2]}")
        result = transform.output(shape)
        if result != target:
            raise FormatError(
                f"the transformation gives {_text(result)}, but the network takes {_text(target)}",
                where="transform",
                why=transform.describe(),
                fix=f"use a transformation that ends in {_text(target)}, or a network with the other input size",
            )
        return transform, tuple(notes)

    def _gives(self, shape: Shape, size: tuple[int, int]) -> bool:
        """True if the output for an image of `shape` has this height and width."""
        try:
            return self.output(shape)[1:] == size
        except FormatError:  # too small for a crop
            return False

    def _takes(self, channels: int, target: int) -> int:
        """The number of input channels that gives `target` channels: `channels` itself if possible."""
        for count in (channels, target, len(self.normalize.mean) if self.normalize else target):
            try:
                if self.output((count, 1 << 20, 1 << 20))[0] == target:
                    return count
            except FormatError:
                continue
        return target


@dataclasses.dataclass(frozen=True)
class ByInput(Transform):
    """One transformation for each of several inputs. Random draws are the same for all inputs of a row."""

    inputs: tuple[tuple[str, Transform], ...] = ()

    def __call__(self, images: Any, keys: splitmix.Keys | None = None) -> Any:
        """Name -> float32 (N, …), of rows {name: array} or of arrays by name."""
        if not isinstance(images, Mapping):
            images = {name: stack([row[name] for row in images]) for name, _ in self.inputs}
        return {name: transform(images[name], keys) for name, transform in self.inputs}

    @property
    def random(self) -> bool:
        return any(transform.random for _, transform in self.inputs)

    def describe(self) -> str:
        return "; ".join(
            f"{name}: {transform.describe() if transform.steps else 'as it is'}"
            for name, transform in self.inputs
        )

    @property
    def whites(self) -> dict[str, int]:
        """`white` of each input."""
        return {name: transform.white for name, transform in self.inputs}

    def to_dict(self) -> dict[str, Any]:
        return {"inputs": {name: transform.to_dict() for name, transform in self.inputs}}


def _text(shape: Shape) -> str:
    return f"{shape[1]}x{shape[2]}x{shape[0]}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _step(entry: Any, where: str) -> ImageTransform:
    word = word_of(entry)
    if not isinstance(word, str) or word not in STEPS:
        nearest = suggest(str(word), STEPS)
        raise UnknownNameError(
            f"there is no step {word!r}",
            where=where,
            why=f"steps are {', '.join(sorted(STEPS))}",
            fix=f"did you mean {nearest}?" if nearest else "use one of these",
        )
    kind = STEPS[word]
    hints = {field.name: typing.get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}
    values = {key: value for key, value in entry.items() if key != "step"}
    for key in values.keys() - hints.keys():
        nearest = suggest(key, hints)
        fix = f"did you mean {nearest}?" if nearest else f"one of {', '.join(hints)}"
        raise UnknownNameError(f"{word} has no setting {key!r}", where=where, fix=fix)
    settings = {key: _value(value, hints[key], f"{where}, {key}") for key, value in values.items()}
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name not in settings
    ]
    if missing:
        raise FormatError(
            f"{word} needs {' and '.join(missing)}", where=where, fix=f"add {', '.join(missing)}"
        )
    try:
        return kind(**settings)
    except FormatError as error:
        error.where = where
        raise


def _value(value: Any, hint: Any, where: str) -> Any:
    """Convert `value` to the type of the field. Raises FormatError."""
    if hint in (int, float, str):
        if isinstance(value, hint) and not isinstance(value, bool):
            return value
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, list | tuple):
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) == len(value):
            return tuple(_value(part, kind, where) for part, kind in zip(value, kinds))
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    article = "an" if name == "int" else "a"
    raise FormatError(f"{value!r} is not {article} {name}", where=where, fix=f"a value of type {name}")
