"""Displays of notebooks: static HTML for every class that has one, well-formed, without script, whatever names hold."""

import dataclasses
import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

import striate as st
from results import HOSTILE, evaluation, history
from striate import hooks
from striate.network import Builder
from striate.ops import Concat, Conv
from striate.views.displays import DISPLAYS

NET = '7x7x1 -> "<script>alert(1)</script>": conv 3x3 2 /3 -> relu'
BROKEN = '9x9x3 -> conv 3x3 -> "<b>": conv 99x99 -> relu'


def siamese():
    build = Builder("<i>pair</i>", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    left, right = (build(Conv(2, 3, stride=2), x) for x in build.inputs.values())
    return build.build(build(Concat(), left, right))


def named_model():
    model = st.Model("8x8x1 -> conv 3x3 2 -> flatten -> fc 2", seed=0)
    model.classes = HOSTILE[:2]
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.25]}]}
    return model


def attribution(method):
    model, image = named_model(), np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    return dataclasses.replace(st.attribute(model, image, method), name=HOSTILE[0], network=HOSTILE[1])


def nearest():
    images = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    found = st.nearest(named_model(), "conv1", (images, np.arange(6) % 2), count=2)
    return dataclasses.replace(found, network=HOSTILE[1], node=HOSTILE[0], data=HOSTILE[2], notes=HOSTILE)


def recording():
    found = st.probe(named_model(), "conv1")
    return dataclasses.replace(found, network=HOSTILE[0], node=HOSTILE[1])


SHOWN = {
    "Network": [lambda: st.parse(NET), lambda: st.parse(BROKEN), siamese, lambda: st.load("lenet5")],
    "Model": [lambda: st.Model(NET, seed=0), lambda: st.Model(siamese(), seed=0), named_model],
    "Analysis": [lambda: st.analyze(NET), lambda: st.analyze(BROKEN), lambda: st.analyze(siamese(), "fvcore")],
    "Report": [lambda: st.check(NET), lambda: st.check(BROKEN), lambda: st.check("8x8x1 -> relu")],
    "Sizes": [lambda: st.sizes(NET), lambda: st.sizes("8x8x1 -> relu")],
    "PixelUse": [lambda: st.pixels(NET), lambda: st.pixels("1d 90x1 -> conv 3"), lambda: st.pixels("resnet18"),
                 lambda: st.pixels("3d 6x6x6x1 -> conv 3x3x3")],
    "History": [lambda: history(6, HOSTILE[0]), lambda: history(60, ""), lambda: history(0, "")],
    "Evaluation": [lambda: evaluation(HOSTILE, 20, source=HOSTILE[0]), lambda: evaluation(tuple(map(str, range(50))))],
    "Attribution": [lambda: attribution("saliency"), lambda: attribution("grad-cam")],
    "Nearest": [nearest],
    "Recording": [recording],
    "Population": [lambda: dataclasses.replace(st.population(named_model(), seeds=1), network=HOSTILE[0])],
}  # fmt: skip
CASES = [(name, number) for name, makers in SHOWN.items() for number in range(len(makers))]


def subclasses(cls):
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("striate."):
            yield sub
            yield from subclasses(sub)


def test_every_class_with_a_display_is_shown_and_tried():
    [make() for makers in SHOWN.values() for make in makers]  # which loads them
    named = {cls.__name__ for cls in subclasses(hooks.Displayed)}
    assert named - {"Loaded"} == DISPLAYS.keys() == SHOWN.keys()  # what was loaded is a network


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_display_is_static_well_formed_and_safe(name, number):
    value = SHOWN[name][number]()
    html = value._repr_html_()
    document = ElementTree.fromstring(html)
    tags = {element.tag.rpartition("}")[2] for element in document.iter()}
    assert not tags & {"script", "iframe", "link", "object", "embed", "img", "foreignObject", "a", "form"}
    for element in document.iter():
        for key, text in element.attrib.items():
            assert not key.lower().startswith("on")
            if key.rpartition("}")[2] in ("href", "src"):
                assert text.startswith("data:image/png;base64,")
            assert not re.search(r"url\((?!#)|javascript:|@import", text)
    assert "<script" not in html and "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", html)
    assert value._repr_html_() == html  # saved notebooks do not change


@pytest.mark.parametrize(("name", "number"), CASES)
def test_what_is_wide_scrolls_and_long_names_wrap(name, number):
    """A page is never wider than its window, whatever names hold."""
    document = ElementTree.fromstring(SHOWN[name][number]()._repr_html_())
    parents = {child: parent for parent in document.iter() for child in parent}
    for element in document.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "table" or (tag == "svg" and parents[element].tag == "div"):
            assert "overflow-x: auto" in parents[element].get("style", "")
        if tag in ("td", "th") and len("".join(element.itertext())) > 40 and not element.get("colspan"):
            assert "overflow-wrap" in element.get("style") and "max-width" in element.get("style")


@pytest.mark.parametrize(("name", "number"), CASES)
def test_the_text_stays(name, number):
    value = SHOWN[name][number]()
    assert repr(value) and "<svg" not in repr(value) + str(value)


def test_displays_of_one_page_do_not_meet():
    pages = [SHOWN[name][number]()._repr_html_() for name, number in CASES]
    ids = Counter(key for page in pages for key in re.findall(r'\bid="([^"]+)"', page))
    assert ids and set(ids.values()) == {1}
    for page in pages:
        assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(re.findall(r'\bid="([^"]+)"', page))
        for sheet in re.findall(r"<style>(.*?)</style>", page):  # rules reach no further than pictures
            rules = re.findall(r"[{}]([^{}@]+)\{", sheet)
            assert rules and all(rule.startswith(".striate .") for rule in rules)
    colors = {}  # and say the same in all of them
    for rule, color in re.findall(r"(\.striate \.[\w-]+)\{(\w+:#\w+)\}", "".join(pages)):
        assert colors.setdefault(rule, color) == color


def test_names_are_shown_as_they_are():
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in st.parse(NET)._repr_html_()
    assert "&lt;script&gt;" in evaluation(HOSTILE)._repr_html_()


def test_what_a_display_holds():
    rows = [row[0].text for row in ElementTree.fromstring(st.check(NET)._repr_html_()).findall(".//tbody/tr")]
    assert rows == [finding.code for finding in st.check(NET).findings]
    told = history(6)
    shown = ElementTree.fromstring(told._repr_html_())
    assert len(shown.findall(".//tbody/tr")) == 6
    assert "N = 0 mod 3, N &gt;= 3" in st.sizes("7x7x1 -> conv 3x3 /3", near=7)._repr_html_()
    assert "13 of 49 pixels are never read" in st.pixels("7x7x1 -> conv 3x3 /3")._repr_html_()
    assert evaluation()._repr_html_().count("<svg") == 2


def test_a_long_table_is_closed():
    assert "<details>" in history(60)._repr_html_() and "<details>" not in history(6)._repr_html_()


def test_a_class_of_ones_own_is_shown_as_its_base():
    class Mine(st.Model):
        pass

    assert "<svg" in Mine("8x8x1 -> relu")._repr_html_()


def test_a_network_is_shown_without_training():
    import subprocess
    import sys

    code = (
        "import striate as st, sys; st.parse('7x7x1 -> conv 3x3 /3')._repr_html_(); "
        "st.sizes('lenet5')._repr_html_(); st.check('lenet5')._repr_html_(); "
        "print([m for m in sys.modules if m.startswith('striate.train') or m in ('numpy', 'PIL', 'torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
