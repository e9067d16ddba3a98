"""The weights before training are those with which the run began, to the last bit."""

import numpy as np
import pytest

import striate as st
from striate.diagnostics import StriateError, UsageError
from striate.probe.before_training import before_training
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
    before, said = before_training(loaded)
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
    before, said = before_training(st.Model.load(tmp_path / "run"))
    assert said == f"the weights of {tmp_path / 'first'}"
    for name, array in first.weights.items():
        np.testing.assert_array_equal(before.weights[name], array)
    (tmp_path / "first").rename(tmp_path / "gone")
    with pytest.raises(StriateError, match="first"):
        before_training(st.Model.load(tmp_path / "run"))


def test_a_model_without_a_run_has_none():
    with pytest.raises(UsageError, match="the folder of a run"):
        before_training(st.Model(NET))
