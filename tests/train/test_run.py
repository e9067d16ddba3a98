"""The run folder: killed at any moment it loses no checkpoint, and goes on as if nothing had happened."""

import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from exhaustive import EXHAUSTIVE
from striate.diagnostics import FormatError, SourceError, StriateError, UsageError
from striate.engine.target import host
from striate.engine.training.compiled_training import CompiledTraining
from striate.formats import safetensors
from striate.model import Model
from striate.train import run as folder
from striate.train.events import EpochDone, Progress, Saved, Updated
from striate.train.interrupts import STOPS, Interrupted, stop_signals
from train.runner import SETTINGS, run

TESTS = Path(__file__).parents[1]
RESULTS = (folder.BEST, folder.LAST)
KILLS = 15 if EXHAUSTIVE else 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    _, arrays = run(path)
    return path, arrays


def equal(path, whole):
    """Weights by their bytes, metrics by everything but the clock."""
    reference = whole[0]
    for name in RESULTS:
        assert (path / name).read_bytes() == (reference / name).read_bytes(), name
    timed = ("seconds", "images_per_second")
    rows = [
        [{k: v for k, v in json.loads(line).items() if k not in timed} for line in (p / folder.LINES).open()]
        for p in (path, reference)
    ]
    assert rows[0] == rows[1]


class Kill(Exception):
    """Stands for a process that is suddenly gone."""


def die_at(kind, count):
    """A callback that raises at the count-th event of a kind."""
    seen = 0

    def hear(event):
        nonlocal seen
        seen += isinstance(event, kind)
        if seen == count:
            raise Kill

    return hear


@pytest.mark.skipif(host() is None, reason="no kernels run on this processor")
def test_these_runs_are_machine_code(whole, tmp_path, monkeypatch):
    """What is killed, resumed and interrupted below are the compiled engine's steps."""
    monkeypatch.setattr(CompiledTraining, "_numpy", None)
    run(tmp_path / "run")
    equal(tmp_path / "run", whole)


# ---------------------------------------------------------------- a finished run
def test_a_finished_run_has_every_file(whole):
    path, arrays = whole
    assert sorted(p.name for p in path.iterdir()) == sorted(folder.FILES)
    report = json.loads((path / folder.REPORT).read_text())
    assert report["seed"] == 0 and report["environment"]["packages"]["numpy"] == np.__version__
    found = report["validation"]
    assert np.sum(found["confusion_matrix"]) == found["images"] == 30
    assert len(found["per_class"]) == 3 and len(found["worst"]) == 20
    assert found["calibration"]["expected_calibration_error"] >= 0
    losses = [entry["loss"] for entry in found["worst"]]
    assert losses == sorted(losses, reverse=True)
    assert len((path / folder.TABLE).read_text().splitlines()) == 7
    kept, _ = safetensors.load(path / folder.BEST)
    assert all((kept[name] == arrays[name]).all() for name in arrays)


def test_the_folder_is_a_model(whole):
    model = Model.load(whole[0])
    assert model.classes == ("rows", "columns", "squares") and model.transform["steps"]
    assert model.predict(np.zeros((2, 1, 8, 8), np.float32)).shape == (2, 3)


def test_the_same_run_again_gives_the_same_bytes(whole, tmp_path):
    run(tmp_path / "run")
    equal(tmp_path / "run", whole)


# ---------------------------------------------------------------- interrupted and resumed
@pytest.mark.parametrize(
    ("kind", "count"), [(Updated, 1), (Updated, 7), (Updated, 8), (EpochDone, 2), (Saved, 1), (Progress, 20)]
)
def test_a_resumed_run_equals_one_that_was_not_interrupted(whole, tmp_path, kind, count):
    path = tmp_path / "run"
    with pytest.raises(Kill):
        run(path, callbacks=[die_at(kind, count)])
    run(path, resume=True)
    equal(path, whole)


def test_interrupted_again_and_again(whole, tmp_path):
    path = tmp_path / "run"
    for count in range(2, 40):
        try:
            run(path, resume=path.exists(), callbacks=[die_at(Updated, 1 + count % 3)])
            break
        except Kill:
            continue
    equal(path, whole)


@pytest.mark.parametrize(
    "options",
    [{"optimizer": "adamw", "schedule": "onecycle", "ema": 0.0}, {"patience": 2, "keep": "last"}],
    ids=str,
)
def test_other_settings_resume_as_well(tmp_path, options):
    run(tmp_path / "one", **options)
    with pytest.raises(Kill):
        run(tmp_path / "two", callbacks=[die_at(Updated, 9)], **options)
    run(tmp_path / "two", resume=True, **options)
    equal(tmp_path / "two", (tmp_path / "one", None))


def test_a_finished_run_has_nothing_left_to_do(whole):
    path, arrays = whole
    before = {p.name: p.read_bytes() for p in path.iterdir() if p.name != folder.REPORT}
    history, again = run(path, resume=True)
    assert len(history) == 6 and all((again[name] == arrays[name]).all() for name in arrays)
    assert before == {p.name: p.read_bytes() for p in path.iterdir() if p.name != folder.REPORT}


