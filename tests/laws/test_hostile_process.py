"""Files that mean harm, named on the command line of one fresh process: its time and its memory, not only its words."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cli.run import environment
from formats.test_pth import HOSTILE, Evil
from keras_files import archive, layer, sequential

MEGABYTES, SECONDS = 700, 60
"""Of the process for all files together; importing the packages takes a fifth of either."""

CODE = """
import contextlib, io, json, sys, time
from striate.cli import main
told = {}
for words in json.load(open("commands.json")):
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    told[" ".join(words)] = [code, out.getvalue(), err.getvalue(), time.process_time() - start]
rss = next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
json.dump({"told": told, "rss": rss, "seconds": time.process_time()}, open("told.json", "w"))
"""


def huge(path, side):
    """A small graph whose input claims any size: a convolution, a pool, a constant of that size, an end."""
    import onnx
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], name="conv"),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("Shape", ["b"], ["s"]),
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Resize", ["d", "", "", "t"], ["e"], mode="linear"),
        helper.make_node("GlobalAveragePool", ["e"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "huge", [helper.make_tensor_value_info("x", 1, [1, 3, side, side])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w"),
         numpy_helper.from_array(np.array([1, 4, 7 * side, 5 * side]), "t")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return graph


def circle(path):
    import onnx
    from onnx import helper

    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    values = [helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in "xb"]
    graph = helper.make_graph(nodes, "circle", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def bomb(path, name):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        if name != "config.json":
            file.writestr("config.json", json.dumps(sequential(layer("Flatten", "flat"))))
        with file.open(name, "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(2**20))


@pytest.mark.onnx
@pytest.mark.keras
def test_bounded_time_and_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    huge("huge.onnx", 10**11)
    whole = Path("huge.onnx").read_bytes()
    Path("half.onnx").write_bytes(whole[: len(whole) // 2])
    Path("zeros.onnx").write_bytes(bytes(10**6))
    circle("circle.onnx")
    for at, (content, _) in enumerate(HOSTILE.values()):
        Path(f"{at}.pth").write_bytes(content)
    Path("evil.pt").write_bytes(pickle.dumps({"w": Evil()}, 4))
    for name in ("model.weights.h5", "config.json", "other.bin"):
        bomb(f"bomb-{name}.keras", name)
    archive("far.keras", sequential(layer("Conv2D", "conv", filters=10**9, kernel_size=[10**6, 10**6])))
    Path("long.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    Path("claims.safetensors").write_bytes(
        (header := b'{"w":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}')
        and struct.pack("<Q", len(header)) + header
    )
    Path("deep.toml").write_text("a = " + "[" * 100_000)
    Path("claims.toml").write_text('[network]\nname = "n"\ninput = "999999999999x999999999999x3"\n')
    commands = [
        ["check", "huge.onnx"],
        ["show", "huge.onnx"],
        ["sizes", "huge.onnx"],
        ["show", "huge.onnx", "--input", "64x64x3"],
    ]
    for name in sorted(os.listdir()):
        if name != "huge.onnx":
            commands += [["check", name], ["convert", name, f"out.{name}.toml"]]
        if name.endswith((".pth", ".pt", ".safetensors")):
            commands += [["convert", name, "out.pth"], ["convert", "lenet5", "out.pth", "--weights", name]]
    Path("commands.json").write_text(json.dumps(commands))
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(Path("told.json").read_text())
    for words, (code, out, said, seconds) in found["told"].items():
        assert code == 2 or "huge" in words or "other.bin" in words or "far.keras" in words, (
            words,
            code,
            said,
        )
        assert "I000" not in said and "Traceback" not in said and "executed" not in out, (words, said)
        assert seconds < 10, words
    assert found["told"]["check huge.onnx"][0] in (0, 1) and found["told"]["show huge.onnx"][0] == 0
    assert found["rss"] < MEGABYTES and found["seconds"] < SECONDS
    assert not Path("out.pth").exists()
