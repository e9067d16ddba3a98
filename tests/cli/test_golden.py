"""What every command prints, kept as text: 80 columns, no color, as in a pipe."""

import pytest

from cli.run import run

LENET = "32x32x1 -> conv 5x5 6 -> relu -> maxpool 2 -> conv 5x5 16 -> relu -> maxpool 2 -> flatten -> fc 10"

COMMANDS = {
    "show-lenet": ["show", LENET],
    "show-lenet-csv": ["show", LENET, "--csv"],
    "show-lenet-markdown": ["show", LENET, "--markdown"],
    "show-stride-3": ["show", "7x7x1 -> conv 3x3 /3"],
    "show-stride-3-json": ["show", "7x7x1 -> conv 3x3 /3", "--json"],
    "show-no-output": ["show", "12x12x3 -> conv 3x3 4 -> relu -> deep: conv 13x13 -> relu -> fc 3"],
    "show-resnet18": ["show", "resnet18"],
    "show-resnet50-fold": ["show", "resnet50", "--fold"],
    "show-convnext-fold": ["show", "convnext_tiny", "--fold"],
    "show-volume": ["show", "16x32x32x1 -> conv 3 8 /2 pad 1 -> bn -> relu -> gap"],
    "show-signal": ["show", "1d 1000x1 -> conv 9 8 /4 -> relu -> maxpool 2 -> tconv 4 2 /4"],
    "show-reconcile": ["show", "resnet18", "--reconcile"],
    "node-conv": ["show", "32x32x3 -> conv 5x5 6", "--node", "conv1"],
    "node-stride-3": ["show", "7x7x1 -> conv 3x3 /3", "--node", "conv1"],
    "node-uneven": ["show", "8x8x4 -> conv 3x3 8 /2 pad 1 groups 2 bias off", "--node", "conv1"],
    "node-depthwise": ["show", "8x8x4 -> dwconv 3x3", "--node", "conv1"],
    "node-transposed": ["show", "4x4x4 -> tconv 3x3 2 /2 pad 1", "--node", "tconv1"],
    "node-fc": ["show", "5x5x16 -> flatten -> fc 120", "--node", "fc1"],
    "node-bn": ["show", "5x5x16 -> bn", "--node", "bn1"],
    "node-pool-ceil": ["show", "6x6x1 -> maxpool 3x3 /2 ceil on", "--node", "maxpool1"],
    "check-stride-3": ["check", "7x7x1 -> conv 3x3 /3"],
    "check-clean": ["check", "9x9x3 -> conv 3x3 8 pad full"],
    "check-resnet18": ["check", "resnet18"],
    "check-concise": ["check", "resnet18", "--output-format", "concise", "--select", "P,R"],
    "check-two": ["check", "7x7x1 -> conv 3x3 /3", "lenet5", "--fail-on", "never"],
    "check-markdown": ["check", "7x7x1 -> conv 3x3 /3", "lenet5", "--output-format", "markdown"],
    "check-statistics": ["check", "resnet18", "lenet5", "--statistics"],
    "check-statistics-json": ["check", "resnet18", "--statistics", "--json"],
    "check-fix": ["check", "9x9x8 -> avgpool 3x3 /2 pad 1 -> relu", "--fix"],
    "check-fix-unsafe": ["check", "7x7x1 -> conv 3x3 /3 # slides", "--fix", "--unsafe-fixes", "--select", "G"],
    "check-diff": ["check", "9x9x8 -> avgpool 3x3 /2 pad 1 -> relu", "--diff"],
    "sizes-resnet18": ["sizes", "resnet18"],
    "sizes-stride-3": ["sizes", "7x7x1 -> conv 3x3 /3", "--near", "7"],
    "sizes-axes-differ": ["sizes", "32x30x3 -> conv 3x5 8 /2x3 -> relu"],
    "sizes-json": ["sizes", "resnet18", "--json"],
    "pixels-2x2": ["pixels", "3x3x1 -> conv 2x2"],
    "pixels-3x3": ["pixels", "5x5x1 -> conv 3x3"],
    "pixels-stride-3": ["pixels", "7x7x1 -> conv 3x3 /3"],
    "pixels-resnet18": ["pixels", "resnet18"],
    "pixels-to-node": ["pixels", "64x64x3 -> conv 3x3 /2 -> conv 3x3", "--node", "conv1"],
    "pixels-signal": ["pixels", "1d 20x1 -> conv 3 /4"],
    "pixels-volume": ["pixels", "6x6x6x1 -> conv 3"],
    "pixels-compare": ["pixels", "7x7x1 -> conv 3x3", "--compare"],
    "pixels-compare-problem": ["pixels", "4x4x1 -> [conv 3x3 pad 1]*2 -> maxpool 4", "--compare"],
    "diff-sizes": ["diff", "resnet18", "--input-b", "225x225x3"],
    "diff-stride": ["diff", "7x7x1 -> conv 3x3 /3", "7x7x1 -> conv 3x3 /3 pad 1"],
    "diff-inserted": ["diff", "8x8x3 -> conv 3x3 4 -> relu", "8x8x3 -> conv 3x3 4 -> bn -> relu -> conv 1x1 2"],
    "diff-same": ["diff", "lenet5", "lenet5"],
    "models-resnet": ["models", "resnet*"],
    "explain-G002": ["explain", "G002"],
    "explain-I001": ["explain", "I001"],
    "explain-family": ["explain", "g"],
    # Without the history, which grows with the catalogue.
    "tour": ["tour", "fully-connected", "depth", "stride", "borders", "shrink", "padding", "channels", "network"],
    "tour-list": ["tour", "--list"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The tour names the command as somebody has it who put it on the PATH."""
    monkeypatch.setattr("striate.cli.tour.program", lambda: "striate")


@pytest.mark.parametrize("name", COMMANDS)
def test_printed(name, golden):
    printed = run(*COMMANDS[name])
    assert printed.err == ""
    golden(f"cli/{name}.txt", printed.out)


NARROW = ("show-lenet", "node-conv", "check-stride-3", "sizes-resnet18", "pixels-3x3", "diff-stride", "models-resnet",
          "show-reconcile", "tour")  # fmt: skip


@pytest.mark.parametrize("name", NARROW)
def test_narrow(name, golden, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    golden(f"cli/narrow/{name}.txt", run(*COMMANDS[name]).out)


ERRORS = {
    "no-such-command": ["shwo", "lenet5"],
    "notation-for-a-command": ["7x7x1 -> conv 3x3"],
    "no-such-option": ["show", "lenet5", "--jsn"],
    "no-such-choice": ["check", "lenet5", "--output-format", "jsn"],
    "no-such-convention": ["show", "lenet5", "--mac-convention", "thopp"],
    "no-such-node": ["show", "lenet5", "--node", "cnv1"],
    "no-such-model": ["show", "resnt18"],
    "no-such-rule": ["explain", "G0002"],
    "no-such-severity": ["check", "lenet5", "--fail-on", "eror"],
    "nothing-to-check": ["check", "--isolated"],
    "unsafe-fixes-alone": ["check", "lenet5", "--unsafe-fixes"],
    "statistics-as-sarif": ["check", "lenet5", "--statistics", "--output-format", "sarif"],
    "no-such-topic": ["tour", "strid"],
    "no-match": ["models", "resnt*"],
    "missing-model": ["show"],
    "unquoted-notation": ["show", "7x7x1", "-", "3x3"],
    "bad-word": ["show", "7x7x1 -> cnv 3x3"],
    "bad-size": ["show", "lenet5", "--input", "0x32x1"],
    "bad-near": ["sizes", "lenet5", "--near", "0"],
    "nothing-to-compare": ["diff", "lenet5"],
    "two-formats": ["show", "lenet5", "--csv", "--json"],
    "no-output": ["pixels", "4x4x1 -> conv 5x5"],
    "no-such-theme": ["draw", "lenet5", "--theme", "drak"],
    "no-folder": ["show", "lenet5", "-o", "missing/folder/file.txt"],
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, golden):
    failed = run(*ERRORS[name])
    assert (failed.code, failed.out) == (2, "")
    golden(f"cli/errors/{name}.txt", failed.err)
