"""What a kernel packs of a unit's weights: how much, from where to where, and the bias."""

import numpy as np
import pytest

from engine.plan.support import CONTEXT, buffer, correlation, only, unit
from striate.engine.kernels.argument_record import Address, Record
from striate.engine.plan.packing import bias, transform, winograd
from striate.engine.plan.units import Buffer
from striate.engine.plan.winograd import choose
from striate.statement import load


def made(body, weights, folds=(), outputs=2):
    y = buffer("y", (1, outputs, 1, 1))
    return unit([buffer(shape=(1, 3, 1, 1))], [y], body, weights=weights, folds=list(folds))


def scaled(*factors):
    return load("a") * load("s") - 1.0, "a", {"s": np.array(factors)}


@pytest.mark.parametrize(
    ("given", "folds", "found"),
    [
        (None, [], [0, 0]),
        ([3, 4], [], [3, 4]),
        (None, [scaled(2.0, 5.0)], [-1, -1]),
        ([3, 4], [scaled(2.0, 5.0)], [5, 19]),
        ([3, 4], [scaled(2.0, 5.0), scaled(10.0, 0.0)], [49, -1]),
    ],
)
def test_the_bias_goes_through_the_folds(given, folds, found):
    weights = {} if given is None else {"bias": np.array(given, np.float32)}
    result = bias(made(correlation(3, 2, bias=given is not None), weights, folds), 2)
    assert result.tolist() == found and result.dtype == np.float32


@pytest.mark.parametrize("text", ["56x56x64 -> conv 3x3 48 pad 1", "7x7x512 -> conv 3x3 512 pad 1"])
def test_winograds_weights_are_packed_by_panels_in_a_cache_of_frequencies(text):
    """(m + 2)² numbers for every pair of channels, whole vectors of outputs."""
    one = only(text)
    shape = choose(one, CONTEXT)
    packing = winograd(one, shape)
    channels, outputs = one.inputs[0].channels, one.outputs[0].channels
    assert packing.kernel == transform(shape.m) != transform(6 - shape.m)
    assert (packing.rows, packing.parts) == (channels, len(shape.panels))
    assert sum(shape.panels) * 16 == outputs
    least = (shape.m + 2) ** 2 * channels * outputs
    assert least <= packing.size < 1.01 * least


def test_a_record_follows_from_two_addresses():
    """Packed elsewhere, it differs in as many places as hold the address."""
    one = only("56x56x64 -> conv 3x3 48 pad 1")
    packing = winograd(one, choose(one, CONTEXT))
    plain, packed = buffer("plain"), buffer("packed")
    record = packing.record(Address(plain), Address(packed))
    assert record.places(Buffer) == [plain, packed]
    assert record == packing.record(Address(plain), Address(packed)) != packing.record(Address(plain), 64)


def test_factors_are_packed_where_something_is_folded():
    plain, folded = only("56x56x64 -> conv 3x3 48 pad 1"), only("56x56x64 -> conv 3x3 48 pad 1 -> bn")
    kept = [winograd(one, choose(one, CONTEXT)).record(0, 0).places(Record) for one in (plain, folded)]
    assert len(kept[1]) == len(kept[0]) + 1
