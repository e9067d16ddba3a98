"""Keras files that mean harm, or are damaged: a clear error in bounded time and memory, and nothing is ever run."""

import base64
import contextlib
import io
import json
import marshal
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.hostile import little_memory, refused
from keras_files import archive, functional, hdf5, layer, sequential, tensor
from striate.diagnostics import FormatError, GraphError, LimitError, SourceError, StriateError
from striate.formats import load

DENSE = layer("Dense", "fc", units=3)
NET = sequential(layer("Conv2D", "conv", filters=2, kernel_size=[3, 3]), layer("Flatten", "flat"), DENSE)
KERNEL, BIAS = np.ones((3, 3, 3, 2), np.float32), np.zeros(2, np.float32)
WEIGHTS = {"conv2d": [KERNEL, BIAS], "dense": [np.ones((200, 3), np.float32), np.zeros(3, np.float32)]}


# ---------------------------------------------------------------------------------------------------- the zip archive


def test_what_is_no_keras_file(tmp_path):
    path = tmp_path / "net.keras"
    for data in (b"", b"PK\3\4", b"hello" * 100, bytes(1000)):
        path.write_bytes(data)
        refused(path, FormatError, "not a Keras file")
    refused(tmp_path / "other.keras", SourceError, "no file")
    (tmp_path / "folder.keras").mkdir()
    refused(tmp_path / "folder.keras", SourceError, "directory")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    refused(path, FormatError, "config.json")


def test_a_truncated_archive(tmp_path):
    path = archive(tmp_path / "net.keras", NET)
    whole = path.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, FormatError, "net.keras")


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_bomb(tmp_path, name):
    """Ten gigabytes of zeros in ten megabytes; for the test a hundredth of it, and the limits likewise."""
    entries = {"config.json": json.dumps(NET), "metadata.json": "{}", "model.weights.h5": b""}
    bomb = (32 if name != "model.weights.h5" else 100) * 2**20
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for entry, data in entries.items():
            file.writestr(entry, data if entry != name else bytes(bomb))
    pytest.importorskip("h5py") if name == "model.weights.h5" else None
    with little_memory():
        refused(path, LimitError, "unpacks to more than", name)


def test_an_entry_that_lies_about_its_size(tmp_path):
    """The list says ten bytes, the data are a bomb: no more is unpacked than the list says."""
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", bytes(64 * 2**20))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, 10)
    path.write_bytes(data)
    with little_memory():
        refused(path, FormatError, "net.keras")


def test_an_endless_list_of_entries(tmp_path):
    path = archive(tmp_path / "net.keras", NET)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rfind(b"PK\5\6") + 12, 2**31)
    path.write_bytes(data)
    refused(path, LimitError, "list of its entries")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../config.json", "a/../../b", "..\\b", "C:/b", "\\\\host\\b"]
)
def test_entries_outside_the_archive(tmp_path, name):
    path = archive(tmp_path / "net.keras", NET, **{name: "x"})
    refused(path, FormatError, "outside the archive")


def test_links_and_entries_of_one_name(tmp_path):
    path = archive(tmp_path / "net.keras", NET)
    link = zipfile.ZipInfo("model.weights.h5")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc/passwd")
    refused(path, FormatError, "link")
    path = archive(tmp_path / "net.keras", NET)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning):
        file.writestr("config.json", "{}")
    refused(path, FormatError, "one name")


# ---------------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", '"x"', "{}", "[" * 100_000, '{"a":' * 100_000, '{"config": {"layers": []}}',
     '{"config": {"layers": 3}}', '{"config": {"layers": [3]}}', '{"config": {"layers": [{}]}}', "\xff", "{nan}"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_configuration(tmp_path, text):
    refused(archive(tmp_path / "net.keras", text.encode("latin-1")), StriateError, "net.keras")


