"""The record of a picture: the kind that is taken, and what it holds."""

import json

import pytest

import striate as st
from laws.pictured import SHAPED
from striate.diagnostics import UnknownNameError
from striate.views.drawing.kinds import KINDS, RESULTS
from striate.views.drawing.scene import branched, scene


@pytest.mark.parametrize(("name", "kind"), [("vgg16", "blocks"), ("resnet18", "graph"), ("unet", "graph")])
def test_networks_with_branches_are_graphs(name, kind):
    net = SHAPED[name]() if name in SHAPED else st.create(name)
    assert branched(net) == (kind == "graph")
    assert scene(net)["drawing"]["kind"] == kind


def test_a_scene_is_the_shown_record_and_more():
    record = scene(st.create("lenet5"))
    assert record["schema"] == "striate.scene/1"
    assert json.loads(json.dumps(record)) == record
    assert record["totals"]["params"] == 61706
    assert {"facts", "drawing", "nodes", "findings", "totals"} <= record.keys()


def test_every_kind_is_named_and_others_are_refused():
    with pytest.raises(UnknownNameError) as error:
        scene(st.create("lenet5"), "block")
    assert all(kind in error.value.why for kind in (*KINDS, *RESULTS))


def test_a_picture_is_told_in_words():
    words = scene(st.create("lenet5"), "blocks")["drawing"]["description"]
    assert words.startswith("lenet5. conv1: conv 5x5, 28 x 28 x 6; pool1: maxpool 2x2, 14 x 14 x 6")
