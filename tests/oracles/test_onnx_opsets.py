"""Every ONNX operator that is read, as every opset spells it from 7 to the newest: the numbers that others give.

For each operator the first and the last opset of each of its versions; what it is compared with is ONNX Runtime, and
ONNX's own evaluator where that is too new for the runtime.
"""

import itertools

import numpy as np
import pytest

pytestmark = pytest.mark.onnx("onnxruntime")

OLDEST = 7
F = np.float32
X = (2, 8, 6, 4)
SHAPES = {"Gemm": (2, 8), "Squeeze": (2, 8, 1, 4)}
"""Inputs of those that need another one than X."""
POSITIVE = ("Log", "Sqrt", "Reciprocal", "Pow", "ReduceLogSum")
PLAIN = (
    "Abs", "Erf", "Exp", "GlobalAveragePool", "GlobalMaxPool", "HardSwish", "Identity", "Log", "Mish", "Neg",
    "Reciprocal", "Relu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh",
)  # fmt: skip
REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "ReduceSumSquare",
)  # fmt: skip


def i64(*values):
    return np.array(values, np.int64)


def some(*shape):
    return np.random.default_rng(5).uniform(0.5, 1.5, shape).astype(F)


def moved(since, opset, attributes, **inputs):
    """Whole numbers that are attributes before one opset, and inputs from it on."""
    if opset < since:
        return {**attributes, **inputs}, ["x"]
    return attributes, ["x", *(np.array(v) if v else None for v in inputs.values())]


def merges(kind, v):
    yield {}, ["x", "n"]
    if kind in ("Max", "Mean", "Min", "Sum"):
        yield {}, ["x", "n", "x"]
        if v >= 8 and kind in ("Max", "Min"):
            yield {}, ["x", F(0.25)]
            yield {}, ["x", some(8, 1, 1)]
        return
    yield {}, ["x", some(1, 8, 1, 1)]
    yield {}, [F(2), "x"]
    yield {}, ["x", some(4)]


