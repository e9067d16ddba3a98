"""What training refuses or says because a number would mean nothing: one class, no validation images, divergence."""

import itertools

import numpy as np
import pytest

from cli.run import run as shell
from striate import Builder, Model, parse
from striate.diagnostics import FormatError, TrainingError
from striate.formats import safetensors
from striate.ops import Flatten, Linear
from striate.train.data import ArrayData
from striate.train.events import EpochDone, Note
from striate.train.loop import fit
from striate.train.run import BEST
from striate.train.settings import Settings
from striate.train.update import Diverged
from train.small import PLAIN, start, stripes

QUICK = {"epochs": 3, "batch_size": 8, "lr": 0.01}
WITH_NORM = "8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> flatten -> fc 3"


def trained(notation=PLAIN, data=None, validation=None, out=None, callbacks=(), **settings):
    net, arrays = start(notation)
    data = stripes() if data is None else data
    history = fit(net, arrays, data, validation, Settings(**(QUICK | settings)), out=out, callbacks=callbacks)
    return history, arrays


def of_one_class(count=12):
    return ArrayData(stripes(count).x, np.ones(count, int), ("rows", "columns", "squares"))


# ---------------------------------------------------------------- divergence
@pytest.mark.parametrize(
    ("optimizer", "lr", "notation", "validated"),
    [*itertools.product(("sgd", "adamw"), (100.0, 1e6), (PLAIN, WITH_NORM), (False, True))],
)
def test_a_diverged_run_stops_and_leaves_finite_weights(optimizer, lr, notation, validated):
    """Whatever the weights were last good as: those of the start, or of the last epoch that was told."""
    net, arrays = start(notation)
    begun = {name: array.copy() for name, array in arrays.items()}
    told = []
    settings = Settings(**(QUICK | {"epochs": 40, "optimizer": optimizer, "lr": lr, "schedule": "constant"}))
    validation = stripes(30, 1) if validated else None
    with np.errstate(all="ignore"):
        try:
            fit(net, arrays, stripes(), validation, settings, callbacks=[told.append])
        except Diverged as error:
            assert error.exit_code == 1 and "lower lr" in error.fix
            if not any(isinstance(event, EpochDone) for event in told):
                assert all(np.array_equal(arrays[name], begun[name]) for name in arrays)
        else:
            losses = [event.row["train_loss"] for event in told if isinstance(event, EpochDone)]
            assert max(losses) <= 1000 * max(losses[0], 0.5)
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_the_bound_is_a_thousand_times_the_first_loss(monkeypatch):
    """Losses as they are told, not as a network happens to make them."""
    from striate.train import loop
    from striate.train.update import UpdateResult

    def losses(*given):
        said = iter(given)

        def update(setup, state, *_):
            state.optimizer.steps += 1
            state.batch += 1
            return UpdateResult(next(said), 0.1, 1.0)

        monkeypatch.setattr(loop, "update", update)
        return trained(batch_size=60, epochs=len(given))[0]

    assert len(losses(2.0, 1999.0, 2000.0)) == 3
    with pytest.raises(Diverged, match=r"loss is 2e"):
        losses(2.0, 1.0, 2001.0)
    assert len(losses(0.0, 499.0)) == 2  # a trained network's first loss bounds nothing
    with pytest.raises(Diverged):
        losses(0.0, 501.0)


