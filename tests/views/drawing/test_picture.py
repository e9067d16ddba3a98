"""A picture in hand: what it is saved as, and what it says when it cannot be."""

import json

import pytest

import striate as st
from striate.diagnostics import OpError, SourceError, StriateError, UnknownNameError, UsageError
from striate.ops import Conv

NET = "7x7x1 -> conv 3x3 2 /3 -> relu"


def test_a_picture_is_shown_by_a_notebook_and_told_by_python():
    picture = st.draw(NET)
    assert picture._repr_svg_() == picture.svg
    assert repr(picture) == f"<Picture of net: blocks, {picture.scene['drawing']['width']} x " + (
        f"{picture.scene['drawing']['height']} pixels>"
    )


def test_what_a_file_holds_follows_from_its_ending(tmp_path):
    picture = st.draw(NET)
    picture.save(tmp_path / "a.SVG")
    picture.save(str(tmp_path / "a.json"))
    picture.save(tmp_path / "a.tex")
    assert (tmp_path / "a.SVG").read_text("utf-8") == picture.svg
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == json.loads(json.dumps(picture.scene))
    assert (tmp_path / "a.tex").read_text("utf-8").startswith("\\RequirePackage")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.SVG", "a.json", "a.tex"]


@pytest.mark.parametrize(
    ("name", "near"), [("a", "a.svg"), ("a.jpg", "a.png"), ("a.sgv", "a.svg"), ("a.svg.gz", "a.svg.svg")]
)
def test_another_ending_writes_nothing_and_names_one_that_is_written(tmp_path, name, near):
    with pytest.raises(OpError) as error:
        st.draw(NET).save(tmp_path / name)
    assert error.value.fix == f"write {tmp_path / near}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"theme": "drak"}, "dark"),
        ({"direction": "rihgt"}, "right"),
        ({"scale": 0}, "1"),
        ({"scale": float("nan")}, "1"),
        ({"kind": "grpah"}, "graph"),
        ({"node": "conv2"}, "conv1"),
    ],
)
def test_a_wrong_option_names_the_right_one(wrong, said):
    with pytest.raises(StriateError) as error:
        st.draw(NET, **wrong)
    assert said in f"{error.value.fix} {error.value.why}"


def test_an_unknown_kind_is_a_key_error_too():
    with pytest.raises(UnknownNameError):
        st.draw(NET, "cubes")


def test_a_file_that_cannot_be_written_is_the_users_error(tmp_path):
    with pytest.raises(StriateError):
        st.draw(NET).save(tmp_path / "missing" / "folder" / "a.svg")


def test_scale_is_the_size_shown_and_nothing_else():
    one, two = st.draw(NET).svg, st.draw(NET, scale=2).svg
    assert one.split("viewBox", 1)[1] == two.split("viewBox", 1)[1]
    width = st.draw(NET).scene["drawing"]["width"]
    assert f' width="{2 * width}"' in two


def test_a_notebook_shows_the_picture_and_the_table_of_a_network():
    net = st.load("lenet5")
    shown = net._repr_html_()
    assert st.draw(net).svg in shown
    assert "<table>" in shown and "<script" not in shown


@pytest.mark.parametrize(
    ("kind", "options", "fix"),
    [
        ("blocks", {"compare": True}, "pixels"),
        ("blocks", {"unit": (9, 9)}, "field"),
        ("graph", {"cost": True}, "blocks"),
        ("fc", {"own_scale": True}, "filters"),
        ("graph", {"numbers": True}, "pixels"),
        ("training", {"compare": True}, "pixels"),
        ("confusion", {"node": "conv1"}, "pixels"),
        ("blocks", {"node": "conv1"}, "pixels"),
        ("layer", {"fold": False}, "blocks"),
        ("blocks", {"speed": 4}, "layer"),
        ("blocks", {"direction": "right"}, "graph"),
        ("maps", {"numbers": True}, "pixels"),
    ],
)
def test_an_option_that_means_nothing_names_a_kind_that_has_it(kind, options, fix):
    with pytest.raises(OpError) as error:
        st.draw(NET, kind, **options)
    assert error.value.fix == f"--kind {fix}"


def test_wrong_names_are_refused_in_words(tmp_path):
    picture = st.draw(NET)
    with pytest.raises(SourceError, match="cannot be written"):
        picture.save(str(tmp_path / "a\0.svg"))
    for path in (".", "..", "a", "b.jpg"):
        with pytest.raises(OpError, match="not written as"):
            picture.save(path)
    assert picture.content(".SVG") == picture.content(".svg")
    for node in (b"x", [b"x"], [5]):
        with pytest.raises(UsageError, match="node is"):
            st.draw("lenet5", "layer", node=node)
    assert not list(tmp_path.iterdir())


def test_a_direction_alone_draws_the_graph():
    assert st.draw(NET, direction="right").scene["drawing"]["kind"] == "graph"


def test_bars_are_drawn_for_a_network_with_branches_too():
    drawn = st.draw("resnet18", cost=True)
    assert drawn.scene["drawing"]["kind"] == "blocks"
    assert drawn.svg != st.draw("resnet18", "blocks").svg


@pytest.mark.parametrize("wrong", [3, None, [], b"a.svg"])
def test_what_is_no_path_is_told(wrong):
    picture = st.draw(NET)
    for save in (picture.save, picture.content):
        with pytest.raises(UsageError):
            save(wrong)


@pytest.mark.draw
@pytest.mark.filterwarnings("ignore:.*lacks")
@pytest.mark.parametrize("suffix", [".svg", ".json", ".tex", ".pdf", ".png"])
@pytest.mark.parametrize("kind", ["blocks", "layer", "filters"])
def test_names_of_broken_characters_are_written_in_every_form(kind, suffix):
    build = st.Builder("net\ud800", input={"in\ud800": (3, 9, 9)})
    net = build.build(build(Conv(4, kernel=3), build.inputs["in\ud800"], name="\ud800conv\x01"))
    assert st.draw(net, kind).content(suffix)
