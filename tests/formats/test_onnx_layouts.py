"""Files of other layouts: channels last (as tf2onnx writes), quantized ones, pools with much padding."""

import numpy as np
import pytest

import striate as st
from cli.run import run
from formats.test_importing import graph
from striate.formats import load

pytestmark = pytest.mark.onnx("onnxruntime")

RNG = np.random.default_rng(3)
W = RNG.standard_normal((5, 3, 3, 3)).astype(np.float32)
W2 = RNG.standard_normal((4, 5, 3, 3)).astype(np.float32)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def reference(path, x):
    import onnxruntime as ort

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def channels_last(folder, *, before=(), flat=True):
    """N x 10 x 12 x 3, turned around, two convolutions, turned back."""
    nodes = [
        *before,
        ("Transpose", "p" if before else "x", "t", {"perm": [0, 3, 1, 2]}),
        ("Conv", "t w", "c", {"strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("Relu", "c", "r", {}),
        ("Conv", "r w2", "d", {}),
        ("Transpose", "d", "b" if flat else "y", {"perm": [0, 2, 3, 1]}),
    ]
    if flat:
        nodes += [("Reshape", "b shape", "f", {}), ("MatMul", "f fc", "y", {})]
    constants = {"w": W, "w2": W2, "mean": np.float32([0.1, 0.2, 0.3]), "shape": np.int64([-1, 48]),
                 "fc": normal(48, 6), "pads": np.int64([0, 1, 0, 0, 0, 1, 0, 0])}  # fmt: skip
    return graph(folder, *nodes, constants=constants, shape=(None, 10, 12, 3))


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize(
    "before",
    [(), (("Sub", "x mean", "p", {}),), (("Pad", "x pads", "q", {}), ("Slice", "q one eleven one", "p", {}))],
    ids=["bare", "normalized", "padded"],
)
def test_an_input_with_its_channels_last_has_them_first_here(before, flat, tmp_path):
    path = channels_last(tmp_path, before=before[:1] if len(before) < 2 else before[:0], flat=flat)
    net = load(path)
    assert net.input.axes == ("N", "C", "H", "W") and net.input.shape == (1, 3, 10, 12)
    x = normal(2, 10, 12, 3)
    found = st.Model(net).predict(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(found, reference(path, x), rtol=1e-4, atol=1e-3)


def test_geometry_speaks_of_height_width_and_channels(tmp_path):
    path = channels_last(tmp_path)
    plain = st.parse("10x12x3 -> c: conv 3x3 5 /2 pad 0,1,0,1 bias off -> relu -> d: conv 3x3 4 bias off")
    net = load(path)
    wanted, found = st.analyze(plain), st.analyze(net)
    by_name = {node.name: node for node in found.nodes}
    for node in wanted.nodes[:1] + wanted.nodes[2:]:
        same = by_name[node.name]
        assert same.receptive_field == node.receptive_field and same.macs == node.macs
        assert net.specs[node.name] == plain.specs[node.name]
    assert [node.op.word for node in net.nodes[:3]] == [
        "conv",
        "relu",
        "conv",
    ]  # nothing is turned before them
    shown = run("show", str(path)).out
    assert "input 10x12x3" in shown and "5x6x5" in shown and "3x4x4" in shown
    sizes = run("sizes", str(channels_last(tmp_path, flat=False))).out
    assert "0 mod 2" in sizes


def test_a_permutation_of_a_sequence_names_the_channels_by_what_follows(tmp_path):
    swap = ("Transpose", "x", "t", {"perm": [0, 2, 1]})
    conv = graph(
        tmp_path, swap, ("Conv", "t w", "y", {}), constants={"w": normal(4, 3, 3)}, shape=(None, 9, 3)
    )
    assert load(conv).input.shape == (1, 3, 9)
    dense = graph(
        tmp_path, swap, ("MatMul", "t w", "y", {}), constants={"w": normal(9, 4)}, shape=(None, 9, 3)
    )
    assert load(dense).input.shape == (1, 9, 3)


def test_channels_first_stay_first(tmp_path):
    nodes = [("Conv", "x w", "c", {}), ("Transpose", "c", "y", {"perm": [0, 2, 3, 1]})]
    net = load(graph(tmp_path, *nodes, constants={"w": W}))
    assert net.input.shape == (1, 3, 8, 8) and [n.op.word for n in net.nodes] == ["conv", "permute"]
    both = [
        ("Transpose", "x", "t", {"perm": [0, 3, 1, 2]}),
        ("Conv", "x w", "c", {}),
        ("ReduceMean", "t", "m", {"axes": [1]}),
        ("ReduceMean", "c", "k", {"axes": [1, 2, 3]}),
        ("Add", "m k", "y", {}),
    ]
    assert load(graph(tmp_path, *both, constants={"w": W})).input.shape == (1, 3, 8, 8)


def quantized(folder, zero, relu=False):
    constants = {"s": np.float32(0.02), "z": zero, "wq": np.clip(W * 30, -127, 127).astype(np.int8),
                 "ws": np.full(5, 1 / 30, np.float32), "wz": np.zeros(5, np.int8)}  # fmt: skip
    nodes = [
        ("QuantizeLinear", "x s z", "q", {}),
        ("DequantizeLinear", "q s z", "dq", {}),
        ("DequantizeLinear", "wq ws wz", "wd", {"axis": 0}),
        ("Conv", "dq wd", "y", {}),
    ]
    return graph(folder, *nodes, constants=constants, shape=(None, 3, 8, 9))


def test_a_quantized_file_has_the_counts_of_its_network_and_runs_in_float(tmp_path):
    path = quantized(tmp_path, np.uint8(128))
    net = load(path)
    totals = st.analyze(net).totals
    assert (totals.params, totals.macs) == (5 * 27, 6 * 7 * 5 * 27)
    x = RNG.uniform(-2, 2, (2, 3, 8, 9)).astype(np.float32)
    found, right = st.Model(net).predict(x), reference(path, x)
    assert (
        np.abs(found - right).max() < 0.01 * np.abs(W).sum((1, 2, 3)).max()
    )  # half a step for every number read


def test_the_range_of_a_quantized_activation_is_kept(tmp_path):
    """Exporters leave a ReLU out where the range of the whole numbers begins at 0."""
    net = load(quantized(tmp_path, np.uint8(0)))
    clip = net.nodes[0].op
    assert (clip.low, clip.high) == (0.0, pytest.approx(0.02 * 255))
    x = RNG.uniform(-20, 20, (2, 3, 8, 9)).astype(np.float32)
    right = reference(tmp_path / "made.onnx", x)
    assert np.abs(st.Model(net).predict(x) - right).max() < 0.01 * np.abs(W).sum((1, 2, 3)).max()


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "LpPool"])
def test_pools_with_padding_over_half_of_the_kernel_have_the_size_of_onnx(kind, tmp_path):
    """On paper: 6 + 2 - 3 = 5 steps of 2 round up to 4 windows; the fourth would begin at 6, behind the image: 3x3."""
    pads = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 2, 2]}
    more = {"ceil_mode": 1}
    path = graph(tmp_path, (kind, "x", "y", pads | more), shape=(None, 2, 6, 6), opset=22)
    x = normal(2, 2, 6, 6)
    found = st.Model(load(path)).predict(x)
    assert found.shape == (2, 2, 3, 3)
    if kind != "LpPool":  # onnxruntime has no ceil mode there
        np.testing.assert_allclose(found, reference(path, x), rtol=1e-5, atol=1e-5)


