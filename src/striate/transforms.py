"""Image transforms, which prepare images as input of a network: applied in order, recorded with the model.

>>> from striate.transforms import Flip, Normalize, Resize, Transform
>>> prepare = Transform((Resize((32, 32)), Flip(0.5), Normalize((0.5,), (0.25,))))
>>> prepare.output((1, 48, 40))
(1, 32, 32)
"""

from striate.diagnostics import no_attribute, suggest
from striate.train.data.image_transforms import (
    CenterCrop,
    Channels,
    ColorJitter,
    Fit,
    Flip,
    Normalize,
    PadCrop,
    RandomErasing,
    RandomResizedCrop,
    Resize,
)
from striate.train.data.transforms import Transform

__all__ = [
    "CenterCrop",
    "Channels",
    "ColorJitter",
    "Fit",
    "Flip",
    "Normalize",
    "PadCrop",
    "RandomErasing",
    "RandomResizedCrop",
    "Resize",
    "Transform",
]

TORCHVISION = {
    "Compose": "Transform((step, step))", "Grayscale": "Channels(1)", "RandomCrop": "PadCrop(padding)",
    "RandomHorizontalFlip": "Flip(probability)", "RandomVerticalFlip": 'Flip(probability, axis="h")',
}  # fmt: skip
"""torchvision's name -> Striate's form."""


def __getattr__(name: str) -> object:
    raise no_attribute(__name__, name, TORCHVISION.get(name) or suggest(name, __all__))
