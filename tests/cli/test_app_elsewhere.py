"""What people type who come from other tools: the fix says it in Striate's words."""

import re
import shlex

import click
import pytest

from cli.run import run
from striate.cli import app, errors
from striate.cli.app import COMMANDS, ELSEWHERE
from striate.model import Model


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("summary resnet18", "did you mean show?"),
        ("lint model.onnx", "did you mean check?"),
        ("rule G002", "did you mean explain?"),
        ("val run", "did you mean eval?"),
        ("export resnet18 r.onnx", "did you mean convert?"),
        ("help", "did you mean --help?"),
        ("check lenet5 --format json", "did you mean --output-format?"),
        ("train --learning-rate 0.1", "did you mean --lr?"),
        ("show lenet5 --imgsz 224", "did you mean --input?"),
        (
            "train model=lenet5 data='my images' batch_size=3",
            "striate train --model lenet5 --data 'my images' --batch-size 3",
        ),
        (
            "train data=digits imgsz=32 mode=train device=0",
            "striate train --data digits --input 32 --device 0",
        ),
        ("task=classify mode=val model=run data=digits", "striate eval run --data digits"),
        ("predict model=best.pt source='a b.jpg'", "striate predict best.pt 'a b.jpg'"),
        ("export model=lenet5 format=onnx", "striate convert lenet5 model.onnx"),
        ("export resnet18 format=onnx", "striate convert resnet18 model.onnx"),
        ("convert --weights w.pth resnet18 format=onnx", "striate convert resnet18 model.onnx"),
        ("classify train data=digits", "striate train --data digits"),
        ("draw lenet5 lenet5.svg", "striate draw lenet5 -o lenet5.svg"),
        ("draw '8x8x1 -> conv 3x3' 'a b.png'", "striate draw '8x8x1 -> conv 3x3' -o 'a b.png'"),
        ("draw a.onnx b.onnx", "see `striate draw --help`"),
        ("report lenet5 lenet5.html", "striate report lenet5 -o lenet5.html"),
        ("show lenet5 --layer conv1", "did you mean --node?"),
        (
            "train --data digits --model lenet5 --weights run",
            "give a model with weights: a run folder, or a file that holds both",
        ),
        ("draw lenet5 --kind", "see `striate draw --help`"),
        ("show lenet5 64x64x1", "--input 64x64x1"),
        (
            "predict run cat.png --conf 0.5",
            "leave it out: every image gets its likeliest classes",
        ),
        ("train --cos-lr", "--schedule cosine"),
        (
            "show lenet5 --no-color",
            "set the environment variable NO_COLOR=1; pipes and files get no colors",
        ),
        ("show lenet5 --jsn", "did you mean --json?"),
        ("models --sort params", "see `striate models --help`"),
        ("train digits lenet5", "name them: --data … --model …"),
        ("train --learning_rate 0.1", "did you mean --lr?"),
        ("train --data digits --num-epochs 3", "did you mean --epochs?"),
        ("train --data digits --arch lenet5", "did you mean --model?"),
        ("check lenet5 --quiet", "leave it out: a command prints its result alone"),
        ("check lenet5 --strict", "--fail-on info"),
        (
            "convert lenet5 --to onnx",
            "name the file, its suffix is the format: striate convert MODEL model.onnx",
        ),
        ("explain --list", "did you mean --all?"),
        ("rules", "did you mean explain?"),
        ("resnet18", "striate show 'resnet18'"),
        ("model.onnx", "striate show 'model.onnx'"),
        ("sizes two.toml --input left=32x32x3", "check the spelling and the current directory"),
        ("show resnet18 --input '(1, 3, 224, 160)'", "write 224x160x3"),
        ("show resnet18 --input 224,160,3", "write 224x160x3"),
        ("show efficientnet", "'efficientnet_b0' is the nearest name"),
        ("sizes lenet5 --learning-rate 1", "see `striate sizes --help`"),
    ],
)
def test_the_fix_is_ours(typed, fix):
    done = run(*shlex.split(typed))
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"  fix     {fix}"


def test_every_translation_leads_to_something():
    context = click.Context(app)
    assert set(ELSEWHERE).isdisjoint(COMMANDS)
    flags = {
        flag
        for name in COMMANDS
        for option in app.get_command(context, name).get_params(context)
        for flag in option.opts
    }
    flags |= {flag for option in app.get_params(context) for flag in option.opts}
    assert set(ELSEWHERE.values()) <= {*COMMANDS, *flags}
    assert {*errors.ELSEWHERE.values()} <= flags
    said = " ".join(errors.REMARKS.values())
    assert {*re.findall(r"--[a-z-]+", said)} <= flags
    assert not {name for names in errors.REMARKS for name in names.split()} & (
        flags - {"--image", "--weights", "-o", "--output", "-f", "-s"}
    )


def test_check_of_the_current_folder_is_check_of_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.striate]\nmodels = ["7x7x1 -> conv 3x3 /3"]\n')
    for models in ([], ["."]):
        done = run("check", *models)
        assert done.code == 1 and "G002" in done.out
    Model("8x8x1 -> conv 3x3").save(tmp_path)  # which is a model, then
    assert "G002" not in run("check", ".").out
