"""`striate bench` and the processes after it. No test asserts a time."""

import json
import sys
import time

import numpy as np
import pytest

import striate
from cli.run import run
from striate.engine.runtime.plan_report import Machine, PlanReport, PlanRow
from striate.engine.target import host
from striate.peers import contest as contests
from striate.peers import training
from striate.peers.contest import Failed, Process, contest, once
from striate.peers.subject import Subject
from striate.peers.tools import TOOLS, unable
from striate.terminal import Terminal
from striate.views.text import bench as view
from striate.views.text import plan_report as plan_view
from striate.views.text.page import Page

compiled = pytest.mark.skipif(host() is None, reason="no kernels for this processor")

TINY = "8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 3"
BRANCHES = "cifar_resnet20"


@pytest.fixture
def only_ours(monkeypatch):
    """As where no other tool is installed."""
    lacks = {"torch": ["torch"], "onnxruntime": ["onnxruntime"]}
    monkeypatch.setattr(
        contests, "missing", lambda tool: [] if TOOLS[tool].ours else lacks.get(tool, ["other"])
    )


RECORD = {
    "model": "lenet5",
    "input": [1, 32, 32],
    "batch": 8,
    "threads": 2,
    "rounds": 9,
    "cpu": "a processor",
    "tools": [
        {"tool": "numpy", "name": "striate, numpy engine", "median": 0.0088, "least": 0.0078, "low": 0.0080,
         "high": 0.0091, "cpu": 0.0089, "error": 4e-7},
        {"tool": "striate", "name": "striate", "median": 0.00012, "least": 0.00011, "low": 0.000118,
         "high": 0.000131, "cpu": 0.00023, "error": 6e-7},
        {"tool": "torch_eager", "name": "torch, eager", "median": 0.0011, "least": 0.0009, "low": 0.001,
         "high": 0.0012, "cpu": 0.002, "error": 3e-7},
    ],
    "left_out": [{"tool": "mnn", "name": "MNN", "why": "its answer differs from float64 by 1.0e-02"}],
    "not_installed": [
        {"tool": "onnxruntime", "name": "ONNX Runtime", "packages": ["onnxruntime", "onnx"]},
        {"tool": "openvino", "name": "OpenVINO", "packages": ["openvino", "onnx"]},
    ],
    "nodes_engine": "numpy",
    "nodes": [{"node": f"node{k}", "seconds": 0.001 * k} for k in range(12)],
}  # fmt: skip


def test_printed(golden):
    drawn = Page()
    view.draw(drawn, RECORD)
    golden("cli/bench.txt", str(drawn))


def test_table_of_a_run(only_ours):
    printed = run("bench", TINY, "--rounds", "2", "--threads", "1", "--batch", "3")
    assert (printed.code, printed.err) == (0, "")
    assert "input 8x8x1, batch 3, 1 thread" in printed.out and "not installed: torch, eager" in printed.out


def test_record(only_ours):
    record = json.loads(run("bench", TINY, "--rounds", "2", "--threads", "1", "--json").out)
    assert {row["tool"] for row in record["tools"]} >= {"numpy"}
    for row in record["tools"]:
        assert 0 < row["least"] <= row["low"] <= row["median"] <= row["high"]
        assert row["error"] < 1e-6
    told = {name for node in record["nodes"] for name in node["node"].split(" + ")}
    assert {"conv1", "fc1"} <= told
    assert all(node["seconds"] >= 0 for node in record["nodes"])
    assert {entry["tool"] for entry in record["not_installed"]} == {
        tool for tool, what in TOOLS.items() if not what.ours and not what.slow
    }


def test_without_peers():
    record = json.loads(run("bench", TINY, "--rounds", "1", "--threads", "1", "--no-peers", "--json").out)
    assert (record["not_installed"], record["left_out"]) == ([], [])


def test_branches_have_nodes_too(tmp_path):
    (told,) = once("nodes", Subject(BRANCHES, batch=2, folder=str(tmp_path)))
    assert len(told["nodes"]) == 75 or told["engine"] != "numpy"


TRAINING = {key: RECORD[key] for key in ("model", "input", "batch", "threads", "rounds", "cpu", "not_installed")} | {
    "limits": {"fma_gflops": 235.4, "read": [{"bytes": 32 << 10, "gb_s": 350.2}, {"bytes": None, "gb_s": 37.4}]},
    "tools": [
        row | {"engine": engine, "mib": mib, "grown_mib": mib - 60,
               "phases": dict(zip(view.PHASES, (0.0004, 0.00002, 0.0005, 0.0001), strict=True))}
        for row, engine, mib in zip(RECORD["tools"], ("numpy", "numpy", "torch"), (210.4, 80.0, 390.0), strict=True)
    ],
    "left_out": [{"tool": "torch_compile", "name": "torch.compile", "why": "it needs a C++ compiler"}],
}  # fmt: skip


