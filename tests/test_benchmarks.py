"""The benchmarks' own arithmetic and page. No test asserts a time."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from pages import filled
from striate.peers import timing

ROOT = Path(__file__).parents[1]


def reference(name):
    return json.loads((ROOT / "bench" / "reference" / f"{name}.json").read_text("utf-8"))


def saved_runs(question):
    """The saved run of each kind of machine."""
    found = sorted((ROOT / "bench" / "reference").glob(f"{question}-*.json"))
    return {path.stem.partition("-")[2]: json.loads(path.read_text("utf-8")) for path in found}


def inference_runs():
    return saved_runs("inference")


def test_page_prints_the_reference_runs(bench, golden):
    comparison = bench("comparison")
    inference = comparison.by_kind(inference_runs(), lambda _, run: comparison.summary(run))
    training = comparison.by_kind(saved_runs("train"), lambda _, run: bench("training").page(run))
    sections = {
        "bench/reference/analysis.json": bench("record").markdown(reference("analysis")),
        "bench/reference/inference-*.json": inference,
        "bench/reference/train-*.json": training,
        "bench/reference/draw.json": bench("pictures").page(reference("draw")),
        "bench/reference/micro-*.json": comparison.by_kind(
            saved_runs("micro"), lambda _, run: bench("shares").page(run)
        ),
    }
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    golden("../../docs/benchmarks.md", filled(page, sections))


def test_readme_prints_the_reference_runs(bench, golden):
    table = bench("comparison").readme(inference_runs())
    page = (ROOT / "README.md").read_text("utf-8")
    golden("../../README.md", filled(page, {"bench/reference/inference-*.json": table}))


@pytest.mark.parametrize("kind", inference_runs())
def test_chart_shows_the_reference_run(bench, golden, kind):
    comparison = bench("comparison")
    assert kind in {*comparison.KINDS, *(instead for instead, _ in comparison.STAND_INS.values())}
    golden(f"../../docs/inference-{kind}.svg", bench("chart").svg(inference_runs()[kind]))


def test_a_kind_without_a_run_is_named(bench):
    comparison = bench("comparison")
    run = {**RUN, "date": "2026-01-02"}

    def page(**dates):
        return comparison.by_kind(
            {kind: {**RUN, "date": date} for kind, date in dates.items()}, lambda kind, _: kind
        )

    both = page(avx512="2026-01-02", avx2="2026-03-04")
    assert both.index("(2026-03-04)") < both.index("(2026-01-02, an older run than the one above)")
    assert "no run" not in both
    (none,) = [block for block in page(avx512=run["date"]).split("\n\n") if "no run is saved" in block]
    assert none.startswith("**On a processor with AVX2 and without AVX-512**")


def test_a_run_of_limited_tools_stands_in(bench):
    comparison = bench("comparison")
    run = {**RUN, "date": "2026-01-02"}
    wide = {"avx512": run, "avx2-limited": run}
    page = comparison.by_kind(wide, lambda kind, _: kind)
    assert "the other tools limited to AVX2; ONNX Runtime and ncnn cannot be and are left out (no run" in page
    assert page.endswith("avx2-limited")
    true = comparison.by_kind({**wide, "avx2": run}, lambda kind, _: kind)
    assert "limited" not in true and true.endswith("avx2")


def test_rows_behind_are_counted(bench):
    slower = {"group": "resnet18, batch 8, 2 threads", "name": "striate", "seconds": [0.4]}
    faster = {"group": "resnet18, batch 8, 2 threads", "name": "MNN", "seconds": [0.1]}
    said = bench("comparison").verdict({**RUN, "rows": [*RUN["rows"], slower, faster]})
    assert said.startswith(
        "Striate is ahead of the best other tool in 1 of 2 rows: 0.25 to 1.50 times as fast"
    )
    assert "it meets 0 of 2 gates" in said


def test_the_kind_of_machine_is_the_processors_own(bench, monkeypatch):
    from striate.engine import target

    record = bench("record")
    monkeypatch.setenv("STRIATE_TARGET", "sse")
    monkeypatch.setattr(record, "able", lambda: (target.AVX2, target.SSE))
    assert record.machine()["kind"] == "avx2"
    monkeypatch.setattr(record, "able", tuple)
    assert record.kind()


def test_quartiles_of_samples(bench):
    summary = timing.Summary.of([0.004, 0.001, 0.002, 0.003, 0.005])
    assert (summary.median, summary.least, summary.spread) == pytest.approx((3.0, 1.0, 2.0))


def test_a_change_within_the_spread_is_none(bench):
    of = timing.Summary.of
    quiet, noisy, slower = [0.010] * 5, [0.006, 0.009, 0.011, 0.013, 0.020], [0.012] * 5
    assert of(quiet).overlaps(of(noisy))
    assert not of(quiet).overlaps(of(slower))


def test_rounds_are_interleaved_and_turn_around(bench):
    order = []

    def row(name, **more):
        return timing.Timing("group", name, lambda: order.append(name) or timing.Sample(1.0), **more)

    rows = [row("a"), row("b"), row("few", rounds=1)]
    timing.measure(rows, rounds=2, warm_up=1)
    assert order == ["a", "b", "few", "few", "b", "a", "a", "b"]
    assert [len(row.samples) for row in rows] == [2, 2, 1]


def test_a_saved_run_comes_back_and_is_compared(bench, tmp_path):
    record = bench("record")

    def run(seconds):
        row = timing.Timing("group", "row", lambda: None, samples=[timing.Sample(seconds, seconds, 20.0)] * 3)
        return record.document("q", [row], [], 0.0)

    record.save(tmp_path / "run.json", run(0.010))
    before = record.last(tmp_path / "missing.json", tmp_path / "run.json")
    assert record.text(run(0.015), before).splitlines()[-1].split() == [
        *("row", "15.0", "15.0", "0.000", "15.0", "20", "10.0", "+50", "%")
    ]


def test_a_process_is_timed_with_its_memory(bench):
    sample = timing.process([sys.executable, "-c", "pass"], {})()
    assert sample.seconds > 0
    if sys.platform != "win32":
        assert sample.cpu > 0 and sample.peak_mib > 1
    with pytest.raises(SystemExit, match="failed with exit code 3"):
        timing.process([sys.executable, "-c", "raise SystemExit(3)"], {})()


def test_a_tool_answers_and_is_served(bench):
    tools = str(ROOT / "bench" / "support" / "tools.py")
    server = timing.Server([sys.executable, tools, "striate_show", "--serve"], {})
    assert server.go("lenet5")().seconds > 0
    server.close()


def test_expected_answers_are_striates(bench):
    tools = bench("tools")
    wanted, said = tools.TOOLS["expected"]("resnet50")(), tools.TOOLS["striate_show"]("resnet50")()
    assert (said["params"], said["macs"]) == (wanted["params"], wanted["striate_show"])
    assert wanted["torchinfo"] == 4_089_238_376  # as torchinfo 1.8.0 prints


# ---------------------------------------------------------------- inference
RUN = {
    "macs": {"resnet18": 2_000_000_000, "8x8x1 -> conv 3x3": 576},
    "rows": [
        {"group": "resnet18, batch 8, 1 thread", "name": "striate", "seconds": [0.1, 0.1, 0.1]},
        {"group": "resnet18, batch 8, 1 thread", "name": "ncnn", "seconds": [0.15, 0.15, 0.15]},
        {"group": "resnet18, batch 8, 1 thread", "name": "MNN", "seconds": [0.16, 0.16, 0.16]},
        {"group": "8x8x1 -> conv 3x3, batch 1, 2 threads", "name": "striate", "seconds": [1e-6]},
        {"group": "8x8x1 -> conv 3x3, batch 1, 2 threads", "name": "MNN", "seconds": [2e-6]},
        {"group": "peak memory of resnet50, batch 8, 2 threads", "name": "striate", "seconds": [1.0]},
        {"group": "peak memory of resnet50, batch 8, 2 threads", "name": "MNN", "seconds": [1.0]},
    ],
    "limits": [{"threads": 1, "not_measured": "no"}],
    "answers": [{"case": "a", "tool": "mnn", "error": 1e-5}, {"case": "b", "tool": "mnn", "error": 2e-5}],
    "left_out": [{"case": "c", "tool": "mnn", "why": "wrong"}, {"case": "d", "tool": "mnn", "why": "wrong"}],
}


HEAD = {
    "date": "2026-01-02", "load": 0.0, "versions": {},
    "machine": {"cpu": "CPU", "cores": 1, "system": "Linux"},
}  # fmt: skip


@pytest.fixture
def inference(bench, monkeypatch):
    bench("record")
    spec = importlib.util.spec_from_file_location("inference", ROOT / "bench" / "inference.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    return module


def test_striate_is_compared_with_the_best(bench):
    comparison = bench("comparison")
    (network,) = comparison.comparisons(RUN)
    assert network == ["resnet18", "8", "1", "100", "320", "", "ncnn", "150", "1.50", "2.0", "no"]
    (layer,) = comparison.comparisons(RUN, layers=True)
    assert layer[-3:] == ["2.00", "", ""]


def test_the_share_of_the_roofline_stands_beside_the_time(bench):
    comparison = bench("comparison")
    group = "resnet18, batch 8, 1 thread"
    bound = {**RUN, "bounds": [{"case": group, "seconds": 0.08}], "settings": {"threads": [1]}}
    titles, network = comparison.table(bound)
    assert network[titles.index(comparison.ROOFLINE)] == "80%"
    assert comparison.ROOFLINE not in comparison.table(RUN)[0]
    assert "| 80% |" in comparison.readme({"avx512": {**bound, **HEAD}})


def test_what_a_run_notes(bench):
    verdict, layers, limits, errors, left_out = bench("comparison").notes(RUN)
    assert verdict.startswith("Striate is ahead of the best other tool in 1 of 1 row")
    assert layers.startswith("On single layers Striate is ahead of the best other tool in 1 of 1 row")
    assert "not measured (no)" in limits and "MNN 2e-05" in errors
    assert left_out == "Left out: MNN in c; d: wrong"


def test_a_run_whose_time_was_over_names_the_cases_it_lacks(inference, bench, tmp_path):
    run = inference.Run(tmp_path / "run.json", {"threads": [1]}, resume=False)
    run.plan({"a, batch 1, 1 thread": 1.0, "b, batch 1, 1 thread": 1.0})
    run.saved["rows"].append({"group": "a, batch 1, 1 thread", "name": "MNN", "seconds": [1.0]})
    partial = run.partial()
    assert partial["unmeasured"] == ["b, batch 1, 1 thread"] and "unmeasured" not in run.saved
    assert "The run's time was over before: b, batch 1, 1 thread." in bench("comparison").notes(partial)


def test_samples_taken_again_are_counted(bench):
    slow = {"group": "resnet18, batch 8, 1 thread", "name": "MNN", "seconds": [1.0, 1.0], "repeated": 3}
    (said,) = (
        note
        for note in bench("comparison").notes({"rows": [slow], "limits": [], "answers": [], "left_out": []})
        if "again" in note
    )
    assert said.startswith("3 samples taken again, in addition to the 2 that are kept")


def test_a_sample_of_slow_processors_is_taken_again(bench):
    """Speeds of three readings before and after each sample: slow before the second one."""
    speeds = iter([100.0] * 6 + [50.0] * 3 + [100.0] * 9)
    seconds = iter([1.0, 2.0, 1.1])
    row = timing.Timing("group", "row", lambda: timing.Sample(next(seconds)))
    steady = timing.Steady(lambda: next(speeds), wait=0.0)
    timing.measure([row], rounds=2, warm_up=0, steady=steady)
    assert [sample.seconds for sample in row.samples] == [1.0, 1.1]
    assert row.repeated == 1 and row.record()["repeated"] == 1


def test_a_machine_that_stays_slow_does_not_stop_a_run(bench):
    speeds = iter([100.0] * 3 + [40.0] * 3 + [50.0] * 6 + [45.0] * 24)
    seconds = iter([3.0, 2.0, 2.5, 2.5, 2.5, 2.5])
    row = timing.Timing("group", "row", lambda: timing.Sample(next(seconds)))
    timing.measure([row], rounds=1, warm_up=0, steady=timing.Steady(lambda: next(speeds), wait=0.0))
    assert [sample.seconds for sample in row.samples] == [2.0]  # the one at the highest speed
    assert row.repeated == timing.Steady.AGAIN


def test_a_machine_that_is_slow_from_the_beginning_is_known_to_be(bench):
    speeds = iter([50.0] * 6 + [100.0] * 6)
    seconds = iter([2.0, 1.0])
    row = timing.Timing("group", "row", lambda: timing.Sample(next(seconds)))
    steady = timing.Steady(lambda: next(speeds), wait=0.0, best=100.0)
    timing.measure([row], rounds=1, warm_up=0, steady=steady)
    assert [sample.seconds for sample in row.samples] == [1.0] and row.repeated == 1


def test_samples_that_scatter_are_taken_again(bench):
    """Slow between two readings: only the row's other samples tell."""
    seconds = iter([1.0, 2.0, 1.1, 1.5, 1.05])
    row = timing.Timing("group", "row", lambda: timing.Sample(next(seconds)))
    timing.measure([row], rounds=3, warm_up=0, steady=timing.Steady(lambda: 100.0, wait=0.0))
    assert [sample.seconds for sample in row.samples] == [1.0, 1.05, 1.1] and row.repeated == 2


