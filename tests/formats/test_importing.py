"""What importers do with what they do not know: the reason is kept, and a rule that fails is a fault, not silence."""

import dataclasses

import numpy as np
import pytest

import striate as st
from striate.diagnostics import InternalError
from striate.formats import load, toml
from striate.network import Network

onnx_only = pytest.mark.onnx
torch_only = pytest.mark.torch

BROKEN = [
    TypeError("a rule's own"),
    KeyError("missing"),
    IndexError("out of range"),
    AttributeError("no field"),
]


def graph(folder, *nodes, constants=(), shape=(None, 3, 8, 8), opset=17):
    """A file of these operators (kind, inputs, output, attributes); its input is x, its output y."""
    import onnx
    from onnx import helper, numpy_helper

    made = [helper.make_node(k, i.split(), [o], name=o, **a) for k, i, o, a in nodes]
    value = helper.make_tensor_value_info
    whole = helper.make_graph(
        made,
        "made",
        [value("x", onnx.TensorProto.FLOAT, ["n", *shape[1:]])],
        [value("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()],
    )
    path = folder / "made.onnx"
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(whole, opset_imports=opsets, ir_version=8), path)
    return path


def reasons(net):
    (finding,) = [f for f in st.check(net).findings if f.code == "X001"]
    return finding.why


@onnx_only
def test_the_reason_of_an_onnx_operator_is_in_x001(tmp_path):
    path = graph(tmp_path, ("Softmax", "x", "s", {"axis": 0}), ("Relu", "s", "y", {}))
    assert reasons(load(path)).startswith("softmax over the batch. ")


@torch_only
def test_the_reason_of_a_torch_operator_is_in_x001():
    import torch

    class Cumulated(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x.cumsum(1))

    class Mixed(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x - x.softmax(0))

    assert "aten.cumsum is not an operator" in reasons(st.from_torch(Cumulated(), input=(3, 6, 6)))
    assert "it acts on the batch axis" in reasons(st.from_torch(Mixed(), input=(3, 6, 6)))


def test_a_reason_is_kept_by_files_and_makes_no_difference_between_networks():
    net = st.parse("8x8x3 -> opaque Mystery shape 4,7,7 -> relu")
    op = dataclasses.replace(net.nodes[0].op, why="its dilation is computed")
    said = net.replace("opaque1", op)
    assert said == net and hash(said.nodes[0]) == hash(net.nodes[0])
    assert Network.from_dict(said.to_dict()).nodes[0].op.why == op.why
    assert toml.parse(toml.format(said)).nodes[0].op.why == op.why
    assert str(op) == "opaque Mystery shape 4,7,7"


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
@torch_only
def test_a_broken_rule_for_torch_is_a_fault_that_names_the_operator(error, monkeypatch):
    import torch

    from striate.formats.torch.rules import OPERATORS

    def broken(site, x):
        raise error

    monkeypatch.setitem(OPERATORS, "relu", broken)
    with pytest.raises(InternalError, match=r"reading aten\.relu failed: " + type(error).__name__) as caught:
        st.from_torch(torch.nn.ReLU(), input=(3, 6, 6))
    assert caught.value.code == "I000" and "bug in Striate" in caught.value.why


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
@onnx_only
def test_a_broken_rule_for_onnx_is_a_fault_that_names_the_operator(error, monkeypatch, tmp_path):
    from striate.formats.onnx.operators import READERS

    def broken(site):
        raise error

    monkeypatch.setitem(READERS, "Relu", broken)
    with pytest.raises(InternalError, match="reading Relu failed: " + type(error).__name__):
        load(graph(tmp_path, ("Relu", "x", "y", {})))


@onnx_only
def test_a_damaged_operator_is_no_fault_of_striate(tmp_path):
    path = graph(tmp_path, ("Transpose", "x", "t", {"perm": [0, 9, 1, 2]}), ("Relu", "t", "y", {}))
    (problem, *_) = load(path).inference.problems
    assert "are inconsistent" in problem.why


@onnx_only
def test_a_broken_rule_is_told_without_a_traceback(monkeypatch, tmp_path):
    from cli.run import run
    from striate.formats.onnx.operators import READERS

    monkeypatch.setitem(READERS, "Relu", lambda site: site.no_such_word())
    done = run("show", str(graph(tmp_path, ("Relu", "x", "y", {}))))
    assert done.code == 2 and "Traceback" not in done.out + done.err
    assert "I000" in done.err and "reading Relu failed" in done.err


OUT_OF_RANGE = {
    "Softmax": ("x", {"axis": 9}),
    "Concat": ("x x", {"axis": -9}),
    "ReduceMean": ("x", {"axes": [1, 7]}),
    "Split": ("x", {"axis": 4}),
    "Squeeze": ("x", {"axes": [5]}),
    "LayerNormalization": ("x c", {"axis": 4}),
    "LpNormalization": ("x", {"axis": -9}),
    "Gather": ("x i", {"axis": 4}),
}


@pytest.mark.parametrize("kind", OUT_OF_RANGE)
@onnx_only
def test_an_axis_that_is_not_there_is_not_taken_for_another(kind, tmp_path):
    inputs, attributes = OUT_OF_RANGE[kind]
    constants = {"c": np.ones(8, np.float32), "i": np.int64([0])}
    opset = 12 if kind == "Squeeze" else 17
    net = load(graph(tmp_path, (kind, inputs, "y", attributes), constants=constants, opset=opset))
    (node,) = net.nodes
    assert node.op.word == "opaque" and node.op.why.startswith("axis ")


@onnx_only
def test_a_file_without_an_input_is_refused(tmp_path):
    import onnx

    path = graph(tmp_path, ("Relu", "c", "y", {}), constants={"c": np.ones((1, 3), np.float32)})
    model = onnx.load(path)
    del model.graph.input[:]
    onnx.save(model, path)
    with pytest.raises(st.StriateError, match="has no input"):
        load(path)


@onnx_only
def test_an_attribute_of_another_type_is_no_fault_of_striate(tmp_path):
    path = graph(tmp_path, ("Shape", "x", "s", {"start": [1, 2]}), ("Reshape", "x s", "y", {}))
    assert load(path).inference.problems


@torch_only
@pytest.mark.parametrize("cast", ["long", "int", "short", "byte", "char", "bool", "type_as", "to"])
def test_a_cast_to_whole_numbers_is_told_of(cast):
    import torch

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("places", torch.arange(4))

        def forward(self, x):
            given = {"type_as": (self.places,), "to": (torch.int32,)}.get(cast, ())
            return getattr(x * 4, cast)(*given).float() / 4

    assert "a cast to whole numbers" in reasons(st.from_torch(Module(), input=(3, 6, 6)))


@torch_only
@pytest.mark.parametrize("cast", ["half", "double", "bfloat16", "float"])
def test_a_cast_to_another_width_changes_nothing(cast):
    import torch

    class Module(torch.nn.Module):
        def forward(self, x):
            return getattr(x.relu(), cast)().float()

    assert [node.op.word for node in st.from_torch(Module(), input=(3, 6, 6)).nodes] == ["relu"]
