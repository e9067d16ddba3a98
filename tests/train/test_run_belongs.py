"""The files of a run belong together: those of another run of the same network are refused."""

import json

import numpy as np
import pytest

from striate import weights
from striate.diagnostics import FormatError, UsageError
from striate.formats import safetensors
from striate.model import Model
from striate.train import run as folder
from train.runner import run


def test_weights_of_another_run_are_refused(tmp_path):
    """The same network and the same best epoch: only the numbers tell that the result would not be this run's."""
    path = tmp_path / "run"
    run(path)
    arrays, metadata = safetensors.load(path / folder.BEST)
    others = {name: array + np.float32(1) for name, array in arrays.items()}
    safetensors.save(path / folder.BEST, others, metadata)
    with pytest.raises(FormatError, match="weights that differ from those of this run after epoch"):
        run(path, resume=True)
    safetensors.save(path / folder.BEST, arrays, metadata)
    run(path, resume=True)
    assert weights.checksum(safetensors.load(path / folder.BEST)[0]) == weights.checksum(arrays)
    assert weights.checksum(arrays) != weights.checksum({f"{name}.": a for name, a in arrays.items()})
    # A checkpoint of an earlier version does not say which weights were the best.
    held, record = safetensors.load(path / folder.STATE)
    old = {**json.loads(record["striate"])}
    del old["best_sum"]
    safetensors.save(path / folder.STATE, held, {**record, "striate": json.dumps(old)})
    run(path, resume=True)


def _old_words(text):
    """The steps of a transformation as earlier versions spelled them."""
    return text.replace('"normalize"', '"normalise"').replace('"color_jitter"', '"colour_jitter"')


def test_a_run_with_steps_in_their_old_spelling_is_read_and_goes_on(tmp_path):
    path = tmp_path / "run"
    run(path, jitter=0.2)
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    before = Model.load(path).predict(images)
    text = (path / folder.NETWORK).read_text()
    assert _old_words(text).count('"normalise"') == 2 and '"colour_jitter"' in _old_words(text)
    (path / folder.NETWORK).write_text(_old_words(text))
    held, metadata = safetensors.load(path / folder.STATE)
    old = _old_words(metadata["striate"])
    assert '"normalise"' in old and '"colour_jitter"' in old
    safetensors.save(path / folder.STATE, held, {**metadata, "striate": old})
    model = Model.load(path)
    np.testing.assert_array_equal(model.predict(images), before)
    model.export(tmp_path / "old.onnx")  # its record keeps the words that the model came with
    np.testing.assert_allclose(Model.load(tmp_path / "old.onnx").predict(images), before, rtol=1e-5)
    run(path, resume=True, jitter=0.2)


def test_another_transformation_is_refused(tmp_path):
    """A config.json of another run of the same network would normalize the rest of the training otherwise."""
    path = tmp_path / "run"
    run(path)
    record = json.loads((path / folder.NETWORK).read_text())
    (step,) = [step for step in record["training_transform"]["steps"] if step["step"] == "normalize"]
    step["mean"] = [step["mean"][0] + 0.01, *step["mean"][1:]]
    (path / folder.NETWORK).write_text(json.dumps(record))
    with pytest.raises(UsageError, match="the transformation differs from that of this run"):
        run(path, resume=True)
    # A checkpoint of an earlier version does not say what the images went through.
    held, metadata = safetensors.load(path / folder.STATE)
    old = json.loads(metadata["striate"])
    del old["data"]["transform"]
    safetensors.save(path / folder.STATE, held, {**metadata, "striate": json.dumps(old)})
    run(path, resume=True)