def test_the_expected_time_is_said_and_ends_a_run(bench, capsys):
    clock = iter([0.0, 0.0, 0.0, 120.0, 120.0, 500.0])
    schedule = bench("schedule").Schedule({"a": 100.0, "b": 60.0, "c": 40.0}, 5, lambda: next(clock))
    schedule.begin("a")
    schedule.begin("b")  # "a" took 120 s instead of 100: so will the others
    with pytest.raises(SystemExit, match="5 minutes are over; --resume goes on with c"):
        schedule.begin("c")
    assert capsys.readouterr().err.splitlines() == [
        "3 cases, about 3 min", "a (1 of 3, 3 min to go)", "b (2 of 3, 2 min to go)",
    ]  # fmt: skip


def test_a_run_measures_the_machine_first(inference, tmp_path):
    run = inference.Run(tmp_path / "run.json", {"threads": [1]}, resume=False)
    (limits,) = run.saved["limits"]
    assert limits["threads"] == 1 and ("fma_gflops" in limits or limits["not_measured"])


def test_the_best_limits_are_kept(bench):
    level = {"bytes": None, "gb_s": 10.0}
    known, now = (
        {"fma_gflops": 100.0, "read": [level]},
        {"fma_gflops": 60.0, "read": [{**level, "gb_s": 20.0}]},
    )
    best = bench("runs").best_of(known, now)
    assert best == {"fma_gflops": 100.0, "read": [{"bytes": None, "gb_s": 20.0}]}
    assert bench("runs").best_of(None, now) == now