def windows(kind, v):
    basic = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    yield basic, ["x"]
    yield {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, ["x"]
    if kind == "AveragePool":
        yield {**basic, "count_include_pad": 1}, ["x"]
    if v >= {"LpPool": 18}.get(kind, 10):
        yield {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, ["x"]
    if v >= {"AveragePool": 19, "LpPool": 18}.get(kind, 10):
        yield {"kernel_shape": [3, 2], "dilations": [2, 2]}, ["x"]


def resized(_kind, v):
    twice = np.array([1, 1, 2, 2], F)
    no = None if v >= 13 else np.array([], F)
    for mode in ("nearest", "linear"):
        if v < 11:
            yield {"mode": mode}, ["x", twice]
            continue
        places = ["half_pixel", "asymmetric", "align_corners"] + ["half_pixel_symmetric"] * (v >= 19)
        for place in places:
            more = {"mode": mode, "coordinate_transformation_mode": place}
            yield more, ["x", no, twice]
            yield more, ["x", no, no, i64(2, 8, 12, 8)]
    if v >= 11:
        yield {"mode": "nearest", "nearest_mode": "ceil"}, ["x", no, np.array([1, 1, 1.5, 2], F)]
        yield {"mode": "cubic"}, ["x", no, twice]
    if v >= 18:
        yield {"mode": "linear", "axes": [2, 3]}, ["x", no, twice[2:]]


def norms(kind, v):
    each = some(8)
    if kind == "BatchNormalization":
        yield {"epsilon": 1e-3} | ({"spatial": 1} if v < 9 else {}), ["x", each, each - 1, each / 9, each]
    elif kind == "GroupNormalization":
        own = some(2) if v < 21 else each
        yield {"num_groups": 2}, ["x", own, own - 1]
    elif kind == "LayerNormalization":
        yield {}, ["x", some(4), some(4)]
        yield {"axis": 1, "epsilon": 1e-3}, ["x", some(*X[1:])]
    elif kind == "InstanceNormalization":
        yield {"epsilon": 1e-3}, ["x", each, each - 1]
    else:
        yield {"size": 3, "alpha": 0.1, "bias": 2.0}, ["x"]


def spelled(kind, v):
    """Uses of an operator at an opset: attributes, and inputs: the image "x", its negative "n", constants, none."""
    match kind:
        case "Celu" | "Elu" | "LeakyRelu":
            yield {"alpha": 0.3}, ["x"]
        case "HardSigmoid":
            yield {"alpha": 0.3, "beta": 0.4}, ["x"]
        case "Selu":
            yield {"alpha": 1.5, "gamma": 1.1}, ["x"]
        case "Gelu":
            yield {"approximate": "tanh"}, ["x"]
        case "ThresholdedRelu":
            yield {"alpha": 0.5}, ["x"]
        case "Shrink":
            yield {"lambd": 0.5, "bias": 0.5}, ["x"]
        case "GlobalLpPool":
            yield {}, ["x"]
            yield {"p": 1}, ["x"]
        case "LpNormalization":
            yield {"axis": 1}, ["x"]
            yield {"axis": -1, "p": 1}, ["x"]
        case "RMSNormalization":
            yield {"axis": -1}, ["x", some(4)]
            yield {"axis": 2, "epsilon": 1e-3}, ["x", some(6, 4)]
        case "Add" | "Sub" | "Mul" | "Div" | "Max" | "Mean" | "Min" | "Sum":
            yield from merges(kind, v)
        case "AveragePool" | "MaxPool" | "LpPool":
            yield from windows(kind, v)
        case "Resize":
            yield from resized(kind, v)
        case "Upsample":
            scales = [1.0, 1.0, 2.0, 2.0]
            for mode in ("nearest", "linear"):
                yield (
                    ({"mode": mode, "scales": scales}, ["x"])
                    if v < 9
                    else ({"mode": mode}, ["x", np.array(scales, F)])
                )
        case (
            "BatchNormalization"
            | "GroupNormalization"
            | "LayerNormalization"
            | "InstanceNormalization"
            | "LRN"
        ):
            yield from norms(kind, v)
        case "Cast":
            yield {"to": 1}, ["x"]
        case "CastLike":
            yield {}, ["x", F(0)]
        case "Clip":
            if v < 11:
                yield {"min": -0.5, "max": 0.5}, ["x"]
                yield {"max": 0.25}, ["x"]
            else:
                yield {}, ["x", F(-0.5), F(0.5)]
                yield {}, ["x", None, F(0.25)]
        case "Concat":
            yield {"axis": 1}, ["x", "n"]
            if v >= 11:
                yield {"axis": -1}, ["x", "n", "x"]
        case "Conv":
            yield {"group": 2, "pads": [1, 2, 0, 1], "dilations": [2, 1]}, ["x", some(6, 4, 3, 2), some(6)]
            yield {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, ["x", some(3, 8, 3, 2)]
        case "ConvTranspose":
            yield (
                {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]},
                ["x", some(8, 3, 3, 2), some(3)],
            )
            yield {"strides": [2, 2], "output_shape": [12, 9], "group": 2}, ["x", some(8, 2, 3, 3)]
        case "DepthToSpace" | "SpaceToDepth":
            yield {"blocksize": 2}, ["x"]
            if kind == "DepthToSpace" and v >= 11:
                yield {"blocksize": 2, "mode": "CRD"}, ["x"]
                yield {"blocksize": 2, "mode": "DCR"}, ["x"]
        case "Dropout":
            yield ({"ratio": 0.3}, ["x"]) if v < 12 else ({}, ["x", F(0.3)])
            yield {}, ["x"]
        case "Einsum":
            yield {"equation": "nchw,dc->ndhw"}, ["x", some(3, 8)]
        case "Expand":
            yield {}, ["x", i64(2, 8, 6, 4)]
        case "Flatten":
            yield {}, ["x"]
            if v >= 11:
                yield {"axis": -3}, ["x"]
        case "Gather":
            yield {"axis": 1}, ["x", i64(5, 0, 2)]
            yield {"axis": 3}, ["x", i64(1)]
            if v >= 11:
                yield {"axis": -2}, ["x", i64(-1, 2)]
        case "Gemm":
            yield {"transB": 1, "alpha": 0.5, "beta": 2.0}, ["x", some(3, 8), some(3)]
            if v >= 11:
                yield {}, ["x", some(8, 3)]
        case "MatMul":
            yield {}, ["x", some(4, 3)]
        case "Pad":
            sides = [0, 0, 1, 0, 0, 0, 2, 1]
            for mode in ("constant", "reflect", "edge") + ("wrap",) * (v >= 19):
                value = {"value": 0.5} if v < 11 else {}
                attributes, inputs = moved(11, v, {"mode": mode, **value}, pads=sides)
                yield attributes, inputs + [F(0.5)] * (v >= 11 and mode == "constant")
            if v >= 18:
                yield {}, ["x", i64(1, 2, 0, 1), None, i64(2, -1)]
        case "Pow":
            yield {}, ["x", F(3)]
        case "PRelu":
            yield {}, ["x", some(8, 1, 1)]
        case "Reshape":
            yield {}, ["x", i64(0, 4, -1, 8)]
            if v >= 14:
                yield {"allowzero": 1}, ["x", i64(2, 4, -1, 8)]
        case "Slice":
            yield moved(10, v, {}, starts=[1, -3], ends=[5, 2**31 - 1], axes=[2, 3])
            if v >= 10:
                yield {}, ["x", i64(-1), i64(-99), i64(1), i64(-2)]
        case "Softmax" | "LogSoftmax":
            yield {}, ["x"]
            yield {"axis": 2}, ["x"]
        case "Split":
            yield moved(13, v, {"axis": 1}, split=[5, 3])
            if v >= 18:
                yield {"axis": 2, "num_outputs": 2}, ["x"]
            else:
                yield {"axis": 3}, ["x"]
        case "Squeeze":
            yield moved(13, v, {}, axes=[2])
        case "Unsqueeze":
            yield moved(13, v, {}, axes=[2])
        case "Tile":
            yield {}, ["x", i64(1, 2, 1, 3)]
        case "Transpose":
            yield {"perm": [0, 2, 3, 1]}, ["x"]
        case "Where":
            yield {}, [some(6, 4) > 1, "x", "n"]
        case _ if kind in PLAIN:
            yield {}, ["x"]
        case _ if kind in REDUCTIONS:
            since = 13 if kind == "ReduceSum" else 18
            yield moved(since, v, {"keepdims": 0}, axes=[2, 3])
            yield moved(since, v, {}, axes=[1])


def versions() -> dict[str, list[int]]:
    """Operator that is read -> the first and the last opset of each of its versions."""
    from onnx import defs

    from striate.formats.onnx.operators import READERS

    newest, since, ends = defs.onnx_opset_version(), {}, {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in READERS:
            since.setdefault(schema.name, set()).add(schema.since_version)
            if schema.deprecated:
                ends[schema.name] = schema.since_version
    found = {}
    for kind, starts in since.items():
        edges = [*sorted(s for s in starts if s < ends.get(kind, newest + 1)), ends.get(kind, newest + 1)]
        spans = [(max(a, OLDEST), b - 1) for a, b in itertools.pairwise(edges) if b > OLDEST]
        found[kind] = sorted({edge for span in spans for edge in span})
    return found


def gap(kind, opset, attributes):
    """Whether this is linear resampling on a grid that Striate has no op for: that of Upsample and the first Resize."""
    if kind not in ("Upsample", "Resize") or attributes["mode"] != "linear":
        return False
    return opset < 11 or attributes.get("coordinate_transformation_mode") == "asymmetric"


def model_of(kind, opset, attributes, inputs, shape):
    from onnx import helper, numpy_helper

    names = [
        given if isinstance(given, str) else "" if given is None else f"c{k}"
        for k, given in enumerate(inputs)
    ]
    constants = [numpy_helper.from_array(np.asarray(given), name)
                 for name, given in zip(names, inputs) if name[:1] == "c"]  # fmt: skip
    makes = ["y", "z"] if kind == "Split" else ["y"]
    nodes = [helper.make_node("Neg", ["x"], ["n"]), helper.make_node(kind, names, makes, **attributes)]
    graph = helper.make_graph(
        nodes[0 if "n" in names else 1 :], kind, [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info(name, 1, None) for name in makes], constants,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def elsewhere(model, x):
    """What others make of a model, whoever of them knows it."""
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if model.graph.node[-1].op_type == "GlobalLpPool":  # opset 22 only adds types, and nobody else knows it
        model.opset_import[0].version = min(model.opset_import[0].version, 21)
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    except Exception as error:
        if not any(
            word in str(error) for word in ("NOT_IMPLEMENTED", "Not implemented", "kernel", "guarantees")
        ):
            raise
    return ReferenceEvaluator(model).run(None, {"x": x})


def test_every_operator_that_is_read_has_its_spellings():
    from striate.formats.onnx.operators import READERS

    known = versions()
    assert set(known) == {kind for kind in READERS if "." not in kind}
    assert all(list(spelled(kind, opset)) for kind, opsets in known.items() for opset in opsets)
    assert sum(map(len, known.values())) > 250


def test_every_opset_spells_it_so(tmp_path):
    from striate.engine.registry import get_engine
    from striate.formats import load

    rng, wrong = np.random.default_rng(0), []
    for kind, opsets in versions().items():
        shape = SHAPES.get(kind, X)
        x = rng.standard_normal(shape).astype(F)
        x = np.abs(x) + F(0.25) if kind in POSITIVE else x
        for opset in opsets:
            for attributes, inputs in spelled(kind, opset):
                model = model_of(kind, opset, attributes, inputs, shape)
                path = tmp_path / "net.onnx"
                path.write_bytes(model.SerializeToString())
                said = f"{kind} of opset {opset}: {attributes} {len(inputs)} inputs"
                net = load(path)
                if any(node.op.word == "opaque" for node in net.nodes) or gap(kind, opset, attributes):
                    if not (gap(kind, opset, attributes) and net.nodes[-1].op.word == "opaque"):
                        wrong.append(f"{said}: opaque, or not any more")
                    continue
                found = get_engine("numpy").compile(net, net.weights or {}, batch=len(x))(x)
                found = found if isinstance(found, tuple) else (found,)
                for ours, theirs in zip(found, elsewhere(model, x), strict=True):
                    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
                        wrong.append(f"{said}: {ours.shape} is not {theirs.shape}" if ours.shape != theirs.shape
                                     else f"{said}: off by {np.abs(ours - theirs).max():.3g}")  # fmt: skip
    assert not wrong, "\n".join(wrong)
