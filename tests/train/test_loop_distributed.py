"""Two processes learn what one does: same batches, same weights up to the order of summation, one writer; and a lost
process costs no more than the time since the last checkpoint.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from striate.diagnostics import UsageError
from striate.engine.process_group import ProcessGroup, launch_environment
from striate.engine.registry import get_engine
from striate.train import run as folder
from train import together

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(*arguments, cwd):
    """torchrun with two processes, a session of its own so that no signal of ours goes astray."""
    environment = os.environ | {"PYTHONPATH": f"{SOURCE}:{TESTS}"}
    for name in ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, *arguments], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def finish(process, seconds=300):
    """Exit code, standard output and standard error; nothing is left after."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            process.terminate()  # torchrun ends its processes
            process.wait(60)
    return process.returncode, out, err


# ---------------------------------------------------------------- the same as one process
@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    code, _, err = finish(start("-m", "train.together", str(out), cwd=out))
    assert code == 0, err
    return out


SAME = [run for run in together.RUNS if run != "nan"]


@pytest.mark.torch
@pytest.mark.parametrize("run", SAME)
def test_two_processes_learn_what_one_does(two, run):
    """Batches that do not divide, none at all for the second process, mixing, accumulation, corrupt images; batch norm
    over all images, and the noise that one process draws."""
    history, arrays = together.train(run)
    first, second = (dict(np.load(two / f"{run}.{rank}.npz")) for rank in range(2))
    rows = [history.column("train_loss"), history.column("validation_accuracy")]
    np.testing.assert_allclose(first["rows"], rows, rtol=1e-5)
    for name, array in arrays.items():
        np.testing.assert_allclose(first[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
        assert second[name].tobytes() == first[name].tobytes()


@pytest.mark.torch
def test_only_one_process_writes_and_it_counts_all_images(two):
    rows = [json.loads(line) for line in (two / "uneven" / folder.LINES).open()]
    assert [row["epoch"] for row in rows] == [1, 2]
    record = json.loads((two / "corrupt" / folder.REPORT).read_text())
    (note,) = record["data"]["notes"]
    assert note.startswith("2 of 61 images could not be read")


@pytest.mark.torch
def test_the_process_that_met_a_nan_says_where_and_the_other_stops_too(two):
    said = sorted((two / f"nan.{rank}.txt").read_text() for rank in range(2))
    assert "image 60 contains NaN" in said[0]
    assert said[1].startswith("TrainingError: I010: the loss is not a finite number in another process")


# ---------------------------------------------------------------- torchrun, killed and stopped
NET = "8x8x1 -> conv 3x3 8 pad same -> relu -> maxpool 2 -> flatten -> fc 10"
TRAIN = ["-m", "striate", "train", "--data", "digits", "--model", NET, "--batch-size", "32", "--lr", "0.01"]


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def epochs(run):
    with contextlib.suppress(OSError):
        return len((run / folder.LINES).read_text().splitlines())
    return 0


def workers(process):
    """Process numbers of the workers by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "environ").read_bytes().split(b"\0")
            for word in words:
                if parent == process.pid and word.startswith(b"RANK="):
                    found[int(word[5:])] = int(path.name)
    return found


@pytest.mark.torch("sklearn")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the workers in /proc")
def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    """SIGKILL in the middle: torchrun starts both again, they go on from the checkpoint, and learn as well as one.

    What the other process says first depends on whether torchrun ends it before it notices, so that is not asked here.
    """
    import striate
    from striate.model import Model
    from striate.train.data import open_data
    from striate.train.loop import fit
    from striate.train.settings import Settings

    run = tmp_path / "run"
    process = start(
        "--max-restarts", "1", *TRAIN, "--epochs", "10", "--out", str(run), "--engine", "torch", cwd=tmp_path
    )
    wait_for(lambda: epochs(run) >= 2, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    code, out, err = finish(process)
    assert code == 0, err
    assert out.count("continuing in epoch") == 1 and out.count("the result is in") == 1
    rows = [json.loads(line) for line in (run / folder.LINES).open()]
    assert [row["epoch"] for row in rows] == list(range(1, 11))

    parts = open_data("digits", seed=0)
    net = striate.parse(NET)
    alone = fit(net, dict(Model(net).weights), parts.train, parts.validation,
                Settings(epochs=10, batch_size=32, lr=0.01), engine="torch")  # fmt: skip
    assert rows[-1]["updates"] == alone.last["updates"]
    assert rows[-1]["train_loss"] == pytest.approx(alone.last["train_loss"], rel=0.02)
    assert rows[-1]["validation_accuracy"] == pytest.approx(alone.last["validation_accuracy"], abs=0.02)
    assert alone.last["validation_accuracy"] > 0.9


@pytest.mark.torch("sklearn")
def test_a_process_says_that_the_other_is_gone(tmp_path):
    """Without torchrun, so that nothing but the lost connection can end the process that is left."""
    run = tmp_path / "run"
    arguments = [sys.executable, *TRAIN, "--epochs", "500", "--out", str(run), "--engine", "torch"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "PYTHONPATH": f"{SOURCE}:{TESTS}",
    }
    with contextlib.ExitStack() as started:
        first, second = (
            started.enter_context(subprocess.Popen(
                arguments, cwd=tmp_path, env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            ))
            for rank in range(2)
        )  # fmt: skip
        started.callback(first.kill)
        started.callback(second.kill)
        wait_for(lambda: epochs(run) >= 1, first)
        second.kill()
        code, _, err = finish(first)
    assert code != 0
    assert "another process of this run is gone" in err and f"striate train --resume {run}" in err


@pytest.mark.torch("sklearn")
def test_a_stopped_run_is_saved_and_goes_on_in_one_process(tmp_path):
    """The polite kill reaches torchrun, which hands it on; both stop after the same update."""
    from cli.run import run as command

    run = tmp_path / "run"
    process = start(*TRAIN, "--epochs", "500", "--out", str(run), cwd=tmp_path)
    wait_for(lambda: epochs(run) >= 1, process)
    process.terminate()
    code, _, err = finish(process)
    assert code != 0 and err.count("saved, continue with: striate train --resume") == 1, err
    done = epochs(run)
    going = command("train", "--resume", str(run), "--epochs", str(done + 1), "--engine", "numpy", "--json")
    assert going.code == 0, going.err
    assert "continuing in epoch" in going.err and len(json.loads(going.out)["epochs"]) == done + 1


# ---------------------------------------------------------------- mistakes, and the arithmetic of sharing
def test_shares_are_in_order_and_differ_by_one_at_most():
    for size in range(1, 6):
        for count in range(12):
            process_group, parts = ProcessGroup(), []
            for rank in range(size):
                process_group.rank, process_group.size = rank, size
                parts.append(list(range(count))[process_group.share(count)])
            assert [*itertools.chain(*parts)] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_environment_without_meaning(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="process 2 of 2"):
        launch_environment()


def test_numpy_trains_in_one_process(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun has started 2"):
        together.train("uneven", engine="numpy")


@pytest.mark.torch
def test_processes_that_cannot_find_each_other(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert get_engine().name == "torch"  # what auto means there
    with pytest.raises(UsageError, match="MASTER_ADDR"):
        together.train("uneven", engine="auto")
