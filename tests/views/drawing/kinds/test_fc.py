"""Kind `fc`: areas are to scale, and both sums stand there."""

import pytest

import striate as st
from striate.diagnostics import OpError, ShapeError

NET = "32x32x3 -> conv 5x5 6"


def words(scene):
    return " ".join(m["text"] for m in scene["drawing"]["marks"] if m["mark"] == "text")


@pytest.mark.parametrize("text", [NET, "7x7x1 -> conv 3x3", "4x4x2 -> conv 1x1 2", "1d 64x4 -> conv 5 8"])
def test_areas_are_as_the_numbers_of_parameters(text):
    scene = st.draw(text, "fc").scene
    squares = [
        m["width"] * m["height"]
        for family in ("conv", "dense")
        for m in scene["drawing"]["marks"]
        if m["mark"] == "rect" and m["fill"] == family and not m.get("dash")
    ]
    facts = scene["facts"]
    share = facts["layer"]["params"] / facts["fully_connected"]["params"]
    side = (squares[0] / squares[1]) ** 0.5
    assert len(squares) == 2 and side == pytest.approx(share**0.5, abs=0.06 / 250)


def test_both_sums_and_their_ratio_are_told():
    said = words(st.draw(NET, "fc").scene)
    assert "6·(5·5·3) + 6 = 456" in said
    assert "3072·4704 + 4704 = 14,455,392" in said
    assert "one output reads 75 of 3,072 numbers" in said
    assert "31,700 times as many parameters, 41 times as many MACs" in said


def test_another_layer_is_refused_with_one_that_can_be_drawn():
    with pytest.raises(OpError) as error:
        st.draw("lenet5", "fc", node=st.create("lenet5").nodes[-1].name)
    assert error.value.fix
    with pytest.raises(OpError) as error:
        st.draw("8x8x1 -> maxpool 2 -> conv 3x3", "fc", node="maxpool1")
    assert error.value.fix == "--node conv1"
    with pytest.raises(ShapeError):
        st.draw("2x2x1 -> conv 3x3", "fc")
