"""The experiment on a network of the page: stimuli by hand, and the protocol."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.diagnostics import LimitError, UnknownNameError, plural, suggest
from striate.engine.registry import get_engine
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.probe.border import MODES, border
from striate.probe.by_hand import MAX_POOL, Hand, pooled, target
from striate.probe.electrode import COLORS, PLACES, cropped, part_up_to, place_unit
from striate.probe.experiment import record
from striate.probe.stimuli import SLIDES, Slide
from striate.views.lab.activations import SEED, limit
from striate.views.lab.bodies import Refusal
from striate.views.page.experiment import node_record, screen

if TYPE_CHECKING:
    from striate.views.lab.bodies import Body
    from striate.views.lab.networks import Networks, Source
    from striate.views.schemas.lab import LabElectrode, LabResponses
    from striate.views.schemas.probe import Probe, ProbedBorder

MAX_SLIDES = 256
"""Stimuli in one request."""
FARTHEST = 1 << 16
"""Pixels from the center of the field to a stimulus, and of its width."""
MAX_WORK = 10**12
"""Multiply-accumulates of all images of a protocol: some ten seconds."""
MAX_KEPT = 2
"""Models and electrodes that are kept."""


@dataclass(frozen=True)
class _Ready:
    model: Model
    trained: bool


@dataclass(frozen=True)
class Unit:
    """The channel that a request is about, of a node, at a place of its map."""

    source: Source
    node: str
    unit: int
    at: str | tuple[int, int]

    @classmethod
    def of(cls, source: Source, body: Body) -> Unit:
        """The one in a request. Raises Refusal."""
        node = body.text("node")
        return cls(source, node, body.whole("unit", 0, 10**9, 0), place(body))


class Experiment:
    """Shows stimuli to the networks of a page. It is used by one thread."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._models: collections.OrderedDict[Source, _Ready] = collections.OrderedDict()
        self._hands: collections.OrderedDict[tuple[Source, str, Any], Hand] = collections.OrderedDict()

    def electrode(self, source: Source, node: str, at: str | tuple[int, int]) -> LabElectrode:
        """What an electrode in a node reads. Raises as `probe` for a node or a place that cannot be probed."""
        ready = self._ready(source)
        also = () if isinstance(at, str) else (at,)
        return {
            "screen": screen(ready.model),
            "node": node_record(ready.model.net, node, also),
            "trained": ready.trained,
        }

    def respond(self, unit: Unit, slides: list[Slide], color: str) -> LabResponses:
        """Responses of a unit to stimuli. Raises as `probe`, UnknownNameError for a unit or a color that it has not."""
        key = unit.source, unit.node, unit.at
        if key not in self._hands:
            ready = self._ready(unit.source)
            hand = Hand(ready.model, unit.node, unit.at, get_engine("numpy"))
            _keep(self._hands, key, hand)
        hand = self._hands[key]
        _there(unit, hand.target.units)
        _one_of(
            color, hand.colors, "this screen has only its brightness: red, green and blue need three channels"
        )
        blank, *responses = hand.responses(slides, color)[unit.unit].tolist()
        return {"blank": blank, "responses": responses}

    def protocol(self, unit: Unit) -> Probe:
        """The recording of a unit."""
        found: Probe = self._recorded(unit, 1, lambda how: record(at=unit.at, **how).to_dict(unit.unit))
        return found

    def pooled(self, unit: Unit, size: int) -> Probe:
        """The recording of a max-pool over size x size neighbors of a unit."""
        found: Probe = self._recorded(
            unit, size, lambda how: pooled(size=size, at=unit.at, **how).to_dict(unit.unit)
        )
        return found

    def border(self, unit: Unit) -> ProbedBorder:
        """The recordings of a unit at the center, at an edge and in a corner, with each padding mode."""
        found: ProbedBorder = self._recorded(
            unit, 1, lambda how: border(**how).to_dict(unit.unit), len(MODES) * len(PLACES)
        )
        return found

    def _recorded(self, unit: Unit, size: int, run: Callable[[dict[str, Any]], Any], times: int = 1) -> Any:
        """What `run` records. size: of the pool after the unit; times: how often the protocol runs.

        Raises LimitError for a protocol that would keep the page waiting.
        """
        ready = self._ready(unit.source)
        net = ready.model.net
        read = target(net, unit.node)
        _there(unit, read.units)
        part = part_up_to(net, read.value)
        seen, _ = cropped(part, read.value, place_unit(part, read.value, unit.at))
        whole = times > 1  # at an edge nothing is left out
        macs = max(1, sum(one.macs for one in (part if whole else seen).inference.declarations.values()))

        def watch(_: int, total: int) -> None:
            work = total * macs * size * size
            if work > MAX_WORK:
                raise LimitError(
                    f"the experiment on {unit.node} takes too long in the page",
                    where=net.name,
                    why=f"{plural(total, 'image')} are {work / 1e9:,.0f} G multiply-accumulates; "
                    f"the page takes at most {MAX_WORK // 10**9:,} G",
                    fix=f"striate probe MODEL --node {unit.node}{' --border' if whole else ''}",
                )

        return run(
            {"model": ready.model, "node": unit.node, "seed": SEED, "trained": ready.trained, "watch": watch}
        )

    def _ready(self, source: Source) -> _Ready:
        if source not in self._models:
            checked = self._networks.find(source)
            limit(checked)
            loaded = with_weights(checked.net, seed=SEED)
            _keep(self._models, source, _Ready(Model(loaded), loaded.trained))
        self._models.move_to_end(source)
        return self._models[source]


