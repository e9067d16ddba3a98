"""Attributions: shapes, targets, completeness, the model's normalization, and what is refused."""

import numpy as np
import pytest

import striate as st
from striate.diagnostics import OpError, StriateError, UnknownNameError, UsageError
from striate.probe.attribution import METHODS
from striate.probe.attribution_methods import resized

TEXT = "12x12x3 -> conv 3x3 6 pad 1 -> bn -> relu -> maxpool 2 -> conv 3x3 8 -> silu -> flatten -> fc 4"
IMAGE = np.random.default_rng(0).random((3, 12, 12))


@pytest.fixture(scope="module")
def model():
    model = st.Model(TEXT, seed=0)
    model.classes = ("cat", "dog", "cow", "fox")
    return model


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_shape_of_the_image(model, method):
    found = st.attribute(model, IMAGE.astype(np.float32), method, target="dog")
    assert found.values.shape in ((3, 12, 12), (1, 12, 12)) and found.heat.shape == (12, 12)
    assert np.isfinite(found.values).all() and found.values.any()
    assert found.score == pytest.approx(float(model.predict(IMAGE[None].astype(np.float32))[0, 1]), rel=1e-4)
    assert "<svg" in found.plot().svg and "<svg" in found._repr_html_()


def test_the_predicted_class_is_the_default(model):
    found = st.attribute(model, IMAGE.astype(np.float32))
    assert found.target.label == model.classify(IMAGE[None].astype(np.float32))[0][0][0]
    assert found.target.predicted


def test_integrated_gradients_are_complete(model):
    for target in model.classes:
        found = st.attribute(model, IMAGE, "integrated-gradients", target=target, steps=200)
        assert found.values.sum() == pytest.approx(found.score - found.baseline_score, rel=2e-3, abs=1e-3)


def test_a_gradient_is_the_limit_of_differences(model):
    found = st.attribute(model, IMAGE, "gradient-x-input", node="conv2", unit=(5, 2, 1))
    program = model.engine.compile(model.net, model.weights.current())
    direction = np.random.default_rng(1).standard_normal(IMAGE.shape)

    def unit(step):
        return float(program.values((IMAGE + step * direction)[None], ["conv2"])["conv2"][0, 5, 2, 1])

    slope = (unit(1e-6) - unit(-1e-6)) / 2e-6
    assert float((found.values / IMAGE * direction).sum()) == pytest.approx(slope, rel=1e-5)


def test_the_models_normalization_is_applied():
    plain = st.Model("8x8x1 -> conv 3x3 4 -> silu -> flatten -> fc 3", seed=0)
    model = st.Model(plain)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.25]}]}
    pixels = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    found = st.attribute(model, pixels, target=1)
    wanted = st.attribute(plain, (pixels - 0.5) / 0.25, target=1)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.image, pixels, atol=1e-6)


def test_scores_are_taken_before_a_softmax():
    plain = st.Model("8x8x1 -> conv 3x3 4 -> flatten -> fc 3", seed=0)
    model = st.Model("8x8x1 -> conv 3x3 4 -> flatten -> fc 3 -> softmax", seed=0)
    x = np.ones((1, 8, 8), np.float32)
    np.testing.assert_array_equal(
        st.attribute(model, x, target=1).values, st.attribute(plain, x, target=1).values
    )


