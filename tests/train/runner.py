"""A training run in a process of its own, so that tests can kill it: `python -m train.runner OUT [--resume] [k=v …]`.

`die_at=n` makes the process kill itself in the n-th call that writes to the disk.
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path

from striate.train.interrupts import Interrupted
from striate.train.loop import fit
from striate.train.settings import Settings
from train.small import start, stripes

SETTINGS = {
    "epochs": 6, "batch_size": 8, "optimizer": "sgd", "lr": 0.05, "schedule": "plateau", "plateau_patience": 0,
    "ema": 0.9, "mixup": 0.2, "flip": 0.5, "accumulate": 2, "checkpoint_steps": 1,
}  # fmt: skip


def run(out, resume=False, callbacks=(), **changes):
    """Train the small network as every test of this kind does; returns history and weights."""
    net, arrays = start()
    settings = Settings(**(SETTINGS | changes))
    history = fit(
        net, arrays, stripes(), stripes(30, 1), settings, out=out, resume=resume, callbacks=callbacks
    )
    return history, arrays


def die_in_writing(last):
    """SIGKILL in the `last`-th of the calls between opening a file aside and its place in the folder."""
    calls = itertools.count(1)

    def deadly(call):
        def wrapper(*args, **kwargs):
            if next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapper

    for name in ("fsync", "chmod", "replace"):
        setattr(os, name, deadly(getattr(os, name)))


def main():
    out, *rest = sys.argv[1:]
    changes = {key: json.loads(value) for key, value in (word.split("=") for word in rest if "=" in word)}

    if "die_at" in changes:
        die_in_writing(changes.pop("die_at"))

    def hear(event):
        print(type(event).__name__, flush=True)

    try:
        run(Path(out), "--resume" in rest, [hear], **changes)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
