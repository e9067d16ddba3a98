"""Sets cut into parts: whatever part an image is in, its pixels, its scale and its class are those of the whole set."""

import gzip
import itertools
import struct
import tempfile
from pathlib import Path

WHOLE = ("uint8", "int16", "uint16", "int32", "uint32", "int64")
BRIGHT = (1, 3, 200, 255, 256, 300, 4095, 60_000, 65_535)
IDX = {"uint8": (0x08, ">u1"), "int16": (0x0B, ">i2"), "int32": (0x0C, ">i4")}
NAMES = {"train": "train", "test": "t10k"}


def _made(seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(WHOLE))
    most = min(int(rng.choice(BRIGHT)), np.iinfo(dtype).max)
    count, first = int(rng.integers(4, 12)), int(rng.integers(1, 4))
    x = rng.integers(0, most + 1, (count, 5, 6)).astype(dtype)
    y = rng.integers(0, int(rng.integers(2, 9)), count)
    if rng.random() < 0.5:  # the brightest pixel and the last class are on one side only
        at = int(rng.choice([0, count - 1]))
        x = np.minimum(x, max(most // 300, 1)).astype(dtype)
        x[at, 0, 0], y[at] = most, y.max() + 1
    return x, y, first if rng.random() < 0.5 else count - first


def describe(seed):
    """What would be tried."""
    x, y, cut = _made(seed)
    return f"{x.dtype} up to {x.max()}, classes {y.tolist()}, cut at {cut}"


def trial(seed):
    """None, or how the parts of a set differ from the set."""
    import numpy as np

    from striate.train.data import open_data

    x, y, cut = _made(seed)
    halves = {"train": (x[:cut], y[:cut]), "test": (x[cut:], y[cut:])}
    one = open_data((x, y), "all")
    wanted, classes = [_unit(one.image(n)) for n in range(len(one))], one.classes
    if not np.allclose(wanted, x[:, None] / (255 if x.max() <= 255 else 65_535), atol=1e-6):
        return f"{x.dtype} up to {x.max()} is read on another scale"
    with tempfile.TemporaryDirectory() as folder:
        for kind, source in _sources(halves, str(x.dtype), Path(folder)):
            parts = open_data(source, holdout=0)
            data = [parts.train, parts.test]
            found = [_unit(part.image(n)) for part in data for n in range(len(part))]
            labels = [label for part in data for label in part.labels.tolist()]
            if not np.array_equal(found, wanted):
                return f"{kind}: {x.dtype} up to {x.max()}: the parts have other pixels than the set"
            if labels != y.tolist() or any(part.classes != classes for part in data):
                return f"{kind}: classes {[part.classes for part in data]}, the set has {classes}"
    return None


def _unit(image):
    import numpy as np

    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image


def _sources(halves, dtype, folder):
    import numpy as np

    yield "arrays", halves
    arrays = {f"{kind}_{part}": a for part, pair in halves.items() for kind, a in zip("xy", pair)}
    np.savez(folder / "set.npz", **arrays)
    yield ".npz", folder / "set.npz"
    yield "rows", {part: _Rows(*pair) for part, pair in halves.items()}
    if dtype in IDX:
        code, kind = IDX[dtype]
        (folder / "idx").mkdir()
        for (part, (x, y)), zipped in zip(halves.items(), itertools.cycle((True, False))):
            for what, array, number, form in (
                ("images-idx3", x, code, kind),
                ("labels-idx1", y, 0x08, ">u1"),
            ):
                head = bytes([0, 0, number, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
                data = head + array.astype(form).tobytes()
                path = folder / "idx" / f"{NAMES[part]}-{what}-ubyte{'.gz' if zipped else ''}"
                path.write_bytes(gzip.compress(data) if zipped else data)
        yield "IDX", folder / "idx"


class _Rows:
    """What a `datasets.Dataset` without named classes can do."""

    def __init__(self, x, y):
        self.columns = {"image": [image[None] for image in x], "label": y.tolist()}
        self.features = {"image": None, "label": None}

    def __len__(self):
        return len(self.columns["label"])

    def __getitem__(self, key):
        return self.columns[key] if isinstance(key, str) else {k: v[key] for k, v in self.columns.items()}
