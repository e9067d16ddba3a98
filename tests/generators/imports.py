"""Chains of operators as ONNX graphs and torch modules, with several results: what is read computes the same sizes and
numbers on every engine and through an exported file, or is refused with a reason.

Oracles: onnxruntime, and torch in float64.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NEEDS = ("torch", "onnx", "onnxruntime")

TOLERANCE = 2e-4
BATCH = 3
REFUSED = "refused: "


def trial(seed: int) -> str | None:
    said = attempt(seed)
    return None if said is None or said.startswith(REFUSED) else said


def attempt(seed: int) -> str | None:
    """As `trial`; an operator that is unsupported answers `refused: ` and the reason."""
    return _onnx(seed) if seed % 3 else _torch(seed)


def describe(seed: int) -> str:
    if seed % 3:
        import onnx

        return onnx.printer.to_text(_graph(np.random.default_rng(seed))[0])
    return " -> ".join(_Module(seed).told)


def compared(found: Any, wanted: Any, what: str) -> str | None:
    found = found if isinstance(found, tuple) else (found,)
    if len(found) != len(wanted):
        return f"{what}: {len(found)} outputs, {len(wanted)} wanted"
    for at, (y, right) in enumerate(zip(found, wanted)):
        if y.shape != right.shape:
            return f"{what}: output {at} is {y.shape}, {right.shape} wanted"
        scale = max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0)))
        if not np.allclose(y, right, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            return f"{what}: output {at} is off by {np.nanmax(np.abs(y - right)):.3g} of {scale:.3g}"
    return None


def _tried(load: Callable[[Path], Any], x: Any, wanted: Any, seed: int) -> str | None:
    import striate as st
    from striate.diagnostics import OpError

    with tempfile.TemporaryDirectory() as folder:
        net = load(Path(folder))
        for node in net.nodes:
            if node.op.word == "opaque":
                return (
                    REFUSED + f"{node.op.operator}: {node.op.why}"
                    if node.op.why
                    else "opaque without a reason"
                )
        engine = "numpy" if seed // 3 % 2 else "compiled"
        model = st.Model(net, engine=engine)
        if wrong := compared(model.predict(x), wanted, engine):
            return wrong
        try:
            model.export(str(Path(folder) / "out.onnx"))
        except OpError as error:
            return REFUSED + error.what
        return compared(tuple(_run(Path(folder) / "out.onnx", x)), wanted, "exported")


def _run(model: Any, x: Any) -> list[Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------- ONNX


class _Graph:
    """An ONNX graph while it is made; it knows the shape of its last value, batch first."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng, self.shape, self.value = rng, shape, "x"
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.outputs: list[str] = []

    def constant(self, array: Any) -> str:
        import onnx

        name = f"t{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def draw(self, *shape: int) -> Any:
        return self.rng.uniform(-1, 1, shape).astype(np.float32)

    def pick(self, *items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def add(self, kind: str, *more: str, first: bool = True, **attributes: Any) -> str:
        import onnx

        name = f"v{len(self.nodes)}"
        inputs = [self.value, *more] if first else [*more, self.value]
        self.nodes.append(onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.value = name
        return name

    @property
    def rank(self) -> int:
        return len(self.shape)

    def conv(self) -> None:
        if self.rank < 3:
            return
        n, c, *space = self.shape
        kernel = [int(self.rng.integers(1, min(size, 3) + 1)) for size in space]
        pads = [int(self.rng.integers(0, 2)) for _ in range(2 * len(space))]
        strides = [self.pick(1, 1, 2) for _ in space]
        out = self.pick(2, 4)
        group = self.pick(*(g for g in (1, 2, c) if c % g == 0 and out % g == 0))
        weight = self.constant(self.draw(out, c // group, *kernel))
        self.add("Conv", weight, group=group, pads=pads, strides=strides)
        half = len(space)
        sizes = [
            (size + pads[k] + pads[k + half] - kernel[k]) // strides[k] + 1 for k, size in enumerate(space)
        ]
        self.shape = (n, out, *sizes)

    def pool(self) -> None:
        if self.rank < 3:
            return
        n, c, *space = self.shape
        half = len(space)
        kernel = [int(self.rng.integers(1, min(size, 4) + 1)) for size in space]
        strides = [int(self.rng.integers(1, 4)) for _ in space]
        pads = [int(self.rng.integers(0, k)) for k in (*kernel, *kernel)]
        ceil = bool(self.rng.integers(2))
        sizes = []
        for k, size in enumerate(space):
            room = size + pads[k] + pads[k + half] - kernel[k]
            count = (-(-room // strides[k]) if ceil else room // strides[k]) + 1
            if ceil and (count - 1) * strides[k] >= size + pads[k]:
                count -= 1
            sizes.append(count)
        kind = self.pick("MaxPool", "AveragePool")
        more = {"count_include_pad": self.pick(0, 1)} if kind == "AveragePool" else {}
        self.add(kind, kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(ceil), **more)
        self.shape = (n, c, *sizes)

    def transpose(self) -> None:
        order = [0, *(int(k) + 1 for k in self.rng.permutation(self.rank - 1))]
        self.add("Transpose", perm=order)
        self.shape = tuple(self.shape[k] for k in order)

    def pointwise(self) -> None:
        self.add(self.pick("Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Softsign", "HardSwish", "Elu", "Sign"))

    def constants(self) -> None:
        """Arithmetic with a tensor that is repeated over some axes."""
        kind = self.pick("Add", "Mul", "Sub", "Max", "Min")
        shape = [1 if self.rng.integers(2) else size for size in self.shape[1:]]
        shape = shape[int(self.rng.integers(len(shape))) :]
        self.add(kind, self.constant(self.draw(*shape)), first=bool(self.rng.integers(2)))

    def itself(self) -> None:
        """The value meets a mean of its own, which is repeated."""
        whole = self.value
        axis = int(self.rng.integers(1, self.rank))
        self.add("ReduceMean", axes=[axis], keepdims=1)
        self.add(self.pick("Add", "Mul", "Sub"), whole, first=bool(self.rng.integers(2)))

    def expanded(self) -> None:
        """A mean repeated to its old size, perhaps before it meets others."""
        axes = sorted({int(k) for k in self.rng.integers(1, self.rank, 2)})
        self.add(self.pick("ReduceMean", "ReduceMax"), axes=axes, keepdims=1)
        self.add("Expand", self.constant(np.array(self.shape, np.int64)))

    def slices(self) -> None:
        axis = int(self.rng.integers(1, self.rank))
        size = self.shape[axis]
        start, step = int(self.rng.integers(0, max(size - 1, 1))), self.pick(1, 1, 2)
        ints = [self.constant(np.array([k], np.int64)) for k in (start, size, axis, step)]
        self.add("Slice", *ints)
        sizes = list(self.shape)
        sizes[axis] = len(range(start, size, step))
        self.shape = tuple(sizes)

    def joined(self) -> None:
        axis = int(self.rng.integers(1, self.rank))
        if self.shape[axis] > 16:
            return
        self.add("Concat", self.value, axis=axis)
        self.shape = tuple(2 * n if k == axis else n for k, n in enumerate(self.shape))

    def reshaped(self) -> None:
        if self.rank == 4 and self.rng.integers(2):
            self.shape = (self.shape[0], self.shape[1], self.shape[2] * self.shape[3])
        elif self.rank > 2:
            self.shape = (self.shape[0], *self.shape[1:-1], 1, self.shape[-1])[:5]
            if len(self.shape) == 5:
                self.shape = (self.shape[0], self.shape[1] * self.shape[2], 1, self.shape[4])
        wish = [0, *self.shape[1:]] if self.rng.integers(2) else [-1, *self.shape[1:]]
        self.add("Reshape", self.constant(np.array(wish, np.int64)))

    def normed(self) -> None:
        c = self.shape[1]
        ones = [self.constant(self.draw(c)) for _ in range(3)]
        self.add("BatchNormalization", *ones, self.constant(np.abs(self.draw(c)) + 0.5))

    def layered(self) -> None:
        size = self.shape[-1]
        self.add(
            "LayerNormalization", self.constant(self.draw(size)), self.constant(self.draw(size)), axis=-1
        )

    def shares(self) -> None:
        self.add("Softmax", axis=int(self.rng.integers(1, self.rank)))

    def slope(self) -> None:
        shape = [1 if self.rng.integers(2) else n for n in self.shape[1:]]
        self.add("PRelu", self.constant(self.draw(*shape)))

    def padded(self) -> None:
        if self.rank < 3:
            return
        room = 2 * (self.rank - 2)
        sides = [int(k) for k in self.rng.integers(0, 2, room)]
        mode = self.pick("constant", "edge", "reflect")
        if mode == "reflect" and min(self.shape[2:]) < 2:
            return
        half = room // 2
        pads = [0, 0, *sides[:half], 0, 0, *sides[half:]]
        self.add("Pad", self.constant(np.array(pads, np.int64)), mode=mode)
        grown = (n + sides[k] + sides[k + half] for k, n in enumerate(self.shape[2:]))
        self.shape = (*self.shape[:2], *grown)

    def product(self) -> None:
        out = self.pick(3, 5)
        self.add("MatMul", self.constant(self.draw(self.shape[-1], out)))
        self.shape = (*self.shape[:-1], out)


STEPS = (
    "conv", "conv", "pool", "pool", "transpose", "transpose", "pointwise", "constants", "itself", "expanded", "slices",
    "joined", "reshaped", "normed", "layered", "shares", "slope", "padded", "product",
)  # fmt: skip


def _graph(rng: np.random.Generator) -> tuple[Any, tuple[int, ...], bool]:
    """A model, the shape of its input, and whether its channels come last."""
    import onnx

    last = rng.integers(4) == 0
    shape = (
        BATCH,
        int(rng.integers(1, 5)),
        *(int(k) for k in rng.integers(4, 9, 2 if last else rng.integers(1, 3))),
    )
    given = (shape[0], *shape[2:], shape[1]) if last else shape
    graph = _Graph(rng, given)
    if last:
        graph.add("Transpose", perm=[0, 3, 1, 2])
        graph.shape = shape
        graph.conv()
    for _ in range(int(rng.integers(2, 7))):
        getattr(graph, STEPS[int(rng.integers(len(STEPS)))])()
        if rng.integers(3) == 0 and graph.value != "x" and not last:
            graph.outputs.append(graph.value)
    if graph.value == "x":
        graph.pointwise()
    outputs = list(dict.fromkeys([*graph.outputs, graph.value]))
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    source = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", *given[1:]])
    made = onnx.helper.make_graph(graph.nodes, "generated", [source], values, graph.tensors)
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(made, opset_imports=opsets, ir_version=8), given, bool(last)


def _onnx(seed: int) -> str | None:
    import onnx

    import striate as st

    rng = np.random.default_rng(seed)
    model, shape, last = _graph(rng)
    x = rng.standard_normal(shape).astype(np.float32)
    try:
        wanted = _run(model, x)
    except Exception:  # onnxruntime takes less than ONNX says
        return None

    def load(folder: Path) -> Any:
        onnx.save(model, folder / "in.onnx")
        return st.load(folder / "in.onnx")

    if any(y.ndim < 2 or y.size == 0 for y in wanted):
        return None
    with tempfile.TemporaryDirectory() as folder:
        (spec,) = load(Path(folder)).inputs.values()
    if spec.shape[1:] != shape[1:] or last:  # channels last in the file, first here
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        if spec.shape[1:] != x.shape[1:]:
            return f"an input {shape} is read as {spec.shape}"
    return _tried(load, x, wanted, seed)


# ---------------------------------------------------------------------------------------------------- torch


def _Module(seed: int) -> Any:
    """A torch module of drawn steps."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    shape = (int(rng.integers(2, 5)), int(rng.integers(4, 8)), int(rng.integers(4, 8)))

    def pick(*items: Any) -> Any:
        return items[int(rng.integers(len(items)))]

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList()
            self.steps: list[Callable[[Any], Any]] = []
            self.kept: set[int] = set()
            self.told: list[str] = []

        def forward(self, x: Any) -> Any:
            results = []
            for at, step in enumerate(self.steps):
                x = step(x)
                if at in self.kept:
                    results.append(x)
            return (*results, x) if results else x

    module = Module()
    example = torch.zeros(BATCH, *shape)

    def part(made: Any) -> Any:
        module.parts.append(made)
        return made

    def buffer(made: Any) -> Any:
        module.register_buffer(f"held{len(module.told)}", made)
        return f"held{len(module.told)}"

    for _ in range(int(rng.integers(2, 6))):
        size = tuple(example.shape[1:])
        rank = len(size)
        dim = int(rng.integers(1, rank + 1))
        images = rank == 3
        steps: dict[str, Callable[[Any], Any]] = {
            "relu": F.relu, "sigmoid": torch.sigmoid, "sign": torch.sign, "abs": lambda x: x.abs() + 0.5,
            "softmax": lambda x, d=dim: x.softmax(d),
            "mean": lambda x, d=dim: x.mean(d, keepdim=True).expand_as(x),
            "amax": lambda x, d=dim: x.amax(d, keepdim=True).expand(*x.shape).contiguous(),
            "gate": lambda x, d=dim: x * torch.sigmoid(x.mean(d, keepdim=True)).expand_as(x),
            "difference": lambda x, d=dim: x - x.mean(d, keepdim=True).expand_as(x),
            "flip": lambda x, d=dim: x.flip(d), "roll": lambda x, d=dim: x.roll(1, d),
            "double": lambda x, d=dim: torch.cat([x, -x], d),
            "halves": lambda x, d=dim: torch.cat(x.chunk(2, d)[::-1], d),
        }  # fmt: skip
        mask, fill = buffer(torch.rand(*size) > 0.4), pick(0.0, -1e4, 0.5)
        steps["masked"] = lambda x, m=mask, f=fill: x.masked_fill(~getattr(module, m), f)
        steps["where"] = lambda x, m=mask, f=fill: torch.where(getattr(module, m), x, f)
        steps["infinite"] = lambda x, m=mask: torch.where(
            getattr(module, m), x, torch.tensor(float("-inf"), dtype=x.dtype)
        ).clamp(min=-9.0)

        at = int(rng.integers(0, size[dim - 1]))

        kind = int(rng.integers(4))

        def assigned(x: Any, d: int = dim, at: int = at, kind: int = kind) -> Any:
            x = x.clone()
            view = x.narrow(d, at, x.shape[d] - at)
            match kind:
                case 0:
                    view *= 0.5
                case 1:
                    view.copy_(-view)
                case 2:
                    view.zero_()
                case _:
                    x.select(d, at).add_(1.0)
            return x

        steps["assigned"] = assigned
        order = [0, *(int(k) + 1 for k in rng.permutation(rank))]
        steps["permute"] = lambda x, o=order: x.permute(*o)
        if images:
            c, h, w = size
            kernel = (int(rng.integers(1, min(h, 3) + 1)), int(rng.integers(1, min(w, 3) + 1)))
            groups = pick(*(g for g in (1, 2, c) if c % g == 0))
            out = groups * pick(1, 2)
            mode = pick("zeros", "zeros", "circular", "replicate")
            steps["conv"] = part(nn.Conv2d(c, out, kernel, padding=pick(0, 1) if min(h, w) > 1 else 0, groups=groups,
                                           padding_mode=mode))  # fmt: skip
            stride, ceil = pick(1, 2, 3), bool(rng.integers(2))
            pad = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
            steps["maxpool"] = nn.MaxPool2d(kernel, stride, pad, ceil_mode=ceil)
            steps["avgpool"] = nn.AvgPool2d(kernel, stride, pad, ceil, bool(rng.integers(2)))
            steps["lppool"] = nn.LPPool2d(2, kernel, ceil_mode=ceil)
            steps["bn"] = part(nn.BatchNorm2d(c)).eval()
            after, factor = int(rng.integers(0, 3)), pick(2, 0.5, 1.5)
            along = part(nn.Conv1d(1, 1, 3, padding=1, bias=False))
            steps["padpool"] = lambda x, k=kernel, s=stride, ceil=ceil, a=after: F.max_pool2d(
                F.pad(x, (0, a, 1, a), value=float("-inf")), k, s, ceil_mode=ceil
            ).clamp(min=-9.0)
            steps["eca"] = lambda x, m=along: (
                x * m(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1).expand_as(x)
            )
            steps["resize"] = lambda x, f=factor: F.interpolate(x, scale_factor=f)
        name = list(steps)[int(rng.integers(len(steps)))]
        with torch.no_grad():
            try:
                made = steps[name](example.clone())
            except (RuntimeError, ValueError, IndexError):  # torch refuses this use
                continue
        if made.numel() > 20_000 or made.numel() == 0:
            continue
        example = made
        module.steps.append(steps[name])
        module.told.append(name)
        if rng.integers(3) == 0:
            module.kept.add(len(module.steps) - 1)
    if not module.steps:
        module.steps.append(F.relu)
        module.told.append("relu")
    module.kept.discard(len(module.steps) - 1)
    module.shape = shape  # type: ignore[assignment]
    return module.eval()


def _torch(seed: int) -> str | None:
    import copy

    import torch

    import striate as st

    module = _Module(seed)
    x = np.random.default_rng(seed).standard_normal((BATCH, *module.shape)).astype(np.float32)
    torch.set_num_threads(1)
    wide = copy.deepcopy(module).double()
    wide.steps = module.steps
    with torch.no_grad():
        made = module.double()(torch.from_numpy(x.astype(np.float64)))
    module.float()
    wanted = [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]
    return _tried(lambda _: st.from_torch(module, input=module.shape), x, wanted, seed)
