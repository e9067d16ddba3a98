"""Stimuli by hand are those of the protocol, and a pool behind a unit is a node of its own."""

import dataclasses
import math

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import OpError, StriateError, UsageError
from striate.network import Builder
from striate.ops import Conv, GlobalAvgPool, Multiply, Sigmoid
from striate.probe import stimuli
from striate.probe.by_hand import MAX_POOL, Hand, amplitudes, places, pooled, target, targets
from striate.probe.electrode import Electrode, Light, part_up_to, place_unit

SCREEN = stimuli.Screen((3, 9), (2, 12))


def all_of(series):
    return series.draw(SCREEN, np.arange(math.prod(series.shape))).reshape(*series.shape, *SCREEN.shape)


def test_a_slide_is_the_stimulus_of_the_protocol():
    turns, offsets = stimuli.turns(5), stimuli.offsets(SCREEN)
    bars, edges = all_of(stimuli.Bars(turns, offsets, 2.5)), all_of(stimuli.Edges(turns, offsets))
    for i, turn in enumerate(turns):
        for j, offset in enumerate(offsets):
            for dark in (0, 1):
                x, y = offset * math.cos(turn - math.pi / 2), offset * math.sin(turn - math.pi / 2)
                one = stimuli.Slide("bar", turn, x, y, 2.5, dark=bool(dark))
                np.testing.assert_allclose(one.draw(SCREEN), bars[i, j, dark], atol=1e-12)
                edge = dataclasses.replace(one, kind="edge")
                np.testing.assert_allclose(edge.draw(SCREEN), edges[i, j, dark], atol=1e-12)
    gratings = stimuli.Gratings(turns, (0.1, 0.25), stimuli.phases(8))
    waves = all_of(gratings)
    for i, turn in enumerate(turns):
        for j, k in np.ndindex(2, 8):
            rate, phase = gratings.frequencies[j], gratings.phases[k]
            shift = phase / (2 * math.pi * rate)  # a grating that has moved by a part of its period
            x, y = shift * math.cos(turn - math.pi / 2), shift * math.sin(turn - math.pi / 2)
            one = stimuli.Slide("grating", turn, x, y, 0.5 / rate)
            np.testing.assert_allclose(one.draw(SCREEN), waves[i, j, k], atol=1e-12)
    spot = stimuli.Slide("spot", 0.3, 1.0, -2.0, 3.0).draw(SCREEN)
    x, y = SCREEN.grid()
    np.testing.assert_allclose(spot, np.clip(2 - np.hypot(x - 1, y + 2), 0, 1), atol=1e-12)


def test_a_bar_ends():
    whole, short = (
        stimuli.Slide("bar", math.pi / 2, width=1.0, length=n).draw(SCREEN) for n in (math.inf, 3.0)
    )
    assert whole[:, 5].tolist() == [1] * 7
    assert short[:, 5].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert not short[:, 4].any()


@pytest.fixture(scope="module")
def colored():
    model = st.Model("14x14x3 -> conv 5x5 4 pad 2 -> relu -> maxpool 2 -> conv 3x3 3 pad 1 -> relu", seed=3)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}]}
    return model


@pytest.mark.parametrize("at", ["center", "corner", (0, 3)])
@pytest.mark.parametrize("color", ["luminance", "red-green"])
def test_responses_are_those_of_the_electrode(colored, at, color):
    hand = Hand(colored, "conv2", at)
    assert hand.target.value == "relu2" and hand.target.units == 3 and hand.target.map == (7, 7)
    part = part_up_to(colored.net, "relu2")
    place = place_unit(part, "relu2", at)
    electrode = Electrode(
        colored.engine, part, colored.weights.current(), "relu2", place, Light.of(colored, 1.0)
    )
    bars = stimuli.Bars((0.7,), (-1.0, 2.0), 2.0)
    shown = electrode.show(bars, color).reshape(3, -1)
    away = [(o * math.cos(0.7 - math.pi / 2), o * math.sin(0.7 - math.pi / 2)) for o in bars.offsets]
    slides = [stimuli.Slide("bar", 0.7, x, y, 2.0, dark=dark) for x, y in away for dark in (False, True)]
    found = hand.responses(slides, color)
    np.testing.assert_allclose(found[:, :1], electrode.show(stimuli.Blank()), atol=1e-6)
    np.testing.assert_allclose(found[:, 1:], shown, atol=1e-5)
    assert hand.responses([]).shape == (3, 1)
    assert np.ptp(found[:, 1:]) > 1e-3


