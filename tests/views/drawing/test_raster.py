"""Images: of the size asked for, in the colors of the theme, in the font that comes with the extra."""

import io
import re
import shlex
import subprocess
import sys
import warnings

import pytest
from PIL import Image

import striate as st
from cli.run import run
from striate.diagnostics import LimitError
from striate.extras import install_command
from striate.views.drawing import theme
from striate.views.drawing.comparison import diff_picture
from striate.views.drawing.raster import FINE, png
from striate.views.json_records import show_record

pytestmark = pytest.mark.draw
NET = "7x7x1 -> conv 3x3 2 /3 -> relu"


def image(**options):
    picture = st.draw(NET)
    return picture.scene["drawing"], Image.open(io.BytesIO(png(picture.scene["drawing"], **options))).convert(
        "RGB"
    )


@pytest.mark.parametrize("scale", [0.5, 1, 1.5])
def test_an_image_has_two_pixels_for_one_of_the_drawing(scale):
    drawing, pixels = image(scale=scale)
    for got, said in zip(pixels.size, (drawing["width"], drawing["height"]), strict=True):
        assert abs(got - said * FINE * scale) <= 1


@pytest.mark.parametrize(
    ("name", "colors"), [("light", theme.LIGHT), ("dark", theme.DARK), ("auto", theme.LIGHT)]
)
def test_an_image_has_the_colors_of_its_theme(name, colors):
    _, pixels = image(theme=name)
    assert pixels.getpixel((0, 0)) == theme.rgb(colors["paper"])
    seen = {color for _, color in pixels.getcolors(1 << 24)}
    assert {theme.rgb(colors[role]) for role in ("conv", "conv-top", "conv-side", "input", "ink")} <= seen


def test_text_is_drawn_without_fonts_of_the_system():
    """Where the letters are, there is ink."""
    picture = st.draw(NET)
    title = next(mark for mark in picture.scene["drawing"]["marks"] if mark["mark"] == "text")
    pixels = Image.open(io.BytesIO(png(picture.scene["drawing"]))).convert("L")
    x, y, size = (title[key] * FINE for key in ("x", "y", "size"))
    letters = pixels.crop((int(x), int(y - size), int(x + size), int(y)))
    assert letters.getextrema()[0] < 80


def test_letters_that_the_font_lacks_are_said():
    picture = st.draw("7x7x1 -> conv 3x3")
    picture.scene["drawing"]["marks"][0]["text"] = "層 net"
    with pytest.warns(UserWarning, match="層"):
        png(picture.scene["drawing"])


@pytest.mark.parametrize(
    "command",
    [
        "diff lenet5 lenet5_1998",
        "draw lenet5 --kind blocks",
        "draw lenet5 --kind graph",
        "draw lenet5 --kind field",
        "draw lenet5 --kind fc",
        "draw lenet5 --kind layer --node conv1",
        "draw '5x5x1 -> conv 3x3' --kind pixels --compare",
    ],
)
def test_what_striate_writes_has_letters(command, tmp_path):
    done = run(*shlex.split(command), "-o", str(tmp_path / "picture.png"))
    assert done.code == 0
    assert re.fullmatch(r"\S+picture\.png: [\d.]+ KiB written\n", done.err), "no letter is lost"


def test_an_image_that_is_too_large_says_which_scale_would_do():
    picture = st.draw(NET)
    with pytest.raises(LimitError) as error:
        png(picture.scene["drawing"], scale=100)
    scale = float(error.value.fix.split()[1].rstrip(","))
    drawing = picture.scene["drawing"]
    assert drawing["width"] * drawing["height"] * (FINE * scale) ** 2 <= 2.1e8


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_without_the_extra_the_install_command_is_said(tmp_path, suffix):
    text = f"""
import sys
sys.modules["resvg_py"] = sys.modules["reportlab"] = None
import striate as st
try:
    st.draw("7x7x1 -> conv 3x3").save(r"{tmp_path / "a"}.{suffix}")
except st.StriateError as error:
    print(error.fix)
"""
    answer = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert install_command("draw") in answer.stdout, answer.stderr
    assert not list(tmp_path.iterdir())


def test_an_image_without_a_pixel_is_refused_with_the_least_scale():
    drawing = st.draw(NET).scene["drawing"]
    with pytest.raises(LimitError) as error:
        png(drawing, scale=1e-4)
    assert png(drawing, scale=float(error.value.fix.removeprefix("--scale ")))


def test_the_difference_of_two_networks_has_letters_of_the_font(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nets = st.create("lenet5"), st.create("vgg11")
        diff_picture(nets, tuple(show_record(net) for net in nets)).save(tmp_path / "a.png")
