"""What every op declares, held as data: names, ranges, counts, and which input an output really depends on.

Dependence is found by poking: a NaN in one input number reaches exactly the outputs that read it.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from op_cases import RUNNABLE, Case, cases, numbers
from striate.engine.numpy_ import reference
from striate.engine.numpy_.reference import multiplications, run
from striate.op import MAX_SIZE
from striate.ops import Conv
from striate.statement import FUNCTIONS, Affine, Blend, Call, Inside, Load, Tap
from striate.tensor import TensorSpec

each_word = pytest.mark.parametrize("word", RUNNABLE)


def calls(expr):
    if isinstance(expr, Call):
        yield expr
        for arg in expr.args:
            yield from calls(arg)


def variables_of(index):
    return {name for name, _ in index.terms} if isinstance(index, Affine) else {index.out, index.tap} - {""}


def statements_name_what_is_there(case):
    """Loads are of inputs, parameters and what was made before; indices use the domain's variables, one per axis."""
    declaration = case.declaration
    known = {f"x{k}": len(spec.shape) for k, spec in enumerate(declaration.inputs)}
    known |= {parameter.name: len(parameter.shape) for parameter in declaration.parameters}
    known |= {noise.name: len(noise.shape) for noise in declaration.noise}
    made, loaded = dict(known), set()
    for statement in declaration.statements:
        domain = statement.domain
        variables = {**domain.free, **domain.reduced}
        assert len(variables) == len(domain.free) + len(domain.reduced)
        assert all(1 <= size <= MAX_SIZE for size in variables.values())
        assert statement.reduce in ("", "sum", "max")
        assert statement.reduce or not domain.reduced
        for load in statement.loads:
            assert made[load.tensor] == len(load.index), load
            loaded.add(load.tensor)
        for index in (*statement.index, *(index for load in statement.loads for index in load.index)):
            assert variables_of(index) <= set(variables)
        for call in calls(statement.value):
            assert call.function in FUNCTIONS
            for arg in call.args:
                if isinstance(arg, Inside | Blend):
                    assert variables_of(arg.tap) <= set(variables)
        assert statement.target not in known, "inputs and parameters are read-only"
        made[statement.target] = len(statement.index)
    assert {parameter.name for parameter in declaration.parameters if parameter.trainable} <= loaded, (
        "all are used"
    )
    assert {noise.name for noise in declaration.noise} <= loaded
    assert {f"y{k}": len(y.shape) for k, y in enumerate(declaration.outputs)}.items() <= made.items()


def statements_write_the_declared_outputs(case):
    """Every number once and none beyond; scattered targets (taps) may leave holes, and meet."""
    for port, spec in enumerate(case.declaration.outputs):
        written = np.zeros(spec.shape, int)
        makers = [statement for statement in case.declaration.statements if statement.target == f"y{port}"]
        if any(isinstance(index, Tap) for statement in makers for index in statement.index):
            continue
        for statement in makers:
            free = statement.domain.free
            grids = dict(zip(free, np.indices(tuple(free.values())), strict=True))
            places = []
            for index, size in zip(statement.index, spec.shape, strict=True):
                place = sum((grids[name] * factor for name, factor in index.terms), np.zeros(1, int))
                place = (place + index.offset) // index.divisor
                place = place % index.modulus if index.modulus else place
                assert place.min() >= 0 and place.max() < size
                places.append(np.broadcast_to(place, tuple(free.values())))
            np.add.at(written, tuple(places), 1)
        assert (written == 1).all()


def what_is_declared_comes_out(case):
    outputs = run(case.declaration, case.inputs, case.weights)
    assert [y.shape for y in outputs] == [spec.shape for spec in case.declaration.outputs]
    assert case.op.output_count == len(outputs)
    for spec in case.declaration.outputs:
        assert spec.axes[0] == "N" and len(spec.axes) == len(spec.shape) == len(set(spec.axes))


def macs_by_formula_and_by_counting_agree(case):
    assert case.declaration.macs == multiplications(case.declaration)


def training_is_declared_alike(case):
    """The same outputs and parameters; what replaces a running statistic is made, and has its shape."""
    training = case.op.declare_training(*case.declaration.inputs)
    assert (training.outputs, training.parameters) == (case.declaration.outputs, case.declaration.parameters)
    statements_name_what_is_there(case._replace(declaration=training))
    made = {statement.target: len(statement.index) for statement in training.statements}
    statistics = {p.name: len(p.shape) for p in training.parameters if not p.trainable}
    assert {name: made[by] for name, by in training.updates.items()}.items() <= statistics.items()


