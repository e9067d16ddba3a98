"""Adapters: each runs one tool at its best settings for a network, a batch size and a number of threads, in float32.

An adapter prepares everything that can be prepared once, and returns the function that is timed: from a batch in memory
as numpy float32 (N, C, H, W) to the first output as numpy. Imports are local, so a process loads only its own tool.
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
    """The engine that `auto` selects."""
    program = subject.load().compile(batch=subject.batch, threads=threads)
    return lambda x: single(program(x))


def numpy(subject: Subject, threads: int) -> Run:
    """The numpy engine, which runs everywhere; its threads are those of numpy's matrix products."""
    program = subject.load("numpy").compile(batch=subject.batch, threads=threads)
    return lambda x: single(program(x))


def torch_eager(subject: Subject, threads: int, *, last: bool = False, form: str = "") -> Run:
    """Eager torch, as most people run it."""
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
    tensors: dict[int, Any] = {}  # id of a batch -> its tensor, made once, as users of torch have it

    def run(x: Floats) -> Any:
        if id(x) not in tensors:
            tensors[id(x)] = torch.from_numpy(x).to(**layout)
        with torch.no_grad() if form == "compiled" else torch.inference_mode():
            return single(net(tensors[id(x)])).numpy()

    return run


def torch_channels_last(subject: Subject, threads: int) -> Run:
    """Eager torch with channels-last images and filters, the layout that oneDNN's convolutions prefer."""
    return torch_eager(subject, threads, last=True)


def torch_frozen(subject: Subject, threads: int) -> Run:
    """TorchScript: traced, with constant weights, batch norm folded, and oneDNN convolutions with packed weights."""
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
    """ONNX Runtime: all graph optimizations, nodes in sequence, threads within a node."""
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
    """OpenVINO: latency mode on one stream, in float32 even if the processor has bfloat16."""
    compiled = openvino_model(subject, threads)
    request = compiled.create_infer_request()
    output = compiled.output(0)
    return lambda x: request.infer({0: x}, share_inputs=True, share_outputs=True)[output]


def openvino_model(subject: Subject, threads: int) -> Any:
    """The compiled model, which also says what kernels it has."""
    import openvino as ov

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    return ov.Core().compile_model(str(subject.path("net.onnx")), "CPU", settings)


def ncnn(subject: Subject, threads: int) -> Run:
    """ncnn: Winograd, packed layouts and matrix products on, half precision off; one image at a time."""
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
            code, output = extractor.extract(target)
        if code:
            raise RuntimeError(f"ncnn returns error code {code}")
        return np.array(output)

    return lambda x: np.stack([one(image) for image in x])


def mnn(subject: Subject, threads: int) -> Run:
    """MNN: high precision (float32) on the processor; the session packs the weights beforehand."""
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
