"""Names that are nearly right: the error says what to write, and what it says works."""

import pickle
import re

import pytest

import striate as st
from cli.run import run
from striate.diagnostics import StriateError
from striate.formats import conversion, load_model
from striate.models import catalogue
from striate.views.drawing import kinds, picture

NET = "16x16x3 -> conv 3x3 4 -> relu"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fix_of(*words):
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    return re.search(r"^  fix     (.*(?:\n          .*)*)", done.err, re.M)[1]


def test_every_other_name_is_another_name_of_something():
    ours = {*kinds.KINDS, *kinds.RESULTS}
    for table, known in (
        (kinds.ELSEWHERE, ours),
        (picture.INSTEAD, {*picture.FORMS}),
        (conversion.INSTEAD, {*conversion.WRITERS}),
        (conversion.FRAMEWORKS, {*conversion.WRITERS}),
    ):
        assert {*table.values()} <= known and not {*table} & known
    for pattern in catalogue.OUTSIDE:
        assert not any(re.match(pattern, name) for name in st.list_models())


@pytest.mark.parametrize(("kind", "ours"), kinds.ELSEWHERE.items())
def test_other_names_of_kinds_of_pictures(kind, ours):
    assert fix_of("draw", "lenet5", "--kind", kind) == f"write {ours!r}"


@pytest.mark.parametrize(
    ("stage", "written"),
    [
        ("avgpool global", "gap"), ("global avgpool", "gap"), ("maxpool global", "gmp"), ("max pool 2", "maxpool"),
        ("conv transpose 2x2 3 /2", "tconv"), ("batch norm", "bn"), ("layer norm", "ln"), ("conv 6 5x5", "conv 5x5 6"),
        ("maxpool 2 global", "gmp"),
    ],
)  # fmt: skip
def test_words_of_a_stage_in_another_order(stage, written):
    fix = fix_of("show", f"{NET} -> {stage}")
    assert re.match(rf"write '?{written}\b", fix)
    st.parse(f"{NET} -> {'tconv 2x2 3 /2' if written == 'tconv' else written}")


@pytest.mark.parametrize(
    ("out", "file"),
    [
        ("m.h5", "m.onnx"), ("m.keras", "m.onnx"), ("a/m.tflite", "a/m.onnx"), ("m.ckpt", "m.safetensors"),
        ("m.yaml", "m.toml"), ("onnx", "model.onnx"), ("ONNX", "model.onnx"), ("a/pth", "a/model.pth"),
        ("torch", "model.pth"), ("keras", "model.onnx"), ("h5", "model.onnx"), ("m", "m.onnx"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_written_has_a_neighbor_that_is(out, file, tmp_path):
    (tmp_path / "a").mkdir()
    fix = fix_of("convert", NET, out)
    assert re.fullmatch(rf"(?:write|such as) {re.escape(file)}", fix)
    assert run("convert", NET, file).code == 0


@pytest.mark.parametrize(
    ("out", "file"),
    [("x.dot", "x.json"), ("x.mmd", "x.json"), ("x.jpg", "x.png"), ("x.eps", "x.pdf"), ("x.html", "x.svg")],
)
def test_a_picture_that_is_not_written_has_a_neighbor_that_is(out, file):
    fix = fix_of("draw", NET, "-o", out)
    assert fix.startswith(f"write {file}") and ("striate report" in fix) == (out == "x.html")


@pytest.mark.parametrize(
    "words",
    [["show", "U"], ["predict", "MODEL", "U"], ["train", "--data", "U", "--model", "lenet5", "--out", "r"]],
)
def test_an_address_is_not_a_file(words):
    address = "https://example.org/a/b.onnx"
    st.Model(NET).save("model")
    done = run(*({"U": address, "MODEL": "model"}.get(word, word) for word in words))
    assert (
        done.code == 2 and f"{address} is not on this machine" in done.err and "downloads nothing" in done.err
    )


def test_a_pattern_in_quotes_is_not_a_file(tmp_path):
    st.Model("8x8x1 -> flatten -> fc 2").save("model")
    assert fix_of("predict", "model", "photos/*.jpg") == "give the folder photos, or leave out the quotes"
    with pytest.raises(StriateError, match="a pattern is not a file") as caught:
        st.Model.load("model").predict("photos/*.jpg")
    assert "glob.glob('photos/*.jpg')" in caught.value.fix


@pytest.mark.parametrize(
    "name", ["yolov8n", "ssd300_vgg16", "fasterrcnn_resnet50_fpn", "vit_b_16", "swin_t", "bert", "stylegan2"]
)
def test_networks_of_another_kind_are_out_of_scope(name):
    done = run("show", name)
    assert done.code == 2 and re.search(r"detector|transformer|generates images", done.err)
    assert "lists the catalogue" in done.err


@pytest.mark.parametrize("suffix", load_model.PROGRAMS)
def test_files_of_programs_say_what_they_are(suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(pickle.dumps([1]))
    what, why, fix = load_model.PROGRAMS[suffix]
    with pytest.raises(StriateError) as caught:
        st.load(path)
    assert (caught.value.what, caught.value.why, caught.value.fix) == (f"{path} is {what}", why, fix)
    assert f"{path.name} is {what}" in run("show", path.name).err


@pytest.mark.parametrize(("flag", "value"), [("--epochs", "ten"), ("--lr", "-1"), ("--engine", "fast")])
def test_a_wrong_setting_says_which_command_has_it(flag, value):
    err = run("train", "--data", "digits", "--model", "lenet5", "--out", "r", flag, value).err
    assert re.search(r"^  where   striate train$", err, re.M)