@pytest.mark.parametrize("columns", [40, 100])
def test_training_printed(golden, columns):
    drawn = Page(Terminal(width=columns, unicode=columns > 40))
    view.draw_training(drawn, TRAINING)
    assert all(len(line) <= columns for line in drawn.lines)
    golden(f"cli/bench-train-{columns}.txt", str(drawn))


def test_training_steps_of_a_run(only_ours):
    learns = "8x8x1 -> conv 3x3 2 -> bn -> relu -> dropout -> flatten -> fc 3"
    asked = ["--train", *("--rounds", "1", "--threads", "1", "--batch", "5", "--engine", "numpy", "--json")]
    record = json.loads(run("bench", learns, *asked).out)
    (row,) = record["tools"]
    assert (row["tool"], row["engine"], record["batch"]) == ("numpy", "numpy", 5)
    assert 0 < row["error"] < 1e-4 and row["mib"] > row["grown_mib"] > 0
    assert list(row["phases"]) == list(view.PHASES) and all(row["phases"].values())
    assert {entry["tool"] for entry in record["not_installed"]} == {"torch_eager", "torch_channels_last"}


def test_rounding_is_no_difference():
    net = striate.parse("2x2x1 -> flatten -> fc 2")
    right = {"loss": np.array(1.0), "fc1.weight": np.full((2, 4), 0.5), "fc1.bias": np.zeros(2)}
    assert training.difference({**right, "fc1.bias": np.full(2, 1e-8)}, right, net)[0] < 1e-4
    turned = {**right, "fc1.weight": -right["fc1.weight"]}
    assert training.difference(turned, right, net) == (pytest.approx(2.0), "fc1.weight")
    assert training.difference({**right, "loss": np.array(np.nan)}, right, net) == (np.inf, "loss")


def test_a_tool_without_its_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert "no-such-compiler" in unable("torch_compile")
    assert unable("torch_eager") == ""


MACHINE = Machine(160.0, ((1 << 15, 400.0), (1 << 20, 150.0), (1 << 23, 40.0), (1 << 62, 12.0)))
TABLE = PlanReport(
    (
        PlanRow(("conv1", "bn1", "relu1"), "F(4x4)", "24 tiles", 1, 4, 2.3e8, 3_400_000, 1.44e-3, 1.1e-3),
        PlanRow(("layer1.0.conv2", "layer1.0.bn2", "add"), "direct", "8x4", 8, 16, 1e7, 40_000, 6.2e-5, 1.2e-4),
        PlanRow(("pool1",), "pool", "", 1, 1, 0.0, 300, 2e-9, 0.0),
    ),
    MACHINE, "avx512", 2, 5_000_000, 45_000_000,
)  # fmt: skip


@pytest.mark.parametrize("columns", [40, 100])
def test_plan_drawn(golden, columns):
    drawn = Page(Terminal(width=columns, unicode=columns > 40))
    plan_view.draw(drawn, "resnet18, input 224x224x3, batch 1, 2 threads", TABLE)
    assert all(len(line) <= columns for line in drawn.lines)
    golden(f"cli/plan-{columns}.txt", str(drawn))


def test_the_nearest_level_that_holds_the_bytes_limits():
    assert MACHINE.seconds(160e9, 0, 0, 0, 1) == 1.0
    assert MACHINE.seconds(0, 1 << 15, 0, 0, 1) == pytest.approx((1 << 15) / 400e9)
    assert MACHINE.seconds(0, 3 << 14, 0, 0, 1) == pytest.approx((3 << 14) / 150e9)
    assert MACHINE.seconds(0, 3 << 14, 0, 0, 2) == pytest.approx((3 << 14) / 400e9)  # each thread has its own
    assert MACHINE.seconds(0, 0, 1000, 1 << 30, 2) == pytest.approx(
        1000 / 12e9
    )  # pushed out by the other weights


@compiled
def test_stages():
    printed = run("bench", BRANCHES, "--stage", "plan", "--batch", "2")
    assert (printed.code, printed.err) == (0, "")
    assert "GFLOP/s; reads" in printed.out and "layer1.0.conv1" in printed.out
    printed = run("bench", TINY, "--stage", "ir", "--node", "conv1")
    assert printed.code == 0 and "define void" in printed.out
    printed = run("bench", TINY, "--stage", "assembly", "--node", "conv1")
    assert printed.code == 0 and "ret" in printed.out and "define" not in printed.out