def test_models_nested_without_end(tmp_path):
    config = sequential(DENSE)
    for _ in range(100):
        config["name"] = config["config"]["name"] = "deeper"
        config = {**config, "config": {"name": "deeper", "layers": [config]}}
    refused(archive(tmp_path / "net.keras", config), LimitError, "deep")


def test_models_that_multiply(tmp_path):
    """Each model calls the one inside it twice: 2^40 layers in a few thousand bytes."""
    inner = functional(layer("ReLU", "relu", ["first"]), outputs=["relu"])
    for depth in range(35):
        name = f"m{depth}"
        inner["name"] = inner["config"]["name"] = name
        inner["inbound_nodes"] = [{"args": [tensor("first")]}, {"args": [tensor((name, 1))]}]
        inner = functional(inner, outputs=[])
        inner["config"]["output_layers"] = [[name, 2, 0]]
    with little_memory(512 * 2**20):
        refused(archive(tmp_path / "net.keras", inner), LimitError, "calls more than")


def test_circles_and_layers_from_nowhere(tmp_path):
    ring = functional(layer("ReLU", "a", ["b"]), layer("ReLU", "b", ["a"]), outputs=["b"])
    refused(archive(tmp_path / "net.keras", ring), GraphError, "cycle")
    lost = functional(layer("ReLU", "a", ["nowhere"]), outputs=["a"])
    refused(archive(tmp_path / "net.keras", lost), FormatError, "nowhere")
    late = functional(layer("ReLU", "a", [("first", 7)]), outputs=["a"])
    refused(archive(tmp_path / "net.keras", late), GraphError, "cannot be computed")
    twice = functional(layer("ReLU", "a", ["first"]), layer("ReLU", "a", ["first"]), outputs=["a"])
    refused(archive(tmp_path / "net.keras", twice), GraphError, "two layers")


@pytest.mark.parametrize(
    "config",
    [
        {"filters": -1}, {"filters": "many"}, {"filters": 2.5}, {"filters": None}, {"filters": [2]},
        {"kernel_size": []}, {"kernel_size": [0, 3]}, {"kernel_size": {}}, {"kernel_size": [3, 3, 3, 3, 1]},
        {"strides": [0, 1]}, {"strides": "x"}, {"padding": 3}, {"groups": 0}, {"groups": 2}, {"activation": 3},
        {"activation": {"config": {"activation": []}}}, {"dilation_rate": [10**13, 1]},
    ],
    ids=str,
)  # fmt: skip
def test_settings_without_meaning(tmp_path, config):
    """An opaque node, or a clear error."""
    conv = layer("Conv2D", "conv", **({"filters": 2, "kernel_size": [3, 3]} | config))
    with contextlib.suppress(StriateError):
        net = load(archive(tmp_path / "net.keras", sequential(conv)))
        assert any(node.op.word == "opaque" for node in net.nodes)


def test_sizes_beyond_meaning(tmp_path):
    """A configuration may ask for any amount of memory: it is not allocated."""
    conv = layer("Conv2D", "conv", filters=10**6, kernel_size=[1000, 1000], padding="same")
    flat, dense = layer("Flatten", "flat"), layer("Dense", "fc", units=10**11)
    path = archive(tmp_path / "net.keras", sequential(conv, layer("BatchNormalization", "bn"), flat, dense))
    with little_memory():
        assert len(load(path).nodes) == 4
        conv["config"]["filters"] = 10**13
        refused(archive(path, sequential(conv)), LimitError, "conv", "too large")


def test_names_that_would_steer_a_terminal(tmp_path):
    refused(archive(tmp_path / "net.keras", sequential(layer("ReLU", "a\x1b[2J"))), FormatError, "printed")
    refused(archive(tmp_path / "net.keras", sequential(layer("Re\nLU", "a"))), FormatError, "printed")


# ---------------------------------------------------------------------------------------------------- code


