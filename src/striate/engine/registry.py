"""The engines by name, and the fastest that runs here. Each is imported at its first use."""

from __future__ import annotations

import functools
import importlib.util
import sys

from striate.diagnostics import (
    EngineError,
    MissingExtraError,
    UnknownNameError,
    UsageError,
    by_reader,
    suggest,
)
from striate.engine.interface import Engine
from striate.engine.process_group import launch_environment
from striate.extras import install_command

ENGINES = ("auto", "compiled", "numpy", "torch")


def get_engine(name: str | Engine = "auto", device: str = "") -> Engine:
    """The engine of a name: "auto" is the fastest that runs here, or torch's if a device is named or torchrun has
    started several processes. device: for the torch engine, as in its `devices` module. An Engine is returned as it is.

    If kernels cannot run, "auto" reports that in one line on stderr, once, and returns the numpy engine; "compiled"
    raises EngineError. Raises UnknownNameError for another name, MissingExtraError without torch.
    """
    if isinstance(name, Engine):
        return name
    if name not in ENGINES:
        near = suggest(name, ENGINES)
        raise UnknownNameError(
            f"no engine {name!r}",
            why=f"known engines: {', '.join(ENGINES)}",
            fix=f"write {near!r}" if near else "leave it out: auto takes the fastest",
        )
    elsewhere = device not in ("", "cpu")
    if name == "torch" or (name == "auto" and (elsewhere or launch_environment()[1] > 1)):
        return _torch(device)
    if elsewhere:
        raise UsageError(
            f"the {name} engine computes on this processor only",
            why=f"device {device} was asked for",
            fix=by_reader(f'engine="torch", device="{device}"', f"--engine torch --device {device}"),
        )
    from striate.engine.numpy_.numpy_engine import NumpyEngine
    from striate.engine.target import host, why_not

    target = None if name == "numpy" else host()
    if target is not None:
        from striate.engine.compiled_engine import CompiledEngine

        return CompiledEngine(target)
    if name == "compiled":
        raise EngineError(
            "the compiled engine does not run here",
            why=f"{why_not()}; it runs on Linux, on x86-64 from SSE4.2 on and on 64-bit Arm",
            fix='engine="numpy" runs everywhere',
        )
    if name == "auto":
        _say_once(why_not())
    return NumpyEngine()


def _torch(device: str) -> Engine:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            "PyTorch is not installed", why="the torch engine runs on it", fix=install_command("torch")
        )
    from striate.engine.torch.engine import TorchEngine

    return TorchEngine(device)


@functools.cache
def _say_once(why: str) -> None:
    sys.stderr.write(f"striate: {why}; the numpy engine runs instead\n")
