"""`striate tour`: the main job on real digits, from the checks to the files; and what it does without them."""

import importlib.util
import json
import re
import shlex
import subprocess

import pytest

from cli.run import run
from cli.terminals import PLAIN, terminal
from striate.cli.tour import program
from striate.extras import install_command
from train.data.makers import needs

COLUMNS = 80


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """(folder, what stood on an 80-column terminal, escapes included)."""
    needs("sklearn")
    folder = tmp_path_factory.mktemp("tour") / "files"
    return folder, terminal(COLUMNS, "tour", "--out", str(folder))


def test_digits_it_has_never_seen(toured):
    """At least 98 % of the held-out third, and the report agrees with the screen."""
    folder, seen = toured
    text = PLAIN.sub("", seen)
    right, images = map(int, re.search(r"test accuracy [\d.]+%: (\d+) of (\d+) right", text).groups())
    assert images == 599 and right / images >= 0.98
    found = json.loads(run("eval", str(folder / "digits"), "--json").out)
    assert (found["images"], round(found["accuracy"] * images)) == (images, right)


def test_it_shows_every_step(toured):
    _, seen = toured
    text = PLAIN.sub("", seen)
    titles = re.findall(r"^(\d)\. (\w+)", text, re.M)
    assert titles == list(zip("123456", ("Check", "Look", "Train", "Test", "Predict", "The")))
    for said in ("G002 conv1: stride 3 does not fit", "3 6 9 6 3", "lenet5", "confusion", "prediction: "):
        assert said in text
    assert "━" in seen and "images/s" in seen  # the bar
    assert len(re.findall(r"\d+/15  \d\.\d{4} ", text)) == 15
    for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", seen).splitlines():
        assert len(line) <= COLUMNS, line


def test_the_files_it_names_are_there(toured):
    folder, seen = toured
    end = PLAIN.sub("", seen).partition("6. The files")[2]
    named = re.findall(r"^  ((?:digits/)?\w+\.\w+) ", end, re.M)
    assert len(named) >= 9
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert set(named) <= on_disk


def joined(seen):
    """What stood on the screen, without color, commands on one line."""
    return re.sub(r" \\\n +", " ", PLAIN.sub("", seen))


def shown(text):
    """The commands on a screen."""
    return [line.strip() for line in text.splitlines() if line.startswith(f"  {program()} ")]


def test_the_commands_it_shows_are_commands(toured):
    """Each can be typed; the training itself was just that command, so it finds its own run."""
    _, seen = toured
    steps, _, _ = joined(seen).partition("Next steps, to paste into this shell")
    commands = [line.removeprefix(program()).strip() for line in shown(steps)]
    assert {command.split()[0] for command in commands} >= {
        "check",
        "show",
        "pixels",
        "train",
        "eval",
        "predict",
    }
    for command in commands:
        done = run(*shlex.split(command))
        if command.startswith("train"):
            assert done.code == 2 and "already holds a run" in done.err
        else:
            assert done.code in (0, 1), (command, done.err)


def test_it_ends_with_commands_to_paste(toured):
    """A shell in the same folder runs the last block as it stands: prediction, another run, the course."""
    _, seen = toured
    end = PLAIN.sub("", seen).partition("Next steps, to paste into this shell")[2]
    block = "\n".join(line for line in end.splitlines() if line.startswith("  "))
    assert len(shown(joined(end))) == 3
    done = subprocess.run(["bash", "-euc", block], capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Borders get too little attention" in done.stdout


def test_a_second_tour_does_not_overwrite_the_first(toured):
    again = run("tour", "--out", str(toured[0]))
    assert (again.code, again.out) == (2, "")
    assert "already holds a tour" in again.err


def test_without_the_samples_it_says_the_command_and_does_the_rest(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "sklearn" else find(name, *more)
    )
    done = run("tour")
    assert (done.code, done.err) == (0, "")
    assert install_command("samples") in done.out
    assert "1. Check" in done.out and "2. Look" in done.out and "4. Test" not in done.out


def test_the_course_is_still_there():
    whole = run("tour", "--course").out
    assert "Borders get too little attention" in whole and "channels" in whole.lower()
    assert run("tour", "padding").out.startswith("1. Padding keeps the size")
