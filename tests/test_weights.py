"""Weights: how they start, and the file that keeps them."""

import math
import os
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import striate
from striate import weights
from striate.diagnostics import LimitError, StriateError, UnknownNameError

NET = "16x16x3 -> conv 3x3 32 -> bn -> prelu -> conv 3x3 64 -> flatten -> fc 200 -> fc 10"


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        ("kaiming", math.sqrt(2 / (32 * 9))),
        ("xavier", math.sqrt(2 / (32 * 9 + 64 * 9))),
        ("torch", math.sqrt(1 / 3 / (32 * 9))),
        ("resnet", math.sqrt(2 / (64 * 9))),
        ("inception", 0.088),  # a normal of 0.1 cut at two deviations keeps 0.88 of it
    ],
)
def test_the_spread_is_that_of_the_paper(initializer, std):
    made = weights.initialize(striate.parse(NET), 0, initializer)["conv2.weight"]
    assert made.dtype == np.float32
    assert made.std() == pytest.approx(std, rel=0.03)
    assert abs(made.mean()) < 4 * std / math.sqrt(made.size)


@pytest.mark.parametrize("initializer", ["kaiming", "torch"])
def test_a_large_layer_is_drawn_in_pieces(initializer, monkeypatch):
    """Of the same numbers, and without twice its memory besides."""
    net = striate.parse(NET)
    whole = weights.initialize(net, 3, initializer)
    monkeypatch.setattr(weights, "PIECE", 1000)
    tracemalloc.start()
    found = weights.initialize(net, 3, initializer)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(np.array_equal(found[name], array) for name, array in whole.items())
    assert peak < 1.2 * sum(array.nbytes for array in whole.values())


def test_what_is_not_drawn_starts_where_it_is_declared():
    made = weights.initialize(striate.parse(NET), 0)
    assert set(made["bn1.weight"]) == set(made["bn1.running_var"]) == {1}
    assert set(made["bn1.bias"]) == set(made["bn1.running_mean"]) == set(made["conv1.bias"]) == {0}
    assert set(made["prelu1.weight"]) == {np.float32(0.25)}


def test_an_array_depends_on_the_seed_and_its_name_only():
    one = weights.initialize(striate.parse(NET), 3)
    other = weights.initialize(striate.parse(NET.replace("-> bn -> prelu", "")), 3)
    assert (one["conv2.weight"] == other["conv2.weight"]).all()
    assert not (one["conv2.weight"] == weights.initialize(striate.parse(NET), 4)["conv2.weight"]).any()


def test_an_unknown_scheme_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match="kaiming"):
        weights.initialize(striate.parse(NET), 0, "kaimng")


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (8, 4)])
def test_fans_are_counted_as_torch_counts_them(shape):
    import torch

    assert weights.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("conv1.bias"), "1 missing"),
        (lambda w: w.update(other=np.zeros(1)), "1 unknown"),
        (lambda w: w.update({"conv1.weigth": w.pop("conv1.weight")}), "rename 'conv1.weigth'"),
        (lambda w: w.update({"fc2.weight": np.zeros((5, 200))}), r"\(5, 200\), expected \(10, 200\)"),
    ],
)
def test_weights_of_another_network_are_refused(change, words):
    net = striate.parse(NET)
    made = weights.initialize(net)
    weights.check(net, made)
    change(made)
    with pytest.raises(StriateError, match=words):
        weights.check(net, made)


