"""What a run folder says of its results: the same as `fit`, at any time; damaged files with what mends them."""

import collections
import functools
import json
import operator
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import striate as st
from striate.diagnostics import FormatError, SourceError, StriateError, UsageError
from striate.formats import safetensors
from striate.train import config, run_files, run_results
from striate.train.early_stopping import EarlyStopping, best_epoch
from striate.train.run_results import UNFINISHED, evaluation_of, history_of
from striate.views.html.run_part import run_part

NET = "8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 3"


def data(images=36):
    rng = np.random.default_rng(0)
    return rng.random((images, 1, 8, 8), np.float32), np.arange(images) % 3


def fit(out, epochs=3, **settings):
    x, y = data()
    model = st.Model(NET, seed=0)
    return model.fit(x, y, epochs=epochs, validation=(x, y), out=out, verbose=0, batch_size=12, **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, history of `fit`)."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, fit(out, 4)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run[0], tmp_path / "copy")


@pytest.mark.parametrize("monitor", ["accuracy", "loss"])
def test_a_folder_holds_the_history_that_fit_returned(tmp_path, monitor):
    told = fit(tmp_path / "run", 5, monitor=monitor, lr=0.05)
    assert history_of(tmp_path / "run") == told
    assert (told.planned, told.stopped, told.best_epoch in range(1, 6)) == (5, "done", True)


def test_a_run_that_stopped_early_says_so(tmp_path):
    told = fit(tmp_path / "run", 50, patience=1, lr=1e-9)
    found = history_of(str(tmp_path / "run"))
    assert (found.stopped, found.planned, len(found)) == ("early stop", 50, len(told))


def test_a_continued_run_is_one_history(copy):
    before = history_of(copy)
    x, y = data()
    st.Model(NET, seed=0).fit(x, y, epochs=6, validation=(x, y), resume=copy, verbose=0)
    after = history_of(copy)
    assert (len(before), len(after), after.planned, after.stopped) == (4, 6, 6, "done")
    assert after.rows[:4] == before.rows
    assert after["epoch"] == [1, 2, 3, 4, 5, 6]


