"""Images and labels from wherever they are: readers that say what they found, seeded order, recorded transformations.

Nothing read here is executed, unpacked to disk or trusted: every size is checked before memory is asked for.
Parts load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "ArrayData": "arrays",
    "Batch": "dataset",
    "DataReport": "check",
    "DataSplits": "splits",
    "Dataset": "dataset",
    "Transform": "transforms",
    "check_data": "check",
    "Suited": "suiting",
    "load_image": "images",
    "open_data": "opening",
    "suit": "suiting",
}

__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from striate.train.data.arrays import ArrayData as ArrayData
    from striate.train.data.check import DataReport as DataReport
    from striate.train.data.check import check_data as check_data
    from striate.train.data.dataset import Batch as Batch
    from striate.train.data.dataset import Dataset as Dataset
    from striate.train.data.images import load_image as load_image
    from striate.train.data.opening import open_data as open_data
    from striate.train.data.splits import DataSplits as DataSplits
    from striate.train.data.suiting import Suited as Suited
    from striate.train.data.suiting import suit as suit
    from striate.train.data.transforms import Transform as Transform


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'striate.train.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"striate.train.data.{_PUBLIC[name]}"), name)
