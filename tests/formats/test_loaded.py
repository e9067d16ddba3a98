"""What readers give: one record, read once, whose weights a model takes over as they lie, on every road to a model."""

import contextlib
import copy
import importlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate as st
from cli.run import run
from keras_files import archive, layer, sequential
from striate.formats import convert, safetensors
from striate.formats.loaded import Loaded
from striate.formats.weight_files import read_weights
from striate.train.events import Updated

NET = st.parse("8x8x3 -> conv 3x3 4 pad same -> bn -> relu -> maxpool 2 -> flatten -> fc 3", name="tiny")
TRANSFORM = {"steps": [{"step": "normalise", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}]}
PARSERS = (
    "onnx.proto.parse_model", "keras.archive.opened", "keras.archive.Variables", "pth.follow", "safetensors._parse",
    "folder.read", "torch.tracing.trace",
)  # fmt: skip
"""What reads the content of one source, by its place in `striate.formats`."""
KINDS = {
    ".onnx": ({"onnx.proto.parse_model"}, pytest.mark.onnx),
    ".keras": ({"keras.archive.opened", "keras.archive.Variables"}, pytest.mark.keras),
    ".safetensors": ({"safetensors._parse"}, ()),
    "": ({"safetensors._parse", "folder.read"}, ()),
    "module": ({"torch.tracing.trace"}, pytest.mark.torch),
}
SOURCES = [pytest.param(kind, id=kind or "folder", marks=marks) for kind, (_, marks) in KINDS.items()]
FILES = SOURCES[:-1]


def model():
    made = st.Model(NET, seed=7)
    made.classes, made.transform = ("a", "b", "c"), TRANSFORM
    made.objective = {"loss": "cross_entropy"}
    return made


def source(kind, folder):
    """A small model with weights, as its file, its folder, or a torch module."""
    path = folder / f"tiny{kind}"
    if kind == "module":
        return model().to_torch()
    if kind == ".keras":
        layers = layer("Conv2D", "conv", filters=4, kernel_size=[3, 3]), layer("Flatten", "flat")
        rng = np.random.default_rng(0)
        kernel = rng.standard_normal((3, 3, 3, 4)).astype(np.float32)
        return archive(path, sequential(*layers, input=(8, 8, 3)), {"conv2d": [kernel, kernel[0, 0, 0]]})
    model().export(path) if kind else model().save(path)
    return path


@pytest.fixture
def parsed(monkeypatch):
    """How often each parser was called, by its place."""
    counts = {}

    def watch(place):
        module, _, name = place.rpartition(".")
        with contextlib.suppress(ImportError):
            owner = importlib.import_module(f"striate.formats.{module}")
            parse = getattr(owner, name)

            def counting(*arguments, **options):
                counts[place] = counts.get(place, 0) + 1
                return parse(*arguments, **options)

            monkeypatch.setattr(owner, name, counting)

    for place in PARSERS:
        watch(place)
    return counts


def image(read):
    path = read.with_name("image.png")
    Image.new("RGB", (8, 8)).save(path)
    return path


ROADS = {
    "load": st.load,
    "Model": st.Model,
    "Model.load": st.Model.load,
    "Model of load": lambda read: st.Model(st.load(read)),
    "weights": lambda read: st.Model(NET, weights=read),
    "to .pth": lambda read: convert(read, read.with_name("out.pth")),
    "to .safetensors": lambda read: convert(read, read.with_name("out.safetensors")),
    "to .toml": lambda read: convert(read, read.with_name("out.toml")),
    "show": lambda read: run("show", str(read)),
    "check": lambda read: run("check", str(read)),
    "convert": lambda read: run("convert", str(read), str(read.with_name("out.pth"))),
    "predict": lambda read: run("predict", str(read), str(image(read)), "--mean", "0", "--std", "1"),
}


def roads():
    for param in FILES:
        for road in ROADS:
            if (param.values[0], road) != (".keras", "weights"):  # whose weights are of another network
                yield pytest.param(*param.values, road, marks=param.marks, id=f"{param.id} {road}")


