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
"""How long a process waits for the others before it gives up."""


_GROUPS = itertools.count()
"""Groups of this process so far: each meets under a name of its own, and finds nothing that an older one has left.
Those of processes that were started again differ by `restart_count`."""


class Processes(ProcessGroup):
    """The members of the process group."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        with talking():
            self._numbers = dist.new_group(backend="gloo", timeout=PROCESS_TIMEOUT)
            # Between GPUs one communicator only: two may wait for each other.
            self.norms = dist.new_group(timeout=PROCESS_TIMEOUT) if dist.get_backend() == "gloo" else None

    def sum(self, values: Array) -> Array:
        held = torch.from_numpy(np.array(values, np.float64))
        with talking():
            dist.all_reduce(held, group=self._numbers)
        made: Array = held.numpy()
        return made

    def wait(self) -> None:
        self.sum(np.zeros(1))


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[ProcessGroup]:
    """This process and the others while the context lasts; a group that is there already is used, and left alone."""
    own = not dist.is_initialized()
    if own and launch_environment()[1] == 1:
        yield SINGLE_PROCESS
        return
    if own:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            with talking():
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
        if own:
            with contextlib.suppress(RuntimeError):  # the others may be gone
                dist.destroy_process_group()


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """Turns the errors of a broken process group into one that says what to do."""
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
"""Words of the errors that speak of the other processes, and not of this one's arithmetic."""
