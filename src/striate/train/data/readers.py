"""Opens data of any supported format with the reader for it.

Decides the format by content first, then by names; refuses ambiguous data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, overload

from striate.diagnostics import FormatError, SourceError, UsageError, plural, suggest
from striate.engine.inputs import axes_of
from striate.files import is_directory, refuse_address, status, unreadable
from striate.signatures import explain_misuse
from striate.train.data import cifar, idx, shards
from striate.train.data.arrays import IN_MEMORY, parts_of_arrays
from striate.train.data.bounded_reads import read_head
from striate.train.data.dataset import Dataset, OnBad
from striate.train.data.folder import folders, is_image, read_folder, read_loose, unlabeled_files
from striate.train.data.huggingface import is_huggingface, is_huggingface_splits, read_huggingface
from striate.train.data.npz import read_npz
from striate.train.data.samples import SAMPLES
from striate.train.data.several import parts_by_input
from striate.train.data.splits import ALL, SPELLINGS, TEST, TRAIN, VALIDATION, DataSplits, choose, complete

Parts = dict[str, Dataset]
ORDER = (ALL, TRAIN, VALIDATION, TEST)
READS = "folders of images, CIFAR, IDX (MNIST), .npz, tar shards"


@overload
def open_data(
    source: Any,
    split: None = None,
    *,
    holdout: float = 0.1,
    seed: int = 0,
    on_bad: OnBad = "skip",
    white: int = 0,
) -> DataSplits: ...
@overload
def open_data(
    source: Any, split: str, *, holdout: float = 0.1, seed: int = 0, on_bad: OnBad = "skip", white: int = 0
) -> Dataset: ...
@explain_misuse
def open_data(
    source: Any,
    split: str | None = None,
    *,
    holdout: float = 0.1,
    seed: int = 0,
    on_bad: OnBad = "skip",
    white: int = 0,
) -> DataSplits | Dataset:
    """Images and labels of a dataset, in parts, or only the part `split`: "train", "validation", "test", "all".

    source: a path, a sample's name (digits, textures, faces), (x, y) arrays with x (N, C, H, W) and y (N,),
    {"train": (x, y), ...}, a Hugging Face dataset, or what this function returned. holdout: the share of each class,
    0 to 1, that is drawn by `seed` and name for each part that the source lacks. on_bad: "skip" leaves unreadable
    images out, counts and names them; "refuse" stops at the first. white: the number that stands for white where pixels
    are whole numbers, 0 to find out.

    Raises SourceError for a path that cannot be read, FormatError for content that cannot be, LimitError,
    MissingExtraError for a sample whose package is missing, UsageError for an argument out of range.

    >>> import numpy as np
    >>> import striate as st
    >>> data = st.open_data((np.zeros((20, 1, 8, 8), np.float32), np.arange(20) % 2))
    >>> len(data.train), len(data.validation)
    (16, 2)
    """
    if on_bad not in ("skip", "refuse"):
        raise UsageError(
            f"on_bad {on_bad!r} is not allowed",
            why="it decides what happens to unreadable images",
            fix='"skip" or "refuse"',
        )
    if isinstance(source, DataSplits):
        return source if split is None else choose(source.parts(), split, "the data")
    parts = read_parts(source, on_bad, white)
    where = str(source) if isinstance(source, str | os.PathLike) else "the data"
    if split == ALL:
        return choose(parts, ALL, where)
    names = set(parts)
    parts = complete(parts, holdout, seed)
    if split is not None:
        return choose(parts, split, where)
    if TRAIN not in parts:
        raise SourceError(
            f"{where} has no train part", where=where, why=f"it has {', '.join(names)}", fix="add one"
        )
    return DataSplits(parts[TRAIN], parts.get("validation"), parts.get("test"), describe_parts(parts))


def describe_parts(parts: Mapping[str, Dataset]) -> str:
    """Describe parts: one line for the source, one for each part."""
    first = next(iter(parts.values()))
    remarks = dict.fromkeys(remark for data in parts.values() for remark in data.remarks)
    classes = plural(len(first.classes), "class", "classes")
    lines = [f"{first.kind}: {first.noun}s {first.size} in {classes}", *remarks]
    for name in sorted(parts, key=ORDER.index):
        origin = parts[name].part.partition(": ")[2]
        lines.append(f"{name:<10} {len(parts[name]):>8,}" + (f"  {origin}" if origin else ""))
    return "\n  ".join(lines)


def read_parts(source: Any, on_bad: OnBad = "skip", white: int = 0) -> Parts:
    """The parts of the source: train, validation, test, or "all" if it has none.

    white: the integer that training has read as 1, so that integers have the same scale here; 0: decided by the data.
    """
    if isinstance(source, Dataset):
        return {ALL: source}
    if isinstance(source, DataSplits):
        return source.parts()
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if not isinstance(text, str):
            text = os.fsdecode(text)
        parts = SAMPLES[text]() if text in SAMPLES and isinstance(source, str) else _read_path(text, on_bad)
    elif is_huggingface(source) or is_huggingface_splits(source):
        parts = read_huggingface(source, on_bad)
    else:
        parts = _read_arrays(source)
    if white:
        parts = {name: data.rescaled(white) for name, data in parts.items()}
    # The training loop has its own message about missing validation images.
    empty = [name for name, data in parts.items() if not len(data) and name != VALIDATION]
    if empty:
        raise FormatError(
            f"the {empty[0]} part is empty", where=parts[empty[0]].kind, fix="add images, or remove the part"
        )
    return parts


def read_unlabeled(source: Any, on_bad: OnBad = "skip") -> Dataset | None:
    """Images without labels: files, or a folder whose images are in no class folders; None for any other source.

    source: a path, or a list of paths of files. Raises SourceError, FormatError, UsageError for a folder in a list.
    """
    paths = source if isinstance(source, list | tuple) else [source]
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        return None
    several = paths is source
    if not several and (source in SAMPLES or not os.fspath(source)):
        return None
    files = [os.path.expanduser(os.fsdecode(path)) for path in paths]
    inside = [file for file in files if os.path.isdir(file)]
    if several and inside:
        raise UsageError(
            f"{inside[0]} is a folder",
            where=inside[0],
            why="several paths are files of images",
            fix=f"give the folder alone, or its files: {os.path.join(inside[0], '*')}",
        )
    if inside:
        root = Path(inside[0])
        known = _formats(root, on_bad) or _archive_folders(root)
        return None if known else read_loose(root, on_bad)
    if not several and not is_image(files[0]):
        return None
    for file in files:
        refuse_address(file)
        status(Path(file))
    return unlabeled_files(Path(), files, on_bad, about="image files")


def _read_arrays(source: Any) -> Parts:
    pairs: Mapping[Any, Any] = source if isinstance(source, Mapping) else {ALL: source}
    parts: dict[str, Any] = {}
    for name, pair in pairs.items():
        part = ALL if name == ALL else SPELLINGS.get(str(name).lower())
        if part is None or not isinstance(pair, tuple | list) or len(pair) != 2:
            raise unreadable_data(source)
        parts[part] = pair
    if not parts:
        raise UsageError("there is no data", why="the mapping is empty", fix="{'train': (x, y)}")
    by_input = [isinstance(x, Mapping) for x, _ in parts.values()]
    if any(by_input):
        if not all(by_input):
            raise UsageError(
                "some parts name their inputs, others do not",
                why="every part must have the same arrays",
                fix="{'train': ({'left': a, 'right': b}, y), 'test': ({'left': c, 'right': d}, z)}",
            )
        return parts_by_input(parts, IN_MEMORY)
    return parts_of_arrays(parts, IN_MEMORY)


def unreadable_data(source: Any) -> UsageError:
    """The error for data of an unsupported type; its fix makes arrays of pairs or batches."""
    has_xy = isinstance(source, Mapping) and {"x", "y"} <= source.keys()
    fix = (
        'give images and labels together: (data["x"], data["y"])'
        if has_xy
        else "give images and labels together"
    )
    if not isinstance(source, Mapping) and (hasattr(source, "__iter__") or hasattr(source, "__getitem__")):
        item = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        if isinstance(source, list | tuple) and len(source):
            item = not isinstance(source[0], list | tuple) or axes_of(source[0][0]) < 4
        join = "stack" if item else "concatenate"
        fix = f"x, y = (np.{join}(part) for part in zip(*data)), then (x, y)"
        if not hasattr(source, "__getitem__") and not hasattr(
            source, "batch_size"
        ):  # which of the two is unknown
            fix += "; np.stack for single images"
    return UsageError(
        f"data of type {type(source).__name__} cannot be read",
        why="data in memory is (x, y), or {'train': (x, y), 'test': (x, y)}",
        fix=fix,
    )


def _read_path(text: str, on_bad: OnBad) -> Parts:
    if not text:
        raise UsageError(
            "no data is given", why="the text is empty", fix="give a path, or a sample such as digits"
        )
    refuse_address(text)
    path = Path(os.path.expanduser(text))  # ~name stays if there is no such user
    if any(mark in text for mark in "*?{") and not os.path.lexists(path):
        files = shards.expand(str(path))
        return shards.read_shards(_by_part(files), text, on_bad)
    try:
        return _read_directory(path, on_bad) if is_directory(path) else _read_file(path, on_bad)
    except SourceError as error:
        if os.sep not in text and not os.path.lexists(path):
            raise _no_sample(text, error) from None
        raise


FETCHED = {"mnist": "MNIST", "fashionmnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
"""Published datasets that can be read -> torchvision's name."""


