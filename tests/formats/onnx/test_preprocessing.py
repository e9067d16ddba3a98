"""The normalization of images inside an ONNX file: in the graph once, out of it again, and never applied twice."""

import json

import numpy as np
import pytest

import striate
from striate import Model
from striate.train.data import Transform

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

MEANS = {1: [0.4], 3: [0.5, 0.4, 0.3]}
STDS = {1: [0.2], 3: [0.1, 0.2, 0.3]}


def model(channels=3, trained=None, steps=(), seed=0):
    """A model of `channels` whose training normalized `trained` channels."""
    trained = channels if trained is None else trained
    made = Model(
        striate.parse(f"6x6x{channels} -> conv 3x3 4 -> relu -> flatten -> fc 3"), seed=seed, engine="numpy"
    )
    normalize = {"step": "normalize", "mean": MEANS[trained], "std": STDS[trained]}
    after = [{"step": "channels", "count": channels}] if trained != channels else []
    made.transform = {"steps": [*steps, normalize, *after]}
    made.classes = ("a", "b", "c")
    return made


def images(channels, count=4):
    return np.random.default_rng(1).random((count, channels, 6, 6), np.float32)


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


STEPS = [(), ({"step": "fit", "size": [6, 6]},), ({"step": "channels", "count": 1},)]


TAKEN = [
    pytest.param(channels, trained, steps, id=f"{name}-{channels}-{trained}")
    for name, steps in zip(("plain", "sized", "grayed"), STEPS, strict=True)
    for channels in (1, 3)
    for trained in (1, 3)
    if name != "grayed" or trained == 1  # gray cannot be normalized as color
]


