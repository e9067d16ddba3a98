"""Networks of two and three inputs: every engine, training, files and exporters agree on them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

NEEDS = ("torch", "onnx", "onnxruntime")

TOLERANCE = 2e-5
NAMES = (("left", "right", "third"), ("input", "x", "y"), ("b", "a", "c"), ("image", "meta.data", "7"))


def build(seed: int) -> Any:
    """A network of images, sequences and vectors that meet as maps or as features."""
    from striate.network import Builder
    from striate.ops import (
        Abs,
        Add,
        AvgPool,
        BatchNorm,
        Concat,
        Conv,
        Flatten,
        GlobalAvgPool,
        Linear,
        Maximum,
        MaxPool,
        Multiply,
        Relu,
        Reshape,
        Sigmoid,
        Tanh,
    )  # fmt: skip

    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 4))
    names = NAMES[int(rng.integers(len(NAMES)))][:count]
    size = (int(rng.integers(1, 5)), int(rng.integers(5, 11)), int(rng.integers(5, 11)))
    kinds = [
        size,
        size,
        (int(rng.integers(1, 9)), int(rng.integers(4, 9)), int(rng.integers(4, 9))),
        (int(rng.integers(1, 20)),),
        (int(rng.integers(1, 5)), int(rng.integers(4, 12))),
    ]
    shapes = {name: kinds[int(rng.integers(len(kinds)))] for name in names}
    build = Builder(f"inputs{seed}", input=shapes)
    refs = [build.inputs[name] for name in names]
    rng.shuffle(refs)  # type: ignore[arg-type]
    merges = [Add(), Multiply(), Maximum(), Concat()]

    def one(items: list[Any]) -> Any:
        return items[int(rng.integers(len(items)))]

    def step(x: Any) -> Any:
        rank = len(x.spec.shape) - 2
        if rank == 0:
            return build(one([Linear(int(rng.integers(1, 9))), Relu(), Tanh()]), x)
        ops = [Conv(int(rng.integers(1, 9)), kernel=3, padding=1), Relu(), BatchNorm(), Sigmoid()]
        if min(x.spec.spatial) >= 2:
            ops += [MaxPool(2), AvgPool(2)]
        return build(one(ops), x)

    def merged(x: Any, y: Any) -> Any:
        """Two branches as one: as they are where they have one shape, a gate of channels, else as features."""
        if x.spec.shape == y.spec.shape and rng.random() < 0.7:
            return build(one(merges), x, y)
        if len(x.spec.shape) > 2 and len(y.spec.shape) == 2 and rng.random() < 0.5:
            channels = x.spec.channels
            gate = build(Sigmoid(), build(Linear(channels), y))
            return build(Multiply(), x, build(Reshape((channels,) + (1,) * (len(x.spec.shape) - 2)), gate))
        flat = [ref if len(ref.spec.shape) == 2 else build(Flatten(), ref) for ref in (x, y)]
        if rng.random() < 0.5:
            return build(Concat(), *flat)
        features = int(rng.integers(2, 7))
        both = [build(Linear(features), ref) for ref in flat]
        made = build(one([Add(), Multiply()]), *both)
        return build(Abs(), made) if rng.random() < 0.3 else made

    for k in range(len(refs)):
        for _ in range(int(rng.integers(0, 4))):
            refs[k] = step(refs[k])
    aside = one(refs) if rng.random() < 0.2 else None
    x = refs[0]
    for y in refs[1:]:
        x = merged(x, y) if rng.random() < 0.5 else merged(y, x)
        if rng.random() < 0.4:
            x = step(x)
    if len(x.spec.shape) > 2:
        x = build(Flatten(), build(GlobalAvgPool(), x)) if rng.random() < 0.5 else build(Flatten(), x)
    x = build(Linear(3), x)
    second = [aside] if aside is not None and aside.name not in names else []
    return build.build(x, *second)


def describe(seed: int) -> str:
    """The network in TOML."""
    from striate.formats.toml import format

    return format(build(seed))


def trial(seed: int) -> str | None:
    """Run, train, write and read back; None where all agree."""
    import striate as st
    from striate.engine.registry import get_engine

    net = build(seed)
    rng = np.random.default_rng((seed, 1))
    batch = int(rng.integers(1, 6))
    arrays = {
        name: rng.standard_normal((batch, *spec.without_batch)).astype(np.float32)
        for name, spec in net.inputs.items()
    }
    model = st.Model(net, seed=0, engine="numpy")
    for array in model.weights.values():  # statistics and scales are not what they start from
        array[...] = array + rng.uniform(0.05, 0.3, array.shape).astype(np.float32)
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    wanted = _several(model.compile()(wide))
    engines = {name: get_engine(name) for name in ("numpy", "auto", "torch")}
    for name, engine in engines.items():
        other = st.Model(net, weights=dict(model.weights), engine=engine)
        ways = {
            "predict by name": lambda other=other: other.predict(dict(reversed(arrays.items()))),
            "predict in pieces": lambda other=other: other.predict(*arrays.values(), batch=3),
            "compile": lambda other=other: other.compile(batch=batch, threads=2)(tuple(arrays.values())),
        }
        for way, run in ways.items():
            if said := _differ(run(), wanted):
                return f"{name}, {way}: {said}"
    return _trained(net, model, engines, arrays) or _written(net, model, arrays, wanted)


def _trained(net: Any, model: Any, engines: Any, arrays: Any) -> str | None:
    """Gradients of every engine against the numpy engine's in float64."""
    from striate.diagnostics import OpError
    from striate.engine.numpy_.numpy_engine import NumpyEngine

    rng = np.random.default_rng(5)
    size = len(next(iter(arrays.values())))
    seeds = [rng.standard_normal((size, *net.specs[n].shape[1:])).astype(np.float32) for n in net.outputs]
    weights = {name: array.astype(np.float64) for name, array in model.weights.items()}
    truth = NumpyEngine().training(net, weights)
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    try:
        wanted = list(truth.forward(wide, np.random.default_rng(1)))
    except OpError:
        return None  # statistics over one value
    gradients = truth.backward([seed.astype(np.float64) for seed in seeds])
    largest = max([float(np.abs(g).max()) for g in gradients.values()] or [1.0])
    for name, engine in engines.items():
        program = engine.training(net, dict(model.weights))
        made = program.forward(arrays, np.random.default_rng(1))
        if said := _differ(made, wanted, 1e-3):
            return f"{name}, training: {said}"
        found = program.backward(seeds)
        for parameter, gradient in gradients.items():
            scale = max(float(np.abs(gradient).max()), largest * 0.01, 1e-6)
            error = float(np.abs(found[parameter] - gradient).max()) / scale
            if not error < 2e-3:
                return f"{name}: the gradient of {parameter} is off by {error:.2g}"
    return None


