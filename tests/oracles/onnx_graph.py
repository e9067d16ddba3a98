"""A reader of the onnx wheel's own example networks, for tests only: no weights, the operators that they use."""

from pathlib import Path
from typing import Any

from striate.network import Builder, Network, Ref
from striate.op import Op
from striate.ops.activation import Relu, Softmax
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add, Concat
from striate.ops.norm import BatchNorm, LocalResponseNorm
from striate.ops.pool import AvgPool, GlobalAvgPool, MaxPool
from striate.ops.regularize import Dropout, LayerScale
from striate.ops.reshape import Flatten, Identity, Permute, Reshape

NAMES = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
    "zfnet512",
)  # fmt: skip


def load(name: str) -> Any:
    """The model of the wheel, checked, with the shape of every value inferred by ONNX."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / f"light_{name}.onnx")
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Value -> shape, as ONNX inferred or declared it."""
    graph = model.graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.output, *graph.input)
    }


def read(name: str, model: Any) -> tuple[Network, dict[str, str]]:
    """The network of a model, and the value of it that each value of the graph is."""
    import onnx
    from onnx import numpy_helper

    known = shapes(model)
    numbers = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    constants = set(numbers)
    (source,) = [value.name for value in model.graph.input if value.name not in numbers]
    build = Builder(name, input=known[source][1:])
    values: dict[str, Ref] = {source: build.input}
    for node in model.graph.node:
        data = [values[value] for value in node.input if value in values]
        if not data:  # made of constants: weights and their shapes
            constants.update(node.output)
            continue
        fields = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        fixed = [value for value in node.input if value in constants]
        op = _op(
            node.op_type,
            fields,
            [known.get(value, ()) for value in fixed],
            [numbers.get(v) for v in fixed],
            data,
        )
        values[node.output[0]] = build(op, *data)
    last = values[model.graph.output[0].name]
    return build.build(last), {value: ref.name for value, ref in values.items()}


def _op(
    kind: str, fields: dict[str, Any], weights: list[tuple[int, ...]], numbers: list[Any], data: list[Ref]
) -> Op:
    match kind:
        case "Conv":
            filters, depth, *kernel = weights[0]
            return Conv(
                filters,
                tuple(kernel),
                tuple(fields["strides"]),
                _pads(fields),
                tuple(fields.get("dilations", (1,) * len(kernel))),
                fields.get("group", 1),
                bias=len(weights) == 2,
                in_channels=depth * fields.get("group", 1),
            )
        case "MaxPool":
            return MaxPool(tuple(fields["kernel_shape"]), tuple(fields["strides"]), _pads(fields))
        case "AveragePool":
            counted = bool(fields.get("count_include_pad", 0))
            window = tuple(fields["kernel_shape"]), tuple(fields["strides"]), _pads(fields)
            return AvgPool(*window, count_include_pad=counted)
        case "Gemm":
            features, depth = weights[0] if fields.get("transB") else weights[0][::-1]
            return Linear(features, bias=len(weights) == 2, in_features=depth)
        case "BatchNormalization":
            return BatchNorm(fields.get("epsilon", 1e-5))
        case "LRN":
            return LocalResponseNorm(fields["size"], fields["alpha"], fields["beta"], fields["bias"])
        case "Mul" if len(data) == 1:
            return LayerScale()  # by one number per channel
        case "Add" if len(data) == 1:
            return Identity()  # one number per channel on top
        case "Sum" | "Add":
            return Add()
        case "Concat" if fields["axis"] == 1:
            return Concat()
        case "Reshape":
            target = tuple(int(n) for n in numbers[0][1:])
            return Flatten() if len(target) == 1 else Reshape(target)
        case "Transpose":
            axes = data[0].spec.axes
            return Permute("".join(axes[k] for k in fields["perm"][1:]))
        case "Relu" | "Softmax" | "GlobalAveragePool":
            return {"Relu": Relu, "Softmax": Softmax, "GlobalAveragePool": GlobalAvgPool}[kind]()
        case "Dropout":
            return Dropout(fields["ratio"])
    raise NotImplementedError(kind)


def _pads(fields: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    pads = fields.get("pads", [0] * 2 * len(fields["kernel_shape"]))
    rank = len(pads) // 2
    return tuple(zip(pads[:rank], pads[rank:], strict=True))
