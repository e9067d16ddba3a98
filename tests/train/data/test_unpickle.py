"""Pickles are read as data: what numpy and Python write comes back, and whatever a hostile one asks for is refused."""

import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError
from striate.train.data.unpickle import read_pickle
from train.data.makers import Runs, cifar_batch, five_parts

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(plain, st.integers(0, 5))
def test_plain_values_come_back(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol), "x") == value


@given(
    st.sampled_from(["u1", "i4", "<i8", ">f4", "f8", "?"]),
    st.integers(0, 5),
    st.lists(st.integers(0, 4), max_size=3),
    st.booleans(),
)
def test_arrays_come_back(kind, protocol, shape, fortran):
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape).astype(kind), order="F" if fortran else "C")
    again = read_pickle(pickle.dumps({"data": array}, protocol), "x")["data"]
    assert np.array_equal(again, array) and again.dtype == array.dtype


def test_shared_values_stay_whole():
    label = [1, 2]
    assert read_pickle(pickle.dumps([label, label, (label,)]), "x") == [label, label, [label]]


def test_python_2_wrote_text_and_bytes_alike():
    """SHORT_BINSTRING and BINSTRING, which Python 3 no longer writes."""
    data = b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(K\x01K\x00eU\x04nameq\x03T\x03\x00\x00\x00a\xffbu."
    assert read_pickle(data, "x") == {"labels": [1, 0], "name": "a\xffb"}


HOSTILE = {
    "os.system": lambda path: pickle.dumps(Runs(path)),
    "os.system protocol 0": lambda path: pickle.dumps(Runs(path), 0),
    "inside data": lambda path: pickle.dumps({"labels": [0], "data": Runs(path)}),
    "builtins.eval": lambda path: b"cbuiltins\neval\n(S'open(%r, \"w\")'\ntR." % str(path).encode(),
    "stack global": lambda path: b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05touch\x85R.",
    "instance": lambda path: b"(S'touch x'\nios\nsystem\n.",
    "object": lambda path: b"(cos\nsystem\nS'touch x'\no.",
    "new object": lambda path: b"\x80\x02cos\nsystem\n)\x81.",
    "persistent": lambda path: b"Pname\n.",
    "extension": lambda path: b"\x80\x02\x82\x01.",
    "numpy's own load": lambda path: b"cnumpy\nload\n(S'x'\ntR.",
    "numpy.core.multiarray.scalar": lambda path: b"cnumpy.core.multiarray\nscalar\n(tR.",
    "objects in an array": lambda path: pickle.dumps(np.array([Runs(path)], object)),
    "array of records": lambda path: pickle.dumps(np.zeros(2, [("a", "u1")])),
    "an encoding that runs": lambda path: b"c_codecs\nencode\n(Vabc\nVhex\ntR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_executed(name, tmp_path):
    path = tmp_path / "executed"
    data = HOSTILE[name](path)
    with pytest.raises(FormatError) as caught:
        read_pickle(data, "batch")
    assert (
        "no code of the file was executed" in five_parts(caught.value)
        or "not a complete pickle" in caught.value.what
    )
    assert not path.exists()


def test_the_hostile_ones_would_run(tmp_path):
    """Otherwise the test above could not fail."""
    pickle.loads(HOSTILE["os.system"](tmp_path / "executed"))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02",
        b"not a pickle",
        b"\x80\x02]q\x00h\x05.",  # a memo that was never put
        b"r\xff\xff\xff\x7f.",  # puts at place two thousand million: pickle's own reader asks for 32 GB
        b"T\xff\xff\xff\x7fabc.",  # claims 2 GB
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # claims 2^63 bytes
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"L" + b"9" * 10_000 + b"\n.",
        b"]" * 3 + b"\x61" * 9 + b".",
        b"(" * 1000 + b".",
        b"K\x01K\x02s.",
        b"cnumpy\ndtype\n.",
        b"cnumpy\ndtype\n(S'u1'\ntR.",
    ],
)
def test_broken_pickles(data):
    with pytest.raises(FormatError) as caught:
        read_pickle(data, "batch")
    five_parts(caught.value)


def test_a_pickle_cannot_multiply_itself():
    """Ten references to ten references to ...: 10^15 values, and 16 lists."""
    value: list = [1]
    for _ in range(15):
        value = [value] * 10
    again = read_pickle(pickle.dumps(value), "x")
    assert again[0] is again[9]


def test_a_pickle_cannot_dig_without_end():
    value: list = []
    for _ in range(100):
        value = [value]
    with pytest.raises(FormatError, match="more than data"):
        read_pickle(pickle.dumps(value), "x")
    value.append(value)
    loop: list = []
    loop.append(loop)
    with pytest.raises(FormatError):
        read_pickle(pickle.dumps(loop), "x")


@pytest.mark.parametrize("claim", [(10**6, 10**6), (-1, 4), (4, -1), (2**62, 2**62)])
def test_an_array_is_as_long_as_its_data(claim):
    data = pickle.dumps(np.zeros((2, 2), np.uint8), 2)
    lie = data.replace(pickle.dumps((2, 2), 2)[2:-3], pickle.dumps(claim, 2)[2:-3].replace(b"q\x00", b""), 1)
    assert lie != data
    with pytest.raises(FormatError) as caught:
        read_pickle(lie, "batch")
    five_parts(caught.value)


WHOLE = cifar_batch(3)


@given(st.integers(0, len(WHOLE) - 1))
def test_cut_off_anywhere(length):
    with pytest.raises(FormatError):
        read_pickle(WHOLE[:length], "batch")


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


@given(st.lists(st.sampled_from(OPCODES) | st.binary(max_size=6), max_size=40))
def test_any_bytes_are_data_or_an_error(parts):
    try:
        read_pickle(b"".join(parts) + b".", "fuzz")
    except FormatError as error:
        five_parts(error)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_any_damage_is_data_or_an_error(place, junk):
    data = WHOLE[:place] + junk + WHOLE[place + len(junk) :]
    try:
        read_pickle(data, "fuzz")
    except FormatError as error:
        five_parts(error)
