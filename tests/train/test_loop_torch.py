"""The torch engine: the same run as numpy's up to rounding, run folders that either goes on with, its own devices."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest

import striate
from striate import weights
from striate.diagnostics import (
    EngineError,
    MissingExtraError,
    OpError,
    TrainingError,
    UnknownNameError,
    UsageError,
)
from striate.engine.registry import get_engine
from striate.formats import safetensors
from striate.train import run as folder
from striate.train.events import Updated
from striate.train.loop import fit
from striate.train.settings import Settings
from train.small import NET, PLAIN, start, stripes

NORMED = "8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> conv 3x3 6 -> maxpool 2 -> flatten -> fc 3"
QUICK = {"epochs": 2, "batch_size": 16, "lr": 0.01}


def trained(notation=NORMED, engine="torch", data=None, callbacks=(), out=None, resume=False, **settings):
    """History and weights of a run on 61 images: the last batch is a short one."""
    net, arrays = start(notation)
    data = stripes(61) if data is None else data
    chosen = Settings(**(QUICK | settings))
    history = fit(
        net, arrays, data, stripes(30, 1), chosen, engine=engine, callbacks=callbacks, out=out, resume=resume
    )
    return history, arrays


def near(one, other, tolerance=1e-5):
    for name, array in other.items():
        np.testing.assert_allclose(one[name], array, rtol=1e-4, atol=tolerance, err_msg=name)


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


# ---------------------------------------------------------------- the same run as numpy's
RUNS = {
    "sgd": {"optimizer": "sgd", "lr": 0.05},
    "sgd without nesterov, one cycle": {"optimizer": "sgd", "nesterov": False, "schedule": "onecycle"},
    "sgd without momentum, clipped": {"optimizer": "sgd", "momentum": 0.0, "clip_norm": 0.5},
    "adam": {"optimizer": "adam", "weight_decay": 0.01, "clip_value": 0.05, "eps": 1e-4},
    "adamw, one cycle, averaged": {"schedule": "onecycle", "ema": 0.9, "beta2": 0.99},
    "accumulated, mixed": {"accumulate": 3, "mixup": 0.3, "cutmix": 0.5, "flip": 0.5, "optimizer": "sgd"},
    "smoothed, weighted": {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0], "warmup_epochs": 0.5},
    "squares": {"loss": "mean_squared_error", "schedule": "plateau", "eps": 1e-4},
    "yes or no": {"loss": "binary_cross_entropy", "keep": "last"},
}


@pytest.mark.torch
@pytest.mark.parametrize("case", RUNS)
def test_a_run_equals_that_of_numpy(case):
    """Weights and running statistics after eight updates, and every number of metrics.csv but the clock's."""
    ours, arrays = trained(engine="numpy", **RUNS[case])
    theirs, found = trained(**RUNS[case])
    near(found, arrays, 2e-5)
    for one, other in zip(theirs.rows, ours.rows, strict=True):
        for name in one.keys() - {"seconds", "images_per_second"}:
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-6), name


@pytest.mark.torch
def test_auxiliary_outputs_and_nodes_that_nobody_reads():
    from striate.network import Builder
    from striate.ops import Flatten, Linear

    def run(engine):
        build = Builder("two", input=(1, 8, 8))
        x = build(Flatten(), build.input)
        first, second = build(Linear(3), x), build(Linear(3), x)
        build(Linear(2), x)
        net = build.build(first, second)
        arrays = weights.initialize(net, 0)
        fit(net, arrays, stripes(20), None, Settings(epochs=2, batch_size=8), engine=engine)
        return arrays

    near(run("torch"), run("numpy"))


@pytest.mark.torch
def test_the_same_seed_gives_the_same_bits_and_leaves_torchs_own_chance_alone():
    import torch

    torch.manual_seed(7)
    first, after = trained(NET)[1], torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(3))
    assert same(first, trained(NET)[1])
    assert not same(first, trained(NET, seed=1)[1])
    assert not same(first, trained(NET.replace("0.1", "0.2"))[1])


