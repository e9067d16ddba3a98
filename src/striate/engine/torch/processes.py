"""Several processes that train one network: torch's process group, started by torchrun (or anything that says the same
in the environment: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).

Gradients go over nccl between GPUs and over gloo between processors; numbers that decide anything go over gloo.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed.rendezvous import rendezvous

from striate.diagnostics import TrainingError, UsageError
from striate.engine.process_group import SINGLE_PROCESS, ProcessGroup, launch_environment, restart_count

Array = NDArray[Any]

PROCESS_TIMEOUT = datetime.timedelta(minutes=10)
"""Maximum time that a process waits for the others."""


_GROUPS = itertools.count()
"""Numbers of the groups of this process: each has its own key prefix, so that keys of older groups do not interfere.
Restarted processes differ by `restart_count`."""


class Processes(ProcessGroup):
    """The members of the process group."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        with translate_errors():
            self._numbers = dist.new_group(backend="gloo", timeout=PROCESS_TIMEOUT)
            # Only one communicator between GPUs: two could deadlock.
            self.norms = dist.new_group(timeout=PROCESS_TIMEOUT) if dist.get_backend() == "gloo" else None

    def sum(self, values: Array) -> Array:
        totals = torch.from_numpy(np.array(values, np.float64))
        with translate_errors():
            dist.all_reduce(totals, group=self._numbers)
        result: Array = totals.numpy()
        return result

    def wait(self) -> None:
        self.sum(np.zeros(1))


@contextlib.contextmanager
def join(device: torch.device) -> Iterator[ProcessGroup]:
    """Join the process group while the context lasts; an existing group is used and not destroyed."""
    initialize = not dist.is_initialized()
    if initialize and launch_environment()[1] == 1:
        yield SINGLE_PROCESS
        return
    if initialize:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            with translate_errors():
                store, rank, size = next(rendezvous("env://", timeout=PROCESS_TIMEOUT))
                store = dist.PrefixStore(f"striate/{restart_count()}/{next(_GROUPS)}", store)
                backend = "nccl" if device.type == "cuda" else "gloo"
                dist.init_process_group(
                    backend, store=store, rank=rank, world_size=size, timeout=PROCESS_TIMEOUT
                )
        except ValueError as error:
            raise UsageError(
                "the processes cannot find each other",
                why=str(error).partition("\n")[0],
                fix="start them with torchrun, which sets MASTER_ADDR and MASTER_PORT",
            ) from None
    try:
        yield Processes() if dist.get_world_size() > 1 else SINGLE_PROCESS
    finally:
        if initialize:
            with contextlib.suppress(RuntimeError):  # the others may be gone
                dist.destroy_process_group()


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of a broken process group into a TrainingError with a fix."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not dist.is_initialized() and launch_environment()[1] == 1:
            raise
        text = re.sub(r"\[\S+:\d+\] ", "", str(error).strip().partition("\n")[0]).partition(". ")[0]
        if not any(word in str(error).lower() for word in LOST):
            raise
        raise TrainingError(
            "another process of this run is gone",
            why=text,
            fix="see what it has said; torchrun --max-restarts 3 starts all again, from the last checkpoint",
        ) from None


LOST = ("gloo", "nccl", "connection", "timed out", "timeout", "peer", "socket", "store", "broken pipe")
"""Words of errors that concern other processes rather than this one's arithmetic."""
