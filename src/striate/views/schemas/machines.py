"""Records of benchmarks and of the machine.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, TypedDict


class Tool(TypedDict):
    tool: Annotated[str, "`striate` (the fastest engine), `numpy`, or another tool's word"]
    name: Annotated[str, "name in tables"]
    median: Annotated[float, "median of its samples"]
    least: Annotated[float, "smallest"]
    low: Annotated[float, "first quartile"]
    high: Annotated[float, "third quartile"]
    cpu: Annotated[float, "processor time of a run or step, all threads together"]
    error: Annotated[
        float,
        "largest difference from float64, relative to the largest output; for a step, see below",
    ]


class LeftOut(TypedDict):
    tool: Annotated[str, "a tool that failed or gave a wrong result"]
    name: Annotated[str, "its name"]
    why: Annotated[str, "why"]


class NotInstalled(TypedDict):
    tool: Annotated[str, "a tool that is not installed"]
    name: Annotated[str, "its name"]
    packages: Annotated[list[str], "missing packages"]


class NodeTime(TypedDict):
    node: Annotated[str, "a node, or several that are computed together: `conv1 + bn1 + relu1`"]
    seconds: Annotated[float, "its time"]


class Bench(TypedDict):
    """`striate bench MODEL --json`. Times are seconds for the whole batch."""

    schema: Annotated[str, "`striate.bench/1`"]
    model: Annotated[str, "the network's name"]
    input: Annotated[list[int], "shape of its input"]
    batch: Annotated[int, "images in one run"]
    threads: Annotated[int, "threads of every tool"]
    rounds: Annotated[int, "interleaved samples of each tool; a sample is the median of repeated runs"]
    cpu: Annotated[str, "processor"]
    tools: list[Tool]
    left_out: list[LeftOut]
    not_installed: list[NotInstalled]
    nodes_engine: Annotated[str, "the engine that ran the nodes"]
    nodes: list[NodeTime]


class ReadLimit(TypedDict):
    bytes: Annotated[int | None, "size of a cache; null: memory"]
    gb_s: Annotated[float, "read bandwidth, 10⁹ bytes per second"]


class MachineLimits(TypedDict):
    fma_gflops: Annotated[float, "multiplications and additions, 10⁹ per second"]
    read: list[ReadLimit]


class StepPhases(TypedDict):
    forward: Annotated[float, "time of this part of a step"]
    loss: Annotated[float, "the loss and, in Striate, its gradient"]
    backward: Annotated[float, "gradients of all weights"]
    update: Annotated[float, "the optimizer"]


class TrainingTool(Tool):
    engine: Annotated[
        str,
        "`compiled`, `torch` or `numpy`; the latter also where a gradient has no kernels",
    ]
    mib: Annotated[float, "most memory that its process had, in MiB"]
    grown_mib: Annotated[float, "part of it that was allocated after importing its libraries"]
    phases: StepPhases


class TrainingBench(TypedDict):
    """`striate bench MODEL --train --json`. Times are seconds for one step on the whole batch.

    `error` is that of the loss and of what a step changes in every tensor, on up to four images: the largest difference
    from float64, over the length of that change.
    """

    schema: Annotated[str, "`striate.bench-train/1`"]
    model: Annotated[str, "the network's name"]
    input: Annotated[list[int], "shape of its input"]
    batch: Annotated[int, "images in one step"]
    threads: Annotated[int, "threads of every tool"]
    rounds: Annotated[int, "interleaved samples of each tool; a sample is the median of repeated steps"]
    cpu: Annotated[str, "processor"]
    limits: Annotated[
        MachineLimits | None,
        "limits of the machine, measured in the same run; null without kernels",
    ]
    tools: list[TrainingTool]
    left_out: Annotated[list[LeftOut], "as in `striate.bench/1`"]
    not_installed: Annotated[list[NotInstalled], "as in `striate.bench/1`"]


class Cpu(TypedDict):
    name: Annotated[str, "processor"]
    features: Annotated[list[str], "vector instructions"]


class Threads(TypedDict):
    present: Annotated[int, "processors of the machine"]
    affinity: Annotated[int, "processors that this process may use"]
    cores: Annotated[int, "cores of these processors"]
    quota: Annotated[float | None, "processors that the container's CPU quota allows"]
    useful: Annotated[int, "usable threads"]


class Kernels(TypedDict):
    target: Annotated[
        str | None,
        "`avx512`, `avx2`, `sse` or `neon`; null if no code can be compiled",
    ]
    vector: Annotated[int | None, "bits of a vector register"]
    block: Annotated[int | None, "channels that are adjacent in memory"]
    able: Annotated[
        list[str], "every target that runs here; `STRIATE_TARGET` chooses another one than the first"
    ]
    llvm: Annotated[str | None, "version of LLVM in llvmlite"]
    why: Annotated[str | None, "why there is no target"]


class CodeCache(TypedDict):
    folder: Annotated[str | None, "folder of compiled kernels; null without a home folder"]
    usable: Annotated[bool, "whether kernels are stored there"]
    why: Annotated[str | None, "why not"]
    owner: Annotated[str | None, "owner of the folder; null if it does not exist yet"]
    mode: Annotated[str | None, "its permissions, octal"]
    files: Annotated[int, "kernels in it"]
    bytes: Annotated[int, "their size"]


class Package(TypedDict):
    name: Annotated[str, "package"]
    version: Annotated[str | None, "null if it is not installed"]
    extra: Annotated[str | None, "extra that needs it, null for the base"]


class Doctor(TypedDict):
    """`striate doctor --json`"""

    schema: Annotated[str, "`striate.doctor/1`"]
    striate: Annotated[str, "version"]
    python: Annotated[str, "version"]
    implementation: Annotated[str, "of Python"]
    system: Annotated[str, "kernel and machine"]
    cpu: Cpu
    threads: Threads
    kernels: Kernels
    cache: CodeCache
    packages: list[Package]