@pytest.mark.parametrize(
    "end",
    [
        "relu",
        "gap -> flatten",
        "gap",
        "flatten -> fc 3 -> relu",
        "maxpool 2 -> flatten",
        "upsample 2",
        "dropout",
    ],
)
def test_the_score_is_the_output_unless_that_is_a_probability(end):
    model = st.Model(f"8x8x1 -> conv 3x3 4 -> {end}", seed=0)
    x = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    found = st.attribute(model, x, target=1)
    output = model.predict(x[None])
    assert found.target.value == model.net.outputs[0]
    assert found.score == pytest.approx(float(output[(0, 1, *(n // 2 for n in output.shape[2:]))]), rel=1e-5)


def test_a_pixel_of_a_segmentation_depends_on_its_field():
    model = st.Model("9x9x1 -> conv 3x3 4 pad 1 -> silu -> conv 3x3 2 pad 1", seed=0)
    x = np.random.default_rng(0).random((1, 9, 9)).astype(np.float32)
    found = st.attribute(model, x, target=1, pixel=(2, 6))
    seen = np.argwhere(found.values[0])
    assert seen.min(axis=0).tolist() == [0, 4] and seen.max(axis=0).tolist() == [4, 8]


def test_the_last_node_with_a_map_is_the_default_of_grad_cam(model):
    found = st.attribute(model, IMAGE.astype(np.float32), "grad-cam", target=0)
    assert found.node == "silu1" and any("the last node with a map" in note for note in found.notes)
    other = st.attribute(model, IMAGE.astype(np.float32), "grad-cam", target=0, node="conv1")
    assert other.node == "conv1" and not np.array_equal(found.values, other.values)


def test_a_layer_is_named_for_a_class_and_for_a_unit(model):
    image = IMAGE.astype(np.float32)
    of_class = st.attribute(model, image, "grad-cam", target=2, layer="conv1")
    assert of_class.node == "conv1" and "map of conv1" in of_class.notes
    np.testing.assert_array_equal(
        of_class.values, st.attribute(model, image, "grad-cam", target=2, node="conv1").values
    )
    of_unit = st.attribute(model, image, "grad-cam", node="conv2", unit=3, layer="relu1")
    assert of_unit.node == "relu1" and of_unit.target.value == "conv2"
    assert st.attribute(model, image, "grad-cam", node="conv2", unit=3).node == "maxpool1"
    own = st.attribute(model, image, "grad-cam", node="conv2", unit=3, layer="maxpool1")
    np.testing.assert_array_equal(
        own.values, st.attribute(model, image, "grad-cam", node="conv2", unit=3).values
    )


def test_grad_cam_of_a_unit_is_the_weighted_map_of_the_layer():
    """Of a linear unit the gradients are its weights: the map follows from both without a backward pass."""
    model = st.Model("6x6x1 -> conv 3x3 3 pad 1 -> relu -> flatten -> fc 2", seed=1)
    x = np.random.default_rng(0).random((1, 6, 6)).astype(np.float32)
    relu = model.engine.compile(model.net, model.weights.current()).values(x[None], ["relu1"])["relu1"][0]
    weights = model.weights["fc1.weight"][1].reshape(3, 36).mean(1)
    low = np.maximum(np.tensordot(weights, relu, 1), 0)
    found = st.attribute(model, x, "grad-cam", node="fc1", unit=1, layer="relu1").values[0]
    np.testing.assert_allclose(found, (low - low.min()) / np.ptp(low), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "classes"), [("fc 4", 4), ("fc 4 -> softmax", 4), ("fc 1", 2), ("fc 1 -> sigmoid", 2)]
)
def test_the_probability_is_that_of_a_prediction(text, classes):
    model = st.Model(f"8x8x1 -> conv 3x3 4 -> relu -> flatten -> {text}", seed=0)
    model.classes = tuple("abcd"[:classes])
    x = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    (wanted,) = model.classify(x[None], top=classes)
    for name, probability in wanted:
        assert st.attribute(model, x, target=name).probability == pytest.approx(probability, abs=1e-6)
    assert st.attribute(model, x, node="conv1", unit=1).probability is None


def test_several_methods_share_the_target_and_leave_out_what_cannot_be():
    from striate.probe.attribution import attributions
    from striate.probe.attribution_methods import Settings

    model = st.Model("4x4x1 -> flatten -> fc 3", seed=0)
    x = np.ones((1, 4, 4), np.float32)
    found, left_out = attributions(model, x, tuple(METHODS), Settings(steps=7, stride=1))
    assert [one.method for one in found] == [name for name in METHODS if name != "grad-cam"]
    assert "has a map" in left_out["grad-cam"]
    settings = {"integrated-gradients": {"steps": 7}, "occlusion": {"stride": 1}}
    for one in found:
        alone = st.attribute(model, x, one.method, **settings.get(one.method, {}))
        assert alone.to_dict() == one.to_dict()


def test_occlusion_finds_the_pixel_that_counts():
    model = st.Model("8x8x1 -> flatten -> fc 2", seed=0)
    model.weights["fc1.weight"] = np.zeros((2, 64), np.float32)
    model.weights["fc1.weight"][1, 3 * 8 + 5] = 2.0
    found = st.attribute(model, np.ones((1, 8, 8), np.float32), "occlusion", target=1, window=1)
    wanted = np.zeros((8, 8))
    wanted[3, 5] = 2
    np.testing.assert_allclose(found.values[0], wanted, atol=1e-6)


def test_a_plane_is_enlarged_between_the_centers_of_its_cells():
    np.testing.assert_allclose(resized(np.array([[0.0, 1.0]]), (1, 4)), [[0, 0.25, 0.75, 1]])


def test_nothing_that_changes_is_said():
    found = st.attribute(
        "8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 2", np.zeros((1, 8, 8), np.float32), "gradient-x-input"
    )
    assert any("0 everywhere" in note for note in found.notes) and any("untrained" in n for n in found.notes)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"method": "gradcan"}, UnknownNameError, "grad-cam"),
        ({"target": "dgo"}, UnknownNameError, "dog"),
        ({"target": 4}, UnknownNameError, "cat"),
        ({"method": "grad-cam", "node": "fc1"}, OpError, "silu1"),
        ({"method": "grad-cam", "node": "nothing"}, UnknownNameError, "nothing"),
        ({"node": "conv1"}, UsageError, "unit"),
        ({"node": "conv1", "unit": 6}, UsageError, "5"),
        ({"unit": 1}, UsageError, "node"),
        ({"target": 1, "pixel": (1, 1)}, UsageError, "every pixel"),
        ({"method": "grad-cam", "layer": "fc1"}, OpError, 'layer="silu1"'),
        ({"method": "grad-cam", "layer": "cnv1"}, UnknownNameError, "conv1"),
        ({"method": "grad-cam", "node": "conv1", "unit": 0, "layer": "conv2"}, OpError, "does not depend"),
        ({"layer": "conv1"}, UsageError, "grad-cam"),
        ({"method": "grad-cam", "steps": 9}, UsageError, "integrated-gradients"),
        ({"method": "occlusion", "window": 0}, UsageError, "window"),
        ({"method": "occlusion", "baseline": float("nan")}, UsageError, "baseline=0"),
        ({"target": -1}, UnknownNameError, "4 of them from 0"),
        ({"node": "conv1", "unit": ()}, UsageError, "without numbers"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_a_fix(model, settings, error, words):
    with pytest.raises(error) as caught:
        st.attribute(model, IMAGE.astype(np.float32), **settings)
    assert words in str(caught.value) and caught.value.fix


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    image = IMAGE.astype(np.float32)
    image[1, 2, 3] = bad
    with pytest.raises(UsageError, match="1 number of it"):
        st.attribute(st.Model(TEXT, seed=0), image)
    model = st.Model(TEXT, seed=0)
    weights = {name: array.copy() for name, array in model.weights.current().items()}
    weights["fc1.bias"][:] = bad
    with pytest.raises(OpError, match="not finite"):
        st.attribute(st.Model(model.net, weights=weights), IMAGE.astype(np.float32), target=0)


def test_a_unit_is_any_whole_number(model):
    image = IMAGE.astype(np.float32)
    first, second = (st.attribute(model, image, node="conv1", unit=k) for k in (1, np.int64(1)))
    assert first.target == second.target and (first.values == second.values).all()


def test_several_inputs_and_opaque_nodes_are_refused():
    from striate.ops import Concat

    builder = st.Builder("two", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    net = builder.build(builder(Concat(), *builder.inputs.values()))
    with pytest.raises(UsageError, match="several inputs"):
        st.attribute(net, IMAGE)
    with pytest.raises(StriateError):
        st.attribute(st.Model(TEXT), np.zeros((2, 3, 12, 12), np.float32))
