"""Generators of inputs, a fixed number of seeds of each, and the tool that runs them for minutes."""

import ast
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATORS = ROOT / "tests" / "generators"
KINDS = sorted(path.stem for path in GENERATORS.glob("[!_]*.py"))
SEEDS = 2
"""Of each kind, to see that it runs; the tests of what a generator tries run more of it."""
SEEDED = {"Random", "default_rng", "RandomState", "Generator", "SeedSequence", "manual_seed"}
CLOCKS = {"time", "datetime", "secrets", "uuid"}


def module(kind):
    loaded = importlib.import_module(f"generators.{kind}")
    for name in getattr(loaded, "NEEDS", ()):
        pytest.importorskip(name)
    return loaded


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_finds_nothing(kind):
    trial = module(kind).trial
    assert [trial(seed) for seed in range(SEEDS)] == [None] * SEEDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_is_determined_by_its_seed(kind):
    assert not chances((GENERATORS / f"{kind}.py").read_text("utf-8"))
    if describe := getattr(module(kind), "describe", None):
        code = f"from generators import {kind}; print(repr({kind}.describe(3)), end='')"
        there = {**os.environ, "PYTHONPATH": str(GENERATORS.parent), "PYTHONHASHSEED": "7"}
        other = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True)
        assert other.stdout == repr(describe(3)), other.stderr


def chances(text):
    """What in a source depends on more than a seed: clocks, random numbers of the system or of a shared generator."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [name for name in names if name.partition(".")[0] in CLOCKS]
            if isinstance(node, ast.ImportFrom) and node.module == "random":
                found += [alias.name for alias in node.names if alias.name != "Random"]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, _, last = name.rpartition(".")
            if last in SEEDED:
                found += [name] * (not node.args and not node.keywords)
            elif owner in ("random", "np.random", "numpy.random") or name in ("os.urandom", "hash", "id"):
                found.append(name)
    return found


def test_a_scan_sees_chance():
    assert chances("import time\nimport random\nrandom.random()\nnp.random.default_rng()\nhash('a')") == [
        "time", "random.random", "np.random.default_rng", "hash"
    ]  # fmt: skip
    assert not chances("rng = np.random.default_rng(seed)\nrng.random()\nrandom.Random(seed)")


# ---------------------------------------------------------------- the tool
WRONG = {
    "right": "def trial(seed): return None",
    "wrong": "def trial(seed): return f'odd seeds\\nare wrong' if seed % 2 else None",
    "raises": "def trial(seed):\n    if seed == 1: raise ValueError('no\\nmore')",
    "crashes": "import os, signal\ndef trial(seed):\n    if seed == 1: os.kill(os.getpid(), signal.SIGSEGV)",
    "leaves": "import os\ndef trial(seed):\n    if seed == 1: os._exit(0)",
    "hangs": "def trial(seed):\n    while seed == 1: pass",
    "lacks": "NEEDS = ('no_such_package_here',)\ndef trial(seed): import no_such_package_here",
}


@pytest.fixture
def soak(tmp_path):
    """Run bench/soak.py on generators given as text."""
    folder = tmp_path / "made_generators"
    folder.mkdir()

    def go(*words, more=(), **kinds):
        for name, text in {"__init__": "", **kinds}.items():
            (folder / f"{name}.py").write_text(text)
        state = tmp_path / "state.json"
        command = [
            sys.executable,
            str(ROOT / "bench" / "soak.py"),
            f"--generators={folder}",
            f"--state={state}",
        ]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120)
        go.command, go.state = command, state
        return done

    return go


def test_a_soak_reports_what_is_wrong_and_goes_on(soak):
    words = ("--minutes=0.05", "--processes=2", "--limit=3")
    done = soak(*words, **WRONG)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    for finding in (
        "wrong 1: odd seeds are wrong",
        "raises 1: ValueError: no more (raises.py:2)",
        "leaves 1: the process ended: 0",
        "hangs 1: no end within 3 s",
    ):
        assert finding in lines
        kind, seed = finding.split()[0], finding.split()[1].rstrip(":")
        assert f"  python bench/soak.py --kind {kind} --seed {seed}" in lines
    (crash,) = (line for line in lines if line.startswith("crashes 1: "))
    assert "SIGSEGV in File" in crash and "crashes.py" in crash
    assert "left out: lacks, not installed: no_such_package_here" in done.stderr
    first = json.loads(soak.state.read_text())
    assert first["kinds"]["right"]["trials"] >= 2 and first["kinds"]["right"]["findings"] == 0
    assert not any(each["open"] for each in first["kinds"].values())
    again = soak(*words, "--kind=right")
    second = json.loads(soak.state.read_text())
    assert again.returncode == 1 and "wrong 1: odd seeds are wrong" in again.stdout  # still found
    assert second["kinds"]["right"]["next"] > first["kinds"]["right"]["next"]
    assert second["seconds"] > first["seconds"]
    # On other source what was found is tried again first, and counted anew.
    soak.state.write_text(json.dumps(second | {"source": "another"}))
    mended = dict.fromkeys((kind for kind in WRONG if kind != "lacks"), WRONG["right"])
    done = soak(*words[:2], "--limit=60", **mended)  # on a busy machine a right one may take seconds
    third = json.loads(soak.state.read_text())
    assert done.returncode == 0 and third["findings"] == []
    assert (
        third["kinds"]["raises"]["next"]
        <= first["kinds"]["raises"]["next"] + third["kinds"]["raises"]["trials"]
    )


def test_one_trial_again(soak):
    assert soak("--kind=wrong", "--seed=2", **WRONG).stdout == "wrong 2: right\n"
    done = soak("--kind=wrong", "--seed=3")
    assert (done.returncode, done.stdout) == (1, "wrong 3: odd seeds are wrong\n")
    assert soak("--kind=none").returncode == 2 and soak("--seed=1").returncode == 2


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of a terminal")
def test_a_soak_is_stopped_tidily(soak, interruptible):
    """A seed that was under way is tried again by the next run."""
    soak("--kind=slow", "--minutes=0", slow="import time\ndef trial(seed): time.sleep(0.05)")
    child = subprocess.Popen(
        [*soak.command, "--kind=slow", "--processes=2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for _ in range(600):
        if json.loads(soak.state.read_text())["kinds"]["slow"]["trials"]:
            break
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0 and err == "stopped; the same command goes on\n" and "slow" in out
    counts = json.loads(soak.state.read_text())["kinds"]["slow"]
    assert counts["trials"] + len(counts["open"]) == counts["next"]
