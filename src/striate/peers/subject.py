"""The subject of a measurement: a network, its weights and a batch, equal in all processes with equal arguments."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.model import Model
    from striate.network import Network

    Floats = NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network to measure. model: a MODEL argument; input: HxWxC or empty; folder: for converted files and results.

    train: measure training steps, not inference. A network without weights gets random ones with seed 0.
    """

    model: str
    input: str = ""
    batch: int = 1
    folder: str = "."
    train: bool = False

    def network(self) -> Network:
        """Load the network without weights."""
        from striate.formats import load

        return load(self.model, self.input or None)

    def load(self, engine: str = "auto") -> Model:
        """Load the network and its weights."""
        from striate.model import Model

        if not self.input and Path(self.model).is_dir():
            return Model.load(self.model, engine=engine)
        return Model(self.network(), seed=0, engine=engine)

    def images(self) -> Floats:
        """A batch of noise, float32 (N, C, H, W)."""
        import numpy as np

        rng = np.random.default_rng(0)
        return rng.standard_normal((self.batch, *self.network().input.without_batch), np.float32)

    def path(self, name: str) -> Path:
        return Path(self.folder) / name

    def json(self) -> str:
        """One line of JSON for another process: `Subject(**json.loads(line))`."""
        return json.dumps(dataclasses.asdict(self))


def single(outputs: Any) -> Any:
    """The first of several outputs, which suffices to compare."""
    return outputs[0] if isinstance(outputs, tuple | list) else outputs


def images_to_compare(images: Floats) -> Floats:
    """The images that results are compared on: the first and the last of the batch."""
    return images[[0, -1]] if len(images) > 1 else images