def test_every_part_of_a_reference_is_expected(inference, bench):
    settings = {"threads": [1, 2], "rounds": 15, "sample_s": 0.2}
    layer = "8x8x1 -> conv 3x3 4"
    cases = {
        "networks": [("lenet5", 1)],
        "layers": [(layer, 1)],
        "start": [("resnet18", 1)],
        "memory": [("resnet50", 8)],
    }
    tools = {part: ["striate"] for part in cases}
    groups = list(inference.expected(cases, tools, settings))
    assert groups[:3] == [
        "lenet5, batch 1, 1 thread",
        "lenet5, batch 1, 2 threads",
        f"{layer}, batch 1, 2 threads",
    ]
    assert [group.split()[0] for group in groups[3:]] == ["process", "process", "peak"]
    assert list(inference.PARTS) == list(cases)


def test_a_run_goes_on_where_it_was(inference, tmp_path):
    settings = {"threads": []}
    run = inference.Run(tmp_path / "run.json", settings, resume=False)
    run.add([timing.Timing("group", "row", lambda: None, samples=[timing.Sample(1.0)])])
    again = inference.Run(tmp_path / "run.json", settings, resume=True)
    assert again.has("group") and not again.has("another")
    with pytest.raises(SystemExit, match="other settings"):
        inference.Run(tmp_path / "run.json", {"threads": [1]}, resume=True)


