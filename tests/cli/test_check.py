"""`striate check`: the models of a project, fixes made in files, counts, exit codes."""

import json
import os
import stat

import pytest

from cli.run import run

NET = """\
[network]
name = "small"
input = "9x9x8"  # as the camera gives it

[[node]]  # the mean
name = "mean"
op = "avgpool 3x3 /2 pad 1"
"""
FIXED = NET.replace("pad 1", "pad 1 countpad off")


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.toml"
    path.write_text(NET)
    return path


# ---------------------------------------------------------------- without a model
def test_what_is_configured_is_checked(net, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.striate]\nmodels = ["*.toml", "lenet5"]\nselect = ["P005", "G"]\ninput = "11x11"\n'
    )
    (tmp_path / "pyproject.toml").rename(tmp_path / "settings")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    done = run("check", "--config", str(tmp_path / "settings"), "--output-format", "concise")
    assert done.out.startswith("../net.toml:5: info P005 mean:")
    (tmp_path / "settings").rename(tmp_path / "pyproject.toml")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.striate]\nmodels = ["net.toml", "lenet5"]\ninput = "11x11"\n'
    )
    rows = json.loads(run("check", "--json", "--select", "P005,U002").out)
    assert {row["network"] for row in rows} == {"small", "lenet5"}
    assert any("input 11x11x8" in row["where"] for row in rows)


def test_a_model_that_is_named_is_checked_alone_and_at_its_own_input(net, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.striate]\nmodels = ["lenet5"]\ninput = "28x28x1"\n')
    rows = json.loads(run("check", "net.toml", "--json").out)
    assert {row["network"] for row in rows} == {"small"} and "9x9x8" in rows[0]["where"]
    assert "28x28x1" in run("check").out
    assert "32x32x1" in run("check", "--input", "32x32x1").out


def test_nothing_is_configured(net):
    done = run("check")
    assert (done.code, done.out) == (2, "") and "models = [" in done.err


# ---------------------------------------------------------------- fixes
def test_a_fix_is_made_in_the_file_and_printed(net):
    net.chmod(0o640)
    done = run("check", "net.toml", "--fix", "--select", "P")
    assert done.code == 0 and done.err == "1 fix applied to net.toml\n"
    assert net.read_text() == FIXED
    assert done.out.startswith("--- net.toml\n+++ net.toml\n@@") and done.out.endswith("\n\nnothing found\n")
    assert '-op = "avgpool 3x3 /2 pad 1"\n+op = "avgpool 3x3 /2 pad 1 countpad off"\n' in done.out
    assert stat.S_IMODE(net.stat().st_mode) == 0o640
    assert [path.name for path in net.parent.iterdir()] == ["net.toml"]
    again = run("check", "net.toml", "--fix", "--select", "P")
    assert (again.code, again.out, again.err) == (0, "nothing found\n", "")


def test_a_diff_changes_nothing(net):
    before = os.stat(net)
    done = run("check", "net.toml", "--diff")
    assert (done.code, done.err) == (1, "") and done.out.startswith("--- net.toml\n+++ net.toml\n@@")
    assert net.read_text() == NET and os.stat(net).st_mtime_ns == before.st_mtime_ns
    assert run("check", "net.toml", "--diff", "--fix").out == done.out and net.read_text() == NET
    assert run("check", "net.toml", "--diff", "--exit-zero").code == 0
    net.write_text(FIXED)
    assert (run("check", "net.toml", "--diff").code, run("check", "net.toml", "--diff").out) == (0, "")


def test_a_diff_says_both_versions(net):
    run("check", "net.toml", "--diff", "-o", "change.diff")
    lines = (net.parent / "change.diff").read_text().split("\n")[3:-1]
    assert "\n".join(line[1:] for line in lines if line[0] in " +") in FIXED
    assert "\n".join(line[1:] for line in lines if line[0] in " -") in NET
    assert sum(line[0] != " " for line in lines) == 2