def test_what_lies_beside_the_field_counts_where_it_can():
    """Through a gate with global pooling: the bar is drawn on all of the screen."""
    build = Builder("gated", input=(1, 12, 12))
    x = build(Conv(2, 3, padding=1), build.input)
    gate = build(Sigmoid(), build(Conv(2, 1), build(GlobalAvgPool(), x)))
    model = st.Model(build.build(build(Multiply(), x, gate)), seed=1)
    name = model.net.nodes[-1].name
    hand = Hand(model, name, (5, 5))
    assert hand.place.surround
    far = stimuli.Slide("bar", math.pi / 2, 5.0, 0.0, 2.0)
    blank, moved = hand.responses([far])[0]
    image = np.full((1, 1, 12, 12), 0.5, np.float32)
    whole = stimuli.Screen((0, 11), (0, 11))
    right, up = 5 - 5.5, 5.5 - 5  # from the screen's center to the field's
    image[0, 0] += 0.5 * dataclasses.replace(far, x=far.x + right, y=far.y + up).draw(whole)
    wanted = model.engine.compile(model.net, model.weights.current()).values(image, [name])[name]
    assert moved == pytest.approx(wanted[0, 0, 5, 5], abs=1e-5)
    assert abs(moved - blank) > 1e-4


def test_nodes_and_places():
    net = st.load("16x16x1 -> conv 5x5 2 -> relu -> maxpool 2 -> flatten -> fc 3").network
    assert [one.node for one in targets(net)] == ["conv1", "relu1", "maxpool1"]
    assert target(net, "conv1").value == "relu1"
    known_places = places(net, "relu1", [(2, 3)])
    assert set(known_places) == {"center", "edge", "corner", "2.3"}
    assert known_places["2.3"].screen == stimuli.Screen((2, 6), (3, 7))
    with pytest.raises(OpError, match="no map"):
        target(net, "fc1")
    with pytest.raises(UsageError):
        places(net, "relu1", [(99, 0)])
    assert targets(st.load("1d 16x3 -> conv 3").network) == []


def test_amplitudes_of_colors(colored):
    light = Light.of(colored, 1.0)
    assert amplitudes(light)["red-green"] == [0.5, -0.5, 0.0]
    gray = st.Model("8x8x1 -> conv 3x3")
    assert amplitudes(Light.of(gray, 1.0)) == {"luminance": [0.5]}


def test_complex_cells_out_of_simple_ones():
    """A pool behind a unit gives what a max-pool of the network gives, and F1/F0 falls."""
    weights = known.gabor(11, frequency=0.1785, sigma=1.9, aspect=1.0)
    model = known.pooled(weights, 1)
    ladder = stimuli.ladder(stimuli.Screen((0, 10), (0, 10)), None)
    ratios = []
    for size in (1, 2, 3, 4, 6):
        found = pooled(model, "conv1", size)[0]
        whole = st.probe(
            known.pooled(weights, size), "maxpool1" if size > 1 else "conv1", frequencies=ladder
        )[0]
        assert found.f1_f0 == pytest.approx(whole.f1_f0, abs=0.01)
        assert found.cv == pytest.approx(whole.cv, abs=0.01)
        assert found.orientation_deg == pytest.approx(37.0, abs=1.0)
        ratios.append(found.f1_f0)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == pytest.approx(1.59, abs=0.02) and ratios[-1] < 0.03


@pytest.mark.parametrize("at", ["center", "corner"])
def test_a_pool_of_any_place(at):
    model = st.Model("9x9x1 -> conv 3x3 2 pad 1 -> relu", seed=2)
    assert len(pooled(model, "conv1", 9, at=at)) == 2


@pytest.mark.parametrize("size", [0, 10, MAX_POOL + 1])
def test_a_pool_that_does_not_fit(size):
    with pytest.raises(UsageError, match="does not fit"):
        pooled(st.Model("9x9x1 -> conv 3x3 2 pad 1 -> relu"), "conv1", size)


def test_responses_that_are_not_finite_are_told():
    model = known.linear(np.full((3, 3), np.inf, np.float32))
    with pytest.raises(StriateError, match="not finite"):
        Hand(model, "conv1").responses([])
