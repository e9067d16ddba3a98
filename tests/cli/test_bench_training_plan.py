"""`striate bench --train --stage plan`: what a training step runs, and the memory it takes."""

import pytest

from cli.run import run
from cli.test_bench import MACHINE, TABLE, TINY
from striate.engine.runtime.plan_report import PlanRow
from striate.engine.target import host
from striate.engine.training.training_report import TrainingReport
from striate.terminal import Terminal
from striate.views.text import plan_report as view
from striate.views.text.page import Page

compiled = pytest.mark.skipif(host() is None, reason="no kernels for this processor")

BACK = (
    PlanRow(("gradient through conv1",), "pack", "", 1, 2, 0.0, 590_000, 1.2e-5, 3.1e-5),
    PlanRow(("gradient of conv1.weight",), "weight gradient", "", 1, 8, 2.3e8, 3_400_000, 1.44e-3, 1.7e-3),
)


@pytest.mark.parametrize("columns, again", [(40, 0), (100, 1), (100, 12)])
def test_drawn(golden, columns, again):
    table = TrainingReport(
        TABLE.rows,
        BACK,
        MACHINE,
        "avx512",
        2,
        120_000_000,
        64_000_000,
        2_000_000,
        46_800_000,
        46_700_000,
        again,
    )
    drawn = Page(Terminal(width=columns, unicode=columns > 40))
    view.draw_training(drawn, "training resnet18, input 64x64x3, batch 32, 2 threads", table)
    assert all(len(line) <= columns for line in drawn.lines)
    golden(f"cli/training-plan-{columns}-{again}.txt", str(drawn))


@compiled
def test_stages(monkeypatch):
    monkeypatch.setenv(
        "COLUMNS", "200"
    )  # no name is broken, however wide this processor's sizes and times are
    printed = run("bench", TINY, "--train", "--stage", "plan", "--batch", "5")
    assert (printed.code, printed.err) == (0, "")
    assert "batch 5" in printed.out and "gradient of conv1.weight" in printed.out
    printed = run("bench", TINY, "--train", "--stage", "ir", "--node", "gradient of conv1.weight")
    assert printed.code == 0 and "define void" in printed.out
    printed = run("bench", TINY, "--train", "--stage", "plan", "--node", "conv1")
    assert printed.code == 2
