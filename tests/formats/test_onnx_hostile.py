"""ONNX files that mean harm, or are damaged: a clear error in bounded time and memory, never anything else."""

import contextlib
import os
import resource
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.diagnostics import FormatError, GraphError, LimitError, SourceError, StriateError
from striate.formats import load, parse
from striate.weights import initialise

pytestmark = pytest.mark.onnx

NET = "12x12x3 -> conv 3x3 4 -> bn -> relu -> maxpool 2 -> conv 1x1 8 -> silu -> flatten -> fc 5"


def written(folder, name="net.onnx", text=NET):
    from striate.formats.onnx import write

    net = parse(text)
    write(folder / name, net, initialise(net))
    return folder / name


def model_of(path):
    import onnx

    return onnx.load(path, load_external_data=False)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def refused(path, kind, *words):
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        load(path)
    assert time.monotonic() - start < 10
    error = caught.value
    assert error.why and error.fix and len(str(error)) < 2000
    assert all(word in str(error) for word in words), str(error)


@contextlib.contextmanager
def little_memory(extra=512 * 2**20):
    """No more address space than is used now, and a little."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_truncated_file(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, (FormatError, GraphError), "net.onnx")


def test_what_is_no_onnx_file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"PK\x03\x04" + bytes(1000))
    refused(path, FormatError, "no ONNX file")
    refused(tmp_path / "other.onnx", SourceError, "no file")
    (tmp_path / "folder.onnx").mkdir()
    refused(tmp_path / "folder.onnx", SourceError, "directory")


@pytest.mark.parametrize("version", [0, 1, 5, 99, 2**40])
def test_opsets_that_are_not_known(tmp_path, version):
    model = model_of(written(tmp_path))
    model.opset_import[0].version = version
    refused(saved(model, tmp_path / "net.onnx"), FormatError, "opset")


def test_a_circle(tmp_path):
    model = model_of(written(tmp_path))
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "circle")


def test_a_value_from_nowhere_and_one_made_twice(tmp_path):
    model = model_of(written(tmp_path))
    model.graph.node[2].input[0] = "nowhere"
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "nowhere")
    model = model_of(written(tmp_path))
    model.graph.node[2].output[0] = model.graph.node[0].output[0]
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "twice")


def test_functions_that_call_each_other_without_end(tmp_path):
    from onnx import helper

    model = model_of(written(tmp_path))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    body = [helper.make_node("F", ["x"], ["y"], domain="own")]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], body, opsets))
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "circle")


def test_functions_that_multiply(tmp_path):
    from onnx import helper

    model = model_of(written(tmp_path))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    for k in range(40):
        kind, domain = ("Relu", "") if k == 0 else (f"F{k - 1}", "own")
        body = [
            helper.make_node(kind, ["x"], ["m"], domain=domain),
            helper.make_node(kind, ["m"], ["y"], domain=domain),
        ]
        model.functions.append(helper.make_function("own", f"F{k}", ["x"], ["y"], body, opsets))
    first = model.graph.node[2]
    first.op_type, first.domain = "F39", "own"
    refused(saved(model, tmp_path / "net.onnx"), LimitError, "operators")


@pytest.mark.parametrize("dims", [[10**12], [2**40, 2**40], [-1], [10**6, 10**3]])
def test_tensors_larger_than_what_is_there(tmp_path, dims):
    model = model_of(written(tmp_path))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    path = saved(model, tmp_path / "net.onnx")
    with little_memory():
        refused(path, (FormatError, LimitError), "tensor")


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_constants_that_are_computed_large(tmp_path, kind):
    """A few bytes may ask for any amount of memory: it is not computed, and what needs it is opaque."""
    from onnx import helper, numpy_helper

    model = model_of(written(tmp_path))
    big, one = np.array([10**6, 10**6], np.int64), np.ones((1, 1), np.float32)
    inputs = {
        "ConstantOfShape": [big],
        "Expand": [one, big],
        "Tile": [one, big],
        "Range": [np.array(0.0), np.array(1e15), np.array(1.0)],
    }[kind]
    for at, array in enumerate(inputs):
        model.graph.initializer.append(numpy_helper.from_array(array, f"in{at}"))
    model.graph.node.insert(0, helper.make_node(kind, [f"in{at}" for at in range(len(inputs))], ["huge"]))
    model.graph.node.append(helper.make_node("Mul", [model.graph.output[0].name, "huge"], ["end"]))
    model.graph.output[0].name = "end"
    path = saved(model, tmp_path / "net.onnx")
    with little_memory(), contextlib.suppress(StriateError):
        net = load(path)
        assert any(node.op.word == "opaque" for node in net.nodes)


def external(tmp_path, location, **more):
    import onnx

    model = model_of(written(tmp_path))
    tensor = model.graph.initializer[0]
    size = len(tensor.raw_data)
    (tmp_path / "data.bin").write_bytes(tensor.raw_data + bytes(16))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(size), **more}.items():
        tensor.external_data.add(key=key, value=value)
    return saved(model, tmp_path / "net.onnx")


def test_external_data_beside_the_model(tmp_path):
    net = load(external(tmp_path, "data.bin"))
    assert (net.weights["conv1.weight"] == initialise(parse(NET))["conv1.weight"]).all()


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../data.bin", "a/../../data.bin", "", "a\0b", "C:\\data.bin", "..\\x"]
)
def test_external_data_that_leaves_the_folder(tmp_path, location):
    (tmp_path / "in").mkdir()
    (tmp_path / "data.bin").write_bytes(bytes(10_000))
    refused(external(tmp_path / "in", location), FormatError, "outside the model's folder")


def test_external_data_behind_a_link(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    path = external(tmp_path / "in", "link.bin")
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "secret.bin")
    refused(path, FormatError, "outside the model's folder")


@pytest.mark.parametrize(
    "more", [{"length": "8"}, {"offset": "1000000"}, {"offset": "-4"}, {"length": "x"}, {"length": "-1"}]
)
def test_external_data_of_another_size(tmp_path, more):
    refused(external(tmp_path, "data.bin", **more), FormatError)


def test_external_data_that_is_missing(tmp_path):
    refused(external(tmp_path, "nothing.bin"), SourceError, "no file")


def test_a_file_that_lies_about_its_nodes_is_read_as_it_stands(tmp_path):
    """Striate's own word for a node counts only if its operators say the same."""
    model = model_of(written(tmp_path))
    pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
    next(a for a in pool.attribute if a.name == "strides").ints[:] = [3, 3]
    assert '"maxpool"' in pool.doc_string
    net = load(saved(model, tmp_path / "net.onnx"))
    assert net.node("maxpool1").op.per_axis("stride", 2) == (3, 3)


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    path = written(tmp_path_factory.mktemp("fuzz"))
    return path, path.read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_any_flipped_byte_gives_a_network_or_a_clear_error(victim, data):
    path, whole = victim
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        # Half of the bytes are weights, which no flip can break: look at the rest more often.
        at = data.draw(
            st.one_of(
                st.integers(0, len(whole) - 1),
                st.integers(0, 600),
                st.integers(len(whole) - 3000, len(whole) - 1),
            )
        )
        broken[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(broken)] * 3 + [len(broken) // 2]))
    path.write_bytes(bytes(broken[:cut]))
    try:
        net = load(path)
        _ = net.inference
    except StriateError as error:
        assert error.what and len(str(error)) < 4000
