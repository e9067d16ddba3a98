"""The record that every reader returns: a network, its weights, and the other contents of its source.

`Loaded` is a `Network`, so what `striate.load` and `striate.from_torch` return is accepted wherever a network is; its
part `network` is the structure alone. A plain `Network` never has weights.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from striate.network import UNNAMED, Network


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Loaded(Network):
    """A network with its weights and the other contents of its source; `load` and `from_torch` return it.

    It is accepted wherever a network is, and equals any network of the same structure; `striate.Model` of it keeps its
    weights.

    name, inputs, nodes, outputs, aliases: as in `Network`; network: a `Network` of these alone. weights: full name ->
    read-only array; None if the source has no weights, or not all of them. trained: whether the source is a trained
    model; classes: names of the outputs; transform: steps that turn images into the input, as plain values; objective:
    the loss that it was trained with; config: the settings of the run, as TOML; source: the argument of `load`. Parts
    that the source does not have are empty. Raises the errors of `Network`.

    >>> import striate as st
    >>> loaded = st.load("8x8x1 -> conv 3x3 4")
    >>> loaded.weights is None, loaded.network == loaded
    (True, True)
    """

    weights: Mapping[str, Any] | None = None
    trained: bool = False
    classes: tuple[str, ...] = ()
    transform: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    objective: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config: str = ""
    source: str = ""

    def __repr__(self) -> str:
        """One line: that of the network, and whether it has weights."""
        return super().__repr__()[:-1] + (", with weights)" if self.weights is not None else ")")

    @classmethod
    def of(
        cls, network: Network, weights: Mapping[str, Any] | None = None, *, trained: bool = True,
        classes: Sequence[str] = (), transform: Mapping[str, Any] | None = None,
        objective: Mapping[str, Any] | None = None, config: str = "",
    ) -> Loaded:  # fmt: skip
        """Make a record of a network and its parts: weights, trained, classes, transform, objective and config.

        Nothing is copied or validated again.
        """
        plain = network.network if isinstance(network, Loaded) else network
        record = object.__new__(cls)
        vars(record).update(
            vars(plain), network=plain, weights=weights, trained=trained, classes=tuple(classes),
            transform=dict(transform or {}), objective=dict(objective or {}), config=config, source="",
        )  # fmt: skip
        return record

    def with_parts(self, **parts: Any) -> Self:
        """Return the same structure with other `parts`, by their names in the class."""
        other = copy.copy(self)
        vars(other).update(parts)
        return other

    @functools.cached_property
    def network(self) -> Network:
        """The structure alone."""
        return Network(*(getattr(self, field.name) for field in dataclasses.fields(Network)))

    @property
    def title(self) -> str:
        """Its name in headings: that of its run folder, if it was given none."""
        return Path(self.source).absolute().name if self.config and self.name == UNNAMED else self.name

    @property
    def about(self) -> dict[str, Any]:
        """Metadata of a model: classes, transformation, loss, as `folder.describe` takes them."""
        return {"classes": self.classes, "transform": self.transform, "objective": self.objective}

    @property
    def reasons(self) -> dict[str, str]:
        """Opaque node -> why its operator is unsupported."""
        from striate.ops.opaque import Opaque  # start-up counts: most networks have none

        return {node.name: node.op.why for node in self.nodes if isinstance(node.op, Opaque)}


def structure(network: Network) -> Loaded:
    """Return the record of a network without weights, such as one of a text, a catalogue name or a builder."""
    return network if isinstance(network, Loaded) else Loaded.of(network, trained=False)
