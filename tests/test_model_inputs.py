"""What `fit` was given, `predict` takes: arrays, images, folders; trained again, resumed, exported, loaded."""

import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

import striate
from cli.run import run as shell
from generators import fitting
from striate.diagnostics import FormatError, OpError, SourceError, StriateError, UnknownNameError, UsageError
from striate.train.data import ArrayData

NET = striate.parse("8x8x3 -> conv 3x3 4 -> relu -> flatten -> fc 3", name="tiny")
NAMES = ("left", "middle", "right")


def images(count, seed=0, channels=3):
    """uint8 (count, channels, 8, 8) of three kinds that differ by which third is bright, and their kinds."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.integers(0, 90, (count, channels, 8, 8), dtype=np.uint8)
    for n, kind in enumerate(y):
        x[n, :, :, 3 * kind : 3 * kind + 2] += 150
    return x, y


def last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.fixture(scope="module")
def trained():
    model = striate.Model(NET, seed=0)
    x, y = images(96)
    model.fit(ArrayData(x, y, NAMES), ArrayData(*images(24, 1), NAMES), epochs=4, batch_size=16, lr=0.02)
    return model


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    x, _ = images(7, 5)
    for n, one in enumerate(last(x)):
        Image.fromarray(one).save(root / f"{(5 * n) % 7}.png")
    order = [(3 * n) % 7 for n in range(7)]  # of the files, sorted
    return root, x[order]


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_images_agrees_everywhere(seed):
    """The generator's kinds, which `bench/soak.py` runs without end."""
    for name in fitting.NEEDS:
        pytest.importorskip(name)
    assert fitting.trial(100 + seed) is None


def test_every_kind_is_among_the_generated():
    kinds = {fitting.drawn(seed)[1]["kind"] for seed in range(200)}
    assert kinds == set(fitting.KINDS)


# ---------------------------------------------------------------- predict
def test_a_trained_model_answers_on_what_it_was_trained_on(trained):
    """97 % right as it was trained is 97 % right as it is asked."""
    x, y = images(60, 2)
    assert (trained.predict(x).argmax(1) == y).mean() > 0.95
    for same in (x / np.float32(255), x / 255.0, x.astype(np.int64), last(x), last(x / np.float32(255))):
        np.testing.assert_array_equal(trained.predict(same), trained.predict(x))


def test_images_are_taken_in_any_form(trained, folder):
    root, x = folder
    wanted = trained.predict(x)
    paths = sorted(root.iterdir())
    pictures = [Image.open(path) for path in paths]
    arrays = list(last(x))
    for given in (
        root,
        str(root),
        paths,
        list(map(str, paths)),
        pictures,
        arrays,
        [*paths[:3], *pictures[3:]],
    ):
        np.testing.assert_array_equal(trained.predict(given), wanted)
        np.testing.assert_array_equal(trained.predict(given, batch=3), trained.predict(x, batch=3))
    for one in (paths[2], str(paths[2]), pictures[2], arrays[2], arrays[2][None], x[2:3]):
        np.testing.assert_array_equal(trained.predict(one), trained.predict(x[2:3]))
    larger = [picture.resize((31, 20)) for picture in pictures]
    assert trained.predict(larger).shape == (7, 3)


def test_what_can_be_read_in_two_ways_is_refused(trained):
    for shape in ((3, 8, 3), (3, 3, 3), (2, 3, 8, 3), (1, 3, 8, 3)):
        with pytest.raises(UsageError, match="two ways"):
            trained.predict(np.zeros(shape, np.uint8))
    for shape in ((3, 8, 8), (8, 8), (2, 4, 8, 8), (2, 3, 9, 8), (2, 8, 8, 4)):
        for kind in (np.uint8, np.float32):
            with pytest.raises(StriateError):
                trained.predict(np.zeros(shape, kind))
    with pytest.raises(UsageError, match="integers"):
        trained.predict(np.full((1, 3, 8, 8), 256))
    with pytest.raises(UsageError, match="the list mixes images and arrays"):
        trained.predict([np.zeros((8, 8, 3), np.uint8), np.zeros((3, 8, 8), np.uint8)])


def test_a_bare_network_takes_what_it_reads():
    model = striate.Model(NET, seed=3)
    x, _ = images(5)
    np.testing.assert_array_equal(model.predict(x), model.predict(x / np.float32(255)))
    for image in (last(x), last(x)[0], Image.fromarray(last(x)[0])):
        with pytest.raises(UsageError, match="has no image transformation"):
            model.predict(image)
    with pytest.raises(OpError, match="batches of shape"):
        model.predict(last(x).astype(np.float32))