def test_code_in_a_lambda_is_never_decoded(tmp_path, monkeypatch):
    """Marshalled code, as Keras writes it, and things that are none: an opaque node, and nobody has looked."""

    def caught(*_, **__):
        raise AssertionError("something was decoded or run")

    code = compile(f"open({str(tmp_path / 'owned')!r}, 'w')", "x", "eval")
    packed = base64.b64encode(marshal.dumps(code)).decode()
    for name in (
        "marshal.loads",
        "base64.b64decode",
        "codecs.decode",
        "builtins.eval",
        "importlib.import_module",
    ):
        monkeypatch.setattr(name, caught)
    for function in (
        {"class_name": "__lambda__", "config": {"code": packed, "defaults": None, "closure": None}},
        [packed, None, None],
        "os.system",
    ):
        code_layer = layer("Lambda", "trick", function=function, arguments={})
        path = archive(tmp_path / "net.keras", sequential(code_layer, layer("Flatten", "flat")))
        net = load(path)
        assert str(net.nodes[0].op).startswith('opaque "Lambda (Python code, not run)"')
        (problem,) = net.inference.problems
        assert problem.node == "trick" and "Lambda (Python code, not run)" in str(problem)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("module", ["os", "builtins", "mymodule", None, "", "kerasx.layers", "keras.layers"])
def test_classes_of_ones_own_are_not_looked_up(tmp_path, module):
    """Not even where they are called as one of Keras'."""
    entry = layer("Conv2D", "conv", filters=3, kernel_size=[1, 1]) | {
        "module": module,
        "registered_name": "mine>Conv2D",
    }
    net = load(archive(tmp_path / "net.keras", sequential(entry)))
    assert "not run" in str(net.nodes[0].op)


def test_a_function_of_ones_own_as_activation(tmp_path):
    word = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    conv = layer("Conv2D", "conv", filters=3, kernel_size=[1, 1], activation=word)
    net = load(archive(tmp_path / "net.keras", sequential(conv)))
    assert str(net.nodes[1].op) == 'opaque "activation system" shape 3,12,12 params 0'


# ---------------------------------------------------------------------------------------------------- HDF5


def edited(tmp_path, change, weights=WEIGHTS, net=NET):
    """A file whose weights were changed by a function of the open h5py.File."""
    import h5py

    data = io.BytesIO(hdf5(weights))
    with h5py.File(data, "r+") as file:
        change(file)
    return archive(tmp_path / "net.keras", net, data.getvalue())


def replaced(place, **how):
    def change(file):
        del file[place]
        file.create_dataset(place, **how)

    return change


def link(place, made):
    def change(file):
        del file[place]
        file[place] = made

    return change


KERNEL_AT = "layers/conv2d/vars/0"


@pytest.mark.keras
def test_links_out_of_the_file(tmp_path):
    import h5py

    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["layers/conv2d/vars/0"] = KERNEL
    for place in (KERNEL_AT, "layers/conv2d/vars", "layers/conv2d", "layers"):
        inside = "/".join(place.split("/"))
        outer = link(place, h5py.ExternalLink(str(tmp_path / "secret.h5"), inside))
        refused(edited(tmp_path, outer), FormatError, "external link")
        refused(edited(tmp_path, link(place, h5py.SoftLink("/layers/dense"))), FormatError, "soft link")
        refused(edited(tmp_path, link(place, h5py.SoftLink("/nowhere"))), FormatError, "soft link")


@pytest.mark.keras
def test_numbers_in_another_file(tmp_path):
    import h5py

    (tmp_path / "secret.bin").write_bytes(KERNEL.tobytes())
    outside = {"external": [(str(tmp_path / "secret.bin"), 0, KERNEL.nbytes)]}
    change = replaced(KERNEL_AT, shape=KERNEL.shape, dtype="f4", **outside)
    refused(edited(tmp_path, change), FormatError, "another file")

    def virtual(file):
        del file[KERNEL_AT]
        layout = h5py.VirtualLayout(KERNEL.shape, "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", KERNEL.shape)
        file.create_virtual_dataset(KERNEL_AT, layout)

    refused(edited(tmp_path, virtual), FormatError, "virtual dataset")