@pytest.mark.torch
def test_gradients_equal_those_of_numpy():
    """`training` of both engines, with the weights read anew before every run."""
    net, arrays = start(NORMED)
    x = stripes(6).x
    rng = np.random.default_rng(0)
    programs = [get_engine(name).training(net, arrays) for name in ("torch", "numpy")]
    for _ in range(2):
        made = [program.forward(x, rng) for program in programs]
        np.testing.assert_allclose(*(outputs[0] for outputs in made), rtol=1e-4, atol=1e-5)
        dy = np.cos(np.arange(18, dtype=np.float32)).reshape(6, 3)
        found, wanted = (program.backward([dy]) for program in programs)
        assert list(found) == list(wanted)
        near(found, wanted, 1e-4)
        near(programs[0].updates, programs[1].updates)
        arrays["conv1.weight"] *= 1.5


# ---------------------------------------------------------------- run folders
class Kill(Exception):
    pass


def killed_at(count, **options):
    seen = 0

    def hear(event):
        nonlocal seen
        seen += isinstance(event, Updated)
        if seen == count:
            raise Kill

    with pytest.raises(Kill):
        trained(callbacks=[hear], checkpoint_steps=1, **options)


LONG = {"epochs": 3, "ema": 0.9, "accumulate": 2, "mixup": 0.2, "flip": 0.5}


@pytest.mark.torch
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(
    "engines", [("torch", "torch"), ("numpy", "torch"), ("torch", "numpy")], ids="-".join
)
def test_a_run_goes_on_with_either_engine(tmp_path, engines, optimizer):
    """Killed between two checkpoints in the second epoch: momenta, average, mixing and position are taken up."""
    options = LONG | {"optimizer": optimizer, "out": tmp_path / "run"}
    _, whole = trained(**(options | {"out": tmp_path / "whole"}))
    killed_at(3, engine=engines[0], **options)
    history, arrays = trained(engine=engines[1], resume=True, checkpoint_steps=1, **options)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    near(arrays, whole)
    if engines == ("torch", "torch"):
        assert same(arrays, whole)
        for name in (folder.BEST, folder.LAST):
            assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((tmp_path / "run" / folder.REPORT).read_text())["environment"]["engine"].startswith(
        engines[1]
    )


@pytest.mark.torch
def test_checkpoints_hold_the_same_arrays(tmp_path):
    found = {}
    for engine in ("torch", "numpy"):
        trained(engine=engine, out=tmp_path / engine, ema=0.9)
        found[engine], _ = safetensors.load(tmp_path / engine / folder.STATE)
    assert found["torch"].keys() == found["numpy"].keys()
    assert {name.partition("/")[0] for name in found["torch"]} == {"weights", "moments", "average"}
    near(found["torch"], found["numpy"])


@pytest.mark.torch
def test_a_network_goes_to_torch_and_comes_back_bit_by_bit(tmp_path):
    """Trained here, learned on with torch's own optimizer, written as .pth, read back, learned on here."""
    import torch

    model = striate.Model(start(NORMED)[0], seed=0)
    model.fit((stripes(30).x, stripes(30).labels), epochs=1, out=tmp_path / "run")
    module = model.to_torch()
    state = module.state_dict()
    in_file, _ = safetensors.load(tmp_path / "run" / folder.BEST)
    for name, array in in_file.items():
        assert state[name].numpy().tobytes() == array.tobytes(), name
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        x, y = torch.from_numpy(stripes(30).x), torch.from_numpy(stripes(30).labels)
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    torch.save(module.state_dict(), tmp_path / "learned.pth")
    back = striate.Model(model.net, weights=tmp_path / "learned.pth", engine="torch")
    for name, array in back.weights.items():
        assert module.state_dict()[name].numpy().tobytes() == array.tobytes(), name
        assert name.endswith("running_var") or not np.array_equal(array, in_file[name]), name
    before = {name: array.copy() for name, array in back.weights.items()}
    back.fit((stripes(30).x, stripes(30).labels), epochs=1, lr=0.01)
    assert not same(dict(back.weights), before)