def test_findings_for_programs_stay_apart_from_what_changed(net):
    done = run("check", "net.toml", "--fix", "--json")
    assert json.loads(done.out) == [] and "+++ net.toml" in done.err


def test_findings_behind_a_fix_have_the_lines_of_the_new_file(net):
    net.write_text(NET.replace('op = "avgpool 3x3 /2 pad 1"', 'op = "avgpool"\nkernel = 3\npadding = 1\nstride = 2')
                   + '\n[[node]]\nname = "last"\nop = "conv 3x3 4"\n')  # fmt: skip
    rows = json.loads(run("check", "net.toml", "--fix", "--json").out)
    header = net.read_text().split("\n").index('name = "last"')
    assert {row["line"] for row in rows if row["node"] == "last"} == {header}


def test_unsafe_fixes_are_made_on_request_only(net):
    net.write_text('[network]\ninput = "7x7x1"\n[[node]]\nop = "conv 3x3 /3"\n')
    before = net.read_text()
    done = run("check", "net.toml", "--fix", "--select", "G")
    assert done.code == 1 and net.read_text() == before
    assert done.err == "net.toml: 1 fix with --unsafe-fixes\n"
    done = run("check", "net.toml", "--diff", "--select", "G")
    assert (done.code, done.out, done.err) == (0, "", "net.toml: 1 fix with --unsafe-fixes\n")
    done = run("check", "net.toml", "--fix", "--unsafe-fixes", "--select", "G")
    assert (
        done.code == 0 and net.read_text() != before and run("check", "net.toml", "--select", "G").code == 0
    )


def test_an_interrupted_write_leaves_the_file_as_it_was(net, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    done = run("check", "net.toml", "--fix")
    assert done.code == 2 and net.read_text() == NET and len([*net.parent.iterdir()]) == 1


@pytest.mark.parametrize("flag", ["--fix", "--diff"])
def test_other_sources_are_told_apart(flag, net):
    done = run("check", "resnet18", flag, "--select", "P001")
    assert "resnet18 is not changed" in done.err and "5 fixes could be applied" in done.err
    assert "striate convert resnet18 resnet18.toml" in done.err
    assert done.code == 0
    assert run("check", "resnet18", flag, "--select", "G").err == ""


def test_an_onnx_file_says_why_not(net):
    assert run("convert", "net.toml", "net.onnx").code == 0
    before = (net.parent / "net.onnx").read_bytes()
    done = run("check", "net.onnx", "--fix", "--select", "P005")
    assert done.code == 0 and "net.onnx is not changed" in done.err and "weights" in done.err
    assert (net.parent / "net.onnx").read_bytes() == before


def test_several_models_and_one_that_cannot_be_read(net):
    (net.parent / "bad.toml").write_text("nonsense")
    done = run("check", "bad.toml", "net.toml", "--fix", "--select", "P")
    assert done.code == 2 and net.read_text() == FIXED and "bad.toml" in done.err


def test_what_the_baseline_knows_is_not_fixed(net):
    run("check", "net.toml", "--write-baseline", "known.json")
    assert run("check", "net.toml", "--fix", "--baseline", "known.json").code == 0
    assert net.read_text() == NET


# ---------------------------------------------------------------- exit codes
def test_exit_zero():
    assert run("check", "7x7x1 -> conv 3x3 /3").code == 1
    assert run("check", "7x7x1 -> conv 3x3 /3", "--exit-zero").code == 0
    assert run("check", "7x7x1 -> cnv 3x3 /3", "--exit-zero").code == 2


# ---------------------------------------------------------------- who reads the settings
def test_show_lists_findings_under_the_settings_of_the_folder(net, tmp_path):
    def shown():
        return [finding["code"] for finding in json.loads(run("show", "net.toml", "--json").out)["findings"]]

    assert shown() == ["P005"]
    tour = run("tour", "network").out
    (tmp_path / "pyproject.toml").write_text('[tool.striate]\nselect = ["G"]\n')
    assert shown() == []
    assert run("tour", "network").out == tour
