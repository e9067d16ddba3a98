"""Models trained on images of every kind: whoever is asked about the same images gives the same answer.

Images as arrays of several types, ranges and layouts or as files; a small network; a training of one epoch. Then the
answers of `predict` are compared with the bare network on images that were normalized by hand, and with those of the
saved and the exported model, of onnxruntime, of `evaluate`, and of the shell.
"""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np

NEEDS = ("onnx", "onnxruntime", "PIL")

KINDS = {
    # name -> (an array of images of this kind from numbers in [0, 1] of (N, C, H, W), the same as fractions, files)
    "unit": (lambda u: u, lambda u: u),
    "0 to 255": (lambda u: u * 255, lambda u: u * 255),
    "wide": (lambda u: u * 40 - 15, lambda u: u * 40 - 15),
    "double": (lambda u: u.astype(np.float64), lambda u: u),
    "uint8": (lambda u: byte(u), lambda u: byte(u) / np.float32(255)),
    "int64": (lambda u: byte(u).astype(np.int64), lambda u: byte(u) / np.float32(255)),
    "uint16": (lambda u: deep(u), lambda u: deep(u) / np.float32(65535)),
    "bool": (lambda u: u > 0.5, lambda u: (u > 0.5).astype(np.float32)),
    "channels last": (lambda u: last(byte(u)), lambda u: byte(u) / np.float32(255)),
    "fractions, channels last": (lambda u: last(u), lambda u: u),
    "files": (None, lambda u: byte(u) / np.float32(255)),
}
HEADS = ("fc {k}", "fc {k} -> softmax", "fc 1")


def byte(u):
    return np.rint(u * 255).astype(np.uint8)


def deep(u):
    return np.rint(u * 65535).astype(np.uint16)


def last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def drawn(seed):
    """What is tried, all from the seed."""
    rng = np.random.default_rng(seed)
    kind = list(KINDS)[int(rng.integers(len(KINDS)))]
    channels, classes = int(rng.choice([1, 3])), int(rng.integers(2, 4))
    head = str(rng.choice(HEADS[:1] * 2 + HEADS[2:])).format(k=classes)
    if head == "fc 1":
        classes = 2
    wider = channels == 1 and bool(rng.random() < 0.25)
    side = int(rng.choice([7, 8]))
    return rng, {
        "kind": kind, "channels": channels, "classes": classes, "head": head, "side": side,
        "network channels": 3 if wider else channels, "engine": str(rng.choice(["auto", "numpy"])),
        "flip": float(rng.choice([0, 0.5])), "batch": int(rng.choice([5, 64])),
    }  # fmt: skip


def describe(seed):
    return ", ".join(f"{name} {value}" for name, value in drawn(seed)[1].items())


def trial(seed):
    import striate as st

    rng, case = drawn(seed)
    side, classes = case["side"], case["classes"]
    net = st.parse(
        f"{side}x{side}x{case['network channels']} -> conv 3x3 4 -> bn -> relu -> flatten -> {case['head']}"
    )
    y = np.arange(24) % classes
    u = rng.random((24, case["channels"], side, side), np.float32)
    u[np.arange(24), :, y] = u[np.arange(24), :, y] / 2 + 0.5
    loss = "binary_cross_entropy" if case["head"] == "fc 1" else "cross_entropy"
    model = st.Model(net, seed=int(rng.integers(99)), engine=case["engine"])
    make, plain = KINDS[case["kind"]]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if make is None:
            pictures(root / "files", byte(u), y)
        given = root / "files" if make is None else (make(u), y)
        settings = {"epochs": 1, "batch_size": 8, "lr": 0.01, "loss": loss, "flip": case["flip"]}
        held = given if make else st_data(given)
        model.fit(held, held, out=root / "run", **settings)
        return checked(st, model, root, case, given, plain(u), y, seed)


def st_data(path):
    from striate.train.data import open_data

    return open_data(path, "all")