def _no_sample(text: str, error: SourceError) -> SourceError:
    """The error for a word that is neither a sample nor a path: a published dataset, a misspelling, a missing file."""
    name = FETCHED.get(re.sub(r"[-_ ]", "", text.lower()))
    if name is not None:
        return SourceError(
            f"{text} is neither a sample of Striate nor a folder",
            where=text,
            why=f"the samples are {', '.join(SAMPLES)}; Striate downloads nothing",
            fix=f"download it with torchvision.datasets.{name}({text!r}, download=True); Striate reads the "
            "resulting folder",
        )
    near = suggest(text, SAMPLES)
    if near:
        error.fix = f"did you mean the sample {near}?"
    return error


def _by_part(files: list[Path]) -> dict[str, list[Path]]:
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(shards.part_of(file, file.parent), []).append(file)
    return parts


def _read_directory(root: Path, on_bad: OnBad) -> Parts:
    """Read the one format in a directory, or in the folders of unpacked archives. Raises FormatError for two."""
    for folder in (root, *_archive_folders(root)):
        kinds = _formats(folder, on_bad)
        if len(kinds) > 1:
            raise FormatError(
                f"{folder} has data in several formats",
                where=str(folder),
                why=", ".join(kinds),
                fix="give the file, or move the other format away",
            )
        for read in kinds.values():
            return read()
    return read_folder(root, on_bad)


