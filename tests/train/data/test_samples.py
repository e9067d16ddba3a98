"""The built-in samples are the images in the wheels, split as promised; without the wheels one line says what to do."""

import importlib.util

import numpy as np
import pytest

from striate.diagnostics import MissingExtraError, SourceError
from striate.extras import install_command
from striate.train.data import open_data
from striate.train.data.samples import SAMPLES
from train.data.makers import five_parts, needs


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    data = open_data("digits", "all")
    order = np.argsort([data.name(index) for index in range(len(data))])
    x = np.concatenate([batch.x for batch in data.batches(100)])[order]
    assert np.array_equal(x[:, 0], (theirs.images / 16).astype(np.float32))
    assert np.array_equal(data.labels[order], theirs.target)


def test_the_parts_of_digits():
    needs("sklearn")
    splits = open_data("digits")
    assert (len(splits.test), len(splits.train) + len(splits.validation)) == (599, 1198)
    assert splits.test.name(0) == "digits/0002" and splits.test.name(598) == "digits/1796"
    names = {part: {data.name(i) for i in range(len(data))} for part, data in splits.parts().items()}
    assert len(set.union(*names.values())) == 1797
    assert min(splits.test.counts().values()) > 50
    assert open_data("digits", seed=5).test.name(7) == splits.test.name(7)  # the test never changes


def test_textures_are_those_of_scikit_image():
    data = pytest.importorskip("skimage.data")
    splits = open_data("textures")
    assert splits.classes == ("brick", "grass", "gravel") and splits.shape == (1, 32, 32)
    for part, columns in (("train", slice(0, 256)), ("validation", slice(0, 256)), ("test", slice(256, 512))):
        some = splits.parts()[part]
        for index in (0, len(some) // 2, len(some) - 1):
            image, label, _ = some.item(index)
            photo = getattr(data, some.classes[label])()[:, columns]
            windows = np.lib.stride_tricks.sliding_window_view(photo, (32, 32))
            assert (windows == image[0]).all((2, 3)).any()
    assert len(splits.test) == 3 * 8 * 16


def test_no_two_parts_of_textures_share_a_crop():
    needs("skimage")
    splits = open_data("textures")
    seen = [{data.image(i).tobytes() for i in range(len(data))} for data in splits.parts().values()]
    assert len(set.union(*seen)) == sum(map(len, seen)) == sum(map(len, splits.parts().values()))


def test_faces_are_those_of_scikit_image():
    data = pytest.importorskip("skimage.data")
    faces = open_data("faces", "all")
    order = np.argsort([faces.name(index) for index in range(len(faces))])
    x = np.concatenate([batch.x for batch in faces.batches(100)])[order]
    assert np.array_equal(x[:, 0], data.lfw_subset().astype(np.float32))
    assert faces.counts() == {"face": 100, "other": 100}
    assert open_data("faces").test.counts() == {"face": 25, "other": 25}


@pytest.mark.parametrize("name", SAMPLES)
def test_without_the_extra(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError) as caught:
        open_data(name)
    assert install_command("samples") in five_parts(caught.value)


def test_another_version_of_the_wheel(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda package: Spec)
    with pytest.raises(SourceError) as caught:
        open_data("faces")
    five_parts(caught.value)


def test_nothing_of_the_extra_is_imported():
    """Finding the files is enough: importing scikit-learn takes a second."""
    import subprocess
    import sys

    needs("sklearn")
    code = "import sys; from striate.train.data import open_data; open_data('digits'); print([*sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"'sklearn'", "'scipy'", "'PIL'"} & set(answer.stdout.strip("[]\n").split(", "))