@pytest.mark.parametrize("engine", ["numpy", pytest.param("compiled", marks=compiled)])
def test_a_program_tells_where_its_time_goes(engine):
    net = striate.create(BRANCHES)
    program = striate.Model(net, seed=0, engine=engine).compile(batch=2)
    told = program.profile(np.zeros((2, 3, 32, 32), np.float32))
    parts = [name for joined in told for name in joined.split(" + ")]
    assert {node.name for node in net.nodes if node.op.word == "conv"} <= set(parts)
    assert all(seconds >= 0 for seconds in told.values()) and sum(told.values()) > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([TINY, "--stage", "pln"], 2, "did you mean plan?"),
        ([TINY, "--stage", "plan", "--json"], 2, "exclude each other"),
        pytest.param([TINY, "--stage", "ir", "--node", "conv"], 2, "did you mean conv1?", marks=compiled),
        pytest.param([TINY, "--stage", "assembly"], 2, "--node NAME", marks=compiled),
        ([TINY, "--node", "conv1"], 2, "--stage"),
        ([TINY, "--batch", "0"], 2, "--batch"),
        (["resnt18"], 2, "resnet18"),
        (["resnt18", "--train"], 2, "resnet18"),
        (["4x4x1 -> maxpool 2", "--train"], 2, "nothing to learn"),
        ([TINY, "--train", "--engine", "nunpy"], 2, "numpy"),
        ([TINY, "--train", "--stage", "pln"], 2, "did you mean plan?"),
        ([TINY, "--memory", "2GB"], 2, "--train and --stage"),
        ([TINY, "--train", "--stage", "plan", "--memory", "much"], 2, "such as 2GB"),
        pytest.param([TINY, "--train", "--stage", "plan", "--memory", "2KB"], 2, "--memory ", marks=compiled),
        (["4x4x1 -> conv 5x5"], 2, "G001"),
    ],
)
def test_refused(arguments, code, says):
    printed = run("bench", *arguments)
    assert (printed.code, printed.out) == (code, "")
    assert says in printed.err and "Traceback" not in printed.err


def test_a_wrong_answer_is_not_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(contests, "TOLERANCE", -1.0)
    found = contest(Subject(TINY, folder=str(tmp_path)), ["numpy"], 1, 1)
    assert not found.rows and "differs from float64" in found.left_out["numpy"]


def test_a_tool_that_fails_is_named(tmp_path):
    process = Process("no such tool", 1, Subject(TINY, folder=str(tmp_path)))
    try:
        with pytest.raises(Failed, match="no such tool"):
            process.ask("prepare")
    finally:
        process.close()


def test_a_process_that_ends_is_named(tmp_path):
    process = Process("numpy", 1, Subject(TINY, folder=str(tmp_path)))
    process.child.kill()
    try:
        with pytest.raises(Failed):
            process.ask("prepare")
    finally:
        process.close()


def state(process: Process) -> str:
    with open(f"/proc/{process.child.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_waiting_process_is_stopped(tmp_path):
    process = Process("numpy", 1, Subject(TINY, folder=str(tmp_path)))
    try:
        process.ask("prepare")
        deadline = time.monotonic() + 5
        while state(process) != "T" and time.monotonic() < deadline:
            time.sleep(0.001)  # the signal is on its way
        assert state(process) == "T"
        assert process.ask("time 0")["seconds"] > 0
    finally:
        process.close()


# ---------------------------------------------------------------- other tools
@pytest.mark.torch
def test_torch_agrees(tmp_path):
    tools = ["torch_eager", "torch_channels_last", "torch_frozen"]
    found = contest(Subject(TINY, batch=2, folder=str(tmp_path)), tools, 1, 1, seconds=0.0)
    assert found.left_out == {} and list(found.rows) == tools
    assert all(error < 1e-6 for error in found.answers.values())


@pytest.mark.torch
def test_torch_takes_the_same_step(tmp_path):
    learns = "8x8x1 -> conv 3x3 4 -> bn -> relu -> maxpool 2 -> dropout -> flatten -> fc 3"
    subject = Subject(learns, batch=5, folder=str(tmp_path), train=True)
    found = contest(subject, ["striate", "torch_eager", "torch_channels_last"], 1, 1, seconds=0.0)
    assert found.left_out == {} and len(found.rows) == 3
    assert all(error < 1e-4 for error in found.answers.values())
    assert {told["engine"] for told in found.prepared.values()} >= {"torch"}