def place(body: Body) -> str | tuple[int, int]:
    """The place in a request: a name, or a row and a column. Raises Refusal."""
    at = body.text("at", 40, PLACES[0])
    if at in PLACES:
        return at
    row, _, column = at.partition(".")
    if not all(one.isascii() and one.isdecimal() and len(one) < 10 for one in (row, column)):
        raise Refusal(
            422,
            "at is not a place",
            where="at",
            why=f"it is {', '.join(PLACES)}, or a row and a column",
            fix="send center or 3.4",
        )
    return int(row), int(column)


def slides(body: Body) -> list[Slide]:
    """The stimuli in a request. Raises Refusal, UnknownNameError."""
    return [
        Slide(
            _one_of(one.text("kind", 40), SLIDES),
            math.radians(one.number("orientation", -360, 360, 0)),
            one.number("x", -FARTHEST, FARTHEST, 0),
            one.number("y", -FARTHEST, FARTHEST, 0),
            one.number("width", 0.1, FARTHEST, 1),
            one.number("length", 0.1, FARTHEST) if one.has("length") else math.inf,
            bool(one.whole("dark", 0, 1, 0)),
        )
        for one in body.parts("slides", MAX_SLIDES)
    ]


def color(body: Body) -> str:
    """The axis of color in a request. Raises UnknownNameError."""
    return _one_of(body.text("color", 40, "luminance"), tuple(COLORS))


def size(body: Body) -> int:
    """The side of the pool in a request. Raises Refusal."""
    return body.whole("size", 1, MAX_POOL)


def _one_of(word: str, words: tuple[str, ...], why: str = "") -> str:
    """why: others are not there, instead of the words that are. Raises UnknownNameError."""
    if word not in words:
        near = suggest(word, words)
        raise UnknownNameError(
            f"there is no {word!r}",
            why=why or f"there are {', '.join(words)}",
            fix=f"send {near or words[0]}",
        )
    return word


def _there(unit: Unit, units: int) -> None:
    """Raises UnknownNameError for a channel that the node does not have."""
    if unit.unit >= units:
        raise UnknownNameError(
            f"{unit.node} has no unit {unit.unit}",
            why=f"it has {plural(units, 'unit')}, counted from 0",
            fix=f"0 to {units - 1}",
        )


def _keep(kept: collections.OrderedDict[Any, Any], key: Any, value: Any) -> None:
    while len(kept) >= MAX_KEPT:
        kept.popitem(last=False)
    kept[key] = value
