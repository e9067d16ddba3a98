"""What a population is: the tuning of all units of a network and of its controls, and whether they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import hooks
from striate.diagnostics import plural
from striate.files import write_aside
from striate.probe.differences import Difference
from striate.probe.electrode import Place
from striate.probe.recording import plain

Array = NDArray[Any]

GIVEN, UNTRAINED, SHUFFLED = "given", "untrained", "shuffled"
CONTROLS = {UNTRAINED: "its untrained controls", SHUFFLED: "the same network with shuffled weights"}
"""Control -> what it is in a sentence."""
HISTOGRAMS: Mapping[str, tuple[float, float, int]] = {
    "cv": (0.0, 1.0, 8), "osi": (0.0, 1.0, 8), "orientation_deg": (0.0, 180.0, 8),
    "frequency_cpp": (0.0, 0.5, 10), "f1_f0": (0.0, 2.0, 8),
}  # fmt: skip
"""Measure -> least, largest and number of the bins of its histogram; values beyond the ends count in the outer bins."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The units of a node in one network, a number for each channel; nan where a measure is undefined.

    group: "given", "untrained" or "shuffled"; seed: of the weights of a control; measures: of HISTOGRAMS, by name;
    types: "simple", "complex" or "none" without a response.
    """

    group: str
    seed: int | None
    measures: dict[str, Array]
    types: tuple[str, ...]

    def defined(self, measure: str) -> Array:
        """The numbers of the units that have one."""
        values = self.measures[measure]
        return values[np.isfinite(values)]

    @property
    def responding(self) -> int:
        """Number of units that respond."""
        return sum(kind != "none" for kind in self.types)


@dataclasses.dataclass(frozen=True)
class NodePopulation:
    """The units of one node in all networks.

    node, value: what was probed, and the value that was read; place: of the units; samples: one for each network;
    differences: control -> difference of the median of 1 - CV, None where no unit responds.
    """

    node: str
    value: str
    place: Place
    samples: tuple[Sample, ...]
    differences: dict[str, Difference | None]

    def group(self, name: str) -> tuple[Sample, ...]:
        """The samples of "given", "untrained" or "shuffled"."""
        return tuple(sample for sample in self.samples if sample.group == name)


@dataclasses.dataclass(frozen=True, repr=False)
class Population(hooks.Displayed):
    """Tuning of all units of a network and of its controls.

    network: its name; weights: "as given" or "untrained, seed 0"; seeds: number of networks of each control;
    differences: control -> mean difference over the nodes; frequencies_cpp, orientations_deg, phases_deg: of the
    gratings; colors: axes of color; contrast: share of their largest amplitude; shown: images that networks were shown;
    nodes: those with a map. `str` of it is the finding in a sentence.
    """

    network: str
    weights: str
    seeds: int
    differences: dict[str, Difference | None]
    frequencies_cpp: tuple[float, ...]
    orientations_deg: tuple[float, ...]
    phases_deg: tuple[float, ...]
    colors: tuple[str, ...]
    contrast: float
    shown: int
    nodes: tuple[NodePopulation, ...]

    @property
    def statement(self) -> str:
        """Whether the network is more orientation selective than its controls, in one sentence."""
        found = [(sign_of(d), name, d) for name, d in self.differences.items()]
        if all(d is None for _, _, d in found):
            return "No unit responds, or none of the controls does, so selectivity cannot be compared."
        parts = []
        for n, (sign, name, d) in enumerate(found):
            start = "more" if sign > 0 else "less" if sign < 0 else "not more"
            word = f"{start} orientation selective than" if not n else f"{start} than"
            shown = "which do not respond" if d is None else _numbers(d, long=not n)
            parts.append(f"{word} {CONTROLS[name]} ({shown})")
        return f"The network is {', and '.join(parts)}."

    def __str__(self) -> str:
        return self.statement

    def __repr__(self) -> str:
        return f"<Population: {self.network}, {plural(len(self.nodes), 'node')}. {self.statement}>"

    def plot(self) -> Any:
        """Histograms of each node over those of its controls: a `Picture`, which a notebook shows."""
        return hooks.ask("population", self)

    def save(self, path: str | Path) -> None:
        """Write the picture, or a page, to a file.

        path: its ending says the format, as `Picture.save` has it; .html is a page with the picture and the numbers.
        Raises the errors of `Picture.save`.
        """
        if str(path).lower().endswith((".html", ".htm")):
            write_aside(path, str(hooks.ask("population page", self)).encode())
            return
        self.plot().save(path)

    def to_dict(self) -> dict[str, Any]:
        """Schema striate.population/1."""
        record: dict[str, Any] = {
            "schema": "striate.population/1",
            **{
                field.name: plain(getattr(self, field.name))
                for field in dataclasses.fields(self)
                if field.name != "nodes"
            },
            "statement": self.statement,
            "nodes": [_node_record(node) for node in self.nodes],
        }
        return record


def sign_of(difference: Difference | None) -> int:
    """Whether a difference is shown, and its sign."""
    return 0 if difference is None else difference.sign


def _numbers(d: Difference, long: bool) -> str:
    what, interval = ("median of 1 - CV ", "95% interval ") if long else ("", "")
    return f"{what}{d.value:+.3f}, {interval}{d.low:+.3f} to {d.high:+.3f}"


def _node_record(node: NodePopulation) -> dict[str, Any]:
    place = node.place
    return {
        "node": node.node,
        "value": node.value,
        "position": [place.row, place.column],
        "field": {"h": list(place.screen.rows), "w": list(place.screen.columns)},
        "inside": place.inside,
        "surround": place.surround,
        "differences": plain(node.differences),
        "groups": {
            name: _summary(node.group(name)) for name in (GIVEN, UNTRAINED, SHUFFLED) if node.group(name)
        },
        "samples": [
            {
                "group": sample.group,
                "seed": sample.seed,
                "types": list(sample.types),
                **{name: plain(values) for name, values in sample.measures.items()},
            }
            for sample in node.samples
        ],
    }


def _summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Counts and distributions of a group, all of its networks together."""
    types = [kind for sample in samples for kind in sample.types]
    measures = {}
    for name, (low, high, bins) in HISTOGRAMS.items():
        values = np.concatenate([sample.defined(name) for sample in samples])
        quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else np.full(3, np.nan)
        measures[name] = {
            "defined": len(values),
            "median": None if name == "orientation_deg" else plain(float(quartiles[1])),
            "quartiles": plain(quartiles[::2]) if name != "orientation_deg" and len(values) else None,
            "edges": plain(np.linspace(low, high, bins + 1)),
            "counts": np.histogram(np.clip(values, low, high), bins, (low, high))[0].tolist(),
        }
    return {
        "networks": len(samples),
        "units": len(types),
        "responding": sum(sample.responding for sample in samples),
        "types": {kind: types.count(kind) for kind in ("simple", "complex", "none")},
        "measures": measures,
    }
