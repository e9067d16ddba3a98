"""Benchmarks on narrower vectors than the processor has: who is limited, and who shows it."""

import sys

import pytest


@pytest.mark.parametrize(
    "target, widest, asked",
    [("avx2", "AVX512", "avx2"), ("avx2", "AVX2", ""), ("", "AVX512", ""), ("sse", "AVX512", "")],
)
def test_who_asks_for_a_limit(bench, monkeypatch, target, widest, asked):
    from striate.engine import target as targets

    limited = bench("limited")
    monkeypatch.setenv("STRIATE_TARGET", target)
    monkeypatch.setattr(limited, "able", lambda: (getattr(targets, widest), targets.SSE))
    assert limited.asked() == asked
    assert bench("record").kept() == (f"{asked}-limited" if asked else bench("record").kind())


def test_a_wider_convolution_is_found(bench):
    limited = bench("limited")
    kernels = {"Convolution brgconv_avx512_f32": 3, "Reduce jit_avx512_f32": 1, "convolution jit:avx2": 2}
    assert limited.wider({"kernels": kernels}, limited.HEAVY) == ["Convolution brgconv_avx512_f32"]
    assert limited.wider({"kernels": kernels}) == ["Convolution brgconv_avx512_f32", "Reduce jit_avx512_f32"]


def test_a_tool_that_cannot_be_limited_is_named(bench, tmp_path, monkeypatch):
    from striate.peers.contest import Failed
    from striate.peers.subject import Subject

    limited = bench("limited")
    for tool, why in limited.UNABLE.items():
        with pytest.raises(Failed) as failed:
            limited.prove(tool, Subject("lenet5", folder=str(tmp_path)), 1)
        assert str(failed.value) == why


@pytest.mark.torch
@pytest.mark.skipif(sys.platform != "linux", reason="limits kernels on Linux")
def test_torch_shows_its_limit(bench, tmp_path, monkeypatch):
    """With the environment it is limited; without it, it says so where the processor has wider vectors."""
    from striate.engine.target import AVX512, able
    from striate.peers.contest import Failed
    from striate.peers.subject import Subject

    limited = bench("limited")
    subject = Subject("8x8x8 -> conv 3x3 16", folder=str(tmp_path))
    if AVX512 in able():
        with pytest.raises(Failed, match="no effect on convolution"):
            limited.prove("torch_eager", subject, 1)
    for name, value in limited.TARGETS["avx2"].items():
        monkeypatch.setenv(name, value)
    proof = limited.prove("torch_eager", subject, 1)
    assert "ATen: AVX2" in proof["said"] and not limited.wider(proof)


def test_a_limited_run_says_who_shows_it(bench):
    run = {
        "machine": {"limited": "avx2"},
        "proofs": [
            {"case": "a", "tool": "openvino", "said": [], "kernels": {
                "Convolution brgconv_avx2_f32": 1, "FullyConnected gemm_mlas_f32": 1, "Reduce jit_avx512_f32": 1}},
            {"case": "a", "tool": "mnn", "said": ["no 512-bit register"], "kernels": {}},
        ],
    }  # fmt: skip
    shown, wider = bench("limited").notes(run)
    assert (
        "AVX2" in shown
        and "OpenVINO (its kernels name avx2)" in shown
        and "MNN (no 512-bit register)" in shown
    )
    assert wider.endswith("FullyConnected gemm_mlas_f32, Reduce jit_avx512_f32.")
