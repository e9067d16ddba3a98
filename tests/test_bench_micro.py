"""The microbenchmark of kernels: shares of the peak, and predictions next to them. No test asserts a time."""

import pytest


def test_shares_are_those_of_the_least_times(bench):
    shares = bench("shares")
    row = {"flops": 1e6, "seconds": [1e-5, 2e-5, 4e-5], "peak": [1e-11, 1e-11, 4e-11]}
    assert shares.shares(row, 125.0) == pytest.approx((0.8, 1.0))
    assert [shares.parts(share, 0.5) for share in (0.44, 0.46, 0.54, 0.56)] == ["-", "", "", "+"]


def test_layers_stand_beside_their_prediction_and_those_that_part_are_named(bench):
    """Rows of older runs have none."""
    shares = bench("shares")

    def row(group, name, seconds, **more):
        return {"target": "avx2", "group": group, "name": name, "use": "chosen", "algorithm": "", "flops": 1e6,
                "predicted": 0.5, "seconds": [seconds], "peak": [1e-11], **more}  # fmt: skip

    run = {"peaks": {"avx2": 100.0}, "rows": [
        row("from L2", "4x3", 2e-5), row("layers", "a stem", 2e-5, model=0.6),
        row("layers", "a window", 2e-5, model=0.52),
        row("layers", "of an old run", 2e-5), row("layers", "a gradient", 2e-5, model=0),
    ]}  # fmt: skip
    _, (_, lines) = shares.tables(run)
    assert [(line[0], *line[3:6]) for line in lines[1:]] == [
        ("a stem", "50", "60", "-"), ("a window", "50", "52", ""), ("of an old run", "50", "", ""),
        ("a gradient", "50", "", ""),
    ]  # fmt: skip
    older = run | {"rows": [row for row in run["rows"] if "model" not in row]}
    assert len(list(shares.tables(older))[1][1][0]) == len(lines[0]) - 2
    assert shares.verdicts(run)[1] == "avx2: 1 of 2 layers, too: a stem."


def test_every_kind_of_tile_is_among_the_layers(bench):
    """On every target; each with a prediction."""
    from engine.plan.support import only
    from striate.engine.plan import choose
    from striate.engine.plan.kernel_calls import PlanContext
    from striate.engine.target import TARGETS

    for target in TARGETS.values():
        context = PlanContext(target, 1)
        calls = [
            choose.kernel_calls(only(text, context=context), context)[-1]
            for text in bench("kernels").LAYERS.values()
        ]
        assert {call.algorithm for call in calls} >= {"direct", "planar", "F(4x4)", "depthwise", "grouped"}
        assert all(call.cycles > 0 for call in calls)


def test_tiles_are_timed_with_their_prediction(bench, monkeypatch):
    """Every tile in use is among those that are measured, and a sample computes what its flops say."""
    from striate.engine.target import AVX512, TARGETS, host

    kernels = bench("kernels")
    for target in TARGETS.values():
        sizes = set(kernels.tiles(target))
        assert {(most, n) for n, most in enumerate(target.tiles, 1)} <= sizes
        assert sum(kernels.use(target, *size) == "chosen" for size in sizes) == 1
    assert (9, 3) in set(kernels.tiles(AVX512)) and kernels.use(AVX512, 9, 3) == ""
    target = host()
    if target is None:
        pytest.skip("no kernels run here")
    monkeypatch.setattr(kernels, "CALL_FLOPS", 1.0)
    loop = kernels.Loop(target, 2, 1, kernels.L1_BYTES)
    loop.run()
    steps = loop.flops / (2 * loop.outputs.size)
    assert loop.passes == 1 and (loop.outputs == steps + 1).all()
    assert 0 < loop.predicted < 1
