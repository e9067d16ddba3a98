"""Decoding: every mode becomes gray or RGB and says so; what is broken or a bomb is an error of this image."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError
from striate.train.data import load_image
from striate.train.data.images import DEEPER, look, read_image
from train.data.makers import encoded, five_parts, picture

COLOR, GRaY = picture(1, (4, 5)), picture(2, (4, 5), 1)


def saved(image: Image.Image, format="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_formats_without_loss(format):
    pixels, notes = load_image(encoded(COLOR, format))
    assert np.array_equal(pixels, COLOR.transpose(2, 0, 1)) and notes == ()
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    pixels, notes = load_image(encoded(GRaY, format))
    assert np.array_equal(pixels, GRaY[None]) and notes == ()


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
def test_other_formats(format):
    flat = np.full((8, 8, 3), 128, np.uint8)
    pixels, _ = load_image(encoded(flat, format))
    assert pixels.shape == (3, 8, 8) and np.abs(pixels.astype(int) - 128).max() <= 4


def test_gray_and_color_on_demand():
    pixels, notes = load_image(encoded(GRaY), channels=3)
    assert np.array_equal(pixels, np.stack([GRaY] * 3)) and notes == ("gray repeated to three channels",)
    pixels, notes = load_image(encoded(COLOR), channels=1)
    assert np.array_equal(pixels[0], np.asarray(Image.fromarray(COLOR).convert("L")))
    assert notes == ("color converted to gray",)
    with pytest.raises(FormatError) as caught:
        load_image(encoded(COLOR), channels=4)
    five_parts(caught.value)


def test_palette():
    image = Image.fromarray(COLOR).quantize(4)
    pixels, notes = load_image(saved(image))
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    assert notes == ("palette read as RGB",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode):
    if mode == "P":
        image = Image.new("P", (2, 1), 0)
        image.putpalette([0, 0, 0, 10, 20, 30])
        image.putpixel((1, 0), 1)
        data = saved(image, transparency=0)
    else:
        image = Image.new(mode, (2, 1))
        image.putpixel((1, 0), (10, 20, 30, 255) if mode == "RGBA" else (10, 255))
        data = saved(image)
    pixels, notes = load_image(data)
    assert (pixels[:, 0, 0] == 255).all()
    assert pixels[:, 0, 1].tolist() == ([10] if mode == "LA" else [10, 20, 30])
    assert notes == ("transparent pixels composited over white",)


def test_other_modes():
    assert load_image(saved(Image.fromarray(COLOR).convert("CMYK"), "TIFF"))[1] == ("CMYK read as RGB",)
    black_white = Image.fromarray(GRaY).convert("1")
    pixels, notes = load_image(saved(black_white))
    assert set(np.unique(pixels)) <= {0, 255} and pixels.shape[0] == 1 and notes == ()


def test_sixteen_bits():
    wide = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    pixels, notes = load_image(saved(Image.fromarray(wide)))
    assert np.array_equal(pixels[0], wide >> 8) and notes == ("16 bits per pixel reduced to 8",)
    assert load_image(saved(Image.fromarray(wide)), channels=3)[0].shape == (3, 4, 5)
    pixels, notes = read_image(saved(Image.fromarray(wide)))
    assert np.array_equal(pixels[0], wide / np.float32(65_535)) and notes == (DEEPER,)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen(format):
    """A data set keeps every level; for eyes they are spread over all that 8 bits have."""
    twelve = np.linspace(0, 4095, 48).astype(np.uint16).reshape(6, 8)
    pixels, notes = read_image(saved(Image.fromarray(twelve), format))
    assert np.array_equal(np.rint(pixels[0] * 65_535), twelve)
    pixels, notes = load_image(saved(Image.fromarray(twelve), format))
    assert np.array_equal(pixels[0], twelve >> 4) and notes == ("12 bits per pixel reduced to 8",)


@pytest.mark.parametrize("pixels", [np.zeros((2, 2), np.float32), np.full((2, 2), -1, np.int32)])
def test_pixels_that_cannot_be_bytes(pixels):
    with pytest.raises(FormatError) as caught:
        load_image(saved(Image.fromarray(pixels), "TIFF"))
    five_parts(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    """The eight ways to hold a camera: the upper left pixel of the scene is red."""
    scene = np.zeros((2, 3), np.uint8)
    scene[0, 0] = 255
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(undo(scene)))
    exif = image.getexif()
    exif[0x0112] = orientation
    data = saved(image, exif=exif)
    pixels, notes = load_image(data)
    assert np.array_equal(pixels[0], scene)
    assert notes == (() if orientation == 1 else ("rotated upright as in its EXIF data",))
    assert look(io.BytesIO(data), "x").size == (2, 3)


def test_the_first_of_several_frames():
    frames = [Image.new("RGB", (3, 3), color) for color in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    pixels, notes = load_image(data)
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]
    assert "only the first of several frames is read" in notes


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(9460, 9460), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_head(size):
    with pytest.raises(StriateError) as caught:
        load_image(claiming(*size), name="bomb.png")
    assert isinstance(caught.value, LimitError)
    five_parts(caught.value)
    with pytest.raises(LimitError):
        look(io.BytesIO(claiming(*size)), "bomb.png")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x89PNG\r\n\x1a\n",
        claiming(0, 5),
        claiming(50, 50),
        encoded(COLOR)[:-30],
        encoded(picture(0, (64, 64)), "JPEG")[:-200],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",  # would start Ghostscript
    ],
    ids=["empty", "text", "head", "no-pixels", "too-few-pixels", "cut-png", "cut-jpeg", "postscript"],
)
def test_broken_images(data):
    with pytest.raises(FormatError) as caught:
        load_image(data, name="a.png")
    assert "a.png" in five_parts(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow says more than its error does
@given(
    st.binary(max_size=200), st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"]), st.data()
)
def test_any_damage_is_an_error_of_this_image(junk, format, draw):
    data = bytearray(encoded(COLOR, format))
    place = draw.draw(st.integers(0, len(data)))
    data[place : place + len(junk)] = junk
    if draw.draw(st.booleans()):
        del data[draw.draw(st.integers(0, len(data))) :]
    try:
        pixels, _ = load_image(bytes(data))
    except (FormatError, LimitError) as error:
        five_parts(error)
    else:
        assert pixels.ndim == 3 and pixels.dtype == np.uint8


def test_missing_and_unreadable(tmp_path):
    for path in (tmp_path / "none.png", tmp_path, str(tmp_path / "a\0b")):
        with pytest.raises(SourceError) as caught:
            load_image(path)
        five_parts(caught.value)
    (tmp_path / "a.png").write_bytes(encoded(GRaY))
    assert load_image(tmp_path / "a.png")[0].shape == (1, 4, 5)
    with (tmp_path / "a.png").open("rb") as stream:
        assert load_image(stream)[0].shape == (1, 4, 5)
    with pytest.raises(SourceError, match="did you mean"):
        load_image(tmp_path / "a.pmg")
