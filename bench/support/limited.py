"""Narrower vectors than the processor has, for every tool of a run: who can be limited, and proof that it is.

    STRIATE_TARGET=avx2 python bench/inference.py     on a processor with AVX-512

The environment that limits a tool reaches the processes of all. A tool takes part if its own words show that it is
limited: the kernels that it names when it runs a network, or a library without wider instructions.

    python limited.py TOOL SUBJECT THREADS            what a tool says, as one line of JSON: see `Proof`
"""

from __future__ import annotations

import collections
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from striate.engine.target import AVX2, AVX512, able
from striate.peers.contest import Failed, environment, once, worker
from striate.peers.subject import Subject
from striate.peers.tools import TOOLS

TARGETS = {
    AVX2.name: {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}
"""Target -> what limits torch, its oneDNN and MKL, and OpenVINO's own oneDNN."""
SAID = {AVX512.name: "AVX-512", AVX2.name: "AVX2"}
UNABLE = {
    "onnxruntime": "its kernels (MLAS) are chosen by the processor alone, and no setting limits them",
    "ncnn": "its kernels are chosen by the processor alone, and no setting limits them",
    "torch_compile": "its C++ compiler compiles for this processor",
}
HEAVY = ("convolution", "deconvolution", "matmul", "inner_product", "fullyconnected", "rnn")
"""Kinds of layers whose kernels decide; wider kernels of the others are only named."""
NARROW = ("avx2", "sse")
WIDE = re.compile("avx512|avx10|amx", re.IGNORECASE)


class Proof(TypedDict):
    """kernels: kind of layer and the tool's name of its kernel -> how many; said: what else it says about its limit."""

    kernels: dict[str, int]
    said: list[str]


def asked() -> str:
    """The target that all tools of this run are limited to; empty if they are not."""
    name, widest = os.environ.get("STRIATE_TARGET", ""), next(iter(able()), None)
    return name if name in TARGETS and widest is not None and name != widest.name else ""


def limit() -> None:
    """Limit every process that this one starts."""
    os.environ.update(TARGETS[asked()])


def prove(tool: str, subject: Subject, threads: int) -> Proof:
    """What the tool says when it runs the subject. Raises Failed if it is not limited, or does not say."""
    if tool in UNABLE:
        raise Failed(UNABLE[tool])
    said = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__)), tool, subject.json(), str(threads)],
        env=environment(threads), capture_output=True, text=True,
    )  # fmt: skip
    if said.returncode:
        raise Failed((said.stderr.strip().splitlines() or ["no answer"])[-1][:300])
    proof: Proof = json.loads(said.stdout.strip().splitlines()[-1])
    if found := wider(proof, HEAVY):
        raise Failed(f"its limit has no effect on {', '.join(found)}")
    return proof


def wider(proof: Mapping[str, Any], kinds: Iterable[str] = ()) -> list[str]:
    """The wider kernels that a tool uses all the same; kinds: only these.

    >>> wider({"kernels": {"Convolution brgconv_avx2_f32": 17, "Reduce jit_avx512_f32": 1}})
    ['Reduce jit_avx512_f32']
    """
    asked_for = tuple(kinds)
    return [
        name
        for name in proof["kernels"]
        if WIDE.search(name) and (not asked_for or name.split()[0].lower() in asked_for)
    ]


def notes(run: Mapping[str, Any]) -> Iterator[str]:
    """What a limited run says of its limit: who showed it and how, and what is wider all the same."""
    if not run.get("proofs"):
        return
    shown: dict[str, set[str]] = {}
    exceptions: dict[str, set[str]] = {}
    for proof in run["proofs"]:
        kernels = [name for name in proof["kernels"] if name.split()[0].lower() in HEAVY]
        named = [f"its kernels name {word}" for word in NARROW if any(word in name for name in kernels)]
        shown.setdefault(proof["tool"], set()).update(proof["said"] or named)
        unsaid = [name for name in kernels if not any(word in name for word in (*NARROW, "jit:uni", "ref"))]
        exceptions.setdefault(proof["tool"], set()).update((*wider(proof), *unsaid))
    target = SAID[run["machine"]["limited"]]
    tools = "; ".join(f"{TOOLS[tool].label} ({', '.join(sorted(said))})" for tool, said in shown.items())
    yield f"Every tool is limited to {target}, and shows it in every case: {tools}."
    for tool, names in exceptions.items():
        if names:
            yield f"{TOOLS[tool].label} has kernels that are wider, or do not say: {', '.join(sorted(names))}."


def _openvino(subject: Subject, threads: int) -> Proof:
    """The types of primitives in the graph that runs."""
    from striate.peers.adapters import openvino_model

    once("convert-onnx", subject)
    counts: collections.Counter[str] = collections.Counter()
    for node in openvino_model(subject, threads).get_runtime_model().get_ops():
        about = node.get_rt_info()
        kind, kernel = (about[key].astype(str) for key in ("layerType", "primitiveType"))
        if not kernel.startswith("unknown"):
            counts[f"{kind} {kernel}"] += 1
    return {"kernels": dict(counts), "said": []}


def _torch(tool: str, subject: Subject, threads: int) -> Proof:
    """torch's own word, and the lines that oneDNN and MKL print about every primitive."""
    verbose = {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
    done = subprocess.run(
        worker(tool, threads, subject, "first"),
        env=dict(os.environ) | verbose,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit((done.stderr.strip().splitlines() or ["no answer"])[-1])
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    counts: collections.Counter[str] = collections.Counter()
    said = [f"ATen: {capability}"]
    for line in (done.stdout + done.stderr).splitlines():
        words = line.split(",")
        if words[0] == "onednn_verbose" and words[3:5] == ["exec", "cpu"]:
            counts[f"{words[5]} {words[6]}"] += 1
        elif words[0] == "onednn_verbose" and line.partition("isa:")[2]:
            said.append(f"oneDNN: {line.partition('isa:')[2]}")
        elif "MKL_VERBOSE" in line and "enabled processors" in line:
            said.append(f"MKL: {line.partition('architecture ')[2].partition(' enabled')[0]}")
    if WIDE.search(capability.replace("-", "")):
        counts[f"convolution ATen, {capability}"] += 1
    return {"kernels": dict(counts), "said": list(dict.fromkeys(said))}


def _mnn() -> Proof:
    """Its library as it is installed: no instruction in it has a 512-bit register."""
    found = importlib.util.find_spec("_mnncengine")
    if found is None or found.origin is None or shutil.which("objdump") is None:
        sys.exit("objdump, which shows the instructions of its library, is not installed")
    reading = subprocess.Popen(
        ["objdump", "-d", "--no-show-raw-insn", found.origin], stdout=subprocess.PIPE, text=True
    )
    assert reading.stdout
    wide = sum("%zmm" in line for line in reading.stdout)
    if reading.wait():
        sys.exit("objdump cannot read its library")
    if wide:
        return {"kernels": {"convolution avx512 instructions": wide}, "said": []}
    return {"kernels": {}, "said": ["no instruction of its library has a 512-bit register (objdump)"]}


def main(tool: str, text: str, threads: str) -> None:
    subject = Subject(**json.loads(text))
    if TOOLS[tool].packages[0] == "torch":
        proof = _torch(tool, subject, int(threads))
    else:
        proof = _mnn() if tool == "mnn" else _openvino(subject, int(threads))
    print(json.dumps(proof))


if __name__ == "__main__":
    main(*sys.argv[1:])