def test_padding_of_its_own_is_not_moved_into_a_pool_that_rounds_up(tmp_path):
    """8 padded entries hold 4 windows where 6 entries and a padding of 2 hold 3."""
    pad = ("Pad", "x pads least", "p", {})
    pool = ("MaxPool", "p", "y", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})
    constants = {"pads": np.int64([0, 0, 0, 0, 0, 0, 2, 2]), "least": np.float32(-3.4028235e38)}
    path = graph(tmp_path, pad, pool, constants=constants, shape=(None, 2, 6, 6))
    x = normal(2, 2, 6, 6)
    np.testing.assert_allclose(st.Model(load(path)).predict(x), reference(path, x), rtol=1e-5, atol=1e-5)


def test_a_value_that_leaves_twice_is_two_outputs(tmp_path):
    import onnx

    path = graph(tmp_path, ("Relu", "x", "r", {}), ("Identity", "r", "i", {}), ("Neg", "r", "y", {}))
    model = onnx.load(path)
    for name in ("r", "i"):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    onnx.save(model, path)
    found = st.Model(load(path)).predict(normal(2, 3, 8, 8))
    assert len(found) == 3 and np.array_equal(found[1], found[2])


def test_one_number_for_each_image_is_refused_and_not_given_another_axis(tmp_path):
    net = load(graph(tmp_path, ("ReduceMean", "x", "y", {"axes": [1, 2, 3], "keepdims": 0})))
    (problem,) = net.inference.problems
    assert "one number per image, without an axis" in problem.why


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["circular", "symmetric"])
def test_circular_padding_is_written_for_onnxruntime(mode, tmp_path):
    text = (
        f"7x8x3 -> conv 3x3 4 pad 2,1,1,2 mode {mode} -> relu -> reduce max over C -> pad 1,0,2,1 mode {mode}"
    )
    model = st.Model(st.parse(text), seed=1)
    path = tmp_path / "m.onnx"
    model.export(str(path))
    x = normal(2, 3, 7, 8)
    np.testing.assert_allclose(reference(path, x), model.predict(x), rtol=1e-4, atol=1e-5)
    assert load(path).nodes == model.net.nodes
