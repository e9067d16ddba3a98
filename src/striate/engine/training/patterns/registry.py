"""The patterns of computation in training, by type. `tape` looks each node's pattern up here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.engine.plan.computation import (
    Alias,
    Copies,
    Correlation,
    Elementwise,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.engine.training.patterns.alias import AliasTraining
from striate.engine.training.patterns.copies import CopiesTraining
from striate.engine.training.patterns.correlation import CorrelationTraining
from striate.engine.training.patterns.local_norm import SquaresOfNeighbors
from striate.engine.training.patterns.norm import NormTraining
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.patterns.pool import PoolTraining
from striate.engine.training.patterns.softmax import SoftmaxTraining
from striate.engine.training.patterns.statements import StatementsTraining

STATEMENTS = StatementsTraining()

TRAINING: Mapping[type, PatternTraining[Any, Any]] = {
    Alias: AliasTraining(),
    Copies: CopiesTraining(),
    Correlation: CorrelationTraining(),
    Elementwise: STATEMENTS,
    LocalResponseNorm: StatementsTraining(SquaresOfNeighbors()),
    Norm: NormTraining(),
    Pool: PoolTraining(),
    Softmax: SoftmaxTraining(),
    type(None): STATEMENTS,
}
"""Each pattern that `recognize` returns, and None."""