@pytest.mark.parametrize(("kind", "road"), [*roads()])
def test_a_file_is_parsed_once(tmp_path, parsed, kind, road):
    read = source(kind, tmp_path)
    parsed.clear()
    answer = ROADS[road](read)
    assert not getattr(answer, "code", 0)
    assert parsed == dict.fromkeys(KINDS[kind][0], 1)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("out", [".pth", ".safetensors", ".toml", None])
def test_a_file_of_weights_is_parsed_once(tmp_path, parsed, suffix, out):
    weights = tmp_path / f"weights{suffix}"
    model().export(weights)
    parsed.clear()
    if out:
        convert(
            NET if out == ".toml" else weights, tmp_path / f"out{out}", weights if out == ".toml" else None
        )
    else:
        st.Model(NET, weights=weights)
    wanted = {".pth": {"pth.follow": 1}, ".safetensors": {"safetensors._parse": 1}}[suffix]
    assert parsed == ({} if out == ".toml" else wanted)


@pytest.mark.torch
@pytest.mark.parametrize("road", ["Model", "from_torch", "convert"])
def test_a_module_is_traced_once(tmp_path, parsed, road):
    module = model().to_torch()
    parsed.clear()
    if road == "Model":
        st.Model(module, input=(3, 8, 8))
    elif road == "from_torch":
        st.Model(st.from_torch(module, (3, 8, 8)))
    else:
        convert(module, tmp_path / "m.pth", input=(3, 8, 8))
    assert parsed == {"torch.tracing.trace": 1}


# ---------------------------------------------------------------- weights lie where they were read to
def loaded(kind, folder):
    read = source(kind, folder)
    return st.from_torch(read, (3, 8, 8)) if kind == "module" else st.load(read)


@pytest.mark.parametrize("kind", SOURCES)
def test_weights_are_not_copied_on_the_way_to_a_model(tmp_path, kind):
    record = loaded(kind, tmp_path)
    assert record.weights
    for made in (st.Model(record), st.Model.load(record), st.Model(record, weights=record.weights)):
        for name, array in made.weights.current().items():
            assert np.shares_memory(array, record.weights[name])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_file_are_not_copied(tmp_path, suffix):
    model().export(tmp_path / f"w{suffix}")
    arrays = read_weights(tmp_path / f"w{suffix}")
    for name, array in st.Model(NET, weights=arrays).weights.current().items():
        assert np.shares_memory(array, arrays[name])


@pytest.mark.parametrize("kind", SOURCES)
def test_weights_that_were_read_are_not_written_to(tmp_path, kind):
    record = loaded(kind, tmp_path)
    made = st.Model(record)
    x = np.ones((1, 3, 8, 8), np.float32)
    before = made.predict(x)
    for array in record.weights.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    made.weights[next(iter(record.weights))][...] = 0
    assert (made.predict(x) != before).any() and np.array_equal(st.Model(record).predict(x), before)


@pytest.mark.torch
def test_a_module_that_changes_later_is_another_one():
    import torch

    module = model().to_torch()
    record = st.from_torch(module, (3, 8, 8))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert np.array_equal(record.weights["conv1.weight"], model().weights["conv1.weight"])


# ---------------------------------------------------------------- structure alone, and what goes where a network goes
def test_a_network_is_structure_only():
    for word in ("weights", "about", "classes", "transform"):
        assert not hasattr(NET, word)
    assert st.load("lenet5").weights is None and not st.load("lenet5").trained


@pytest.mark.parametrize("kind", SOURCES)
def test_a_loaded_network_goes_wherever_a_network_goes(tmp_path, kind):
    from striate.formats import to_notation, toml

    record = loaded(kind, tmp_path)
    plain = record.network
    assert type(plain) is st.Network and not hasattr(plain, "weights")
    assert record == plain and plain == record and hash(record) == hash(plain) and {record: 1}[plain] == 1
    assert st.check(record) == st.check(plain) and st.sizes(record) == st.sizes(plain)
    assert st.analyze(record).nodes == st.analyze(plain).nodes
    assert to_notation(record) == to_notation(plain) and toml.format(record) == toml.format(plain)
    assert record.to_dict() == plain.to_dict() and record.parameters == plain.parameters
    x = np.ones((1, 3, 8, 8), np.float32)
    assert np.array_equal(st.Model(record).compile()(x), st.Model(plain, weights=record.weights).compile()(x))
    larger = record.with_input((3, 16, 16))
    assert isinstance(larger, Loaded) and larger.input.shape[2:] == (16, 16)
    assert larger.weights is record.weights and larger.network == plain.with_input((3, 16, 16))


