"""Small ONNX graphs, as exporters write them, read and run: the same numbers as ONNX's own evaluator gives."""

import numpy as np
import pytest

from striate.diagnostics import FormatError
from striate.engine.registry import get_engine
from striate.formats import load

pytestmark = pytest.mark.onnx

RNG = np.random.default_rng(7)
F = np.float32


def normal(*shape):
    return RNG.standard_normal(shape).astype(F)


def i64(*values):
    return np.array(values, np.int64)


X = (2, 4, 6, 5)
GRAPHS = {
    # name: nodes as (operator, inputs, output, attributes), constants; the input is x, the output y
    "expanded gate": ([("ReduceMean", "x", "m", {"axes": [2, 3]}), ("Shape", "x", "s", {}), ("Expand", "m s", "e", {}),
                       ("Mul", "x e", "y", {})], {}),
    "expanded and left": ([("ReduceMean", "x", "m", {"axes": [2, 3]}), ("Expand", "m s", "y", {})],
                          {"s": i64(2, 4, 3, 2)}),
    "expanded and scaled": ([("ReduceMean", "x", "m", {"axes": [2, 3]}), ("Expand", "m s", "e", {}),
                             ("Mul", "e two", "f", {}), ("Conv", "f w", "y", {})],
                            {"s": i64(2, 4, 3, 2), "two": F(2), "w": normal(3, 4, 2, 2)}),
    "two expanded": ([("ReduceMean", "x", "m", {"axes": [2]}), ("ReduceMax", "x", "n", {"axes": [2]}),
                      ("Expand", "m s", "e", {}), ("Expand", "n s", "f", {}), ("Add", "e f", "y", {})],
                     {"s": i64(2, 4, 7, 5)}),
    "a constant larger than the value": ([("ReduceMean", "x", "m", {"axes": [2, 3]}), ("Add", "m c", "y", {})],
                                         {"c": normal(1, 4, 3, 3)}),
    "global response norm": ([("ReduceL2", "x", "g", {"axes": [2, 3]}), ("ReduceMean", "g", "m", {"axes": [1]}),
                              ("Add", "m eps", "d", {}), ("Div", "g d", "n", {}), ("Mul", "x n", "p", {}),
                              ("Mul", "p w", "q", {}), ("Add", "q b", "r", {}), ("Add", "x r", "y", {})],
                             {"eps": F(1e-6), "w": normal(4, 1, 1), "b": normal(4, 1, 1)}),
    "weights standardized": ([("BatchNormalization", "w one zero mean var", "n", {"training_mode": 1}),
                              ("Reshape", "n s", "v", {}), ("Mul", "v gain", "k", {}), ("Conv", "x k", "y", {})],
                             {"w": normal(1, 6, 36), "one": np.ones(6, F), "zero": np.zeros(6, F),
                              "mean": np.zeros(6, F), "var": np.ones(6, F), "s": i64(6, 4, 3, 3),
                              "gain": normal(6, 1, 1, 1)}),
    "root mean square norm": ([("Pow", "x two", "q", {}), ("ReduceMean", "q", "m", {"axes": [1]}),
                               ("Add", "m eps", "e", {}), ("Sqrt", "e", "r", {}), ("Div", "x r", "y", {})],
                              {"two": F(2), "eps": F(1e-5)}),
    "statistics over rows": ([("ReduceMean", "x", "m", {"axes": [3]}), ("Sub", "x m", "c", {}),
                              ("Pow", "c two", "q", {}), ("ReduceMean", "q", "v", {"axes": [3]}),
                              ("Add", "v eps", "e", {}), ("Sqrt", "e", "r", {}), ("Div", "c r", "y", {})],
                             {"two": F(2), "eps": F(1e-5)}),  # looks like layer norm until its axes are seen
    "maxout": ([("Split", "x s", "a b", {"axis": 1}), ("Max", "a b", "y", {})], {"s": i64(2, 2)}),
    "thresholds by channel": ([("Max", "x t", "m", {}), ("Min", "m u", "y", {})],
                              {"t": normal(1, 4, 1, 1), "u": normal(4, 1, 1) + F(1)}),
    "functions": ([("Abs", "x", "a", {}), ("Add", "a one", "b", {}), ("Log", "b", "c", {}), ("Exp", "c", "d", {}),
                   ("Reciprocal", "d", "e", {}), ("Sqrt", "e", "f", {}), ("Erf", "f", "g", {}), ("Neg", "g", "h", {}),
                   ("Pow", "h three", "y", {})], {"one": F(1), "three": F(3)}),
    "one over": ([("Exp", "x", "e", {}), ("Div", "two e", "y", {})], {"two": F(2)}),
    "context pooling": ([("Conv", "x w", "k", {}), ("Reshape", "k s", "r", {}), ("Softmax", "r", "p", {"axis": 2}),
                         ("Reshape", "x t", "v", {}), ("Unsqueeze", "v one", "u", {}),
                         ("Unsqueeze", "p three", "q", {}), ("MatMul", "u q", "y", {})],
                        {"w": normal(1, 4, 1, 1), "s": i64(2, 1, 30), "t": i64(2, 4, 30), "one": i64(1),
                         "three": i64(3)}),
    "attention": ([("Reshape", "x s", "t", {}), ("Transpose", "t", "q", {"perm": [0, 2, 1]}),
                   ("MatMul", "q t", "a", {}), ("Softmax", "a", "p", {"axis": -1}), ("MatMul", "p q", "o", {}),
                   ("MatMul", "o w", "y", {})],
                  {"s": i64(2, 4, 30), "w": normal(4, 3)}),
    "weights from the left": ([("MatMul", "w x", "y", {})], {"w": normal(3, 6)}),
    "features that were no channels": ([("MatMul", "x w", "m", {}), ("Add", "m b", "y", {})],
                                       {"w": normal(5, 3), "b": normal(3)}),
    "norm over rows": ([("LayerNormalization", "x w b", "y", {"axis": -1})], {"w": normal(5), "b": normal(5)}),
    "norm over maps": ([("LayerNormalization", "x w b", "y", {"axis": 2})], {"w": normal(6, 5), "b": normal(6, 5)}),
    "sums of values": ([("Einsum", "x z", "y", {"equation": "nchw,ndhw->ncd"}), ("Tanh", "x", "z", {})], {}),
    "sums with weights": ([("Einsum", "x w", "y", {"equation": "nchw,dc->ndhw"})], {"w": normal(3, 4)}),
    "turned round": ([("Slice", "x from to at by", "y", {})],
                     {"from": i64(-1, -1), "to": i64(-99, -4), "at": i64(2, 3), "by": i64(-1, -2)}),
    "dealt out": ([("Gather", "x at", "y", {"axis": 1})], {"at": i64(3, 1, -4, 3)}),
    "in two dimensions": ([("Gather", "x at", "y", {"axis": 2})], {"at": i64(5, 0).reshape(2, 1)}),
    "tiled": ([("Tile", "x n", "y", {})], {"n": i64(1, 2, 1, 3)}),
    "where it is known": ([("Less", "a b", "k", {}), ("Where", "k x big", "z", {}), ("Where", "k z x", "y", {})],
                          {"a": normal(6, 5), "b": normal(6, 5), "big": F(9)}),
    "space to depth": ([("Reshape", "x a", "p", {}), ("Transpose", "p", "q", {"perm": [0, 3, 5, 1, 2, 4]}),
                        ("Reshape", "q b", "y", {})], {"a": i64(2, 4, 3, 2, 5, 1), "b": i64(2, 8, 3, 5)}),
    "padding that never wins": ([("Pad", "x p low", "q", {}), ("MaxPool", "q", "y", {"kernel_shape": [3, 3]})],
                                {"p": i64(0, 0, 1, 0, 0, 0, 1, 1), "low": F(-np.inf)}),
}  # fmt: skip


