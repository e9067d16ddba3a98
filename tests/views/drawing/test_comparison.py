"""The picture of `striate diff`: what differs stands out in both networks, and nothing else does."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import striate
from cli.run import run
from striate.views.drawing.comparison import diff_picture
from striate.views.json_records import show_record

BASE = "28x28x1 -> conv 5x5 6 pad 2 -> relu -> maxpool 2 -> conv 5x5 16 -> relu -> flatten -> fc 10"


def picture(a, b):
    nets = (
        striate.parse(a) if "->" in a else striate.create(a),
        striate.parse(b) if "->" in b else striate.create(b),
    )
    return diff_picture(nets, tuple(show_record(net) for net in nets))


def words(picture):
    return [mark["text"] for mark in picture.scene["drawing"]["marks"] if mark["mark"] == "text"]


def states(picture):
    """Key of each box that stands out to its word, one list for each network from left to right."""
    texts = [m for m in picture.scene["drawing"]["marks"] if m["mark"] == "text" and m.get("about")]
    middle = picture.scene["drawing"]["width"] / 2
    said = {"changed", "resized", "only in A", "only in B"}
    return [
        {m["about"]: m["text"] for m in texts if m["text"] in said and (m["x"] > middle) == right}
        for right in (False, True)
    ]


def test_a_network_beside_itself():
    drawn = picture(BASE, BASE)
    assert states(drawn) == [{}, {}]
    assert "no layer differs" in words(drawn)


def test_what_changed_and_what_follows_from_it():
    drawn = picture(BASE, BASE.replace("conv 5x5 6 pad 2", "conv 3x3 6"))
    left, right = states(drawn)
    assert left == right == {
        "conv1": "changed", "maxpool1": "resized", "conv2": "resized", "flatten1": "resized", "fc1": "resized",
    }  # fmt: skip
    assert "conv1: conv 5x5 6 pad 2 -> conv 3x3 6" in words(drawn)


def test_a_layer_in_one_network_only():
    left, right = states(
        picture(BASE, BASE.replace("-> maxpool 2", "-> dropout -> conv 3x3 6 pad 1 -> maxpool 2"))
    )
    assert left == {}
    assert right == {"conv1": "changed", "conv2": "only in B"}


def test_layers_of_sequential_modules_are_matched_by_what_they_do():
    """The number in the name of a module's layer moves when a layer is put before it."""
    left, right = states(picture("vgg11", "vgg13"))
    assert set(right) == {"features.0", "features.5"} and set(left) <= {"features.0", "features.3"}


def test_modules_are_opened_alike():
    drawn = picture("resnet18", "resnet34")
    left, right = states(drawn)
    assert left == {} and set(right) == {"layer1.0", "layer2.1", "layer3.1", "layer4.1"}
    assert "only in B: 7 layers of layer1.2" in words(drawn)


@pytest.mark.parametrize("model", ["googlenet", "unet", "densenet121"])
def test_a_network_at_two_sizes(model, tmp_path):
    file = tmp_path / "diff.svg"
    channels = striate.create(model).inputs["input"].shape[1]
    done = run(
        "diff", model, "--input", f"288x288x{channels}", "--input-b", f"320x320x{channels}", "-o", str(file)
    )
    assert done.code == 0, done.err
    assert file.read_text("utf-8").startswith("<svg")


LAYERS = st.lists(
    st.sampled_from(["conv 3x3 4 pad 1", "relu", "maxpool 2", "conv 1x1 8", "bn", "conv 5x5 4", "dropout 0.5"]),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(LAYERS, LAYERS)
def test_networks_that_differ_are_lit_where_they_do(one, other):
    a, b = (" -> ".join(["64x64x3", *layers]) for layers in (one, other))
    drawn = picture(a, b)
    record = drawn.scene
    assert json.loads(json.dumps(record)) == record
    left, right = states(drawn)
    assert bool(left or right) == (one != other)


def test_json_and_forms(tmp_path):
    file = tmp_path / "d.json"
    assert run("diff", "lenet5", "lenet5", "--input-b", "32x32x1", "-o", str(file)).code == 0
    record = json.loads(file.read_text("utf-8"))
    assert record["schema"] == "striate.diff-scene/1" and record["drawing"]["kind"] == "diff"
    assert run("diff", "lenet5", "alexnet", "-o", str(tmp_path / "d.docx")).code == 2
    assert run("diff", "lenet5", "alexnet", "-o", str(tmp_path / "d.tex")).code == 0
