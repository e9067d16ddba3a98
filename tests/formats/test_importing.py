"""What importers do with what they do not know: the reason is kept, and a rule that fails is a fault, not silence."""

import collections
import dataclasses
import importlib

import numpy as np
import pytest

import striate as st
from keras_files import archive, functional, layer, tensor
from striate.diagnostics import InternalError
from striate.formats import load, toml
from striate.formats.importing import Unknown, Value, distinct, expressible, need, undo
from striate.network import Network, Node
from striate.ops.activation import Relu
from striate.ops.opaque import unsupported
from striate.tensor import TensorSpec

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

    import striate.formats.torch.importing  # noqa: F401  # fills the table
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


# ---------------------------------------------------------------- undoing a rule that has placed nodes
def test_only_nodes_placed_since_are_undone():
    """A name that begins like another, with a dot, is another node's."""
    nodes = [Node(name, Relu(), ("input",)) for name in ("layer1.conv", "layer1", "fc")]
    weights = dict.fromkeys(["layer1.conv.weight", "layer1.weight", "fc.weight", "fc.bias"])
    assert undo(nodes, weights, 1) == (["layer1", "fc"], ["layer1.weight", "fc.weight", "fc.bias"])
    assert [node.name for node in nodes] == ["layer1.conv"] and [*weights] == ["layer1.conv.weight"]
    assert undo(nodes, weights, 1) == ([], [])


def keras_block(folder):
    kernels = np.ones((3, 3, 3, 3), np.float32), np.zeros(3, np.float32)
    first, second = (
        layer("Conv2D", name, [reads], filters=3, kernel_size=[3, 3])
        for name, reads in (("layer1.conv", "first"), ("layer1", "layer1.conv"))
    )
    last = layer("ReLU", "relu", ["layer1"])
    last["inbound_nodes"][0]["args"] = [
        [tensor("layer1", [None, 4, 4, 3])]
    ]  # which says the shape of an opaque one
    config = functional(first, second, last, outputs=["relu"], input=(8, 8, 3))
    return load(archive(folder / "m.keras", config, {"conv2d": [*kernels], "conv2d_1": [*kernels]}))


def onnx_block(folder):
    kernel = np.arange(81, dtype=np.float32).reshape(3, 3, 3, 3)
    first = ("Conv", "x layer1.conv.weight", "a", {"kernel_shape": [3, 3]})
    second = ("Conv", "a layer1.weight", "y", {"kernel_shape": [3, 3]})
    return load(
        graph(folder, first, second, constants={"layer1.conv.weight": kernel, "layer1.weight": kernel + 1})
    )


def torch_block(folder):
    import torch

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3, 3, 3, 3))
            self.conv = torch.nn.Conv2d(3, 3, 3)

        def forward(self, x):
            return torch.nn.functional.conv2d(self.conv(x), self.weight)

    return st.from_torch(torch.nn.Sequential(collections.OrderedDict(layer1=Block())), input=(3, 8, 8))


RULES = {
    "keras": (keras_block, "striate.formats.keras.layers", "READERS", "Conv2D"),
    "onnx": (onnx_block, "striate.formats.onnx.operators", "READERS", "Conv"),
    "torch": (torch_block, "striate.formats.torch.rules", "OPERATORS", "conv2d"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in RULES])
def test_a_rule_that_gives_up_late_leaves_the_weights_of_others(kind, monkeypatch, tmp_path):
    read, module, table, word = RULES[kind]
    rules = getattr(importlib.import_module(module), table)
    assert [node.name for node in read(tmp_path)][:2] == ["layer1.conv", "layer1"], (
        "as long as the rule does not"
    )
    rule, calls = rules[word], []

    def late(site, *arguments, **options):
        made = rule(site, *arguments, **options)
        calls.append(made)
        need(len(calls) < 2, "the second one is too much")
        return made

    monkeypatch.setitem(rules, word, late)
    record = read(tmp_path)
    first, second, *_ = record
    assert (first.name, first.op.word, second.op.word) == ("layer1.conv", "conv", "opaque")
    assert [*record.reasons.values()] == ["the second one is too much"]
    assert record.weights.keys() == record.parameters.keys() >= {"layer1.conv.weight"}


@torch_only
def test_a_fault_within_a_rule_for_torch_is_not_taken_for_an_unsupported_use(monkeypatch):
    import torch

    import striate.formats.torch.importing  # noqa: F401  # fills the table
    from striate.formats.torch.rules import OPERATORS

    def broken(site, x):
        raise InternalError("a table has no entry")

    monkeypatch.setitem(OPERATORS, "relu", broken)
    with pytest.raises(InternalError, match="a table has no entry"):
        st.from_torch(torch.nn.ReLU(), input=(3, 6, 6))


# ---------------------------------------------------------------- values and reasons
@pytest.mark.parametrize(
    ("shape", "fits"),
    [((3, 4), True), ((3, 4, 5, 6, 7), True), ((2, 4), False), ((3,), False), ((3,) * 6, False), ((), False)],
)
def test_which_shapes_a_spec_can_express(shape, fits):
    assert expressible(shape, 3) is fits


def test_a_value_without_a_spec_says_so():
    value = Value("x", TensorSpec.image((3, 8, 8)))
    assert value.spec.shape == (1, 3, 8, 8)
    with pytest.raises(Unknown, match="shape of its input"):
        Value("x", None, hidden=(8, 3)).spec  # noqa: B018
    assert [v.name for v in distinct([value, Value("y", None), value])] == ["x", "y"]


def test_needs_and_reasons():
    need(True, "fine")
    with pytest.raises(Unknown, match="too many"):
        need([], "too many")
    assert unsupported("Foo") == "Foo is not an operator that Striate knows"
    assert unsupported("Foo", "layer") == "Foo is not a layer that Striate knows"