def cost_is_that_of_one_image(case):
    """A larger batch changes neither parameters nor multiplications nor anything but the batch axis."""
    two = case.declaration
    one = case.op.declare(*(dataclasses.replace(x, shape=(1, *x.shape[1:])) for x in two.inputs))
    assert (one.params, one.macs, one.parameters) == (two.params, two.macs, two.parameters)
    assert [y.without_batch for y in one.outputs] == [y.without_batch for y in two.outputs]
    assert {y.shape[0] for y in one.outputs} == {1} and {y.shape[0] for y in two.outputs} == {2}


def images_do_not_see_each_other(case):
    for port in range(len(case.inputs)):
        for image, other in ((0, 1), (1, 0)):
            assert not any(found[other].any() for found in reached(case, port, image))


@each_word
def test_a_declaration_holds_together(word):
    @settings(max_examples=20)
    @given(cases(word))
    def holds(case):
        statements_name_what_is_there(case)
        statements_write_the_declared_outputs(case)
        what_is_declared_comes_out(case)
        macs_by_formula_and_by_counting_agree(case)
        training_is_declared_alike(case)
        cost_is_that_of_one_image(case)
        images_do_not_see_each_other(case)

    holds()


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


def no_output_depends_on_what_its_readings_do_not_name(case, port, poked):
    """One number of the input is read, at most, where every one of its axes is."""
    for output, found in enumerate(reached(case, port, poked)):
        y, claim = case.declaration.outputs[output], np.ones(found.shape, bool)
        for reading, x in zip(case.declaration.readings_of(output)[port].values(), poked, strict=True):
            if reading.axis is not None and not reading.context:
                shape = [-1 if axis == reading.axis else 1 for axis in y.axes]
                claim &= readers(y, reading, x).reshape(shape)
        assert not (found & ~claim).any()


def readings_name_no_more_than_what_is_read(case, port, at, x):
    """Along an axis that is read by position: a poked row or column comes out exactly where the reading says."""
    axis = case.declaration.inputs[port].axes[at]
    for output, found in enumerate(reached(case, port, (*[slice(None)] * at, x))):
        reading = case.declaration.readings_of(output)[port][axis]
        if reading.axis is None and reading.map is None:
            assert not found.any()
        elif reading.axis is not None and not reading.context and reached(case, port, ...)[output].any():
            y = case.declaration.outputs[output]
            others = tuple(k for k, name in enumerate(y.axes) if name != reading.axis)
            assert (found.any(others) == readers(y, reading, x)).all()


@each_word
def test_readings_and_poking_agree(word):
    @settings(max_examples=25)
    @given(cases(word), st.data())
    def holds(case, data):
        port = data.draw(st.integers(0, len(case.inputs) - 1))
        poked = tuple(data.draw(st.integers(0, size - 1)) for size in case.inputs[port].shape)
        no_output_depends_on_what_its_readings_do_not_name(case, port, poked)
        at = data.draw(st.integers(0, len(poked) - 1))
        readings_name_no_more_than_what_is_read(case, port, at, poked[at])

    holds()


def test_a_wrong_declaration_is_noticed():
    """The laws can fail: a window one off, a parameter that nothing loads, a sum that nobody counts."""
    good = Conv(kernel=3).declare(TensorSpec.image((1, 5, 5), batch=2))
    (statement,) = good.statements
    x, weight = statement.value.args

    def case(**changes):
        wrong = dataclasses.replace(good, statements=(dataclasses.replace(statement, **changes),))
        return Case(Conv(kernel=3), wrong, *numbers(good, 0))

    statements_name_what_is_there(case())
    with pytest.raises(AssertionError, match="all are used"):
        statements_name_what_is_there(case(start=None))
    with pytest.raises(KeyError):
        statements_name_what_is_there(case(value=Load("t7", x.index) * weight))
    with pytest.raises(AssertionError):
        statements_write_the_declared_outputs(
            case(domain=dataclasses.replace(statement.domain, free={**statement.domain.free, "i": 2}))
        )
    with pytest.raises(AssertionError):
        images_do_not_see_each_other(
            case(value=Load("x0", (Affine(()), *x.index[1:])) * weight, reduce="sum")
        )


def test_every_declared_function_can_be_executed():
    assert set(FUNCTIONS) == set(reference._FUNCTIONS)
