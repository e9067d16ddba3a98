"""Networks of several inputs learn as one that reads them stacked, and are evaluated, kept and exported likewise."""

import json

import numpy as np
import pytest
from PIL import Image

import striate as st
from cli.run import run as shell
from striate.diagnostics import FormatError, StriateError, TrainingError, UsageError
from striate.network import Builder
from striate.ops import Add, Concat, Conv, Flatten, Linear, MaxPool, Relu, Slice
from striate.train.data import open_data
from striate.train.data.npz import by_input

ROWS = 96


def see(build, x, name):
    return build(MaxPool(2), build(Relu(), build(Conv(3, kernel=3, padding=1), x, name=name)))


def pair():
    build = Builder("pair", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    met = build(Add(), *(see(build, ref, f"see_{name}") for name, ref in build.inputs.items()))
    return build.build(build(Linear(2), build(Flatten(), met), name="fc"))


def stacked():
    """The same arithmetic on one input of two channels."""
    build = Builder("stacked", input=(2, 8, 8))
    halves = [build(Slice(start=at, stop=at + 1), build.input) for at in (0, 1)]
    met = build(Add(), *(see(build, x, f"see_{n}") for x, n in zip(halves, ("left", "right"), strict=True)))
    return build.build(build(Linear(2), build(Flatten(), met), name="fc"))


def mixed():
    build = Builder("mixed", input={"image": (1, 8, 8), "numbers": (3,), "series": (2, 5)})
    image, numbers, series = build.inputs.values()
    flat = [build(Flatten(), see(build, image, "see")), numbers, build(Flatten(), series)]
    return build.build(build(Linear(2), build(Concat(), *flat), name="fc"))


def data(seed=0, kind=np.uint8):
    """A bar at the same height on both sides, or not."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 60, (ROWS, 2, 8, 8))
    y = rng.integers(0, 2, ROWS)
    for n in range(ROWS):
        at = rng.integers(8)
        x[n, 0, at] = 250
        x[n, 1, at if y[n] else (at + 4) % 8] = 200
    if np.issubdtype(kind, np.floating):
        return (x / 255).astype(kind), y
    return x.astype(kind), y


def halves(x):
    return {"left": x[:, :1], "right": x[:, 1:]}


@pytest.mark.parametrize("engine", ["numpy", "auto"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_two_inputs_learn_as_one_of_two_channels(engine, kind):
    """Another network, another reader, another normalization: the same numbers."""
    x, y = data(kind=kind)
    settings = {"epochs": 3, "lr": 0.05, "seed": 3, "batch_size": 20, "flip": 0.5, "pad_crop": 1}
    one, two = st.Model(stacked(), seed=1, engine=engine), st.Model(pair(), seed=1, engine=engine)
    two.weights = dict(one.weights)
    wanted, found = one.fit((x, y), **settings), two.fit((halves(x), y), **settings)
    for a, b in zip(wanted.rows, found.rows, strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], rel=1e-4)
        assert b["validation_accuracy"] == a["validation_accuracy"]
    for name, array in one.weights.items():
        np.testing.assert_allclose(two.weights[name], array, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(two.predict(halves(x)), one.predict(x), rtol=1e-3, atol=1e-4)
    assert two.evaluate((halves(x), y)).accuracy == one.evaluate((x, y)).accuracy


@pytest.mark.parametrize("engine", ["numpy", "auto", "torch"])
def test_what_fit_took_everything_takes(engine, tmp_path):
    if engine == "torch":
        pytest.importorskip("torch")
    x, y = data()
    rng = np.random.default_rng(1)
    given = {
        "image": x[:, :1],
        "numbers": rng.normal(50, 10, (ROWS, 3)),
        "series": rng.integers(-9, 9, (ROWS, 2, 5)),
    }
    model = st.Model(mixed(), engine=engine)
    model.fit((given, y), epochs=1)
    steps = {name: one["steps"] for name, one in model.transform["inputs"].items()}
    assert [s["step"] for s in steps["image"]] == ["normalize"]
    assert steps["numbers"] == steps["series"] == []  # taken as they are
    wanted = model.predict(given)
    accuracy = float((wanted.argmax(1) == y).mean())
    assert model.evaluate((given, y)).accuracy == pytest.approx(accuracy)
    fractions = {**given, "image": given["image"].astype(np.float32) / np.float32(255)}
    assert np.array_equal(model.predict(fractions), wanted)
    assert wanted.dtype == np.float32  # as it has learned, whatever the arrays are of
    np.testing.assert_allclose(model.predict(*given.values(), batch=7), wanted, rtol=1e-5, atol=1e-5)
    assert model.classify(given, top=1)[0][0][0] == str(wanted[0].argmax())
    model.save(tmp_path / "kept")
    again = st.Model.load(tmp_path / "kept", engine=engine)
    assert np.array_equal(again.predict(given), wanted) and again.transform == model.transform
    # by itself, the network reads what is normalized already
    mean, std = (np.float32(steps["image"][0][key][0]) for key in ("mean", "std"))
    bare = {**fractions, "image": (fractions["image"] - mean) / std}
    np.testing.assert_allclose(model.compile()(bare), wanted, rtol=1e-5, atol=1e-5)


def test_the_normalization_of_each_input_is_in_the_exported_file(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    x, y = data()
    model = st.Model(pair(), engine="numpy")
    model.fit((halves(x), y), epochs=1)
    given = {name: array.astype(np.float32) / 255 for name, array in halves(x).items()}
    wanted = model.predict(given)
    model.export(tmp_path / "m.onnx")
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    np.testing.assert_allclose(session.run(None, given)[0], wanted, rtol=1e-4, atol=1e-5)
    again = st.Model.load(tmp_path / "m.onnx", engine="numpy")
    assert again.net == model.net and again.transform == model.transform  # and never twice
    assert np.array_equal(again.predict(given), wanted)
    model.export(tmp_path / "raw.onnx", raw=True)
    bare = {
        name: (array - np.float32(step["mean"][0])) / np.float32(step["std"][0])
        for name, array in given.items()
        for step in model.transform["inputs"][name]["steps"]
    }
    session = ort.InferenceSession(str(tmp_path / "raw.onnx"))
    np.testing.assert_allclose(session.run(None, bare)[0], wanted, rtol=1e-4, atol=1e-5)


def test_every_way_to_give_the_arrays():
    x, y = data()
    losses = set()
    for give in (
        lambda m: m.fit((halves(x), y), epochs=1),
        lambda m: m.fit(halves(x), y, epochs=1),
        lambda m: m.fit(((x[:, :1], x[:, 1:]), y), epochs=1),
        lambda m: m.fit((x[:, :1], x[:, 1:]), y, epochs=1),
        lambda m: m.fit((halves(x.astype(int)), y), epochs=1),
        lambda m: m.fit(({n: a.transpose(0, 2, 3, 1) for n, a in halves(x).items()}, y), epochs=1),
        lambda m: m.fit(({n: a[:, 0] for n, a in halves(x).items()}, y), epochs=1),
    ):
        losses.add(give(st.Model(pair(), seed=0, engine="numpy")).rows[0]["train_loss"])
    assert len(losses) == 1
    model = st.Model(pair(), seed=0)
    history = model.fit((halves(x), y), validation=(halves(x[:20]), y[:20]), epochs=1)
    assert "validation_accuracy" in history.rows[0]


def test_an_npz_file_and_a_run(tmp_path):
    x, y = data()
    path, run = str(tmp_path / "pairs.npz"), tmp_path / "run"
    np.savez(path, x_left=x[:, :1], x_right=x[:, 1:], y=y)
    model = st.Model(pair(), seed=0)
    model.fit(path, epochs=1, out=run)
    given = halves(x)
    assert np.array_equal(st.Model.load(run).predict(given), model.predict(given))
    assert 0 <= st.Model(run).evaluate().accuracy <= 1  # on what training has set aside
    history = model.fit(resume=run, epochs=2)
    assert len(history.rows) == 2


def test_the_names_of_arrays_in_an_npz_file():
    assert by_input(["x_left", "x_right", "y"]) == {"all": ({"left": "x_left", "right": "x_right"}, "y")}
    assert by_input(["x_left_train", "y_train", "x_test_left", "y_test"]) == {
        "train": ({"left": "x_left_train"}, "y_train"),
        "test": ({"left": "x_test_left"}, "y_test"),
    }
    assert by_input(["x_far_left", "labels"]) == {"all": ({"far_left": "x_far_left"}, "labels")}
    assert not by_input(["x", "y", "x_train", "y_train", "x_test", "y_test"])
    assert not by_input(["x_left", "x_right"])


def test_the_command_line(tmp_path):
    from striate.formats import toml

    x, y = data()
    np.savez(tmp_path / "pairs.npz", x_left=x[:, :1], x_right=x[:, 1:], y=y)
    (tmp_path / "pair.toml").write_text(toml.format(pair()))
    words = ("--model", str(tmp_path / "pair.toml"), "--data", str(tmp_path / "pairs.npz"))
    found = shell("train", *words, "--epochs", "1", "--out", str(tmp_path / "run"), "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["inputs"] == {"left": [1, 8, 8], "right": [1, 8, 8]}
    found = shell("eval", str(tmp_path / "run"))
    assert found.code == 0, found.err
    found = shell("train", *words, "--input", "left=9x9,right=8x8", "--out", str(tmp_path / "other"))
    assert found.code == 2 and "left takes 9x9x1; the data has rows of shape (1, 8, 8)" in found.err
    Image.fromarray(x[0, 0]).save(tmp_path / "one.png")
    found = shell("predict", str(tmp_path / "run"), str(tmp_path / "one.png"))
    assert found.code == 2 and "takes 2 inputs" in found.err
    found = shell("data", "check", str(tmp_path / "pairs.npz"))
    assert found.code == 2 and "several inputs" in found.err
    found = shell("train", "--model", "lenet5", *words[2:], "--out", str(tmp_path / "other"))
    assert found.code == 2 and "no input 'left'" in found.err
    found = shell("train", *words[:2], "--data", "digits", "--out", str(tmp_path / "other"))
    assert found.code == 2 and "x_left" in found.err


def change(**arrays):
    return lambda x, y: ({**halves(x), **{k: f(halves(x).get(k)) for k, f in arrays.items()}}, y)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x, y: (x, y), "pair has 2 inputs; the data has one image per label"),
        (lambda x, y: ({"left": x[:, :1]}, y), "the data has no right"),
        (change(rihgt=lambda _: np.zeros((ROWS, 1, 8, 8))), "write 'right'"),
        (change(right=lambda a: a[:-1]), "right has 95 rows, but there are 96 labels"),
        (change(right=lambda a: a[:, :, :4]), 'input={"right": "4x8x1"}'),
        (change(right=lambda a: np.full(a.shape, np.nan)), "not finite"),
        (change(right=lambda a: a.astype(str)), "give numbers"),
        (change(right=lambda a: a[:, 0, 0, 0]), "(N, K)"),
    ],
)
def test_data_that_does_not_suit_is_refused_with_the_fix(given, said):
    x, y = data()
    given = given(x, y)
    if isinstance(given[0], dict) and "rihgt" in given[0]:
        del given[0]["right"]
    for ask in (lambda m: m.fit(given, epochs=1), lambda m: m.evaluate(given)):
        with pytest.raises(StriateError) as caught:
            ask(st.Model(pair()))
        assert said in str(caught.value) and caught.value.fix


def test_what_has_no_meaning_for_several_inputs():
    x, y = data()
    with pytest.raises(TrainingError, match="mixup and cutmix"):
        st.Model(pair()).fit((halves(x), y), epochs=1, mixup=0.2)
    with pytest.raises(TrainingError, match="no input 'left'"):
        st.Model(stacked()).fit((halves(x), y), epochs=1)
    with pytest.raises((TrainingError, UsageError)):
        st.Model(pair()).predict("picture.png")
    with pytest.raises(StriateError):
        open_data({"train": (halves(x), y), "test": (x, y)})


def test_whole_numbers_mean_what_they_meant_in_training():
    x, y = data()
    deep, model = halves(x.astype(np.uint16) * 256), st.Model(pair(), engine="numpy")
    model.fit((deep, y), epochs=1, validation=(halves(x.astype(np.uint16)), y))
    dark = {name: array // 256 for name, array in deep.items()}  # below 256: as dark as they are
    fractions = {name: array.astype(np.float32) / np.float32(65535) for name, array in dark.items()}
    assert np.allclose(model.predict(dark), model.predict(fractions), atol=1e-5)
    found, wanted = (model.evaluate((given, y)) for given in (dark, fractions))
    assert found.loss == pytest.approx(wanted.loss, rel=1e-5)
    other = st.Model(pair())
    other.fit((halves(x), y), epochs=1)
    with pytest.raises(TrainingError, match="pixels above 255"):
        other.evaluate((deep, y))
    with pytest.raises(UsageError, match="integers"):
        other.predict(deep)


@pytest.mark.parametrize(
    ("one", "other"),
    [(np.uint8, np.uint16), (np.uint16, np.uint8), (np.int64, np.float32), (np.uint8, np.float32)],
)
def test_no_part_is_read_on_another_scale(one, other):
    """As for one input: 255 of one part is not a 255th of what it is in another."""
    rng = np.random.default_rng(3)
    y, numbers = np.arange(8) % 2, np.zeros((8, 3), np.float32)

    def images(kind):
        return (rng.uniform(0.5, 1, (8, 1, 4, 4)) * (60_000 if kind is np.uint16 else 255)).astype(kind)

    x = {"train": images(one), "test": images(other)}
    for parts in (
        {name: (image, y) for name, image in x.items()},
        {name: ({"image": image, "numbers": numbers}, y) for name, image in x.items()},
    ):
        with pytest.raises(FormatError, match="different scales"):
            open_data(parts)


def test_a_transformation_of_one_input_is_refused():
    model = st.Model(pair())
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.5]}]}
    with pytest.raises(UsageError, match="a single input"):
        model.predict(halves(data()[0]))


def test_one_input_by_its_name():
    x, y = data()
    one, other = st.Model(stacked(), seed=0), st.Model(stacked(), seed=0)
    one.fit((x, y), epochs=1)
    other.fit({"input": x}, y, epochs=1)
    assert np.array_equal(one.predict(x), other.predict({"input": x}))
