"""What doctor reads of the machine, on written-down machines."""

from pathlib import Path

import pytest

from striate.engine.threads import available, quota, useful
from striate.extras import install_command
from striate.views.doctor_record import cpu, doctor_record, missing_command, packages


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "max 100000"}, "0::/", None),
        ({"cpu.max": "200000 100000"}, "0::/", 2),
        ({"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 1.5),
        ({"a/cpu.max": "50000 100000", "cpu.max": "400000 100000"}, "0::/a", 0.5),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/", 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/", None),
        ({}, "0::/gone", None),
        ({"cpu.max": "what"}, "0::/", None),
    ],
)
def test_cpu_quota(tmp_path, files, own, expected):
    root = tree(tmp_path / "cgroup", files)
    root.mkdir(exist_ok=True)
    (tmp_path / "own").write_text(own + "\n")
    assert quota(root, tmp_path / "own") == expected


def test_no_control_groups(tmp_path):
    assert quota(tmp_path, tmp_path / "missing") is None


def test_cpu(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(
        "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 fma sse4_2\n\nprocessor\t: 1\n"
    )
    assert cpu(file) == {"name": "Some CPU @ 2 GHz", "features": ["sse4_2", "fma", "avx2"]}
    file.write_text("processor\t: 0\nFeatures\t: fp asimd sve\n")
    assert cpu(file)["features"] == ["asimd", "sve"]
    assert cpu(tmp_path / "missing")["features"] == []


def test_threads_are_at_least_one():
    threads = doctor_record()["threads"]
    assert 1 <= threads["useful"] <= threads["present"]
    assert threads["useful"] == available()


@pytest.mark.parametrize(
    ("processors", "share", "threads"), [(8, None, 8), (8, 2.5, 2), (8, 0.5, 1), (2, 4.0, 2), (1, 1.0, 1)]
)
def test_a_quota_cuts_threads(processors, share, threads):
    assert useful(processors, share) == threads


def test_packages_come_from_the_project_itself():
    found = {package["name"]: package for package in packages()}
    if found:  # installed, not only on the path
        assert found["click"]["version"] is not None
        assert found["click"]["extra"] is None
        assert found["torch"]["extra"] == "torch"
        assert "pytest" not in found


def test_one_command_installs_what_is_missing():
    rows = [("click", "8", None), ("torch", None, "torch"), ("onnx", "1", "onnx"), ("h5py", None, "keras")]
    record = {"packages": [{"name": n, "version": v, "extra": e} for n, v, e in rows]}
    assert missing_command(record) == install_command("keras", "torch")
    assert missing_command({"packages": record["packages"][:1]}) == ""
