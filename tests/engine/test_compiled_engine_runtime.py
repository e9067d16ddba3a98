"""Programs as guests of a process: threads, forks, memory, signals, and the processor's own state."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import striate
from engine.compiled import FAST, drawn, images, made, wanted
from engine.kernels.support import targets
from striate.diagnostics import EngineError, LimitError
from striate.engine import registry, target
from striate.engine.registry import get_engine

pytestmark = pytest.mark.skipif(not targets(), reason="no kernels run on this processor")

TESTS = Path(__file__).parents[1]
TEXTS = (
    "20x20x3 -> conv 5 8 -> relu -> maxpool 2 -> conv 3 33 -> relu -> flatten -> fc 10",
    "17x17x17 -> conv 3 64 pad 1 -> relu -> conv 3 64 pad 1 -> gap -> flatten -> fc 4",
    "16x16x3 -> dwconv 3 pad 1 -> silu -> conv 1 24 -> gn 4 -> softmax",
)
SMALL = "12x12x3 -> conv 3 8 -> relu -> flatten -> fc 4"


class Case:
    """A network, its weights, and what it gives for some batches, computed apart."""

    def __init__(self, text: str, sizes=(1, 2, 5)) -> None:
        self.net = striate.parse(text)
        self.weights = drawn(self.net)
        self.batches = [images(self.net, size, seed=size) for size in sizes]
        self.wanted = [wanted(self.net, self.weights, x)[self.net.outputs[0]][0] for x in self.batches]

    def program(self, threads: int = 2):
        return made(self.net, self.weights, threads)

    def check(self, program, k: int) -> None:
        found = program(self.batches[k])
        np.testing.assert_allclose(found, self.wanted[k], rtol=0, atol=FAST * np.abs(self.wanted[k]).max())


def child(text: str, *, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that can import these tests."""
    return subprocess.run(
        [sys.executable, "-c", text], env=environment(**env), capture_output=True, text=True, timeout=timeout
    )


def environment(**env: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)]), **env}


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("shared", [True, False], ids=["one program", "programs of their own"])
def test_eight_threads_at_once(shared):
    """Programs run one after another or side by side; none sees another's numbers."""
    cases = [Case(text) for text in TEXTS]
    programs = [case.program() for case in cases]
    ready = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            rng = np.random.default_rng(index)
            own = programs if shared else [case.program() for case in cases]
            ready.wait(60)
            for _ in range(60):
                which, size = rng.integers(len(cases)), rng.integers(3)
                cases[which].check(own[which], size)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not any(worker.is_alive() for worker in workers)
    assert not failures, failures[0]


def test_a_program_is_dropped_while_another_runs():
    case, other = Case(TEXTS[1]), Case(TEXTS[0])
    program, ends = case.program(), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not ends.is_set():
                case.check(program, 2)
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    for k in range(6):
        dropped = other.program()
        other.check(dropped, k % 3)
        del dropped
        gc.collect()
    ends.set()
    worker.join(60)
    assert not worker.is_alive() and not failures, failures


def test_programs_of_more_threads_than_processors():
    case = Case(TEXTS[0])
    for threads in (1, 3, 7):
        program = case.program(threads)
        for k in range(3):
            case.check(program, k)


# ---------------------------------------------------------------- processes


def _forked() -> None:
    """A child of a process whose workers have run, twice over, gives what the parent gives."""
    case = Case(TEXTS[0])
    program = case.program()
    case.check(program, 2)
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for k in (2, 0, 1):
                    case.check(program, k)
                names = [thread.name for thread in threading.enumerate()]
                assert any(name.startswith("striate-") for name in names), names
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        case.check(program, 1)


def _forked_while_running() -> None:
    """A fork in the middle of other threads' runs leaves no lock after that a child waits for."""
    case = Case(TEXTS[1])
    program, ends = case.program(), threading.Event()

    def work() -> None:
        while not ends.is_set():
            program(case.batches[2])

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(6):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    signal.alarm(30)
                    for k in range(3):
                        case.check(program, k)
                    case.check(case.program(), 2)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        ends.set()
        for worker in workers:
            worker.join()


