"""Which tools can be asked, and what each needs. Nothing is imported: a list is all that a command line needs."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple


class Tool(NamedTuple):
    """label: what its rows are called; packages: what must be installed; file: the form it reads (`convert.py`).

    ours: one of Striate's engines; slow: makes its program in minutes rather than seconds.
    """

    label: str
    packages: tuple[str, ...] = ()
    file: str = ""
    ours: bool = False
    slow: bool = False


ONNX = ("torch", "onnx", "onnxscript")
TOOLS = {
    "striate": Tool("striate", ours=True),
    "numpy": Tool("striate, numpy engine", ours=True),
    "torch_eager": Tool("torch, eager", ("torch",)),
    "torch_channels_last": Tool("torch, eager, channels_last", ("torch",)),
    "torch_frozen": Tool("torch, frozen TorchScript", ("torch",)),
    "torch_compile": Tool("torch.compile", ("torch",), slow=True),
    "onnxruntime": Tool("ONNX Runtime", ("onnxruntime", *ONNX), "onnx"),
    "openvino": Tool("OpenVINO", ("openvino", *ONNX), "onnx"),
    "ncnn": Tool("ncnn", ("ncnn", "pnnx", "torch"), "ncnn"),
    "mnn": Tool("MNN", ("MNN", *ONNX), "mnn"),
}


def missing(tool: str) -> list[str]:
    """The packages that a tool lacks here."""
    return [package for package in TOOLS[tool].packages if importlib.util.find_spec(package) is None]
