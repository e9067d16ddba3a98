"""Exact values of an image: those of the model itself."""

import base64

import numpy as np
import pytest

import striate as st
from striate.diagnostics import LimitError, StriateError
from striate.views.lab.activations import MAX_VALUES, Activations, image
from striate.views.lab.bodies import Body
from striate.views.lab.networks import Networks, Source
from striate.views.page.before import mixed

NET = "8x8x3 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 3"


def array(record):
    return np.frombuffer(base64.b64decode(record["values"]), "<f4").reshape(record["shape"])


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = st.Model(NET, seed=3)
    model.classes = ("cat", "dog", "<b>owl</b>")
    model.transform = {"steps": [{"step": "normalize", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}]}
    model.save(tmp_path / "model")
    return "model"


def test_values_are_those_of_the_trained_model(folder, pixels):
    model = st.Model.load(folder)
    networks = Networks(folder)
    answer = Activations(networks).answer(networks.first, pixels, ["conv1", "relu1", "fc1"])
    assert answer["trained"] is True
    assert answer["classes"] == ["cat", "dog", "<b>owl</b>"]
    outputs = model.predict(pixels[None])[0]
    np.testing.assert_allclose(array(answer["outputs"][0]), outputs, atol=1e-5 * abs(outputs).max())
    program = model.compile()
    x = ((pixels / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.25, 0.3]).transpose(2, 0, 1)[None].astype(np.float32)
    np.testing.assert_allclose(array(answer["input"]), x[0], atol=1e-5)
    for name in ("conv1", "relu1", "fc1"):
        value = program.values(x, [name])[name][0]
        np.testing.assert_allclose(array(answer["values"][name]), value, atol=1e-5 * abs(value).max())
    shares = dict(model.classify(pixels[None])[0])
    np.testing.assert_allclose(
        answer["probabilities"], [shares[name] for name in answer["classes"]], atol=1e-5
    )


@pytest.mark.parametrize("percent", [0, 30, 100])
def test_a_run_goes_from_the_weights_before_training_to_the_trained_ones(percent, tmp_path, pixels):
    draw = np.random.default_rng(0)
    first, model = st.Model(NET, seed=0), st.Model(NET, seed=0)
    x, y = draw.integers(0, 256, (30, 3, 8, 8), np.uint8), np.arange(30) % 3
    model.fit(x, y, epochs=1, out=tmp_path / "run", verbose=False)
    networks = Networks(str(tmp_path / "run"))
    activations = Activations(networks)
    activations.answer(networks.first, pixels, [], 50)  # another one that is kept
    answer = activations.answer(networks.first, pixels, ["conv1"], percent)
    model.weights = mixed(first.weights, model.weights, percent / 100)
    outputs = model.predict(pixels[None])[0]
    np.testing.assert_allclose(array(answer["outputs"][0]), outputs, atol=1e-5 * abs(outputs).max())


def test_a_changed_text_has_fresh_weights_and_says_so(folder, pixels):
    networks = Networks(folder)
    activations = Activations(networks)
    text = networks.record(networks.first)["text"].replace("maxpool", "avgpool")
    assert activations.answer(Source(text), pixels, [])["trained"] is False
    again = activations.answer(Source(text), pixels, ["conv1"])
    fresh = Activations(networks).answer(Source(text), pixels, ["conv1"])
    assert again == fresh  # one seed
    assert activations.answer(networks.first, pixels, [])["trained"] is True


@pytest.mark.parametrize("shape", [(5, 9, 1), (40, 8, 3), (1, 1, 1)])
def test_an_image_of_any_size_is_brought_to_that_of_the_network(shape):
    answer = Activations(Networks(NET)).answer(Source(NET), np.zeros(shape, np.uint8), ["conv1"])
    assert answer["input"]["shape"] == [3, 8, 8]
    assert answer["values"]["conv1"]["shape"] == [4, 6, 6]


def test_a_network_that_is_too_large_is_refused():
    activations = Activations(Networks())
    small = np.zeros((8, 8, 3), np.uint8)
    for text in (
        "4000x4000x3 -> conv 31x31 512",
        "8x8x3 -> flatten -> fc 900000000",
        "65536x65536x3 -> relu",
    ):
        with pytest.raises(LimitError):
            activations.answer(Source(text), small, [])
    with pytest.raises(LimitError, match=f"{MAX_VALUES:,}"):
        activations.answer(Source("1200x1200x3 -> relu -> gap"), small, ["relu1"])


@pytest.mark.parametrize("text", ["7x7x3 -> conv 9x9", "1d 16x3 -> conv 3"])
def test_a_network_without_an_image_or_an_output_says_why(text):
    with pytest.raises(StriateError) as caught:
        Activations(Networks()).answer(Source(text), np.zeros((8, 8, 3), np.uint8), [])
    assert caught.value.code != "I000"


def test_pixels_of_a_request():
    numbers = np.arange(12, dtype=np.uint8)
    body = Body(
        {"height": 2, "width": 2, "channels": 3, "pixels": base64.b64encode(numbers.tobytes()).decode()}
    )
    assert (image(body) == numbers.reshape(2, 2, 3)).all()