# ---------------------------------------------------------------- mixed precision
@pytest.mark.torch
def test_mixed_precision_learns_the_same_in_fewer_bits():
    plain, arrays = trained(epochs=6)
    mixed, found = trained(epochs=6, amp=True)
    assert mixed.best["validation_accuracy"] > 0.9
    assert mixed.last["train_loss"] == pytest.approx(plain.last["train_loss"], rel=0.2)
    assert not same(found, arrays)


@pytest.mark.torch
def test_sixteen_bit_gradients_are_scaled_and_an_overflow_leaves_the_step_out(tmp_path, monkeypatch):
    """float16, which GPUs use, here on the processor: the first steps overflow until the factor suits."""
    import torch

    from striate.engine.torch import training

    monkeypatch.setitem(training.HALF, "cpu", torch.float16)
    monkeypatch.setattr(training, "LOSS_SCALE", 2.0**24)
    monkeypatch.setattr(training, "GROWTH", 1000)
    out = tmp_path / "run"
    history, arrays = trained(epochs=12, amp=True, out=out, optimizer="adam")
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert history.last["updates"] == 48 and history.best["validation_accuracy"] > 0.9
    record = json.loads(safetensors.load(out / folder.STATE)[1]["striate"])
    assert 1 <= record["loss_scale"] < 2.0**24 and np.log2(record["loss_scale"]).is_integer()
    monkeypatch.setattr(training, "LOSS_SCALE", 3.0)  # would be seen
    trained(epochs=13, amp=True, out=out, resume=True, optimizer="adam")
    again = json.loads(safetensors.load(out / folder.STATE)[1]["striate"])["loss_scale"]
    assert np.log2(again).is_integer()


@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_mixed_precision_needs_torch(engine):
    with pytest.raises(UsageError, match="no mixed precision") as caught:
        trained(engine=engine, amp=True)
    assert 'engine="torch"' in caught.value.fix


# ---------------------------------------------------------------- numbers that break
@pytest.mark.torch
def test_a_nan_is_named_by_its_node():
    net, arrays = start(PLAIN)
    arrays["conv1.weight"][0, 0, 0, 0] = np.inf
    with pytest.raises(TrainingError, match="epoch 1, batch 0") as caught, np.errstate(all="ignore"):
        fit(net, arrays, stripes(), None, Settings(**QUICK), engine="torch")
    assert caught.value.node == "conv1" and "first that is not finite" in caught.value.why


@pytest.mark.torch
def test_a_gradient_that_is_not_finite_is_named():
    """Softmax of two equal infinities further down is what a diverging run ends in; here a root of nothing."""
    data = stripes(32)
    with pytest.raises(TrainingError) as caught, np.errstate(all="ignore"):
        trained(PLAIN, data=data, optimizer="sgd", lr=1e30, epochs=5)
    assert caught.value.node in ("conv1", "fc1") and "lower lr" in caught.value.fix


@pytest.mark.torch
def test_a_batch_of_one_that_a_norm_cannot_learn_from():
    with pytest.raises(OpError, match="one value per channel"):
        trained("8x8x1 -> conv 8x8 2 -> bn -> flatten -> fc 3", batch_size=1)


# ---------------------------------------------------------------- inference
NETS = [
    NORMED,
    "9x9x3 -> conv 3x3 4 pad 1,0,1,0 mode reflect -> gelu -> dwconv 3x3 -> gn 2 -> avgpool 2 -> gap -> flatten -> fc 5",
    "8x8x2 -> ln -> fc 4 -> flatten -> softmax",
]


