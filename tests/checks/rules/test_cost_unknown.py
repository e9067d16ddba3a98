"""Totals that lack something say so, and a budget that nobody can judge is not kept."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import striate as st
from striate.checks import Config

OPAQUE = "8x8x3 -> conv 3x3 4 -> opaque Strange shape 4,6,6{} -> conv 1x1 2"
BUDGETS = {"max_params": 10**9, "max_macs": 10**9, "max_memory": 10**12}


def _budget(text: str, **limits: int) -> list[str]:
    report = st.check(st.parse(text), Config(select=("C001",)).replace(**limits))
    return [finding.message for finding in report.findings]


@pytest.mark.parametrize("limit", BUDGETS)
def test_a_budget_with_an_unknown_part_fails(limit):
    budget = {limit: BUDGETS[limit]}
    assert _budget("8x8x3 -> conv 3x3 4", **budget) == []
    (message,) = _budget(OPAQUE.format(""), **budget)
    assert message.startswith("at least ") and message.endswith("; 1 node unknown")
    known = _budget(OPAQUE.format(" params 10 macs 20"), **budget)
    assert bool(known) == (limit == "max_memory")  # what it needs inside, nobody knows


def test_totals_are_lower_bounds():
    totals = st.analyze(st.parse(OPAQUE.format(" params 10"))).totals
    assert totals.params == 112 + 10 + 10 and totals.unknown["params"] == ()
    assert totals.unknown["macs"] == ("opaque1",)
    assert (totals.text("params"), totals.text("macs")) == ("132", f"at least {totals.macs:,}")
    assert totals.lacking("params") == "" and totals.lacking("params", "macs") == "; 1 node unknown"
    broken = st.analyze(st.parse("8x8x3 -> conv 9x9 4 -> conv 1x1 4")).totals
    assert broken.unknown["params"] == ("conv1", "conv2")


def test_the_shell_says_so(tmp_path):
    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "striate", *words], capture_output=True, text=True, cwd=tmp_path
        )
        return done.returncode, done.stdout

    text = OPAQUE.format(" params 10")
    _, shown = run("show", text)
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert lines["params"].endswith(" 132") and lines["MACs"].endswith("; 1 node unknown")
    assert "at least" in lines["MACs"]
    _, record = run("show", text, "--json")
    assert json.loads(record)["totals"]["unknown"]["macs"] == ["opaque1"]
    code, said = run("check", text, "--max-macs", "1000000000")
    assert code == 1 and "C001" in said
