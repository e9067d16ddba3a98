"""The experiment in the shell: a table, one unit, JSON, and what is said when it cannot be made."""

import json

import pytest

import striate as st
from cli.run import run

NET = "12x12x1 -> conv 5x5 3 -> relu -> maxpool 2 -> flatten -> fc 2"


@pytest.fixture
def model(tmp_path):
    """A folder of a model: conv1 has a vertical edge, nothing, and a horizontal edge."""
    import numpy as np

    edge = np.tile(np.array([-1, -1, 0, 1, 1], np.float32) / 10, (5, 1))
    made = st.Model(NET, seed=0)
    made.weights["conv1.weight"][:] = np.stack([edge, 0 * edge, edge.T])[:, None]
    made.weights["conv1.bias"][:] = 0
    made.save(tmp_path / "mine")
    return str(tmp_path / "mine")


def test_the_table_has_a_row_for_each_unit(model):
    done = run("probe", model, "--node", "conv1")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert next(row for row in rows if row[:1] == ["0"])[:3] == ["0", "simple", "90.0°"]
    assert ["1", "no", "response"] in rows
    assert next(row for row in rows if row[:1] == ["2"])[:3] == ["2", "simple", "0.0°"]
    assert "read at relu1" in done.out and "untrained" not in done.out
    assert "2 simple, 1 without a response" in done.out and "not defined for one frame" in done.out


def test_one_unit_with_its_curve(model):
    done = run("probe", model, "--node", "conv1", "--unit", "0")
    assert done.code == 0 and "F1/F0" in done.out and "±" in done.out
    longest = max(done.out.splitlines(), key=lambda line: line.count("█"))
    assert longest.split()[0] == "90.0°"
    assert "no stimulus drives the unit" in run("probe", model, "--node", "conv1", "--unit", "1").out


def test_json_is_that_of_python(model, tmp_path):
    record = json.loads(run("probe", model, "--node", "conv1", "--json").out)
    expected = st.probe(model, "conv1").to_dict()
    assert record == json.loads(json.dumps(expected))
    assert record["units"][1]["cv"] is None and record["units"][1]["type"] == "none"
    one = json.loads(run("probe", model, "--node", "conv1", "--unit", "2", "--json").out)
    assert one["units"] == record["units"][2:]
    path = tmp_path / "probe.json"
    assert run("probe", model, "--node", "conv1", "--json", "-o", str(path)).out == ""
    assert json.loads(path.read_text("utf-8")) == record


def test_fresh_weights_are_said():
    done = run("probe", NET, "--node", "conv1", "--seed", "3")
    assert "untrained, seed 3" in done.out
    assert "untrained, seed 0" in run("probe", NET, "--node", "conv1").out


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ([], "--node conv1"),
        (["--node", "fc1"], "take maxpool1, a node in front of it"),
        (["--node", "conv2"], "conv1"),
        (["--node", "conv1", "--unit", "3"], "0 to 2"),
        (["--node", "conv1", "--at", "top"], "take center, edge, corner or a row and a column"),
        (["--node", "conv1", "--at", "9,9"], "take center, edge, corner or a row and a column"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_a_fix(words, fix):
    done = run("probe", NET, *words)
    assert (done.code, done.out) == (2, "")
    assert fix in done.err.splitlines()[-1]


def test_the_unit_at_a_place():
    record = json.loads(run("probe", NET, "--node", "conv1", "--at", "2,5", "--json").out)
    assert record["position"] == [2, 5] and record["field"] == {"h": [2, 6], "w": [5, 9]}


def test_borders_are_compared():
    done = run("probe", "12x12x1 -> conv 5x5 4 pad 2 -> relu", "--node", "conv1", "--border")
    rows = [line.split() for line in done.out.splitlines()]
    modes, places = ("zeros", "reflect", "replicate", "circular"), ("center", "edge", "corner")
    expected = [[mode, place] for mode in modes for place in places]
    assert [row[:2] for row in rows if row[3:4] == ["of"]] == expected
    alike = run("probe", NET, "--node", "conv1", "--border").out
    assert "every padding mode is the same" in alike and "reflect" not in alike
    assert "leave out --at" in run("probe", NET, "--node", "conv1", "--border", "--at", "edge").err


def test_a_population_beside_its_controls(model):
    done = run("probe", model, "--population", "--seeds", "2")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    at = next(k for k, row in enumerate(rows) if row[:3] == ["conv1", "as", "given"])
    assert rows[at][3] == "67%" and [rows[at + k][0] for k in (1, 2)] == ["untrained", "shuffled"]
    assert "orientation selective than its untrained controls (" in " ".join(done.out.split())
    assert "compared with 2 networks without training" in done.out
    one = run("probe", model, "--population", "--seeds", "1", "--node", "maxpool1").out
    assert "maxpool1  as given" in one and "conv1" not in one


def test_json_of_a_population_is_that_of_python(model):
    record = json.loads(run("probe", model, "--population", "--seeds", "1", "--json").out)
    assert record == json.loads(json.dumps(st.population(model, seeds=1).to_dict()))
    assert record["nodes"][0]["samples"][0]["cv"][1] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--population", "--border", "--node", "conv1"], "cannot be combined"),
        (["--population", "--at", "edge"], "leave out --at"),
        (["--population", "--unit", "0"], "leave out --unit"),
        (["--population", "--seeds", "0"], "--seeds"),
        (["--node", "conv1", "--seeds", "2"], "add --population"),
        (["--node", "conv1", "--at", "100,100"], "no unit at 100, 100"),
        (["--population", "--node", "fc1"], "no map"),
        (["--node", "conv1", "--node", "maxpool1"], "several nodes are named"),
        (["--border", "--node", "conv1", "-o", "x.svg"], "text or JSON"),
    ],
)
def test_what_does_not_go_together_is_said(words, said):
    done = run("probe", NET, *words)
    assert (done.code, done.out) == (2, "") and said in done.err


@pytest.mark.parametrize(
    "words", [["--node", "conv1"], ["--node", "conv1", "--unit", "0"], ["--node", "conv1", "--unit", "1"],
              ["--population", "--seeds", "1"]],
)  # fmt: skip
@pytest.mark.parametrize(
    ("ending", "head"),
    [
        (".svg", b"<svg"),
        (".html", b"<!DOCTYPE html>"),
        pytest.param(".PNG", b"\x89PNG", marks=pytest.mark.draw),
    ],
)
def test_pictures_and_pages_are_written(model, words, ending, head, tmp_path):
    path = tmp_path / f"units{ending}"
    done = run("probe", model, *words, "-o", str(path))
    assert (done.code, done.out) == (0, "")
    assert path.read_bytes().startswith(head) and "written" in done.err
