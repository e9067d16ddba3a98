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
    shown = np.array([plane["levels"] for plane in facts["image"]["planes"]])
    reader = st.transforms.Transform.from_dict({"steps": [STEPS[0]]})
    pixels = np.asarray(Image.open(photo)).transpose(2, 0, 1)[None]
    assert np.abs(shown - reader(pixels)[0] * 255).max() < 1
    assert facts["image"]["name"] == "photo.png" and facts["image"]["colored"]
    assert [node["node"] for node in facts["nodes"]] == ["conv1"]


def test_images_in_hand_are_taken_as_predict_takes_them(photo):
    model = trained()
    from_file = st.draw(model, image=str(photo)).scene["facts"]["nodes"]
    assert st.draw(model, image=Image.open(photo)).scene["facts"]["nodes"] == from_file
    assert st.draw(model, image=np.asarray(Image.open(photo))).scene["facts"]["nodes"] == from_file
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


def test_a_failing_network_is_followed_as_far_as_it_goes(photo):
    net = st.load("16x16x3 -> conv 5x5 6 -> conv 30x30").with_parts(transform={"steps": STEPS})
    picture = st.draw(net, image=photo)
    assert "untrained: fresh weights, seed 0" in words(picture)
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
