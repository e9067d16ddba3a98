"""No declaration reads or writes outside of its tensors, and none that does reaches an engine."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings

from engine.kernels.support import targets
from exhaustive import EXHAUSTIVE
from generators import bounds
from op_cases import RUNNABLE, cases
from striate import functional
from striate.diagnostics import OpError
from striate.engine.registry import get_engine
from striate.geometry import Listed, Window
from striate.network import Network, Node, declaration_of
from striate.op import Declaration, Op
from striate.op.base import _REGISTRY, registry
from striate.op.bounds import verify
from striate.ops import BatchNorm, Permute
from striate.statement import Affine, Call, Domain, Load, Statement, Tap, index, load
from striate.tensor import Parameter, TensorSpec

TRIALS = 20_000 if EXHAUSTIVE else 1200


@pytest.mark.parametrize("word", RUNNABLE)
def test_every_declaration_stays_inside_its_tensors(word):
    @settings(max_examples=30)
    @given(cases(word))
    def holds(case):
        for training in (False, True):
            declared = declaration_of(case.op, *case.declaration.inputs, training=training)
            assert declared.outputs == case.declaration.outputs
            assert not bounds.counted(declared)

    holds()


def test_a_fault_is_seen_by_intervals_as_by_counting():
    for seed in range(TRIALS):
        assert bounds.trial(seed) is None, seed


X = TensorSpec((1, 4, 3), ("N", "C", "L"))
FREE = {"n": 1, "c": 4, "i": 3}
WHOLE = Domain(FREE)


def copied(value, *, target=("n", "c", "i"), domain=WHOLE, name="y0", **more):
    return Statement(name, index(*target), value, domain, **more)


def declared(*statements, inputs=(X,), outputs=(X,), **more):
    return Declaration(BatchNorm(), inputs, outputs, statements=statements, **more)


READ = load("x0", "n", "c", "i")
FAULTS = {
    "one beyond": (copied(load("x0", "n", "c", Affine((("i", 1),), 1))), "x0 outside", "indices 1 to 3"),
    "before the first": (copied(load("x0", "n", "c", Affine((("i", 1),), -1))), "x0 outside", "-1 to 1"),
    "another axis": (copied(load("x0", "n", "i", "c")), "x0 outside", "along L it reads indices 0 to 3"),
    "divided too little": (
        copied(load("x0", "n", "c", Affine((("i", 3),), 1, 2))),
        "x0 outside",
        "indices 0 to 3",
    ),
    "a remainder too large": (
        copied(load("x0", "n", "c", Affine((("i", 2),), 0, 1, 5))),
        "x0 outside",
        "indices 0 to 4",
    ),
    "too few indices": (copied(load("x0", "n", "c")), "at 2 indices", "x0 has 3 axes, 1x4x3"),
    "no such tensor": (copied(load("x1", "n", "c", "i")), "reads x1, which does not exist", "there are x0"),
    "read before it is made": (copied(load("t0", "n", "c", "i")), "reads t0, which does not exist", "x0"),
    "no such variable": (copied(load("x0", "n", "c", "j")), "at j", "they are n, c, i"),
    "no such function": (copied(Call("sin", (READ,))), "calls 'sin'", "add, sub"),
    "a map of another axis": (
        copied(load("x0", "n", "c", Tap(Listed(5, (4, 1, 0)), "i"))),
        "x0 outside",
        "0 to 4",
    ),
    "more outputs than the map has": (
        copied(load("x0", "n", "c", Tap(Listed(3, (0, 1)), "i"))),
        "outside of its map",
        "2 outputs",
    ),
    "fewer taps than the window": (
        copied(
            load("x0", "n", "c", Tap(Window(3, 3, before=1, after=1), "i", "u")),
            domain=Domain(FREE, {"u": 2}),
            reduce="sum",
        ),
        "outside of its map",
        "3 taps",
    ),
    "writes beyond": (copied(READ, target=("n", "c", Affine((("i", 1),), 1))), "writes y0 outside", "1 to 3"),
    "writes an input": (copied(READ, name="x0"), "writes x0", "inputs and parameters are read-only"),
    "leaves a hole": (
        copied(
            load("x0", "n", "c", Affine(())), target=("n", "c", Affine(())), domain=Domain({"n": 1, "c": 4})
        ),
        "does not write every element of y0",
        "12 elements; 4",
    ),
    "writes twice": (
        copied(READ, target=("n", Affine((("c", 1),), 0, 2), "i"), domain=Domain(FREE)),
        "does not write every element of y0",
        "12 are written",
    ),
    "no output": (copied(READ, name="t0"), "never writes its output y0", "t0"),
    "sums without saying so": (
        copied(READ, domain=Domain(FREE, {"u": 2})),
        "reduces without a reduction",
        "u",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_and_what_is_said_of_it(name):
    statement, what, why = FAULTS[name]
    verify(declared(copied(READ)))
    with pytest.raises(OpError) as caught:
        verify(declared(statement))
    error = caught.value
    assert what in error.what and "bn" in error.what and "NCL" in error.what
    assert why in error.why
    assert "BatchNorm.declare" in error.fix


LONG = TensorSpec((1, 2, 30_000), ("N", "C", "L"))


def over(*statements):
    """The statements as the declaration of an output with 60,000 numbers."""
    return declared(*statements, inputs=(LONG,), outputs=(LONG,))


def write(at, column, **free):
    return Statement(
        "y0", index("n", at, column), load("x0", "n", Affine(()), Affine(())), Domain({"n": 1, **free})
    )


def test_a_place_written_twice_is_seen_however_large_the_tensor():
    halved = Affine((("c", 1),), divisor=2)
    with pytest.raises(OpError, match="does not write every element of y0 exactly once"):
        verify(over(write(halved, "i", c=2, i=30_000)))


def test_unusual_indices_of_statements_of_different_sizes_are_counted():
    def doubled(offset):
        return Affine((("i", 2),), 2 * offset, 2)

    parts = [write("c", doubled(0), c=2, i=10), write("c", doubled(10), c=2, i=29_990)]
    verify(over(*parts))
    with pytest.raises(OpError, match="does not write every element of y0 exactly once"):
        verify(over(parts[0], write("c", doubled(9), c=2, i=29_990)))


def test_what_cannot_be_counted_is_refused():
    wide = TensorSpec((1, 2, 2_000_000), ("N", "C", "L"))
    twisted = write(
        Affine((("i", 1),), 0, 1_000_000, 2), Affine((("i", 1), ("c", 2_000_000)), 0, 2), c=2, i=2_000_000
    )
    with pytest.raises(OpError, match="cannot be counted"):
        verify(declared(twisted, inputs=(wide,), outputs=(wide,)))


def test_other_faults():
    t0 = copied(READ, name="t0")
    verify(declared(t0, copied(load("t0", "n", "c", "i"))))
    with pytest.raises(OpError, match="reads t0 outside"):
        verify(declared(t0, copied(load("t0", "n", Affine((("c", 1),), 1), "i"))))
    with pytest.raises(OpError, match="reads weight outside"):
        parameters = (Parameter("weight", (3,)),)
        verify(declared(copied(READ * load("weight", "c")), parameters=parameters))
    with pytest.raises(OpError, match="replaces running_mean"):
        statistics = (Parameter("running_mean", (3,), trainable=False),)
        updates = {"running_mean": "t0"}
        verify(declared(t0, copied(READ), parameters=statistics, updates=updates))
    half = Domain({**FREE, "c": 2})
    two = [copied(READ, domain=half), copied(READ, target=("n", Affine((("c", 1),), 1), "i"), domain=half)]
    with pytest.raises(OpError, match="does not write every element of"):  # channel 1 twice, channel 3 never
        verify(declared(*two))
    with pytest.raises(OpError, match="does not write every element of"):  # every one twice
        verify(declared(copied(READ, domain=Domain({**FREE, "again": 2}))))
    verify(declared(copied(READ, domain=Domain({**FREE, "again": 1}))))
    with pytest.raises(OpError, match="over which it reduces"):
        verify(
            declared(copied(READ, domain=Domain({"n": 1, "i": FREE["i"]}, {"c": FREE["c"]}), reduce="sum"))
        )


def test_a_map_of_someones_own_is_gone_through():
    @dataclasses.dataclass(frozen=True)
    class Far(Listed):
        def position(self, i, u):
            return i + 7

    with pytest.raises(OpError, match="reads outside an axis"):
        verify(declared(copied(load("x0", "n", "c", Tap(Far(3, (0, 1, 2)), "i")))))


def test_an_empty_batch_reads_nothing():
    none = TensorSpec((0, 4, 3), ("N", "C", "L"))
    verify(declared(copied(READ, domain=Domain({**FREE, "n": 0})), inputs=(none,), outputs=(none,)))
    empty = Domain({**FREE, "n": 0})
    through = copied(READ, domain=empty, name="t0"), copied(load("t0", "n", "c", "i"), domain=empty)
    verify(declared(*through, inputs=(none,), outputs=(none,)))


@dataclasses.dataclass(frozen=True)
class Second(Op):
    """Takes the second axis for the channels, wherever they are: 4000 writes to an axis of 1."""

    word: ClassVar[str] = "second"

    def declare(self, *inputs):
        (x,) = inputs
        free = {"n": x.shape[0], "c": x.channels, "i": x.size("H"), "j": x.size("W")}
        where = index("n", "c", "i", "j")
        return Declaration(self, inputs, (x,), (), (Statement("y0", where, Load("x0", where), Domain(free)),))


_REGISTRY.pop("second")
registry.cache_clear()


def far(shape):
    nodes = (Node("p", Permute("HWC"), ("x",)), Node("own", Second(), ("p",)))
    return Network("net", {"x": TensorSpec.image(shape)}, nodes, ("own",))


@pytest.mark.parametrize("engine", ["numpy", *(["compiled"] if targets() else [])])
def test_no_engine_runs_it(engine):
    net = far((4000, 1, 1))
    for ask in (
        lambda: get_engine(engine).compile(net, {}),
        lambda: get_engine(engine).training(net, {}),
        lambda: get_engine(engine).compile(net, {})(np.zeros((1, 4000, 1, 1), np.float32)),
    ):
        with pytest.raises(OpError) as caught:
            ask()
        error = caught.value
        assert error.node == "own" and error.code == "I002" and "NHWC" in error.what
        assert "indices 0 to 3999" in error.why and "permute CHW before it" in error.fix
    assert get_engine(engine).compile(far((1, 1, 1)), {})(np.ones((1, 1, 1, 1), np.float32)).item() == 1


@pytest.mark.torch
def test_torch_does_not_run_it_either():
    with pytest.raises(OpError, match="reads x0 outside"):
        get_engine("torch").compile(far((4000, 1, 1)), {})


def test_nor_do_the_functions():
    with pytest.raises(OpError, match="outside"):
        functional.apply(Outside(), np.zeros((1, 2, 3), np.float32))


@dataclasses.dataclass(frozen=True)
class Outside(Op):
    """Reads one number beyond the last."""

    word: ClassVar[str] = "outside"

    def declare(self, *inputs):
        (x,) = inputs
        free = {"n": x.shape[0], "c": x.channels, "i": x.size("L")}
        read = load("x0", "n", "c", Affine((("i", 1),), 1))
        return Declaration(self, inputs, (x,), (), (Statement("y0", index(*free), read, Domain(free)),))


_REGISTRY.pop("outside")
registry.cache_clear()
