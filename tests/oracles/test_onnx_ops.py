"""Ops that have an ONNX operator against ONNX's own reference evaluator.

Padding is always explicit: the evaluator's automatic padding is known to be wrong.
"""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, reject, settings

import op_oracles
from op_cases import CLASSES, RUNNABLE, cases, fixture

pytestmark = pytest.mark.onnx


def node(kind, *inputs, **attributes):
    """What the evaluator makes of one node."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [f"x{k}" for k in range(len(inputs))]
    made = [
        f"y{k}"
        for k in range(
            attributes.get("num_outputs", len(inputs[1]) if kind == "Split" and len(inputs) > 1 else 1)
        )
    ]
    kinds = [helper.np_dtype_to_tensor_dtype(np.asarray(x).dtype) for x in inputs]
    graph = helper.make_graph(
        [helper.make_node(kind, names, made, **attributes)],
        kind,
        [helper.make_tensor_value_info(n, t, np.shape(x)) for n, t, x in zip(names, kinds, inputs)],
        [helper.make_tensor_value_info(name, kinds[0], None) for name in made],
    )
    answer = ReferenceEvaluator(helper.make_model(graph)).run(None, dict(zip(names, map(np.asarray, inputs))))
    return answer if len(answer) > 1 else answer[0]


def _explicit(op, x):
    """Attributes of a sliding operator with its padding written out: all befores, then all afters."""
    pairs = op_oracles.sides(op, x)
    stride = op.kernel if op.stride is None else op.stride
    return {
        "kernel_shape": op_oracles.each(op.kernel, x),
        "strides": op_oracles.each(stride, x),
        "pads": [a for a, _ in pairs] + [b for _, b in pairs],
    }


def conv(op, x, w):
    groups = x.shape[1] if op.groups == "depthwise" else op.groups
    more = _explicit(op, x) | {"dilations": op_oracles.each(op.dilation, x), "group": groups}
    if op.mode != "zeros":
        x = op_oracles.pad(x, op_oracles.sides(op, x), op.mode)
        more["pads"] = [0] * len(more["pads"])
    return node("Conv", x, *w.values(), **more)


def tconv(op, x, w):
    # The evaluator mixes up the channels of groups, and knows output padding below the stride only.
    extra, stride = op_oracles.each(op.output_padding, x), op_oracles.each(op.stride, x)
    if op.groups > 1 or any(e >= s for e, s in zip(extra, stride, strict=True)):
        return NotImplemented
    more = _explicit(op, x) | {"dilations": op_oracles.each(op.dilation, x), "group": op.groups}
    return node("ConvTranspose", x, *w.values(), output_padding=op_oracles.each(op.output_padding, x), **more)


def max_pool(op, x):
    more = _explicit(op, x) | {"dilations": op_oracles.each(op.dilation, x), "ceil_mode": int(op.ceil)}
    return node("MaxPool", x, **more)


def avg_pool(op, x):
    more = _explicit(op, x) | {"ceil_mode": int(op.ceil), "count_include_pad": int(op.count_include_pad)}
    if set(op_oracles.each(op.dilation, x)) != {1}:
        if op.ceil or not op.count_include_pad:  # windows that hang over, or see nothing but padding
            return NotImplemented
        more["dilations"] = op_oracles.each(op.dilation, x)
    return node("AveragePool", x, **more)


def resize(op, x):
    scales = np.array([1, 1, *[op.scale or 0] * (x.ndim - 2)], np.float32)
    place = "align_corners" if op.align_corners else "half_pixel"
    how = {"mode": "cubic" if op.method == "bicubic" else "linear", "coordinate_transformation_mode": place}
    if op.method == "nearest":
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nothing = np.array([], np.float32)
    if op.scale is not None and op.align_corners and any(n * op.scale % 1 for n in x.shape[2:]):
        return NotImplemented  # the evaluator aligns with a corner between two pixels
    if op.scale is not None:
        return node("Resize", x, nothing, scales, **how)
    return node("Resize", x, nothing, nothing, np.array([*x.shape[:2], *op_oracles.each(op.size, x)]), **how)


NAMES = {f.__name__: f for f in (node, conv, tconv, max_pool, avg_pool, resize)} | {
    name: getattr(op_oracles, name) for name in ("space", "by_channel", "ones")
} | {"np": np, "math": math, "functools": functools}  # fmt: skip


@pytest.mark.parametrize("word", [word for word in RUNNABLE if fixture(word)["oracle"].get("onnx")])
def test_the_interpreter_agrees_with_onnx(word):
    expression = fixture(word)["oracle"]["onnx"]

    @settings(max_examples=20)
    @given(cases(word))
    def agrees(case):
        def names(x):
            return NAMES | {"node": lambda kind, *inputs, **more: node(kind, *inputs or (x,), **more)}

        # Attributes of ONNX nodes are single-precision numbers.
        if not op_oracles.agree(case, names, expression, close=1e-5):
            reject()

    agrees()


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls.onnx], ids=lambda cls: cls.word)
def test_the_onnx_name_exists(cls):
    import onnx

    assert onnx.defs.has(cls.onnx)