@pytest.mark.parametrize(("channels", "trained", "steps"), TAKEN)
def test_the_file_takes_what_training_took(channels, trained, steps, tmp_path):
    one = model(channels, trained, steps)
    x = images(trained)
    answers = one.predict(x)
    bare = one.compile()(Transform.from_dict(one.transform).pixelwise(x))
    np.testing.assert_allclose(answers, bare, rtol=1e-5, atol=1e-6)
    one.export(tmp_path / "m.onnx")
    np.testing.assert_allclose(
        run(tmp_path / "m.onnx", x), answers, rtol=1e-4, atol=1e-5 * np.abs(answers).max()
    )
    again = Model.load(tmp_path / "m.onnx", engine="numpy")
    assert (again.net, again.classes, again.transform) == (one.net, one.classes, one.transform)
    np.testing.assert_array_equal(again.predict(x), answers)
    again.export(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_raw_leaves_it_out(tmp_path):
    one, x = model(), images(3)
    one.export(tmp_path / "raw.onnx", raw=True)
    one.export(tmp_path / "m.onnx")
    kinds = {
        name: [node.op_type for node in onnx.load(tmp_path / name).graph.node]
        for name in ("raw.onnx", "m.onnx")
    }
    assert kinds["m.onnx"] == ["Sub", "Div", *kinds["raw.onnx"]]
    z = Transform.from_dict(one.transform)(x)
    np.testing.assert_allclose(run(tmp_path / "raw.onnx", z), one.predict(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(
        Model.load(tmp_path / "raw.onnx", engine="numpy").predict(x), one.predict(x)
    )


def changed(path, change):
    file = onnx.load(path)
    change(file)
    onnx.save(file, path)


def no_record(file):
    del file.metadata_props[:]


def other_producer(file):
    file.producer_name = "somebody"


def other_mean(file):
    for tensor in file.graph.initializer:
        if tensor.name.endswith("/mean"):
            array = onnx.numpy_helper.to_array(tensor) + 1
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def other_names(file):
    made = {name for node in file.graph.node for name in node.output if "normalized" in name}
    for node in file.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"other_{name}" if name in made else name for name in names]


def scaled_in_between(file):
    first = next(node for node in file.graph.node if node.op_type == "Conv")
    read = first.input[0]
    first.input[0] = "halved"
    file.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    file.graph.node.insert(2, onnx.helper.make_node("Mul", [read, "half"], ["halved"]))


def read_before(file):
    """Somebody reads the image as well."""
    last = file.graph.node[-1]
    result = last.output[0]
    last.output[0] = "inner"
    for kind, reads, made in (
        ("GlobalAveragePool", [file.graph.input[0].name], "means"),
        ("Flatten", ["means"], "flat"),
        ("Add", ["inner", "flat"], result),
    ):
        file.graph.node.append(onnx.helper.make_node(kind, reads, [made]))


def no_prefix(file):
    """Somebody took the normalization away: the file takes what the network reads."""
    nodes = list(file.graph.node)
    reads = nodes[1].output[0]
    del file.graph.node[:]
    for node in nodes[2:]:
        node.input[:] = [file.graph.input[0].name if name == reads else name for name in node.input]
        file.graph.node.append(node)


CHANGES = (no_record, other_producer, other_mean, other_names, scaled_in_between, read_before, no_prefix)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_was_changed_nothing_is_normalized_twice(change, tmp_path):
    """onnxruntime says what the file means."""
    one, x = model(), images(3)
    path = tmp_path / "m.onnx"
    one.export(path)
    changed(path, change)
    again = Model.load(path, engine="numpy")
    np.testing.assert_allclose(again.predict(x), run(path, x), rtol=1e-4, atol=1e-5)
    assert again.classes == (() if change is no_record else one.classes)
    kept = change in (other_producer, scaled_in_between)
    assert (again.transform == one.transform) == kept
    if change is not no_record:
        steps = again.transform["steps"]
        assert kept or steps == [{"step": "normalize", "mean": [0.0] * 3, "std": [1.0] * 3}]
    again.export(tmp_path / "again.onnx")
    np.testing.assert_allclose(run(tmp_path / "again.onnx", x), run(path, x), rtol=1e-4, atol=1e-5)


def test_a_file_of_an_earlier_version(tmp_path):
    """Its transformation is recorded, and its graph takes what the network reads."""
    one, x = model(), images(3)
    one.export(tmp_path / "old.onnx", raw=True)
    file = onnx.load(tmp_path / "old.onnx")
    record = {"classes": list(one.classes), "transform": one.transform}
    file.metadata_props[0].value = json.dumps(record)
    onnx.save(file, tmp_path / "old.onnx")
    np.testing.assert_array_equal(
        Model.load(tmp_path / "old.onnx", engine="numpy").predict(x), one.predict(x)
    )


@pytest.mark.parametrize(
    "transform",
    [
        {}, {"steps": []}, {"steps": "no"}, {"steps": [{"step": "fit", "size": [6, 6]}]}, {"steps": [3, None]},
        {"steps": [{"step": "normalize"}]}, {"steps": [{"step": "normalize", "mean": [1], "std": [1]}]},
        {"steps": [{"step": "normalize", "mean": ["a"] * 3, "std": [1] * 3}]},
    ],
)  # fmt: skip
def test_a_transformation_that_the_graph_cannot_say_stays_out_of_it(transform, tmp_path):
    one = model()
    one.transform = transform
    one.export(tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx").graph.node[0].op_type == "Conv"
    assert striate.load(tmp_path / "m.onnx") == one.net


@pytest.mark.parametrize("name", ["normalized", "input/normalized", "input/mean"])
def test_names_never_collide(name, tmp_path):
    net = striate.parse("6x6x3 -> a: conv 3x3 4 -> flatten -> fc 3")
    nodes = tuple(
        type(n)(name if n.name == "a" else n.name, n.op, tuple(name if v == "a" else v for v in n.inputs))
        for n in net.nodes
    )
    one = model()
    renamed = Model(type(net)("net", net.inputs, nodes, net.outputs), seed=1, engine="numpy")
    renamed.transform = one.transform
    renamed.export(tmp_path / "m.onnx")
    x = images(3)
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x), renamed.predict(x), rtol=1e-4, atol=1e-5)
    assert striate.load(tmp_path / "m.onnx") == renamed.net
