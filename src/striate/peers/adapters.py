"""Each tool at its best settings for one network, one batch size and a number of threads, in float32.

An adapter prepares what can be prepared once and returns the function that is timed: a batch in memory as numpy
float32 (N, C, H, W), the first output back as numpy. Imports are inside: a process loads only the tool it is for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.peers.subject import Subject, single

if TYPE_CHECKING:
    from striate.peers.subject import Floats

Run = Callable[[Any], Any]


def striate(subject: Subject, threads: int) -> Run:
    """The engine that `auto` takes."""
    program = subject.load().compile(batch=subject.batch, threads=threads)
    return lambda x: single(program(x))


def numpy(subject: Subject, threads: int) -> Run:
    """The engine that runs everywhere; its threads are those of numpy's matrix products."""
    program = subject.load("numpy").compile(batch=subject.batch, threads=threads)
    return lambda x: single(program(x))


def torch_eager(subject: Subject, threads: int, *, last: bool = False, form: str = "") -> Run:
    """torch as most people run it."""
    import torch

    from striate.peers.convert import module

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    net, example = module(subject)
    layout = {"memory_format": torch.channels_last} if last and example.ndim == 4 else {}
    net, example = net.to(**layout), example.to(**layout)
    if form == "frozen":
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, example)))
    elif form == "compiled":
        import torch._inductor.config as inductor

        inductor.freezing, inductor.compile_threads = (
            True,
            1,
        )  # no compiler processes next to the measured one
        net = torch.compile(net, dynamic=False)
    given: dict[int, Any] = {}  # the tensor of a batch is made once, as a caller of torch would have it

    def run(x: Floats) -> Any:
        if id(x) not in given:
            given[id(x)] = torch.from_numpy(x).to(**layout)
        with torch.no_grad() if form == "compiled" else torch.inference_mode():
            return single(net(given[id(x)])).numpy()

    return run


def torch_channels_last(subject: Subject, threads: int) -> Run:
    """Images and filters with the channels innermost, as oneDNN's convolutions like them."""
    return torch_eager(subject, threads, last=True)


def torch_frozen(subject: Subject, threads: int) -> Run:
    """Traced, weights made constants, batch norm folded, convolutions handed to oneDNN with their weights packed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = torch_eager(subject, threads, form="frozen")
        x = subject.images()
        for _ in range(3):  # TorchScript specializes in its first runs
            run(x)
        return run


def torch_compile(subject: Subject, threads: int) -> Run:
    """TorchInductor with constants folded and weights packed; needs a C++ compiler."""
    return torch_eager(subject, threads, last=True, form="compiled")


def onnxruntime(subject: Subject, threads: int) -> Run:
    """All graph optimizations, nodes one after another, threads inside a node."""
    import onnxruntime as ort

    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(str(subject.path("net.onnx")), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(subject: Subject, threads: int) -> Run:
    """Latency mode on one stream; float32 is asked for, where the processor would offer bfloat16."""
    import openvino as ov

    core = ov.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    compiled = core.compile_model(str(subject.path("net.onnx")), "CPU", settings)
    request = compiled.create_infer_request()
    output = compiled.output(0)
    return lambda x: request.infer({0: x}, share_inputs=True, share_outputs=True)[output]


def ncnn(subject: Subject, threads: int) -> Run:
    """Winograd, packed layouts and matrix products on, half precision off. It takes one image at a time."""
    import ncnn as tool
    import numpy as np

    net = tool.Net()
    options = net.opt
    options.num_threads, options.lightmode = threads, True
    options.use_vulkan_compute = False
    options.use_winograd_convolution = options.use_sgemm_convolution = options.use_packing_layout = True
    for half in (
        "fp16_packed",
        "fp16_storage",
        "fp16_arithmetic",
        "bf16_storage",
        "bf16_packed",
        "int8_inference",
    ):
        if hasattr(options, f"use_{half}"):
            setattr(options, f"use_{half}", False)
    if net.load_param(str(subject.path("net.ncnn.param"))) or net.load_model(
        str(subject.path("net.ncnn.bin"))
    ):
        raise RuntimeError("ncnn cannot read the output of pnnx for this network")
    source, target = net.input_names()[0], net.output_names()[0]

    def one(image: Floats) -> Any:
        with net.create_extractor() as extractor:
            extractor.input(source, tool.Mat(image))
            code, made = extractor.extract(target)
        if code:
            raise RuntimeError(f"ncnn returns error code {code}")
        return np.array(made)

    return lambda x: np.stack([one(image) for image in x])


def mnn(subject: Subject, threads: int) -> Run:
    """High precision (float32) on the processor; the session's weights are packed beforehand."""
    import MNN

    interpreter = MNN.Interpreter(str(subject.path("net.mnn")))
    session = interpreter.createSession(
        {"backend": "CPU", "precision": "high", "memory": "high", "numThread": threads}
    )
    source, target = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    shape = tuple(target.getShape())
    import numpy as np

    result = np.empty(shape, np.float32)
    store = MNN.Tensor(shape, MNN.Halide_Type_Float, result, MNN.Tensor_DimensionType_Caffe)

    def run(x: Floats) -> Any:
        source.copyFrom(MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, MNN.Tensor_DimensionType_Caffe))
        interpreter.runSession(session)
        target.copyToHostTensor(store)
        return store.getNumpyData()

    return run


ADAPTERS: dict[str, Callable[[Subject, int], Run]] = {
    adapter.__name__: adapter
    for adapter in (
        *(striate, numpy, torch_eager, torch_channels_last, torch_frozen, torch_compile),
        *(onnxruntime, openvino, ncnn, mnn),
    )
}