def test_the_last_good_weights_stay_in_the_folder_and_in_the_arrays(tmp_path):
    """Two epochs that learn, then a loss that is not a number: the result is the best of these two."""
    net, arrays = start(PLAIN)
    validation = stripes(30, 1)

    def ruin(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            arrays["conv1.weight"][...] = np.nan

    with np.errstate(all="ignore"), pytest.raises(Diverged, match="kept in") as caught:
        fit(
            net,
            arrays,
            stripes(),
            validation,
            Settings(**QUICK),
            engine="numpy",
            out=tmp_path / "run",
            callbacks=[ruin],
        )
    kept, metadata = safetensors.load(tmp_path / "run" / BEST)
    assert f"epoch {metadata['epoch']}" in caught.value.fix
    assert all(np.array_equal(arrays[name], kept[name]) for name in arrays)


def test_the_shell_exits_1_and_the_table_stays_a_table(tmp_path):
    data = stripes()
    np.savez(tmp_path / "d.npz", x=data.x, y=data.labels)
    done = shell("train", "--data", str(tmp_path / "d.npz"), "--model", PLAIN, "--lr", "100", "--epochs", "30",
                 "--schedule", "constant", "--batch-size", "4", "--out", str(tmp_path / "run"))  # fmt: skip
    assert done.code == 1 and done.err.startswith("I010") and "Traceback" not in done.err
    rows = [line for line in done.out.splitlines() if "/30" in line]
    assert all(len(line) <= 80 for line in rows)


@pytest.mark.parametrize("value", [0.0, 1.5, 999.9999, 1000.0, 123456.7, 1e30, -1e9, float("inf")])
def test_numbers_of_any_size_fit_their_column(value):
    from striate.views.text.training import COLUMNS, _cell

    for key, _, width in COLUMNS:
        if "loss" in key:
            assert len(_cell(key, value, 10)) < width + 1


# ---------------------------------------------------------------- validation without images
@pytest.mark.parametrize("keep", ["best", "last"])
def test_nothing_is_best_without_validation_images(tmp_path, keep):
    told = []
    history, arrays = trained(
        validation=stripes(0), out=tmp_path / "run", callbacks=[told.append], keep=keep, patience=1
    )
    _, without = trained(keep=keep)
    assert history.best_epoch is None and len(history) == 3 and "validation_loss" not in history.last
    assert all(np.array_equal(arrays[name], without[name]) for name in arrays)
    assert not any(event.best for event in told if isinstance(event, EpochDone))
    (note,) = [event.text for event in told if isinstance(event, Note)]
    assert "validation part has no images" in note


# ---------------------------------------------------------------- what teaches nothing
def test_one_class_is_refused():
    with pytest.raises(TrainingError, match="all 12 images are of one class, columns"):
        trained(data=of_one_class())
    with pytest.raises(TrainingError, match="one class"):
        trained(data=of_one_class(), loss="mean_squared_error")


@pytest.mark.parametrize("given", [(0, 0, 0), (0, 0, 5)])
def test_class_weights_that_weigh_nothing_are_refused(given):
    data = ArrayData(stripes(20).x, np.arange(20) % 2, ("rows", "columns", "squares"))
    with pytest.raises(TrainingError, match="class weights are 0"):
        trained(data=data, class_weights=given)
    assert len(trained(data=data, class_weights=(0, 1, 0))[0]) == 3


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "onecycle", "plateau"])
@pytest.mark.parametrize("warmup", [3.5, 1e300, 1.7e308])
def test_a_warm_up_longer_than_the_run_is_refused(schedule, warmup):
    with pytest.raises(TrainingError, match="warmup_epochs below 3"):
        trained(schedule=schedule, warmup_epochs=warmup)
    assert len(trained(warmup_epochs=30, fast_dev_run=True)[0]) == 1


# ---------------------------------------------------------------- judging a network of other classes
@pytest.mark.parametrize("outputs", [2, 3, 4, 7])
@pytest.mark.parametrize("named", [False, True], ids=["numbers", "names"])
@pytest.mark.parametrize("known", [False, True], ids=["unnamed model", "named model"])
def test_a_model_of_other_classes_is_judged_right_or_refused(outputs, named, known):
    """Right is what counting its answers by hand gives."""
    net = parse(f"8x8x1 -> flatten -> fc {outputs}")
    model = Model(net, seed=3, engine="numpy")
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.5]}]}
    names = ("rows", "columns", "squares", "dots", "lines", "waves", "rings")
    if known:
        model.classes = names[:outputs]
    x, y = stripes(30).x, stripes(30).labels
    data = ArrayData(x, y, names[:3] if named else None)
    if outputs < 3 or (named and not known and outputs != 3):
        with pytest.raises(FormatError, match=r"has no class|the network has . classes"):
            model.evaluate(data)
        return
    found = model.evaluate(data)
    answers = Model(net, weights=model.weights, engine="numpy").predict((x - 0.5) / np.float32(0.5)).argmax(1)
    assert found.accuracy == (answers == y).mean()
    wanted = np.zeros((outputs, outputs), int)
    np.add.at(wanted, (y, answers), 1)
    assert (found.tally.confusion == wanted).all() and len(found.classes) == outputs
    assert len(found.to_dict()["per_class"]) == outputs


# ---------------------------------------------------------------- nothing to learn
def test_a_network_without_parameters_cannot_learn():
    with pytest.raises(TrainingError, match="cannot be trained") as caught:
        Model(parse("8x8x1 -> flatten"), seed=0).fit((stripes().x, stripes().labels), epochs=1)
    assert "no parameters" in caught.value.why


def test_a_network_of_frozen_parameters_cannot_learn():
    build = Builder("frozen", input=(1, 8, 8))
    hidden = build(Flatten(), build.input)
    net = build.build(build(Linear(3), hidden, name="fc", frozen=("weight", "bias")))
    with pytest.raises(TrainingError, match="cannot be trained") as caught:
        Model(net, seed=0).fit((stripes().x, stripes().labels), epochs=1)
    assert "all of its 2 parameters are frozen" in caught.value.why
