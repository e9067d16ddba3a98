"""`striate convert`: every format into every other, what is said where that cannot be; files as MODEL everywhere."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.run import run
from striate import Model, load
from striate.formats.conversion import WRITERS
from striate.formats.weight_files import WEIGHTS, read_weights
from striate.models import catalogue

NET = catalogue.create("lenet5")
SOURCES = [*sorted(WRITERS), "run"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """lenet5 with its weights in every format that can be written, and as the folder of a model."""
    folder = tmp_path_factory.mktemp("sources")
    model = Model(NET, seed=5, engine="numpy")
    model.classes, model.transform = (
        tuple("0123456789"),
        {"steps": [{"step": "normalize", "mean": [0.1], "std": [0.3]}]},
    )
    for suffix in WRITERS:
        if suffix != ".onnx":
            model.export(folder / f"lenet5{suffix}")
    model.save(folder / "lenet5run")
    return folder, model


def bits(weights):
    return {name: array.tobytes() for name, array in weights.items()}


def source_of(sources, kind):
    folder, model = sources
    if kind == ".onnx":
        model.export(folder / "lenet5.onnx")
    return str(folder / f"lenet5{kind}")


def holds_network(kind):
    return kind not in (".pth", ".pt")


def pairs():
    for kind in SOURCES:
        for suffix in sorted(WRITERS):
            marks = [pytest.mark.onnx] if ".onnx" in (kind, suffix) else []
            yield pytest.param(kind, suffix, marks=marks, id=f"{kind}-to-{suffix}")


@pytest.mark.parametrize(("kind", "suffix"), list(pairs()))
def test_every_format_into_every_other(sources, kind, suffix, tmp_path):
    model = sources[1]
    source, out = source_of(sources, kind), tmp_path / f"out{suffix}"
    done = run("convert", source, str(out))
    if not holds_network(kind) and suffix not in WEIGHTS:
        assert (done.code, done.out) == (2, "") and "no network" in done.err and not out.exists()
        assert "striate convert NETWORK" in done.err
        done = run("convert", "lenet5", str(out), "--weights", source)
    assert done.code == 0 and done.out.startswith(f"{out}: ")
    if suffix in WEIGHTS:
        kept = bits(read_weights(out)) == bits(model.weights.current())
    elif suffix == ".onnx":
        assert load(out) == NET
        kept = bits(load(out).weights) == bits(model.weights.current())
    else:
        assert load(out) == NET
        assert ("does not contain the weights" in done.err) == (kind not in (".toml", ".py"))
        return
    assert kept == (kind not in (".toml", ".py")) and done.err == ""
    assert ("fresh, seed 0" in done.out) == (kind in (".toml", ".py"))
    assert os.listdir(tmp_path) == [out.name]  # nothing half-written beside it


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".onnx", marks=pytest.mark.onnx)])
def test_classes_and_transformation_go_along(sources, suffix, tmp_path):
    out = tmp_path / f"m{suffix}"
    run("convert", str(sources[0] / "lenet5run"), str(out))
    model = Model.load(out, engine="numpy")
    assert (model.net, model.classes, model.transform) == (NET, sources[1].classes, sources[1].transform)
    assert bits(model.weights.current()) == bits(sources[1].weights.current())


def test_the_record(sources, tmp_path):
    out = tmp_path / "net.pth"
    done = run("convert", "lenet5", str(out), "--seed", "3", "--json")
    assert json.loads(done.out) == {
        "schema": "striate.convert/1", "out": str(out), "network": "lenet5", "nodes": 12, "tensors": 10,
        "weights": "fresh, seed 3", "bytes": out.stat().st_size,
    }  # fmt: skip
    done = run("convert", str(out), str(tmp_path / "again.safetensors"), "--json")
    assert json.loads(done.out)["network"] is None and json.loads(done.out)["weights"] == str(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lenet5", "out"], "its suffix is missing"),
        (["lenet5", "out.onxx"], "did you mean .onnx?"),
        (["lenet5", "out.keras"], "has no suffix that Striate writes"),
        (["lenet5", "missing/out.toml"], "cannot be written"),
        (["lenet5", "folder.toml"], "cannot be written"),
        (["missing.toml", "out.pth"], "no file missing.toml"),
        (["missing.pth", "out.safetensors"], "no file missing.pth"),
        (["folder", "out.pth"], "is a directory"),
        (["folder.toml", "out.pth"], "is a directory"),
        (["folder.pth", "out.safetensors"], "is a directory"),
        (["pipe.safetensors", "out.pth"], "not a regular file"),
        (["empty.pth", "out.safetensors"], "not a state dict"),
        (["empty.safetensors", "out.pth"], "not a safetensors file"),
        (["empty.toml", "out.pth"], "[network]"),
        (["net.toml", "net.toml"], "would be overwritten"),
        (["net.toml", "./net.toml"], "would be overwritten"),
        (["net.toml", "link.toml"], "would be overwritten"),
        (["mine.py", "mine.py"], "would be overwritten"),
        (["lenet5", "w.pth", "--weights", "w.pth"], "would be overwritten"),
        (["w.pth", "out.pth", "--input", "32x32"], "holds only weights"),
        (["w.pth", "out.pth", "--weights", "w.pth"], "holds only weights"),
        (["alexnet", "out.pth", "--weights", "w.pth"], "do not match alexnet"),
        (["lenet5", "out.pth", "--weights", "net.toml"], "not a weights file"),
        (["lenet5", "out.pth", "--weights", "missing.pth"], "no file missing.pth"),
        (["lenet5", "out.pth", "--seed", "x"], "--seed"),
        (["lenet5"], "OUT"),
        (["7x7x1 -> conv 3x3 /9 -> conv 9x9", "out.pth"], "G001"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_mistakes(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.toml", "folder.pth"):
        Path(name).mkdir()
    os.mkfifo("pipe.safetensors")
    for name in ("empty.pth", "empty.safetensors", "empty.toml"):
        Path(name).touch()
    run("convert", "lenet5", "net.toml")
    run("convert", "lenet5", "w.pth")
    Path("mine.py").write_text("from striate import parse\nnet = parse('8x8x1 -> conv 3x3')\n")
    Path("link.toml").symlink_to("net.toml")
    before = {name: Path(name).read_bytes() for name in os.listdir() if Path(name).is_file()}
    done = run("convert", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err, done
    assert "Traceback" not in done.err and "I000" not in done.err
    assert {name: Path(name).read_bytes() for name in os.listdir() if Path(name).is_file()} == before


def test_an_old_file_stays_when_the_new_one_fails(tmp_path, monkeypatch):
    out = tmp_path / "out.pth"
    out.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run("convert", "lenet5", str(out))
    assert done.code == 2 and "No space left" in done.err
    assert out.read_text() == "old" and os.listdir(tmp_path) == ["out.pth"]


@pytest.mark.parametrize(
    "name",
    [
        "ünï çødé 网络.safetensors",
        "a b'c\"d.safetensors",
        "a -> b.safetensors",
        "lenet:a.safetensors",
        ".safetensors.pth",
    ],
)
def test_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    done = run("convert", "lenet5", name)
    assert (done.code, done.err) == (0, "")
    assert os.listdir() == [name]
    if name.endswith(".safetensors"):
        assert run("show", name).out.startswith("lenet5")
    again = run("convert", "lenet5", "b.pth", "--weights", name)
    assert again.code == 0 and bits(read_weights("b.pth")) == bits(read_weights(name))


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out.toml").symlink_to("real/net.toml")
    assert run("convert", "lenet5", str(tmp_path / "out.toml")).code == 0
    assert (tmp_path / "out.toml").is_symlink() and load(tmp_path / "real" / "net.toml") == NET


# ---------------------------------------------------------------- files as MODEL
KINDS = [".toml", ".py", ".safetensors", "run", "module", pytest.param(".onnx", marks=pytest.mark.onnx)]


@pytest.fixture
def named(sources, tmp_path, monkeypatch):
    """What a model is called on the command line, by the kind of its file."""
    monkeypatch.chdir(tmp_path)

    def named(kind):
        if kind == "module":
            Path("lenets.py").write_text("import striate\nclass Mine:\n    net = striate.create('lenet5')\n")
            return "lenets:Mine.net"
        return source_of(sources, kind)

    return named


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "{}", "--json"], ["check", "{}", "--output-format", "json"], ["sizes", "{}", "--json"],
        ["pixels", "{}", "--json"], ["diff", "{}", "lenet5", "--json"], ["show", "{}", "--node", "conv1", "--json"],
    ],
    ids=lambda words: " ".join(words[:1] + words[2:]),
)  # fmt: skip
def test_a_file_is_as_good_as_a_name(named, kind, arguments):
    model = named(kind)
    found, wanted = (run(*(word.format(name) for word in arguments)) for name in (model, "lenet5"))
    assert (found.code, found.err) == (wanted.code, wanted.err)
    told, known = json.loads(found.out.replace(json.dumps(model)[1:-1], "lenet5")), json.loads(wanted.out)
    if arguments[0] == "check":
        for finding in [*told, *known]:
            finding.pop("file"), finding.pop("line")
    if "--node" in arguments:
        told.pop("place", None), known.pop("place", None)
    assert told == known


@pytest.mark.parametrize("kind", KINDS[2:])
def test_weights_are_used_everywhere(named, kind, sources):
    model = named(kind)
    if kind == "module":
        assert load(model).weights is None
        return
    assert bits(Model.load(model, engine="numpy").weights.current()) == bits(sources[1].weights.current())
    done = run("bench", model, "--rounds", "1", "--threads", "1", "--no-peers", "--json")
    assert done.code == 0 and json.loads(done.out)["model"] == "lenet5"


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".onnx", marks=pytest.mark.onnx)])
def test_a_file_predicts_as_the_run(trained, images, tmp_path, suffix):
    model = str(tmp_path / f"model{suffix}")
    assert run("convert", str(trained[0]), model).code == 0
    for command in (
        ["predict", "{}", str(images / "test"), "--json"],
        ["eval", "{}", "--data", str(images), "--json"],
    ):
        found, wanted = (run(*(word.format(name) for word in command)) for name in (model, str(trained[0])))
        assert found.code == wanted.code == 0, found.err
        told, known = json.loads(found.out), json.loads(wanted.out)
        for record in (told, known):
            record.pop("seconds", None), record.pop("model")
        assert told == known


def test_weights_given_for_a_network(trained, images, tmp_path):
    """And without the transformation that only the run's folder keeps."""
    net, weights = str(tmp_path / "net.toml"), str(tmp_path / "w.pth")
    run("convert", str(trained[0]), net)
    run("convert", str(trained[0]), weights)
    done = run("predict", net, str(images / "test"), "--weights", weights)
    assert done.code == 2 and "--mean 0 --std 1" in done.err
    done = run(
        "predict", net, str(images / "test"), "--weights", weights, "--mean", "0.5", "--std", "0.5", "--json"
    )
    assert done.code == 0 and len(json.loads(done.out)["images"]) == 30
    done = run("eval", net, "--weights", weights, "--data", str(images), "--json")
    assert done.code == 0 and json.loads(done.out)["accuracy"] > 0.8
    assert any("measured on this data" in note for note in json.loads(done.out)["notes"])
    for wrong in ("x", "0,0,0", "", "nan"):
        done = run("predict", net, str(images / "test"), "--weights", weights, "--mean", wrong, "--std", "1")
        assert done.code == 2 and "--mean" in done.err
    assert run("predict", net, str(images), "--weights", weights, "--mean", "0", "--std", "0").code == 2


