"""ONNX files in and out: what is written runs elsewhere with equal results, and comes back as it was."""

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from exhaustive import EXHAUSTIVE
from op_cases import RUNNABLE, cases
from striate import Model
from striate.analysis import macs
from striate.checks import check
from striate.diagnostics import FormatError, OpError, StriateError, UsageError
from striate.engine.registry import get_engine
from striate.formats import load, parse
from striate.models import catalogue
from striate.network import Network, Node
from striate.weights import initialize

pytestmark = pytest.mark.onnx("onnxruntime")

TORCHVISION = ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "convnext_tiny",
               "efficientnet_b0", "googlenet", "regnet_y_400mf", "mnasnet0_5", "densenet121")  # fmt: skip
# One of every family, small or at a small input.
SIZES = {
    "lenet5": None, "neocognitron": None, "nin": None, "cifar_resnet20": None, "resnet18": 64, "squeezenet1_1": 65,
    "mobilenet_v3_small": 64, "shufflenet_v2_x0_5": 64, "convnext_tiny": 32, "efficientnet_b0": 64, "googlenet": 64,
    "regnet_y_400mf": 64, "mnasnet0_5": 64, "densenet121": 64, "unet": (1, 188, 188),
}  # fmt: skip


def written(folder, net, weights=None):
    from striate.formats.onnx import write

    path = folder / "net.onnx"
    weights = initialize(net) if weights is None else weights
    write(path, net, weights)
    return path, weights


def elsewhere(path, x):
    """What onnxruntime makes of a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    return session.run(None, {session.get_inputs()[0].name: x})


def close(found, wanted, tolerance=1e-5):
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max(initial=0) <= tolerance * max(np.abs(wanted).max(initial=0), 1)


@pytest.mark.parametrize("name", SIZES)
def test_a_family_runs_elsewhere_and_comes_back(name, tmp_path):
    import onnx

    size = SIZES[name]
    net = catalogue.create(name, input=size if isinstance(size, tuple) else (3, size, size) if size else None)
    path, weights = written(tmp_path, net)
    onnx.checker.check_model(str(path), full_check=True)
    back = load(path)
    assert back == net and list(back.weights) == list(weights)
    assert all((back.weights[key] == array).all() for key, array in weights.items())
    if np.prod(net.input.without_batch) < 200_000:
        x = np.random.default_rng(0).standard_normal((2, *net.input.without_batch)).astype(np.float32)
        found = get_engine("numpy").compile(net, weights)(x)
        for ours, theirs in zip(found if isinstance(found, tuple) else (found,), elsewhere(path, x)):
            close(theirs, ours)


UNLIKE = {"concat", "crop", "matmul"}
"""Ops whose inputs differ in size, each in its own way; oracles/test_onnx_ops.py has them."""


@pytest.mark.parametrize("word", sorted({*RUNNABLE} - UNLIKE))
def test_every_op_runs_elsewhere(word, tmp_path_factory):
    folder = tmp_path_factory.mktemp(word)

    @settings(max_examples=8)
    @given(cases(word))
    def holds(case):
        specs = case.declaration.inputs
        images = [type(spec).image(spec.without_batch) for spec in specs]
        usual = all(image.axes == spec.axes for image, spec in zip(images, specs))
        assume(usual and len({spec.shape for spec in specs}) == 1)
        name = f"{word}1"
        names = ["input"] if len(specs) == 1 else [f"in{k}" for k in range(len(specs))]
        inputs = dict(zip(names, images))
        node = Node(name, case.op, tuple(names))
        net = Network("one", inputs, (node,), node.outputs)
        weights = {f"{name}.{key}": value.astype(np.float32) for key, value in case.weights.items()}
        try:
            path, _ = written(folder, net, weights)
        except OpError as error:
            assert error.fix and error.why  # what ONNX cannot say
            return
        assert load(path) == net
        import onnxruntime

        from striate.engine.numpy_.reference import run

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        feeds = {k: x.astype(np.float32) for k, x in zip(names, case.inputs)}
        try:
            theirs = onnxruntime.InferenceSession(path, options).run(None, feeds)
        except Exception as error:
            refusals = (
                "NOT_IMPLEMENTED",
                "Not implemented",
                "kernel",
                "requires axis length",
                "NumDimensions",
            )
            assert any(word in str(error) for word in refusals), error  # what that runtime does not run
            return
        for ours, other in zip(run(case.declaration, case.inputs, case.weights), theirs):
            close(other, ours.astype(np.float32), 1e-4)

    holds()


def test_fresh_eyes_read_what_was_written(tmp_path, monkeypatch):
    """Without Striate's own notes a file still means the same: sizes, costs, parameters, outputs."""
    from striate.formats.onnx import striate_metadata

    monkeypatch.setattr(striate_metadata, "network", lambda graph, inputs: None)
    for name in ("mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"):
        net = catalogue.create(name, input=(3, 65, 65))
        path, weights = written(tmp_path, net)
        back = load(path)
        assert macs(back) == macs(net) and set(back.parameters) == set(net.parameters)
        x = np.random.default_rng(0).standard_normal((1, 3, 65, 65)).astype(np.float32)
        close(
            get_engine("numpy").compile(back, back.weights)(x), get_engine("numpy").compile(net, weights)(x)
        )


