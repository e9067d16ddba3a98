"""Pictures of a recording: each unit with what was found out about it, nothing on top of anything else."""

import functools
import itertools

import numpy as np
import pytest

import striate as st
from drawn import read
from laws.geometry import cells, contrasts, texts
from probe import known_units as known
from striate.diagnostics import StriateError
from striate.views.drawing import theme
from striate.views.drawing.recording import picture

DEEP = "24x24x3 -> conv 5x5 5 -> relu -> maxpool 2 -> conv 3x3 6 -> relu"


@functools.cache
def recordings():
    """A first layer with a silent unit, a layer behind it, colors, many units, and a field of a single pixel."""
    gabors = [known.gabor(9, orientation=k, phase=k) for k in (0, 37, 90, 120)]
    deep = st.Model(DEEP, seed=1)
    many = known.linear(np.random.default_rng(0).normal(size=(80, 3, 3)).astype(np.float32), side=12)
    return {
        "first layer": st.probe(known.linear(np.stack([*gabors, 0 * gabors[0]])), "conv1"),
        "colors": st.probe(deep, "conv1"),
        "behind": st.probe(deep, "conv2"),
        "many units": st.probe(many, "conv1"),
        "one pixel": st.probe("9x9x1 -> conv 1x1 3 -> relu", "conv1"),
        "complex": st.probe(known.energy(), "conv2"),
    }


CASES = [
    (name, unit) for name in ("first layer", "colors", "behind", "one pixel", "complex") for unit in (None, 0)
]
CASES += [("first layer", 4), ("many units", None)]


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize(("name", "unit"), CASES)
def test_nothing_lies_over_anything_else(name, unit, colors):
    made = picture(recordings()[name], unit, colors)
    drawn = read(made.svg)
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
    found = [*texts(drawn), *contrasts(drawn, paper), *cells(made.scene)]
    assert list(itertools.islice(found, 3)) == []


def words(made):
    return [mark["text"] for mark in made.scene["drawing"]["marks"] if mark["mark"] == "text"]


def test_each_unit_has_its_row():
    found = recordings()["first layer"]
    said = words(found.plot())
    assert [f"unit {k}" for k in range(5)] == [text for text in said if text.startswith("unit ")]
    assert said.count("no response") == 1 and "bar 36.8°" in said and said.count("simple") == 4
    assert {"filter", "tuning", "best grating", "best bar", "noise map", "gradient"} <= {*said}
    grids = [mark for mark in found.plot().scene["drawing"]["marks"] if mark["mark"] == "cells"]
    assert len(grids) == 4 * 5 + 1  # the filter of the silent unit is there, too


def test_filters_are_drawn_where_there_are_any():
    assert "filter" in words(recordings()["colors"].plot())
    assert "filter" not in words(recordings()["behind"].plot())
    palettes = {
        m["palette"] for m in recordings()["colors"].plot().scene["drawing"]["marks"] if m["mark"] == "cells"
    }
    assert palettes == {"rgb", "gray", "signed"}


def test_the_best_grating_is_the_one_that_was_shown():
    """Drawn again, it drives the unit as it did."""
    found = recordings()["first layer"]
    for unit in found.units[:4]:
        drawn = found.best_grating(unit)
        response = float((0.5 * drawn * unit.filter[0]).sum())
        assert response == pytest.approx(unit.responses["grating"], rel=1e-4)
        bar = float((0.5 * found.best_bar(unit) * unit.filter[0]).sum())
        assert bar == pytest.approx(unit.responses["bar"], rel=1e-4)
    assert found.best_grating(found.units[4]) is None and found.best_bar(found.units[4]) is None


def test_the_gabor_fit_is_drawn_as_it_was_fitted():
    found = recordings()["first layer"]
    (unit,) = (one for one in found.units if one.orientation_deg and abs(one.orientation_deg - 37) < 1)
    drawn, field = found.fitted_gabor(unit), unit.map.on - unit.map.off
    explained = 1 - ((field - drawn) ** 2).sum() / ((field - field.mean()) ** 2).sum()
    assert explained == pytest.approx(unit.gabor.r2, abs=1e-3) and unit.gabor.r2 > 0.9


def test_of_many_units_some_are_shown_and_said():
    said = words(recordings()["many units"].plot())
    assert sum(text.startswith("unit ") for text in said) == 64 and "64 of them are shown" in said
    assert "unit 79" in said


def test_one_unit_with_its_curves():
    said = words(recordings()["first layer"].plot(1))
    assert {
        "drive by orientation",
        "drive by frequency",
        "response by phase",
        "drive by size",
        "Gabor fit",
    } <= {*said}
    assert any(text.startswith("R² ") for text in said)
    silent = words(recordings()["first layer"].plot(4))
    assert "no response: no stimulus drives the unit" in silent and "response by phase" not in silent
    with pytest.raises(StriateError, match="no unit 5"):
        recordings()["first layer"].plot(5)


def test_the_polar_curve_points_where_the_bar_lies():
    """0° is horizontal and 90° vertical: the curve of a unit is long where its bar is."""
    for unit, across in ((0, True), (2, False)):
        made = recordings()["first layer"].plot(unit)
        (around,) = (
            m
            for m in made.scene["drawing"]["marks"]
            if m.get("fill") == "window-fill" and m["mark"] == "path"
        )
        x, y = (np.ptp([point[k] for point in around["points"]]) for k in (0, 1))
        assert (x > 1.5 * y) if across else (y > 1.5 * x)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.svg", b"<svg"),
        ("a.html", b"<!DOCTYPE html>"),
        pytest.param("a.pdf", b"%PDF", marks=pytest.mark.draw),
        pytest.param("a.png", b"\x89PNG", marks=pytest.mark.draw),
    ],
)
def test_files_are_written_by_their_ending(tmp_path, name, head):
    recordings()["first layer"].save(tmp_path / name, 0)
    assert (tmp_path / name).read_bytes().startswith(head)


def test_another_ending_is_refused(tmp_path):
    found = recordings()["first layer"]
    with pytest.raises(StriateError, match="not written as"):
        found.save(tmp_path / "a.xls")
