"""Ways to fool oneself with an electrode: each has a test that fails if nothing is done about it."""

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import StriateError
from striate.probe import stimuli
from striate.probe.electrode import Electrode, Light, part_up_to, place_unit
from striate.probe.experiment import cv_limit
from striate.probe.tuning import harmonics


def unit(model, node="conv1", **how):
    return st.probe(model, node, **how).units[0]


def test_a_positive_bias_does_not_hide_tuning():
    """The mean response of a linear unit does not depend on the orientation: it is the bias."""
    weights = known.gabor()
    found = unit(known.linear(weights, 1.5 * known.amplitude(weights)))
    assert found.cv == pytest.approx(0.234, abs=0.02)
    assert found.orientation_deg == pytest.approx(37, abs=0.5)


def test_little_modulation_does_not_prove_a_complex_cell():
    weights = known.gabor()
    found = unit(known.linear(weights, 1.5 * known.amplitude(weights)))
    assert found.f1_f0 < 1 and found.polarity_overlap < 0.1
    assert found.type == "simple"
    assert unit(known.energy(), "conv2").type == "complex"


def test_polarity_of_a_unit_that_single_spots_do_not_reach():
    """Its maps are empty: opposite phases of the best grating decide."""
    weights = known.gabor()
    found = unit(known.linear(weights, -0.3 * known.amplitude(weights)))
    assert found.responses["spot"] == 0 and found.polarity_overlap == 0


def test_direction_selectivity_is_not_defined():
    recording = st.probe(known.linear(known.gabor()), "conv1")
    assert recording[0].direction_selectivity is None
    assert any("not defined for one frame" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("scale", "bias"),
    [(0.0, 0.0), (0.0, 2.0), (1.0, -1e3)],
    ids=["zeros", "constant", "never above threshold"],
)
def test_a_silent_unit_has_no_measures(scale, bias):
    weights = np.stack([known.gabor(), known.gabor()])
    model = known.linear(weights)
    model.weights["conv1.weight"][0] *= scale
    model.weights["conv1.bias"][0] = bias
    silent, other = st.probe(model, "conv1").units
    assert silent.type == "none" and silent.notes == ("no response",)
    for name in ("cv", "osi", "orientation_deg", "f1_f0", "bandwidth_deg", "surround_suppression", "gabor"):
        assert getattr(silent, name) is None, name
    assert silent.to_dict()["cv"] is None and other.type == "simple"


def test_responses_are_read_behind_the_activation():
    """A linear value has no mean: its F1/F0 is anything."""
    model = known.linear(known.gabor())
    assert st.probe(model, "conv1").value == "relu1"
    normalized = "16x16x1 -> conv 5x5 2 -> bn -> relu -> maxpool 2"
    assert st.probe(normalized, "conv1").value == "relu1"
    assert st.probe(normalized, "bn1").value == "relu1"
    assert st.probe(normalized, "maxpool1").value == "maxpool1"


def test_a_value_without_an_activation_is_rectified():
    weights = known.gabor()
    bare = st.Model(
        "32x32x1 -> conv 13x13 1", weights={"conv1.weight": weights[None, None], "conv1.bias": np.zeros(1)}
    )
    recording = st.probe(bare, "conv1")
    assert recording.value == "conv1" and recording[0].f1_f0 == pytest.approx(1.59, abs=0.02)


def test_the_field_lies_inside_unless_a_border_is_meant():
    """Zero padding is a fake edge: at the left border a Sobel unit hardly cares about orientation."""
    model = known.linear(known.SOBEL, padding=1)
    center, edge, corner = (st.probe(model, "conv1", at=at) for at in ("center", "edge", "corner"))
    assert center.inside and not edge.inside and not corner.inside
    assert center[0].cv == pytest.approx(0.63, abs=0.02)
    assert edge[0].cv == pytest.approx(0.98, abs=0.02)
    assert any("padding" in note for note in edge.notes) and not any(
        "padding" in note for note in center.notes
    )
    assert edge.field == {"h": (14, 16), "w": (0, 1)} and corner.field == {"h": (0, 1), "w": (0, 1)}


def test_too_few_phases_are_refused():
    """With 4 phases F1/F0 of a unit with a threshold is wrong by a tenth."""
    with pytest.raises(StriateError, match="phases = 15"):
        st.probe(known.linear(known.gabor()), "conv1", phases=15)
    turn = 2 * np.pi * np.arange(4) / 4
    f0, f1 = harmonics(np.maximum(np.cos(turn) - 0.3, 0))
    assert abs(f1 / f0 - 1.70) > 0.1


def test_a_small_field_limits_selectivity():
    limits = [
        cv_limit(screen, stimuli.ladder(screen, None))
        for screen in (stimuli.Screen((0, n - 1), (0, n - 1)) for n in (3, 5, 7, 11, 15))
    ]
    assert limits[0] > 0.25 > limits[1] > limits[2] > 0.1 > max(limits[3:])
    recording = st.probe(known.linear(known.SOBEL), "conv1")
    assert recording.cv_limit == pytest.approx(limits[0]) and recording[0].cv > recording.cv_limit


