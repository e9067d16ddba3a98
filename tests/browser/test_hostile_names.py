"""Every text of the record that a stranger can choose is shown as text, by every view."""

import json
import re
import types
import typing

import pytest

import striate
from browser.conftest import DESK
from page_elements import elements
from striate.checks import check
from striate.views.html.document import document
from striate.views.html.network_part import network_part
from striate.views.page.model import model_parts
from striate.views.page.module import inline_json
from striate.views.schemas.keys import Name
from striate.views.schemas.live import LivePage
from striate.views.schemas.page import unwrap

MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>\'"&amp;'
OURS = {
    "schema", "version", "route", "palettes", "svg", "pictures", "mode", "axes", "axis", "severity", "unknown", "data",
    "uri", "step", "stopped",
}  # fmt: skip
"""Keys whose texts no stranger chooses: words that views compute with, and pictures drawn by Python."""
STRUCTURE = {"Place", "Instruction", "PageStatement", "Table", "ImageStep", "Answer"}
"""Records of the page's engine without names."""


KEYED = {"inputs", "weights"}
"""Keys of PageModel whose objects are by name."""


def planted(value, hint):
    """The value with markup at the end of each text; keys that are names too, so that they still lead somewhere."""
    plain, *_ = unwrap(hint)
    union = typing.get_origin(plain) in (typing.Union, types.UnionType)
    options = [unwrap(option)[0] for option in typing.get_args(plain)] if union else [plain]
    record = next((option for option in options if typing.is_typeddict(option)), None)
    if isinstance(value, str):
        plain_text = not value or value.replace(" ", "").isdecimal()  # nothing, or numbers of any length
        return value if plain_text or typing.get_origin(plain) is typing.Literal else value + MARKUP
    if isinstance(value, list):
        inner = next((typing.get_args(o)[0] for o in options if typing.get_origin(o) is list), typing.Any)
        return [planted(one, inner) for one in value]
    if isinstance(value, dict) and record is not None:
        if record.__name__ in STRUCTURE:
            return value
        hints = typing.get_type_hints(record, include_extras=True)
        if record.__name__ == "PageModel":
            hints |= {key: dict[Name, typing.get_args(unwrap(hints[key])[0])[1]] for key in KEYED}
        return {
            key: one if key in OURS else planted(one, hints.get(key, typing.Any))
            for key, one in value.items()
        }
    if isinstance(value, dict):
        keys, inner = next(
            (typing.get_args(o) for o in options if typing.get_origin(o) is dict), (str, typing.Any)
        )
        named = unwrap(keys)[2] == "NAME"
        return {key + MARKUP if named else key: planted(one, inner) for key, one in value.items()}
    return value


@pytest.fixture(
    scope="module", params=["lenet5", "12x12x3 -> conv 3x3 4 -> deep: conv 13x13 -> relu", "inception"]
)
def page(request, tmp_path_factory):
    """The address of a page with markup in every text, and the names of its views."""
    from laws.pictured import SHAPED

    net = SHAPED[request.param]() if request.param in SHAPED else striate.load(request.param)
    text = document(network_part(net, check(net).findings), None, model_parts(net))
    script, _ = elements(text).all("script")
    record = planted(json.loads("".join(script.children)), LivePage)
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    held = re.compile(r"(data-striate-record>).*?(</script>)", re.S)
    path.write_text(held.sub(lambda m: m[1] + inline_json(record) + m[2], text), "utf-8")
    return path.as_uri(), record


@pytest.mark.browser
def test_no_view_takes_a_name_for_markup(page, window):
    address, record = page
    shown = window(address, DESK)
    page = shown.page
    names = [link.get_attribute("href") for link in page.locator("nav.views a").all()]
    views = [name for name in names if len(name) > 1]
    assert len(views) >= 5
    scripts = page.locator("script").count()
    first = (record["show"]["nodes"] or [{"name": ""}])[0]["name"]
    for view in views:
        page.evaluate("name => location.hash = name", view)
        assert not shown.messages, (view, shown.messages)
        page.wait_for_selector(f"[data-view={view[1:]}]")
        for button in page.locator(f"[data-view={view[1:]}] button:visible").all()[:12]:
            if button.is_visible() and button.is_enabled():
                button.click()
        if view == "#network":
            page.evaluate("name => location.hash = `#network?node=${encodeURIComponent(name)}`", first)
            page.wait_for_selector("[data-opened]")
            assert MARKUP in page.locator("[data-opened] h2").inner_text()
            assert MARKUP in page.locator("[data-view] [role=option]").first.inner_text()
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("script").count() == scripts
        assert page.evaluate("window.owned") is None
    assert not shown.messages


def test_markup_is_planted_in_every_text_that_a_stranger_chooses():
    """The law would otherwise hold for a page without any."""
    net = striate.load("lenet5")
    text = document(network_part(net, check(net).findings), None, model_parts(net))
    script, _ = elements(text).all("script")
    record = planted(json.loads("".join(script.children)), LivePage)
    for node in record["show"]["nodes"]:
        assert node["name"].endswith(MARKUP) and node["text"].endswith(MARKUP) and node["op"].endswith(MARKUP)
        assert all(name.endswith(MARKUP) for name in node["inputs"])
    assert set(record["network"]["pixels"]["inputs"]) == {f"input{MARKUP}"} == set(record["show"]["inputs"])
    assert all(part["key"].endswith(MARKUP) for part in record["network"]["parts"]["blocks"])
    for finding in record["show"]["findings"]:
        assert all(finding[key].endswith(MARKUP) for key in ("message", "why", "where"))
    assert record["history"]["families"][0]["name"].endswith(MARKUP)


@pytest.mark.browser
def test_an_address_may_name_what_every_object_has(window, tmp_path):
    """A layer may be called `constructor` too: what is kept by name holds its own names alone."""
    path = tmp_path / "page.html"
    net = striate.load("12x12x1 -> toString: conv 3x3 2 -> valueOf: relu -> flatten -> fc 3")
    path.write_text(document(network_part(net, check(net).findings), None, model_parts(net)), "utf-8")
    shown = window(path.as_uri(), DESK)
    for view, key in (
        ("network", "node"),
        ("activations", "image"),
        ("activations", "node"),
        ("pixels", "input"),
    ):
        for name in ("constructor", "toString", "__proto__", "valueOf", "hasOwnProperty"):
            shown.page.evaluate("route => location.hash = route", f"#{view}?{key}={name}")
            shown.page.wait_for_selector(f"[data-view={view}]")
            shown.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            assert not shown.messages, (view, key, name, shown.messages)
            assert shown.page.locator(f"[data-view={view}]").inner_text()