def test_a_recorded_crop_is_for_images_and_not_for_arrays(trained, tmp_path):
    """Of the network's size, arrays and labeled arrays go through the normalization alone."""
    model = striate.Model(NET, weights=trained.weights)
    steps = trained.transform["steps"]
    model.transform = {
        "steps": [{"step": "resize", "size": [16, 16]}, {"step": "center_crop", "size": [8, 8]}, *steps]
    }
    x, y = images(30, 4)
    np.testing.assert_array_equal(model.predict(x), trained.predict(x))
    assert model.evaluate((x, y)).loss == trained.evaluate((x, y)).loss
    assert not np.array_equal(model.predict(last(x)), trained.predict(x))
    assert model.evaluate((last(x), y)).loss != trained.evaluate((x, y)).loss


def test_no_images_have_no_answers(trained):
    """A batch of none in every form: pixels either way round, fractions, a list."""
    for nothing in (
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((0, 3, 8, 8), np.uint8),
        images(0)[0] / 255,
        [],
    ):
        assert trained.predict(nothing).shape == (0, 3)
        assert trained.classify(nothing) == []
    assert striate.Model(NET).predict([]).shape == (0, 3)
    with pytest.raises(FormatError, match="cannot be read") as error:
        trained.predict(np.zeros((2, 0, 8, 3), np.uint8))
    assert error.value.why == "it has no pixels: 0 x 8"


def test_what_is_no_batch_is_said_and_never_a_traceback(trained):
    x, y = images(6)
    cases = [
        ((x / 255, y), UsageError, "takes 1 input"),
        ({"inputs": x}, UsageError, "has no input 'inputs'"),
        ([x[0].tolist(), x[1][:2].tolist()], FormatError, "different lengths"),
        (3, OpError, r"batches of shape \(N, 3, 8, 8\)"),
    ]
    for model in (trained, striate.Model(NET)):
        for given, kind, text in cases:
            with pytest.raises(kind, match=text):
                model.predict(given)
    for call in (trained.predict, trained.classify, lambda x, **sizes: trained.evaluate(x, y, **sizes)):
        for size in (0, -1, 1.5, "4"):
            with pytest.raises(UsageError, match=r"batch_size = .* is not allowed"):
                call(x, batch=size)
    for top in (0, -1):
        with pytest.raises(UsageError, match=r"top = .* is not allowed"):
            trained.classify(x, top=top)


def test_the_fix_of_a_shape_names_what_differs():
    model = striate.Model(NET)
    for shape, fix in {
        (2, 4, 8, 8): "give the 3 channels that the network reads",
        (2, 8, 8, 4): "give the 3 channels that the network reads, before height and width",
        (5, 8): "give an array of shape (N, 3, 8, 8), N examples at once",
        (2, 3, 9, 9): "resize the images, or declare the network on this size: net.with_input",
        (3, 8, 8): "add the batch axis: x[None]",
    }.items():
        with pytest.raises(OpError) as error:
            model.predict(np.zeros(shape, np.float32))
        assert error.value.fix == fix


def test_tensors_that_have_gradients(trained):
    torch = pytest.importorskip("torch")
    x, y = images(12)
    tensor = torch.tensor(x / np.float32(255), requires_grad=True)
    for call in (
        trained.predict,
        lambda x: striate.Model(NET).fit(x, y, 1),
        lambda x: trained.evaluate(x, y),
    ):
        with pytest.raises(FormatError, match="type Tensor cannot be read") as error:
            call(tensor)
        assert error.value.fix == "x.detach().cpu().numpy()"


def test_data_as_other_tools_take_it():
    x, y = images(24)
    one, other = striate.Model(NET, seed=0), striate.Model(NET, seed=0)
    one.fit(x, y, epochs=1)
    other.fit(list(x), y, epochs=1)
    np.testing.assert_array_equal(one.predict(x), other.predict(x))
    with pytest.raises(UsageError, match="epochs must be a number") as error:
        other.fit(x, y, (x, y))
    assert error.value.fix == "validation=(x, y)"
    for word, fix in {"validation_data": "validation", "learning_rate": "lr", "batch": "batch_size"}.items():
        with pytest.raises(UnknownNameError) as unknown:
            other.fit(x, y, **{word: 1})
        assert unknown.value.fix == f"did you mean {fix}?"
    with pytest.raises(FormatError, match="different lengths"):
        other.fit(([x[0], x[1][:, :3]], y[:2]))


