"""`striate train`: configuration, what it prints, what it writes, and every way it can go wrong."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest

from cli.conftest import NET, pictures
from cli.run import environment, run, spawn
from cli.terminals import PLAIN, terminal
from striate.train.config import Config, options
from striate.train.run import FILES

TIMES = re.compile(r"\d[\d,.]* (?:s|min)\b|\d+:\d\d")


def lines(text):
    return [line for line in text.splitlines() if re.match(r"\s*\d+/\d+ ", line)]


# -- what it prints and writes --------------------------------------------------------------------------------


def test_a_run_tells_everything_once(images, trained):
    folder, out = trained
    assert out.startswith(f"net on {images}\n")
    for part, count in (("train", 54), ("validation", 6), ("test", 30)):
        assert re.search(rf"^ +{part} +{count}\b", out, re.M)
    assert len(lines(out)) == 6
    assert "epochs 6 · batch_size 16" in out
    assert out.splitlines()[-1] == f"the result is in {folder}; next: striate eval {folder}"
    assert "\x1b" not in out
    assert sorted(path.name for path in folder.iterdir()) >= sorted(FILES)


def test_the_head_of_a_run(images, golden, monkeypatch):
    monkeypatch.chdir(images.parent)
    out = run("train", "--data", images.name, "--model", NET, "--fast-dev-run", "--lr", "0.02").out
    out = re.sub(r"^\d+ kernels? compiled .*\n", "", out, flags=re.M)  # whatever was compiled before
    head = out[: re.search(r"^ +epoch ", out, re.M).start()]
    golden("cli/train-head.txt", head)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--epochs", "3", "--engine", "numpy", "--flip", "0.5"],
        ["--optimizer", "sgd", "--lr", "0.1", "--milestones", "1,2"],
        ["--epochs", "10", "--class-weights", "balanced", "--no-nesterov"],
    ],
)
def test_the_head_has_the_settings_that_are_not_defaults(images, flags):
    """Those that were given or derived, each once and with its value; the others are in the file alone."""
    words = ["--data", str(images), "--model", NET, "--fast-dev-run", *flags]
    config = Config.parse(run("train", *words, "--print-config").out.encode(), images / "train.toml")
    values = {**vars(config.job), **vars(config.settings)}
    differ = {
        f"{option.name} {dataclasses.replace(option, default=values[option.name]).shown}"
        for option in options()
        if option.name not in ("model", "data") and values[option.name] != option.default
    }
    head = run("train", *words).out
    found = re.search(r"^  settings +((?:.+\n)+?)  others +defaults; --print-config prints all$", head, re.M)
    pairs = [pair.removesuffix(" (derived)") for pair in " ".join(found[1].split()).split(" · ")]
    assert sorted(pairs) == sorted(differ) and len(pairs) < 10


def test_the_next_command_is_one_that_works(trained):
    _, out = trained
    command = out.splitlines()[-1].partition("striate ")[2].split()
    assert run(*command).code == 0


def test_the_saved_configuration_is_what_was_printed_and_gives_the_same_run(images, trained, tmp_path):
    folder, _ = trained
    saved = folder / "config.toml"
    again = run("train", "--config", str(saved), "--print-config")
    assert (again.code, again.out) == (0, saved.read_text())
    done = run("train", "--config", str(saved), "--out", str(tmp_path / "run"))
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        folder / "model.safetensors"
    ).read_bytes()


def test_flags_come_before_the_file_and_that_before_the_defaults(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text('data = "a"\nmodel = "lenet5"\n[train]\nepochs = 3\nlr = 0.5\n')
    printed = run("train", "--config", str(file), "--lr", "0.25", "--no-nesterov", "--print-config").out
    found = tomllib.loads(printed)["train"]
    assert (found["epochs"], found["lr"], found["batch_size"], found["nesterov"]) == (3, 0.25, 64, False)


def test_every_setting_is_a_flag():
    printed = run("train", "--help").out
    for option in options():
        assert re.search(rf"^  {option.flag}\b", printed, re.M), option.flag
        assert " ".join(option.doc.split()[:2]) in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_json(images, tmp_path):
    out = tmp_path / "run"
    done = run("train", "--data", str(images), "--model", NET, "--out", str(out), "--epochs", "2", "--json")
    record = json.loads(done.out)
    assert (record["schema"], record["out"], record["stopped"]) == ("striate.train/1", str(out), "done")
    assert [row["epoch"] for row in record["epochs"]] == [1, 2]
    assert len(lines(done.err)) == 2  # the account of the run goes where it does no harm
    rows = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    assert rows == record["epochs"]


def test_plain_lines_in_a_pipe_a_bar_in_a_terminal(images, tmp_path):
    arguments = [
        "train",
        "--data",
        str(images),
        "--model",
        NET,
        "--epochs",
        "2",
        "--batch-size",
        "4",
        "--out",
    ]
    piped = spawn(*arguments, str(tmp_path / "a"))
    assert (piped.code, piped.err) == (0, "") and "\x1b" not in piped.out
    seen = terminal(90, *arguments, str(tmp_path / "b"))
    assert "━" in seen and "images/s" in seen and "left" in seen
    kept = [line for line in PLAIN.sub("", seen).splitlines() if "━" not in line]
    assert [TIMES.sub("", line) for line in lines("\n".join(kept))] != []
    for name, value in {"NO_COLOR": "1", "TERM": "dumb"}.items():
        shown = terminal(90, *arguments, str(tmp_path / name), **{name: value})
        assert "━" not in shown and "\x1b" not in shown


@pytest.mark.parametrize("columns", [40, 80])
def test_never_wider_than_the_window(images, tmp_path, columns):
    seen = terminal(
        columns, "train", "--data", str(images), "--model", NET, "--epochs", "1", "--out", str(tmp_path)
    )
    for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", seen).splitlines():
        assert len(line) <= columns, line


# -- the network follows the data -----------------------------------------------------------------------------


def made(images, model, *more):
    done = run("train", "--data", str(images), "--model", model, "--fast-dev-run", "--json", *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_catalogue_model_gets_the_classes_and_the_size_of_the_data(images):
    record = made(images, "cifar_resnet20")
    assert record["input"] == [1, 8, 8] and record["notes"] == [
        "cifar_resnet20 created for the image size 8x8x1 and 3 classes"
    ]
    assert made(images, "cifar_resnet20", "--input", "12x12x1")["input"] == [1, 12, 12]


def test_where_it_has_no_output_at_that_size_it_keeps_its_own(images):
    record = made(images, "lenet5")
    assert record["input"] == [1, 32, 32]
    assert "no output at 8x8" in record["notes"][0] and "resized to its 32x32x1" in record["notes"][0]


def test_a_written_network_keeps_its_input_and_says_so(images):
    record = made(images, "12x12x1 -> conv 3x3 2 -> relu -> flatten -> fc 3")
    assert record["notes"] == ["images of 8x8x1 are resized to the network's 12x12x1"]


def test_images_of_several_sizes(tmp_path):
    from PIL import Image

    for k in range(6):
        folder = tmp_path / "train" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10 + k, 12), (40 * k, 90, 10)).save(folder / f"{k}.png")
    record = made(tmp_path, "lenet5")
    assert record["input"] == [3, 32, 32] and "differ in size" in record["notes"][0]


def test_it_goes_on_from_a_trained_model(images, trained):
    record = made(images, str(trained[0]))
    assert record["notes"] == [f"starts with the weights of {trained[0]}"]
    assert record["epochs"][0]["train_loss"] < 0.7 < made(images, NET)["epochs"][0]["train_loss"]


def test_cifar_in_its_binary_form(tmp_path):
    """3,073 bytes for each image: its label, then three planes, here a pattern for each class under noise."""
    patterns = np.random.default_rng(0).integers(0, 200, (10, 3072), dtype=np.uint8)
    for name, count in (("data_batch_1.bin", 200), ("data_batch_2.bin", 200), ("test_batch.bin", 50)):
        labels = np.arange(count, dtype=np.uint8)[:, None] % 10
        noise = np.random.default_rng(count).integers(0, 50, (count, 3072), dtype=np.uint8)
        (tmp_path / name).write_bytes(np.hstack([labels, patterns[labels[:, 0]] + noise]).tobytes())
    run_folder = tmp_path / "run"
    done = run("train", "--data", str(tmp_path), "--model", "32x32x3 -> conv 3x3 4 /2 -> relu -> flatten -> fc 10",
               "--epochs", "3", "--lr", "0.01", "--out", str(run_folder))  # fmt: skip
    assert done.code == 0, done.err
    assert "CIFAR-10 binary" in done.out and re.search(r"^ +test +50\b", done.out, re.M)
    judged = json.loads(run("eval", str(run_folder), "--json").out)
    assert judged["images"] == 50 and judged["accuracy"] > 0.9


# -- debug switches and the finder ----------------------------------------------------------------------------


def test_fast_dev_run_needs_no_folder_and_leaves_none(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("train", "--data", str(images), "--model", NET, "--fast-dev-run")
    assert (done.code, done.err) == (0, "")
    assert "nothing was saved" in done.out and "--out RUN" in done.out
    assert not list(tmp_path.iterdir())


def test_overfit_batches(images):
    done = run("train", "--data", str(images), "--model", NET, "--overfit-batches", "1", "--epochs", "30",
               "--batch-size", "8", "--lr", "0.02", "--json")  # fmt: skip
    assert json.loads(done.out)["epochs"][-1]["validation_accuracy"] == 1.0


def test_find_lr(images):
    arguments = ["train", "--data", str(images), "--model", NET, "--find-lr"]
    record = json.loads(run(*arguments, "--json").out)
    assert record["schema"] == "striate.find-lr/1" and 1e-4 < record["suggestion"] < 1
    done = run(*arguments)
    assert done.code == 0 and f"lr {record['suggestion']:g}" in done.out
    assert "▀" in done.out and "^" in done.out and "1e-06" in done.out


# -- errors ---------------------------------------------------------------------------------------------------


def refused(*arguments):
    done = run("train", *map(str, arguments))
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err and "I000" not in done.err
    assert re.search(r"^  fix     \S", done.err, re.M), done.err
    return done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--data digits"),
        (["--data", "{data}"], "--model lenet5"),
        (["--data", "{data}", "--model", NET], "--out RUN"),
        (["--data", "{data}x", "--model", NET, "--out", "{new}"], "there is no"),
        (["--data", "{data}", "--model", "lennet5", "--out", "{new}"], "lenet5"),
        (["--data", "{data}", "--model", NET, "--out", "{run}"], "--resume {run}"),
        (["--data", "{data}", "--model", NET, "--out", "{file}/run"], "a folder, not a file"),
        (["--data", "{data}", "--model", NET, "--out", "{new}", "--lr", "fast"], "number above 0"),
        (["--data", "{data}", "--model", NET, "--out", "{new}", "--schedule", "cosin"], "cosine"),
        (["--data", "{data}", "--model", NET, "--out", "{new}", "--epochs", "0"], "1 or more"),
        (["--data", "{data}", "--model", NET, "--out", "{new}", "--epoch", "1"], "--epochs"),
        (["--data", "{data}", "--model", NET.replace("fc 3", "fc 4"), "--out", "{new}"], "fc 3 instead of fc 4"),
        (["--data", "{data}", "--model", "8x8x1 -> conv 3x3 4", "--out", "{new}"], "flatten -> fc 3"),
        (["--data", "{data}", "--model", "1d 9x1 -> conv 3 -> flatten -> fc 3", "--out", "{new}"], "takes no images"),
        (["--data", "{data}", "--model", "8x8x1 -> conv 9x9 -> flatten -> fc 3", "--out", "{new}"], "no output"),
        (["--data", "{data}", "--model", NET + " -> softmax", "--out", "{new}"], "before softmax"),
        (["--data", "{data}", "--model", NET, "--out", "{new}", "--engine", "nmpy"], "numpy"),
        (["--config", "{new}.toml"], "there is no file"),
        (["--config", "{file}"], "epochs"),
        (["--resume", "{new}"], "does not hold a run"),
        (["--resume", "{run}", "--out", "{new}"], "exclude each other"),
        (["--resume", "{run}", "--lr", "0.5"], "cannot change within a run"),
    ],
)  # fmt: skip
def test_mistakes(arguments, said, images, trained, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("[train]\nepoch = 3\n")
    known = {"data": images, "run": trained[0], "new": tmp_path / "new", "file": file}
    assert said.format(**known) in refused(*(word.format(**known) for word in arguments))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written(images):
    """Not even by the system's owner."""
    assert "cannot be written" in refused("--data", images, "--model", NET, "--out", "/proc/run")