def _multiprocessing() -> None:
    import multiprocessing

    case = Case(TEXTS[0])
    case.check(case.program(), 0)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as workers:
            assert workers.map(_in_a_process, [0, 1, 2, 0]) == [True] * 4


def _in_a_process(k: int) -> bool:
    case = Case(TEXTS[0])
    case.check(case.program(), k)
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("what", ["_forked", "_forked_while_running", "_multiprocessing"])
def test_forks(what):
    done = child(
        f"if __name__ == '__main__':\n from engine.test_compiled_engine_runtime import {what}\n {what}()"
    )
    assert done.returncode == 0, done.stderr


def test_the_interpreter_ends_while_workers_sleep_or_watch():
    """Nothing is printed, nothing hangs, whether they went to sleep or still look for work."""
    for nap in ("0", "0.3"):
        done = child(
            "from engine.test_compiled_engine_runtime import Case, TEXTS; import time;"
            f"case = Case(TEXTS[0]); case.check(case.program(), 2); time.sleep({nap})"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _predicting() -> None:
    case = Case(TEXTS[1])
    program = case.program()
    case.check(program, 2)
    print("ready", flush=True)
    while True:
        program(case.batches[2])


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_long_run():
    """Ctrl-C at any moment: KeyboardInterrupt, as from any loop."""
    for nap in (0.0, 0.07):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from engine.test_compiled_engine_runtime import _predicting; _predicting()",
            ],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(nap)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == -signal.SIGINT, errors
        assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_program_runs_again():
    """An interrupt between the steps of a prediction leaves no lock held."""
    case = Case(TEXTS[0])
    program = case.program()
    main = threading.main_thread().ident
    assert main is not None
    interrupted = 0
    for k in range(40):
        timer = threading.Timer(0.001 + 0.0003 * k, signal.pthread_kill, (main, signal.SIGINT))
        try:
            timer.start()
            while True:
                program(case.batches[k % 3])
        except KeyboardInterrupt:
            interrupted += 1
        timer.join()
        case.check(program, k % 3)
    assert interrupted == 40


# ---------------------------------------------------------------- memory


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def _ten_thousand() -> None:
    case = Case(SMALL)
    program = case.program()
    for k in range(1500):
        program(case.batches[k % 3])
    gc.collect()
    before, held = _resident(), _held()
    for k in range(10_000):
        program(case.batches[k % 3])
    gc.collect()
    assert _held() == held
    assert _resident() - before < 1 << 20, _resident() - before


def _sizes_in_turn() -> None:
    """Only a few sizes stay ready; what they took is given back."""
    case = Case(TEXTS[1])
    program = case.program()
    batches = {size: images(case.net, size) for size in (0, 1, 2, 64, 65, 7, 33)}

    def turn() -> None:
        for x in batches.values():
            assert len(program(x)) == len(x)

    for _ in range(3):
        turn()
    gc.collect()
    before, held = _resident(), _held()
    for _ in range(15):
        turn()
    gc.collect()
    assert _held() == held
    assert _resident() - before < 4 << 20, _resident() - before


def _programs_in_turn() -> None:
    """A program that is dropped gives back its memory, weights and all, and leaves no thread after."""
    case = Case("16x16x64 -> conv 3 256 pad 1 -> relu -> conv 3 256 pad 1 -> gap -> flatten -> fc 100", (1,))

    def turn() -> None:
        case.check(case.program(), 0)

    for _ in range(4):
        turn()
    gc.collect()
    before, held = _resident(), _held()
    for _ in range(25):  # each holds some 4 MB
        turn()
    gc.collect()
    assert _held() == held
    assert _resident() - before < 8 << 20, _resident() - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("what", ["_ten_thousand", "_sizes_in_turn", "_programs_in_turn"])
def test_nothing_grows(what):
    done = child(f"from engine.test_compiled_engine_runtime import {what}; {what}()")
    assert done.returncode == 0, done.stderr


def _beyond_memory() -> None:
    """With 3 GB of addresses, a batch whose values take more is refused, and the next small one runs."""
    import resource

    net = striate.parse("64x64x3 -> conv 3 512 pad 1 -> relu -> conv 3 512 pad 1 -> gap")
    weights = drawn(net)
    program = made(net, weights)
    x = images(net, 1)
    first = program(x)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    try:
        program(np.zeros((2000, 3, 64, 64), np.float32))
    except LimitError as error:
        assert error.fix and "batch" in str(error), error
    else:
        raise AssertionError("16 GB in 3")
    np.testing.assert_array_equal(program(x), first)


