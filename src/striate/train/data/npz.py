"""Arrays in an .npz file: x_train, y_train, x_test, …; or x and y; never pickled objects.

A zip file can declare any size. The declared sizes are checked against each other, the size of the file and the limit
before memory is allocated, and no more is read than declared.
"""

from __future__ import annotations

import errno
import math
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from striate.diagnostics import FormatError, LimitError, plural, printable
from striate.files import opened
from striate.train.data.arrays import parts_of_arrays
from striate.train.data.bounded_reads import check_size, read_into
from striate.train.data.dataset import Array, Dataset
from striate.train.data.several import parts_by_input
from striate.train.data.splits import ALL, SPELLINGS

MAX_MEMBERS = 1000
BOMB_MIN_BYTES = 64 << 20  # bytes; a larger array that shrinks more than …
BOMB_MIN_RATIO = 200  # … this many times is a bomb, not pictures: photographs shrink 2 times, drawings 20
IMAGES = frozenset({"x", "image", "images", "data", "img", "imgs", "inputs"})
LABELS = frozenset({"y", "label", "labels", "target", "targets"})
CLASSES = frozenset({"classes", "class_names", "label_names", "names"})


def read_npz(path: Path) -> dict[str, Dataset]:
    """The parts in an .npz file. Raises FormatError, LimitError, SourceError."""
    with opened(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                return _parts(path, archive)
        except OSError as error:
            if (
                error.errno != errno.EINVAL
            ):  # an error of the disk; EINVAL is an offset before the file's start
                raise
            raise _reading_error(path, error) from None
        except (zipfile.BadZipFile, EOFError, zlib.error, struct.error, ValueError, RuntimeError) as error:
            # RuntimeError: encrypted, or an unsupported compression; ValueError: a name that is not text
            raise _reading_error(path, error) from None


def _reading_error(path: Path, error: Exception) -> FormatError:
    why = str(error) or "it is truncated"
    return FormatError(
        f"{path} is not a complete .npz file", where=str(path), why=why, fix="download it again"
    )


def _parts(path: Path, archive: zipfile.ZipFile) -> dict[str, Dataset]:
    members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    if len(archive.infolist()) > MAX_MEMBERS:
        raise LimitError(
            f"{path} has {plural(len(members), 'array')}",
            where=str(path),
            why=f"at most {MAX_MEMBERS:,} are supported",
            fix="split it",
        )
    if not any(entry.filename.endswith(".npy") for entry in archive.infolist()):
        raise FormatError(
            f"{path} is a zip file without arrays",
            where=str(path),
            why=f"it holds {', '.join(map(printable, list(members)[:4])) or 'nothing'}",
            fix="unzip it and give the folder",
        )
    if len(members) < len(archive.infolist()):
        raise FormatError(f"{path} has two arrays with the same name", where=str(path), fix="save it again")
    if parts := by_input(list(members)):
        return _several(path, archive, members, parts)
    roles = {key: role for key in members if (role := _role(key))}
    pairs: dict[str, dict[str, str]] = {}
    for key, role in roles.items():
        if role[1] != "classes":
            if role[1] in pairs.setdefault(role[0], {}):
                raise FormatError(
                    f"{path} has {role[1]} of the same part twice",
                    where=str(path),
                    why=f"{pairs[role[0]][role[1]]}, {key}",
                    fix="keep one",
                )
            pairs[role[0]][role[1]] = key
    pairs = {part: pair for part, pair in pairs.items() if len(pair) == 2}
    if len(pairs) > 1 and ALL in pairs:
        del pairs[ALL]  # x next to x_train: the parts take precedence
    if not pairs:
        raise FormatError(
            f"{path} has no images with labels",
            where=str(path),
            why=f"its arrays are {', '.join(map(printable, list(members)[:8])) or 'none'}",
            fix="name them x and y, or x_train, y_train, x_test, y_test; for several inputs x_left, x_right and y",
        )
    keys = [key for pair in pairs.values() for key in pair.values()]
    names_key = next((key for key, role in roles.items() if role == (ALL, "classes")), None)
    for key in keys:
        _guard(path, members[key])
    check_size(sum(members[key].file_size for key in keys), path, "the total of its arrays")
    arrays = {key: _array(path, archive, members[key], text=roles[key][1] == "labels") for key in keys}
    names = _class_names(path, archive, members[names_key]) if names_key else None
    rest = [key for key in members if key not in keys and key != names_key]
    remarks = (f"arrays not read: {', '.join(map(printable, rest[:5]))}",) if rest else ()
    return parts_of_arrays(
        {part: (arrays[pair["images"]], arrays[pair["labels"]]) for part, pair in pairs.items()},
        f".npz {path}",
        names,
        remarks,
        "{}#{}".format,
    )


def by_input(keys: Sequence[str]) -> dict[str, tuple[dict[str, str], str]]:
    """Part -> (input -> key of its array, key of the labels), for arrays called x_left, x_right and y.

    A part may be named too: x_left_train, x_right_train, y_train. Empty if no input is named.
    """
    arrays: dict[str, dict[str, str]] = {}
    labels = {role[0]: key for key in keys if (role := _role(key)) and role[1] == "labels"}
    for key in keys:
        if not key.startswith("x_") or _role(key):
            continue
        name, part = key.removeprefix("x_"), ALL
        before, _, after = name.rpartition("_")
        first, _, rest = name.partition("_")
        if before and after.lower() in SPELLINGS:
            name, part = before, SPELLINGS[after.lower()]
        elif rest and first.lower() in SPELLINGS:
            name, part = rest, SPELLINGS[first.lower()]
        arrays.setdefault(part, {})[name] = key
    parts = {part: (inputs, labels[part]) for part, inputs in arrays.items() if part in labels}
    if len(parts) > 1:
        parts.pop(ALL, None)
    return parts


def _several(
    path: Path,
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    parts: Mapping[str, tuple[Mapping[str, str], str]],
) -> dict[str, Dataset]:
    """The parts of a file with an array for each input."""
    keys = [key for inputs, labels in parts.values() for key in (*inputs.values(), labels)]
    names_key = next((key for key in members if _role(key) == (ALL, "classes")), None)
    for key in keys:
        _guard(path, members[key])
    check_size(sum(members[key].file_size for key in keys), path, "the total of its arrays")
    pairs = {
        part: (
            {name: _array(path, archive, members[key]) for name, key in inputs.items()},
            _array(path, archive, members[labels], text=True),
        )
        for part, (inputs, labels) in parts.items()
    }
    rest = [key for key in members if key not in keys and key != names_key]
    return parts_by_input(
        pairs,
        f".npz {path}",
        _class_names(path, archive, members[names_key]) if names_key else None,
        (f"arrays not read: {', '.join(map(printable, rest[:5]))}",) if rest else (),
        "{}#{}".format,
    )


def _role(key: str) -> tuple[str, str] | None:
    """(part, "images" | "labels" | "classes") of a key such as x_train or test_labels."""
    if key.lower() in CLASSES:
        return ALL, "classes"
    if key in ("arr_0", "arr_1"):  # np.savez(path, x, y)
        return ALL, "images" if key == "arr_0" else "labels"
    words = [word for word in re.split(r"[_\-./ ]+", key.lower()) if word]
    parts = [SPELLINGS[word] for word in words if word in SPELLINGS]
    kinds = [word for word in words if word in IMAGES | LABELS]
    if len(words) != len(parts) + len(kinds) or len(parts) > 1 or len(kinds) != 1:
        return None
    return parts[0] if parts else ALL, "images" if kinds[0] in IMAGES else "labels"


def _guard(path: Path, entry: zipfile.ZipInfo) -> None:
    name = f"{path}, {printable(entry.filename)}"
    check_size(entry.file_size, name, "it")
    if entry.file_size > BOMB_MIN_BYTES and entry.file_size > BOMB_MIN_RATIO * max(1, entry.compress_size):
        raise LimitError(
            f"{name} looks like a zip bomb",
            where=str(path),
            why=f"{entry.compress_size:,} bytes unfold to {entry.file_size:,}, more than {BOMB_MIN_RATIO} times",
            fix="if you created it, save it with np.savez (not compressed)",
        )


def _array(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, text: bool = False) -> Array:
    """Read one array. text: strings are allowed."""
    where = f"{path}, {printable(entry.filename)}"
    with archive.open(entry) as stream:
        shape, fortran, dtype = _header(stream, where)
        if (
            dtype.hasobject
            or dtype.fields
            or (dtype.kind not in "iufb" and not (text and dtype.kind in "US"))
        ):
            raise FormatError(
                f"{where} has values of type {dtype}",
                where=where,
                why="objects are pickled, and Striate does not read pickles"
                if dtype.hasobject
                else "images and labels are numbers",
                fix="save plain numbers: np.savez(path, x=x.astype('uint8'), y=y.astype('int64'))",
            )
        count = math.prod(shape) * dtype.itemsize
        room = entry.file_size - stream.tell()
        if count != room:
            raise FormatError(
                f"{where} does not have its declared length",
                where=where,
                why=f"shape {shape} of {dtype} needs {count:,} bytes; it has {room:,}",
                fix="save it again",
            )
        data = read_into(cast(BinaryIO, stream), count)
        if len(data) < count or stream.read(1):  # the last read checks the sum
            raise FormatError(
                f"{where} is truncated",
                where=where,
                why=f"{len(data):,} of {count:,} bytes",
                fix="download it again",
            )
    if dtype.kind == "U" and np.frombuffer(data, f"{dtype.byteorder}u4").max(initial=0) > sys.maxunicode:
        raise FormatError(f"{where} has text that cannot be decoded", where=where, fix="save it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream)  # literal_eval of at most 10,000 characters
        if min(shape, default=0) < 0:
            raise ValueError(f"shape {shape}")
        return shape, fortran, dtype
    except (
        ValueError,
        KeyError,
        TypeError,
        SyntaxError,
        RecursionError,
        OverflowError,
        tokenize.TokenError,  # numpy tries a header that it cannot parse as one of Python 2
    ) as error:
        raise FormatError(
            f"{where} is not an array",
            where=where,
            why=(str(error) or "its header is damaged").splitlines()[0][:200],
            fix="save it with np.savez",
        ) from None


def _class_names(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[str, ...]:
    _guard(path, entry)
    names = _array(path, archive, entry, text=True)
    if names.ndim != 1:
        raise FormatError(
            f"{path}: {entry.filename} is not a list of names", where=str(path), fix="give one name per class"
        )
    return tuple(printable(str(name)) for name in names.tolist())
