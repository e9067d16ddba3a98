"""Model files from strangers: whatever is in them, a value or a StriateError comes back, soon and within little memory.

Damage is done below the outermost layer, where a checksum or a length would hide it: to the pickle inside a zip, to the
header of .safetensors, to the JSON of a folder, to the comments of written source, to the fields of an ONNX message.
"""

import base64
import contextlib
import functools
import io
import json
import os
import pickle
import pickletools
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.files import old_pth
from striate import Model, load, parse
from striate.diagnostics import StriateError
from striate.formats.pickles import Name, Refused, follow
from striate.formats.weight_files import read_weights
from striate.train.data.unpickle import read_pickle

pytestmark = pytest.mark.timeout(300)
NET = "6x6x1 -> conv 3x3 2 -> bn -> relu -> flatten -> fc 3"
SECONDS, MEMORY = 5, 256 * 2**20


@contextlib.contextmanager
def bounded():
    """Little time, and no more address space than is used now and a little."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    start = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.process_time() - start < SECONDS


def survives(read, *arguments):
    with bounded():
        try:
            return read(*arguments)
        except StriateError as error:
            text = str(error)
            assert error.what and error.fix and len(text) < 4000
            text.encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz")
    model = Model(parse(NET), seed=1, engine="numpy")
    for suffix in (".pth", ".safetensors", ".py"):
        model.export(path / f"net{suffix}")
    model.save(path / "run")
    return path


EDGES = [
    b"",
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"9" * 30,
    b"-1",
    b"}",
    b"[",
    b'"',
    b"1e999",
    b"null",
]


@st.composite
def damages(draw, pieces):
    """What is done to bytes: (where as a share, how many go, what comes), once or several times."""
    one = st.tuples(
        st.floats(0, 1), st.integers(0, 12), pieces | st.sampled_from(EDGES) | st.binary(max_size=6)
    )
    return draw(st.lists(one, min_size=1, max_size=5))


def damaged(data, damage):
    for place, gone, new in damage:
        at = int(place * len(data))
        data = data[:at] + new + data[at + gone :]
    return data


# ---------------------------------------------------------------- .pth
OPCODES = st.sampled_from([
    b"(", b")", b"}", b"]", b"t", b"R", b"b", b"Q", b"u", b"s", b"e", b"a", b".", b"0", b"\x85", b"\x86", b"\x87",
    b"\x94", b"q\x00", b"h\x00", b"p5\n", b"g5\n", b"J\xff\xff\xff\xff", b"K\x05", b"I99999999999999999999\n",
    b"cos\nsystem\n", b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"X\x01\x00\x00\x00w", b"X\xff\xff\xff\x7f", b"N", b"\x88", b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x93",
    b"\x8a\x09" + b"\xff" * 9, b"ibuiltins\neval\n",
])  # fmt: skip


@settings(max_examples=250)
@given(damage=damages(OPCODES))
def test_the_pickle_of_a_state_dict(folder, damage):
    """In a zip whose checksums are right."""
    with zipfile.ZipFile(folder / "net.pth") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (inner,) = (name for name in parts if name.endswith("data.pkl"))
    parts[inner] = damaged(parts[inner], damage)
    path = folder / "hurt.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    survives(read_weights, path)


@settings(max_examples=100)
@given(damage=damages(OPCODES), tail=st.binary(max_size=40))
def test_the_layout_before_the_zip(folder, damage, tail):
    head, body = old_pth((0, 1, 2, 3))
    path = folder / "old.pt"
    path.write_bytes(head + body)
    np.testing.assert_array_equal(read_weights(path)["w"], [[0, 1], [2, 3]])
    path.write_bytes(head + damaged(body, damage) + tail)
    survives(read_weights, path)


@settings(max_examples=200)
@given(parts=st.lists(OPCODES | st.binary(max_size=4), max_size=60))
def test_any_opcodes(parts):
    def call(name, given):
        assert isinstance(name, Name) and isinstance(given, tuple)
        raise Refused(name)

    with contextlib.suppress(Refused, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError,
                             UnicodeError), bounded():  # fmt: skip
        follow(io.BytesIO(b"".join(parts) + b"."), call)


def keyed(count, key):
    return b"(" + b"".join(key(number) + b"N" for number in range(1, count + 1)) + b"d."


@pytest.mark.parametrize(
    "data",
    [
        # Whole numbers that are multiples of 2^61 - 1 share one hash: a dict of them takes the square of their number.
        keyed(200_000, lambda n: b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little")),
        keyed(200_000, lambda n: b"G" + struct.pack(">d", float(n * 2**70))),
        keyed(100_000, lambda n: b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") + b"\x85"),
        b"".join(b"Np%d\n0" % (n * (2**61 - 1)) for n in range(200_000)) + b"N.",
        b"(" * 1_000_000 + b".",
        b"]" * 1_000_000 + b"a" * 999_999 + b".",
        b"N\x85" * 1_000_000 + b".",
        b"]" + b"2" * 1_000_000 + b".",
        b"I" + b"9" * 5_000_000 + b"\n.",
        b"\x8b\xff\xff\xff\x7f" + b"\xff" * 1_000_000 + b".",
        b"(" + b"K\x01" * 4_100_000 + b"t.",
    ],
    ids=["ints", "floats", "tuples", "memory", "marks", "lists", "tuples-of", "dup", "digits", "long", "many"],
)  # fmt: skip
def test_pickles_that_ask_for_much(folder, data):
    path = folder / "much.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + data)
    start = time.process_time()
    with pytest.raises(StriateError):
        read_weights(path)
    assert time.process_time() - start < 30


def doubled(kind, depth=60):
    """A value of `depth` containers, each of which holds the one before twice."""
    made = b"K\x01"
    for place in range(10**6, 10**6 + depth):
        put, get = (op + place.to_bytes(4, "little") for op in (b"r", b"j"))
        twice = {"tuple": get + get + b"\x86", "list": b"](" + get + get + b"e",
                 "dict": b"}(K\x00" + get + b"K\x01" + get + b"u"}  # fmt: skip
        made += put + b"0" + twice[kind]
    return made


def infected(data, kind):
    """The pickle with each value in turn replaced by one that doubles itself, and with it as what a name is made of."""
    worm = doubled(kind)
    for opcode, _, place in list(pickletools.genops(data)):
        if opcode.stack_after and place:
            yield data[:place] + worm + b"0" + data[place:]  # before it
            end = place + len(opcode.code) if opcode.arg is None else None
            if end:
                yield data[:end] + b"0" + worm + data[end:]
        if opcode.name in ("BINPERSID", "REDUCE", "BUILD", "STOP", "TUPLE", "SETITEMS", "APPENDS", "SETITEM"):
            yield data[:place] + b"0" + worm + data[place:]
            yield data[:place] + worm + data[place:]
    yield worm + b"X\x01\x00\x00\x00b\x93."
    yield b"X\x01\x00\x00\x00b" + worm + b"\x93."


@pytest.mark.parametrize("kind", ["tuple", "list", "dict"])
def test_pickles_that_double_themselves(folder, kind):
    """300 bytes of them are 2^60 values to whoever walks all of it: for a text, a hash, a comparison."""
    with zipfile.ZipFile(folder / "net.pth") as archive:
        state = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    ordered = b"\x80\x02ccollections\nOrderedDict\n](]" + b"(X\x01\x00\x00\x00wK\x01e" + b"e\x85R."
    path = folder / "double.pth"
    for data in [*infected(state, kind), *infected(ordered, kind)]:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", data)
        survives(read_weights, path)
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1], "batch_label": b"a"}
    for protocol in (0, 2, 3, 4):
        whole = pickle.dumps(batch, protocol)
        for data in infected(whole, kind):
            survives(read_pickle, data, "a batch")


LONG = (10**6).to_bytes(4, "little") + b"a" * 10**6 + b"q\x000"
ITEMS = b"X\x01\x00\x00\x00aK\x01\x86" * 10**5
MULTIPLIED = {  # what is there once, as place 0 and 1, and what is done with it again and again
    "names": (b"X" + LONG, b"h\x00h\x00\x93"),
    "encodings": (b"X" + LONG + b"c_codecs\nencode\nq\x010", b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R"),
    "bytes": (b"B" + LONG, b"h\x00"),
    "sizes": (b"ctorch\nSize\nq\x000(" + b"K\x01" * 10**6 + b"tq\x010", b"h\x00h\x01\x85R"),
    "dicts": (b"ccollections\nOrderedDict\nq\x000](" + ITEMS + b"eq\x010", b"h\x00h\x01\x85R"),
}


@pytest.mark.parametrize("what", MULTIPLIED)
def test_pickles_that_multiply_what_they_hold(folder, what):
    once, again = MULTIPLIED[what]
    data = once + b"(" + again * 3000 + b"t."
    path = folder / "many.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + data)
    survives(read_weights, path)
    survives(read_pickle, data, "a batch")


# ---------------------------------------------------------------- .safetensors
JSON_PIECES = st.sampled_from([
    b'"F32"', b'"BF16"', b'"shape"', b"[0,8]", b"[-1]", b"[1.0]", b"1e9", b"99999999999999999999", b'"__metadata__"',
    b"{}", b"true", b'"striate"', b"[[[[", b'\\"',
])  # fmt: skip


@settings(max_examples=250)
@given(damage=damages(JSON_PIECES), exact=st.booleans())
def test_the_header_of_safetensors(folder, damage, exact):
    data = (folder / "net.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = damaged(data[8:end], damage)
    path = folder / "hurt.safetensors"
    length = len(header) if exact else end - 8
    path.write_bytes(length.to_bytes(8, "little") + header + data[end:])
    survives(read_weights, path)
    survives(load, path)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63 - 1, 2**64 - 1])
def test_headers_that_are_said_to_be_long(folder, length):
    path = folder / "long.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(2**21))
    assert survives(read_weights, path) is None


def test_a_description_without_end(folder):
    from striate.formats.safetensors import save

    path = folder / "told.safetensors"
    save(path, {"w": np.zeros(2, np.float32)}, {"striate": json.dumps({"network": ["x" * 10] * 10**6})})
    assert survives(load, path) is None


# ---------------------------------------------------------------- folders, source
@settings(max_examples=150)
@given(
    damage=damages(JSON_PIECES | st.sampled_from([b'"conv"', b'"input"', b'"kernel":1000000000', b"null"]))
)
def test_the_description_in_a_folder(folder, damage):
    config = folder / "run" / "config.json"
    whole = config.read_bytes()
    try:
        config.write_bytes(damaged(whole, damage))
        survives(load, folder / "run")
    finally:
        config.write_bytes(whole)


@settings(max_examples=60)
@given(damage=damages(st.sampled_from([b"#: ", b"\n", b"eJ", b"="])))
def test_the_comments_of_source(folder, damage):
    """They count whole or not at all."""
    from striate.formats.torch import striate_metadata

    text = (folder / "net.py").read_bytes()
    hurt = damaged(text, [(0.6 + 0.4 * place, gone, new) for place, gone, new in damage])
    with bounded():
        found = striate_metadata.network(hurt.decode("utf-8", "replace"))
    assert (found is not None) == (hurt.replace(b"\r\n", b"\n") == text)


def test_comments_that_unpack_without_end():
    from striate.formats.torch import note, striate_metadata

    text = f"{note.HEAD}#: {_bomb()}\n"
    with bounded():
        assert striate_metadata.network(text) is None


def _bomb():
    """A gigabyte of blanks in a megabyte: a piece that ends on a whole byte, again and again, and the sum of all."""
    squeeze, blanks = zlib.compressobj(9), b" " * 2**20
    parts = [squeeze.compress(blanks) + squeeze.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    total = functools.reduce(lambda before, _: zlib.adler32(blanks, before), range(1024), 1)
    end = zlib.compressobj(9, wbits=-15).flush() + total.to_bytes(4, "big")
    return base64.b64encode(parts[0] + parts[1] * 1023 + end).decode()


# ---------------------------------------------------------------- .onnx
@pytest.mark.onnx
@settings(max_examples=300)
@given(data=st.data())
def test_the_fields_of_an_onnx_message(folder, data):
    """Nodes, attributes, tensors and names changed one by one, so that the message itself stays whole."""
    import onnx

    path = folder / "net.onnx"
    if not path.exists():
        Model(parse(NET), seed=1, engine="numpy").export(path)
    model = onnx.load(path)
    names = ["", "input", "conv1", "bn1", "conv1.weight", "nowhere", "\u00e9", "a/b", "x" * 500]
    numbers = st.sampled_from([0, -1, 1, 2, 3, 2**31, -(2**63), 2**63 - 1])
    for _ in range(data.draw(st.integers(1, 3))):
        node = data.draw(st.sampled_from(list(model.graph.node)))
        match data.draw(st.integers(0, 7)):
            case 0:
                node.op_type = data.draw(
                    st.sampled_from(["Conv", "MaxPool", "Reshape", "Loop", "If", "", "Gemm"])
                )
            case 1 if node.input:
                node.input[data.draw(st.integers(0, len(node.input) - 1))] = data.draw(st.sampled_from(names))
            case 2 if node.attribute:
                attribute = data.draw(st.sampled_from(list(node.attribute)))
                attribute.type = data.draw(st.sampled_from([1, 2, 3, 6, 7, 8]))
                attribute.i = data.draw(numbers)
                attribute.ints.extend(data.draw(st.lists(numbers, max_size=3)))
            case 3:
                tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
                tensor.dims.append(data.draw(numbers))
            case 4:
                tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
                tensor.data_type = data.draw(st.integers(0, 30))
            case 5:
                node.doc_string = "striate " + data.draw(
                    st.sampled_from(["{", "[]", '{"op":{"op":"conv"},"inputs":[]}'])
                )
            case 6:
                sizes = model.graph.input[0].type.tensor_type.shape.dim
                sizes[data.draw(st.integers(0, len(sizes) - 1))].dim_value = data.draw(numbers)
            case 7:
                model.metadata_props.add(
                    key="striate", value=data.draw(st.sampled_from(["{", "[1]", "null", '{"classes": 3}']))
                )
    hurt = folder / "hurt.onnx"
    hurt.write_bytes(model.SerializeToString())
    survives(load, hurt)
    if (net := survives(load, hurt)) is not None and net.weights is not None:
        survives(lambda: Model.load(hurt, engine="numpy"))
