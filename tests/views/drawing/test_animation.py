"""Animated files: a step for each position, how long each is shown, and each step the still picture at that step."""

import io
import sys

import pytest
from PIL import Image, ImageChops

import striate as st
from cli.run import run
from striate.diagnostics import LimitError, MissingExtraError
from striate.extras import install_command
from striate.views.drawing.animation import FACTOR, animation, durations
from striate.views.drawing.motion import still
from striate.views.drawing.raster import png

pytestmark = pytest.mark.draw
NET = "4x3x1 -> conv 2x2"
SIZE = 0.4


def opened(data):
    return Image.open(io.BytesIO(data))


def steps(image):
    """(pixels, milliseconds) of each step."""
    found = []
    for k in range(image.n_frames):
        image.seek(k)
        image.load()
        found.append((image.convert("RGB"), image.info["duration"]))
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_each_step_is_the_still_picture_at_that_step(suffix, theme):
    drawing = st.draw(NET, "layer", animate=True, numbers=True, speed=5).scene["drawing"]
    data = animation(drawing, suffix, theme, SIZE)
    image = opened(data)
    assert image.info["loop"] == 0  # for ever
    shown = steps(image)
    assert [time for _, time in shown] == [200] * 5 + [2200]
    meant = [opened(png(still(drawing, k), theme, SIZE * FACTOR)).convert("RGB") for k in range(6)]
    for k, (pixels, _) in enumerate(shown):
        differences = ImageChops.difference(pixels, meant[k]).convert("L")
        assert differences.getextrema()[1] < 60  # rare shades of letters are those nearest in the palette
        assert sum(differences.histogram()[8:]) < 0.004 * pixels.width * pixels.height
        assert pixels.getpixel((0, 0)) == meant[k].getpixel((0, 0))
        other = ImageChops.difference(pixels, meant[k - 1]).convert("L")
        assert sum(other.histogram()[60:]) > 0
    assert animation(drawing, suffix, theme, SIZE) == data


def test_a_picture_that_does_not_move_is_one_image():
    picture = st.draw(NET, "layer", scale=SIZE)
    for suffix in (".gif", ".webp"):
        image = opened(picture.content(suffix))
        assert getattr(image, "n_frames", 1) == 1
        assert "loop" not in image.info or suffix == ".webp"


def test_the_last_step_holds_and_no_step_is_too_short():
    motion = {"steps": 3, "speed": 4.0, "hold": 2.0}
    assert durations(motion, 20) == [250, 250, 2250]
    with pytest.warns(UserWarning, match="at most 50 steps per second"):
        assert durations(motion | {"speed": 60.0}, 20) == [20, 20, 2020]
    assert durations(motion | {"speed": 60.0}, 1) == [17, 17, 2017]


def test_an_animation_of_many_positions_says_which_it_shows():
    def words(text):
        marks = st.draw(text, "layer", animate=True).scene["drawing"]["marks"]
        return " ".join(mark["text"] for mark in marks if mark["mark"] == "text")

    assert "the animation shows 196 of 900 positions" in words("32x32x1 -> conv 3x3")
    assert "the animation shows 56 of 98 positions" in words("1d 100x1 -> conv 3")
    assert "animation" not in words(NET)
    still_picture = st.draw("32x32x1 -> conv 3x3", "layer").svg
    assert "animation" not in still_picture


def test_an_animation_that_is_too_large_says_which_scale_would_do():
    drawing = st.draw("32x32x1 -> conv 3x3", "layer", animate=True).scene["drawing"]
    with pytest.raises(LimitError) as error:
        animation(drawing, ".gif", scale=10)
    assert error.value.fix.startswith("--scale ")


def test_a_gif_of_a_layer_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("draw", "3x4x1 -> conv 2x2", "--kind", "layer", "--scale", "0.3", "-o", "a.gif").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    assert Image.open("a.gif").n_frames == 6


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_without_pillow_the_install_command_is_named(monkeypatch, suffix):
    picture = st.draw("7x7x1 -> conv 3x3", "layer")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError) as error:
        picture.content(suffix)
    assert install_command("draw") in error.value.fix
