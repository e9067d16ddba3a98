"""Pages of the experiment in a browser: light and dark, wide and as narrow as a phone."""

import numpy as np
import pytest

import striate as st
from browser.conftest import DESK, PHONE
from browser.reports import settled
from probe import known_units as known

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    gabors = [known.gabor(9, orientation=k) for k in (37, 120)]
    model = known.linear(np.stack([*gabors, 0 * gabors[0]]))
    found = st.probe(model, "conv1")
    found.save(folder / "units.html")
    found.save(folder / "unit.html", 0)
    st.population(model, seeds=1).save(folder / "population.html")
    return {name: (folder / f"{name}.html").as_uri() for name in ("units", "unit", "population")}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["units", "unit", "population"])
def test_a_page_fits_and_keeps_its_policy(window, addresses, name, size, dark):
    shown = window(addresses[name], size, dark)
    assert shown.page.locator("svg text").count() > 20
    settled(shown, size)


def test_tables_and_pictures_are_reached_by_tab(window, addresses):
    page = window(addresses["units"], PHONE).page
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') || ''"))
    assert len(reached - {""}) >= 3
