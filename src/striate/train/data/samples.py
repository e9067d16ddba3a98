"""Real images inside the packages of the `[samples]` extra: nothing is downloaded, nothing is imported.

digits    1,797 handwritten digits 8x8 (UCI optical recognition, in scikit-learn); every third is the test
textures  32x32 crops of photographs of brick, grass and gravel 512x512 (scikit-image); the test is the right halves
faces     100 faces and 100 other crops 25x25 of Labeled Faces in the Wild (scikit-image); every fourth is the test
"""

from __future__ import annotations

import gzip
import importlib.util
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from striate.diagnostics import FormatError, MissingExtraError, SourceError
from striate.extras import install_command
from striate.train.data.arrays import ArrayData
from striate.train.data.bounded_reads import read_whole
from striate.train.data.dataset import Array, Dataset, Subset
from striate.train.data.images import load_image
from striate.train.data.splits import TEST, TRAIN, VALIDATION

CROP = 32
TEXTURES = ("brick", "grass", "gravel")


def digits() -> dict[str, Dataset]:
    """Values 0..16 become [0, 1]. Writers are shared between the parts."""
    raw = read_whole(_inside("sklearn", "datasets/data/digits.csv.gz"), 1 << 24, "the digits")
    table = np.loadtxt(io.BytesIO(gzip.decompress(raw)), delimiter=",")
    if table.shape != (1797, 65):
        raise FormatError(
            f"the digits of scikit-learn have shape {table.shape}", fix="pip install -U scikit-learn"
        )
    x = (table[:, :64].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    data = ArrayData(
        x, table[:, 64], kind="digits (scikit-learn, handwritten)", naming=lambda index: f"digits/{index:04d}"
    )
    return _every(data, 3, "every third")


def textures() -> dict[str, Dataset]:
    """Crops for training overlap (every 16 pixels), those of validation and test do not; no two parts share a pixel."""
    photos = [load_image(_inside("skimage", f"data/{name}.png"), 1)[0] for name in TEXTURES]
    half = photos[0].shape[2] // 2
    low = photos[0].shape[1] * 3 // 4
    areas = {
        TRAIN: (slice(0, low), slice(0, half), CROP // 2, "upper three quarters of the left halves"),
        VALIDATION: (slice(low, None), slice(0, half), CROP, "lowest quarter of the left halves"),
        TEST: (slice(0, None), slice(half, None), CROP, "right halves"),
    }
    parts: dict[str, Dataset] = {}
    for part, (rows, columns, step, words) in areas.items():
        cut = [crops(photo[0, rows, columns], step) for photo in photos]
        labels = np.repeat(np.arange(len(cut)), [len(crop) for crop in cut])
        parts[part] = ArrayData(
            np.concatenate(cut)[:, None],
            labels,
            TEXTURES,
            kind="textures (scikit-image, photographs)",
            part=f"{part}: {words}",
            naming=lambda index, part=part: f"textures/{part}#{index}",  # type: ignore[misc]
        )
    return parts


def faces() -> dict[str, Dataset]:
    """A person may be in both parts."""
    raw = read_whole(_inside("skimage", "data/lfw_subset.npy"), 1 << 24, "the faces")
    x = np.load(io.BytesIO(raw), allow_pickle=False)
    if x.shape != (200, 25, 25):
        raise FormatError(
            f"the faces of scikit-image have shape {x.shape}", fix="pip install -U scikit-image"
        )
    data = ArrayData(
        x.astype(np.float32),
        np.repeat([0, 1], 100),
        ("face", "other"),
        kind="faces (scikit-image, Labeled Faces in the Wild)",
        naming=lambda index: f"faces/{index:03d}",
    )
    return _every(data, 4, "every fourth")


#: name -> its parts
SAMPLES: Mapping[str, Callable[[], dict[str, Dataset]]] = {
    "digits": digits,
    "textures": textures,
    "faces": faces,
}


def crops(photo: Array, step: int) -> Array:
    """(N, CROP, CROP) of a photograph (H, W), every `step` pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (CROP, CROP))[::step, ::step]
    return windows.reshape(-1, CROP, CROP)


def _every(data: Dataset, step: int, words: str) -> dict[str, Dataset]:
    last = np.arange(len(data)) % step == step - 1
    return {
        TRAIN: Subset(data, np.flatnonzero(~last), f"{TRAIN}: all but {words}"),
        TEST: Subset(data, np.flatnonzero(last), f"{TEST}: {words}"),
    }


def _inside(package: str, file: str) -> Path:
    """A file of an installed package, without importing it. Raises MissingExtraError, SourceError."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = {"sklearn": "scikit-learn", "skimage": "scikit-image"}[package]
        raise MissingExtraError(
            f"the built-in samples need {name}",
            why="it contains the images and is not installed",
            fix=install_command("samples"),
        )
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        raise SourceError(
            f"{package} has no {file}",
            where=str(path),
            why="this version of the package differs",
            fix=install_command("samples", upgrade=True),
        )
    return path
