"""The experiment of the page: responses and protocol are those of the probe, and what is too large is refused."""

import math

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import LimitError, StriateError, UnknownNameError, UsageError
from striate.probe.border import border
from striate.probe.by_hand import Hand, pooled
from striate.probe.stimuli import Slide
from striate.views.lab import experiment as module
from striate.views.lab.bodies import Body, Refusal
from striate.views.lab.experiment import Experiment, Unit, place, slides
from striate.views.lab.networks import Networks, Source

NET = "12x12x1 -> conv 5x5 2 pad 2 -> relu -> maxpool 2 -> flatten -> fc 3"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A saved model whose first unit is a Gabor filter, with a normalization of its own."""
    monkeypatch.chdir(tmp_path)
    model = st.Model(NET, seed=3)
    model.weights["conv1.weight"][0, 0] = known.gabor(5, 60.0, 0.2, 1.2)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.4], "std": [0.2]}]}
    model.save(tmp_path / "model")
    return "model"


def test_responses_are_those_of_the_model(folder):
    networks = Networks(folder)
    experiment = Experiment(networks)
    found = experiment.electrode(networks.first, "conv1", "center")
    assert found["trained"] is True
    assert found["node"]["value"] == "relu1" and found["node"]["map"] == [12, 12]
    assert found["screen"] == {
        "height": 12,
        "width": 12,
        "gray": [0.5],
        "colors": {"luminance": [0.5]},
    }
    shown = [Slide("bar", 1.0, 0.5, -1.0, 1.5, 4.0), Slide("grating", 0.3, width=2.0, dark=True)]
    for at in ("center", (0, 4)):
        wanted = Hand(st.Model.load(folder), "conv1", at).responses(shown)
        for unit in (0, 1):
            answer = experiment.respond(Unit(networks.first, "conv1", unit, at), shown, "luminance")
            np.testing.assert_allclose([answer["blank"], *answer["responses"]], wanted[unit], atol=1e-5)


def test_the_protocol_is_that_of_the_probe(folder):
    networks = Networks(folder)
    experiment = Experiment(networks)
    unit = Unit(networks.first, "conv1", 0, "center")
    model = st.Model.load(folder)
    assert experiment.protocol(unit) == st.probe(model, "conv1").to_dict(0)
    assert experiment.protocol(unit)["units"][0]["orientation_deg"] == pytest.approx(60, abs=3)
    assert experiment.pooled(unit, 3) == pooled(model, "conv1", 3, trained=True).to_dict(0)
    assert experiment.border(unit) == border(model, "conv1", trained=True).to_dict(0)


def test_a_network_without_weights_says_so():
    networks = Networks(NET)
    experiment = Experiment(networks)
    assert experiment.electrode(networks.first, "conv1", "edge")["trained"] is False
    assert experiment.protocol(Unit(networks.first, "conv1", 1, "edge"))["weights"] == "untrained, seed 0"


def test_other_places_are_told():
    experiment = Experiment(Networks(NET))
    found = experiment.electrode(Source(NET), "relu1", (0, 3))["node"]["places"]["0.3"]
    assert found == {
        "position": [0, 3],
        "field": {"h": [0, 2], "w": [1, 5]},
        "inside": False,
        "surround": False,
    }


def test_what_cannot_be_probed_says_why():
    experiment = Experiment(Networks(NET))
    with pytest.raises(StriateError, match="no map"):
        experiment.electrode(Source(NET), "fc1", "center")
    with pytest.raises(UsageError):
        experiment.electrode(Source(NET), "conv1", (99, 0))
    with pytest.raises(StriateError):
        experiment.electrode(Source(NET), "nothing", "center")
    with pytest.raises(UnknownNameError, match="no unit 2"):
        experiment.respond(Unit(Source(NET), "conv1", 2, "center"), [], "luminance")
    for ask in (experiment.protocol, experiment.border, lambda unit: experiment.pooled(unit, 2)):
        with pytest.raises(UnknownNameError, match="no unit 2"):
            ask(Unit(Source(NET), "conv1", 2, "center"))


def test_what_takes_too_long_is_refused(monkeypatch):
    experiment = Experiment(Networks(NET))
    with pytest.raises(LimitError):
        experiment.electrode(Source("4000x4000x3 -> conv 31x31 512"), "conv1", "center")
    monkeypatch.setattr(module, "MAX_WORK", 10**5)
    unit = Unit(Source(NET), "conv1", 0, "center")
    for ask in (experiment.protocol, experiment.border, lambda one: experiment.pooled(one, 2)):
        with pytest.raises(LimitError, match="takes too long"):
            ask(unit)


def test_a_screen_without_colors_shows_none():
    """Red-green on one channel would be luminance under another name."""
    hand = Hand(st.Model("8x8x1 -> conv 3x3 2 -> relu", seed=0), "conv1")
    with pytest.raises(UsageError, match="no axis of color red-green") as caught:
        hand.responses([Slide("bar")], "red-green")
    assert "luminance" in caught.value.fix and hand.responses([Slide("bar")]).shape == (2, 2)
    color = Hand(st.Model("8x8x3 -> conv 3x3 2", seed=0), "conv1")
    assert not np.allclose(color.responses([Slide("bar")], "red-green"), color.responses([Slide("bar")]))


def test_stimuli_of_a_request():
    body = Body(
        {
            "slides": [
                {"kind": "bar", "orientation": 90, "x": 1, "y": -2.5, "width": 2, "length": 5, "dark": 1},
                {"kind": "spot"},
            ]
        }
    )
    assert slides(body) == [Slide("bar", math.pi / 2, 1.0, -2.5, 2.0, 5.0, True), Slide("spot")]
    with pytest.raises(UnknownNameError, match="no 'star'"):
        slides(Body({"slides": [{"kind": "star"}]}))


def test_places_of_a_request():
    assert place(Body({})) == "center"
    assert place(Body({"at": "3.14"})) == (3, 14)
    for text in ("3", "3.4.5", ".", "a.b", "-1.0", "1e3.0"):
        with pytest.raises(Refusal):
            place(Body({"at": text}))
