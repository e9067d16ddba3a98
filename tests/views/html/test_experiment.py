"""Pages of the experiment: one file without a script, read strictly, with the numbers of the record."""

import dataclasses
import functools
import itertools
import re

import numpy as np
import pytest

import striate as st
from page_elements import elements, references
from probe import known_units as known
from results import HOSTILE
from striate.views.html import experiment

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@functools.cache
def recording():
    gabors = [known.gabor(9, orientation=k) for k in (37, 120)]
    return st.probe(known.linear(np.stack([*gabors, 0 * gabors[0]])), "conv1")


@functools.cache
def pages():
    found = st.population("16x16x1 -> conv 5x5 4 -> relu -> maxpool 2", seeds=1)
    return {
        "all units": experiment.page(recording()),
        "one unit": experiment.page(recording(), 0),
        "a silent unit": experiment.page(recording(), 2),
        "population": experiment.population_page(found),
    }


NAMES = ("all units", "one unit", "a silent unit", "population")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_well_formed_and_asks_for_nothing(name):
    text = pages()[name]
    root = elements(text)
    policies = [e.attributes["content"] for e in root.all("meta") if "http-equiv" in e.attributes]
    assert policies == [POLICY]
    assert not root.all("script", "iframe", "object", "embed", "link", "base", "form")
    assert not [key for e in root for key in e.attributes if key.startswith("on")]
    keys = [e.attributes["id"] for e in root if "id" in e.attributes]
    assert len(keys) == len(set(keys))
    for reference in references(root):
        assert reference.startswith("data:image/png;base64,") or reference.removeprefix("#") in keys
    assert set(re.findall(r"https?://[^\"'\s<]*", text)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", NAMES)
def test_readers_of_every_kind_find_their_way(name):
    root = elements(pages()[name])
    assert root.all("html")[0].attributes["lang"] == "en" and root.all("title")[0].text
    levels = [int(e.tag[1]) for e in root.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in root.all("table"):
        assert len(table.all("caption")) == 1 and table.all("caption")[0].text
        assert all(head.attributes["scope"] in ("col", "row") for head in table.all("th"))
        assert len({len(row) for row in table.rows()}) == 1
    for picture in root.all("svg"):
        assert picture.attributes["role"] == "img" and picture.all("title", "desc")[1].text
    for place in root.all("div"):
        if place.attributes.get("class") == "scroll":
            assert place.attributes["tabindex"] == "0" and place.attributes["aria-label"]


def test_the_table_has_the_numbers_of_the_record():
    head, *rows = elements(pages()["all units"]).at("measures").all("table")[0].rows()
    columns = [name.removeprefix("#") for name in experiment.COLUMNS]
    if head[0] != "unit":
        rows = [head, *rows]
    first = dict(zip(columns, rows[0]))
    unit = recording()[0]
    assert first["orientation"] == f"{unit.orientation_deg:.1f}°" and first["CV"] == f"{unit.cv:.2f}"
    assert first["type"] == "simple" and first["Gabor fit"].endswith(f"R² {unit.gabor.r2:.2f}")
    silent = dict(zip(columns, rows[2]))
    assert silent["type"] == "no response" and silent["CV"] == "-"


def test_what_is_undefined_is_said_in_words():
    assert "no stimulus drives the unit" in pages()["a silent unit"]
    ring = st.probe(known.linear(known.center_surround()), "conv1")
    text = experiment.page(ring, 0)
    assert "no peak: all orientations drive it equally" in text
    assert "not defined for one frame" in text


def test_names_are_texts():
    found = st.probe("9x9x1 -> conv 3x3 2 -> relu", "conv1")
    text = experiment.page(dataclasses.replace(found, network=HOSTILE[0], node=HOSTILE[1]))
    assert not elements(text).all("script", "b", "i", "img")
