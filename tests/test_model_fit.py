"""`Model.fit` and the shell: one run, its folder, what it shows, and how its results read."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import striate as st
from cli.conftest import NET, pictures
from cli.run import environment
from cli.run import run as shell
from cli.terminals import PLAIN, python_terminal
from striate.diagnostics import UsageError
from train.data.makers import needs

SETTINGS = {"epochs": 3, "lr": 0.02, "batch_size": 16}
FLAGS = ("--epochs", "3", "--lr", "0.02", "--batch-size", "16")
LINE = re.compile(r"^\s*\d+/\d+ ", re.M)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("fit"), {"train": 60, "test": 30})


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("fitmore") / "pictures", {"all": 18}) / "all"


def measured(rows):
    """Rows of a history without times."""
    return [
        {key: row[key] for key in row if key not in ("seconds", "images_per_second")}
        for row in map(dict, rows)
    ]


def judged(folder, *more):
    done = shell("eval", str(folder), "--json", *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


# ---------------------------------------------------------------- one road
def test_a_run_is_the_same_in_python_and_in_the_shell(images, tmp_path):
    ours, theirs = tmp_path / "python", tmp_path / "shell"
    model = st.Model(st.parse(NET), seed=0)
    history = model.fit(images, out=ours, **SETTINGS)
    done = shell("train", "--data", str(images), "--model", NET, *FLAGS, "--out", str(theirs), "--json")
    assert done.code == 0, done.err
    assert measured(json.loads(done.out)["epochs"]) == measured(history)
    for name in ("model.safetensors", "last.safetensors"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    found, here = judged(theirs), model.evaluate()
    assert (found["loss"], found["accuracy"], found["images"]) == (here.loss, here.accuracy, 30)
    assert judged(ours)["confusion_matrix"] == found["confusion_matrix"]
    files = sorted((images / "test").rglob("*.png"))[:5]
    answers = json.loads(shell("predict", str(ours), *map(str, files), "--json").out)["images"]
    assert [[(top["class"], top["probability"]) for top in image["top"]] for image in answers] == (
        model.classify(files)
    )


@pytest.mark.parametrize("data", ["digits", "path", "validation"])
def test_a_run_of_python_is_judged_and_continued_everywhere(data, images, more, tmp_path):
    if data == "digits":
        needs("sklearn")
    source, net = ("digits", "8x8x1 -> flatten -> fc 10") if data == "digits" else (str(images), NET)
    settings = SETTINGS | {"schedule": "constant"}
    apart = more if data == "validation" else None
    model = st.Model(st.parse(net), seed=0)
    model.fit(source, apart, out=tmp_path / "run", **settings | {"epochs": 1})
    found = judged(tmp_path / "run")
    assert found["loss"] == model.evaluate().loss
    assert found["images"] == {"digits": 599, "path": 30, "validation": 18}[data]
    assert len(st.Model(tmp_path / "run").fit(resume=tmp_path / "run", epochs=2)) == 2
    done = shell("train", "--resume", str(tmp_path / "run"), "--epochs", "3", "--json")
    assert done.code == 0, done.err
    whole = st.Model(st.parse(net), seed=0).fit(source, apart, **settings)
    assert measured(json.loads(done.out)["epochs"]) == measured(whole)


def test_validation_data_of_its_own_in_the_shell(images, more, tmp_path):
    words = ["train", "--data", str(images), "--validation", str(more), "--model", NET, *FLAGS, "--json"]
    done = shell(*words, "--out", str(tmp_path / "run"))
    assert done.code == 0, done.err
    model = st.Model(st.parse(NET), seed=0)
    assert measured(json.loads(done.out)["epochs"]) == measured(model.fit(images, more, **SETTINGS))
    assert judged(tmp_path / "run")["images"] == 18
    assert judged(tmp_path / "run", "--split", "train")["images"] == 90
    assert (
        judged(tmp_path / "run", "--data", str(images))["images"] == 18
    )  # the data of the run, which was seen


def test_a_model_for_data_is_that_of_the_shell(images, tmp_path):
    done = shell(
        "train", "--data", str(images), "--model", "cifar_resnet20", "--fast-dev-run", "--out", str(tmp_path / "a"),
        "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    model = st.Model.for_data("cifar_resnet20", images)
    history = model.fit(images, out=tmp_path / "b", fast_dev_run=True)
    assert measured(json.loads(done.out)["epochs"]) == measured(history)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_the_configuration_of_a_run_says_what_was_asked_for(images, tmp_path):
    model = st.Model(NET, seed=0, engine="numpy")
    model.fit(images, epochs=1, out=tmp_path / "run")
    written = (tmp_path / "run" / "config.toml").read_text()
    assert f'model = "{NET}"' in written and 'engine = "numpy"' in written
    done = shell("train", "--config", str(tmp_path / "run" / "config.toml"), "--out", str(tmp_path / "again"))
    assert done.code == 0, done.err
    first, again = (tmp_path / name / "model.safetensors" for name in ("run", "again"))
    assert first.read_bytes() == again.read_bytes()
    model.fit(images, epochs=1, out=tmp_path / "later")  # which did not begin with fresh weights
    assert 'model = ""' in (tmp_path / "later" / "config.toml").read_text()


def test_a_fix_speaks_to_its_reader(images, tmp_path):
    model = st.Model(st.parse(NET), seed=0)
    model.fit(images, epochs=1, out=tmp_path / "run")
    with pytest.raises(UsageError) as refused:
        model.fit(images, epochs=1, out=tmp_path / "run")
    assert f'resume="{tmp_path / "run"}"' in refused.value.fix and "--" not in refused.value.fix
    done = shell("train", "--data", str(images), "--model", NET, "--out", str(tmp_path / "run"))
    assert done.code == 2 and f"--resume {tmp_path / 'run'}" in done.err and "resume=" not in done.err


def test_the_home_folder_is_named_alike(images, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = st.Model(st.parse(NET), seed=0)
    model.fit(images, epochs=1, out="~/run")
    model.fit(resume="~/run", epochs=2)
    model.save("~/saved")
    model.export("~/m.safetensors")
    assert {"run", "saved", "m.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    x = np.zeros((1, 1, 8, 8), np.float32)
    for name in ("run", "saved", "m.safetensors"):
        np.testing.assert_array_equal(st.Model.load(tmp_path / name).predict(x), model.predict(x))


# ---------------------------------------------------------------- what is shown
SCRIPT = f"""
import numpy as np, striate as st
x = np.random.default_rng(0).random((200, 1, 8, 8), np.float32)
model = st.Model(st.parse({NET!r}), seed=0, engine="numpy")
model.fit(x, np.arange(200) % 3, 2, batch_size=4, verbose={{verbose}})
"""


def piped(verbose):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(verbose=verbose)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_plain_lines_in_a_pipe_and_none_when_silent():
    told = piped(1)
    assert told.stderr == "" and "\x1b" not in told.stdout and "\r" not in told.stdout
    assert len(LINE.findall(told.stdout)) == 2 and "in memory" in told.stdout
    assert [piped(silent).stdout for silent in (0, False)] == ["", ""]


def test_a_bar_in_a_terminal():
    seen = python_terminal(90, "-c", SCRIPT.format(verbose=1))
    assert "━" in seen and "images/s" in seen
    assert len(LINE.findall(PLAIN.sub("", seen).replace("\r", "\n"))) >= 2
    assert "━" not in python_terminal(90, "-c", SCRIPT.format(verbose=0))


def test_a_bar_in_a_notebook(monkeypatch):
    class OutStream(io.StringIO):
        """What IPython's kernel puts in the place of standard output."""

        encoding = "UTF-8"

    OutStream.__module__ = "ipykernel.iostream"
    stream = OutStream()
    monkeypatch.setattr(sys, "stdout", stream)
    x = np.random.default_rng(0).random((200, 1, 8, 8), np.float32)
    st.Model(st.parse(NET), seed=0, engine="numpy").fit(x, np.arange(200) % 3, 2, batch_size=4)
    seen = stream.getvalue()
    assert "━" in seen and "\r" in seen
    assert len(LINE.findall(seen.replace("\r", "\n"))) == 2


