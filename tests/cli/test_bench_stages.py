"""`striate bench --stage`: the stages of a plan before its calls run."""

import pytest

import striate as st
from cli.run import run
from striate.engine.numpy_.numpy_engine import batched
from striate.engine.plan.execution_plan import stages
from striate.engine.plan.kernel_calls import PlanContext
from striate.engine.runtime import stage_report as report
from striate.engine.target import AVX512, host
from striate.terminal import Terminal
from striate.views.text import stage_report as view
from striate.views.text.page import Page
from striate.weights import initialize

compiled = pytest.mark.skipif(host() is None, reason="no kernels for this processor")

TINY = "8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 3"
NET = """12x12x3 -> conv 3x3 20 pad 1 -> bn -> silu -> dwconv 3 pad 1 -> relu6 -> maxpool 2 -> conv 3x3 40 pad 1
-> flatten -> fc 5 -> sigmoid -> tanh"""


def drawn(stage, columns):
    """A stage of a plan for AVX-512 and a small cache, whatever processor runs the test."""
    net = batched(st.parse(NET), 3)
    context = PlanContext(AVX512, 1, cache=1 << 14)
    made = {one.name: one for one in stages(net, initialize(net), net.outputs, context)}
    page = Page(Terminal(width=columns, unicode=columns > 40))
    if stage == "fused":
        view.draw_units(page, "net", report.unit_rows(made[stage].units))
    elif stage == "placed":
        view.draw_buffers(page, "net", report.buffer_rows(made[stage].units))
    elif stage == "spanned":
        view.draw_spans(page, "net", report.call_rows(made[stage].calls, made[stage].spans), 3)
    else:
        plan = made["allotted"]
        view.draw_memory(page, "net", report.memory_rows(plan, plan.steps), plan.arena.bytes)
    return page


@pytest.mark.parametrize("columns", [40, 100])
@pytest.mark.parametrize("stage", ["fused", "placed", "spanned", "memory"])
def test_stages_drawn(golden, stage, columns):
    page = drawn(stage, columns)
    assert all(len(line) <= columns for line in page.lines)
    golden(f"cli/stage-{stage}-{columns}.txt", str(page))


@compiled
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "fused"], "conv1 + relu1"),
        (["--stage", "placed"], "border: top"),
        (["--stage", "spanned", "--batch", "2"], "the whole batch of 2 images"),
        (["--stage", "memory"], "in an arena of"),
        (["--train", "--stage", "fused"], "gradient of conv1.weight"),
        (["--train", "--stage", "repeated", "--memory", "1GB"], "gradient of conv1.weight"),
        (["--train", "--stage", "placed"], "fc1.weight"),
        (["--train", "--stage", "memory"], "epochs"),
        (["--train", "--stage", "memory", "--node", "gradient of conv1.weight"], "gradient of conv1.weight"),
    ],
)
def test_every_stage_is_printed(arguments, says):
    printed = run("bench", TINY, *arguments)
    assert (printed.code, printed.err) == (0, "")
    assert says in " ".join(printed.out.split())


@compiled
@pytest.mark.parametrize("stage", ["fused", "placed", "spanned", "memory"])
def test_a_node_has_its_part_of_a_stage(stage):
    whole, part = (run("bench", TINY, "--stage", stage, *more).out for more in ((), ("--node", "fc1")))
    assert "fc1" in part and "input" not in part.partition("──\n")[2]
    assert len(part.splitlines()) < len(whole.splitlines())


@compiled
def test_units_that_the_backward_pass_repeats():
    deep = "16x16x3 -> [conv 3x3 16 pad 1 bias off -> bn -> relu]*6 -> gap -> flatten -> fc 3"
    asked = ("bench", deep, "--train", "--batch", "32", "--stage", "repeated")
    assert " again" not in run(*asked).out and " again" in run(*asked, "--memory", "7MB").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "fuse"], "did you mean fused?"),
        (["--stage", "spannd"], "did you mean spanned?"),
        (["--stage", "repeated"], "goes with --train"),
        (["--stage", "spanned", "--train"], "goes without --train"),
        (["--stage", "plan", "--node", "conv1"], "--stage plan prints all nodes"),
        pytest.param(["--stage", "fused", "--node", "conv"], "did you mean conv1?", marks=compiled),
        pytest.param(["--stage", "fused", "--node", "xyzzy"], "--stage fused lists them", marks=compiled),
    ],
)
def test_refused(arguments, says):
    printed = run("bench", TINY, *arguments)
    assert (printed.code, printed.out) == (2, "")
    assert says in printed.err and "Traceback" not in printed.err