def _written(net: Any, model: Any, arrays: Any, wanted: Any) -> str | None:
    """Files and modules made of the model, read and run by others and by us."""
    import onnxruntime
    import torch

    import striate as st
    from striate.formats import toml
    from striate.formats.torch import striate_metadata
    from striate.formats.torch.python_source import source

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        model.export(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        if [i.name for i in session.get_inputs()] != list(net.inputs):
            return f"the .onnx file has the inputs {[i.name for i in session.get_inputs()]}"
        if said := _differ(session.run(None, arrays), wanted):
            return f"onnxruntime: {said}"
        model.save(Path(folder) / "run")
        for file in (path, Path(folder) / "run"):
            again = st.Model.load(file, engine="numpy")
            if list(again.net.inputs.items()) != list(net.inputs.items()):
                return f"read from {file.name}: other inputs, {dict(again.net.inputs)}"
            if said := _differ(again.predict(arrays), wanted):
                return f"read from {file.name}: {said}"
    if toml.parse(toml.format(net)) != net:
        return "read from .toml: another network"
    text = source(net)
    if striate_metadata.network(text) != net:
        return "read from .py: another network"
    space: dict[str, Any] = {}
    exec(compile(text, "model.py", "exec"), space)
    written = space["model"].eval()
    lowered = model.to_torch()
    written.load_state_dict(lowered.state_dict())
    tensors = [torch.from_numpy(array) for array in arrays.values()]
    for way, module in (("to_torch", lowered), (".py", written)):
        with torch.inference_mode():
            made = module(*tensors)
        if said := _differ([m.numpy() for m in _several(made)], wanted):
            return f"{way}: {said}"
    # and in again: as many shapes as forward has arguments
    again = st.from_torch(written, input=[spec.without_batch for spec in net.inputs.values()])
    if said := _differ(st.Model(again, engine="numpy").predict(*arrays.values()), wanted):
        return f"from_torch: {said}"
    return None


def _several(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple | list) else [found]


def _differ(found: Any, wanted: list[Any], tolerance: float = TOLERANCE) -> str:
    for at, (a, b) in enumerate(zip(_several(found), wanted, strict=True)):
        if a.shape != b.shape:
            return f"output {at} has the shape {a.shape}, not {b.shape}"
        error = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-3)
        if not error < tolerance:
            return f"output {at} is off by {error:.2g}"
    return ""
