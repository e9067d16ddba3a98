"""The compiled engine trains: numpy's run up to rounding under any settings, and its own run again to the bit."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.kernels.support import targets
from striate import parse, weights
from striate.diagnostics import TrainingError
from striate.engine import compiled_engine
from striate.engine.training.compiled_training import CompiledTraining
from striate.network import Builder
from striate.ops import AvgPool, BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool, Relu, Silu
from striate.train.data import ArrayData, Transform
from striate.train.data.image_transforms import Normalize
from striate.train.events import Updated
from striate.train.finder import find_rate
from striate.train.loop import fit
from striate.train.losses import LOSSES
from striate.train.schedules import SCHEDULES
from striate.train.settings import Settings
from train.small import PLAIN, start, stripes

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

UNIT = Transform((Normalize((0.5,), (0.35,)),))
TOLERANCE = 2e-4
"""Of a weight after some updates, relative to the largest of its tensor: float32 against float32, steps apart."""


def headed():
    """Convolutions, a norm, noise, and an auxiliary head."""
    build = Builder("headed", input=(1, 8, 8))
    x = build(Silu(), build(BatchNorm(), build(Conv(5, 3, bias=False), build.input)))
    side = build(Linear(3), build(Flatten(), x))
    x = build(Relu(), build(Conv(6, 3, padding=1), x))
    x = build(Dropout(0.2), build(Flatten(), build(MaxPool(2), x)))
    return build.build(build(Linear(3), x), side)


@contextlib.contextmanager
def machine_code():
    """Whatever would be left to numpy fails."""
    with mock.patch.object(CompiledTraining, "_numpy", side_effect=AssertionError("trained by numpy")):
        yield


def trained(net, engine, chosen, count=22, validation=True, **more):
    """(numbers of every update, history, weights)"""
    seen = []

    def hear(event):
        if isinstance(event, Updated):
            seen.append((event.loss, event.lr, event.grad_norm))

    arrays = weights.initialize(net, chosen.seed)
    held_out = stripes(10, 1) if validation else None
    history = fit(net, arrays, stripes(count), held_out, chosen, engine=engine, callbacks=[hear], **more)
    return seen, history, arrays


def near(found, wanted, tolerance=TOLERANCE, what=""):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = max(np.abs(array).max(), 1e-2)
        assert np.abs(found[name] - array).max() <= tolerance * scale, f"{name} {what}"


RARELY = some.sampled_from
SETTINGS = some.fixed_dictionaries(
    {"epochs": RARELY([1, 2]), "batch_size": RARELY([7, 8]), "eps": some.just(1e-3), "lr": RARELY([0.003, 0.02])},
    optional={
        "accumulate": RARELY([2, 3]), "drop_last": some.booleans(), "seed": RARELY([1, 2]),
        "loss": RARELY(sorted(LOSSES)), "label_smoothing": RARELY([0.1, 0.3]),
        "class_weights": RARELY(["balanced", (1.0, 2.0, 0.5)]),
        "optimizer": RARELY(["sgd", "adam", "adamw"]), "momentum": RARELY([0.0, 0.5]), "nesterov": some.booleans(),
        "beta1": RARELY([0.0, 0.8]), "beta2": RARELY([0.9, 0.99]), "weight_decay": RARELY([0.0, 0.1]),
        "clip_norm": RARELY([0.1, 1.0]), "clip_value": RARELY([0.01, 0.1]), "schedule": RARELY(sorted(SCHEDULES)),
        "warmup_epochs": some.just(0.5), "final_lr": some.just(1e-4), "plateau_patience": some.just(0),
        "flip": some.just(0.5), "pad_crop": some.just(1), "erasing": some.just(0.5), "mixup": some.just(0.4),
        "cutmix": some.just(1.0), "ema": RARELY([0.5, 0.9]), "auxiliary": RARELY([0.0, 1.0]),
        "keep": RARELY(["best", "last"]), "patience": some.just(1), "fast_dev_run": some.booleans(),
        "overfit_batches": RARELY([1, 2]),
    },
)  # fmt: skip


@settings(max_examples=20)
@given(SETTINGS)
def test_whatever_the_settings_the_run_is_numpys(values):
    """Losses, rates and gradient lengths of every update, the rows of metrics.csv, and the weights at the end."""
    chosen, net = Settings(**values), headed()
    made = {} if chosen.flip or chosen.pad_crop or chosen.erasing else {"transforms": (UNIT, UNIT)}
    steps, ours, wanted = trained(net, "numpy", chosen, **made)
    with machine_code():
        found_steps, theirs, found = trained(net, "compiled", chosen, **made)
    np.testing.assert_allclose(found_steps, steps, rtol=1e-3, atol=1e-6)
    assert (theirs.stopped, theirs.best_epoch) == (ours.stopped, ours.best_epoch)
    for one, other in zip(theirs.rows, ours.rows, strict=True):
        for name in other.keys() - {"seconds", "images_per_second"}:
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-5), name
    near(found, wanted)


class Kill(Exception):
    """Stands for a process that is suddenly gone."""


@settings(max_examples=4)
@given(SETTINGS, some.integers(1, 3))
def test_whatever_the_settings_it_goes_on_to_the_bit(tmp_path_factory, values, count):
    """Stopped after some update and resumed, by the same engine: nothing shows. By numpy: rounding does."""
    chosen, net = Settings(**values, checkpoint_steps=1), headed()
    folder = tmp_path_factory.mktemp("runs")
    _, history, whole = trained(net, "compiled", chosen)

    def hear(event):
        if isinstance(event, Updated) and event.update == count:
            raise Kill

    for engine in ("compiled", "numpy"):
        common = {"out": folder / engine, "transforms": None}
        arrays, data = weights.initialize(net, chosen.seed), (stripes(22), stripes(10, 1))
        with contextlib.suppress(Kill):
            fit(net, arrays, *data, chosen, engine="compiled", callbacks=[hear], **common)
        arrays = weights.initialize(net, chosen.seed)
        again = fit(net, arrays, *data, chosen, engine=engine, resume=True, **common)
        assert len(again) == len(history)
        if engine == "numpy":
            near(arrays, whole)
        else:
            assert all((arrays[name] == whole[name]).all() for name in whole)


MIXED = {
    "layer norm": "8x8x1 -> conv 3 5 -> ln -> silu -> conv 3 4 -> flatten -> fc 3",
    "local response": "8x8x1 -> conv 3 8 -> lrn -> relu -> maxpool 2 -> flatten -> fc 3",
    "group norm": "8x8x1 -> conv 3 6 bias off -> gn 3 -> relu -> flatten -> fc 3",
    "softmax inside": "8x8x1 -> conv 3 6 -> softmax -> conv 3 4 -> flatten -> fc 3",
    "resized": "8x8x1 -> conv 3 5 -> upsample 2 method bilinear -> conv 3 4 -> flatten -> fc 3",
    "reflected": "8x8x1 -> conv 3 5 pad 1 mode reflect -> relu -> conv 3 4 -> flatten -> fc 3",
}


@pytest.mark.parametrize("name", MIXED)
def test_layers_whose_gradients_are_numpys(name):
    """The steps of the weights are machine code all the same."""
    chosen = Settings(epochs=2, batch_size=8, lr=0.02, eps=1e-3, ema=0.5)
    net = parse(MIXED[name])
    (steps, _, wanted), (found_steps, _, found) = (trained(net, e, chosen) for e in ("numpy", "compiled"))
    np.testing.assert_allclose(found_steps, steps, rtol=1e-3, atol=1e-6)
    near(found, wanted)


# ---------------------------------------------------------------- the same again
@pytest.mark.parametrize(
    "options", [{"clip_norm": 0.5, "ema": 0.9}, {"optimizer": "sgd", "accumulate": 2}], ids=str
)
def test_repeats_and_threads_change_no_bit(options, monkeypatch):
    """Layers large enough to be divided, a length of many numbers, noise."""
    net = parse("8x8x1 -> conv 3 32 pad 1 bias off -> bn -> relu -> conv 3 48 pad 1 -> relu -> dropout 0.2 "
                "-> flatten -> fc 64 -> relu -> fc 3")  # fmt: skip
    chosen = Settings(epochs=2, batch_size=11, **options)
    first = None
    for threads in (1, 1, 2, 3):
        monkeypatch.setattr(compiled_engine, "available", lambda threads=threads: threads)
        with machine_code():
            seen, _, arrays = trained(net, "compiled", chosen, validation=False)
        first = first or (seen, arrays)
        assert seen == first[0]
        assert all((arrays[name] == first[1][name]).all() for name in arrays), threads


def test_runs_side_by_side_do_not_meet():
    """Three at once in one process: each is what it is alone."""
    nets = [
        headed(),
        parse(PLAIN),
        parse("8x8x1 -> conv 3 40 -> relu -> conv 3 24 -> gap -> flatten -> fc 3"),
    ]
    chosen = Settings(epochs=3, batch_size=8)
    alone = [trained(net, "compiled", chosen)[2] for net in nets]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda net: trained(net, "compiled", chosen)[2], nets))
    for one, other in zip(alone, together):
        assert all((one[name] == other[name]).all() for name in one)


def test_a_network_without_anything_to_learn_is_refused():
    for engine in ("numpy", "compiled"):
        build = Builder("still", input=(1, 8, 9))
        still = build.build(build(Flatten(), build(AvgPool((8, 3)), build.input)))
        data = ArrayData(np.random.default_rng(0).random((12, 1, 8, 9), np.float32), np.arange(12) % 3)
        with pytest.raises(TrainingError, match="cannot be trained"):
            fit(still, {}, data, None, Settings(epochs=2, batch_size=4), engine=engine)


# ---------------------------------------------------------------- numbers that are none
def places():
    """case -> (network, weights to be changed, data, settings)"""
    deep = parse("8x8x1 -> conv 3 16 pad 1 -> relu -> conv 3 16 pad 1 -> bn -> relu6 -> flatten -> fc 3")
    line = parse("8x8x1 -> flatten -> fc 4 -> fc 4 -> fc 3")

    def holding(value, name, net=deep):
        return lambda arrays: arrays[name].flat.__setitem__(-1, value)

    def long(arrays):
        for name, value in {"fc1": 1e-36, "fc2": 1e20, "fc3": 1e18}.items():
            arrays[f"{name}.weight"][...] = value

    yield "inf in a weight", deep, holding(np.inf, "conv2.weight"), {}
    yield "nan in a weight", deep, holding(np.nan, "conv1.weight"), {}
    yield "nan in a bias", deep, holding(np.nan, "conv2.bias"), {}
    yield "inf in a scale", deep, holding(-np.inf, "bn1.weight"), {}
    yield "nan in the last layer", deep, holding(np.nan, "fc1.bias"), {}
    yield "nan in running statistics", deep, holding(np.nan, "bn1.running_mean"), {}
    yield "a rate too high", deep, None, {"optimizer": "sgd", "lr": 1e30, "epochs": 6}
    yield "a rate too high for adam", line, None, {"optimizer": "adam", "lr": 1e25, "epochs": 6}
    yield "a gradient too large", line, long, {"optimizer": "sgd"}
    yield "clipped by value", line, long, {"optimizer": "sgd", "clip_value": 1.0, "clip_norm": 1.0}
    yield "accumulated", deep, holding(np.inf, "conv1.weight"), {"accumulate": 3}


PLACES = {case[0]: case[1:] for case in places()}


@pytest.mark.parametrize("case", [*PLACES, "nan in an image", "inf in an image"])
def test_what_is_no_number_stops_both_engines_with_the_same_words(case):
    """The node is named, and what can be done; the weights are those before the update."""
    net, change, options = PLACES.get(case, (PLACES["a rate too high"][0], None, {}))
    data = stripes(24)
    if case.endswith("image"):
        data.x[13, 0, 3, 3] = np.nan if case.startswith("nan") else np.inf
    said, left = [], []
    for engine in ("numpy", "compiled"):
        arrays = weights.initialize(net, 0)
        if change:
            change(arrays)
        chosen = Settings(**({"epochs": 2, "batch_size": 8} | options))
        raised = None
        with contextlib.suppress(TrainingError), np.errstate(all="ignore"):
            try:
                fit(net, arrays, data, stripes(10, 1), chosen, engine=engine, transforms=(UNIT, UNIT))
            except TrainingError as error:
                raised = error
                raise
        assert raised is not None, engine
        assert raised.fix and (raised.node or "image" in raised.why or "running" in case)
        said.append(
            (type(raised), raised.code, raised.what, raised.where, raised.why, raised.fix, raised.node)
        )
        left.append(arrays)
    if "rate" in case:  # how far it comes in the last update depends on rounding
        said = [(*row[:2], *row[4:]) for row in said]
    assert said[0] == said[1]


# ---------------------------------------------------------------- tools
def test_the_finder_draws_numpys_curve():
    net, arrays = start(PLAIN)
    kept = {name: array.copy() for name, array in arrays.items()}
    with machine_code():
        found = find_rate(
            net, arrays, stripes(), Settings(batch_size=16), engine="compiled", updates=40, high=0.3
        )
    wanted = find_rate(net, arrays, stripes(), Settings(batch_size=16), engine="numpy", updates=40, high=0.3)
    assert found.rates == wanted.rates and all((arrays[name] == kept[name]).all() for name in kept)
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-2, atol=1e-4)
    assert found.suggestion == pytest.approx(wanted.suggestion, rel=0.2)


def test_callbacks_hear_the_same_events():
    heard = []
    for engine in ("numpy", "compiled"):
        net, arrays = start(PLAIN)
        events = []
        chosen = Settings(epochs=2, batch_size=16, accumulate=2)
        fit(net, arrays, stripes(), stripes(30, 1), chosen, engine=engine, callbacks=[events.append])
        heard.append([(type(event).__name__, event.__dict__.keys()) for event in events])
    assert [row for row in heard[1] if row[0] != "Compiled"] == heard[0]


def test_weights_as_people_hand_them_in():
    """Arrays of other orders, types and owners: trained as numpy trains them, and none after its owner's back."""
    net = parse("8x8x1 -> conv 3 4 -> relu -> flatten -> fc 3")
    chosen = Settings(epochs=1, batch_size=8, optimizer="sgd", lr=0.05)
    plain = weights.initialize(net, 0)
    ways = {
        "fortran": lambda a: np.asfortranarray(a),
        "strided": lambda a: np.repeat(a, 2, 0)[::2],
        "float64": lambda a: a.astype(np.float64),
        "read only": lambda a: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape),
    }
    for way, change in ways.items():
        results = []
        for engine in ("numpy", "compiled"):
            arrays = {name: change(array.copy()) for name, array in plain.items()}
            try:
                fit(net, arrays, stripes(24), None, chosen, engine=engine)
            except ValueError as error:
                results.append(str(error))
            else:
                results.append(arrays)
        if isinstance(results[0], str):
            assert "read-only" in results[0] and "read-only" in results[1], way
        else:
            near(results[1], results[0], what=way)