@pytest.mark.parametrize("kind", [".safetensors", "", pytest.param(".onnx", marks=pytest.mark.onnx)])
def test_the_record_has_what_the_source_says(tmp_path, kind):
    record = loaded(kind, tmp_path)
    assert (record.classes, record.transform) == (("a", "b", "c"), TRANSFORM)
    assert record.objective == {"loss": "cross_entropy"} and record.trained and not record.reasons
    made = st.Model(record)
    assert (made.classes, made.transform, made.objective) == (record.classes, TRANSFORM, record.objective)
    made.transform["steps"].clear()
    assert record.transform == TRANSFORM, "a model changes its own"


def test_a_run_brings_its_settings(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 3, 8, 8), np.float32), np.arange(24) % 3
    st.Model(NET, seed=0).fit(
        (x, y), (x, y), epochs=1, batch_size=8, out=tmp_path / "run", label_smoothing=0.2
    )
    record = st.load(tmp_path / "run")
    assert "label_smoothing = 0.2" in record.config
    made = [st.Model(record), st.Model(tmp_path / "run"), st.Model.load(tmp_path / "run")]
    assert len({one.evaluate((x, y)).loss for one in made}) == 1


def test_a_run_that_was_stopped_in_its_first_epoch_loads_and_continues(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 3, 8, 8), np.float32), np.arange(24) % 3
    whole = st.Model(NET, seed=0).fit(x, y, epochs=1, batch_size=8, out=tmp_path / "whole", verbose=0)

    def stop(event):
        if isinstance(event, Updated) and event.update == 2:
            raise KeyboardInterrupt

    for ema in (0.0, 0.9):
        run, made = tmp_path / f"run{ema}", st.Model(NET, seed=0)
        with pytest.raises(KeyboardInterrupt):
            settings = {"epochs": 1, "batch_size": 8, "checkpoint_steps": 1, "ema": ema, "verbose": 0}
            made.fit(x, y, out=run, callbacks=[stop], **settings)
        with pytest.warns(UserWarning, match="in its first epoch: these are the weights of its checkpoint"):
            stopped = st.Model(run)
        checkpoint, _ = safetensors.load(run / "state.safetensors")
        prefix = "average" if ema else "weights"
        for name, array in stopped.weights.items():
            assert np.array_equal(array, checkpoint[f"{prefix}/{name}"])
        history = stopped.fit(x, y, resume=run, verbose=0)
        assert ema or history["train_loss"] == whole["train_loss"]
        assert st.Model(run).weights.keys() == stopped.weights.keys(), "and without a warning"
        (run / "model.safetensors").unlink()
        with pytest.raises(
            st.StriateError, match="weights"
        ):  # whose best weights are lost: none in their place
            st.Model(run)


def test_a_setting_that_is_not_one_is_named_with_its_file(tmp_path):
    model().save(tmp_path / "m")
    for text, code in (("[train]\nlabel_smoothin = 1", "I006"), ("[train", "I004")):
        (tmp_path / "m" / "config.toml").write_text(text)
        for make in (st.Model, st.Model.load, lambda read: st.Model(st.load(read))):
            with pytest.raises(st.StriateError) as caught:
                make(tmp_path / "m")
            assert caught.value.code == code and str(tmp_path / "m" / "config.toml") in str(caught.value)