def written(path, nodes, constants, opset=17):
    import onnx
    from onnx import helper, numpy_helper

    made = [
        helper.make_node(kind, reads.split(), makes.split(), **more) for kind, reads, makes, more in nodes
    ]
    graph = helper.make_graph(
        made, "net", [helper.make_tensor_value_info("x", 1, X)], [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(np.asarray(array), key) for key, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return model


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph(name, tmp_path):
    from onnx.reference import ReferenceEvaluator

    path = tmp_path / "net.onnx"
    model = written(path, *GRAPHS[name])
    net = load(path)
    assert not [node for node in net.nodes if node.op.word == "opaque"]
    x = normal(*X)
    if name == "sums of values":  # written before what it reads: the reader sorts
        model.graph.node.insert(0, model.graph.node.pop())
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x})
    found = get_engine("numpy").compile(net, net.weights)(x)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_softmax_took_all_axes_from_its_own_on_before_opset_13(tmp_path):
    written(tmp_path / "net.onnx", [("Softmax", "x", "y", {"axis": 1})], {}, opset=11)
    net, x = load(tmp_path / "net.onnx"), normal(*X)
    raised = np.exp(x)
    wanted = raised / raised.sum((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(get_engine("numpy").compile(net, net.weights)(x), wanted, rtol=1e-5)


def test_what_decides_while_it_runs_is_refused(tmp_path):
    import onnx
    from onnx import helper

    def branch(kind):
        out = helper.make_tensor_value_info("z", 1, X)
        return helper.make_graph([helper.make_node(kind, ["x"], ["z"])], kind, [], [out])

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["b"], to=onnx.TensorProto.BOOL),
        helper.make_node(
            "If", ["b"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg"), name="gate"
        ),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "net", [value("x", 1, X)], [value("y", 1, X)])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(FormatError, match="If chooses at run time") as caught:
        load(path)
    assert "gate" in caught.value.where and "export" in caught.value.fix
