"""Convert a Striate network, through torch, to the files that other tools read: ONNX, ncnn, MNN.

`make(kind, subject)` leaves `net.<kind>` (and what belongs to it) in the subject's folder, weights in float32.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate.network import Network
from striate.ops.pool import MaxPool
from striate.ops.reshape import Slice
from striate.peers.subject import Subject


def module(subject: Subject, change: Callable[[Network], Network] = lambda net: net) -> tuple[Any, Any]:
    """The subject as a torch module in evaluation mode, and its batch as a tensor."""
    import torch

    from striate.engine.torch.lowering import lower, straight_line

    model = subject.load("numpy")  # only its weights are needed
    return straight_line(lower(change(model.net), model.weights)), torch.tensor(subject.images())


def onnx(subject: Subject) -> None:
    """Write ONNX with fixed batch and sizes, so that a tool knows as much as possible."""
    import torch

    net, x = module(subject)
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(subject.path("net.onnx")), dynamo=True, optimize=True, external_data=False,
                          verbose=False, **names)  # fmt: skip


def _without_steps(net: Network) -> Network:
    """Replace slices with a step, which ncnn lacks: a 1x1 max pool with that stride keeps the same entries."""
    nodes = []
    for node in net.nodes:
        spec = net.specs[node.inputs[0]]
        match node.op:
            case Slice(axis=cut, start=0, stop=None, step=step) if step > 1 and cut in spec.spatial_axes:
                stride = tuple(step if axis == cut else 1 for axis in spec.spatial_axes)
                node = dataclasses.replace(node, op=MaxPool(kernel=1, stride=stride))
        nodes.append(node)
    return dataclasses.replace(net, nodes=tuple(nodes))


def ncnn(subject: Subject) -> None:
    """Write ncnn's param and bin files with pnnx, without half precision, for one image at a time."""
    import torch

    net, x = module(subject, _without_steps)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net, x[:1]), str(subject.path("net.pt")))
    shape = ",".join(map(str, x[:1].shape))
    _run("pnnx", "net.pt", f"inputshape=[{shape}]", "fp16=0", folder=subject.folder)


def mnn(subject: Subject) -> None:
    """Write MNN's file, from ONNX."""
    if not subject.path("net.onnx").exists():
        onnx(subject)
    _run("mnnconvert", "-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "striate",
         folder=subject.folder)  # fmt: skip


FILES = {"onnx": (onnx, "net.onnx"), "ncnn": (ncnn, "net.ncnn.param"), "mnn": (mnn, "net.mnn")}


def make(kind: str, subject: Subject) -> None:
    """Convert the subject unless its file exists. Raises RuntimeError if the converter writes no file."""
    convert, name = FILES[kind]
    if not subject.path(name).exists():
        convert(subject)
    if not subject.path(name).exists():
        raise RuntimeError(f"the converter to {kind} wrote no {name}")


def _run(tool: str, *arguments: str, folder: str) -> None:
    """Run a converter, preferably the one next to this Python. Raises RuntimeError if it fails."""
    installed = Path(sys.executable).with_name(tool)
    command = [str(installed) if installed.exists() else tool, *arguments]
    single = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=single)
    if process.returncode:
        raise RuntimeError(
            f"{tool} failed with exit code {process.returncode}: {(process.stderr or process.stdout)[-300:]}"
        )