def test_epochs_in_which_a_run_was_continued_are_known(copy):
    """To `fit`, from the report of a run that has ended, and from the checkpoint of one that has not."""
    x, y = data()
    assert history_of(copy).resumed == ()
    for epochs, resumed in ((6, (5,)), (6, (5,)), (9, (5, 7))):  # one of nothing leaves no mark
        told = st.Model(NET, seed=0).fit(x, y, epochs=epochs, validation=(x, y), resume=copy, verbose=0)
        assert told.resumed == history_of(copy).resumed == resumed
        assert history_of(copy) == told
    (copy / "report.json").unlink()
    assert history_of(copy).resumed == (5, 7)
    lines = (copy / "metrics.jsonl").read_text().splitlines(True)
    (copy / "metrics.jsonl").write_text("".join(lines[:6]))
    assert history_of(copy).resumed == (5,)
    (copy / "state.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="unknown"):
        assert history_of(copy).resumed == ()
    (copy / "state.safetensors").unlink()
    assert history_of(copy).resumed == ()


def test_runs_of_earlier_versions_have_no_mark(copy):
    """Neither report nor checkpoint says anything, and the run goes on."""
    report = json.loads((copy / "report.json").read_text())
    del report["resumed"]
    (copy / "report.json").write_text(json.dumps(report))
    arrays, metadata = safetensors.load(copy / "state.safetensors")
    record = json.loads(metadata["striate"])
    del record["resumed"]
    safetensors.save(copy / "state.safetensors", arrays, {"striate": json.dumps(record)})
    assert history_of(copy).resumed == ()
    x, y = data()
    st.Model(NET, seed=0).fit(x, y, epochs=5, validation=(x, y), resume=copy, verbose=0)
    assert history_of(copy).resumed == (5,)


@pytest.mark.parametrize("damage", ["{", "{}", "[1]", '{"schema": "striate.report/1"}'])
def test_a_damaged_report_is_one_error_for_pages_and_pictures(copy, damage):
    (copy / "report.json").write_text(damage)
    said = []
    for reader in (history_of, evaluation_of, run_part, lambda run: st.draw(str(run), "confusion")):
        with pytest.raises(FormatError) as error:
            reader(copy)
        said.append(str(error.value))
    assert len(set(said)) == 1


@pytest.mark.parametrize("key", ["macro_f1", "worst", "notes"])
def test_what_only_a_page_shows_has_the_same_fix(copy, key):
    whole = (copy / "report.json").read_text()
    report = json.loads(whole)
    del report["validation"][key]
    (copy / "report.json").write_text(json.dumps(report))
    with pytest.raises(FormatError, match=r"report\.json is damaged") as error:
        run_part(copy)
    assert "remove it" in error.value.fix


def test_a_page_reads_each_file_of_a_run_once(copy, monkeypatch):
    opened = collections.Counter()
    for module in (run_results, run_files, config):
        read = module.read_bytes
        monkeypatch.setattr(
            module, "read_bytes", lambda path, read=read: opened.update([Path(path).name]) or read(path)
        )
    run_part(copy)
    assert {name: opened[name] for name in ("report.json", "metrics.jsonl")} == {
        "report.json": 1,
        "metrics.jsonl": 1,
    }


def test_a_run_without_an_end_is_unfinished(copy):
    (copy / "report.json").unlink()
    assert history_of(copy).stopped == UNFINISHED
    with pytest.raises(SourceError, match="no evaluation yet") as error:
        evaluation_of(copy)
    assert "resume" in error.value.fix


def test_a_report_of_fewer_epochs_is_of_an_earlier_end(copy):
    lines = (copy / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[-1]) | {"epoch": 5}
    (copy / "metrics.jsonl").write_text("\n".join([*lines, json.dumps(row)]))
    assert history_of(copy).stopped == UNFINISHED


def test_the_best_epoch_is_that_of_the_run():
    rng = np.random.default_rng(3)
    for monitors in (True, False):
        for _ in range(50):
            values = rng.integers(0, 4, (8, 2))
            rows = [
                {"epoch": k, "validation_accuracy": a / 4, "validation_loss": float(loss)}
                for k, (a, loss) in enumerate(values, 1)
            ]
            stopping = EarlyStopping(patience=2, min_delta=0.1)
            for row in rows:
                loss = -row["validation_loss"]
                stopping.epoch_done(row["epoch"], row["validation_accuracy"] if monitors else loss, loss)
            assert best_epoch(rows, monitors) == stopping.best_epoch
    assert best_epoch([{"epoch": 1, "train_loss": 1.0}], True) is None


def test_the_evaluation_of_a_run_is_that_of_its_report(run):
    report = json.loads((run[0] / "report.json").read_text())
    found = evaluation_of(run[0])
    assert found.items() >= report["validation"].items()
    assert found["epoch"] == report["kept_epoch"] == run[1].best_epoch
    assert found["data"].startswith("validation data of the run: ")


def test_a_run_without_validation_data_has_no_evaluation(copy):
    report = json.loads((copy / "report.json").read_text())
    (copy / "report.json").write_text(json.dumps(report | {"validation": None}))
    with pytest.raises(SourceError, match="has no evaluation") as error:
        evaluation_of(copy)
    assert "validation" in error.value.why


DAMAGE = {
    "a line is cut off": ("metrics.jsonl", lambda text: text[: len(text) * 3 // 4]),
    "a line is missing": ("metrics.jsonl", lambda text: "".join(text.splitlines(True)[1:])),
    "half of the lines": ("metrics.jsonl", lambda text: "".join(text.splitlines(True)[:2])),
    "no line": ("metrics.jsonl", lambda text: ""),
    "a number is none": ("metrics.jsonl", lambda text: text.replace('"train_loss": ', '"train_loss": [] ,"x": ', 1)),
    "bytes": ("metrics.jsonl", lambda text: "\udcff\udcfe"),
    "report cut off": ("report.json", lambda text: text[: len(text) // 2]),
    "report of another kind": ("report.json", lambda text: "[1]"),
    "report nested deeply": ("report.json", lambda text: "[" * 100_000),
    "a line nested deeply": ("metrics.jsonl", lambda text: "[" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named_and_the_fix_mends_it(copy, kind):
    name, damage = DAMAGE[kind]
    path, before = copy / name, history_of(copy)
    path.write_text(damage(path.read_text()), errors="surrogateescape")
    with pytest.raises(FormatError, match=f"{name} is damaged") as error:
        history_of(copy)
    assert error.value.where == str(path) and "remove it" in error.value.fix
    path.unlink()  # as the fix says
    x, y = data()
    st.Model(NET, seed=0).fit(x, y, validation=(x, y), resume=copy, verbose=0)
    assert history_of(copy) == before
    assert evaluation_of(copy)["accuracy"] == before.best["validation_accuracy"]


MATRICES = {
    "not square": lambda found: found["confusion_matrix"].pop(),
    "not counts": lambda found: found["confusion_matrix"][0].__setitem__(0, 0.5),
    "negative": lambda found: found["confusion_matrix"][0].__setitem__(0, -1),
    "no classes": lambda found: found.pop("classes"),
    "a share above 1": lambda found: found["calibration"]["bins"][0].__setitem__("accuracy", 2),
    "a text": lambda found: found.__setitem__("accuracy", "high"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MATRICES)
def test_a_damaged_evaluation_is_refused(copy, tmp_path, kind):
    report = json.loads((copy / "report.json").read_text())
    MATRICES[kind](report["validation"])
    (copy / "report.json").write_text(json.dumps(report))
    with pytest.raises(FormatError, match=r"report\.json is damaged"):
        evaluation_of(copy)
    printed = tmp_path / "eval.json"
    printed.write_text(
        json.dumps({"schema": "striate.eval/1", "model": "", "data": "", **report["validation"]})
    )
    with pytest.raises(FormatError, match="damaged evaluation") as error:
        evaluation_of(printed)
    assert error.value.fix


def test_other_sources_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.json").write_text('{"schema": "striate.show/1"}')
    for path, kind in (
        (tmp_path, SourceError),
        (tmp_path / "a.json", FormatError),
        (tmp_path / "m.onnx", UsageError),
    ):
        with pytest.raises(kind) as error:
            evaluation_of(path)
        assert error.value.fix
    for path in (tmp_path, tmp_path / "missing", tmp_path / "a.json"):
        with pytest.raises(StriateError, match="does not hold a run"):
            history_of(path)


ODD = (None, "x", float("nan"), float("inf"), -1, 1e308, 10**400, [], {}, True)


def mutations(record):
    """The record with one of its entries replaced by an odd value, or left out."""

    def entries(value, path=()):
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, inner in list(items)[:40]:
            yield (*path, key)
            yield from entries(inner, (*path, key))

    for path in entries(record):
        for odd in ODD:
            changed = json.loads(json.dumps(record))
            target = functools.reduce(operator.getitem, path[:-1], changed)
            target[path[-1]] = odd
            yield path, odd, changed


def test_whatever_stands_in_a_file_of_a_run_is_drawn_or_refused(copy):
    """No crash, and no number that is none in a picture."""
    report = json.loads((copy / "report.json").read_text())
    kept = {
        name: report[name] for name in ("schema", "epochs", "stopped", "kept_epoch", "validation", "data")
    }
    kept["validation"] = {name: value for name, value in kept["validation"].items() if name != "worst"}
    for path, odd, changed in mutations(kept):
        (copy / "report.json").write_text(json.dumps(changed))
        for kind in ("confusion", "calibration"):
            try:
                drawn = st.draw(str(copy), kind).svg
            except StriateError:
                continue
            except Exception as error:
                raise AssertionError(f"{kind}: {path} is {odd!r}") from error
            assert not re.search(r"\b(nan|inf) ?%", drawn), (path, odd)
    (copy / "report.json").unlink()
    lines = (copy / "metrics.jsonl").read_text().splitlines()
    for path, odd, changed in mutations(json.loads(lines[0])):
        (copy / "metrics.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]))
        try:
            assert st.draw(str(copy), "training").svg
        except StriateError:
            continue
        except Exception as error:
            raise AssertionError(f"training: {path} is {odd!r}") from error


def test_a_run_that_monitors_accuracy_and_lost_it_is_damaged(copy):
    path = copy / "metrics.jsonl"
    path.write_text(path.read_text().replace('"validation_accuracy"', '"x"', 1))
    with pytest.raises(FormatError, match=r"metrics\.jsonl is damaged"):
        history_of(copy)
