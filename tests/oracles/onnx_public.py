"""ONNX's backend suite as a user meets it: the case's file through `striate.load`, its inputs through `Model.predict`.

What counts is decided here, by what a case is and not by what Striate can do: the operator is one that convolutional
networks consist of, and the first input is a batch of float images. Whether its first axis is a batch, ONNX's own
reference implementation says: a change of the last image may change nothing of the others. The inputs that are images,
too, stay inputs; the others (weights, sizes, bounds) are constants of the file, as in every file of a network.
"""

import collections
import functools
from pathlib import Path

import numpy as np

OPERATORS = frozenset(
    name
    for line in (
        "Conv ConvTranspose MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool",
        "BatchNormalization InstanceNormalization GroupNormalization LayerNormalization RMSNormalization LRN",
        "LpNormalization MeanVarianceNormalization Gemm MatMul Einsum",
        "Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Mish Gelu Swish",
        "ThresholdedRelu Shrink Softmax LogSoftmax Clip",
        "Add Sub Mul Div Sum Mean Max Min Neg Abs Exp Log Sqrt Reciprocal Pow Erf Sign",
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp",
        "Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather Pad Expand Tile",
        "DepthToSpace SpaceToDepth Identity Dropout Resize Upsample",
    )
    for name in line.split()
)
"""Operators that convolutional networks consist of."""
OF_VALUES = frozenset(["Add", "Sub", "Mul", "Div", "Sum", "Mean", "Max", "Min", "Concat", "MatMul", "Einsum"])
"""Operators that may have several images as inputs."""


def close(found, right, case) -> bool:
    return np.allclose(found, right, rtol=max(case.rtol, 1e-3), atol=max(case.atol, 1e-5), equal_nan=True)


def prepared(case):
    """The case's model with its constants inside, its inputs by name, its outputs."""
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    of_values = model.graph.node[0].op_type in OF_VALUES
    given = {}
    for at, (value, x) in enumerate(zip([*model.graph.input], inputs)):
        alike = of_values and x.dtype == np.float32 and x.ndim == inputs[0].ndim and len(x) == len(inputs[0])
        if at == 0 or alike:
            given[value.name] = x
        else:
            model.graph.input.remove(value)
            if x is not None:
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(x), value.name))
    return model, given, outputs


def is_image(x) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == np.float32 and 2 <= x.ndim <= 5 and x.size > 0


def is_batch(model, given, outputs, case) -> bool:
    """Whether the first axis keeps images apart. One image alone is joined by another."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    first, rng = outputs[0], np.random.default_rng(0)
    count = len(next(iter(given.values())))
    if not isinstance(first, np.ndarray) or first.ndim == 0 or len(first) != count:
        return False
    model = onnx.ModelProto.FromString(model.SerializeToString())
    changed = {}
    for value in model.graph.input:
        x = given[value.name]
        last = rng.random(x[-1:].shape, np.float32)
        value.type.tensor_type.shape.dim[0].Clear()
        changed[value.name] = np.concatenate([x if count == 1 else x[:-1], last])
    try:
        made = ReferenceEvaluator(model).run(None, changed)[0]
    except Exception:  # a batch of one that is written into the file, say
        return False
    kept = max(count - 1, 1)
    return made.shape[1:] == first.shape[1:] and close(made[:kept], first[:kept], case)


@functools.cache
def cases() -> dict:
    """Name -> (case, model, inputs, outputs) of every case that counts."""
    from onnx.backend.test.loader import load_model_tests

    found = {}
    for case in load_model_tests(kind="node"):
        first, *rest = case.model.graph.node
        if rest or first.domain or first.op_type not in OPERATORS or not is_image(case.data_sets[0][0][0]):
            continue
        model, given, outputs = prepared(case)
        if is_batch(model, given, outputs, case):
            found[case.name] = (case, model, given, outputs)
    return found


def answer(name: str, path: Path, engine: str) -> str:
    """Empty where the case passes, else why it is refused. Raises AssertionError for an answer that is wrong."""
    import striate
    from striate.diagnostics import InternalError, StriateError

    case, model, given, outputs = cases()[name]
    path.write_bytes(model.SerializeToString())
    try:
        net = striate.load(path)
        for problem in net.inference.problems:
            return problem.why.removesuffix("; the source gives no shape")
        for node in net.nodes:
            if node.op.word == "opaque":
                return node.op.why
        found = striate.Model(net, engine=engine).predict(
            given if len(given) > 1 else next(iter(given.values()))
        )
    except InternalError:
        raise
    except StriateError as error:
        return error.what
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(outputs), f"{name}: {len(found)} outputs of {len(outputs)}"
    for y, right in zip(found, outputs):
        assert y.shape == right.shape, f"{name}: shape {y.shape}, not {right.shape}"
        assert close(y, right, case), f"{name}: off by {np.abs(y - right).max():.3g}"
    return ""


def told(refused: dict[str, str], total: int) -> str:
    """The counts, and the refused cases by their reason."""
    lines = [f"{total - len(refused)} of {total} cases pass, {len(refused)} are refused:", ""]
    by_reason = collections.defaultdict(list)
    for name, reason in refused.items():
        by_reason[cases()[name][1].graph.node[0].op_type, reason].append(name)
    for (operator, reason), names in sorted(by_reason.items()):
        lines.append(f"{operator}: {reason}")
        lines += [f"    {name}" for name in sorted(names)]
    return "\n".join(lines)
