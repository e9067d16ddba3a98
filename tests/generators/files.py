"""Damaged files of every format that is read: a value or a StriateError comes back, soon and within little memory.

A valid file has its bytes flipped, cut, repeated, spliced with those of another format, and its lengths enlarged; in
archives also below the checksum. What is still read is used as a command would: checked, analyzed, its images decoded.
"""

import contextlib
import functools
import gzip
import io
import os
import pickle
import random
import struct
import tempfile
import zipfile
from pathlib import Path

NEEDS = ("onnx", "h5py")
NET = "6x6x1 -> conv 3x3 2 -> bn -> relu -> maxpool 2 -> flatten -> fc 3"
SECONDS, MEMORY = (
    20,
    2**30,
)  # an image may have 89 million pixels, and there are two copies of it for a moment


# ---------------------------------------------------------------- valid files: name -> bytes
def _exported(name):
    import striate as st

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        model = st.Model(st.parse(NET), seed=1, engine="numpy")
        model.classes, model.transform = ("a", "b", "c"), {"steps": []}
        if not path.suffix:
            model.save(path)
            return {f"{name}/{each.name}": each.read_bytes() for each in sorted(path.iterdir())}
        if path.suffix == ".toml":
            from striate.formats import toml

            return {name: toml.format(model.net).encode()}
        model.export(path)
        return {name: path.read_bytes()}


def _keras():
    import numpy as np

    from keras_files import archive, layer, sequential

    window = {"strides": [1, 1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1]}
    conv = layer(
        "Conv2D", "conv", filters=2, kernel_size=[3, 3], groups=1, activation="relu", use_bias=True, **window
    )
    dense = layer("Dense", "fc", units=3, activation="linear", use_bias=True)
    net = sequential(conv, layer("Flatten", "flat"), dense, input=(6, 6, 1))
    weights = {
        "conv2d": [np.zeros((3, 3, 1, 2), np.float32), np.zeros(2, np.float32)],
        "dense": [np.zeros((32, 3), np.float32), np.zeros(3, np.float32)],
    }
    with tempfile.TemporaryDirectory() as folder:
        return {"net.keras": archive(Path(folder) / "net.keras", net, weights).read_bytes()}


def old_pth(numbers):
    """The layout of .pth before the zip, in two parts: a head, then the 2x2 tensor `w` of four numbers."""
    from striate.formats import pth

    head = b"".join(pickle.dumps(value, 2) for value in (pth._MAGIC, 1001, {"little_endian": True}))
    place = (
        b"(" + pth._text("storage") + pth._name("torch", "FloatStorage") + pth._text("0") + pth._text("cpu")
    )
    place += pth._int(4) + b"NtQ"
    call = pth._name("torch._utils", "_rebuild_tensor_v2") + b"(" + place + pth._int(0)
    call += b"(" + pth._int(2) + pth._int(2) + b"t(" + pth._int(2) + pth._int(1) + b"t\x89}tR"
    tail = pickle.dumps(["0"], 2) + struct.pack("<q", 4) + struct.pack("<4f", *numbers)
    return head, b"\x80\x02}" + pth._text("w") + call + b"s." + tail


def _stream():
    return {"old.pt": b"".join(old_pth((1, 2, 3, 4)))}


def _npz():
    import numpy as np

    x, made = np.arange(6 * 25).reshape(6, 5, 5), io.BytesIO()
    np.savez(made, x_train=x.astype(np.uint8), y_train=np.arange(6) % 2, x_test=x[:2] / 150, y_test=np.arange(2),
             classes=np.array(["cat", "dog"]))  # fmt: skip
    return {"set.npz": made.getvalue()}


def _idx(zipped):
    files = {}
    for name, code, sizes in (("train-images-idx3", 8, (6, 5, 5)), ("train-labels-idx1", 8, (6,))):
        count = functools.reduce(lambda a, b: a * b, sizes)
        data = bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
        data += bytes(n % (2 if len(sizes) == 1 else 256) for n in range(count))
        files[f"idx/{name}-ubyte" + ".gz" * zipped] = gzip.compress(data, mtime=0) if zipped else data
    return files


def _cifar(protocol):
    import numpy as np

    rows = np.arange(4 * 3072).reshape(4, 3072).astype(np.uint8)
    if protocol is None:
        return {"cifar/data_batch_1.bin": b"".join(bytes([n]) + row.tobytes() for n, row in enumerate(rows))}
    batch = {b"data": rows, b"labels": [0, 1, 2, 3], b"batch_label": b"a", b"filenames": [b"a"] * 4}
    return {"cifar/data_batch_1": pickle.dumps(batch, protocol)}


def _picture(format, number=0):
    import numpy as np
    from PIL import Image

    made = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200 if format == "TIFF" else pixels)
    image.save(made, format)
    return made.getvalue()