def _archive_folders(root: Path) -> list[Path]:
    """Folders into which CIFAR and MNIST archives, and the tools that download them, put the files."""
    names = ("cifar-10-batches-bin", "cifar-100-binary", "cifar-10-batches-py", "cifar-100-python", "raw")
    inside = [root / name for name in folders(root) if name in names]
    for name in folders(root):
        if name in ("MNIST", "FashionMNIST") and (root / name / "raw").is_dir():
            inside.append(root / name / "raw")
    if len(inside) > 1:
        raise FormatError(
            f"{root} has several datasets",
            where=str(root),
            why=", ".join(path.name for path in inside),
            fix=f"give one of them: {inside[0]}",
        )
    return inside


def _formats(folder: Path, on_bad: OnBad) -> dict[str, Callable[[], Parts]]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise unreadable(folder, error) from None
    kinds: dict[str, Callable[[], Parts]] = {}
    if binary := [path for path in files if cifar.BINARY.fullmatch(path.name)]:
        kinds["CIFAR binary"] = lambda: cifar.read_binary(binary)
    python = [
        path
        for path in files
        if cifar.PYTHON.fullmatch(path.name) and read_head(path, 1) in (b"\x80", b"(", b"")
    ]
    if python:
        kinds["CIFAR python"] = lambda: cifar.read_python(python)
    if pairs := [path for path in files if idx.NAME.fullmatch(path.name)]:
        kinds["IDX"] = lambda: idx.read_idx(pairs)
    if tars := shards.find(folder):
        kinds["tar shards"] = lambda: shards.read_shards(tars, str(folder), on_bad)
    if arrays := [path for path in files if path.suffix.lower() == ".npz"]:
        if len(arrays) > 1:
            names = ", ".join(path.name for path in arrays[:4])
            raise FormatError(
                f"{folder} has several .npz files",
                where=str(folder),
                why=names,
                fix=f"give one of them: {arrays[0]}",
            )
        kinds[".npz"] = lambda: read_npz(arrays[0])
    return kinds


