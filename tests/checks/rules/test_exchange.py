"""X002 against reality: the sizes of PyTorch, ONNX and ONNX Runtime, and those that TensorFlow's pages define."""

import itertools
import math

import pytest

from striate import parse
from striate.checks import Config, check

POOLS = [
    (n, k, s, p)
    for n, k, s in itertools.product((4, 5, 7, 8, 12, 13), (1, 2, 3), (1, 2, 3))
    for p in range(k // 2 + 1)
]


def x002(net):
    return [finding for finding in check(net, Config(select=("X002",))).findings if finding.code == "X002"]


def pool(n, k, s, p):
    return parse(f"1d {n}x1 -> maxpool {k} /{s} pad {p} ceil")


def in_torch(n, k, s, p):
    import torch

    return torch.nn.functional.max_pool1d(torch.zeros(1, 1, n), k, s, p, ceil_mode=True).shape[-1]


def model(node, n, opset=17):
    from onnx import helper

    made = node[0] if isinstance(node, tuple) else node
    inputs = [helper.make_tensor_value_info("x", 1, [1, 1, n])]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    tensors = node[1:] if isinstance(node, tuple) else ()
    graph = helper.make_graph([made], "one", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def inferred(made):
    from onnx import shape_inference

    return shape_inference.infer_shapes(made).graph.output[0].type.tensor_type.shape.dim[-1].dim_value


def run(made, n):
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(made.SerializeToString())
    return session.run(None, {"x": np.zeros((1, 1, n), np.float32)})[0].shape[-1]


def tensorflow(n, k, s):
    """SAME and VALID, as tf.nn.convolution defines them."""
    return math.ceil(n / s), math.ceil((n - k + 1) / s)


@pytest.mark.torch("onnx", "onnxruntime")
def test_rounding_up_in_every_framework():
    from onnx import helper

    seen = set()
    for n, k, s, p in POOLS:
        node = helper.make_node(
            "MaxPool", ["x"], ["y"], kernel_shape=[k], strides=[s], pads=[p, p], ceil_mode=1
        )
        torch, formula = in_torch(n, k, s, p), inferred(model(node, n))
        net = pool(n, k, s, p)
        assert net.specs["maxpool1"].spatial == (torch,) == (inferred(model(node, n, 22)),)
        assert run(model(node, n), n) == torch  # the runtime does as PyTorch, whatever the formula says
        said = [finding.message for finding in x002(net)]
        whole = (n + 2 * p - k) % s == 0
        if formula != torch:
            assert said == [f"ceil mode gives {torch} in PyTorch and {formula} by the formula of ONNX"]
        elif not whole and torch not in tensorflow(n, k, s):
            assert said == [f"ceil mode gives {torch}, which TensorFlow cannot express"]
        else:
            assert not said
        seen.add((formula != torch, bool(said)))
    assert seen == {(True, True), (False, True), (False, False)}


@pytest.mark.torch("onnx", "onnxruntime")
def test_same_in_every_framework():
    """ONNX's SAME_UPPER is TensorFlow's SAME; PyTorch's nearest word is an equal padding on both sides."""
    import numpy as np
    import torch
    from onnx import helper, numpy_helper

    seen = set()
    for n, k, s in itertools.product((7, 8, 12, 13), (1, 2, 3, 5), (1, 2, 3)):
        net = parse(f"1d {n}x1 -> conv {k} 1 /{s} pad same bias off")
        node = helper.make_node(
            "Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", kernel_shape=[k], strides=[s]
        )
        weight = numpy_helper.from_array(np.ones((1, 1, k), np.float32), "w")
        (size,) = net.specs["conv1"].spatial
        assert size == tensorflow(n, k, s)[0] == run(model((node, weight), n), n)
        half = (k - 1) // 2
        theirs = torch.nn.functional.conv1d(torch.zeros(1, 1, n), torch.ones(1, 1, k), None, s, half).shape[
            -1
        ]
        total = max((size - 1) * s + k - n, 0)
        moved = s > 1 and (total // 2, total - total // 2) != (half, half)
        found = x002(net)
        assert bool(found) == moved
        for finding in found:
            assert finding.message.startswith(f"SAME pads {total // 2} before and {total - total // 2} after")
            assert (f"gives {theirs} instead of {size}" in finding.why) == (theirs != size)
            assert (str(finding.severity) == "warning") == (theirs != size)
        seen.add((moved, s > 1 and theirs != size))  # at stride 1 PyTorch has SAME itself
    assert seen == {(False, False), (True, False), (True, True)}


def test_the_numbers_of_a_paper_case():
    """3x3 /2 with padding 1 on an even size: SAME would read 6, PyTorch's ceil mode 7."""
    (found,) = x002(pool(12, 3, 2, 1))
    assert found.message == "ceil mode gives 7, which TensorFlow cannot express"
    assert "SAME gives 6, its VALID 5" in found.why and found.fixes
    assert not x002(pool(12, 3, 2, 0))  # GoogLeNet's: 6, as SAME gives
