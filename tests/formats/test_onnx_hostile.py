"""ONNX files that mean harm, or are damaged: a clear error in bounded time and memory, never anything else."""

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.hostile import little_memory, refused
from striate.diagnostics import FormatError, GraphError, LimitError, SourceError, StriateError
from striate.formats import load, parse
from striate.weights import initialize

pytestmark = pytest.mark.onnx

NET = "12x12x3 -> conv 3x3 4 -> bn -> relu -> maxpool 2 -> conv 1x1 8 -> silu -> flatten -> fc 5"


def written(folder, name="net.onnx", text=NET):
    from striate.formats.onnx import write

    net = parse(text)
    write(folder / name, net, initialize(net))
    return folder / name


def model_of(path):
    import onnx

    return onnx.load(path, load_external_data=False)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def test_a_truncated_file(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, (FormatError, GraphError), "net.onnx")


def test_what_is_no_onnx_file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"PK\x03\x04" + bytes(1000))
    refused(path, FormatError, "not an ONNX file")
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
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "cycle")


def test_a_value_from_nowhere_and_one_made_twice(tmp_path):
    model = model_of(written(tmp_path))
    model.graph.node[2].input[0] = "nowhere"
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "nowhere")
    model = model_of(written(tmp_path))
    model.graph.node[2].output[0] = model.graph.node[0].output[0]
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "two operators")


def test_functions_that_call_each_other_without_end(tmp_path):
    from onnx import helper

    model = model_of(written(tmp_path))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    body = [helper.make_node("F", ["x"], ["y"], domain="own")]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], body, opsets))
    refused(saved(model, tmp_path / "net.onnx"), GraphError, "cycle")


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
    with little_memory(512 * 2**20):
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
    with little_memory(512 * 2**20), contextlib.suppress(StriateError):
        net = load(path)
        assert any(node.op.word == "opaque" for node in net.nodes)


def test_constants_that_are_large_together(tmp_path):
    """Each is allowed; one after the other they would fill any memory, and take hours to compute."""
    from onnx import helper, numpy_helper

    model = model_of(written(tmp_path))
    size = numpy_helper.from_array(np.array([4000, 4000], np.int64), "size")
    model.graph.initializer.append(size)
    for at in range(60):
        model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], [f"large{at}"]))
        for turn in range(20):
            kind, inputs = ("Exp", [f"large{at}"]) if turn % 2 else ("MatMul", [f"large{at}"] * 2)
            model.graph.node.append(helper.make_node(kind, inputs, [f"made{at}x{turn}"]))
    model.graph.node.append(helper.make_node("Mul", [model.graph.output[0].name, "made59x1"], ["end"]))
    model.graph.output[0].name = "end"
    path, start = saved(model, tmp_path / "net.onnx"), time.process_time()
    with little_memory(512 * 2**20):
        assert "opaque" in [node.op.word for node in load(path).nodes]
    assert time.process_time() - start < 10


@pytest.mark.parametrize("kind", ["Expand", "Slice", "Tile", "Resize"])
def test_entries_listed_without_end(tmp_path, kind):
    """An axis of any size takes a few bytes; it is not written out entry by entry."""
    from onnx import helper, numpy_helper

    nodes, inputs, n = [], {}, 10**8
    if kind == "Expand":
        inputs = {"shape": np.array([1, 3, 4, n])}
    elif kind == "Slice":
        inputs = {
            "from": np.array([-1]),
            "to": np.array([-(10**12)]),
            "axis": np.array([3]),
            "by": np.array([-1]),
        }
    elif kind == "Tile":
        inputs = {"times": np.array([1, 1, 1, 2])}
    width = 1 if kind == "Expand" else n
    given = [*inputs] if kind != "Resize" else ["", "scales"]
    inputs = inputs or {"scales": np.array([1, 1, 1, 1.5], np.float32)}
    for at in range(8):
        more = {"nearest_mode": "ceil"} if kind == "Resize" else {}
        nodes.append(helper.make_node(kind, ["x", *given], [f"y{at}"], **more))
        nodes.append(helper.make_node("MaxPool", [f"y{at}"], [f"z{at}"], kernel_shape=[2, 2]))
    outputs = [helper.make_tensor_value_info(f"z{at}", 1, None) for at in range(8)]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", 1, [1, 3, 4, width])], outputs,
        [numpy_helper.from_array(np.asarray(array), key) for key, array in inputs.items()],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with little_memory(512 * 2**20):
        net = load(path)
    assert "opaque" in {node.op.word for node in net.nodes} <= {"opaque", "maxpool"}


def test_a_split_into_more_parts_than_it_has_outputs(tmp_path):
    from onnx import helper

    node = helper.make_node("Split", ["x"], ["y", "z"], axis=1, num_outputs=2**40)
    values = [helper.make_tensor_value_info(name, 1, None) for name in "yz"]
    graph = helper.make_graph([node], "net", [helper.make_tensor_value_info("x", 1, [1, 4, 4, 4])], values)
    path = tmp_path / "net.onnx"
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with little_memory(512 * 2**20):
        assert [spec.channels for spec in map(load(path).specs.get, load(path).outputs)] == [2, 2]


def test_a_note_of_striates_own_that_asks_for_much(tmp_path):
    """What a node says of itself is written again and compared: never at the size that a file only claims."""
    model = model_of(written(tmp_path, text="8x8x3 -> avgpool 2 -> adaptiveavgpool 3"))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for at, dim in enumerate(value.type.tensor_type.shape.dim[1:]):
            dim.dim_value = 3 if at == 0 else 10**7
    path = saved(model, tmp_path / "net.onnx")
    with little_memory(512 * 2**20), contextlib.suppress(StriateError):
        assert load(path).name


def test_functions_that_multiply_inside_branches(tmp_path):
    from onnx import helper

    model = model_of(written(tmp_path))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    for k in range(40):
        kind, domain = ("Relu", "") if k == 0 else (f"F{k - 1}", "own")
        calls = [
            helper.make_node(kind, ["x"], ["m"], domain=domain),
            helper.make_node(kind, ["m"], ["o"], domain=domain),
        ]
        branch = helper.make_graph(calls, "branch", [], [helper.make_tensor_value_info("o", 1, None)])
        body = [helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", 9, [], [True])),
                helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]  # fmt: skip
        model.functions.append(helper.make_function("own", f"F{k}", ["x"], ["y"], body, opsets))
    first = model.graph.node[2]
    first.op_type, first.domain = "F39", "own"
    refused(saved(model, tmp_path / "net.onnx"), LimitError, "operators")


def test_one_file_of_numbers_read_again_and_again(tmp_path):
    import onnx

    model = model_of(written(tmp_path))
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(2**26)
    for at in range(100):
        tensor = onnx.TensorProto(name=f"again{at}", data_type=1, dims=[2**24])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="data.bin")
        model.graph.initializer.append(tensor)
    path = saved(model, tmp_path / "net.onnx")
    with little_memory(512 * 2**20):
        refused(path, LimitError, "times", "data.bin")


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
    assert (net.weights["conv1.weight"] == initialize(parse(NET))["conv1.weight"]).all()


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