def test_no_one_can_make_the_kept_arrays_writeable_again():
    """Whoever holds a read-only array that owns its numbers can: such an array is copied."""
    net = striate.parse("4x4x1 -> conv 3x3 2")
    mine = {name: array.copy() for name, array in weights.initialize(net).items()}
    for array in mine.values():
        array.flags.writeable = False
    kept = weights.ModelWeights(net, mine)
    for array in mine.values():
        array.flags.writeable = True
        array[...] = 7
    assert not any((array == 7).any() for array in kept.current().values())
    for array in kept.current().values():
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_kept_arrays_are_shared_and_not_copied_again():
    net = striate.parse("4x4x1 -> conv 3x3 2")
    one = weights.ModelWeights(net, weights.initialize(net))
    other = weights.ModelWeights(net, one.current())
    assert all(other.current()[name] is array for name, array in one.current().items())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_not_locked_out():
    """Another thread may hold the lock when a process forks, and is not there in the child to open it."""
    net = striate.parse("4x4x1 -> conv 3x3 2")
    kept = weights.ModelWeights(net, weights.initialize(net))
    inside, leave = threading.Event(), threading.Event()

    def hold(_arrays):
        inside.set()
        return leave.wait(30)

    thread = threading.Thread(target=kept.derived, args=(hold,))
    thread.start()
    try:
        assert inside.wait(10)
        child = os.fork()
        if not child:
            signal.alarm(10)  # a child that waits for ever would keep the test
            os._exit(0 if kept["conv1.weight"].size == 18 else 1)
        _, status = os.waitpid(child, 0)
        assert status == 0
    finally:
        leave.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_who_forks_inside_goes_on_inside():
    net = striate.parse("4x4x1 -> conv 3x3 2")
    kept = weights.ModelWeights(net, weights.initialize(net))
    made = kept.derived(lambda _arrays: os.fork())
    if not made:
        signal.alarm(10)
        os._exit(0 if kept["conv1.weight"].size == 18 else 1)
    assert os.waitpid(made, 0)[1] == 0


CHANGES = """
import os, sys
import numpy as np
import striate as st
path, other, how = sys.argv[1:]
model = st.Model.load(path)
x = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
file = os.path.join(path, "model.safetensors") if os.path.isdir(path) else path
new = os.path.join(other, "model.safetensors") if os.path.isdir(other) else other
wanted = (st.Model.load(path) if how == "early" else model).predict(x)
with open(file, "r+b") as stream:
    stream.truncate(5000) if how == "cut" else stream.write(open(new, "rb").read())
assert np.array_equal(model.predict(x), wanted), "other weights"
assert np.allclose(model.predict(np.concatenate([x, x, x]))[:2], wanted, atol=1e-5), "another batch"
model.save(path + ".kept")
assert np.array_equal(st.Model.load(path + ".kept").predict(x), wanted), "saved"
"""


@pytest.mark.parametrize("suffix", [".safetensors", ".run", ".onnx"])
@pytest.mark.parametrize("how", ["early", "late", "cut"])
def test_a_model_is_its_own_whatever_happens_to_its_file(tmp_path, suffix, how):
    """In a process of its own, which a mapped file that is cut short would end."""
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    net = striate.parse("16x16x3 -> flatten -> fc 2048 -> relu -> fc 10")
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for seed, path in enumerate(paths):
        model = striate.Model(net, seed)
        if suffix == ".run":
            model.save(path)
        else:
            model.export(path)
    done = subprocess.run(
        [sys.executable, "-c", CHANGES, *map(str, paths), how], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "make",
    [
        striate.Model,
        lambda text: striate.draw(text, "filters"),
        lambda text: striate.draw(text, "maps", image=np.zeros((1, 1, 1), np.float32)),
    ],
    ids=["model", "filters", "maps"],
)
def test_weights_that_no_machine_holds_are_refused_before_anything_is_allocated(make):
    tracemalloc.start()
    with pytest.raises(LimitError) as error:
        make("7x7x1000000 -> conv 3x3 1000000")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 24
    assert "33,527.6 GiB" in error.value.what and error.value.where == "conv1.weight"
    assert "fewer filters" in error.value.fix
    assert striate.draw("7x7x1000000 -> conv 3x3 1000000", "layer").svg


def test_memory_that_ends_early_is_a_limit(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(weights, "_draw_in_pieces", fail)
    with pytest.raises(LimitError, match="weights of lenet5 take"):
        weights.initialize(striate.create("lenet5"))
