"""Histograms of a population beside those of its controls."""

import itertools

import pytest

import striate as st
from drawn import read
from laws.geometry import contrasts, texts
from striate.views.drawing import theme
from striate.views.drawing.picture import Picture
from striate.views.drawing.population import drawing
from views.text.test_population import population


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_nothing_lies_over_anything_else(colors):
    made = Picture({**population(), "name": "net", "drawing": drawing(population())}, colors)
    drawn = read(made.svg)
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
    assert list(itertools.islice([*texts(drawn), *contrasts(drawn, paper)], 3)) == []


def test_each_node_has_its_counts_and_bars():
    made = drawing(population())
    said = [mark["text"] for mark in made["marks"] if mark["mark"] == "text"]
    assert {"conv1", "8 of 8 respond", "7 simple, 1 complex", "+0.16 to untrained", "0 of 8 respond"} <= {
        *said
    }
    assert "no unit has one" not in said
    lines = [m for m in made["marks"] if m["mark"] == "path" and m["stroke"] == "series-4"]
    assert len(lines) == 1  # of the legend: none of the shuffled networks responds
    assert "more orientation selective" in made["description"]
    bars = [m for m in made["marks"] if m["mark"] == "rect" and m["fill"] == "conv-mark"]
    filled = sum(
        sum(count > 0 for count in one["groups"]["given"]["measures"][name]["counts"])
        for one in population()["nodes"]
        for name in ("cv", "orientation_deg", "frequency_cpp", "f1_f0")
    )
    assert len(bars) == filled + 1  # and the one of the legend


def test_a_population_is_drawn_and_written(tmp_path):
    found = st.population("16x16x1 -> conv 5x5 4 -> relu", seeds=1)
    assert found.plot().svg.startswith("<svg")
    found.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!DOCTYPE html>")
