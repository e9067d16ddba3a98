"""Kind `maps`: what `predict` computes, of the image that `predict` reads, as levels of 8 bits."""

import numpy as np
import pytest
from PIL import Image

import striate as st
from cli.run import run
from cli.test_json import differences
from drawn import read
from laws.test_drawings import contrasts, texts
from striate.diagnostics import FormatError, OpError, StriateError, UsageError
from striate.views.drawing import theme
from striate.views.schemas.facts import MapFacts

TEXT = "16x16x3 -> conv 5x5 6 pad 2 -> relu -> maxpool 2 -> conv 3x3 40 -> gap -> flatten -> fc 5"
STEPS = [
    {"step": "resize", "size": [16, 16]},
    {"step": "normalize", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
]


def trained(text=TEXT, steps=STEPS):
    model = st.Model(text, seed=2)
    model.transform = {"steps": steps} if steps else {}
    return model


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def words(picture):
    return " ".join(mark["text"] for mark in picture.scene["drawing"]["marks"] if mark["mark"] == "text")


def numbers(node):
    """Values of the maps, from their levels."""
    levels = np.array([one["levels"] for one in node["maps"]], float)
    return (levels - 128) / 127 * node["most"] if node["signed"] else levels / 255 * node["most"]


def test_levels_are_what_the_engine_computes(photo):
    model = trained()
    facts = st.draw(model, image=photo, node=["conv1", "relu1", "fc1"]).scene["facts"]
    assert not list(differences(facts, MapFacts))
    assert facts["trained"] and [node["value"] for node in facts["nodes"]] == ["conv1", "relu1", "fc1"]
    conv, relu, fc = map(numbers, facts["nodes"])
    assert fc[0, 0] == pytest.approx(model.predict(str(photo))[0], abs=facts["nodes"][2]["most"] / 250)
    assert relu == pytest.approx(np.maximum(conv, 0), abs=facts["nodes"][0]["most"] / 120)
    cut = st.Model(st.parse("16x16x3 -> conv 5x5 6 pad 2"))
    cut.weights, cut.transform = {k: model.weights[k] for k in cut.weights}, model.transform
    assert conv == pytest.approx(cut.predict(str(photo))[0], abs=facts["nodes"][0]["most"] / 250)


def test_the_input_is_shown_as_the_network_reads_it_before_normalization(photo):
    facts = st.draw(trained(), image=photo).scene["facts"]
    (image,) = facts["images"]
    shown = np.array([plane["levels"] for plane in image["planes"]])
    reader = st.transforms.Transform.from_dict({"steps": [STEPS[0]]})
    pixels = np.asarray(Image.open(photo)).transpose(2, 0, 1)[None]
    assert np.abs(shown - reader(pixels)[0] * 255).max() < 1
    assert (image["name"], image["input"], image["colored"]) == ("photo.png", "input", True)
    assert [node["node"] for node in facts["nodes"]] == ["conv1"]


def test_images_in_hand_are_taken_as_predict_takes_them(photo):
    model = trained()
    from_file = st.draw(model, image=str(photo)).scene["facts"]["nodes"]
    assert st.draw(model, image=Image.open(photo)).scene["facts"]["nodes"] == from_file
    assert st.draw(model, image=np.asarray(Image.open(photo))).scene["facts"]["nodes"] == from_file
    pixels = np.random.default_rng(1).random((3, 16, 16)).astype(np.float32)
    one, other = (st.draw(model, image=x).scene["facts"]["nodes"] for x in (pixels, pixels[None]))
    assert one == other
    for wrong in (np.zeros((2, 3, 16, 16), np.float32), [str(photo), str(photo)]):
        with pytest.raises(UsageError):
            st.draw(model, image=wrong)


def test_on_paper():
    """A bar of ones on a row of pixels: the maps are sums that a reader can check."""
    model = trained("3x3x1 -> conv 2x2 2 -> relu", None)
    model.weights["conv1.weight"] = np.array([[[[1, 1], [1, 1]]], [[[0, 0], [0, -1]]]], np.float32)
    model.weights["conv1.bias"] = np.zeros(2, np.float32)
    x = np.array([[[[0, 0, 0], [1, 1, 0], [0, 0, 0]]]], np.float32)
    conv, relu = st.draw(model, image=x, node=["conv1", "relu1"]).scene["facts"]["nodes"]
    assert (conv["most"], conv["signed"], relu["signed"], relu["silent"]) == (2, True, False, 1)
    assert [one["levels"] for one in conv["maps"]] == [[[255, 192], [255, 192]], [[64, 128], [128, 128]]]
    assert [one["levels"] for one in relu["maps"]] == [[[255, 128], [255, 128]], [[0, 0], [0, 0]]]
    assert "relu1: 1 of 2 channels 0 everywhere" in words(st.draw(model, image=x, node="relu1"))


NETS = {
    "deep": ("16x16x3 -> conv 3x3 300 -> conv 3x3 4", ["conv1"]),
    "wide": ("300x200x3 -> conv 3x3 2", ["conv1"]),
    "vectors": (TEXT, ["gap1", "flatten1", "fc1"]),
    "twins": (TEXT, ["conv1", "conv2", "maxpool1"]),
}


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("name", NETS)
def test_texts_are_readable(name, colors, photo):
    text, nodes = NETS[name]
    height, width = st.parse(text).input.spatial_sizes
    model = trained(text, [{"step": "resize", "size": [height, width]}, STEPS[1]])
    for own in (False, True):
        picture = st.draw(model, image=photo, node=nodes, own_scale=own, theme=colors)
        drawn = read(picture.svg)
        paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
        assert [*texts(drawn), *contrasts(drawn, paper)][:3] == []
        assert len(picture.svg) < 600_000
        for node in picture.scene["facts"]["nodes"]:
            shown = [channel for one in node["maps"] for channel in one["channels"]]
            assert shown == list(range(node["shape"][0]))  # every channel


def test_a_map_is_not_drawn_larger_than_the_one_it_was_pooled_from(photo):
    net = "56x56x3 -> conv 3x3 6 pad 1 -> maxpool 2 -> maxpool 2 -> maxpool 2 -> maxpool 7"
    model = trained(net, [{"step": "resize", "size": [56, 56]}, STEPS[1]])
    names = [node.name for node in model.net.nodes if "conv" in str(node.op) or "pool" in str(node.op)][:4]
    picture = st.draw(model, image=photo, node=names)
    maps = [m for m in picture.scene["drawing"]["marks"] if m["mark"] == "cells" and m["palette"] != "rgb"]
    assert {mark["side"] * len(mark["levels"]) for mark in maps if len(mark["levels"]) > 1} == {112}
    assert {len(mark["levels"]) for mark in maps} == {56, 28, 14, 7, 1}  # 1: their scales


@pytest.mark.parametrize(("text", "side"), [("16x16x3 -> conv 1x1 1", 224), ("64x20x3 -> conv 1x1 3", 224)])
def test_few_maps_are_large(text, side, photo):
    model = trained(text, [{"step": "resize", "size": [*st.parse(text).input.spatial_sizes]}, STEPS[1]])
    marks = st.draw(model, image=photo).scene["drawing"]["marks"]
    maps = [m for m in marks if m["mark"] == "cells" and m["palette"] != "rgb" and len(m["levels"]) > 1]
    assert {mark["side"] * len(mark["levels"]) for mark in maps} == {side}


def test_many_numbers_stand_in_rows_that_are_numbered(photo):
    model = trained(
        "40x40x3 -> conv 3x3 1500 -> gap -> flatten", [{"step": "resize", "size": [40, 40]}, STEPS[1]]
    )
    picture = st.draw(model, image=photo, node=["conv1", "gap1"])
    conv, gap = picture.scene["facts"]["nodes"]
    assert len(conv["maps"]) == 1024 and sum(len(one["channels"]) for one in gap["maps"]) == 1500
    drawing = picture.scene["drawing"]
    rows = {mark["text"] for mark in drawing["marks"] if mark["mark"] == "text" and mark["anchor"] == "end"}
    assert {"0", "64", "1472"} <= rows and str(conv["maps"][23]["channels"][0]) in rows
    assert "1,024 of 1,500 channels, at equal distances" in words(picture)
    assert not [*texts(read(picture.svg))] and drawing["height"] < 3000
    flat = trained("40x40x3 -> flatten", [{"step": "resize", "size": [40, 40]}, STEPS[1]])
    picture = st.draw(flat, image=photo)
    assert "4,096 of 4,800 numbers, at equal distances" in words(picture)
    assert not [*texts(read(picture.svg))] and picture.scene["drawing"]["height"] < 3000


def test_large_maps_are_means_of_blocks(photo):
    text, _ = NETS["wide"]
    model = trained(text, [{"step": "resize", "size": [300, 200]}, STEPS[1]])
    picture = st.draw(model, image=photo)
    (node,) = picture.scene["facts"]["nodes"]
    assert node["block"] == 2 and "mean of 2 x 2 numbers" in words(picture)
    cut = model.predict(str(photo))[0]
    blocks = cut.reshape(2, 149, 2, 99, 2).mean(axis=(2, 4))
    assert numbers(node) == pytest.approx(blocks, abs=node["most"] / 250)


def test_what_cannot_be_shown_is_refused(photo, tmp_path):
    with pytest.raises(OpError) as error:
        st.draw(TEXT, "maps")
    assert error.value.fix == "--image FILE"
    with pytest.raises(OpError):
        st.draw(TEXT, "blocks", image=photo)
    with pytest.raises(StriateError, match="no image transformation"):
        st.draw(TEXT, image=photo)
    with pytest.raises(FormatError):
        st.draw(trained(), image=tmp_path / "missing.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(FormatError, match=r"bad\.png"):
        st.draw(trained(), image=tmp_path / "bad.png")
    with pytest.raises(StriateError):
        st.draw(trained("8 -> fc 3", None), image=photo)


TWO = """
[network]
name = "two"
[network.inputs]
left = "16x16x1"
right = "12x12x3"
[[node]]
name = "a"
op = "conv"
filters = 4
kernel = 3
inputs = ["left"]
[[node]]
name = "b"
op = "conv"
filters = 2
kernel = 3
inputs = ["right"]
[[node]]
name = "gap_a"
op = "gap"
inputs = ["a"]
[[node]]
name = "gap_b"
op = "gap"
inputs = ["b"]
[[node]]
name = "concat"
op = "concat"
inputs = ["gap_a", "gap_b"]
"""


@pytest.fixture
def two(tmp_path):
    (tmp_path / "two.toml").write_text(TWO)
    return tmp_path / "two.toml"


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_every_input_has_an_image_of_its_own(two, photo, colors):
    model = st.Model(two, seed=1)
    picture = st.draw(
        model, image={"right": photo, "left": str(photo)}, node=["a", "b", "concat"], theme=colors
    )
    facts = picture.scene["facts"]
    assert not list(differences(facts, MapFacts))
    assert [(one["input"], one["shape"]) for one in facts["images"]] == [
        ("left", [1, 16, 16]),
        ("right", [3, 12, 12]),
    ]
    shown = {one["input"]: np.array([p["levels"] for p in one["planes"]]) / 255 for one in facts["images"]}
    said = model.predict({name: pixels[None].astype(np.float32) for name, pixels in shown.items()})
    concat = facts["nodes"][2]
    assert numbers(concat)[0, 0] == pytest.approx(said.reshape(-1), abs=concat["most"] / 60)
    drawn = read(picture.svg)
    paper = {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"]
    assert not [*texts(drawn), *contrasts(drawn, paper)]
    assert {"left", "right"} <= {text.text for text in drawn.texts}
    assert "transformation of left: none: pixels from 0 to 1" in words(picture)
    assert "left: color converted to gray" in words(picture)


def test_each_input_has_its_transformation(two, photo):
    model = st.Model(two, seed=1)
    steps = {"left": [0.5], "right": [0.1, 0.2, 0.3]}
    model.transform = {
        "inputs": {
            k: {"steps": [{"step": "normalize", "mean": m, "std": [0.5] * len(m)}]} for k, m in steps.items()
        }
    }
    pixels = {"left": np.full((16, 16, 1), 255, np.uint8), "right": np.full((12, 12, 3), 51, np.uint8)}
    facts = st.draw(model, image=pixels, node=["a", "b"]).scene["facts"]
    said = model.predict({name: x.transpose(2, 0, 1)[None] for name, x in pixels.items()})
    for node, values in zip(facts["nodes"], (said[0, :4], said[0, 4:]), strict=True):
        assert numbers(node).mean((1, 2)) == pytest.approx(values.reshape(-1), abs=node["most"] / 60)
    assert [one["transform"][:13] for one in facts["images"]] == ["normalize 0.5", "normalize 0.1"]


def test_images_that_do_not_go_with_the_inputs_are_refused(two, photo, tmp_path, monkeypatch):
    for given, fix in (
        (photo, "image={'left': …, 'right': …}"),
        ({"left": photo}, "image={'left': …, 'right': …}"),
        ({"left": photo, "rihgt": photo}, "write right"),
    ):
        with pytest.raises(UsageError) as error:
            st.draw(two, image=given)
        assert error.value.fix == fix
    for text in ("1d 100x1 -> conv 3 4", "8x8x8x1 -> conv 3 4", "784 -> fc 3"):
        with pytest.raises(UsageError, match="net takes no image") as error:
            st.draw(text, image=photo)
        assert "another kind" in error.value.fix
    monkeypatch.chdir(tmp_path)
    good = run("draw", "two.toml", "--image", "left=photo.png", "--image", "right=photo.png")
    assert (good.code, good.err) == (0, "") and "kind maps" not in good.out
    for words, fix in (
        (["photo.png"], "--image left=FILE --image right=FILE"),
        (["left=photo.png"], "--image left=FILE --image right=FILE"),
        (["left=photo.png", "rihgt=photo.png"], "write right"),
        (["left=photo.png", "photo.png"], "--image NAME=photo.png"),
        (["left=photo.png", "left=photo.png"], "an input has two images"),
    ):
        given = [word for text in words for word in ("--image", text)]
        found = run("draw", "two.toml", "--kind", "maps", *given)
        assert (found.code, found.out) == (2, "") and fix in found.err
    photo.rename(tmp_path / "a=b.png")
    one = run("draw", TEXT, "--image", "a=b.png", "--mean", "0", "--std", "1", "--json")
    assert one.code == 0 and '"a=b.png"' in one.out


def test_a_failing_network_is_followed_as_far_as_it_goes(photo):
    net = st.load("16x16x3 -> conv 5x5 6 -> conv 30x30").with_parts(transform={"steps": STEPS})
    picture = st.draw(net, image=photo)
    assert "untrained: fresh weights, seed 0" in words(picture)
    assert "G001 conv2: conv has no output" in words(picture) and "30" in words(picture)
    with pytest.raises(StriateError):
        st.draw(net, image=photo, node="conv2")


def test_the_command_takes_weights_and_a_normalization(photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = trained()
    model.export("weights.pth")
    given = ("--mean", "0.5,0.4,0.3", "--std", "0.2,0.3,0.4", "--weights", "weights.pth")
    drawn = run("draw", TEXT, "--image", "photo.png", "--node", "conv1", "--node", "relu1", *given)
    assert (drawn.code, drawn.err) == (0, "")
    assert "untrained" not in drawn.out and "relu1" in drawn.out
    assert "resized" in drawn.out or "resize" in drawn.out
    wrong = run("draw", TEXT, "--kind", "maps")
    assert (wrong.code, wrong.out) == (2, "") and "--image FILE" in wrong.err
