"""The files that other tools read, made from a Striate network by way of torch: ONNX, ncnn, MNN.

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

    from striate.engine.torch.lowering import flat, lower

    model = subject.load("numpy")  # only its weights are needed
    return flat(lower(change(model.net), model.weights)), torch.tensor(subject.images())


def onnx(subject: Subject) -> None:
    """ONNX, batch and sizes fixed: the most that a tool can know."""
    import torch

    net, x = module(subject)
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(subject.path("net.onnx")), dynamo=True, optimize=True, external_data=False,
                          verbose=False, **names)  # fmt: skip


def _without_steps(net: Network) -> Network:
    """ncnn cannot cut with a step: every second row is what a pool of one row with stride 2 keeps."""
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
    """ncnn's param and bin by pnnx, without half precision. ncnn takes one image at a time."""
    import torch

    net, x = module(subject, _without_steps)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(net, x[:1]), str(subject.path("net.pt")))
    shape = ",".join(map(str, x[:1].shape))
    _run("pnnx", "net.pt", f"inputshape=[{shape}]", "fp16=0", folder=subject.folder)


def mnn(subject: Subject) -> None:
    """MNN's own file, from ONNX."""
    if not subject.path("net.onnx").exists():
        onnx(subject)
    _run("mnnconvert", "-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "striate",
         folder=subject.folder)  # fmt: skip


FILES = {"onnx": (onnx, "net.onnx"), "ncnn": (ncnn, "net.ncnn.param"), "mnn": (mnn, "net.mnn")}


def make(kind: str, subject: Subject) -> None:
    """What is already there is left alone. Raises RuntimeError when the converter leaves no file."""
    convert, name = FILES[kind]
    if not subject.path(name).exists():
        convert(subject)
    if not subject.path(name).exists():
        raise RuntimeError(f"the converter to {kind} wrote no {name}")


def _run(tool: str, *arguments: str, folder: str) -> None:
    """A converter that was installed next to this Python."""
    installed = Path(sys.executable).with_name(tool)
    command = [str(installed) if installed.exists() else tool, *arguments]
    single = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=single)
    if done.returncode:
        raise RuntimeError(
            f"{tool} failed with exit code {done.returncode}: {(done.stderr or done.stdout)[-300:]}"
        )
