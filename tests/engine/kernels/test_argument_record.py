"""Records as data: what they declare, and the arrays that a resolver makes of them."""

import numpy as np
import pytest

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import (
    Address,
    Constant,
    Record,
    Resolver,
    array_record,
    record,
    table,
    value_table,
)


def constant(name):
    return Constant((name,), lambda: np.zeros(1))


def test_slots_hold_numbers_addresses_and_pairs_of_floats():
    made = record(24, {0: -5, 8: Address("x", 3) + 1}, {16: 0.5, 20: -np.inf})
    assert made[0] == -5 and made[8] == Address("x", 4)
    floats = np.frombuffer(made.data, np.float32)[4:]
    assert floats.tolist() == [0.5, -np.inf]
    array = Resolver({"x": 100}, np.copy).array(made)
    assert array[:2].tolist() == [-5, 104] and array[2:].tobytes() == floats.tobytes()


def test_an_offset_is_the_difference_of_two_addresses():
    made = record(8, {0: Address("x", 40) - (Address("y") - -8)})
    assert Resolver({"x": 1000, "y": 100}, np.copy).array(made).tolist() == [1000 + 40 - 100 - 8]


def test_records_are_equal_if_they_declare_the_same():
    def made(offset, entry=1):
        return record(16, {0: Address("x", offset), 8: table(np.array([entry]))})

    assert made(8) == made(8) and hash(made(8)) == hash(made(8))
    assert made(8) != made(16) and made(8) != made(8, 2)
    assert constant("a") == constant("a") != constant("b")
    assert "offset=8" in repr(made(8))


def test_everything_that_a_record_and_its_tables_refer_to_is_found_once():
    inner = value_table([Address(constant("a"), 4), Address(Kernel("tile")), Address("x")])
    made = record(24, {0: inner, 8: inner, 16: Address(constant("a"))})
    assert made.places(Constant) == [constant("a")] and made.places(Kernel) == [Kernel("tile")]
    assert set(made.places(str, Kernel)) == {"x", Kernel("tile")} and len(list(made.records())) == 2


def test_a_table_has_one_array():
    inner = value_table([7])
    kept = []
    resolver = Resolver({}, lambda array: kept.append(array.copy()) or kept[-1])
    array = resolver.array(record(16, {0: inner, 8: inner + 8}))
    assert len(kept) == 2 and array[1] - array[0] == 8
    assert array[0] in {one.ctypes.data for one in kept}


def test_a_table_keeps_its_type_of_number():
    numbers = np.array([1, 2, 3], np.int32)
    assert Resolver({}, np.copy).array(table(numbers).of).tobytes() == numbers.tobytes()
    assert not Resolver({}, np.copy).array(Record(b"")).size


def test_slots_of_what_is_not_there_yet_are_listed_with_their_bytes():
    made = record(24, {0: Address("x", 12), 8: value_table([5, Address("x")]), 16: Address("y")})
    resolver = Resolver({"y": 9}, np.copy, frozenset("xz"))
    array = resolver.array(made)
    assert array[0] == 0 and array[2] == 9 and resolver.slots["z"] == []
    for place, slot, offset in resolver.slots["x"]:
        place[slot] = 100 + offset
    (inner,) = (place for place, *_ in resolver.slots["x"] if place is not array)
    assert array[0] == 112 and inner.tolist() == [5, 100]


def test_an_offset_needs_both_places():
    with pytest.raises(ValueError, match="not there yet"):
        Resolver({"y": 9}, np.copy, frozenset("x")).array(record(8, {0: Address("y") - Address("x")}))


def test_an_array_record_is_plain():
    array = array_record(16, {0: 3}, {8: 2.0})
    assert array[0] == 3 and array.view(np.float32)[2] == 2.0
    array[0] = 4
