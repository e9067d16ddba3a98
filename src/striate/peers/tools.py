"""The tools that can be compared, and what each requires. Imports none of them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple


class Tool(NamedTuple):
    """A tool. label: of its rows; packages: required ones; file: kind of file that it reads (`convert.py`).

    ours: one of Striate's engines; slow: prepares in minutes rather than seconds; trains: supports training steps; cpp:
    compiles C++ beforehand.
    """

    label: str
    packages: tuple[str, ...] = ()
    file: str = ""
    ours: bool = False
    slow: bool = False
    trains: bool = False
    cpp: bool = False


ONNX = ("torch", "onnx", "onnxscript")
TOOLS = {
    "striate": Tool("striate", ours=True, trains=True),
    "numpy": Tool("striate, numpy engine", ours=True, trains=True),
    "torch_eager": Tool("torch, eager", ("torch",), trains=True),
    "torch_channels_last": Tool("torch, eager, channels_last", ("torch",), trains=True),
    "torch_frozen": Tool("torch, frozen TorchScript", ("torch",)),
    "torch_compile": Tool("torch.compile", ("torch",), slow=True, trains=True, cpp=True),
    "onnxruntime": Tool("ONNX Runtime", ("onnxruntime", *ONNX), "onnx"),
    "openvino": Tool("OpenVINO", ("openvino", *ONNX), "onnx"),
    "ncnn": Tool("ncnn", ("ncnn", "pnnx", "torch"), "ncnn"),
    "mnn": Tool("MNN", ("MNN", *ONNX), "mnn"),
}


def missing(tool: str) -> list[str]:
    """The packages of a tool that are not installed."""
    return [package for package in TOOLS[tool].packages if importlib.util.find_spec(package) is None]


def unable(tool: str) -> str:
    """Why an installed tool cannot run here; empty if it can."""
    if not TOOLS[tool].cpp:
        return ""
    compiler = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if shutil.which(compiler.split()[0]) is None:
        return f"it needs a C++ compiler, and {compiler} is not installed (set CXX to use another)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "it needs the Python headers, which are not installed"
    return ""
