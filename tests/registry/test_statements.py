"""What every op declares, held as data: names, ranges, counts, and which input an output really depends on.

Dependence is found by poking: a NaN in one input number reaches exactly the outputs that read it.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from op_cases import RUNNABLE, cases
from striate.engine.reference import multiplications, run
from striate.op import LARGEST
from striate.statement import FUNCTIONS, Affine, Call, Inside, Load, Tap

each_word = pytest.mark.parametrize("word", RUNNABLE)


def check(word, law, examples=30):
    """`law` on generated cases of one op."""

    @settings(max_examples=examples)
    @given(cases(word), st.data())
    def holds(case, data):
        law(case, data)

    holds()


def calls(expr):
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from calls(arg)


def taps(expr):
    if isinstance(expr, Inside):
        yield expr.tap
    for call in calls(expr):
        yield from (arg.tap for arg in call.args if hasattr(arg, "tap"))


@each_word
def test_statements_name_what_is_there(word):
    """Loads are of inputs, parameters and what was made before; indices use the domain's variables, one per axis."""

    def law(case, _):
        declaration = case.declaration
        ranks = {f"x{k}": len(spec.shape) for k, spec in enumerate(declaration.inputs)}
        ranks |= {parameter.name: len(parameter.shape) for parameter in declaration.parameters}
        made = dict(ranks)
        loaded = set()
        for statement in declaration.statements:
            variables = {**statement.domain.free, **statement.domain.reduced}
            assert not set(statement.domain.free) & set(statement.domain.reduced)
            assert all(1 <= size <= LARGEST for size in variables.values())
            assert statement.reduce in ("", "sum", "max")
            assert statement.reduce or not statement.domain.reduced
            for load in statement.loads:
                assert made[load.tensor] == len(load.index), load
                loaded.add(load.tensor)
            indices = [*statement.index, *(index for load in statement.loads for index in load.index)]
            indices += [*taps(statement.value)]
            for index in indices:
                used = (
                    {name for name, _ in index.terms}
                    if isinstance(index, Affine)
                    else {index.out, index.tap} - {""}
                )
                assert used <= set(variables)
            for call in calls(statement.value):
                assert call.function in FUNCTIONS
            assert statement.target not in ranks, "inputs and parameters are only read"
            made[statement.target] = len(statement.index)
        assert {parameter.name for parameter in declaration.parameters} <= loaded, "every parameter is used"
        assert (
            {f"x{k}" for k in range(len(declaration.inputs))} - loaded <= {"x1"} if word == "crop" else True
        )
        for port, spec in enumerate(declaration.outputs):
            assert made[f"y{port}"] == len(spec.shape)

    check(word, law, 20)


@each_word
def test_statements_write_every_number_of_the_declared_outputs_and_none_beyond(word):
    """Targets addressed by every free variable cover the output once; scattered ones (taps) may leave holes."""

    def law(case, _):
        for port, spec in enumerate(case.declaration.outputs):
            written = np.zeros(spec.shape, int)
            scattered = False
            for statement in case.declaration.statements:
                if statement.target != f"y{port}":
                    continue
                if any(isinstance(index, Tap) for index in statement.index):
                    scattered = True
                    continue
                free = statement.domain.free
                grids = dict(zip(free, np.indices(tuple(free.values())), strict=True))
                places = []
                for index, size in zip(statement.index, spec.shape, strict=True):
                    place = (
                        sum((grids[name] * factor for name, factor in index.terms), np.zeros(1, int))
                        + index.offset
                    )
                    place = place // index.divisor
                    place = place % index.modulus if index.modulus else place
                    assert place.min() >= 0 and place.max() < size
                    places.append(np.broadcast_to(place, tuple(free.values())))
                np.add.at(written, tuple(places), 1)
            assert scattered or (written == 1).all()

    check(word, law, 20)


@each_word
def test_what_is_declared_is_what_comes_out(word):
    def law(case, _):
        outputs = run(case.declaration, case.inputs, case.weights)
        assert [y.shape for y in outputs] == [spec.shape for spec in case.declaration.outputs]
        assert all(
            spec.axes[0] == "N" and len(spec.axes) == len(spec.shape) for spec in case.declaration.outputs
        )
        assert case.op.output_count == len(outputs)
        assert all(np.isfinite(y).all() or word == "maxpool" for y in outputs)

    check(word, law, 10)


@each_word
def test_macs_by_formula_and_by_counting(word):
    def law(case, _):
        assert case.declaration.macs == multiplications(case.declaration)

    check(word, law, 20)


@each_word
def test_cost_is_that_of_one_image(word):
    """A larger batch changes neither parameters nor multiplications nor anything but the batch axis."""

    def law(case, _):
        one = case.op.declare(
            *(dataclasses.replace(x, shape=(1, *x.shape[1:])) for x in case.declaration.inputs)
        )
        two = case.declaration
        assert (one.params, one.macs, one.parameters) == (two.params, two.macs, two.parameters)
        assert [y.without_batch for y in one.outputs] == [y.without_batch for y in two.outputs]
        assert {y.shape[0] for y in one.outputs} == {1} and {y.shape[0] for y in two.outputs} == {2}

    check(word, law, 10)