def test_a_model_of_a_model_is_a_copy_and_a_model_of_its_net_begins_again(tmp_path):
    made = model()
    twin = st.Model(made)
    for name, array in twin.weights.current().items():
        assert np.shares_memory(array, made.weights.current()[name])
    assert (twin.classes, twin.transform, twin.objective) == (made.classes, TRANSFORM, made.objective)
    made.weights["fc1.bias"][...] = 7
    assert not (twin.weights["fc1.bias"] == 7).any() and (st.Model.load(made).weights["fc1.bias"] == 7).all()
    again, fresh = st.Model(made.net, seed=3), st.Model(NET, seed=3)
    assert all(np.array_equal(array, fresh.weights[name]) for name, array in again.weights.items())
    assert again.classes == () and type(made.net) is st.Network


def test_a_loaded_network_shows_itself_as_a_network_does(tmp_path):
    model().save(tmp_path / "m")
    record = st.load(tmp_path / "m")
    assert str(record) == str(record.network) and record._repr_html_() == record.network._repr_html_()
    assert repr(record) == "Loaded(tiny: input 8x8x3 -> 6 nodes -> fc1, with weights)"
    assert repr(st.load("8x8x1 -> conv 3x3")) == "Loaded(net: input 8x8x1 -> 1 node -> conv1)"
    assert [*record] == [*NET] and len(record) == len(NET) and record["conv1"] == NET["conv1"]
    assert pickle.loads(pickle.dumps(record)) == record and copy.deepcopy(record).classes == record.classes


def test_reasons_are_by_opaque_node(tmp_path):
    mine = layer("Mine", "mine", module="somewhere", filters=4)
    record = st.load(archive(tmp_path / "m.keras", sequential(mine, input=(8, 8, 3))))
    assert list(record.reasons) == ["mine"] and record.reasons["mine"]


def test_weights_that_could_not_be_read_are_not_drawn_afresh(tmp_path):
    model().save(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    record = st.load(tmp_path / "m")
    assert record.weights is None and record.trained
    for make in (st.Model, st.Model.load, lambda net: convert(net, tmp_path / "m.pth")):
        with pytest.raises(st.StriateError, match="weights"):
            make(record)


# ---------------------------------------------------------------- one answer, whatever the road
def by_torch(made, folder):
    again = st.Model(st.from_torch(made.to_torch(), (3, 8, 8)))
    again.transform = made.transform
    return again


def by_shell(made, folder):
    made.save(folder / "saved")
    assert run("convert", str(folder / "saved"), str(folder / "shell.safetensors")).code == 0
    return st.Model.load(folder / "shell.safetensors")


def by_weights(made, folder):
    made.export(folder / "net.toml")
    made.export(folder / "weights.pth")
    again = st.Model(folder / "net.toml", weights=folder / "weights.pth")
    again.transform = made.transform
    return again


def by_file(suffix):
    def road(made, folder):
        path = folder / f"m{suffix}"
        made.export(path) if suffix else made.save(path)
        return st.Model(st.load(path))

    return road


CHAIN = {
    "folder": by_file(""), "safetensors": by_file(".safetensors"), "shell": by_shell, "pth": by_weights,
    "onnx": by_file(".onnx"), "torch": by_torch,
}  # fmt: skip
MARKS = {"onnx": pytest.mark.onnx, "torch": pytest.mark.torch}


@pytest.mark.parametrize("engine", ["auto", "numpy"])
@pytest.mark.parametrize("road", [pytest.param(name, marks=MARKS.get(name, ())) for name in CHAIN])
def test_predictions_are_bit_identical_after_any_road(tmp_path, road, engine):
    made = model()
    x = np.random.default_rng(1).random((5, 3, 8, 8), np.float32)
    other = CHAIN[road](made, tmp_path)
    for one in (made, other):
        one.engine = st.Model(NET, engine=engine).engine
    assert np.array_equal(other.predict(x), made.predict(x))
    assert np.array_equal(other.predict((255 * x).astype(np.uint8)), made.predict((255 * x).astype(np.uint8)))


@pytest.mark.onnx
@pytest.mark.torch
def test_predictions_are_bit_identical_after_all_roads(tmp_path):
    made = other = model()
    for name, road in CHAIN.items():
        Path(tmp_path / name).mkdir()
        other = road(other, tmp_path / name)
    x = np.random.default_rng(2).random((5, 3, 8, 8), np.float32)
    assert np.array_equal(other.predict(x), made.predict(x))
