"""The loop: it learns, it repeats itself to the bit, and every setting does what it says."""

import math

import numpy as np
import pytest

from striate import parse
from striate.diagnostics import TrainingError
from striate.train import events
from striate.train.data import ArrayData, Transform
from striate.train.data.image_transforms import Normalize
from striate.train.loop import fit
from striate.train.settings import Settings
from train.small import NET, PLAIN, start, stripes

QUICK = {"epochs": 2, "batch_size": 16, "lr": 0.01}
UNIT = Transform((Normalize((0.5,), (0.35,)),))


def trained(notation=NET, data=None, validation=None, **settings):
    net, arrays = start(notation)
    transforms = settings.pop("transforms", None)
    data = stripes() if data is None else data
    history = fit(net, arrays, data, validation, Settings(**(QUICK | settings)), transforms=transforms)
    return history, arrays


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_it_learns_what_it_has_not_seen():
    history, _ = trained(validation=stripes(60, seed=1), epochs=12)
    assert history.best["validation_accuracy"] > 0.95
    assert history.column("train_loss")[0] > history.column("train_loss")[-1]
    assert [row["epoch"] for row in history.rows] == list(range(1, 13))


OPTIONS = [
    {},
    {"optimizer": "sgd", "schedule": "onecycle", "ema": 0.9},
    {"optimizer": "adam", "mixup": 0.4, "cutmix": 1.0, "accumulate": 2, "schedule": "step"},
    {"flip": 0.5, "pad_crop": 1, "erasing": 0.5, "label_smoothing": 0.1, "class_weights": "balanced"},
    {"loss": "mean_squared_error", "schedule": "plateau", "clip_norm": 0.1, "clip_value": 0.01},
    {"loss": "binary_cross_entropy", "warmup_epochs": 0.5, "drop_last": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_same_seed_gives_the_same_weights(options):
    first, second = trained(**options)[1], trained(**options)[1]
    assert same(first, second)
    assert not same(first, trained(**options, seed=1)[1])
    assert not same(first, start()[1])


def test_validation_does_not_touch_the_training():
    assert same(trained(keep="last")[1], trained(validation=stripes(30, 1), keep="last")[1])


@pytest.mark.parametrize("rule", ["sgd", "adamw"])
def test_accumulated_batches_equal_the_large_batch(rule):
    """Up to the order of summation; without batch norm and dropout, which see one batch at a time."""
    common = {"optimizer": rule, "class_weights": [1.0, 2.0, 3.0], "label_smoothing": 0.1, "clip_norm": 1.0}
    _, whole = trained(PLAIN, batch_size=24, **common)
    _, parts = trained(PLAIN, batch_size=8, accumulate=3, **common)
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-3, atol=2e-5)
    _, other = trained(PLAIN, batch_size=8, accumulate=2, **common)
    assert not np.allclose(other["conv1.weight"], whole["conv1.weight"], rtol=1e-3, atol=2e-5)


def test_one_step_is_the_gradient_of_the_mean_loss():
    """The whole way from the data to the weights, against differences of the loss itself."""
    from striate.engine.registry import get_engine
    from striate.train.losses import CrossEntropy

    data = stripes(12)
    net, arrays = start(PLAIN)
    before = {name: array.astype(np.float64) for name, array in arrays.items()}
    x, y = UNIT(data.x).astype(np.float64), data.labels

    def loss(changed):
        return CrossEntropy()(get_engine("numpy").compile(net, changed)(x), y).mean

    plain = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "weight_decay": 0.0, "schedule": "constant"}
    fit(net, arrays, data, None, Settings(epochs=1, batch_size=12, **plain), transforms=(UNIT, UNIT))
    for name, array in before.items():
        for place in list(np.ndindex(array.shape))[:4]:
            up, down = dict(before), dict(before)
            up[name], down[name] = array.copy(), array.copy()
            up[name][place] += 1e-6
            down[name][place] -= 1e-6
            slope = (loss(up) - loss(down)) / 2e-6
            assert math.isclose(array[place] - arrays[name][place], slope, rel_tol=1e-3, abs_tol=1e-6)


def test_fast_dev_run_is_one_batch_of_everything():
    seen = []
    net, arrays = start()
    settings = Settings(epochs=9, batch_size=4, fast_dev_run=True)
    history = fit(net, arrays, stripes(), stripes(30, 1), settings, callbacks=[seen.append])
    progress = [event for event in seen if isinstance(event, events.Progress)]
    assert [(event.phase, event.done) for event in progress] == [("train", 4), ("validate", 4)]
    assert len(history) == 1


def test_overfitting_a_batch_learns_it_by_heart():
    """On labels that mean nothing: only memory can do it."""
    data = stripes(64, noise=1.0)
    data.labels = np.random.default_rng(0).integers(0, 3, 64)
    history, _ = trained(
        "8x8x1 -> conv 3x3 8 -> relu -> flatten -> fc 3",
        data,
        overfit_batches=1,
        epochs=80,
        lr=0.02,
        batch_size=16,
    )
    assert history.last["validation_accuracy"] == 1.0


def test_early_stopping_keeps_the_best():
    history, _ = trained(PLAIN, validation=stripes(30, 1), epochs=60, lr=1e-9, patience=3)
    assert history.stopped == "early stop" and len(history) == 4
    assert history.best_epoch is not None


