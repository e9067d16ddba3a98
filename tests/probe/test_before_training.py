"""The weights before training are those with which the run began, to the last bit."""

import json

import numpy as np
import pytest

import striate as st
from striate.diagnostics import StriateError, UsageError
from striate.probe.before_training import before_training, initial_weights
from train.small import stripes

NET = "8x8x1 -> conv 3x3 4 -> bn -> relu -> maxpool 2 -> flatten -> fc 3"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    images = stripes(48, 0)
    x = np.stack([images.image(k)[0] for k in range(48)])
    np.savez(path, x=x, y=images.labels)
    return str(path)


@pytest.mark.parametrize("seed", [0, 5])
def test_they_are_drawn_again_from_the_seed(data, seed, tmp_path):
    model = st.Model(NET, seed=seed)
    initial = {name: array.copy() for name, array in model.weights.items()}
    model.fit(data, epochs=1, verbose=0, out=tmp_path / "run", seed=seed)
    loaded = st.Model.load(tmp_path / "run")
    before, said = before_training(loaded, tmp_path / "run")
    assert said == f"fresh weights of the run's seed {seed}"
    for name, array in initial.items():
        np.testing.assert_array_equal(before.weights[name], array)
    assert before.classes == loaded.classes and before.transform == loaded.transform
    assert any(not np.array_equal(before.weights[n], loaded.weights[n]) for n in initial)


def test_a_run_that_began_with_a_file_has_its_weights(data, tmp_path):
    from cli.run import run

    first = st.Model(NET, seed=3)
    first.fit(data, epochs=1, verbose=0)
    first.save(tmp_path / "first")
    done = run(
        "train",
        "--data",
        data,
        "--model",
        str(tmp_path / "first"),
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "run"),
    )
    assert done.code == 0, done.err
    before, said = before_training(st.Model.load(tmp_path / "run"), tmp_path / "run")
    assert said == f"the weights of {tmp_path / 'first'}"
    for name, array in first.weights.items():
        np.testing.assert_array_equal(before.weights[name], array)
    weights, _ = initial_weights(tmp_path / "run")
    for name, array in first.weights.items():
        np.testing.assert_array_equal(weights[name], array)
    (tmp_path / "first").rename(tmp_path / "gone")
    with pytest.raises(StriateError, match="first"):
        initial_weights(tmp_path / "run")
    with pytest.raises(StriateError, match="first"):
        before_training(st.Model.load(tmp_path / "run"), tmp_path / "run")


def test_a_model_without_a_run_has_none():
    with pytest.raises(UsageError, match="the folder of a run"):
        before_training(st.Model(NET), NET)


def test_a_run_that_began_otherwise_is_not_given_the_weights_of_its_seed(data, tmp_path):
    model = st.Model(NET, seed=3)
    model.fit(data, epochs=1, verbose=0, out=tmp_path / "other")
    model.fit(data, epochs=1, verbose=0, out=tmp_path / "again", seed=3)  # goes on with trained weights
    for name, seed in (("other", 0), ("again", 3)):
        with pytest.raises(UsageError, match="unknown") as caught:
            initial_weights(tmp_path / name)
        assert caught.value.why == f"the run began with others than fresh weights of the run's seed {seed}"
        with pytest.raises(UsageError, match="unknown"):
            before_training(st.Model.load(tmp_path / name), tmp_path / name)


def test_a_resumed_run_keeps_the_record_of_its_beginning(data, tmp_path):
    first = st.Model(NET, seed=0)
    initial = {name: array.copy() for name, array in first.weights.items()}
    first.fit(data, epochs=1, verbose=0, out=tmp_path / "run")
    st.Model.load(tmp_path / "run").fit(resume=tmp_path / "run", epochs=2, verbose=0)
    weights, said = initial_weights(tmp_path / "run")
    assert said == "fresh weights of the run's seed 0"
    for name, array in initial.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_run_without_the_record_of_an_earlier_version_says_so(data, tmp_path):
    st.Model(NET, seed=0).fit(data, epochs=1, verbose=0, out=tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    record = json.loads(path.read_text("utf-8"))
    del record["initial_weights"]
    path.write_text(json.dumps(record), "utf-8")
    with pytest.raises(UsageError, match="unknown") as caught:
        initial_weights(tmp_path / "run")
    assert caught.value.why == "the run did not record with which it began"