def _pictures(format, suffix):
    return {f"images/{name}/{n}.{suffix}": _picture(format, n) for name in "ab" for n in range(2)}


def _shards(zipped):
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for n in range(4):
            for suffix, data in (("png", _picture("PNG", n)), ("json", b'{"label": %d}' % (n % 2))):
                entry = tarfile.TarInfo(f"{n:06d}.{suffix}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return {
        "set.tar" + ".gz" * zipped: gzip.compress(made.getvalue(), mtime=0) if zipped else made.getvalue()
    }


CHECKS = b'[tool.striate]\nmax-params = 1000\nselect = ["C", "G"]\nobject-px = 5\nignore = ["C003"]\n'
RUN = b'model = "lenet5"\ndata = "digits"\n[train]\nepochs = 3\nlr = 0.1\nbatch_size = 16\nflip = 0.5\n'
KNOWN = b'{"schema": "striate.baseline/1", "findings": [{"network": "n", "code": "C001", "node": null, "count": 2}]}'

# ---------------------------------------------------------------- what is done with them


def _network(path):
    from striate.analysis import analyze
    from striate.checks import check
    from striate.formats import load

    net = load(path)
    check(net)
    analyze(net)
    str(net)
    return net


def _model(path):
    from striate import Model

    _network(path)
    return Model.load(path, engine="numpy").weights.current()


def _weights(path):
    from striate.formats.weight_files import read_weights

    return read_weights(path)


def _notation(path):
    from striate.checks import check
    from striate.formats import parse

    check(parse(path.read_bytes().decode("latin-1")))


def _data(path):
    from striate.train.data import open_data

    for part in open_data(path).parts().values():
        for batch in part.batches(2, workers=0):
            assert len(batch.x) == len(batch.y)


def _baseline(path):
    from striate.checks import baseline

    baseline.read(path)


def _checks(path):
    from striate.checks import Config

    Config.read(path)


def _settings(path):
    from striate.train.config import Config

    Config.read(path)


KINDS = {  # kind -> (its files, the one that is damaged or None for any, the path that is read, who reads it)
    "toml": (functools.partial(_exported, "net.toml"), "net.toml", _network),
    "notation": (lambda: {"net.txt": f"{NET} # {NET}".encode()}, "net.txt", _notation),
    "onnx": (functools.partial(_exported, "net.onnx"), "net.onnx", _model),
    "safetensors": (functools.partial(_exported, "net.safetensors"), "net.safetensors", _model),
    "pth": (functools.partial(_exported, "net.pth"), "net.pth", _weights),
    "pt": (_stream, "old.pt", _weights),
    "keras": (_keras, "net.keras", _model),
    "source": (functools.partial(_exported, "net.py"), "net.py", None),
    "run": (functools.partial(_exported, "run"), "run", _model),
    "npz": (_npz, "set.npz", _data),
    "idx": (functools.partial(_idx, False), "idx", _data),
    "idx.gz": (functools.partial(_idx, True), "idx", _data),
    "cifar": (functools.partial(_cifar, None), "cifar", _data),
    "cifar pickle 2": (functools.partial(_cifar, 2), "cifar", _data),
    "cifar pickle 4": (functools.partial(_cifar, 4), "cifar", _data),
    **{
        suffix: (functools.partial(_pictures, format, suffix), "images", _data)
        for format, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("GIF", "gif"), ("BMP", "bmp"), ("WEBP", "webp"),
                               ("TIFF", "tif"), ("PPM", "ppm"))
    },
    "tar": (functools.partial(_shards, False), "set.tar", _data),
    "tar.gz": (functools.partial(_shards, True), "set.tar.gz", _data),
    "baseline": (lambda: {"known.json": KNOWN}, "known.json", _baseline),
    "checks": (lambda: {"pyproject.toml": CHECKS}, "pyproject.toml", _checks),
    "settings": (lambda: {"run.toml": RUN}, "run.toml", _settings),
}  # fmt: skip
ORDER = sorted(KINDS)


@functools.cache
def _valid(kind):
    files = KINDS[kind][0]()
    return {name: _zip(_unzip(data)) if data[:2] == b"PK" else data for name, data in files.items()}