def test_a_closed_output_is_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    x = np.random.default_rng(0).random((12, 1, 8, 8), np.float32)
    assert len(st.Model(st.parse(NET), seed=0).fit(x, np.arange(12) % 3, 1)) == 1


def test_warnings_point_at_the_caller(images):
    x = np.random.default_rng(0).random((12, 1, 8, 8), np.float32)
    model = st.Model(st.parse(NET), seed=0)
    with pytest.warns(UserWarning, match="no images") as told:
        model.fit(x, np.arange(12) % 3, 1, validation=(x[:0], np.arange(0)), verbose=0)
    assert {warning.filename for warning in told} == {__file__}


# ---------------------------------------------------------------- how it reads
def test_results_print_in_one_line(images):
    model = st.Model(st.parse(NET), seed=0)
    history = model.fit(images, verbose=0, **SETTINGS)
    assert repr(history).startswith("History(3 epochs (done)") and "\n" not in repr(history)
    assert history["accuracy"] == [row["validation_accuracy"] for row in history]
    judged = model.evaluate()
    assert str(judged) == f"accuracy {judged.accuracy:.1%}, loss {judged.loss:.4f} on 30 images"
    assert repr(judged) == f"Evaluation({judged})"


@pytest.mark.parametrize("word", ["batch_size", "batch"])
def test_the_size_of_a_batch(word):
    x = np.random.default_rng(0).random((7, 1, 8, 8), np.float32)
    model = st.Model(st.parse(NET), seed=0)
    few = {word: 3}
    np.testing.assert_allclose(model.predict(x, **few), model.predict(x), rtol=1e-5, atol=1e-6)
    assert model.classify(x, top=1, **few) == model.classify(x, top=1, batch_size=3)
    assert model.evaluate((x, np.arange(7) % 3), **few).images == 7
    with pytest.raises(UsageError, match="batch_size"):
        model.predict(x, **{word: 0})
    with pytest.raises(UsageError, match="did you mean batch_size"):
        model.predict(x, batch=3, batch_size=3)