@pytest.mark.keras
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"data": KERNEL, "compression": "gzip"}, "filter"),
        ({"data": KERNEL, "fletcher32": True}, "filter"),
        ({"shape": (3, 3, 3, 2), "dtype": "f4", "chunks": (3, 3, 3, 2)}, "are stored"),
        ({"shape": (10**6, 10**6), "dtype": "f4"}, "are stored"),
        (
            {"shape": (10**6, 10**6, 100), "dtype": "f8", "chunks": (10, 10, 1), "fillvalue": 1.0},
            "are stored",
        ),
        ({"data": "text"}, "instead of numbers"),
        ({"data": np.ones((3, 3, 3, 2), [("a", "f4")])}, "instead of numbers"),
        ({"data": np.ones((3, 3, 3, 2), np.complex64)}, "instead of numbers"),
        ({"data": np.ones((3, 3, 3, 4), np.float32)}, "according to its configuration"),
        ({"data": np.float32(3)}, "inconsistent"),
        ({"data": None, "dtype": "f4"}, "numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_are_none(tmp_path, how, says):
    import h5py

    how = how if "data" not in how or how["data"] is not None else {"data": h5py.Empty("f4")}
    path = edited(tmp_path, replaced(KERNEL_AT, **how))
    with little_memory():
        refused(path, FormatError, says)


@pytest.mark.keras
def test_weights_that_are_missing(tmp_path):
    def no_kernel(file):
        del file[KERNEL_AT]

    refused(edited(tmp_path, no_kernel), FormatError, "conv", "kernel")
    refused(edited(tmp_path, link("layers/conv2d", KERNEL)), FormatError, "array stands where a group")


@pytest.mark.keras
def test_one_layer_called_without_end(tmp_path):
    """A kernel of a megabyte, called a thousand times, would be a gigabyte."""
    inner = sequential(
        layer("Conv2D", "conv", filters=512, kernel_size=[1, 1], use_bias=False), input=(2, 2, 512)
    )
    inner["name"] = inner["config"]["name"] = "inner"
    inner["inbound_nodes"] = [{"args": [tensor("first")]}] + [
        {"args": [tensor(("inner", k))]} for k in range(1000)
    ]
    config = functional(inner, outputs=[], input=(2, 2, 512))
    config["config"]["output_layers"] = [["inner", 1000, 0]]
    weights = {"sequential/layers/conv2d": [np.ones((1, 1, 512, 512), np.float32)]}
    with little_memory():
        refused(archive(tmp_path / "net.keras", config, weights), LimitError, "times the weights")


@pytest.mark.keras
def test_groups_that_contain_themselves(tmp_path):
    """Older files are searched by name: a circle of hard links ends."""
    import h5py

    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(NET)
        group = file.create_group("model_weights/conv")
        group["again"] = group["twice"] = group
    refused(path, FormatError, "nested too deeply")


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    pytest.importorskip("h5py")
    path = archive(tmp_path_factory.mktemp("fuzz") / "net.keras", NET, WEIGHTS)
    return path, path.read_bytes()


@pytest.mark.keras
@settings(max_examples=300)
@given(data=st.data())
def test_any_changed_byte_gives_a_network_or_a_clear_error(victim, data):
    path, whole = victim
    broken = bytearray(whole)
    start = whole.index(b"\x89HDF")  # most of HDF5's own words stand at the start of the weights
    for _ in range(data.draw(st.integers(1, 4))):
        places = (
            st.integers(0, len(whole) - 1),
            st.integers(start, start + 3000),
            st.integers(len(whole) - 400, len(whole) - 1),
        )
        broken[data.draw(st.one_of(*places))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(broken)] * 3 + [len(broken) // 2]))
    path.write_bytes(bytes(broken[:cut]))
    try:
        net = load(path)
        _ = net.inference
    except StriateError as error:
        assert error.what and len(str(error)) < 4000
