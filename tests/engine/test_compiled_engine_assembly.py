"""The machine code of every kernel that real plans use, on all targets, those that do not run here included."""

import dataclasses
import functools
import re

import pytest

import striate
from engine.compiled import drawn
from engine.kernels.support import hot_spills
from engine.test_compiled_engine_networks import branched
from striate.engine.codegen import llvm
from striate.engine.codegen.kernel import Kernel
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan.execution_plan import plan
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.target import TARGETS, Target
from striate.network import Network

FUSED = {
    "avx512": r"vfn?m(add|sub)\d+ps",
    "avx2": r"vfn?m(add|sub)\d+ps",
    "neon": r"\bfml[as]\b",
    "sse": r"^$",
}
"""Multiply-adds in one rounding; SSE has none."""
PLAIN = {"sse": r"\bmulps\b", "avx512": r"vmulps", "avx2": r"vmulps", "neon": r"\bfmul\b"}
DENSE = {"dense_conv", "depthwise", "grouped", "pool", "winograd", "winograd_input", "winograd_output"}
PRESSED = {"sse": ("copy", "pack_weights", "epilogue")}
"""A turned block of 8 x 8 numbers fills all of SSE's registers; a function of erf wants more than there are."""


def tiles(target: Target) -> list[Kernel]:
    """The micro-tiles of every size."""
    return [
        Kernel("tile", (pixels, vectors))
        for vectors, most in enumerate(target.tiles, 1)
        for pixels in range(1, most + 1)
    ]


def networks() -> list[Network]:
    """Layers of every kind."""
    texts = [
        "32x32x16 -> dwconv 5 /2 pad 2 -> hardswish -> ln -> conv 1 40 -> gelu -> avgpool 3 -> gap -> flatten -> fc 9"
        " -> softmax",
        "15x15x32 -> conv 3 32 groups 8 pad 1 -> relu6 -> tconv 2 16 /2 -> lrn 5 -> gn 4 -> silu -> maxpool 3 /2",
    ]
    return [branched(), *(striate.parse(text) for text in texts), striate.create("shufflenet_v2_x0_5")]


@functools.cache
def used(target: Target) -> list[Kernel]:
    """All kernels of the networks' plans, fast and strict, save generic nests and the tiles."""
    found: dict[Kernel, None] = {}
    for net in networks():
        for strict in (False, True):
            weights = drawn(net)
            made = plan(batched(net, 2), weights, net.outputs, PlanContext(target, 2, strict))
            found |= dict.fromkeys(made.kernels)
    return sorted(kernel for kernel in found if kernel.template not in ("nest", "tile"))


@functools.cache
def assembly(target: Target, kernel: Kernel) -> str:
    return llvm.assembly(target, kernel.text(target))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_tiles_keep_to_registers(target):
    """No micro-tile of any size moves a vector to or from the stack, and each sums in one rounding."""
    spilled, parted = [], []
    for kernel in tiles(target):
        text = assembly(target, kernel)
        pixels, vectors = kernel.parameters
        if hot_spills(text):
            spilled.append(kernel.parameters)
        fused = len(re.findall(FUSED[target.name], text, re.MULTILINE))
        registers = target.lanes // target.width
        if target.name != "sse" and (
            fused < pixels * vectors * registers or re.search(PLAIN[target.name], text)
        ):
            parted.append((kernel.parameters, fused))
    assert not spilled
    assert not parted


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_kernels_of_plans_keep_to_registers(target):
    """Nothing goes to the stack. Constants of long functions may come from it, as from anywhere in memory."""
    kernels = used(target)
    assert {"dense_conv", "winograd", "depthwise", "grouped", "pool", "copy", "elementwise"} <= {
        k.template for k in kernels
    }
    spilled = {}
    for kernel in kernels:
        if kernel.template in PRESSED.get(target.name, ()):
            continue
        lines = hot_spills(assembly(target, kernel))
        stores = [line for line in lines if line.startswith("st") or line.endswith("(%rsp)")]
        if stores or (lines and kernel.template in DENSE):
            spilled[kernel] = lines
    assert not spilled


@pytest.mark.parametrize("target", [t for t in TARGETS.values() if t.name != "sse"], ids=lambda t: t.name)
def test_sums_of_products_are_fused(target):
    """Where a product is added up, one instruction does both."""
    for kernel in used(target):
        if kernel.template in ("depthwise", "grouped"):
            assert re.search(FUSED[target.name], assembly(target, kernel), re.MULTILINE), kernel


def test_a_spill_is_seen():
    """Accumulators beyond the registers land on the stack, and the count says so."""
    crowded = dataclasses.replace(TARGETS["avx2"], tiles=(8, 8, 8))
    assert hot_spills(llvm.assembly(crowded, Kernel("tile", (8, 3)).text(crowded)))
    assert not hot_spills(assembly(TARGETS["avx2"], Kernel("tile", (4, 3))))