def test_more_epochs_go_on_from_the_end(tmp_path):
    run(tmp_path / "one", epochs=6)
    run(tmp_path / "two", epochs=3)
    run(tmp_path / "two", epochs=6, resume=True)
    equal(tmp_path / "two", (tmp_path / "one", None))  # plateau does not depend on the number of epochs


# ---------------------------------------------------------------- kill -9, Ctrl-C
def child(out, *words, **more):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(TESTS), *sys.path]))
    command = [sys.executable, "-m", "train.runner", str(out), *words]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def checkpoint_updates(path):
    state = path / folder.STATE
    return json.loads(safetensors.load(state)[1]["striate"])["updates"] if state.exists() else -1


@pytest.mark.parametrize("moment", ["anywhere", "while writing"])
def test_kill_9_at_random_moments(whole, tmp_path, moment):
    """After every kill the checkpoint can be read and is not older than before; the end is the same to the bit."""
    path, chance = tmp_path / "run", random.Random(moment)
    reached, kills = -1, 0
    for _ in range(KILLS):
        words = ["--resume"] if (path / folder.CONFIG).exists() else []
        if moment == "while writing":
            words.append(f"die_at={chance.randrange(1, 20)}")
        process = child(path, *words)
        if moment == "anywhere":
            process.stdout.readline()  # it has begun
            time.sleep(chance.random() * 0.06)
            process.kill()
        _, said = process.communicate(timeout=60)
        assert "Error" not in said, said
        if path.exists():
            assert checkpoint_updates(path) >= reached
            reached = checkpoint_updates(path)
            for name in RESULTS:
                assert not (path / name).exists() or safetensors.load(path / name)
            assert not (path / folder.NETWORK).exists() or json.loads((path / folder.NETWORK).read_bytes())
        if process.returncode == 0:
            break
        kills += 1
    assert kills >= KILLS // 2
    if process.returncode:
        assert child(path, "--resume").wait(60) == 0
    equal(path, whole)
    assert sorted(p.name for p in path.iterdir()) == sorted(folder.FILES)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("signum", STOPS)
def test_ctrl_c_saves_says_one_line_and_resumes(whole, tmp_path, signum):
    path = tmp_path / "run"
    process = child(path, "checkpoint_steps=0")
    for line in process.stdout:
        if line.strip() == "Updated":
            break
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert said.count("\n") == 1 and "interrupted at epoch" in said and f'model.fit(resume="{path}")' in said
    assert checkpoint_updates(path) >= 1
    run(path, resume=True)
    equal(path, whole)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="terminals do not end that way here")