def _unzip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(parts):
    """An archive that is the same at any time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


# ---------------------------------------------------------------- damage
EDGES = [
    0,
    1,
    2,
    7,
    2**7,
    2**8 - 1,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    2**64 - 1,
]
TEXTS = [b"", b"null", b"-1", b"1e999", b"nan", b"9" * 40, b"[", b"}", b'"', b"\x00", b"\xff\xff", b"true", b"../x",
         b"\\ud800", b"{}", b"[]", b"0x1", b"1.5", b"''", b"\n"]  # fmt: skip


def _damaged(data, rng):
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        data = rng.choice(WAYS)(data, rng)
    return data


def _at(data, rng):
    """Mostly near the beginning or the end, where heads and tables lie."""
    size = len(data)
    return min(int(size * rng.random() ** rng.choice([1, 1, 4])), max(size - 1, 0)) if rng.random() < 0.8 else (
        max(size - 1 - int(64 * rng.random()), 0)
    )  # fmt: skip


def _flip(data, rng):
    at = _at(data, rng)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :] if data else data


def _number(data, rng):
    """A length, or what looks like one, becomes another."""
    at, size = _at(data, rng), rng.choice([1, 2, 4, 8])
    at -= at % rng.choice([1, size])
    value = rng.choice(EDGES) % 2 ** (8 * size)
    return data[:at] + value.to_bytes(size, rng.choice(["little", "big"])) + data[at + size :]


def _digits(data, rng):
    """A number in text becomes another."""
    places = [at for at in range(len(data)) if 48 <= data[at] < 58] if len(data) < 20_000 else []
    if not places:
        return _number(data, rng)
    at = rng.choice(places)
    return data[:at] + rng.choice([str(rng.choice(EDGES)).encode(), *TEXTS]) + data[at + 1 :]


def _cut(data, rng):
    return data[: _at(data, rng)]


def _remove(data, rng):
    at = _at(data, rng)
    return data[:at] + data[at + rng.choice([1, 2, 4, 8, 64, 512]) :]


def _repeat(data, rng):
    at, size = _at(data, rng), rng.choice([1, 4, 16, 64, 512])
    return data[:at] + data[at : at + size] * rng.choice([2, 2, 3, 50]) + data[at + size :]


def _move(data, rng):
    one, two, size = _at(data, rng), _at(data, rng), rng.choice([1, 4, 16, 64])
    return data[:one] + data[two : two + size] + data[one + size :]


def _text(data, rng):
    at = _at(data, rng)
    return data[:at] + rng.choice(TEXTS) + data[at + rng.choice([0, 1, 1, 3]) :]


def _splice(data, rng):
    """A part of a file of another format."""
    other = rng.choice(list(_valid(rng.choice(ORDER)).values()))
    at, start = _at(data, rng), _at(other, rng)
    return data[:at] + other[start : start + rng.choice([8, 64, 1000])] + data[at + rng.choice([0, 8, 64]) :]


WAYS = [
    _flip,
    _flip,
    _number,
    _number,
    _number,
    _digits,
    _digits,
    _cut,
    _remove,
    _repeat,
    _move,
    _text,
    _splice,
]


def _made(seed):
    """(kind, its files, one of which is damaged)."""
    rng = random.Random(f"files/{seed}")
    kind = ORDER[seed % len(ORDER)]
    files = dict(_valid(kind))
    name = rng.choice([name for name in files if not name.endswith(".md")])
    data = files[name]
    if data[:2] == b"PK" and rng.random() < 0.7:  # under checksums that are right
        parts = _unzip(data)
        inner = rng.choice(sorted(parts))
        parts[inner] = _damaged(parts[inner], rng)
        files[name] = _zip(parts)
    elif data[:2] == b"\x1f\x8b" and rng.random() < 0.7:
        files[name] = gzip.compress(_damaged(gzip.decompress(data), rng), mtime=0)
    elif kind == "source":
        comments = data.index(b"#: ")  # what comes before is run, as any Python file is
        files[name] = data[:comments] + _damaged(data[comments:], rng)
    else:
        files[name] = _damaged(data, rng)
    return kind, name, files


def describe(seed):
    """What would be tried."""
    import hashlib

    kind, name, files = _made(seed)
    return f"{kind}: {name}, {len(files[name])} bytes, {hashlib.sha256(files[name]).hexdigest()[:16]}"


@contextlib.contextmanager
def _bounded():
    """No more address space than is used now and a little."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):
        yield
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def trial(seed):
    """None, or what is wrong with how a damaged file is met."""
    import warnings

    from striate.diagnostics import StriateError

    kind, name, files = _made(seed)
    _, place, read = KINDS[kind]
    start = os.times()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, data in files.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        try:
            with _bounded():
                if read is None:
                    _own(files[name])
                else:
                    read(Path(folder) / place)
        except StriateError as error:
            said = str(error)
            if not error.what or error.code[0] not in "IG" or len(said) > 6000:
                return f"{kind}: an error of {len(said)} characters, {error.code}, {error.what!r}"
            said.encode()
        except MemoryError:
            return f"{kind}: {name} asks for more than {MEMORY >> 20} MB"
    took = sum(now - then for now, then in zip(os.times()[:2], start[:2]))  # of this process
    return f"{kind}: {name} takes {took:.0f} s" if took > SECONDS else None


def _own(data):
    """Source that Striate wrote says what it holds, without being run; anything else is not looked at."""
    from striate.formats.torch import striate_metadata

    text = data.decode("utf-8", "replace")
    found = striate_metadata.network(text)
    assert found is None or data.replace(b"\r\n", b"\n") == _valid("source")["net.py"]