@pytest.mark.torch
@pytest.mark.parametrize("notation", NETS[:2])
def test_predictions_equal_those_of_numpy(notation):
    net = striate.parse(notation)
    model, wanted = striate.Model(net, engine="torch"), striate.Model(net, engine="numpy")
    x = np.random.default_rng(0).random((3, *net.input.without_batch), np.float32)
    np.testing.assert_allclose(model.predict(x), wanted.predict(x), rtol=1e-4, atol=1e-5)
    double = model.predict(x.astype(np.float64))
    assert double.dtype == np.float64
    np.testing.assert_allclose(double, wanted.predict(x.astype(np.float64)), rtol=1e-10)
    assert model.predict(x[:0]).shape == wanted.predict(x[:0]).shape
    program = model.compile(batch=3, threads=1)
    names = [node.name for node in net.nodes]
    assert list(program.profile(x)) == names
    values = program.values(x, [names[0], next(iter(net.inputs))])
    np.testing.assert_allclose(
        values[names[0]], wanted.compile().values(x, [names[0]])[names[0]], rtol=1e-4, atol=1e-5
    )
    assert not np.shares_memory(values[next(iter(net.inputs))], x)
    assert program.first_non_finite(x) is None
    x[0, 0, 0, 0] = np.nan
    assert program.first_non_finite(x) == names[0]


@pytest.mark.torch
def test_an_op_without_counterpart_is_named(monkeypatch):
    from striate.engine.torch.operations import LOWERINGS

    monkeypatch.delitem(LOWERINGS, "relu")
    net = striate.parse("8x8x1 -> relu -> flatten -> fc 3")
    with pytest.raises(OpError, match="relu has no counterpart"):
        striate.Model(net, engine="torch").predict(np.zeros((1, 1, 8, 8), np.float32))


# ---------------------------------------------------------------- engines and devices by name
@pytest.mark.torch
def test_devices_by_name(monkeypatch):
    import torch

    assert get_engine("torch", "cpu").description == "torch on cpu"
    assert get_engine("auto", "cpu").name != "torch"
    with pytest.raises(UnknownNameError, match="write 'cuda'"):
        get_engine("torch", "cdua")
    for odd in ("cuda:x", "cpu:1", "cuda:-1", ":0"):
        with pytest.raises(UnknownNameError):
            get_engine("torch", odd)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:3", "mps"):
        with pytest.raises(EngineError, match="this machine has cpu") as caught:
            get_engine("torch", name)
        assert caught.value.fix == 'device="cpu"'
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(EngineError, match="there are 2 GPUs") as caught:
        get_engine("torch", "cuda")
    assert "cuda:1" in caught.value.why


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_other_engines_have_no_device(engine):
    with pytest.raises(UsageError, match='engine="torch", device="cuda"'):
        get_engine(engine, "cuda")


def test_without_torch_the_one_command_is_said(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(MissingExtraError, match=r"pip install '.*\[torch\]'"):
        get_engine("torch")


@pytest.mark.torch
def test_threads_are_those_that_the_process_may_use(monkeypatch):
    from striate.engine.threads import available
    from striate.engine.torch.devices import threads

    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert threads() == available()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # torchrun's own 1
    assert threads() == max(available() // 2, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3


@pytest.mark.torch
def test_a_device_without_memory_says_what_to_do():
    import torch

    from striate.diagnostics import LimitError
    from striate.engine.torch.devices import memory

    with pytest.raises(LimitError, match="a batch of 64") as caught, memory(64):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. More text.")
    assert "accumulate" in caught.value.fix and caught.value.why == "CUDA out of memory"


def test_a_rule_says_what_the_settings_say():
    from striate.train.data_source import make_transforms, sources
    from striate.train.setup import set_up_training

    settings, data = Settings(optimizer="sgd", amp=True, clip_norm=2.0).resolved, stripes()
    net, _ = start(NET)
    setup = set_up_training(
        net, settings, *sources(data, None, make_transforms(net, data, settings), settings)
    )
    rule = setup.rule
    assert (rule.word, rule.mixed, rule.decayed) == ("sgd", True, {"conv1.weight", "fc1.weight"})
    for field in dataclasses.fields(rule):
        if field.name not in ("word", "mixed", "decayed", "memory", "batch_size"):
            assert getattr(rule, field.name) == getattr(settings, field.name)
    assert (rule.memory, rule.batch_size) == (0, len(data)), "no limit; no batch is larger than the data"
