"""Where the time of a network goes, node by node.

A program that can tell (`profile(x)` -> node or block name -> seconds) is asked; else the nodes are run one by one, as
the numpy engine runs them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

from striate.engine.interface import Array, Program
from striate.engine.vectorised import forward
from striate.model import Model
from striate.network import Network
from striate.peers.subject import Subject
from striate.tensor import TensorSpec

RUNS = 3


def node_seconds(subject: Subject, threads: int) -> dict[str, Any]:
    """`engine`: whose nodes they are; `nodes`: name and seconds for the batch, in order, the median of some runs."""
    model = subject.load()
    program, x = model.compile(batch=subject.batch, threads=threads), subject.images()
    runs = [_told(program, model, x) for _ in range(RUNS)]
    engine = model.engine.name if hasattr(program, "profile") else "numpy"
    nodes = [{"node": name, "seconds": statistics.median(run[name] for run in runs)} for name in runs[0]]
    return {"engine": engine, "nodes": nodes}


def _told(program: Program, model: Model, x: Array) -> Mapping[str, float]:
    if hasattr(program, "profile"):
        told: Mapping[str, float] = program.profile(x)
        return told
    net = model.net
    spec = TensorSpec((len(x), *net.input.shape[1:]), net.input.axes)
    batched = Network(net.name, dict.fromkeys(net.inputs, spec), net.nodes, net.outputs)
    values = dict.fromkeys(net.inputs, x)
    last = {value: node.name for node in net.nodes for value in node.inputs}
    found = {}
    for node in net.nodes:
        declaration = batched.declarations[node.name]
        own = {p.name: model.weights[f"{node.name}.{p.name}"] for p in declaration.parameters}
        inputs = [values[value] for value in node.inputs]
        start = time.perf_counter()
        tape = forward(declaration, inputs, own)
        found[node.name] = time.perf_counter() - start
        values.update((name, tape.tensors[f"y{k}"]) for k, name in enumerate(node.outputs))
        for value in set(node.inputs):
            if last[value] == node.name:
                del values[value]
    return found
