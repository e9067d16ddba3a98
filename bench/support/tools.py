"""What each tool is asked, at its best settings.

`tools.py TOOL MODEL` is a whole process that prints the tool's answer; `tools.py TOOL --serve` stays and is timed.
A tool is a function of a model's name: it prepares what can be prepared once and returns the function that is timed.
That one returns what it found. Imports are inside, so that a process loads only the tool it was started for.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, int]
Go = Callable[[], Answer]
IMAGE = (3, 224, 224)
TOOLS: dict[str, Callable[[str], Go]] = {}


def tool(prepare: Callable[[str], Go]) -> Callable[[str], Go]:
    """Make a function callable from outside under its name."""
    TOOLS[prepare.__name__] = prepare
    return prepare


# ---------------------------------------------------------------- Striate
def forget() -> None:
    """Empty every bounded cache of Striate: a second look at a network is cheap there, and peers keep nothing."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "striate":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and value.cache_parameters()["maxsize"]:
                    value.cache_clear()


@tool
def striate_show(name: str) -> Go:
    """All facts of `striate show`. The network is built anew each time, and nothing is remembered."""
    import striate as st

    def go() -> Answer:
        forget()
        totals = st.analyze(st.create(name)).totals
        return {"params": totals.params, "macs": totals.macs}

    return go


@tool
def striate_show_again(name: str) -> Go:
    """The same in a session that has seen these layers before, as a notebook or an editor has."""
    import striate as st

    def go() -> Answer:
        totals = st.analyze(st.create(name)).totals
        return {"params": totals.params, "macs": totals.macs}

    return go


@tool
def striate_check(name: str) -> Go:
    """Every rule, with computed fixes; nothing is remembered."""
    import striate as st

    def go() -> Answer:
        forget()
        return {"findings": len(st.check(st.create(name)).findings)}

    return go


@tool
def expected(name: str) -> Go:
    """The products that a network costs, and what the other tools must say under their own conventions."""
    import striate as st
    from striate.analysis import macs

    net = st.create(name)
    trainable = [parameter for parameter in net.parameters.values() if parameter.trainable]
    # torchinfo adds 1 per number of the tensors that are no products: a norm's scale and shift, a bias.
    added = sum(parameter.elements for parameter in trainable if parameter.kind != "weight")
    return lambda: {
        "params": sum(parameter.elements for parameter in trainable),
        "striate_show": macs(net),
        "torchinfo": macs(net) + added,
        "flop_counter": macs(net, "torchvision"),
        "fvcore": macs(net, "fvcore"),
        "onnx": macs(net),
    }


# ---------------------------------------------------------------- chains of any length
def chain(length: int) -> Any:
    """conv, relu, conv, relu, …; every convolution has another number of filters, so that no two layers are equal."""
    import striate as st
    from striate.ops import Conv, Relu

    forget()
    build = st.Builder(f"chain of {length}", input=(3, 64, 64))
    x = build.input
    for k in range(length // 2):
        x = build(Relu(), build(Conv(8 + k, kernel=3, padding=1), x))
    return build.build(x)


def _chained(question: str) -> Callable[[str], Go]:
    def prepare(length: str) -> Go:
        import striate as st

        look = getattr(st, question, lambda net: net)

        def go() -> Answer:
            look(chain(int(length)))
            return {}

        return go

    return prepare


TOOLS |= {
    f"chain_{question}": _chained(question) for question in ("build", "analyze", "check", "sizes", "pixels")
}


# ---------------------------------------------------------------- PyTorch's
def _module(name: str, device: str = "meta") -> Any:
    """torchvision's model in evaluation mode. No weights are drawn, and on the meta device there are none."""
    import torch

    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from torchvision_cpu import torchvision  # torchvision itself, its compiled operators loaded or declared

    with torch.device("meta"):
        module = torchvision.models.get_model(name, weights=None).eval()
    return module if device == "meta" else module.to_empty(device=device)


@tool
def torchvision(name: str) -> Go:
    """What every PyTorch tool needs first: torch, torchvision and the module."""
    module = _module(name)
    return lambda: {"params": sum(weight.numel() for weight in module.parameters())}


@tool
def torchinfo(name: str) -> Go:
    """On the meta device: shapes are propagated, nothing is computed."""
    import torchinfo

    module = _module(name)

    def go() -> Answer:
        found = torchinfo.summary(module, input_size=(1, *IMAGE), device="meta", verbose=0)
        return {"params": found.total_params, "macs": found.total_mult_adds}

    return go


@tool
def flop_counter(name: str) -> Go:
    """PyTorch's own counter, on the meta device. It counts 2 per multiplication."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module = _module(name)

    def go() -> Answer:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(torch.empty(1, *IMAGE, device="meta"))
        params = sum(weight.numel() for weight in module.parameters())
        return {"params": params, "macs": counter.get_total_flops() // 2}

    return go


@tool
def fvcore(name: str) -> Go:
    """On the CPU: torch 2.13 refuses meta tensors in the tracer that fvcore uses, so the network is really run."""
    import logging

    import torch
    from fvcore.nn import FlopCountAnalysis, parameter_count

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    module = _module(name, "cpu")

    def go() -> Answer:
        with torch.no_grad():
            count = FlopCountAnalysis(module, (torch.zeros(1, *IMAGE),)).unsupported_ops_warnings(False)
            return {"params": parameter_count(module)[""], "macs": int(count.total())}

    return go


# ---------------------------------------------------------------- ONNX
def _graph(name: str) -> Any:
    """The graph of that name inside the onnx wheel: weights left out, everything else as published."""
    import onnx

    return onnx.load(
        Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    )


@tool
def onnx(name: str) -> Go:
    """Shape inference. It gives shapes and nothing else."""
    from onnx import shape_inference

    graph = _graph(name)

    def go() -> Answer:
        shape_inference.infer_shapes(graph, strict_mode=True)
        return {}

    return go


@tool
def onnx_products(name: str) -> Go:
    """Products of convolutions and fully connected layers, counted here on the shapes that ONNX inferred."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(_graph(name), strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return lambda: {
        "macs": sum(math.prod(shapes[n.output[0]]) * math.prod(shapes[n.input[1]][1:]) for n in weighted)
    }


def serve(prepare: Callable[[str], Go]) -> None:
    """Each line of standard input names a model; the answer: seconds of one go, on the clock and of processor time."""
    ready: dict[str, Go] = {}
    for line in sys.stdin:
        name = line.strip()
        go = ready.get(name) or ready.setdefault(name, prepare(name))
        start, used = time.perf_counter(), time.process_time()
        go()
        print(time.perf_counter() - start, time.process_time() - used, flush=True)


if __name__ == "__main__":
    _, chosen, model = sys.argv
    if model == "--serve":
        serve(TOOLS[chosen])
    else:
        print(json.dumps(TOOLS[chosen](model)()))
