"""The weights with which a run began: those of its seed, or of the model that it continued."""

from __future__ import annotations

from striate.diagnostics import UsageError
from striate.formats import load
from striate.formats.with_weights import with_weights
from striate.model import Model


def before_training(model: Model) -> tuple[Model, str]:
    """A copy of the model of a run with the weights before training, and where they come from.

    `striate train` draws fresh weights by the seed of the run, so they are computed again, bit-identical; a model that
    was made in Python may have had a seed of its own. A run that began with the weights of a file has those.

    Raises UsageError for a model without a run, and the errors of `striate.load` if that file is gone.
    """
    config = model.run_config
    if config is None:
        raise UsageError(
            f"the weights of {model.net.name} before training are unknown",
            why="they follow from the configuration of a run, and this model has none",
            fix="give the folder of a run",
        )
    job, seed = config.job, config.settings.seed
    given = load(job.model).weights if job.model else None
    said = f"fresh weights of the run's seed {seed}" if given is None else f"the weights of {job.model}"
    before = Model(model)
    before.weights = with_weights(model.net, given, seed=seed).weights or {}
    return before, said
