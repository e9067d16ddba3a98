"""What people type who come from other tools: the fix says it in Striate's words."""

import shlex

import click
import pytest

from cli.run import run
from striate.cli import app, errors
from striate.cli.app import COMMANDS, ELSEWHERE


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
            "write --model lenet5 --data 'my images' --batch-size 3",
        ),
        ("show resnet18 --input '(1, 3, 224, 160)'", "write 224x160x3"),
        ("show resnet18 --input 224,160,3", "write 224x160x3"),
        ("show efficientnet", "'efficientnet_b0' is the nearest name"),
        ("sizes lenet5 --learning-rate 1", "`striate sizes --help` shows how"),
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
    assert {ours.split()[0] for ours in errors.ELSEWHERE.values()} <= flags
