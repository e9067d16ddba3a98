"""IDX files, as MNIST and Fashion-MNIST are published: two zero bytes, a type, a number of axes, their sizes, the data.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", the format at the end of its page.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from striate.diagnostics import FormatError, SourceError, plural
from striate.train.data.arrays import parts_of_arrays
from striate.train.data.bounded_reads import MAX_ARRAY, check_size, open_unzipped, read_into
from striate.train.data.dataset import Array, Dataset
from striate.train.data.splits import ALL, SPELLINGS, TEST

#: train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, …
NAME = re.compile(
    r"(?:(?P<part>[\w-]*?)[-_.])?(?P<what>images|labels)(?:[-_.]idx[1-4](?:[-_.]ubyte)?|\.idx)?(?:\.gz)?",
    re.I,
)
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
FASHION = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def read_idx(files: Iterable[Path]) -> dict[str, Dataset]:
    """The parts in pairs of image and label files. Raises SourceError, FormatError, LimitError."""
    pairs: dict[str, dict[str, Path]] = {}
    for path in sorted(files, key=lambda path: path.suffix != ".gz"):  # the unpacked one of a pair wins
        match = NAME.fullmatch(path.name)
        if match:
            pairs.setdefault(_part(match["part"] or ""), {})[match["what"].lower()] = path
    arrays: dict[str, tuple[Array, Array]] = {}
    fashion = True
    for part, pair in pairs.items():
        some = next(iter(pair.values()))
        for what in ("images", "labels"):
            if what not in pair:
                raise SourceError(
                    f"{some} has no {what} next to it",
                    where=str(some),
                    why="IDX data is a pair of files, images and labels",
                    fix=f"add the file of {what} to {some.parent}",
                )
        x, y = read_array(pair["images"]), read_array(pair["labels"])
        if x.ndim not in (3, 4) or y.ndim != 1:
            raise FormatError(
                f"{pair['images']} and {pair['labels']} are not a pair of images and labels",
                where=str(some),
                why=f"they have {x.ndim} and {plural(y.ndim, 'axis', 'axes')}, not 3 and 1",
                fix="check which file is which",
            )
        arrays[part] = x, y
        fashion = fashion and "fashion" in str(some.resolve()).lower() and x.shape[1:] == (28, 28)
    return parts_of_arrays(
        arrays,
        f"IDX (MNIST) {some.parent}",
        FASHION if fashion else None,
        ("class names of Fashion-MNIST, as the path says",) if fashion else (),
        "{}#{}".format,
    )


def read_array(path: Path) -> Array:
    """The array in an IDX file, gzipped or not. Raises FormatError, LimitError, SourceError."""
    with open_unzipped(path) as (stream, most):
        head = stream.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 4:
            raise FormatError(
                f"{path} is not an IDX file",
                where=f"{path}, byte 0",
                why=f"it begins with {head.hex(' ') or 'nothing'}; IDX begins with 00 00, a type and the number "
                "of axes",
                fix="use the original names of the MNIST files",
            )
        sizes_raw = stream.read(4 * head[3])
        if len(sizes_raw) < 4 * head[3]:
            raise FormatError(f"{path} is truncated in its header", where=str(path), fix="download it again")
        sizes = struct.unpack(f">{head[3]}I", sizes_raw)
        dtype = np.dtype(TYPES[head[2]])
        count = math.prod(sizes) * dtype.itemsize
        if count > most:
            raise FormatError(
                f"{path} declares more data than it can hold",
                where=str(path),
                why=f"{' x '.join(map(str, sizes))} values need {count:,} bytes; it holds at most {most:,}",
                fix="download it again",
            )
        check_size(count, path, "its array", MAX_ARRAY)
        data = read_into(stream, count)
        if len(data) < count or stream.read(1):
            has = f"{len(data):,}" if len(data) < count else "more"
            raise FormatError(
                f"{path} is {'truncated' if len(data) < count else 'longer than it declares'}",
                where=str(path),
                why=f"{' x '.join(map(str, sizes))} values need {count:,} bytes; it has {has}",
                fix="download it again",
            )
    return np.frombuffer(data, dtype).reshape(sizes).astype(dtype.newbyteorder("="), copy=False)


def _part(text: str) -> str:
    words = re.split(r"[-_.]", text.lower())
    if "t10k" in words:
        return TEST
    return next((SPELLINGS[word] for word in reversed(words) if word in SPELLINGS), ALL)
