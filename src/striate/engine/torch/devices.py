"""Devices of the torch engine: a processor or an accelerator by name, and errors that list the available ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from striate.diagnostics import EngineError, LimitError, StriateError, UnknownNameError, setting, suggest
from striate.engine.threads import available

KINDS = ("cpu", "cuda", "mps")


def device(name: str = "") -> torch.device:
    """The device of a name: cpu, cuda, cuda:1, mps; empty: the first GPU, else the processor.

    Under torchrun a GPU without a number is this process's own. Raises UnknownNameError, and EngineError with what
    there is.
    """
    kind, _, number = (name or ("cuda" if torch.cuda.is_available() else "cpu")).partition(":")
    if kind not in KINDS or not (number.isdecimal() or number == "") or (number and kind != "cuda"):
        near = suggest(kind, KINDS)
        raise UnknownNameError(
            f"no device {name!r}",
            why=f"known: {', '.join(KINDS)}; a GPU by its number: cuda:1",
            fix=f"write {near!r}" if near else "leave it out: the first GPU, else the processor",
        )
    if kind != "cuda":
        if kind == "mps" and not torch.backends.mps.is_available():
            raise _missing(name, "this machine or this PyTorch has no Metal")
        return torch.device(kind)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        built = torch.version.cuda or torch.version.hip
        raise _missing(
            name, "PyTorch finds no GPU" if built else "this PyTorch was built for processors only"
        )
    index = int(number or os.environ.get("LOCAL_RANK", "0"))
    if index >= count:
        raise _missing(f"cuda:{index}", f"there are {count} GPUs, numbered from 0")
    return torch.device("cuda", index)


def present() -> tuple[str, ...]:
    """The devices of this machine."""
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return ("cpu", *(f"cuda:{k}" for k in gpus), *(["mps"] if torch.backends.mps.is_available() else []))


def threads() -> int:
    """Threads of this process: what OMP_NUM_THREADS says, else its part of the processors that it may use.

    torchrun sets OMP_NUM_THREADS=1 if it is unset, so that a 1 says nothing there.
    """
    omp_threads, local = os.environ.get("OMP_NUM_THREADS", ""), os.environ.get("LOCAL_WORLD_SIZE", "1")
    together = int(local) if local.isdecimal() and int(local) else 1
    if omp_threads.isdecimal() and int(omp_threads) and not (omp_threads == "1" and together > 1):
        return int(omp_threads)
    return max(available() // together, 1)


def to_device(x: Any, device: torch.device) -> Any:
    """Move a module or a batch to the device, channels last in memory: convolutions are then faster (by half on a
    processor), except on Metal.
    """
    tensors = x.parameters() if isinstance(x, torch.nn.Module) else (x,)
    ranks = {tensor.ndim for tensor in tensors}
    if device.type == "mps" or 5 in ranks or 4 not in ranks:  # of volumes, torch has another layout
        return x.to(device)
    return x.to(device, memory_format=torch.channels_last)


@contextlib.contextmanager
def memory(images: int) -> Iterator[None]:
    """Turns torch's out-of-memory errors into one that says what to do; `images`: in the batch."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise LimitError(
            f"a batch of {images} does not fit into the device's memory",
            why=str(error).partition(". ")[0],
            fix=f"a smaller {setting('batch_size')} (with {setting('accumulate')} for the same update), "
            f"or {setting('amp', True)}",
        ) from None


def _missing(name: str, why: str) -> StriateError:
    return EngineError(
        f"device {name} is not there",
        why=f"{why}; this machine has {', '.join(present())}",
        fix=setting("device", present()[-1]),
    )