def test_layers_are_networks_of_one_convolution(bench):
    import striate as st

    layers = bench("layers")
    nets = [st.parse(text) for text in layers.layers()]
    assert all([node.op.word for node in net.nodes] == ["conv"] for net in nets)
    first = nets[0]
    # DeepBench writes width first: 700 wide, filters 20 wide.
    assert (first.input.without_batch, first.specs["conv1"].without_batch) == ((1, 161, 700), (32, 79, 341))
    assert len(list(layers.deepbench())) == 28


# ---------------------------------------------------------------- training
def trained(tool, name, seed, *accuracies, recipe="digits"):
    at = next((k for k, share in enumerate(accuracies) if share >= 0.98), None)
    reached = None if at is None else (1.0 + at) * (4 if tool != "striate" else 1)
    return {
        "recipe": recipe, "target": 0.98, "threads": 2, "seed": seed, "tool": tool, "name": name, "first_s": 0.1,
        "reached_s": reached, "process_s": reached and reached + 1, "seconds": 9.0, "batches_s": 0.5,
        "accuracies": list(accuracies),
    }  # fmt: skip


TRAINING = {
    "rows": [
        {"group": "lenet5, batch 64, 2 threads", "name": "striate", "seconds": [0.01] * 3},
        {"group": "lenet5, batch 64, 2 threads", "name": "torch, eager", "seconds": [0.02] * 3},
        {"group": "resnet50, batch 8, 2 threads", "name": "striate", "seconds": [1.0] * 3},
    ],
    "answers": [{"case": "a", "tool": "striate", "error": 1e-5}],
    "left_out": [{"case": "digits", "tool": "torch_compile", "why": "it needs a C++ compiler"}],
    "memory": [
        {"case": "lenet5, batch 64, 2 threads", "tool": "striate", "mib": 80.0, "grown_mib": 20.0},
        {"case": "lenet5, batch 64, 2 threads", "tool": "torch_eager", "mib": 380.0, "grown_mib": 19.0},
    ],
    "accuracy": [
        trained("torch_eager", "torch, eager", 0, 0.9, 0.98),
        trained("striate", "striate", 0, 0.9, 0.98),
        trained("striate", "striate", 1, 0.97, 0.96, 0.99, 1.0),
    ],
}