def test_luminance_comes_first():
    weights = known.gabor(9)
    filters = np.stack([
        np.stack([weights, weights, weights]),
        np.stack([weights, 0 * weights, 0 * weights]),
        np.stack([weights, -weights, 0 * weights]),
        np.stack([-0.5 * weights, -0.5 * weights, weights]),
    ])  # fmt: skip
    units = st.probe(known.linear(filters, channels=3), "conv1").units
    assert [one.color for one in units] == ["luminance", "luminance", "red-green", "blue-yellow"]
    assert units[2].drives["luminance"] == pytest.approx(0, abs=1e-4 * units[2].drives["red-green"])
    assert units[1].drives["red-green"] == pytest.approx(units[1].drives["luminance"], rel=1e-4)
    assert all(one.orientation_deg == pytest.approx(37, abs=0.5) for one in units)


def test_gratings_are_compared_with_photographs():
    """A unit whose filter is one of the photographs responds to it more than to any grating."""
    draw = np.random.default_rng(0)
    pattern = draw.random((9, 9)).astype(np.float32) - 0.5
    images = draw.random((20, 1, 9, 9)).astype(np.float32)
    images[7, 0] = pattern > 0
    found = st.probe(known.linear(pattern - pattern.mean(), side=9), "conv1", photos=images).units[0]
    best = float(np.maximum((images[:, 0] * (pattern - pattern.mean())).sum((1, 2)), 0).max())
    assert found.natural_share == pytest.approx(found.responses["grating"] / best, rel=1e-3)
    assert found.natural_share < 0.9
    assert unit(known.linear(pattern, side=9)).natural_share is None


def test_filters_are_not_flipped():
    """The map of a unit is its filter as it is stored, not turned by 180 degrees."""
    weights = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    weights -= weights.mean()
    found = unit(known.linear(weights))
    assert np.corrcoef(found.map.weighted.ravel(), weights.ravel())[0, 1] > 0.9
    assert ((found.map.on > 0) == (weights > 0)).all() and ((found.map.off > 0) == (weights < 0)).all()
    assert np.corrcoef(weights.ravel(), weights[::-1, ::-1].ravel())[0, 1] < 0.5


def test_the_gradient_map_is_the_filter_of_a_linear_unit():
    weights = np.random.default_rng(2).normal(size=(3, 5, 5)).astype(np.float32)
    weights -= weights.mean((1, 2), keepdims=True)
    model = known.linear(weights, side=16)
    for filter, one in zip(weights, st.probe(model, "conv1").units):
        assert np.abs(one.map.gradient - 0.5 * filter).max() < 1e-5  # half of the range of an image
        assert np.corrcoef(one.map.gradient.ravel(), one.map.weighted.ravel())[0, 1] > 0.8
        assert one.to_dict()["gradient_map"] == [[pytest.approx(v, rel=1e-4, abs=1e-6) for v in row]
                                                 for row in one.map.gradient.tolist()]  # fmt: skip


def test_the_gradient_map_lies_inside_the_theoretical_field():
    """What the unit sees of the image, and nothing else: also where the field reaches beyond it."""
    model = st.Model("14x14x1 -> conv 3x3 4 pad 1 -> relu -> maxpool 2 -> conv 3x3 6 pad 1 -> relu", seed=2)
    part = part_up_to(model.net, "relu2")
    for at in ("center", "corner"):
        place = place_unit(part, "relu2", at)
        rows, columns = place.screen.rows, place.screen.columns
        program = model.engine.differentiate(part, dict(model.weights.current()), [*part.inputs])
        x = np.random.default_rng(0).random((1, 1, 14, 14), np.float32)
        (y,) = program.forward(x, np.random.default_rng(0))
        seeds = np.zeros_like(y)
        seeds[:, :, place.row, place.column] = 1
        (grown,) = program.backward([seeds]).values()
        outside = grown.copy()
        outside[:, :, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 0
        assert grown.any() and not outside.any()
        recording = st.probe(model, "conv2", at=at)
        shape = place.screen.shape
        assert all(one.map.gradient.shape == shape for one in recording.units if one.map is not None)


def test_the_gradient_is_the_slope_of_the_response():
    """Of a unit behind two layers, at its best grating: light in one cell more, and the response grows by so much."""
    model = st.Model("20x20x1 -> conv 5x5 4 /2 -> relu -> conv 3x3 6 -> relu", seed=5)
    recording = st.probe(model, "conv2")
    part = part_up_to(model.net, "relu2")
    place = place_unit(part, "relu2", "center")
    light = Light.of(model, 1.0)
    electrode = Electrode(model.engine, part, model.weights.current(), "relu2", place, light)
    checked = 0
    for one in recording.units:
        if one.type == "none":
            continue
        best = recording.best_grating(one)
        steps = np.zeros((8, *electrode.screen.shape))
        cells = np.argsort(-np.abs(one.map.gradient).ravel())[:8]
        steps[np.arange(8), *np.unravel_index(cells, one.map.gradient.shape)] = 1e-2
        lit, dark = (
            electrode.read(electrode.images(best + sign * steps, light.amplitude)) for sign in (1, -1)
        )
        slopes = (lit["relu2"] - dark["relu2"])[:, one.unit] / 2e-2
        assert slopes == pytest.approx(
            one.map.gradient.ravel()[cells], abs=2e-2 * float(np.abs(slopes).max())
        )
        checked += 1
    assert checked >= 2
