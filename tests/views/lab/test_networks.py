"""Networks of the page: what is typed is checked and fixed as `striate check` does, and names no file."""

import dataclasses
import json
import time

import pytest

import striate
from cli.run import run
from striate.diagnostics import FormatError, LimitError, StriateError, UnknownNameError
from striate.formats import parse
from striate.views.lab.networks import MAX_NODES, MAX_SIDE, MAX_TEXT, START, Networks, Source
from striate.views.page.record import live_record

STRIDE = "7x7x1 -> conv 3x3 /3"
TOML = """[network]
input = "9x9x8"  # of the paper

[[node]]  # a mean
name = "m"
op = "avgpool 3x3 /2 pad 1"
"""


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """In a folder without settings."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def networks():
    return Networks()


@pytest.mark.parametrize("text", [STRIDE, START, "7x7x1 -> conv 9x9 -> relu -> conv 3x3", TOML])
def test_the_record_is_that_of_the_command_line(networks, text, tmp_path):
    (tmp_path / "net.toml").write_text(text)
    shown = json.loads(run("show", "net.toml" if "[" in text else text, "--json").out)
    answer = networks.record(Source(text))
    ours = json.loads(json.dumps(answer["page"]["show"]))
    problems = ours.pop("problems"), shown.pop("problems")
    assert ours == shown
    assert [(one["node"], one["code"]) for one in problems[0]] == [
        (one["node"], one["code"]) for one in problems[1]
    ]
    assert answer["text"] == text
    assert answer["form"] == ("toml" if "[" in text else "notation")
    json.dumps(answer, allow_nan=False)


def test_the_page_begins_with_a_text_for_every_network(tmp_path):
    (tmp_path / "net.toml").write_text(TOML)
    assert Networks().first.text == START
    assert Networks(STRIDE).first.text == STRIDE
    assert Networks("net.toml").first.text == TOML
    for model in ("resnet18", "lenet5"):
        opened = Networks(model)
        shown = opened.record(opened.first)["page"]["show"]
        assert shown["name"] == opened.record(Source(model=model))["page"]["show"]["name"] == model
    changed = Networks("lenet5", "48x48x1")
    assert changed.record(changed.first)["page"]["show"]["input"] == [1, 48, 48]


def fixes(networks, source):
    show = networks.record(source)["page"]["show"]
    return [
        (one["code"], one["node"], fix)
        for one in (*show["problems"], *show["findings"])
        for fix in one["fixes"]
        if fix["change"] or fix["input"]
    ]


@pytest.mark.parametrize(
    "source",
    [Source(STRIDE), Source(STRIDE, input="10x10x1"), Source(TOML), Source(TOML, input="11x11x8"),
     Source("# a comment\n7x7x1 -> conv 9x9 -> relu"), Source(model="alexnet", input="225x225x3")],
    ids=lambda source: f"{source.model or source.text[:20]!r} {source.input}",
)  # fmt: skip
def test_every_fix_that_changes_something_cures_its_finding(networks, source):
    found = fixes(networks, source)
    assert found
    for code, node, fix in found:
        fixed = networks.fix(source, code, node, fix["text"])
        again = fixes(networks, Source(fixed["text"], input=fixed["input"]))
        assert (code, node, fix["text"]) not in [(c, n, f["text"]) for c, n, f in again]
        assert fixed["text"] != source.text or fixed["input"] != source.input


def test_a_fix_keeps_the_rest_of_the_text(networks):
    ((code, node, fix), *_) = fixes(networks, Source(TOML))
    text = networks.fix(Source(TOML), code, node, fix["text"])["text"]
    assert "# of the paper" in text and "# a mean" in text
    other = networks.fix(
        Source(STRIDE, input="10x10x1"), *_first_change(networks, Source(STRIDE, input="10x10x1"))
    )
    assert other["text"].startswith("7x7x1") or other["input"] != "10x10x1"


def _first_change(networks, source):
    code, node, fix = next(entry for entry in fixes(networks, source))
    return code, node, fix["text"]


NONE = [
    ("G002", "conv1", "stride 7"),
    ("G001", "conv1", "pad 1"),
    ("", None, ""),
    ("G002", None, "stride 1 (-> 5x5)"),
]


@pytest.mark.parametrize(("code", "node", "fix"), NONE)
def test_a_fix_that_no_finding_has_is_refused(networks, code, node, fix):
    with pytest.raises(FormatError, match="no such finding"):
        networks.fix(Source(STRIDE), code, node, fix)


def test_advice_is_not_applied(networks):
    source = Source("16x16x3 -> conv 1x1 8 -> relu -> maxpool 2 -> relu")
    show = networks.record(source)["page"]["show"]
    advice = [
        (one["code"], one["node"], fix["text"])
        for one in show["findings"]
        for fix in one["fixes"]
        if not fix["change"] and not fix["input"]
    ]
    assert advice
    for one in advice:
        with pytest.raises(FormatError, match="made by hand"):
            networks.fix(source, *one)


NAMES = [
    "net.toml", "./net.toml", "../net.toml", "/etc/passwd", "os:path", "net.py", "net.py:net", "runs/a", "~/x",
    "7x7x1 -> conv 3x3", "", "resnet1",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_page_is_one_of_the_catalogue(networks, name, tmp_path):
    (tmp_path / "net.toml").write_text(TOML)
    (tmp_path / "net.py").write_text("raise SystemExit('it was run')")
    if name:
        with pytest.raises(UnknownNameError):
            networks.record(Source(model=name))
    with pytest.raises(StriateError) as caught:
        networks.record(Source(name if "->" not in name else f"{name} x"))
    assert "of the paper" not in str(caught.value)


LARGE = [
    f"8x8x3 -> [relu]*{MAX_NODES + 1}", "32x32x3 -> [conv 3x3 3 pad same]*49000", "8x8x3 -> [[relu]*1000]*1000",
    f"{MAX_SIDE + 1}x8x3 -> conv 3x3", "1000000000x1000000000x3 -> conv 3x3 /7 -> conv 5x5 /3",
    "[network]\ninput = '8x8x1'\n" + "[[node]]\nop = 'relu'\n" * (MAX_NODES + 1),
    "8x8x3 -> conv 3x3 pad 99999999", "8x8x1 -> conv 3x3 pad 1000000000 /1000000000", "8x8x1 -> upsample 1000000000",
    "8x8x1 -> conv 3x3 pad 1000000000 dilation 1000000000", "8x8x1 -> maxpool 1000000000 pad 500000000",
    "65536x1 -> conv 65535 pad 32767 mode reflect",
]  # fmt: skip


@pytest.mark.parametrize("text", LARGE, ids=lambda text: text[:40])
def test_what_would_keep_the_page_waiting_is_refused_at_once(networks, text):
    start = time.monotonic()
    with pytest.raises(LimitError):
        networks.record(Source(text))
    assert time.monotonic() - start < 20  # a hang, not a matter of speed


@pytest.mark.parametrize("source", [Source(STRIDE), Source(model="lenet5")], ids=["text", "model"])
def test_the_size_of_the_editor_is_refused_too(networks, source):
    with pytest.raises(LimitError):
        networks.record(dataclasses.replace(source, input=f"{MAX_SIDE + 1}x7x1"))


@pytest.mark.parametrize("blank", ["\n", " \n", "\t", "#\n", "[\n", "->", "a: ", "4x4x1 -> "], ids=repr)
def test_a_text_of_one_thing_repeated_is_answered_at_once(networks, blank):
    start = time.monotonic()
    with pytest.raises(StriateError):
        networks.record(Source(blank * (MAX_TEXT // len(blank))))
    assert time.monotonic() - start < 20  # a hang, not a matter of speed


TYPED = [STRIDE[:k] for k in range(len(STRIDE))] + [TOML[:k] for k in range(0, len(TOML), 3)]


def test_every_beginning_of_a_text_is_answered_in_words(networks):
    for text in TYPED:
        try:
            json.dumps(networks.record(Source(text)), allow_nan=False)
        except StriateError as error:
            assert error.what and error.code != "I000"


def test_a_comparison_is_that_of_the_command_line(networks):
    answer = networks.compare(Source(model="resnet18"), Source(model="resnet34"))
    assert answer["diff"] == json.loads(run("diff", "resnet18", "resnet34", "--json").out)
    assert answer["svg"].startswith("<svg")


def test_pictures_are_those_of_the_network(networks):
    kinds = ["blocks", "graph", "pixels", "field", "layer"]
    answer = networks.pictures(Source(STRIDE), kinds, "", ())["pictures"]
    assert [one["kind"] for one in answer] == kinds
    assert all(one["svg"].startswith("<svg") and one["caption"] for one in answer)
    (one,) = networks.pictures(Source(START), ["field"], "conv1", (3, 4))["pictures"]
    assert "conv1" in one["svg"]
    with pytest.raises(UnknownNameError):
        networks.pictures(Source(START), ["field"], "conv9", ())


def test_what_views_need_is_that_of_a_report(networks):
    views = networks.views(Source(STRIDE))["network"]
    assert json.dumps(views, allow_nan=False)
    assert views == live_record(networks.find(Source(STRIDE)).show, net=parse(STRIDE))["network"]


def test_names_that_are_markup_stay_text(networks):
    text = '8x8x1 -> "<img src=x onerror=alert(1)>": conv 3x3 /4'
    for one in networks.pictures(Source(text), ["blocks", "graph"], "", ())["pictures"]:
        assert "<img" not in one["svg"]


def test_the_page_gets_what_it_computes_with(tmp_path):
    """Weights of a small network, of a large one what an image is, and of a run images of its data."""
    page = Networks().record(Networks().first)["page"]
    assert page["model"]["weights"] and page["drawing"]["image"] == [32, 32, 3]
    opened = Networks("resnet18")
    page = opened.record(opened.first)["page"]
    assert "model" not in page and page["drawing"]["image"] == [224, 224, 3]
    model = striate.Model("8x8x1 -> flatten -> fc 10")
    model.fit("digits", epochs=1, out=tmp_path / "run", verbose=False)
    opened = Networks(str(tmp_path / "run"))
    assert [one.first_view for one in (Networks(), Networks("resnet18"), opened)] == [
        "course",
        "network",
        "training",
    ]
    page = opened.record(opened.first)["page"]
    assert page["drawing"]["trained"] and len(page["drawing"]["samples"]) == 10