def test_the_home_folder_is_named_alike(trained, folder, monkeypatch):
    root, x = folder
    monkeypatch.setenv("HOME", str(root.parent))
    np.testing.assert_array_equal(trained.predict("~/pictures"), trained.predict(root))
    assert trained.classify("~/pictures") == trained.classify(root)
    assert trained.classify("~/pictures/3.png") == trained.classify(x[3:4])


def test_standard_input_that_is_closed(trained, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(FormatError, match="standard input") as error:
        trained.predict("-")
    assert error.value.why == "standard input is closed"


# ---------------------------------------------------------------- classify
def test_fewer_names_than_outputs_leave_numbers(trained):
    model = striate.Model(NET, weights=trained.weights)
    model.classes = ("left",)
    assert {name for name, _ in model.classify(images(1)[0])[0]} == {"left", "1", "2"}


def test_classify(trained, folder):
    root, x = folder
    rows = trained.classify(x, top=2)
    names = [[name for name, _ in row] for row in rows]
    best = trained.predict(x).argsort(1)[:, ::-1][:, :2]
    assert names == [[NAMES[k] for k in row] for row in best]
    exponents = np.exp(trained.predict(x).astype(np.float64))
    shares = exponents / exponents.sum(1, keepdims=True)
    assert [[share for _, share in row] for row in rows] == [
        pytest.approx(shares[n, best[n]].tolist(), rel=1e-5) for n in range(7)
    ]
    assert trained.classify(root, top=2) == {f"{n}.png": rows[n] for n in range(7)}
    assert (
        trained.classify(root / "3.png") == trained.classify(x[3:4])
        and len(trained.classify(root / "3.png")[0]) == 3
    )
    assert len(trained.classify(x, top=9)[0]) == 3


def test_an_image_that_cannot_be_read(trained, folder):
    root, x = folder
    (root / "3.png").write_text("no image")
    (root / "notes.txt").write_text("not asked for")
    with pytest.raises(FormatError, match=r"3\.png cannot be read"):
        trained.predict(root)
    with pytest.warns(UserWarning, match=r"3\.png cannot be read"):
        named = trained.classify(root)
    assert list(named) == [f"{n}.png" for n in (0, 1, 2, 4, 5, 6)]
    assert dict(named["4.png"]) == pytest.approx(dict(trained.classify(x)[4]))
    with pytest.raises(SourceError, match="there is no"):
        trained.predict(root / "missing.png")


def test_the_shell_says_the_same(trained, folder, tmp_path):
    root, _ = folder
    trained.save(tmp_path / "m")
    for name in ("m.onnx", "m.safetensors"):
        trained.export(tmp_path / name)
    for name in ("m", "m.onnx", "m.safetensors"):
        found = json.loads(shell("predict", str(tmp_path / name), str(root), "--json").out)["images"]
        said = {
            one["name"].rpartition("/")[2]: [(t["class"], t["probability"]) for t in one["top"]]
            for one in found
        }
        assert said == trained.classify(root)


# ---------------------------------------------------------------- fit
def test_data_in_every_form():
    x, y = images(48)
    held = images(12, 1)
    answers = []
    for words, more in (
        (((x, y), held), {}), ((x, y), {"validation": held}), (((x, y),), {"validation": held}),
        (({"train": (x, y), "val": held},), {}),
    ):  # fmt: skip
        model = striate.Model(NET, seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            history = model.fit(*words, epochs=2, batch_size=16, **more)
        assert history["accuracy"] == history.column("validation_accuracy") and len(history["accuracy"]) == 2
        assert history["train_accuracy"] == history.column("train_accuracy")
        answers.append(model.predict(x))
    assert all(np.array_equal(answers[0], other) for other in answers)
    model = striate.Model(NET, seed=0)
    for mistake in (
        lambda: model.fit(x),
        lambda: model.fit(),
        lambda: model.fit((x, y), held, validation=held),
    ):
        with pytest.raises(UsageError):
            mistake()
    with pytest.raises(UnknownNameError, match="did you mean"):
        history["acuracy"]
    with pytest.warns(UserWarning, match="no images"):
        history = model.fit(x, y, epochs=1, validation=(x[:0], y[:0]))
    assert history.best_epoch is None
    with pytest.raises(UnknownNameError, match="no validation data"):
        history["accuracy"]


def test_a_loaded_model_keeps_its_classes_and_its_transformation(trained, tmp_path):
    trained.save(tmp_path)
    x, y = images(48, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (
            (x, y),
            ArrayData(x, y, NAMES),
            ArrayData(x, np.array([1, 2, 0])[y], ("right", "left", "middle")),
        ):
            model = striate.Model.load(tmp_path)
            model.fit(data, epochs=1, lr=1e-3)
            assert (model.classes, model.transform) == (NAMES, trained.transform)
            assert (model.predict(x).argmax(1) == y).mean() > 0.95
        model.fit(ArrayData(x[y < 2], y[y < 2], NAMES[:2]), epochs=1, lr=1e-3)
        assert model.classes == NAMES
    with pytest.warns(UserWarning, match="the classes change from left, middle, right to a, b, c"):
        model.fit(ArrayData(x, y, ("a", "b", "c")), epochs=1)
    assert model.classes == ("a", "b", "c")
    with pytest.raises(FormatError, match="has no class 'd'"):
        model.fit(ArrayData(x, y % 2, ("d", "e")), epochs=1)
    with pytest.warns(UserWarning, match="the model keeps the values of its training"):
        model.fit(x.astype(np.float32), y, epochs=1, lr=1e-6)


def test_the_shell_keeps_them_too(trained, tmp_path):
    trained.save(tmp_path / "m")
    trained.export(tmp_path / "m.onnx")
    x, y = images(48, 7)
    np.savez(tmp_path / "d.npz", x=x, y=np.array([1, 2, 0])[y], classes=np.array(["right", "left", "middle"]))
    for name in ("m", "m.onnx"):
        out = tmp_path / f"of {name}"
        done = shell("train", "--data", str(tmp_path / "d.npz"), "--model", str(tmp_path / name), "--out", str(out),
                     "--epochs", "2", "--lr", "0.001")  # fmt: skip
        assert done.code == 0, done.err
        again = striate.Model.load(out)
        assert (again.classes, again.transform) == (NAMES, trained.transform)
        assert (again.predict(x).argmax(1) == y).mean() > 0.95
        assert shell("train", "--resume", str(out), "--epochs", "3").code == 0


def test_a_run_goes_on_in_python(tmp_path):
    x, y = images(48)
    whole = striate.Model(NET, seed=0)
    settings = {"batch_size": 16, "optimizer": "sgd", "schedule": "constant", "validation": images(12, 1)}
    whole.fit(x, y, epochs=4, out=tmp_path / "whole", **settings)
    first = striate.Model(NET, seed=0)
    first.fit(x, y, epochs=2, out=tmp_path / "run", **settings)
    other = striate.Model(NET, seed=9)
    with pytest.raises(UsageError, match="give it again"):
        other.fit(resume=tmp_path / "run")
    with pytest.raises(UsageError, match="a different network"):
        striate.Model(striate.parse("8x8x3 -> flatten -> fc 3")).fit(x, y, resume=tmp_path / "run")
    with pytest.raises(UsageError, match="batch_size cannot change"):
        other.fit(x, y, resume=tmp_path / "run", batch_size=8, validation=images(12, 1))
    history = other.fit(x, y, epochs=4, resume=tmp_path / "run", validation=images(12, 1))
    assert len(history) == 4
    np.testing.assert_array_equal(other.predict(x), whole.predict(x))


def test_a_run_on_a_file_goes_on_by_itself_and_is_judged_by_it(tmp_path):
    x, y = images(60)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    model = striate.Model(NET, seed=0)
    model.fit(tmp_path / "d.npz", epochs=1, out=tmp_path / "run", batch_size=16)
    assert len(model.fit(resume=tmp_path / "run", epochs=3)) == 3
    assert shell("train", "--resume", str(tmp_path / "run"), "--epochs", "4").code == 0
    found = json.loads(shell("eval", str(tmp_path / "run"), "--json").out)
    judged = striate.Model.load(tmp_path / "run").evaluate()
    assert found["images"] == judged.images == 6 and found["loss"] == judged.loss


def test_the_loss_of_the_training_judges(tmp_path):
    """Two classes from one output: probabilities are those of a yes, here, in files and in the shell."""
    x, y = images(64)
    net = striate.parse("8x8x3 -> conv 3x3 4 -> relu -> flatten -> fc 1")
    model = striate.Model(net, seed=0)
    model.fit(
        x, y % 2, epochs=3, lr=0.02, loss="binary_cross_entropy", label_smoothing=0.1, class_weights=[2.0]
    )
    yes = 1 / (1 + np.exp(-model.predict(x[:4])[:, 0].astype(np.float64)))
    assert [dict(row)["1"] for row in model.classify(x[:4])] == pytest.approx(yes.tolist(), rel=1e-5)
    judged = model.evaluate((x, y % 2))
    for path in (tmp_path / "m", tmp_path / "m.onnx", tmp_path / "m.safetensors"):
        model.save(path) if not path.suffix else model.export(path)
        again = striate.Model.load(path)
        assert again.evaluate((x, y % 2)).loss == judged.loss and again.objective == model.objective
        assert again.classify(x) == model.classify(x)


def test_an_interrupted_training_leaves_a_model_that_knows_its_transformation():
    class Stop(Exception):
        pass

    def stop(event):
        if type(event).__name__ == "EpochDone":
            raise Stop

    x, y = images(48)
    model = striate.Model(NET, seed=0)
    with pytest.raises(Stop):
        model.fit(x, y, epochs=9, lr=0.02, batch_size=8, callbacks=[stop])
    assert model.transform["steps"] and len(model.classes) == 3


# ---------------------------------------------------------------- weights of anything
def test_a_model_takes_the_weights_of_anything(trained, tmp_path):
    x, _ = images(5)
    wanted = trained.predict(x)
    trained.save(tmp_path / "m")
    trained.export(tmp_path / "m.onnx")
    trained.export(tmp_path / "m.safetensors")
    for source in ("m", "m.onnx", "m.safetensors"):
        path = tmp_path / source
        for made in (striate.Model, striate.Model.load):
            for given in (path, str(path), striate.load(path)):
                model = made(given)
                np.testing.assert_array_equal(model.predict(x), wanted)
                assert model.classes == NAMES
        for net in (NET, "8x8x3 -> conv 3x3 4 -> relu -> flatten -> fc 3"):
            model = striate.Model(net, weights=path)
            np.testing.assert_array_equal(model.predict(x), wanted)
    trained.export(tmp_path / "m.pth")
    model = striate.Model(NET, weights=tmp_path / "m.pth")
    assert model.transform == {}  # nothing says what these weights were trained on
    model = striate.Model.load(tmp_path / "m", weights=tmp_path / "m.pth")
    np.testing.assert_array_equal(model.predict(x), wanted)
    assert striate.Model("8x8x3 -> flatten -> fc 2", seed=1).predict(x).shape == (5, 2)
    with pytest.raises(SourceError, match="holds no weights"):
        striate.Model.load("lenet5")
    with pytest.raises(UsageError, match="not a weights file"):
        striate.Model(NET, weights="net.toml")


def test_a_catalogue_network_for_the_classes_of_its_weights(tmp_path):
    model = striate.Model(striate.create("lenet5", num_classes=4), seed=5)
    x = np.random.default_rng(0).random((2, 1, 32, 32), np.float32)
    model.save(tmp_path / "m")
    for name in ("m.safetensors", "m.pth"):
        model.export(tmp_path / name)
    for name in ("m", "m.safetensors", "m.pth"):
        np.testing.assert_array_equal(
            striate.Model("lenet5", weights=tmp_path / name).predict(x), model.predict(x)
        )
    with pytest.raises(FormatError, match="do not match"):
        striate.Model("alexnet", weights=tmp_path / "m.pth")


def test_a_module_brings_its_weights():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    x = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(x)).numpy()
    for model in (
        striate.Model(module, input=(3, 8, 8)), striate.Model.load(module, input=(3, 8, 8)), striate.Model(module),
        striate.Model(striate.from_torch(module, input=(3, 8, 8))),
    ):  # fmt: skip
        np.testing.assert_allclose(model.predict(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.onnx
def test_fresh_weights_never_stand_for_those_that_a_file_lacks(trained, tmp_path):
    onnx = pytest.importorskip("onnx")
    trained.export(tmp_path / "m.onnx")
    file = onnx.load(tmp_path / "m.onnx")
    next(node for node in file.graph.node if node.op_type == "Relu").op_type = "Nonsense"
    file.graph.node[-1].op_type = "Nonsense"
    onnx.save(file, tmp_path / "m.onnx")
    with pytest.raises(StriateError):
        striate.Model(striate.load(tmp_path / "m.onnx")).predict(images(2)[0])
    shutil.copytree(tmp_path, tmp_path / "run", ignore=lambda *_: ["run"])
    trained.save(tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    with pytest.raises(SourceError, match="weights of tiny are missing"):
        striate.Model(striate.load(tmp_path / "run"))
