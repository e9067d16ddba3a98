"""Units at a border: what zero padding does to them, and what other modes do."""

import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import StriateError
from striate.probe.border import MODES, border


@pytest.fixture(scope="module")
def sobel():
    return border(known.linear(known.SOBEL, padding=1, side=16), "conv1")


def test_the_center_does_not_depend_on_the_padding(sobel):
    assert tuple(sobel.recordings) == MODES and sobel.padded
    center = [places["center"][0].cv for places in sobel.recordings.values()]
    assert center == pytest.approx([0.63] * len(MODES), abs=0.02) and max(center) - min(center) < 1e-5


def test_zero_padding_is_a_fake_edge(sobel):
    edge = {mode: places["edge"][0] for mode, places in sobel.recordings.items()}
    assert edge["zeros"].cv == pytest.approx(0.98, abs=0.02)
    assert edge["replicate"].cv < 0.75
    assert edge["reflect"].type == "none"  # both sides see the same column


def test_circular_padding_lets_the_other_side_in(sobel):
    recording = sobel.recordings["circular"]["edge"]
    assert recording.surround and not recording.inside
    assert not sobel.recordings["zeros"]["center"].surround


def test_the_model_stays_as_it_is():
    model = known.linear(known.SOBEL, padding=1, side=16)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.25]}]}
    before = model.net
    drives = [border(model, "conv1").recordings[mode]["center"][0].drive for mode in MODES]
    assert model.net is before and drives == pytest.approx([st.probe(model, "conv1")[0].drive] * len(MODES))


def test_without_padding_there_is_one_mode():
    found = border(known.linear(known.SOBEL, side=16), "conv1")
    assert not found.padded and tuple(found.recordings) == ("zeros",)


def test_one_unit_of_several():
    model = st.Model("9x9x1 -> conv 3x3 3 pad 1 -> relu", seed=0)
    record = border(model, "conv1").to_dict(2)
    assert [one["unit"] for one in record["modes"][0]["places"]["edge"]["units"]] == [2]
    with pytest.raises(StriateError, match="no unit 3"):
        border(model, "conv1").to_dict(3)
