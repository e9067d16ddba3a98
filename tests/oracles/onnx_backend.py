"""ONNX's own backend suite through Striate: each case's model as a file, read, and run on an engine.

Striate computes networks of one input on float32 images. So the first input of a case is the image, the others become
constants of the file; cases on other types, or without a batch and channels, are not of its kind and are left out.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

KINDS = ("pytorch-converted", "pytorch-operator", "simple")
MERGES = ("Add", "Sub", "Mul", "Div", "Sum", "Concat", "Max", "Min", "MatMul")
"""Operators whose inputs are all images."""
ONE_OUTPUT = ("LayerNormalization", "MaxPool", "Dropout", "BatchNormalization")
"""Operators whose further outputs serve training and unpooling."""


def operators() -> set[str]:
    """The ONNX operators that are read."""
    from striate.formats.onnx.operators import READERS

    return {kind for kind in READERS if "." not in kind}


@functools.cache
def node_cases() -> dict:
    """Name -> case, of all single operators that are read."""
    from onnx.backend.test.loader import load_model_tests

    found = {}
    for case in load_model_tests(kind="node"):
        (first, *rest), opset = case.model.graph.node, case.model.opset_import[0].version
        if (
            not rest
            and first.op_type in operators()
            and first.domain == ""
            and opset >= 7
            and suits(case.model)
        ):
            found[case.name] = case
    return found


@functools.cache
def file_cases(kind: str) -> dict:
    """Name -> case, of a group that comes as files."""
    from onnx.backend.test.loader import load_model_tests

    found = {case.name: case for case in load_model_tests(kind=kind) if case.model_dir}
    return {name: case for name, case in found.items() if suits(data_of(case)[0])}


def suits(model) -> bool:
    """Whether the first input, and the first output, are float32 with a batch and channels."""
    known = {t.name for t in model.graph.initializer}
    values = [v for v in model.graph.input if v.name not in known][:1] + [*model.graph.output][:1]
    kinds = [(v.type.tensor_type.elem_type, len(v.type.tensor_type.shape.dim)) for v in values]
    return len(kinds) == 2 and all(kind == 1 and 2 <= rank <= 5 for kind, rank in kinds)


def data_of(case) -> tuple:
    """The model, and its first data set: inputs and outputs."""
    import onnx
    from onnx import numpy_helper

    if case.model is not None:
        return case.model, *case.data_sets[0]
    folder = Path(case.model_dir)

    def tensors(kind):
        paths = sorted(
            (folder / "test_data_set_0").glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1])
        )
        return [numpy_helper.to_array(onnx.load_tensor(path)) for path in paths]

    return onnx.load(folder / "model.onnx"), tensors("input"), tensors("output")


def _one_input(model, free, inputs):
    """Several images of one shape as parts of one, cut apart by the file itself."""
    from onnx import helper, numpy_helper

    names, (_, channels, *_) = [value.name for value in free], np.shape(inputs[0])
    sizes = numpy_helper.from_array(np.array([channels] * len(names), np.int64), "sizes_of_parts")
    old = model.opset_import[0].version < 13
    more = {"split": [channels] * len(names)} if old else {}
    model.graph.node.insert(
        0, helper.make_node("Split", ["all"] + ["sizes_of_parts"] * (not old), names, axis=1, **more)
    )
    if not old:
        model.graph.initializer.append(sizes)
    joined = np.concatenate(inputs, 1)
    for value in free:
        model.graph.input.remove(value)
    model.graph.input.append(helper.make_tensor_value_info("all", 1, joined.shape))
    return joined


def network(case, folder: Path):
    """The reader of a case, its network, the image for it, and the output that is right."""
    import onnx
    from onnx import numpy_helper

    from striate.formats.onnx.proto import load
    from striate.formats.onnx.reading import Reader
    from striate.tensor import TensorSpec

    model, inputs, outputs = data_of(case)
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {t.name for t in model.graph.initializer}
    free = [value for value in model.graph.input if value.name not in known]
    shapes = {np.shape(x) for x in inputs}
    if len(free) > 1 and model.graph.node[0].op_type in MERGES and len(shapes) == 1:
        x = _one_input(model, free, inputs)
    else:
        x = np.asarray(inputs[0])
        for value, array in zip(free[1:], inputs[1:]):
            if array is not None and not isinstance(array, list):
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
                model.graph.input.remove(value)
    if len(model.graph.node) == 1 and model.graph.node[0].op_type in ONE_OUTPUT:
        del model.graph.output[1:]
    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load(path)
    reader = Reader(graph, {name: TensorSpec.image(x.shape[1:], len(x)) for name in graph.inputs})
    net, weights = reader.read()
    return reader, net, weights, x, outputs[: len(model.graph.output)]


def mistakes(kind: str, name: str, folder: Path, engines: Sequence[str]) -> dict[str, str]:
    """Engine -> what is wrong with Striate's answer to a case; empty when nothing is."""
    from striate.diagnostics import StriateError
    from striate.engine.registry import get_engine

    case = (node_cases() if kind == "node" else file_cases(kind))[name]
    try:
        reader, net, weights, x, outputs = network(case, folder)
        if reader.why:
            return dict.fromkeys(engines, "; ".join(dict.fromkeys(reader.why.values())))
        made = {engine: get_engine(engine).compile(net, weights, batch=len(x))(x) for engine in engines}
    except StriateError as error:
        said = f"{error.code}: {error.what}".replace(str(folder / "case.onnx"), "the file")
        return dict.fromkeys(engines, said)
    return {engine: _compared(case, found, outputs) for engine, found in made.items()}


def _compared(case, found, outputs) -> str:
    found = found if isinstance(found, tuple) else (found,)
    if len(found) != len(outputs):
        return f"{len(found)} outputs of {len(outputs)}"
    for y, right in zip(found, outputs):
        if y.shape != np.shape(right):
            return f"shape {y.shape}, not {np.shape(right)}"
        if not np.allclose(y, right, rtol=max(case.rtol, 1e-3), atol=max(case.atol, 1e-5), equal_nan=True):
            return f"off by {np.abs(y - right).max():.3g}"
    return ""
