"""`st.view`: the static display, or the live page in a frame that holds everything."""

import html
import json
import re

import pytest

import striate as st
from page_elements import elements
from results import HOSTILE
from striate.diagnostics import StriateError


def frame(view):
    """The page inside the frame."""
    (iframe,) = elements(view._repr_html_()).all("iframe")
    assert iframe.attributes["sandbox"] == "allow-scripts"
    return elements(iframe.attributes["srcdoc"])


def record(page):
    holder, _ = page.all("script")
    return json.loads("".join(holder.children)), holder


def test_static_is_the_display_of_the_value():
    net = st.parse("7x7x1 -> conv 3x3")
    assert st.view(net)._repr_html_() == net._repr_html_()
    assert st.view("7x7x1 -> conv 3x3")._repr_html_() == net._repr_html_()
    assert "<script" not in st.view(net)._repr_html_()
    model = st.Model("8x8x1 -> conv 3x3 2", seed=0)
    assert st.view(model)._repr_html_() == model._repr_html_()


def test_the_frame_needs_nothing_from_around_it():
    page = frame(st.view("lenet5", "layer?n=7&f=3&s=3", interactive=True))
    found, holder = record(page)
    assert holder.attributes["data-route"] == "layer?n=7&f=3&s=3"
    assert [picture["kind"] for picture in found["pictures"]] == ["blocks"]
    (policy,) = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
    assert policy.startswith("default-src 'none'")
    assert not page.all("link", "img", "iframe")
    assert st.view("lenet5", "#pixels", interactive=True).route == "pixels"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(name):
    build = st.Builder(name, input=(1, 8, 8))
    net = build.build(build(st.ops.Conv(2, 3), *build.inputs.values(), name=name))
    view = st.view(net, interactive=True)
    text = view._repr_html_()
    assert len(re.findall("<", text)) == 2  # the frame and its end
    page = frame(view)
    assert len(page.all("script")) == 2 and len(page.all("iframe")) == 0
    found, _ = record(page)
    assert found["show"]["nodes"][0]["name"] == net.nodes[0].name
    assert html.escape("<script", quote=True) in text
    assert found["show"]["name"] == net.name


@pytest.mark.parametrize("height", [0, 119, 10_001, -5])
def test_a_height_that_no_frame_has(height):
    with pytest.raises(StriateError, match="height"):
        st.view("lenet5", interactive=True, height=height)


def test_it_says_what_it_is():
    assert repr(st.view("lenet5")) == "<View of lenet5: static>"
    assert repr(st.view("lenet5", "pixels", interactive=True)) == "<View of lenet5: pixels, interactive>"


def test_a_route_asks_for_the_live_page():
    assert st.view("lenet5", "pixels").route == "pixels"
    assert st.view("lenet5", interactive=True).route == "network"
    assert st.view("lenet5").record is None
    assert st.view("lenet5", "pixels", interactive=False).record is None