def test_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_kernels_are_compiled(whole, tmp_path, monkeypatch):
    """The first update is waited for, and saved; no compiler is left after."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "code"))
    path = tmp_path / "run"
    process = child(path, "checkpoint_steps=0")
    assert process.stdout.readline() == "Started\n"
    while not list(tmp_path.glob("code/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        said.count("\n") == 1
        and "interrupted at epoch 1, batch 2" in said
        and f'model.fit(resume="{path}")' in said
    )
    run(path, resume=True)
    equal(path, whole)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_the_validation(whole, tmp_path):
    path = tmp_path / "run"

    def interrupt(event):
        if isinstance(event, Progress) and event.phase == "validate" and event.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="epoch 2, batch 8"):
        run(path, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(path, resume=True)
    equal(path, whole)


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def interrupt(event):
        if isinstance(event, Updated):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        run(tmp_path / "run", callbacks=[interrupt])
    assert not isinstance(caught.value, Interrupted)


def test_it_runs_in_a_thread(whole, tmp_path):
    worker = threading.Thread(target=run, args=[tmp_path / "run"])
    worker.start()
    worker.join()
    equal(tmp_path / "run", whole)


# ---------------------------------------------------------------- what the disk and the data do
class FullDisk:
    """Every write after the n-th fails as on a full disk."""

    def __init__(self, monkeypatch, allowed):
        self.left = allowed
        self.sync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, handle):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.sync(handle)


@pytest.mark.parametrize("allowed", [0, 1, 3, 8, 20])
def test_a_full_disk_keeps_the_last_checkpoint(whole, tmp_path, monkeypatch, allowed):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        FullDisk(patch, allowed)
        with pytest.raises(SourceError, match="No space left on device") as caught:
            run(path)
    assert not [p for p in path.iterdir() if p.name.startswith(".")]
    if (path / folder.STATE).exists():
        assert f'resume="{path}"' in caught.value.fix
    if (path / folder.CONFIG).exists():
        run(path, resume=True)
        equal(path, whole)


def test_a_file_too_large_for_the_system(tmp_path):
    """A real refusal by the kernel (file size limit), not a simulated one."""
    resource = pytest.importorskip("resource")
    process = child(
        tmp_path / "run", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "cannot be written" in said and "SourceError" in said


def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    root = os.geteuid() == 0  # writes anywhere but here
    with pytest.raises(SourceError, match="cannot be written"):
        run(Path("/proc/self/run") if root else tmp_path / "run")


@pytest.mark.parametrize("kind", ["mkdir", "touch"])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, kind):
    def refuse(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, kind, refuse)
    with pytest.raises(SourceError, match="Read-only file system") as caught:
        run(tmp_path / "run")
    assert "writable" in caught.value.fix


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(SourceError, match="give a folder"):
        run(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_data_that_goes_away(whole, tmp_path, monkeypatch):
    """The images can no longer be read in the middle of epoch 2: everything before is kept."""
    from striate.train.data import ArrayData

    images, calls = ArrayData.images, 0

    def gone(self, ids):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "images/7.png")
        return images(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(ArrayData, "images", gone)
        with pytest.raises(SourceError, match="can no longer be read") as caught:
            run(tmp_path / "run", checkpoint_steps=0)
    assert caught.value.where == "images/7.png" and "resume=" in caught.value.fix
    assert checkpoint_updates(tmp_path / "run") > 4
    run(tmp_path / "run", resume=True)
    equal(tmp_path / "run", whole)


# ---------------------------------------------------------------- mistakes
def test_a_run_is_never_overwritten(whole):
    with pytest.raises(UsageError, match="resume="):
        run(whole[0])


def test_two_processes_never_write_one_run(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Kill):
        run(path, callbacks=[die_at(Updated, 2)])
    process = child(path, "--resume", "epochs=1000")
    process.stdout.readline()
    try:
        with pytest.raises(UsageError, match="another run"):
            run(path, resume=True)
    finally:
        process.kill()
        process.communicate()
    run(path, resume=True)


def test_settings_cannot_change_within_a_run(tmp_path):
    with pytest.raises(Kill):
        run(tmp_path / "run", callbacks=[die_at(Updated, 2)])
    with pytest.raises(UsageError, match="started with batch_size = 8; now it is 9"):
        run(tmp_path / "run", resume=True, batch_size=9)


def test_resuming_what_is_no_run(tmp_path):
    with pytest.raises(SourceError, match=r"there is no config\.toml"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "other"])
def test_a_damaged_checkpoint_is_an_error_not_a_crash(tmp_path, damage):
    path = tmp_path / "run"
    with pytest.raises(Kill):
        run(path, callbacks=[die_at(Updated, 2)])
    state = path / folder.STATE
    content = state.read_bytes()
    state.write_bytes({"cut": content[:-10], "noise": os.urandom(99), "empty": b"", "other": content}[damage])
    if damage == "other":
        safetensors.save(state, {"weights/conv1.weight": np.zeros(3, np.float32)}, safetensors.load(state)[1])
    with pytest.raises(FormatError) as caught:
        run(path, resume=True)
    assert isinstance(caught.value, StriateError) and caught.value.fix


WRITTEN = (folder.STATE, folder.BEST, folder.LAST, folder.LINES, folder.TABLE, folder.REPORT)


@pytest.mark.parametrize(
    "gone", [c for n in (1, 2) for c in itertools.combinations(WRITTEN, n)], ids=" ".join
)
@pytest.mark.parametrize("moment", [None, 9], ids=["finished", "interrupted"])
def test_a_run_is_complete_or_refused(whole, stopped, tmp_path, gone, moment):
    """Whatever is missing: the run ends as if nothing were, or nothing of it is touched."""
    path = tmp_path / "run"
    shutil.copytree(whole[0] if moment is None else stopped, path)
    for name in gone:
        (path / name).unlink(missing_ok=True)
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    if {folder.STATE, folder.BEST, folder.LAST} & set(gone):
        with pytest.raises(SourceError, match="is incomplete"):
            run(path, resume=True)
        assert {p.name: p.read_bytes() for p in path.iterdir()} == before
    else:
        run(path, resume=True)
        equal(path, whole)
        assert sorted(p.name for p in path.iterdir()) == sorted(folder.FILES)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    path = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(Kill):
        run(path, callbacks=[die_at(Updated, 9)])
    return path


def test_weights_of_another_epoch_are_refused(tmp_path):
    """Its files say that epoch 1 is the best, and the weights are those of another epoch."""
    path = tmp_path / "run"
    run(path)
    arrays, metadata = safetensors.load(path / folder.BEST)
    safetensors.save(path / folder.BEST, arrays, {**metadata, "epoch": str(int(metadata["epoch"]) + 1)})
    with pytest.raises(FormatError, match="belong together"):
        run(path, resume=True)
    safetensors.save(path / folder.BEST, {"conv1.weight": np.zeros(3, np.float32)}, metadata)
    with pytest.raises(FormatError, match="do not match"):
        run(path, resume=True)


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Kill):
        run(path, callbacks=[die_at(Updated, 2)])
    (path / ".state.safetensors.ab12_xyz").write_bytes(b"half")
    (path / ".mine").write_text("kept")
    run(path, resume=True)
    assert not (path / ".state.safetensors.ab12_xyz").exists() and (path / ".mine").exists()


def test_the_settings_of_these_tests_reach_into_every_corner():
    """Momentum, a moving average, a schedule with memory, accumulation, mixing: all must survive a kill."""
    assert {"ema", "mixup", "accumulate", "schedule"} <= SETTINGS.keys()