def codes(net):
    return [(finding.code, finding.node) for finding in check(net).findings]


def test_the_known_truths_about_popular_networks(tmp_path):
    for name in ("squeezenet1_0", "squeezenet1_1"):
        path, _ = written(tmp_path, catalogue.create(name))
        lost = [node for code, node in codes(load(path)) if code == "G002"]
        assert "features.0" in lost
    path, _ = written(tmp_path, catalogue.create("resnet50"))
    at_224, at_225 = codes(load(path)), codes(load(path, "225"))
    assert len([node for code, node in at_224 if code == "P001"]) == 5
    assert not [node for code, node in at_225 if code in ("P001", "G002")]


def test_a_model_takes_the_weights_of_the_file(tmp_path):
    net = parse("8x8x3 -> conv 3x3 4 -> relu -> flatten -> fc 3")
    Model(net, seed=7).export(tmp_path / "m.onnx")
    model = Model(load(tmp_path / "m.onnx"), engine="numpy")
    assert (model.weights["fc1.weight"] == Model(net, seed=7).weights["fc1.weight"]).all()
    with pytest.raises(UsageError, match="onxx"):
        model.export(tmp_path / "m.onxx")


def test_open_sizes_are_asked_for(tmp_path):
    import onnx

    path, _ = written(tmp_path, parse("8x8x3 -> conv 3x3 4 -> gap -> flatten -> fc 3"))
    model = onnx.load(path)
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "size"
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError) as caught:
        load(path)
    assert "input=" in caught.value.fix
    assert load(path, "20x10x3").specs["conv1"].spatial == (18, 8)


def test_what_nobody_knows_is_opaque_with_its_shape(tmp_path):
    from onnx import load as load_proto

    path, _ = written(tmp_path, parse("8x8x3 -> conv 3x3 4 -> relu -> maxpool 2"))
    model = load_proto(path)
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.doc_string = "Sinh", ""
    path.write_bytes(model.SerializeToString())
    net = load(path)
    assert str(net.node("relu1").op) == "opaque Sinh shape 4,6,6 params 0"
    assert net.specs["maxpool1"].spatial == (3, 3)
    assert ("X001", "relu1") in codes(net)


EXPORTS = [("mobilenet_v3_small", True), ("mobilenet_v3_small", False), ("shufflenet_v2_x0_5", False)]
if EXHAUSTIVE:
    EXPORTS = [(name, dynamo) for name in SIZES if name in TORCHVISION for dynamo in (True, False)]


@pytest.mark.onnx("torch", "torchvision", "onnxscript")
@pytest.mark.parametrize(("name", "dynamo"), EXPORTS)
def test_an_export_of_torchvision(name, dynamo, tmp_path):
    """Of both exporters, with the modules' names; oracles/test_from_torch.py has one network of every family."""
    import torch

    from oracles.families import exported
    from oracles.test_torchvision_outputs import pair

    module, ours = pair(name, 64)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = module.eval()(x).numpy()
    net = load(exported(module, x, tmp_path / "net.onnx", dynamo))
    assert not [node for node in net.nodes if node.op.word == "opaque"]
    assert macs(net) == macs(ours)
    convolutions = {node.name for node in ours.nodes if node.op.word in ("conv", "fc")}
    assert convolutions <= {node.name for node in net.nodes}
    close(get_engine("numpy").compile(net, net.weights)(x.numpy()), wanted, 1e-4)


def test_hypothesis_finds_no_chain_that_does_not_come_back(tmp_path):
    stages = ["conv 3x3 4 pad 1", "bn", "relu", "silu", "gelu", "in", "ln", "dropout", "mish", "maxpool 2 ceil on",
              "hardsigmoid", "affine 2 1", "clip low 0"]  # fmt: skip

    @settings(max_examples=15)
    @given(st.lists(st.sampled_from(stages), max_size=6))
    def holds(chosen):
        net = parse(" -> ".join(["9x9x4", "relu6", *chosen]))
        try:
            _ = net.specs
        except StriateError:
            reject()
        path, weights = written(tmp_path, net)
        assert load(path) == net
        x = np.random.default_rng(0).standard_normal((2, 4, 9, 9)).astype(np.float32)
        close(elsewhere(path, x)[0], get_engine("numpy").compile(net, weights)(x))

    holds()
