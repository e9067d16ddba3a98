"""The timeline: every entry of the catalogue is there, with what was published; pictures are those of draw."""

import base64
import json
import re
import zlib

import pytest

import striate
from browser.conftest import DESK, PHONE
from browser.reports import focus, report, settled
from striate.models.catalogue import entries
from striate.views.page.catalogue import history_record


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    return report(tmp_path_factory.mktemp("lenet"), "lenet5")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE, {"width": 320, "height": 700}], ids=["desk", "phone", "small"])
def test_the_timeline_begins_at_the_network_of_the_page(lenet, window, size, dark):
    shown = window(f"{lenet}#history", size, dark)
    page = shown.page
    assert page.locator("[data-family=LeNet]").is_visible()
    page.wait_for_selector("[data-family] .stage svg")
    text = page.locator("[data-view=history]").inner_text()
    assert all(year in text for year in ("1959", "1961", "1962", "1968", "1980"))
    sources = re.findall(r"^D. H. Hubel, T. N. Wiesel: [^:]+, J. Physiol. .*$", text, re.M)
    named = [
        re.search(r"\. https://doi\.org/10\.1113/jphysiol\.(\d{4})\.sp\d{6}$", source)[1]
        for source in sources
    ]
    assert named == ["1959", "1961", "1962", "1968"]
    settled(shown, size)


@pytest.mark.browser
def test_a_family_is_chosen_with_the_mouse(lenet, window):
    shown = window(f"{lenet}#history")
    page = shown.page
    page.get_by_role("tab", name="VGG").click()
    page.wait_for_selector("[data-family=VGG] .stage svg")
    assert "138,357,544" in page.locator("[data-family]").inner_text()
    page.get_by_role("button", name="Show vgg11", exact=True).click()
    assert "striate draw vgg11 -o vgg11.svg" in page.locator("[data-family]").inner_text()
    assert page.url.endswith("#history?model=vgg11")
    page.reload()
    assert page.locator("[data-family=VGG]").is_visible()
    assert not shown.messages


@pytest.mark.browser
def test_the_timeline_is_one_stop_of_the_tab_key(lenet, window):
    shown = window(f"{lenet}#history")
    page = shown.page
    focus(page, "[role=tab]")
    page.keyboard.press("Home")
    assert page.locator("[data-family=Neocognitron]").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-family=LeNet]").is_visible()
    page.keyboard.press("End")
    assert page.locator("[data-family=ConvNeXt]").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "2022ConvNeXt"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") != "tab"
    assert not shown.messages


@pytest.mark.browser
def test_touch_chooses_a_family(lenet, window):
    shown = window(f"{lenet}#history", PHONE, has_touch=True, is_mobile=True)
    shown.page.get_by_role("tab", name="AlexNet").tap()
    assert shown.page.locator("[data-family=AlexNet]").is_visible()
    settled(shown, PHONE)


def test_every_entry_is_there_with_what_was_published():
    families = history_record()["families"]
    found = {model["name"]: (family["name"], model) for family in families for model in family["models"]}
    assert set(found) == {entry.name for entry in entries()}
    for entry in entries():
        family, model = found[entry.name]
        assert (family, model["params"], model["gmacs"]) == (entry.family.name, entry.params, entry.gmacs)
    years = [family["year"] for family in families]
    assert years == sorted(years)


def test_there_is_a_picture_for_each_family_and_all_are_small():
    record = history_record()
    pictures = json.loads(zlib.decompress(base64.b64decode(record["pictures"])))
    assert list(pictures) == [family["shown"] for family in record["families"]]
    assert len(record["pictures"]) <= 100_000
    for family in record["families"]:
        assert family["shown"] in [model["name"] for model in family["models"]]
        assert pictures[family["shown"]].startswith("<svg")
    assert "lenet5" in striate.list_models()
