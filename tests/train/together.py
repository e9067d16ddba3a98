"""Training runs in several processes: `torchrun --nproc-per-node 2 -m train.together OUT`, or one process without it.

Every run of `RUNS` leaves its weights in OUT/<run>.<rank>.npz; runs that must fail leave what they say.
"""

import sys
from pathlib import Path

import numpy as np

from striate.diagnostics import FormatError, StriateError
from striate.engine.process_group import launch_environment
from striate.train.data import Transform
from striate.train.data.image_transforms import Normalize
from striate.train.loop import fit
from striate.train.settings import Settings
from train.small import NET, PLAIN, start, stripes

UNIT = Transform((Normalize((0.5,), (0.35,)),))
COMMON = {"epochs": 2, "batch_size": 16, "lr": 0.01}
RUNS = {
    "uneven": {"clip_norm": 1.0, "class_weights": [1.0, 2.0, 3.0]},
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "accumulate": 3, "ema": 0.9, "optimizer": "sgd"},
    "empty": {"batch_size": 1, "overfit_batches": 5},
    "corrupt": {"flip": 0.5, "erasing": 0.5},
    "norm": {"accumulate": 2},
    "norm of few": {"batch_size": 3, "overfit_batches": 4},
    "norm of one": {"batch_size": 1, "overfit_batches": 5},
    "deep": {"optimizer": "sgd", "momentum": 0.9},
    "nan": {},
}
"""Settings beside the common ones. 61 images make a last batch of 13, which two processes cannot share equally."""
NETS = {
    "norm": NET, "norm of few": NET, "norm of one": NET,
    "deep": "8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> stochasticdepth 0.3 -> conv 3x3 8 -> bn -> maxpool 4 "
            "-> flatten -> fc 8 -> bn -> relu -> dropout 0.3 -> fc 3",
}  # fmt: skip
"""Networks of those that do not learn with the plain one: with norms and noise, which have to see the whole batch."""


def data(run):
    """What the run learns from: in one the last image cannot be read, in another it holds no numbers."""
    made = stripes(61)
    if run == "nan":
        made.x[60] = np.nan
    if run == "corrupt":
        made.images = lambda ids: type(made).__mro__[1].images(made, ids)
        made.image = lambda index, read=made.image: corrupt(made, index) if index in (7, 60) else read(index)
    return made


def corrupt(made, index):
    raise FormatError("no image", where=made.name(index))


def train(run, out=None, engine="torch"):
    """History and weights."""
    net, arrays = start(NETS.get(run, PLAIN))
    settings = Settings(**(COMMON | RUNS[run]))
    made = (UNIT, UNIT) if run == "nan" else None
    history = fit(net, arrays, data(run), stripes(31, 1), settings, engine=engine, out=out, transforms=made)
    return history, arrays


def main():
    out, rank = Path(sys.argv[1]), launch_environment()[0]
    for run in RUNS:
        try:
            history, arrays = train(run, out / run)
        except StriateError as error:
            (out / f"{run}.{rank}.txt").write_text(f"{type(error).__name__}: {error}")
        else:
            rows = [[row[name] for row in history.rows] for name in ("train_loss", "validation_accuracy")]
            np.savez(out / f"{run}.{rank}.npz", rows=rows, **arrays)


if __name__ == "__main__":
    main()
