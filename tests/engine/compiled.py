"""What tests of the compiled engine share: weights, runs of both engines, and how far two results may differ."""

import math

import numpy as np

from striate.engine.compiled_engine import CompiledEngine, CompiledProgram
from striate.engine.registry import get_engine
from striate.engine.target import Target, host
from striate.network import Network, Node
from striate.op import Op
from striate.ops import Slice
from striate.tensor import TensorSpec

FAST, STRICT = 1e-5, 1e-6
"""Error relative to the largest number of a result, with and without algorithms that round more."""


def drawn(net: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Float32 weights that keep numbers about as large as they were; variances and slopes are positive."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, parameter in net.parameters.items():
        array = rng.standard_normal(parameter.shape)
        if parameter.kind in ("variance", "scale"):
            array = np.abs(array) + 0.5
        elif array.ndim > 1:
            array *= np.sqrt(2 / max(np.prod(array.shape[1:]), 1))
        found[name] = array.astype(np.float32)
    return found


def images(net: Network, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *net.input.without_batch)).astype(np.float32)


def made(net: Network, weights, threads: int = 1, strict: bool = False, target: Target | None = None):
    """The network in machine code, for this processor or for another target that runs here."""
    chosen = target or host()
    assert chosen is not None
    program = CompiledEngine(chosen).compile(
        net, weights, threads=threads, precision="strict" if strict else "fast"
    )
    assert isinstance(program, CompiledProgram)
    return program


def wanted(net: Network, weights, x: np.ndarray, names=()) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By name: the value in float64, and in float32 with plain sums."""
    names = tuple(names) or net.outputs
    numpy = get_engine("numpy").compile(net, weights)
    with np.errstate(all="ignore"):
        exact, plain = numpy.values(x.astype(np.float64), names), numpy.values(x, names)
    return {name: (exact[name], plain[name]) for name in names}


def strict_tolerance(net: Network) -> float:
    """STRICT, or more for sums of hundreds of terms one after another: their error grows with the root of the count,
    and numpy, which adds in blocks, shows less of it."""
    longest = max((math.prod(p.shape[1:]) for p in net.parameters.values()), default=1)
    return STRICT * max(1.0, math.sqrt(longest) / 8)


def assert_agrees(found: np.ndarray, reference, tolerance: float = FAST, what: str = "") -> None:
    """Shape, type, NaN, infinities, and finite numbers: relative to the largest, or as good as numpy in float32.

    A network whose own arithmetic cancels, or leaves the range of float32, is not blamed on an engine: several times
    numpy's float32 error is allowed, and what is finite in one precision only is not looked at.
    """
    exact, plain = reference
    assert found.shape == exact.shape and found.dtype == np.float32, what
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded) & np.isfinite(plain)
    neither = ~np.isfinite(rounded) & ~np.isfinite(plain)
    np.testing.assert_array_equal(np.isnan(found[neither]), np.isnan(rounded[neither]), err_msg=what)
    off = np.abs(found[finite] - exact[finite]).max(initial=0.0)
    allowed = margin(reference, tolerance)
    assert off <= allowed, f"{what}: off by {off:.2e}, {allowed:.2e} allowed"


def margin(reference, tolerance: float) -> float:
    """How far a number may be from the exact one."""
    exact, plain = reference
    finite = np.isfinite(exact) & np.isfinite(plain)
    largest = np.abs(exact[finite]).max(initial=1e-30)  # less is flushed to zero
    return float(max(tolerance * largest, 8 * np.abs(plain[finite] - exact[finite]).max(initial=0.0)))


def agree(net: Network, weights, x: np.ndarray, program: CompiledProgram, names=(), tolerance=FAST) -> None:
    """The program's values are those of the numpy engine in float64."""
    names = tuple(names) or net.outputs
    kept = x.copy()
    found = program.values(x, names)
    np.testing.assert_array_equal(x, kept, err_msg="the input was written to")
    for name, reference in wanted(net, weights, x, names).items():
        assert_agrees(found[name], reference, tolerance, f"{name} of {described(net)}, batch {len(x)}")


def described(net: Network) -> str:
    nodes = "; ".join(f"{', '.join(n.outputs)} = {n.op}({', '.join(n.inputs)})" for n in net.nodes)
    return f"{net.input} -> {nodes}"


def algorithms(program: CompiledProgram, size: int, names=()) -> list[str]:
    return [step.algorithm for step in program.plan_for(size, tuple(names) or program.net.outputs).plan.steps]


def one_op(op: Op, specs: list[TensorSpec]) -> Network:
    """A network of one op; further inputs are cut from the far end of the network's only one."""
    if len(specs) == 1:
        nodes = (Node("op1", op, ("x",)),)
        return Network("one", {"x": specs[0]}, nodes, nodes[0].outputs)
    axes = specs[0].axes
    largest = tuple(max(sizes) for sizes in zip(*(spec.shape for spec in specs), strict=True))
    nodes, inputs = [], []
    for port, spec in enumerate(specs):
        value = "x"
        for axis, size, most in zip(axes[1:], spec.shape[1:], largest[1:], strict=True):
            if size < most:
                start = most - size if port else 0
                nodes.append(Node(f"cut{port}{axis}", Slice(axis, start, start + size), (value,)))
                value = nodes[-1].outputs[0]
        inputs.append(value)
    nodes.append(Node("op1", op, tuple(inputs)))
    return Network("one", {"x": TensorSpec(largest, axes)}, tuple(nodes), nodes[-1].outputs)