def test_training_begins_with_a_files_weights(trained, images, tmp_path):
    start = str(tmp_path / "start.safetensors")
    run("convert", str(trained[0]), start)
    done = run("train", "--data", str(images), "--model", start, "--fast-dev-run", "--json")
    assert done.code == 0 and f"starts with the weights of {start}" in json.loads(done.out)["notes"]


def test_a_folder_whose_weights_are_of_another_network(sources, tmp_path):
    shutil.copytree(sources[0] / "lenet5run", tmp_path / "run")
    run("convert", "8x8x1 -> conv 3x3", str(tmp_path / "w.safetensors"))
    os.replace(tmp_path / "w.safetensors", tmp_path / "run" / "model.safetensors")
    done = run("show", str(tmp_path / "run"))
    assert done.code == 2 and "do not match lenet5" in done.err


def test_a_file_that_lies_about_its_network(tmp_path):
    from striate.formats.safetensors import save

    path = tmp_path / "lie.safetensors"
    for record in ("{", "[]", "{}", '{"network": 3}', json.dumps({"network": NET.to_dict()})):
        save(path, {"x": np.zeros(3, np.float32)}, {"striate": record})
        done = run("show", str(path))
        assert done.code == 2 and "lie.safetensors" in done.err and "I000" not in done.err


def test_the_page_of_files_names_every_format():
    """docs/files.md, and the line of `striate --help`, against what is read and written."""
    from striate.formats.load_model import KERAS

    page = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1]: [cell.strip() for cell in line.split("|")[2:-1]] for line in page.splitlines()
            if line.startswith("| `.")}  # fmt: skip
    told = {suffix: cells for names, cells in rows.items() for suffix in names.replace("`", "").split(", ")}
    told = {suffix.strip(): cells for suffix, cells in told.items()}
    assert set(told) == {*WRITERS, *KERAS}
    assert {suffix for suffix, cells in told.items() if cells[3] != "no"} == set(WRITERS)
    for suffix in [".toml", ".onnx", ".py", ".safetensors", *KERAS[:2]]:
        assert suffix in run("--help").out
    assert {suffix for suffix, cells in told.items() if cells[0] == "no"} == {".pth", ".pt"}
