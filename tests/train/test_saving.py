"""Where a model is saved: the name says whether it is a folder or a file."""

import warnings

import numpy as np
import pytest

from striate.diagnostics import UsageError
from striate.elsewhere import FILES
from striate.formats.conversion import STRUCTURE, WRITERS
from striate.model import Model

TEXT = "8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2"


@pytest.fixture
def model():
    model = Model(TEXT, seed=0)
    model.classes = ("cat", "dog")
    return model


@pytest.mark.parametrize("suffix", sorted({*FILES, *WRITERS}))
def test_a_file_of_a_model_is_written_or_refused_and_never_a_folder(model, suffix, tmp_path):
    path, x = tmp_path / f"m{suffix}", np.ones((1, 1, 8, 8), np.float32)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model.save(path)
        except UsageError as error:
            assert suffix not in WRITERS or suffix in STRUCTURE
            assert f'save("{tmp_path / "m"}")' in error.fix and suffix in error.what
            assert not [*tmp_path.iterdir()]
            return
    assert path.is_file() and suffix in WRITERS
    whole = suffix in (".onnx", ".safetensors")
    again = Model.load(path) if whole else Model(TEXT, weights=path)
    np.testing.assert_array_equal(again(x), model(x))
    assert (again.classes == model.classes) == whole
    assert ["holds the weights alone" in str(one.message) for one in told] == [True] * (not whole)


@pytest.mark.parametrize("name", ["run", "runs/v1.2", "my.model", "run/", "m.keras/"])
def test_other_names_are_folders_with_everything(model, name, tmp_path):
    model.save(f"{tmp_path}/{name}")
    again = Model.load(tmp_path / name)
    assert (tmp_path / name).is_dir() and again.classes == model.classes


def test_a_folder_that_is_there_stays_a_folder(model, tmp_path):
    """Earlier versions made folders of every name."""
    (tmp_path / "m.pth").mkdir()
    model.save(tmp_path / "m.pth")
    assert Model.load(tmp_path / "m.pth").classes == model.classes