def checked(st, model, root, case, given, fractions, y, seed):
    """The first disagreement, or None."""
    batch = case["batch"]
    asked = given if isinstance(given, Path) else given[0]
    if isinstance(given, Path):  # files come by class
        order = np.argsort(y, kind="stable")
        fractions, y = fractions[order], y[order]
    answers = model.predict(asked, batch=batch)
    z = normalized(fractions, case)
    bare = model.compile(batch=len(z))(z)
    if (why := differ(answers, bare, 2e-5)) is not None:
        return f"seed {seed}: predict and the bare network on images normalized by hand: {why}"
    files = {"run": root / "run", "saved": root / "saved", "onnx": root / "m.onnx", "raw": root / "raw.onnx",
             "safetensors": root / "m.safetensors"}  # fmt: skip
    model.save(files["saved"])
    model.export(files["onnx"])
    model.export(files["raw"], raw=True)
    model.export(files["safetensors"])
    counted = model.evaluate(given, batch=batch)
    hits = (answers[:, 0] > 0) == y if case["head"] == "fc 1" else answers.argmax(1) == y
    if counted.accuracy != hits.mean():
        return f"seed {seed}: evaluate says {counted.accuracy}, predict {hits.mean()}"
    for name, path in files.items():
        other = st.Model.load(path, engine=case["engine"])
        if not np.array_equal(other.predict(asked, batch=batch), answers):
            return f"seed {seed}: the model of {name} predicts otherwise"
        if (
            other.evaluate(given, batch=batch).to_dict()["confusion_matrix"]
            != counted.to_dict()["confusion_matrix"]
        ):
            return f"seed {seed}: the model of {name} is judged otherwise"
        if (other.classes, other.transform, other.objective) != (
            model.classes,
            model.transform,
            model.objective,
        ):
            return f"seed {seed}: the model of {name} has lost what it was trained on"
        again = st.Model(st.load(path), engine=case["engine"]).predict(asked, batch=batch)
        if not np.array_equal(again, answers):
            return f"seed {seed}: Model(load) of {name} predicts otherwise"
    for name, x in (("onnx", fractions), ("raw", z)):
        if (why := differ(ort(files[name], x), answers, 1e-5)) is not None:
            return f"seed {seed}: onnxruntime on {name}: {why}"
    return shell(model, root, asked, given, counted, batch, case, seed)


def shell(model, root, asked, given, counted, batch, case, seed):
    """What the commands say of the same images."""
    data = given
    if not isinstance(given, Path):
        data = root / "d.npz"
        np.savez(data, x=given[0], y=given[1])
    for source in (root / "run", root / "m.onnx"):
        common = ["--engine", case["engine"], "--batch-size", str(batch), "--json"]
        found = said("eval", source, "--data", data, "--split", "all", *common)
        if (
            found["confusion_matrix"] != counted.to_dict()["confusion_matrix"]
            or found["loss"] != counted.loss
        ):
            return f"seed {seed}: striate eval {source.name} says another loss or other answers than evaluate"
        if isinstance(given, Path):
            found = said("predict", source, given, "--top", "2", *common)
            named = {
                Path(one["name"]).relative_to(given).as_posix(): [
                    (t["class"], t["probability"]) for t in one["top"]
                ]
                for one in found["images"]
            }
            if named != model.classify(given, top=2, batch=batch):
                return f"seed {seed}: striate predict {source.name} says other classes than classify"
    if not isinstance(given, Path):
        rows = model.classify(asked, top=1, batch=batch)
        if len(rows) != len(asked) or any(not 0 <= row[0][1] <= 1 for row in rows):
            return f"seed {seed}: classify gives no probabilities"
    return None


def said(*words):
    from striate.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    assert code == 0, (words, err.getvalue())
    return json.loads(out.getvalue())


def normalized(x, case):
    """Images as the network reads them, by the definition of mean and deviation."""
    x64 = x.astype(np.float64)
    mean = x64.mean((0, 2, 3)).round(6)
    std = np.sqrt(np.maximum((x64**2).mean((0, 2, 3)) - x64.mean((0, 2, 3)) ** 2, 0)).round(6)
    z = (x.astype(np.float32) - mean.astype(np.float32)[:, None, None]) / std.astype(np.float32)[
        :, None, None
    ]
    return np.repeat(z, case["network channels"] // case["channels"], axis=1)


def pictures(root, pixels, y):
    from PIL import Image

    for number, (image, label) in enumerate(zip(pixels, y, strict=True)):
        folder = root / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
            folder / f"{number:03d}.png"
        )


def ort(path, x):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0]


def differ(one, other, tolerance):
    """How far apart, relative to the largest number; None within the tolerance."""
    if one.shape != other.shape:
        return f"shapes {one.shape} and {other.shape}"
    far = float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-6))
    return None if far <= tolerance else f"{far:.2g} apart"
