"""Evaluation, the learning-rate finder, histories and loggers: what looks at training from outside."""

import csv
import io
import json
import math
import sys
import types

import numpy as np
import pytest

from striate.diagnostics import MissingExtraError, UsageError
from striate.engine.registry import get_engine
from striate.train.data import Transform
from striate.train.data_source import Source
from striate.train.evaluation import evaluate
from striate.train.finder import find_rate
from striate.train.history import COLUMNS, History
from striate.train.loggers import LOGGERS, loggers
from striate.train.loop import fit
from striate.train.losses import BinaryCrossEntropy, CrossEntropy
from striate.train.settings import Settings
from train.small import PLAIN, start, stripes


def evaluated(notation, loss, arrays=None, **options):
    net, fresh = start(notation)
    program = get_engine("numpy").compile(net, arrays or fresh)
    return evaluate(program, Source(stripes(50), Transform(), 16), loss, **options)


def test_batches_do_not_matter():
    net, arrays = start(PLAIN)
    program = get_engine("numpy").compile(net, arrays)
    found = [
        evaluate(program, Source(stripes(50), Transform(), size), CrossEntropy(), worst=5) for size in (7, 50)
    ]
    assert math.isclose(found[0].loss, found[1].loss, rel_tol=1e-6)
    assert (found[0].tally.confusion == found[1].tally.confusion).all()
    assert found[0].names == found[1].names and len(found[0].names) == 5


@pytest.mark.parametrize(("word", "loss"), [("softmax", CrossEntropy()), ("sigmoid", BinaryCrossEntropy())])
def test_a_network_that_ends_in_probabilities_is_judged_the_same(word, loss):
    plain, ending = evaluated(PLAIN, loss), evaluated(f"{PLAIN} -> {word}", loss)
    assert math.isclose(plain.loss, ending.loss, rel_tol=1e-4)
    assert (plain.tally.confusion == ending.tally.confusion).all()
    assert math.isclose(plain.tally.calibration_error(), ending.tally.calibration_error(), rel_tol=1e-3)


def test_what_is_reported_is_json_and_adds_up():
    found = evaluated(PLAIN, CrossEntropy(), worst=4)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    matrix = np.array(record["confusion_matrix"])
    assert matrix.sum() == record["images"] == 50
    assert math.isclose(record["accuracy"], np.trace(matrix) / 50)
    assert record["top5_accuracy"] == 1.0  # of three classes
    assert len(record["worst"]) == 4 and record["worst"][0]["name"]
    assert sum(entry["images"] for entry in record["calibration"]["bins"]) == 50
    assert math.isclose(record["macro_f1"], np.mean([entry["f1"] for entry in record["per_class"]]))


# ---------------------------------------------------------------- the learning-rate finder
def test_the_suggested_rate_learns_and_the_weights_stay():
    net, arrays = start(PLAIN)
    before = {name: array.copy() for name, array in arrays.items()}
    settings = Settings(optimizer="sgd", batch_size=16, epochs=5, schedule="constant")
    curve = find_rate(net, arrays, stripes(300), settings, high=100.0, updates=80)
    assert all((arrays[name] == before[name]).all() for name in arrays)
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed) <= 80
    assert list(curve.rates) == sorted(curve.rates) and math.isclose(curve.rates[0], 1e-6)
    assert 1e-3 < curve.suggestion < 1
    chosen = fit(net, arrays, stripes(), None, settings.replace({"lr": curve.suggestion}))
    _, arrays = start(PLAIN)
    timid = fit(net, arrays, stripes(), None, settings.replace({"lr": curve.suggestion / 100}))
    assert chosen.last["train_loss"] < 0.5 * timid.last["train_loss"]


def test_rates_grow_in_equal_factors_and_end_where_asked():
    net, arrays = start(PLAIN)
    curve = find_rate(net, arrays, stripes(), low=1e-8, high=1e-6, updates=3)
    np.testing.assert_allclose(curve.rates, [1e-8, 1e-7, 1e-6])


def test_a_search_that_diverges_at_once_suggests_nothing():
    net, arrays = start(PLAIN)
    with np.errstate(all="ignore"):
        curve = find_rate(net, arrays, stripes(), Settings(optimizer="sgd"), low=1e25, high=1e30)
    assert curve.suggestion is None


# ---------------------------------------------------------------- history
def test_history_reads_as_a_table():
    rows = ({"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25, "validation_loss": 1.0})
    history = History(rows, best_epoch=2)
    table = list(csv.DictReader(io.StringIO(history.csv())))
    assert [row["train_loss"] for row in table] == ["0.5", "0.25"] and table[0]["validation_loss"] == ""
    assert [json.loads(line) for line in history.jsonl().splitlines()] == list(rows)
    assert history.best == rows[1] and history.column("validation_loss") == [1.0]
    assert str(history) == "2 epochs (done), best 2, validation loss 1.0000"
    assert History().best == {} and History().csv() == "\n"


def test_every_column_is_documented():
    net, arrays = start(PLAIN)
    history = fit(net, arrays, stripes(), stripes(30, 1), Settings(epochs=1))
    assert list(history.last) == list(COLUMNS)


# ---------------------------------------------------------------- loggers
class Recorder(types.ModuleType):
    """Stands for another package: remembers every call on it and on what its calls return."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return call


MODULES = {
    "wandb": ["wandb"],
    "mlflow": ["mlflow"],
    "tensorboard": [
        "tensorboard.summary.writer.event_file_writer",
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.compat.proto.summary_pb2",
    ],
}
ENDS = {"wandb": "finish", "mlflow": "end_run", "tensorboard": "close"}


@pytest.mark.parametrize("name", LOGGERS)
def test_loggers_hear_everything(name, monkeypatch, tmp_path):
    recorder = Recorder(name)
    for module in MODULES[name]:
        monkeypatch.setitem(sys.modules, module, recorder)
    recorder.Summary = recorder.__getattr__("Summary")
    recorder.Summary.Value = recorder.__getattr__("Value")
    net, arrays = start(PLAIN)
    settings = Settings(epochs=2, batch_size=30, log=(name,))
    fit(net, arrays, stripes(), stripes(30, 1), settings, out=tmp_path / "run")
    said = str(recorder.calls)
    assert "step/loss" in said and "epoch/validation_accuracy" in said
    assert recorder.calls[-1][0] == ENDS[name]


@pytest.mark.parametrize(("method", "expected"), [("init", UsageError), ("log", UserWarning)])
def test_a_logger_that_fails_does_not_take_the_training_along(method, expected, monkeypatch, tmp_path):
    class Broken(Recorder):
        def __getattr__(self, name):
            if name == method:
                raise OSError("no route to host")
            return super().__getattr__(name)

    monkeypatch.setitem(sys.modules, "wandb", Broken("wandb"))
    net, arrays = start(PLAIN)
    expects = pytest.raises if expected is UsageError else pytest.warns
    with expects(expected, match="no route to host|could not start"):
        history = fit(net, arrays, stripes(), None, Settings(epochs=2, log=("wandb",)), out=tmp_path / "run")
    assert expected is UsageError or len(history) == 2


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_that_is_not_installed_says_what_to_do(name, monkeypatch, tmp_path):
    for module in MODULES[name]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"pip install {name}"):
        loggers((name,), tmp_path)
    net, arrays = start(PLAIN)
    with pytest.raises(MissingExtraError):
        fit(net, arrays, stripes(), None, Settings(log=(name,)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
