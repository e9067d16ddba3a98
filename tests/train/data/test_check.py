"""`striate data check`: every fault planted here is found, and nothing where there is none."""

import json

import numpy as np
import pytest

from striate.diagnostics import FormatError, Severity
from striate.train.data import check_data, open_data
from train.data.makers import encoded, image_folder, needs, picture


def kinds(report):
    return {finding.kind: finding for finding in report.findings}


@pytest.fixture
def sound(tmp_path):
    image_folder(tmp_path / "train", {"cat": 6, "dog": 6})
    image_folder(tmp_path / "test", {"cat": 3, "dog": 3}, seed=1)
    return tmp_path


def test_a_sound_set_has_no_findings(sound):
    report = check_data(sound)
    assert report.ok and report.findings == ()
    train, test = report.parts
    assert (train.name, train.images, train.readable, train.channels) == ("train", 12, 12, 3)
    assert train.classes == {"cat": 6, "dog": 6} and test.classes == {"cat": 3, "dog": 3}
    assert train.sizes == {(8, 8): 12}
    pixels = np.concatenate([picture(number).reshape(-1, 3) for number in range(12)]) / 255
    assert train.mean == pytest.approx(pixels.mean(0), abs=1e-4)
    assert train.std == pytest.approx(pixels.std(0), abs=1e-4)


def test_unreadable_files(sound):
    (sound / "train" / "cat" / "0001.png").write_bytes(b"no image")
    (sound / "train" / "dog" / "0002.png").write_bytes(b"")
    report = check_data(sound)
    assert not report.ok and kinds(report).keys() == {"unreadable"}
    assert kinds(report)["unreadable"].count == 2 and report.parts[0].readable == 10
    assert [bad.name for bad in report.parts[0].unreadable] == ["train/cat/0001.png", "train/dog/0002.png"]
    assert report.parts[0].classes == {"cat": 5, "dog": 5}


def test_leaks_between_parts_by_pixels(sound):
    """The same picture as another file: BMP instead of PNG."""
    (sound / "test" / "dog" / "copy.bmp").write_bytes(encoded(picture(7), "BMP"))
    report = check_data(sound)
    assert not report.ok and kinds(report).keys() == {"leak"}
    assert kinds(report)["leak"].names == ("train: train/dog/0001.png = test: test/dog/copy.bmp",)


def test_equal_pixels_under_two_classes(sound):
    (sound / "train" / "dog" / "copy.png").write_bytes(encoded(picture(0), compress_level=1))
    report = check_data(sound)
    assert not report.ok and kinds(report).keys() == {"disputed", "duplicate"}


def test_repeated_images(sound):
    for number in range(3):
        (sound / "train" / "cat" / f"copy{number}.png").write_bytes(encoded(picture(0)))
    report = check_data(sound)
    assert report.ok and kinds(report)["duplicate"].count == 3
    assert kinds(report)["duplicate"].severity is Severity.WARNING


def test_equal_bytes_of_other_shapes_are_no_duplicates():
    x = np.zeros((2, 4, 4), np.uint8)
    assert "duplicate" in kinds(check_data((x, [0, 1])))


def test_imbalance_empty_classes_sizes_and_conversions(tmp_path):
    image_folder(tmp_path, {"many": 22, "few": 2})
    (tmp_path / "none").mkdir()
    (tmp_path / "many" / "wide.png").write_bytes(encoded(picture(500, (5, 20))))
    (tmp_path / "many" / "gray.png").write_bytes(encoded(picture(501, (8, 8), 1)))
    report = check_data(tmp_path)
    assert report.ok and kinds(report).keys() == {"imbalance", "empty-class", "sizes", "converted"}
    assert report.parts[0].sizes == {(8, 8): 25, (5, 20): 1}
    assert kinds(report)["empty-class"].names == ("none",)
    assert report.parts[0].converted == {"gray repeated to three channels": 1}


def test_one_class_is_nothing_to_learn(tmp_path):
    image_folder(tmp_path, {"only": 3})
    assert "one-class" in kinds(check_data(tmp_path))


def test_threads_change_nothing(sound):
    (sound / "train" / "cat" / "0001.png").write_bytes(b"no image")
    (sound / "test" / "dog" / "copy.bmp").write_bytes(encoded(picture(7), "BMP"))
    assert check_data(sound, workers=0) == check_data(sound, workers=3)


def test_progress_reaches_the_end(sound):
    calls = []
    check_data(sound, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (18, 18) and calls == sorted(calls)


def test_as_plain_values(sound):
    (sound / "train" / "cat" / "0001.png").write_bytes(b"no image")
    data = json.loads(json.dumps(check_data(sound).to_dict()))
    assert data["schema"] == "striate.data/1" and data["ok"] is False
    assert data["parts"][0]["sizes"] == {"8x8": 11}
    assert data["parts"][0]["unreadable"][0]["name"] == "train/cat/0001.png"
    assert data["findings"][0]["severity"] == "error"


def test_the_built_in_samples_are_sound():
    needs("sklearn")
    needs("skimage")
    for name in ("digits", "textures", "faces"):
        report = check_data(name)
        assert report.ok and not report.findings, report.findings


def test_what_was_opened_can_be_checked(sound):
    splits = open_data(sound)
    assert [part.name for part in check_data(splits).parts] == ["train", "validation", "test"]
    assert check_data(splits.train).parts[0].images == len(splits.train)


def test_what_cannot_be_opened_is_an_error(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(FormatError):
        check_data(tmp_path / "a.npz")
