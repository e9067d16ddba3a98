"""Known answers: units whose orientation, selectivity and modulation follow from their weights."""

import math

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.probe import stimuli
from striate.probe.electrode import Electrode, Light, part_up_to, place_unit
from striate.probe.experiment import record
from striate.probe.tuning import harmonics


def unit(model, node="conv1", **how):
    recording = st.probe(model, node, **how)
    return recording.units[0]


def test_a_gabor_unit_at_37_degrees():
    found = unit(known.linear(known.gabor()))
    assert found.orientation_deg == pytest.approx(37.0, abs=0.5)
    assert found.cv == pytest.approx(0.234, abs=0.02)
    assert found.osi == pytest.approx(0.996, abs=0.02)
    assert found.f1_f0 == pytest.approx(1.59, abs=0.02) and found.type == "simple"
    assert found.frequency_cpp == pytest.approx(0.16, abs=0.02)
    assert found.phase_deg == pytest.approx(0, abs=1)


@pytest.mark.parametrize("orientation", [0, 20, 90, 101, 135, 179])
def test_orientation_is_that_of_the_bar(orientation):
    found = unit(known.linear(known.gabor(orientation=orientation)))
    assert (found.orientation_deg - orientation + 90) % 180 - 90 == pytest.approx(0, abs=0.5)
    assert (found.best_bar.orientation_deg - orientation + 90) % 180 - 90 == pytest.approx(0, abs=7.5)
    assert found.best_bar.polarity == "bright" and abs(found.best_bar.offset_px) <= 1


def test_a_negative_bias_sharpens():
    weights = known.gabor()
    found = unit(known.linear(weights, -0.3 * known.amplitude(weights)))
    assert found.orientation_deg == pytest.approx(37.0, abs=0.5)
    assert found.cv == pytest.approx(0.09, abs=0.02)
    assert found.f1_f0 == pytest.approx(1.70, abs=0.02) and found.type == "simple"


def test_an_energy_unit_is_complex():
    found = unit(known.energy(), "conv2")
    assert found.orientation_deg == pytest.approx(37.0, abs=0.5)
    assert found.f1_f0 == pytest.approx(0.0, abs=0.001) and found.type == "complex"
    assert found.polarity_overlap > 0.9 and found.phase_deg is None


def test_a_sobel_unit():
    found = unit(known.linear(known.SOBEL))
    assert found.cv == pytest.approx(0.627, abs=0.02)
    assert found.orientation_deg == pytest.approx(90.0, abs=0.5)
    assert found.phase_deg == pytest.approx(90.0, abs=1)


def test_a_center_surround_unit_has_no_orientation():
    found = unit(known.linear(known.center_surround()))
    assert found.cv == pytest.approx(1.0, abs=0.005)
    assert found.orientation_deg is None and found.bandwidth_deg is None
    assert any(note.startswith("orientation_deg: no peak") for note in found.notes)


def test_complex_cells_out_of_simple_ones():
    """The hierarchy of 1962 inside one max-pool: F1/F0 falls, the selectivity stays."""
    weights = known.gabor(11, frequency=0.1785, sigma=1.9, aspect=1.0)
    series = {1: 1.59, 2: 1.02, 3: 0.38, 4: 0.05, 6: 0.003}
    kinds = []
    for pool, expected in series.items():
        found = unit(
            known.pooled(weights, pool), "maxpool1" if pool > 1 else "conv1", frequencies=known.LADDER
        )
        assert found.f1_f0 == pytest.approx(expected, abs=0.02), pool
        assert found.cv == pytest.approx(0.385, abs=0.025), pool
        assert found.orientation_deg == pytest.approx(37.0, abs=1.0), pool
        kinds.append(found.type)
    assert kinds == ["simple", "simple", "complex", "complex", "complex"]


def test_a_suppressing_surround():
    """A simple unit minus the energy of its neighbors: large gratings drive it less than small ones."""
    alone, surrounded = (st.probe(known.surrounded(weight), "conv2")[0] for weight in (0.0, 0.5))
    assert alone.surround_suppression == pytest.approx(0, abs=0.05)
    assert surrounded.surround_suppression > 0.3
    assert surrounded.preferred_size_px < 21
    assert surrounded.orientation_deg == pytest.approx(37, abs=0.5)


