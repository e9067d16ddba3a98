"""Training runs that the page watches: while they are written, killed, finished, removed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import striate as st
from striate.diagnostics import FormatError, UnknownNameError
from striate.views.lab.networks import Networks, Source
from striate.views.lab.runs import Runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    x, y = np.random.default_rng(0).random((24, 1, 8, 8), np.float32), np.arange(24) % 2
    model = st.Model("8x8x1 -> conv 3x3 2 -> relu -> gap -> flatten -> fc 2", seed=0)
    model.fit(x, y, epochs=3, batch_size=8, verbose=0, validation=(x, y), out=folder / "deep" / "one")
    return folder


@pytest.fixture
def root(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "here")
    return tmp_path / "here"


def test_a_finished_run_has_its_rows_and_its_evaluation(root):
    runs = Runs(root)
    assert runs.names() == [{"name": "deep/one", "state": "finished"}]
    record = runs.run("deep/one", 0)
    assert record["state"] == "finished" and record["ended"] == "done"
    assert [row["epoch"] for row in record["rows"]] == [1, 2, 3]
    assert record["epochs"] == record["planned"] == 3
    assert record["evaluation"]["images"] == 24
    assert record["settings"]["batch_size"] == "8"
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("since", [0, 1, 2, 3, 99])
def test_only_rows_that_the_page_does_not_have_are_sent(root, since):
    record = Runs(root).run("deep/one", since)
    assert [row["epoch"] for row in record["rows"]] == [1, 2, 3][since:]
    assert record["since"] + len(record["rows"]) == record["epochs"] == 3


def test_a_run_is_opened_with_its_network_and_its_results(root, monkeypatch):
    monkeypatch.chdir(root)
    for networks in (Networks(), Networks("deep/one"), Networks(str(root / "deep" / "one"))):
        name = networks.start_name or "deep/one"
        record = networks.record(Source(model=name))
        assert record["trained"] and record["form"] == "notation"
        run = record["page"]["run"]
        assert run["name"] == name and run["curves"]["epochs"] == [1, 2, 3]
        assert networks.record(Source(record["text"]))["page"].get("run") is None
        json.dumps(record, allow_nan=False)


def test_every_prefix_of_the_metrics_is_a_run_that_grows(root):
    folder = root / "deep" / "one"
    (folder / "report.json").unlink()
    content = (folder / "metrics.jsonl").read_bytes()
    runs = Runs(root)
    for length in [*range(0, len(content), 7), len(content)]:
        (folder / "metrics.jsonl").write_bytes(content[:length])
        record = runs.run("deep/one", 0)
        assert record["state"] == "stopped" and record["ended"] == "unfinished"
        assert record["epochs"] == content[:length].count(b"\n")
    (folder / "metrics.jsonl").unlink()
    assert runs.run("deep/one", 0)["rows"] == []


def test_a_line_that_is_damaged_is_an_error(root):
    (root / "deep" / "one" / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(FormatError):
        Runs(root).run("deep/one", 0)


def test_a_number_that_is_not_finite_is_null(root):
    folder = root / "deep" / "one"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows[1]["train_loss"] = float("inf")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = Runs(root).run("deep/one", 0)
    assert record["rows"][1]["train_loss"] is None
    json.dumps(record, allow_nan=False)


def test_a_folder_that_goes_away_is_gone(root):
    runs = Runs(root)
    runs.names()
    shutil.rmtree(root / "deep")
    assert runs.run("deep/one", 2)["state"] == "gone"
    assert runs.names() == []


@pytest.mark.parametrize(
    "name", ["..", "../here/deep/one", "/etc", "deep/../deep/one", "deep/one/", "./deep/one", "", "deep"]
)
def test_only_runs_that_were_listed_are_read(root, name):
    with pytest.raises(UnknownNameError):
        Runs(root).run(name, 0)


def test_links_are_not_followed_and_hidden_folders_left_out(root, trained):
    (root / "link").symlink_to(trained)
    (root / "loop").symlink_to(root)
    shutil.copytree(root / "deep", root / ".hidden")
    assert [one["name"] for one in Runs(root).names()] == ["deep/one"]


def test_a_run_that_was_named_is_there_from_anywhere(root, tmp_path):
    name = str(root / "deep" / "one")
    assert Runs(tmp_path / "nowhere", name).run(name, 0)["state"] == "finished"


TRAIN = """
import sys, time
import numpy as np
import striate as st
x, y = np.random.default_rng(0).random((24, 1, 8, 8), np.float32), np.arange(24) % 2
model = st.Model("8x8x1 -> conv 3x3 2 -> relu -> gap -> flatten -> fc 2", seed=0)
model.fit(x, y, epochs=100000, batch_size=8, verbose=0, validation=(x, y), out=sys.argv[1],
          callbacks=[lambda event: time.sleep(0.01)])
"""


def test_a_run_is_seen_while_it_trains_and_after_it_was_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", TRAIN, tmp_path / "live"]) as process:
        try:
            runs, deadline = Runs(tmp_path), time.monotonic() + 120
            while not runs.names() or runs.run("live", 0)["epochs"] < 2:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
            assert runs.run("live", 0)["state"] == "running"
            assert runs.names() == [{"name": "live", "state": "running"}]
        finally:
            os.kill(process.pid, signal.SIGKILL)
    record = runs.run("live", 0)
    assert record["state"] == "stopped" and record["epochs"] >= 2