def reached(case, port, poked):
    """Where NaNs in one input come out, per output."""
    inputs = [x.copy() for x in case.inputs]
    inputs[port][poked] = np.nan
    with np.errstate(invalid="ignore"):
        return [np.isnan(y) for y in run(case.declaration, inputs, case.weights)]


def readers(y, reading, x):
    """Which positions along an output axis read position x, by the reading that the analyses go by."""
    at = range(y.size(reading.axis))
    return np.array([x == i if reading.map is None else x in reading.map.reads(i) for i in at])


@each_word
def test_no_output_depends_on_what_its_readings_do_not_name(word):
    """One number of the input is read, at most, where every one of its axes is."""

    def law(case, data):
        port = data.draw(st.integers(0, len(case.inputs) - 1))
        poked = tuple(data.draw(st.integers(0, size - 1)) for size in case.inputs[port].shape)
        for output, found in enumerate(reached(case, port, poked)):
            y, claim = case.declaration.outputs[output], np.ones(found.shape, bool)
            for reading, x in zip(case.declaration.readings_of(output)[port].values(), poked, strict=True):
                if reading.axis is not None and not reading.context:
                    shape = [-1 if axis == reading.axis else 1 for axis in y.axes]
                    claim &= readers(y, reading, x).reshape(shape)
            assert not (found & ~claim).any()

    check(word, law, 20)


@each_word
def test_readings_name_no_more_than_what_is_read(word):
    """Along each axis that is read by position: a poked row or column comes out exactly where the reading says."""

    def law(case, data):
        port = data.draw(st.integers(0, len(case.inputs) - 1))
        axis = data.draw(st.sampled_from(case.declaration.inputs[port].axes))
        at = case.declaration.inputs[port].axes.index(axis)
        x = data.draw(st.integers(0, case.inputs[port].shape[at] - 1))
        slab = (*[slice(None)] * at, x)
        for output, found in enumerate(reached(case, port, slab)):
            reading = case.declaration.readings_of(output)[port][axis]
            if reading.axis is None and reading.map is None:
                assert not found.any()
            elif reading.axis is not None and not reading.context:
                y = case.declaration.outputs[output]
                others = tuple(k for k, name in enumerate(y.axes) if name != reading.axis)
                assert (found.any(others) == readers(y, reading, x)).all()

    check(word, law, 20)


@each_word
def test_images_of_a_batch_do_not_see_each_other(word):
    def law(case, data):
        port = data.draw(st.integers(0, len(case.inputs) - 1))
        inputs = [x.copy() for x in case.inputs]
        inputs[port][1] = np.nan
        with np.errstate(invalid="ignore"):
            for y in run(case.declaration, inputs, case.weights):
                assert not np.isnan(y[0]).any()

    check(word, law, 5)


def test_a_broken_declaration_is_noticed():
    """The laws can fail: a window that is one off, a batch that is mixed, a parameter that nothing loads."""
    from striate.ops import Conv
    from striate.tensor import TensorSpec

    good = Conv(kernel=3).declare(TensorSpec.image((1, 5, 5)))
    (statement,) = good.statements
    tap = next(index for index in statement.value.args[0].index if isinstance(index, Tap))
    shifted = dataclasses.replace(tap, map=dataclasses.replace(tap.map, before=1))
    load = statement.value.args[0]
    moved = Load("x0", tuple(shifted if index is tap else index for index in load.index))
    value = dataclasses.replace(statement.value, args=(moved, statement.value.args[1]))
    bad = dataclasses.replace(good, statements=(dataclasses.replace(statement, value=value),))
    x, w = np.arange(25.0).reshape(1, 1, 5, 5), {"weight": np.ones((1, 1, 3, 3)), "bias": np.zeros(1)}
    assert not np.array_equal(run(good, [x], w)[0], run(bad, [x], w)[0])
    assert good.readings != bad.readings


def test_every_function_of_statements_is_used_and_known():
    from striate.engine import reference
    from striate.op import registry
    from striate.tensor import TensorSpec

    assert set(FUNCTIONS) == set(reference._FUNCTIONS)
    used = set()
    for cls in set(registry().values()):
        for fields, shapes in itertools.product(
            [{}, {"groups": 1}, {"p": 3}, {"approximate": True}], [[(2, 4, 4)]]
        ):
            try:
                op = cls(**fields)
                declaration = op.declare(*[TensorSpec.image(shapes[0])] * (op.arity or 2))
            except Exception:
                continue
            used |= {call.function for s in declaration.statements for call in calls(s.value)}
    assert used <= set(FUNCTIONS)
