"""Pictures of the worst images: the very pixels, and a reason in the place of each that has moved."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from striate.diagnostics import FormatError
from striate.train.config import Config, Job
from striate.train.data import open_data
from striate.views.html.figure import Missing
from striate.views.html.worst_images import MAX_SIDE_PIXELS, Thumbnail, thumbnail, worst_images


def decoded(shown):
    form, data = shown.uri.removeprefix("data:image/").split(";base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format.lower() == form
    return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("high", "wide", "times"), [(8, 8, 14), (28, 20, 4), (100, 160, 1), (1, 1, 112)])
def test_small_images_are_shown_pixel_by_pixel(channels, high, wide, times):
    image = np.random.default_rng(0).integers(0, 256, (channels, high, wide), np.uint8)
    shown = thumbnail(image)
    pixels = decoded(shown)
    assert np.array_equal(
        pixels if channels == 1 else pixels.transpose(2, 0, 1), image[0] if channels == 1 else image
    )
    assert (shown.width, shown.height, shown.note) == (wide * times, high * times, "")


def test_fractions_are_shades():
    image = np.array([[[0, 0.2, 0.6, 1]]], np.float32)
    assert decoded(thumbnail(image)).tolist() == [[0, 51, 153, 255]]
    assert thumbnail(image).note == ""


def test_other_numbers_are_spread_and_the_picture_says_so():
    shown = thumbnail(np.array([[[-1, 0, 3]]], np.float32))
    assert decoded(shown).tolist() == [[0, 64, 255]]
    assert shown.note == "black is -1, white 3"
    constant = thumbnail(np.full((1, 2, 2), 7, np.float32))
    assert decoded(constant).tolist() == [[0, 0], [0, 0]]


def test_large_images_are_reduced_and_the_picture_says_so():
    shown = thumbnail(np.random.default_rng(0).integers(0, 256, (3, 600, 1000), np.uint8))
    assert decoded(shown).shape == (96, MAX_SIDE_PIXELS, 3)
    assert (shown.width, shown.height) == (160, 96)
    assert shown.note == "reduced from 1000 x 600 pixels"
    assert len(shown.uri) < 40_000


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_that_are_no_colors_are_told(channels):
    with pytest.raises(FormatError, match=f"{channels} channels"):
        thumbnail(np.zeros((channels, 4, 4), np.uint8))


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(30):
            pixels = draw.integers(0, 256, (6, 5, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{name}{k:02}.png")
    return tmp_path / "data"


def entries(path):
    """What a report says of the first images of the validation part."""
    part = open_data(str(path), "validation")
    return [{"id": k, "name": part.name(k), "label": part.classes[part.labels[k]]} for k in range(len(part))]


def shown_of(path, worst):
    return worst_images(Config(job=Job(data=str(path))), worst)


def test_every_image_is_that_of_its_file(folder):
    worst = entries(folder)
    assert len(worst) == 6
    for entry, shown in zip(worst, shown_of(folder, worst), strict=True):
        assert np.array_equal(decoded(shown), np.asarray(Image.open(folder / entry["name"])))


def test_a_folder_that_is_gone_is_told_in_every_place(folder):
    worst = entries(folder)
    shutil.rmtree(folder)
    told = shown_of(folder, worst)
    assert len(told) == 6
    assert all(isinstance(one, Missing) and str(folder) in one.missing for one in told)


def test_an_image_that_is_gone_leaves_the_others_their_pictures(folder):
    worst = entries(folder)
    (folder / worst[0]["name"]).unlink()
    first, *others = shown_of(folder, worst)
    assert first == Missing("the image is no longer in the validation data")
    for entry, shown in zip(worst[1:], others, strict=True):
        if isinstance(shown, Thumbnail):
            assert np.array_equal(decoded(shown), np.asarray(Image.open(folder / entry["name"])))
    assert sum(isinstance(shown, Thumbnail) for shown in others) >= 4


def test_an_image_of_another_class_is_not_shown(folder):
    worst = entries(folder)
    worst[0]["label"] = "bee" if worst[0]["label"] == "ant" else "ant"
    first, *others = shown_of(folder, worst)
    assert isinstance(first, Missing) and "now has the class" in first.missing
    assert all(isinstance(shown, Thumbnail) for shown in others)


def test_an_image_that_is_damaged_says_why(folder):
    worst = entries(folder)
    whole = (folder / worst[0]["name"]).read_bytes()
    (folder / worst[0]["name"]).write_bytes(whole[: len(whole) // 2])
    first, *others = shown_of(folder, worst)
    assert isinstance(first, Missing) and first.missing
    assert all(isinstance(shown, Thumbnail) for shown in others)


def test_a_run_on_arrays_has_no_pictures():
    (told,) = worst_images(Config(), [{"id": 0, "name": "image 0", "label": "0"}])
    assert isinstance(told, Missing) and "arrays" in told.missing
