"""Where the electrode is, what it reads, and what it refuses."""

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import StriateError, UsageError
from striate.network import Builder
from striate.ops import Add, Concat, Conv
from striate.probe import stimuli
from striate.probe.electrode import Electrode, Light, cropped, measured, part_up_to, place_unit

REFUSED = {
    "a vector": ("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 2", "fc1", "no map", "relu1"),
    "no such node": ("8x8x1 -> conv 3x3 2", "conv9", "no node", "conv1"),
    "behind an opaque node": (
        "8x8x1 -> conv 3x3 2 -> opaque foo shape 2x6x6 -> conv 3x3 2",
        "conv2",
        "opaque",
        "conv1",
    ),
    "a sequence": ("1d 32x1 -> conv 3", "conv1", "not an image", "height, width"),
    "a volume": ("8x8x8x1 -> conv 3", "conv1", "not an image", "height, width"),
    "no output": ("7x7x1 -> conv 9x9", "conv1", "no output", "pad"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_probed_is_refused_with_a_fix(case):
    text, node, what, fix = REFUSED[case]
    with pytest.raises(StriateError, match=what) as caught:
        st.probe(text, node)
    assert fix in caught.value.fix


def test_several_inputs_are_refused():
    build = Builder("pair", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    left, right = (build(Conv(2, 3), x) for x in build.inputs.values())
    with pytest.raises(StriateError, match="several inputs"):
        st.probe(build.build(build(Concat(), left, right)), "conv1")


@pytest.mark.parametrize(
    "setting",
    [{"at": "left"}, {"at": (0, 99)}, {"at": (1,)}, {"contrast": 0}, {"contrast": 1.5}, {"contrast": float("nan")},
     {"frequencies": (0.7,)}, {"frequencies": ()}, {"frequencies": (0.0,)}, {"phases": 8}, {"phases": 10**30}],
)  # fmt: skip
def test_impossible_settings_are_refused_with_a_fix(setting):
    with pytest.raises(StriateError) as caught:
        st.probe(known.linear(known.SOBEL), "conv1", **setting)
    assert caught.value.fix


def test_an_opaque_node_behind_the_electrode_does_not_matter():
    assert st.probe("8x8x1 -> conv 3x3 2 -> relu -> opaque foo shape 2x6x6", "conv1").value == "relu1"


def test_a_node_that_is_read_twice_is_read_itself():
    build = Builder("residual", input=(1, 12, 12))
    x = build(Conv(2, 3, padding="same"), build.input)
    net = build.build(build(Add(), x, build(Conv(2, 3, padding="same"), x)))
    assert measured(net, net["conv1"]) == "conv1"


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("40x36x3 -> conv 3x3 4 pad 1 -> relu -> maxpool 2 -> conv 3x3 5 pad 1 -> relu", "relu2"),
        ("41x43x1 -> conv 5x5 2 /2 pad 2 -> relu -> conv 3x3 3 /2 dil 2 pad 2", "conv2"),
        ("20x20x1 -> conv 3x3 2 pad 1 -> relu -> upsample 2 -> conv 3x3 2 pad 1", "conv2"),
        ("24x24x1 -> conv 3x3 2 mode circular pad 1 -> relu -> tconv 4 2 /2 pad 1", "tconv1"),
    ],
)
def test_a_smaller_screen_changes_no_response(text, node):
    """Responses on the part that the unit sees are those on the whole image."""
    model = st.Model(text, seed=1)
    part = part_up_to(model.net, node)
    place = place_unit(part, node, "center")
    small, _ = cropped(part, node, place)
    assert place.inside and small.input.shape[2] < part.input.shape[2]
    electrode = Electrode(model.engine, part, model.weights.current(), node, place, Light.of(model, 1.0))
    assert electrode.net.input.shape == small.input.shape
    frames = stimuli.SparseNoise(stimuli.Cells.of(place.screen), 0)
    seen = electrode.show(frames)[:, :64]
    (top, bottom), (left, right) = place.screen.rows, place.screen.columns
    images = np.full((64, *part.input.shape[1:]), 0.5, np.float32)
    patterns = frames.draw(place.screen, np.arange(64))
    images[:, :, top : bottom + 1, left : right + 1] += 0.5 * patterns[:, None]
    whole = model.engine.compile(part, dict(model.weights)).values(images, [node])[node]
    assert np.allclose(seen.T, whole[:, :, place.row, place.column], atol=1e-5)


def test_what_is_outside_of_the_field_does_not_matter():
    model = st.Model("32x32x1 -> conv 3x3 4 pad 1 -> relu -> conv 5x5 4 /2 pad 2 -> relu", seed=2)
    place = place_unit(model.net, "relu2", "center")
    assert place.inside and not place.surround
    (top, bottom), (left, right) = place.screen.rows, place.screen.columns
    draw = np.random.default_rng(0)
    images = draw.random((8, 1, 32, 32)).astype(np.float32)
    images[:, :, top : bottom + 1, left : right + 1] = images[:1, :, top : bottom + 1, left : right + 1]
    values = model.compile().values(images, ["relu2"])["relu2"][:, :, place.row, place.column]
    assert np.abs(values - values[0]).max() < 1e-5


def test_a_norm_over_the_image_sees_the_surround():
    recording = st.probe("24x24x1 -> conv 3x3 2 -> in -> relu", "conv1")
    assert recording.value == "relu1" and recording.surround
    assert any("outside of the field" in note for note in recording.notes)


def test_stimuli_are_in_the_range_that_the_model_was_trained_on():
    model = known.linear(np.stack([known.SOBEL] * 3), channels=3)
    assert Light.of(model, 1.0).gray == pytest.approx([0.5] * 3)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.4] * 3, "std": [0.2] * 3}]}
    assert Light.of(model, 0.5).amplitude == pytest.approx([0.25] * 3)
    model.transform = {"steps": [{"step": "normalize", "mean": [120.0] * 3, "std": [60.0] * 3}]}
    light = Light.of(model, 1.0)
    assert light.gray == pytest.approx([120.0] * 3) and light.amplitude == pytest.approx([120.0] * 3)


def test_color_that_a_model_turns_into_gray():
    """The screen has the channels of the images, not those of the network."""
    model = known.linear(known.gabor(), channels=1)
    model.transform = {
        "steps": [
            {"step": "normalize", "mean": [0.5] * 3, "std": [0.25] * 3},
            {"step": "channels", "count": 1},
        ]
    }
    recording = st.probe(model, "conv1")
    assert recording.colors == ("luminance", "red-green", "blue-yellow")
    assert recording[0].color == "luminance" and recording[0].orientation_deg == pytest.approx(37, abs=0.5)


def test_untrained_weights_are_said():
    assert st.probe("8x8x1 -> conv 3x3 2", "conv1").weights == "untrained, seed 0"
    assert st.probe("8x8x1 -> conv 3x3 2", "conv1", seed=4).weights == "untrained, seed 4"
    assert st.probe(known.linear(known.SOBEL), "conv1").weights == "as given"


@pytest.mark.parametrize("at", [(1.9, 0), 3, ("a", 0), (0,)])
def test_a_place_is_two_whole_numbers(at):
    net = st.Model("8x8x1 -> conv 3x3 2", seed=0).net
    with pytest.raises(UsageError, match="no unit at"):
        place_unit(net, "conv1", at)
