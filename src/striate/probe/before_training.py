"""The weights with which a run began: those of its seed, or of the model that it continued."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate import weights as arrays
from striate.diagnostics import UsageError
from striate.formats import load
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.train.run import INITIAL, NETWORK, read_run
from striate.train.run_files import read_json


def before_training(model: Model, run: str | Path) -> tuple[Model, str]:
    """A copy of the model of a run with the weights before training, and where they come from. run: its folder.

    Raises UsageError for a model without a run, and as `initial_weights`.
    """
    if model.run_config is None:
        raise UsageError(
            f"the weights of {model.net.name} before training are unknown",
            why="they follow from the configuration of a run, and this model has none",
            fix="give the folder of a run",
        )
    before = Model(model)
    before.weights, said = initial_weights(Path(run).expanduser())
    return before, said


def initial_weights(run: Path) -> tuple[Mapping[str, Any], str]:
    """The weights with which the run in a folder began, to the last bit, and where they come from.

    Fresh weights are drawn again by the seed of the run; a run that began with the weights of a file has those. They
    must have the checksum that the run recorded.

    Raises UsageError if it began with others than its configuration says, or does not say with which; what reading the
    run raises, and the errors of `striate.load` if a file of weights is gone.
    """
    recorded, known = read_run(run), read_json(run / NETWORK).get(INITIAL)
    job, seed = recorded.config.job, recorded.config.settings.seed
    given = load(job.model).weights if job.model else None
    said = f"fresh weights of the run's seed {seed}" if given is None else f"the weights of {job.model}"
    weights = with_weights(recorded.net, given, seed=seed).weights or {}
    if known != arrays.checksum(weights):
        others = f"the run began with others than {said}"
        raise UsageError(
            "the weights before training are unknown",
            where=str(run),
            why="the run did not record with which it began" if known is None else others,
            fix="train with `striate train`",
        )
    return weights, said