@pytest.mark.parametrize("bias", [-0.4, 0.0, 0.3, 5.0])
def test_first_layer_units_agree_with_their_fourier_magnitude(bias):
    """Both ways: by showing gratings through the normalization, and from the weights alone."""
    draw = np.random.default_rng(3)
    weights = draw.normal(size=(4, 3, 7, 7)).astype(np.float32)
    model = known.linear(weights, bias, side=16, channels=3)
    mean, std = np.array([0.48, 0.45, 0.4]), np.array([0.23, 0.22, 0.21])
    model.transform = {"steps": [{"step": "normalize", "mean": [*mean], "std": [*std]}]}
    part = part_up_to(model.net, "relu1")
    place = place_unit(part, "relu1", "center")
    electrode = Electrode(model.engine, part, model.weights.current(), "relu1", place, Light.of(model, 1.0))
    gratings = stimuli.Gratings(stimuli.turns(6), (0.1, 0.23, 0.4), stimuli.phases(256))
    f0, f1 = harmonics(electrode.show(gratings))
    rest = bias + (weights * ((0.5 - mean) / std)[:, None, None]).sum((1, 2, 3))
    through = (weights * (0.5 / std)[:, None, None]).sum(1)
    a = np.array(
        [[known.transfer(through, turn, f) for f in gratings.frequencies] for turn in gratings.orientations]
    )
    a, rest = a.transpose(2, 0, 1), np.broadcast_to(rest[:, None, None], f0.shape)
    angle = np.arccos(np.clip(-rest / a, -1, 1))
    scale = np.maximum(a, np.abs(rest))
    assert np.abs((f0 - (a * np.sin(angle) + rest * angle) / np.pi) / scale).max() < 1e-3
    expected = (a * (angle - np.sin(2 * angle) / 2)) / np.pi
    assert np.abs((f1 - expected) / scale).max() < 1e-3


def test_the_response_of_a_threshold_unit_follows_the_closed_form():
    """F0 and F1 of the record for |b| < A, in the terms of the literature."""
    weights = known.gabor()
    top = known.amplitude(weights)
    for share in (-0.3, 0.0, 0.5):
        found = unit(known.linear(weights, share * top), phases=256)
        angle = math.acos(-share)
        assert found.f0 == pytest.approx(top * (math.sin(angle) + share * angle) / math.pi, rel=1e-3)
        assert found.f1 == pytest.approx(top * (angle + share * math.sin(angle)) / math.pi, rel=1e-3)


def test_one_pass_serves_all_channels():
    """A unit's measures do not depend on the other channels of its node."""
    both = known.linear(np.stack([known.gabor(), known.gabor(orientation=120, frequency=0.2)]))
    together = st.probe(both, "conv1")
    assert len(together) == 2 and together.shown < 2 * st.probe(known.linear(known.gabor()), "conv1").shown
    alone = unit(known.linear(known.gabor())).to_dict()
    alike = together[0].to_dict()
    for name in ("cv", "orientation_deg", "f1_f0", "osi", "surround_suppression"):
        assert alike[name] == pytest.approx(alone[name], abs=1e-4)
    assert together[1].orientation_deg == pytest.approx(120, abs=0.5)


def test_any_size_and_any_number_of_channels():
    for channels, side in ((1, 9), (2, 17), (3, 30), (5, 12)):
        weights = np.repeat(known.gabor(7)[None], channels, 0)
        found = st.probe(known.linear(weights, side=side, channels=channels), "conv1")
        assert found[0].orientation_deg == pytest.approx(37, abs=0.5)
        assert found.colors == (
            ("luminance", "red-green", "blue-yellow") if channels == 3 else ("luminance",)
        )


def test_progress_is_told():
    seen = []
    recording = record(
        known.linear(known.SOBEL), "conv1", watch=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (recording.shown, recording.shown)
    assert all(done <= total for done, total in seen)


def test_the_same_seed_gives_the_same_recording():
    model = known.linear(known.gabor())
    first, again = (st.probe(model, "conv1", seed=3).to_dict() for _ in range(2))
    assert first == again