def test_a_batch_that_does_not_fit():
    """The house's error with a fix, not a kill."""
    done = child("from engine.test_compiled_engine_runtime import _beyond_memory; _beyond_memory()")
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- the processor's state


def test_denormals_survive_a_run():
    """Kernels flush denormals; numpy in the same thread, before and after, keeps them."""
    case = Case(TEXTS[0])
    program = case.program()
    tiny = np.full(64, 1e-40, np.float32)
    for k in range(3):
        case.check(program, k)
        np.testing.assert_array_equal(tiny * np.float32(0.5), np.full(64, 5e-41, np.float32))
        assert float(tiny[0]) * 1e-280 != 0 and np.float64(5e-324) / 1 != 0


def test_kernels_flush_denormals():
    """What decays to nothing costs nothing: sums of denormals are 0, on every thread."""
    net = striate.parse("20x20x16 -> conv 3 32")
    program = made(net, {name: a * np.float32(1e-39) for name, a in drawn(net).items()}, threads=2)
    assert not program(images(net, 4)).any()


def test_the_rounding_of_the_caller_is_kept():
    """A run under another rounding mode gives what it gives else, and leaves the mode alone."""
    import ctypes

    libm = ctypes.CDLL("libm.so.6")
    up = {"x86_64": 0x800, "aarch64": 0x400000}.get(os.uname().machine)
    if up is None:
        pytest.skip("rounding modes are not known here")
    case = Case(TEXTS[0])
    program = case.program()
    assert libm.fesetround(up) == 0
    try:
        program(case.batches[1])
        assert libm.fegetround() == up
    finally:
        libm.fesetround(0)
    case.check(program, 1)


# ---------------------------------------------------------------- without kernels


@pytest.fixture
def no_target(monkeypatch):
    monkeypatch.setattr(target, "host", lambda: None)
    registry._say_once.cache_clear()
    yield
    registry._say_once.cache_clear()


def test_auto_falls_back_and_says_so_once(no_target, capfd):
    case = Case(SMALL)
    for _ in range(3):
        engine = get_engine("auto")
        case.check(engine.compile(case.net, case.weights), 1)
        assert engine.name == "numpy"
    said = capfd.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and "numpy engine" in said.err


def test_compiled_says_what_to_do(no_target):
    with pytest.raises(EngineError) as raised:
        get_engine("compiled")
    assert raised.value.fix and "numpy" in raised.value.fix


def test_another_system_is_not_called_another_processor(monkeypatch, capfd):
    """A Mac has the processor, and not the system."""
    monkeypatch.setattr(target.sys, "platform", "darwin")
    monkeypatch.setattr(target.platform, "system", lambda: "Darwin")
    for kept in (target.host, registry._say_once):
        kept.cache_clear()
    try:
        assert get_engine("auto").name == "numpy"
        with pytest.raises(EngineError) as raised:
            get_engine("compiled")
    finally:
        for kept in (target.host, registry._say_once):
            kept.cache_clear()
    said = capfd.readouterr().err
    assert "kernels run on Linux, and this is Darwin" in said and "processor" not in said
    assert "this is Darwin" in raised.value.why and "processor" not in raised.value.what


def test_numpy_says_nothing(no_target, capfd):
    get_engine("numpy")
    assert capfd.readouterr() == ("", "")


def test_a_target_that_does_not_run_here():
    """STRIATE_TARGET of another processor: one line, and the numpy engine."""
    done = child(
        "from striate.engine.registry import get_engine as get; assert get('auto').name == 'numpy'; get('auto')",
        STRIATE_TARGET="neon" if targets()[-1].name != "neon" else "sse",
    )
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1, done.stderr


def test_workers_are_shared_by_all_programs():
    """However many programs: the first one's workers do."""
    case = Case(SMALL)
    first = case.program(2)
    case.check(first, 0)
    before = threading.active_count()
    programs = [case.program(2) for _ in range(5)]
    for program in programs:
        case.check(program, 0)
    assert threading.active_count() == before