def test_corrupt_images_are_counted_and_named_or_refused(tmp_path):
    root = pictures(tmp_path / "pictures", {"train": 30, "test": 9})
    broken = root / "train" / "rows" / "000.png"
    broken.write_bytes(broken.read_bytes()[:60])
    arguments = ["train", "--data", str(root), "--model", NET, "--epochs", "1"]
    done = run(*arguments, "--out", str(tmp_path / "a"))
    assert done.code == 0
    note = next(line for line in done.out.splitlines() if line.startswith("note "))
    assert "could not be read" in note and "1 of " in note and "rows/000.png" in done.out
    strict = run(*arguments, "--out", str(tmp_path / "b"), "--on-bad", "refuse")
    assert strict.code == 2 and "rows/000.png" in strict.err


# -- interrupted ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_saves_and_says_how_to_go_on(images, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", "--data", str(images), "--model", NET, "--out", str(out), "--epochs", "100000"]
    child = subprocess.Popen(
        [sys.executable, "-m", "striate", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(), text=True,
    )  # fmt: skip
    while "1/100000" not in child.stdout.readline():
        assert child.poll() is None
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert re.fullmatch(rf"interrupted at [^\n]*; saved, continue with: striate train --resume {out}\n", err)
    done = len((out / "metrics.jsonl").read_text().splitlines())
    again = run("train", "--resume", str(out), "--epochs", str(done + 2))
    assert again.code == 0, again.err
    assert f"continuing in epoch {done + 1} of {done + 2}" in again.out
    assert len(lines(again.out)) == 2


def test_a_finished_run_says_so(trained):
    again = run("train", "--resume", str(trained[0]))
    assert again.code == 0 and "all epochs are done" in again.out


def test_config_is_read_back(trained):
    config = Config.read(trained[0] / "config.toml")
    assert (config.settings.epochs, config.job.model) == (6, NET)