def test_the_best_weights_are_handed_back():
    """A rate that ruins what was learned: the result is still the best epoch's."""
    from striate.engine.registry import get_engine
    from striate.train.data_source import Source
    from striate.train.evaluation import evaluate
    from striate.train.losses import CrossEntropy

    held_out = stripes(30, 1)
    made = (UNIT, UNIT)
    options = {"epochs": 12, "lr": 0.3, "optimizer": "sgd", "schedule": "constant", "transforms": made}
    history, arrays = trained(validation=held_out, **options)
    net = parse(NET)
    program = get_engine().compile(net, arrays, batch=16)
    found = evaluate(program, Source(held_out, UNIT, 16), CrossEntropy())
    assert found.loss == history.best["validation_loss"]
    assert found.accuracy == max(history.column("validation_accuracy"))
    _, last = trained(validation=held_out, keep="last", **options)
    found = evaluate(get_engine().compile(net, last, batch=16), Source(held_out, UNIT, 16), CrossEntropy())
    assert found.loss == history.last["validation_loss"]


def test_the_moving_average_is_what_is_validated():
    plain, _ = trained(validation=stripes(30, 1), keep="last", lr=0.1)
    average, _ = trained(validation=stripes(30, 1), keep="last", lr=0.1, ema=0.99)
    assert plain.column("train_loss") == average.column("train_loss")
    assert plain.column("validation_loss") != average.column("validation_loss")


def test_events_come_in_order():
    seen = []
    net, arrays = start()
    fit(net, arrays, stripes(), stripes(30, 1), Settings(**QUICK), callbacks=[seen.append])
    kinds = [type(event).__name__ for event in seen]
    assert kinds[0] == "Started" and kinds[-1] == "Finished"
    assert kinds.count("EpochDone") == 2 and kinds.count("Updated") == 8
    training = [event for event in seen if isinstance(event, events.Progress) and event.phase == "train"]
    assert [event.done for event in training] == [16, 32, 48, 60] * 2
    assert all(event.images_per_second > 0 and event.eta_s >= 0 for event in training)
    assert training[-1].eta_s == 0


def not_finite(data=None, notation=PLAIN, **settings):
    with pytest.raises(TrainingError) as caught, np.errstate(all="ignore"):
        trained(notation, data, transforms=(UNIT, UNIT), **settings)
    return caught.value


def test_a_nan_is_named_by_its_node():
    net, arrays = start(PLAIN)
    arrays["conv1.weight"][0, 0, 0, 0] = np.inf
    with pytest.raises(TrainingError) as caught, np.errstate(all="ignore"):
        fit(net, arrays, stripes(), None, Settings(**QUICK))
    error = caught.value
    assert (
        error.node == "conv1"
        and "first that is not finite" in error.why
        and "epoch 1, batch 0" in error.where
    )
    assert error.code == "I010" and error.fix


def test_a_rate_that_diverges_stops_with_a_fix():
    error = not_finite(optimizer="sgd", lr=1e30, epochs=5)
    assert error.node in ("conv1", "fc1") and "lower lr" in error.fix


def test_a_nan_in_the_images_is_named():
    data = stripes()
    data.x[7, 0, 3, 3] = np.nan
    error = not_finite(data, batch_size=60)
    assert "image 7 contains NaN" in error.why


TWO_OF_THREE = ArrayData(np.zeros((2, 8, 8)), [0, 1], ("a", "b", "c"))
POINTS = "8x8x1 -> conv 8x8 2 -> bn -> flatten -> fc 3"
MISFITS = {
    "input": ({"notation": "9x9x1 -> flatten -> fc 3"}, "9x9x1"),
    "classes": ({"notation": "8x8x1 -> flatten -> fc 4"}, "num_classes=3"),
    "softmax": ({"notation": "8x8x1 -> flatten -> fc 3 -> softmax"}, "end the network before softmax1"),
    "nothing": ({"data": ArrayData(np.zeros((0, 1, 8, 8)), np.zeros(0, int), ("a", "b", "c"))}, "no training batch"),
    "a single image": ({"data": stripes(17), "notation": POINTS}, "last of 2 batches is a single image"),
    "no full batch": ({"batch_size": 100, "drop_last": True}, "a smaller batch_size"),
    "warm-up": ({"warmup_epochs": 2.0}, "warmup_epochs below 2"),
    "empty class": ({"data": TWO_OF_THREE, "class_weights": "balanced"}, "class c has no images"),
    "maps": ({"notation": "8x8x1 -> conv 3x3 3", "mixup": 1.0}, "one output vector per image"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_belong_together_is_said_before_it_starts(case):
    options, expected = MISFITS[case]
    with pytest.raises(TrainingError, match=expected):
        trained(**{"transforms": (UNIT, UNIT)} | options)


def test_auxiliary_outputs_share_the_loss():
    from striate.network import Builder
    from striate.ops import Flatten, Linear

    def losses(share):
        build = Builder("two", input=(1, 8, 8))
        x = build(Flatten(), build.input)
        net = build.build(build(Linear(3), x), build(Linear(3), x))
        arrays = {name: np.zeros(p.shape, np.float32) for name, p in net.parameters.items()}
        history = fit(net, arrays, stripes(), None, Settings(epochs=1, batch_size=60, auxiliary=share))
        return history.last["train_loss"], arrays

    (alone, without), (both, arrays) = losses(0.0), losses(0.5)
    assert math.isclose(alone, math.log(3), rel_tol=1e-6) and math.isclose(both, 1.5 * alone, rel_tol=1e-6)
    assert not without["fc2.bias"].any() and arrays["fc2.weight"].any()
