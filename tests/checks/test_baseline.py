"""Baselines: what is known is not said again, what is new is."""

import json

import pytest

from striate.checks import Config, baseline, check
from striate.diagnostics import FormatError, SourceError
from striate.formats import parse

OLD = "33x33x3 -> a: conv 4x4 6 /2 -> relu"
NEW = "33x33x3 -> a: conv 4x4 6 /2 -> relu -> b: conv 4x4 6 /2"


def findings(text, **settings):
    return check(parse(text), Config(select=("G", "P"), **settings))


def test_only_new_findings_count(tmp_path):
    path = tmp_path / "known.json"
    old = findings(OLD)
    assert old.failed and baseline.write(path, [("net", old.findings)]) == len(old.findings) == 1
    again = findings(OLD, baseline=str(path))
    assert not again.failed and again.known == 1 and "1 in the baseline" in str(again)
    new = findings(NEW, baseline=str(path))
    assert {finding.node for finding in new.findings} == {"b"} and new.known == 1


def test_another_input_size_is_no_new_finding(tmp_path):
    path = tmp_path / "known.json"
    baseline.write(path, [("net", findings(OLD).findings)])
    assert not findings(OLD.replace("33x33", "35x35"), baseline=str(path)).findings


def test_it_counts_findings_of_one_code_on_one_node(tmp_path):
    path = tmp_path / "known.json"
    (one,) = findings(OLD).findings
    assert baseline.write(path, [("net", [one, one])]) == 2
    new, known = baseline.subtract("net", [one, one, one], baseline.read(path))
    assert (len(new), known) == (1, 2)
    new, known = baseline.subtract("another", [one], baseline.read(path))
    assert (len(new), known) == (1, 0)


def test_the_file_is_sorted_and_stable(tmp_path):
    path = tmp_path / "known.json"
    report = check(parse(NEW))
    baseline.write(path, [("net", report.findings)])
    first = path.read_text()
    baseline.write(path, [("net", reversed(report.findings))])
    assert path.read_text() == first
    assert json.loads(first)["schema"] == baseline.SCHEMA
    assert [entry.name for entry in tmp_path.iterdir()] == ["known.json"]


FAT = "32x32x3 -> conv 3x3 64 -> flatten -> fc 10"
BUDGETS = {"max_params": 10, "max_macs": 10, "max_memory": 10}


def budgets(*names, **more):
    return check(parse(FAT), Config(select=("C001",), **{name: BUDGETS[name] for name in names}, **more))


def test_one_budget_does_not_stand_for_another(tmp_path):
    path = tmp_path / "known.json"
    for name in BUDGETS:
        (finding,) = budgets(name).findings
        baseline.write(path, [("net", [finding])])
        assert not budgets(name, baseline=str(path)).findings
        left = budgets(*BUDGETS, baseline=str(path))
        assert left.known == 1 and finding.aspect not in {other.aspect for other in left.findings}
    # As files had it before findings had aspects.
    entries = [{"network": "net", "code": "C001", "node": None, "count": 2}]
    path.write_text(json.dumps({"schema": baseline.SCHEMA, "findings": entries}))
    assert not budgets("max_params", "max_macs", baseline=str(path)).findings


def test_nothing_half_written(tmp_path):
    folder = tmp_path / "missing"
    with pytest.raises(SourceError):
        baseline.write(folder / "known.json", [])
    with pytest.raises(SourceError):
        baseline.write(tmp_path, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": "striate.baseline/2", "findings": []}',
        '{"schema": "striate.baseline/1", "findings": [1]}',
        '{"schema": "striate.baseline/1", "findings": [{"network": "n", "code": 1, "node": null, "count": 1}]}',
        "\x00\xff",
        "[" * 100_000,
    ],
)
def test_what_is_no_baseline(tmp_path, text):
    path = tmp_path / "known.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FormatError) as error:
        baseline.read(path)
    assert error.value.where == str(path) and error.value.fix


def test_a_missing_baseline_says_how_to_make_one(tmp_path):
    with pytest.raises(SourceError, match="--write-baseline"):
        findings(OLD, baseline=str(tmp_path / "none.json"))


def test_a_new_baseline_keeps_what_the_old_one_knew(tmp_path, monkeypatch, capsys):
    """Also where the settings name the old one, and where two networks share a name."""
    from striate.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.striate]\nbaseline = "known.json"\nselect = ["G"]\n')
    (tmp_path / "known.json").write_text('{"schema": "striate.baseline/1", "findings": []}')
    for _ in range(2):
        assert main(["check", OLD, NEW, "--write-baseline", "known.json"]) == 0
    read = baseline.read(tmp_path / "known.json")
    known = {(code, node): times for (_, code, node, _), times in read.items()}
    assert known == {("G002", "a"): 2, ("G002", "b"): 1}
    assert main(["check", OLD, NEW]) == 0
    assert "in the baseline" in capsys.readouterr().out