#: First bytes of other kinds of files -> what it is, and the fix.
STRANGERS: Mapping[bytes, tuple[str, str]] = {
    b"\x93NUMPY": ("one array without labels (.npy)", "np.savez(path, x=images, y=labels)"),
    b"\x89PNG": ("one image", "give a folder: train/<class>/<image>"),
    b"\xff\xd8\xff": ("one image", "give a folder: train/<class>/<image>"),
    b"GIF8": ("one image", "give a folder: train/<class>/<image>"),
    b"\x89HDF": ("HDF5", "convert it to .npz"),
    b"PAR1": ("Parquet", "load it with `datasets` and pass the dataset, or convert it to .npz"),
    b"BZh": ("bzip2", "decompress it with bunzip2"),
    b"\xfd7zXZ": ("xz", "decompress it with unxz"),
    b"\x28\xb5\x2f\xfd": ("zstandard", "decompress it with unzstd"),
    b"7z\xbc\xaf": ("7-zip", "unpack it"),
}


def _read_file(path: Path, on_bad: OnBad) -> Parts:
    size, start = status(path).st_size, read_head(path)
    if not size:
        raise FormatError(f"{path} is empty", where=str(path), why="0 bytes", fix="download it again")
    for magic, (what, fix) in STRANGERS.items():
        if start.startswith(magic):
            raise FormatError(
                f"{path} is {what}", where=str(path), why=f"supported formats are {READS}", fix=fix
            )
    if cifar.BINARY.fullmatch(path.name):
        return cifar.read_binary([path])
    if start[:2] == b"PK":
        return read_npz(path)
    if idx.NAME.fullmatch(path.name) or (start[:2] == b"\0\0" and len(start) > 4 and start[2] in idx.TYPES):
        return _read_pair(path)
    if start[257:262] == b"ustar" or path.name.lower().endswith((".tar", ".tgz", ".tar.gz")):
        return shards.read_shards({ALL: [path]}, str(path), on_bad)
    if start[:1] == b"\x80" or (start[:1] == b"(" and cifar.PYTHON.fullmatch(path.name)):
        return cifar.read_python([path])
    if path.suffix.lower() == ".npz":
        return read_npz(path)  # raises the error
    if size % (cifar.PIXELS + 1) == 0 or size % (cifar.PIXELS + 2) == 0:
        return cifar.read_binary([path])
    raise FormatError(
        f"{path} has an unsupported format",
        where=str(path),
        why=f"it begins with {start[:8].hex(' ')}; supported formats are {READS}",
        fix="convert it to .npz with x and y, or to folders train/<class>/<image>",
    )


def _read_pair(path: Path) -> Parts:
    match = idx.NAME.fullmatch(path.name)
    if not match:
        raise SourceError(
            f"{path} is an IDX file without its counterpart",
            where=str(path),
            why="images and labels are matched by file name",
            fix="name them train-images-idx3-ubyte and train-labels-idx1-ubyte",
        )
    same = [
        other
        for other in path.parent.iterdir()
        if (candidate := idx.NAME.fullmatch(other.name))
        and candidate["part"] == match["part"]
        and other.is_file()
    ]
    return idx.read_idx(same)
