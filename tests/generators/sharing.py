"""Networks whose nodes share parameters, or have constants among them: counts, outputs, gradients and files.

A network is made from the seed; PyTorch's own modules, one module called several times or tensors tied by hand, are the
oracle of its outputs, gradients and running statistics, and every file format gives it back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

NEEDS = ("torch", "onnx")


def network(rng: np.random.Generator) -> Any:
    """A network of one to four rounds over a body whose parts are shared, tied, fixed, frozen or neither."""
    from striate.network import Builder
    from striate.ops.activation import Prelu, Relu
    from striate.ops.conv import Conv, ConvTranspose
    from striate.ops.linear import Linear
    from striate.ops.merge import Add
    from striate.ops.norm import BatchNorm, GroupNorm
    from striate.ops.pool import GlobalAvgPool
    from striate.ops.reshape import Flatten

    channels = int(rng.choice([4, 6, 8, 16]))
    size = int(rng.integers(5, 10))
    build = Builder("generated", input=(int(rng.choice([3, channels])), size, size))
    kernel = int(rng.choice([1, 3]))
    groups = int(rng.choice([1, 2, channels]))
    norm = rng.choice(["bn", "gn", "none"])
    act = rng.choice(["relu", "prelu"])
    marks = {m: ("weight",) for m in ("fixed", "frozen") if rng.random() < 0.25}
    if len(marks) == 2:
        del marks["frozen"]
    stem = Conv(channels, kernel=3, padding=1)
    x = build(stem, build.input, name="stem")
    shares = {part: rng.random() < 0.8 for part in ("conv", "norm", "act")}
    for k in range(int(rng.integers(1, 5))):
        start = x
        dilation = int(rng.choice([1, 1, 2]))
        body = Conv(
            channels,
            kernel=kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=norm != "bn",  # before which a bias has no gradient but rounding
        )
        own = {
            part: {"shares": f"{part}0"} if k and shared else {} if part == "act" else dict(marks)
            for part, shared in shares.items()
        }
        x = build(body, x, name=f"conv{k}", **own["conv"])
        if norm != "none":
            x = build(BatchNorm() if norm == "bn" else GroupNorm(2), x, name=f"norm{k}", **own["norm"])
        x = build(Relu(), x) if act == "relu" else build(Prelu("each"), x, name=f"act{k}", **own["act"])
        if rng.random() < 0.3:
            x = build(Add(), x, start)
    outputs = []
    if rng.random() < 0.4 and groups == 1 and kernel == 3:
        outputs.append(
            build(
                ConvTranspose(channels, kernel=3, padding=1), x, name="dec", shares={"weight": "conv0.weight"}
            )
        )
    y = build(Flatten(), build(GlobalAvgPool(), x))
    y = build(Linear(channels), y, name="fc")
    if rng.random() < 0.5:
        y = build(Linear(channels), y, name="fc2", shares="fc")
    return build.build(y, *outputs)


def module(net: Any, weights: dict[str, Any]) -> Any:
    """The network as PyTorch's own modules, each owner's once; told op by op, apart from what Striate lowers."""
    import torch
    from torch import nn

    functional = nn.functional

    class Module(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.held = nn.ParameterDict()
            self.kept = {}
            self.corners: list[Any] = []  # what activations with a corner at 0 have read
            for name, p in net.parameters.items():
                tensor = torch.tensor(weights[name], dtype=torch.float64)
                if p.trainable:
                    self.held[name.replace(".", "/")] = nn.Parameter(tensor)
                else:
                    self.kept[name] = tensor

        def tensor(self, node: Any, name: str) -> Any:
            full = node.key(name)
            return self.kept[full] if full in self.kept else self.held[full.replace(".", "/")]

        def forward(self, x: Any) -> tuple[Any, ...]:
            values = {"input": x}
            for node in net.nodes:
                op, given = node.op, [values[v] for v in node.inputs]
                t = {p.name: self.tensor(node, p.name) for p in net.declarations[node.name].parameters}
                match op.word:
                    case "conv":
                        y = functional.conv2d(
                            *given, t["weight"], t.get("bias"), 1, op.padding, op.dilation, op.groups
                        )
                    case "tconv":
                        y = functional.conv_transpose2d(*given, t["weight"], t["bias"], 1, op.padding)
                    case "fc":
                        y = functional.linear(*given, t["weight"], t["bias"])
                    case "bn":
                        y = functional.batch_norm(
                            *given,
                            t["running_mean"],
                            t["running_var"],
                            t["weight"],
                            t["bias"],
                            self.training,
                            0.1,
                            op.eps,
                        )
                    case "gn":
                        y = functional.group_norm(*given, op.groups, t["weight"], t["bias"], op.eps)
                    case "prelu":
                        self.corners.append(given[0].detach())
                        y = functional.prelu(*given, t["weight"])
                    case "relu":
                        self.corners.append(given[0].detach())
                        y = given[0].relu()
                    case "add":
                        y = given[0] + given[1]
                    case "gap":
                        y = given[0].mean((2, 3), keepdim=True)
                    case _:
                        y = given[0].flatten(1)
                values[node.name] = y
            return tuple(values[name] for name in net.outputs)

    return Module()


def describe(seed: int) -> str:
    from striate.formats import toml

    return toml.format(network(np.random.default_rng(seed)))


def trial(seed: int) -> str | None:
    """None where everything agrees, else what does not."""
    import torch

    import striate as st
    from striate.engine.registry import get_engine

    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    net = network(rng)
    weights = {
        n: rng.standard_normal(p.shape).astype(np.float32) * 0.4 + 0.1 for n, p in net.parameters.items()
    }
    weights = {n: abs(a) + 0.5 if n.endswith("var") else a for n, a in weights.items()}
    x = rng.standard_normal((3, *net.input.without_batch)).astype(np.float32)
    oracle = module(net, weights)
    learned = sum(p.numel() for p in oracle.parameters())
    frozen = sum(p.elements for p in net.parameters.values() if p.frozen)
    if st.analyze(net).totals.params != learned + frozen:
        return f"{st.analyze(net).totals.params} parameters, torch counts {learned + frozen}"
    wanted = [y.detach().numpy() for y in oracle.eval()(torch.from_numpy(x).double())]
    said = _engines(net, weights, x, oracle, wanted, ("numpy", "compiled", "torch"), get_engine)
    return said or _files(net, weights, x, wanted, seed % 6 == 0)


def _engines(net: Any, weights: Any, x: Any, oracle: Any, wanted: Any, names: Any, get: Any) -> str | None:
    import torch

    import striate as st

    oracle.corners.clear()
    outputs = oracle.train()(torch.from_numpy(x).double())
    # Rounding may put a number this near to a corner on its other side: no gradient to compare with.
    smooth = all(at.abs().min() > 4e-6 * at.abs().max() for at in oracle.corners)
    slopes = [np.linspace(-1, 1, y.numel(), dtype=np.float32).reshape(y.shape) for y in outputs]
    torch.autograd.backward(outputs, [torch.from_numpy(s).double() for s in slopes])
    grads = {n.replace("/", "."): p.grad for n, p in oracle.held.items()}
    grads = {n: np.zeros(weights[n].shape) if g is None else g.numpy() for n, g in grads.items()}
    statistics = {n: t.numpy() for n, t in oracle.kept.items() if "running" in n}
    for name in names:
        engine = get(name, "cpu" if name == "torch" else "")
        found = st.Model(net, weights=weights, engine=engine).predict(x)
        for k, (one, other) in enumerate(
            zip(found if isinstance(found, tuple) else (found,), wanted, strict=True)
        ):
            if said := _unlike(one, other):
                return f"{name}: output {k}: {said}"
        training = engine.training(net, {n: a.copy() for n, a in weights.items()})
        made = training.forward(x, np.random.default_rng(0))
        if name == "compiled" and not training.compiled:
            return "no kernels for its gradients"
        for k, (one, other) in enumerate(zip(made, outputs, strict=True)):
            if said := _unlike(one, other.detach().numpy()):
                return f"{name}: training output {k}: {said}"
        updates = {n: np.array(a) for n, a in training.updates.items()}
        if updates.keys() != statistics.keys():
            return f"{name}: updates {sorted(updates)}"
        back = training.backward(slopes)
        if back.keys() != grads.keys():
            return f"{name}: gradients {sorted(back.keys() ^ grads.keys())}"
        scale = max(abs(g).max() for g in grads.values())
        compared = {"gradient": (back, grads if smooth else {}), "update": (updates, statistics)}
        for kind, (ours, theirs) in compared.items():
            for full, array in theirs.items():
                if said := _unlike(ours[full], array, scale if kind == "gradient" else 1.0):
                    return f"{name}: {kind} of {full}: {said}"
    return None


def _files(net: Any, weights: Any, x: Any, wanted: Any, read_back: bool) -> str | None:
    import torch

    import striate as st
    from striate.diagnostics import StriateError
    from striate.formats import toml
    from striate.formats.torch.python_source import source

    model = st.Model(net, weights=weights, engine="numpy")
    if toml.parse(toml.format(net)) != net or type(net).from_dict(net.to_dict()) != net:
        return "its plain form is another network"
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".onnx", ".safetensors"):
            path = Path(folder, f"m{suffix}")
            model.export(path)
            back = st.Model.load(path, engine="numpy")
            if back.net != net or any(not np.array_equal(back.weights[n], a) for n, a in weights.items()):
                return f"{suffix} gives another network"
        model.save(Path(folder, "run"))
        if st.load(Path(folder, "run")) != net:
            return "the folder gives another network"
        path = Path(folder, "m.pth")
        model.export(path)
        state = torch.load(path, weights_only=True)
        if any(not np.array_equal(st.Model(net, weights=path).weights[n], a) for n, a in weights.items()):
            return ".pth gives other weights"
    space: dict[str, Any] = {"__name__": "written"}
    exec(compile(source(net), "net.py", "exec"), space)
    modules = {"to_torch": model.to_torch(), "source": space["model"].eval()}
    for what, made in modules.items():
        try:
            made.load_state_dict(state, strict=True)
        except RuntimeError as error:
            return f"{what}: {str(error).splitlines()[-1].strip()}"
        with torch.no_grad():
            found = made(torch.from_numpy(x))
        for one, other in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
            if said := _unlike(one.numpy(), other):
                return f"{what}: {said}"
        if sum(p.numel() for p in made.parameters() if p.requires_grad) != sum(
            p.elements for p in net.parameters.values() if p.trainable
        ):
            return f"{what}: another number of parameters learns"
        if not read_back:  # tracing takes seconds
            continue
        try:
            back = st.from_torch(made, input=net.input.without_batch)
        except StriateError as error:
            return f"from_torch of {what}: {error.what}"
        if st.analyze(back).totals.params != st.analyze(net).totals.params:
            return f"from_torch of {what}: {st.analyze(back).totals.params} parameters"
    return None


def _unlike(one: Any, other: Any, scale: float = 0.0) -> str:
    if one.shape != other.shape:
        return f"shape {one.shape}, {other.shape} wanted"
    bound = 2e-4 * max(float(abs(other).max(initial=0.0)), scale, 1e-3)
    return "" if abs(one - other).max(initial=0.0) <= bound else f"differs by {abs(one - other).max():.3g}"