def test_training_steps_beside_the_best(bench):
    _, line = bench("training").steps(TRAINING)
    assert line == ["lenet5, batch 64, 2 threads", "10.0", "torch, eager", "20.0", "2.00", "3.0", "no"]


def test_training_memory_beside_the_others(bench):
    _, line = bench("training").memory(TRAINING)
    assert line == ["lenet5, batch 64, 2 threads", "20 (80)", "19 (380)", "no"]


def test_time_to_an_accuracy(bench):
    training = bench("training")
    ((sentence, (titles, mine, other)),) = training.accuracies(TRAINING)
    assert sentence.endswith("torch, eager takes 3.20 times as long as striate (gate 3.0: met).")
    assert titles[1] == "s to 98%"
    assert mine == [
        "striate",
        "2.50",
        "2.00",
        "3.00",
        "2 to 3",
        "3.50",
        "0.100",
        "9.00",
        "0.500",
        "98.0% to 100.0%",
    ]
    assert other[0] == "torch, eager"
    never = {**TRAINING, "accuracy": [trained("striate", "striate", 0, 0.5)]}
    ((sentence, (_, line)),) = training.accuracies(never, TRAINING)
    assert "times" not in sentence and (line[1], line[-1]) == ("never", "2.50")


def test_a_page_has_what_the_run_holds(bench):
    training = bench("training")
    saved = next(iter(saved_runs("train").values()))
    nothing = {key: [] for key in ("accuracy", "memory", "limits", "left_out")}
    assert training.page(saved | nothing).count("Peak memory") == 0
    page = training.page(saved | {key: TRAINING[key] for key in ("accuracy", "memory", "left_out")})
    assert "Left out: torch.compile in digits: it needs a C++ compiler" in page
    assert page.count("Peak memory") == 1 and "98% of the held-out images" in page


@pytest.mark.torch
def test_torch_learns_the_same(bench):
    """The loop of torch and Striate's, from the same weights with the same batches, come to the same weights."""
    import numpy as np

    import striate as st
    from striate.train.data import ArrayData
    from striate.train.data_source import make_transforms
    from striate.train.settings import Settings

    trainers = bench("trainers")
    rng = np.random.default_rng(0)
    data = ArrayData(rng.random((22, 1, 8, 8), np.float32), rng.integers(0, 3, 22))
    net = st.parse("8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> flatten -> fc 3")
    recipe = {**trainers.RECIPES["digits"].settings, "epochs": 3, "batch_size": 8}
    settings = Settings().replace(recipe).resolved
    weights = {}
    for tool in ("striate", "torch_eager"):
        start = {name: array.copy() for name, array in st.Model(net, seed=0).weights.items()}
        job = trainers.Job(net, start, data, data, make_transforms(net, data, settings), settings)
        watch = trainers.Watch(0.0, 0.0)
        trainers.TRAINERS[tool](job, 1, watch)
        assert (
            len(watch.answer["accuracies"]) == 3 and watch.answer["reached_s"] > watch.answer["first_s"] > 0
        )
        weights[tool] = job.weights
    for name, mine in weights["striate"].items():
        assert np.abs(mine - weights["torch_eager"][name]).max() < 1e-3, name
