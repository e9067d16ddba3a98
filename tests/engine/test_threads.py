"""How many threads a process starts, and where they run."""

import os

import pytest

from striate.engine import threads


def machine(root, cores, speeds=(), name="core_cpus_list", speed="cpu_capacity"):
    """The system's folder of processors: the processors of each core, and the speed of each core."""
    for k, core in enumerate(cores):
        for number in core:
            place = root / f"cpu{number}"
            (place / "topology").mkdir(parents=True)
            (place / "topology" / name).write_text(",".join(map(str, core)) + "\n")
            if speeds:
                (place / speed).parent.mkdir(exist_ok=True)
                (place / speed).write_text(f"{speeds[k]}\n")
    return root


@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
@pytest.mark.parametrize("cores", [((0, 1), (2, 3)), ((0, 2), (1, 3))], ids=["side by side", "apart"])
def test_two_threads_get_two_cores(tmp_path, cores, name):
    found = threads.cores(range(4), machine(tmp_path, cores, name=name))
    assert found == cores
    first, second, *rest = threads.order(among=found)
    assert {first, second} == {cores[0][0], cores[1][0]} and sorted(rest) == [cores[0][1], cores[1][1]]


def test_only_allowed_processors_count(tmp_path):
    root = machine(tmp_path, ((0, 1), (2, 3), (4, 5)))
    assert threads.cores((1, 4, 5), root) == ((1,), (4, 5))
    assert threads.cores((0, 1), root) == ((0, 1),)  # one core, so one thread


@pytest.mark.parametrize("file", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
def test_fast_cores_come_first(tmp_path, file):
    cores = ((0,), (1,), (2, 3), (4, 5))
    root = machine(tmp_path, cores, (600, 600, 1024, 1024), speed=file)
    found = threads.cores(range(6), root)
    assert found == ((2, 3), (4, 5), (0,), (1,))
    assert threads.order(among=found) == [2, 4, 0, 1, 3, 5]


def test_the_first_thread_keeps_its_core(tmp_path):
    found = threads.cores(range(4), machine(tmp_path, ((0, 1), (2, 3))))
    assert threads.order(3, found) == [2, 0, 3, 1]
    assert threads.order(9, found) == threads.order(None, found) == [0, 2, 1, 3]


@pytest.mark.parametrize("text", [None, "", "\xff"])
def test_a_system_that_does_not_say(tmp_path, text):
    if text is not None:
        (tmp_path / "cpu0" / "topology").mkdir(parents=True)
        (tmp_path / "cpu0" / "topology" / "core_cpus_list").write_bytes(text.encode("latin-1"))
        (tmp_path / "cpu0" / "cpu_capacity").write_text("fast")
    assert threads.cores((0, 1), tmp_path) == ((0,), (1,))


def test_this_machine():
    assert sorted(number for core in threads.cores() for number in core) == list(threads.processors())
    assert sorted(threads.order()) == list(threads.processors())
    assert 1 <= threads.available() <= len(threads.cores()) <= len(threads.processors())
    if os.path.exists("/proc/thread-self/stat"):
        assert threads.current() in range(os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "quota", "count"), [(8, None, 8), (8, 2.5, 2), (8, 0.5, 1), (2, 16.0, 2), (1, None, 1)]
)
def test_no_more_than_the_quota(cores, quota, count):
    assert threads.useful(cores, quota) == count
