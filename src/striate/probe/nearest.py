"""The images to which the units of a node respond most and least. One pass over the data serves all units.

A unit's response to an image is the largest value of its map, and the place of that value says which part of the image
the unit has seen. After Zeiler & Fergus, arXiv 1311.2901, section 4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate import elsewhere, hooks
from striate.analysis.fields import receptive_fields
from striate.diagnostics import OpError, SourceError, UsageError, plural
from striate.engine.inputs import as_count, pieces
from striate.formats.with_weights import with_weights
from striate.model import Model
from striate.network import Network, Node
from striate.probe.attribution_target import score_value
from striate.probe.electrode import AXES, known_in_front, measured, part_up_to, spans_of
from striate.probe.finite import finite
from striate.probe.images import one_image, pixels
from striate.probe.recording import one_unit
from striate.signatures import ExplainMisuse, explain_misuse
from striate.train.adapt_network import image_input
from striate.train.arguments import by_input, is_array
from striate.train.config import Config
from striate.train.data.adapt import adapt_data
from striate.train.data.dataset import Dataset, View
from striate.train.data_source import Source
from striate.train.evaluate_model import learned_from, transform_for
from striate.transforms import Transform

Array = NDArray[Any]

COUNT, MAX_COUNT = 9, 1000
BATCH_IMAGES = 64
NOWHERE = -1
"""Place of a response that all places of a map share."""
DIGITS = 6
"""Significant digits of responses in a record: they are float32."""
SEED = 0
"""Of fresh weights."""
Extent = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class NearImage:
    """An image and a unit's response to it.

    index: its number in the data; name: of its file; label: its class, None in data without labels; response: the
    largest value of the unit's map; position: row and column of that value, None if no place stands out; field: first
    and last row ("h") and column ("w") of the network's input that the unit sees there, without padding.
    """

    index: int
    name: str
    label: str | None
    response: float
    position: tuple[int, int] | None
    field: dict[str, Extent] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON holds them."""
        return {
            **dataclasses.asdict(self),
            "response": float(f"{self.response:.{DIGITS}g}"),
            "position": None if self.position is None else list(self.position),
            "field": None if self.field is None else {axis: list(rows) for axis, rows in self.field.items()},
        }


@dataclasses.dataclass(frozen=True)
class NearestToUnit:
    """The images to which a unit responds most and least, in order; of equal responses in the order of the data.

    unit: the channel; most_ties, least_ties: how many images share the largest and the smallest response.
    """

    unit: int
    most: tuple[NearImage, ...]
    least: tuple[NearImage, ...]
    most_ties: int
    least_ties: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the choice of images."""
        (first, *_), (last, *_) = self.most, self.least
        if first.response == last.response:
            return (f"responds alike to every image: {first.response:.4g}",)
        return tuple(
            f"{ties:,} images share the {word} response; the first ones are listed"
            for word, ties, images in (
                ("largest", self.most_ties, self.most),
                ("smallest", self.least_ties, self.least),
            )
            if ties > len(images)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON holds them."""
        return {
            "unit": self.unit,
            "most": [image.to_dict() for image in self.most],
            "least": [image.to_dict() for image in self.least],
            "most_ties": self.most_ties,
            "least_ties": self.least_ties,
            "notes": list(self.notes),
        }


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Nearest(hooks.Displayed, elsewhere.Teaching, metaclass=ExplainMisuse):
    """The images to which each unit of a node responds most and least; a notebook shows them.

    network, node, value: what was read: the value of the node after its activation; weights: "as given", or
    "untrained, seed 0"; data: description of the images; images: their number; size: height and width of the network's
    input in pixels; units: one for each channel, `nearest[3]` is unit 3; notes: further conditions; source: the
    images; transform: what prepares them for the network. Raises nothing; `nearest` makes it.

    >>> import numpy as np
    >>> import striate as st
    >>> st.nearest("4x4x1 -> conv 3x3 2 -> relu", "conv1", np.ones((5, 1, 4, 4), np.float32))
    <Nearest: 2 units of conv1 for 5 images>
    """

    network: str
    node: str
    value: str
    weights: str
    data: str
    images: int
    size: Extent
    units: tuple[NearestToUnit, ...]
    notes: tuple[str, ...]
    source: Dataset
    transform: Transform

    def __getitem__(self, unit: int) -> NearestToUnit:
        """A unit by its channel. Raises UnknownNameError for one that the node does not have."""
        return one_unit(self.node, self.units, unit)

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        return f"<Nearest: {plural(len(self), 'unit')} of {self.node} for {plural(self.images, 'image')}>"

    def to_dict(self, unit: int | None = None) -> dict[str, Any]:
        """Schema striate.nearest/1. unit: the only one to write. Raises UnknownNameError for one that is not there."""
        return {
            "schema": "striate.nearest/1",
            "network": self.network,
            "node": self.node,
            "value": self.value,
            "weights": self.weights,
            "data": self.data,
            "images": self.images,
            "size": list(self.size),
            "notes": list(self.notes),
            "units": [one.to_dict() for one in (self.units if unit is None else (self[unit],))],
        }

    def pixels(self, image: NearImage) -> Array:
        """The pixels (C, H, W) of an image before the normalization, read again from the data.

        Raises SourceError if the image can no longer be read.
        """
        images, _ = self.source.images(np.array([image.index]))
        if not len(images):
            raise SourceError(
                f"{image.name} can no longer be read", where=image.name, why=self.source.bad[image.index].why,
                fix="restore the file",
            )  # fmt: skip
        return pixels(self.transform(images)[0], self.transform)

    def plot(self, unit: int | None = None) -> Any:
        """The images as a sheet: a `Picture`. unit: the only one to show. Raises UnknownNameError for another one."""
        return hooks.ask("nearest", self, unit)

    def save(self, path: Any, unit: int | None = None) -> None:
        """Write the sheet to a file.

        path: its ending says the format, as `Picture.save` has it; unit: the only one to show. Raises the errors of
        `Picture.save`, UnknownNameError for a unit that is not there.
        """
        self.plot(unit).save(path)


@explain_misuse
def nearest(
    model: Any, node: str, data: Any = None, *, count: int = COUNT, split: str = "",
    batch_size: int = BATCH_IMAGES,
) -> Nearest:  # fmt: skip
    """Find the images to which each unit of a node responds most and least.

    model: a `Model`, or what it takes (fresh weights where the source has none, and `weights` says so); node: its
    channels are the units. What is read is the value after the normalization and the activation of the node, as
    `probe` does; of the last layer the scores before a softmax.

    data: None for the training images of a run; a path, a sample's name, (x, y), images (N, C, H, W) without labels, a
    list of image files, or a folder of them without class folders. They pass the model's own transformation. split: the
    part of the data, "train", "validation", "test" or "all"; by default the training part of a run's own data, and all
    of other data.

    count: how many images a unit has with the largest responses, and how many with the smallest; only these are kept in
    memory. batch_size: how many images run together. Equal responses are listed in the order of the data.

    Raises OpError for a node without channels or after an opaque one, UsageError for a network of several inputs and
    without data, and the errors of `open_data` and of `Model.evaluate` for images that do not fit.
    Source: Zeiler & Fergus, arXiv 1311.2901.

    >>> import numpy as np
    >>> import striate as st
    >>> images = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    >>> found = st.nearest("8x8x1 -> conv 3x3 4 -> relu", "conv1", images, count=3)
    >>> found.value, len(found[2].most), found[2].most[0].response >= found[2].most[1].response
    ('relu1', 3, True)
    """
    return record(model, node, data, count=count, split=split, batch_size=batch_size)


def record(
    model: Any, node: str, data: Any = None, *, count: int = COUNT, split: str = "",
    batch_size: int = BATCH_IMAGES, trained: bool | None = None, watch: Callable[[int, int], object] | None = None,
) -> Nearest:  # fmt: skip
    """The same as `nearest`. trained: whether the weights of a `Model` came with it, if that is known; watch: called
    after every batch with the images done and all of them.
    """
    count, size = as_count(count, "count", 1, MAX_COUNT), as_count(batch_size, "batch_size")
    if not isinstance(model, Model):
        loaded = with_weights(model, seed=SEED)
        model, trained = Model(loaded), loaded.trained
    net: Network = model.net
    one_image(net)
    value = response_value(net, net.node(node))
    part = part_up_to(net, value)
    spec = part.specs[value]
    source, transform, notes = _suited(model, data, split)
    weights = model.weights.current()
    program = model.engine.compile(
        part, {name: weights[name] for name in part.parameters}, precision=model.precision
    )
    most, least = _Ranking(count, spec.channels, 1), _Ranking(count, spec.channels, -1)
    done = 0
    for batch in Source(source, transform, size).epoch():
        for start, stop in pieces(len(batch.ids), size):
            values = program.values(batch.x[start:stop], [value])[value]
            responses, places = _responses(finite(values, value))
            for ranking in (most, least):
                ranking.add(responses, places, batch.ids[start:stop])
        done += len(batch.ids)
        if watch:
            watch(done, len(source))
    seen = _Field(part, value)

    def images(ranking: _Ranking, unit: int) -> Iterator[NearImage]:
        for index, response, place in ranking.rows(unit):
            position, field = seen(place)
            label = source.classes[source.labels[index]] if source.classes else None
            yield NearImage(index, source.name(index), label, response, position, field)

    units = tuple(
        NearestToUnit(
            unit, tuple(images(most, unit)), tuple(images(least, unit)),
            int(most.ties[unit]), int(least.ties[unit]),
        )
        for unit in range(spec.channels)
    )  # fmt: skip
    height, width = net.input.spatial
    return Nearest(
        net.name, node, value, f"untrained, seed {SEED}" if trained is False else "as given", source.source, done,
        (height, width), units, (*notes, *source.notes()), source, transform,
    )  # fmt: skip


def response_value(net: Network, node: Node) -> str:
    """The value whose channels are the units of a node.

    Raises OpError if the node cannot be computed, or its output is neither a map nor a vector.
    """
    known_in_front(net, node, f"{node.name} cannot be computed")
    value = measured(net, node)
    if value == net.outputs[0] and value not in node.outputs:  # probabilities saturate, scores do not
        value = score_value(net)
    spec = net.inference.specs[value]
    if spec.spatial_axes not in ((), AXES):
        raise OpError(
            f"{node.name} has no units",
            why=f"its output {spec} is neither a map nor a vector",
            fix="take a node whose output has channels, with height and width or without both",
        ).at(node.name, f"{node.name} = {node.op}", node.place)
    return value


def _suited(model: Model, data: Any, split: str) -> tuple[Dataset, Transform, tuple[str, ...]]:
    """The images, what prepares them for the network, and notes about both."""
    net, config = model.net, model.run_config or Config()
    recorded = Transform.from_dict(model.transform) if model.transform else None
    white = recorded.white if recorded else 0
    if is_array(data) and not isinstance(data, Mapping):
        labels = np.zeros(len(data), np.int64)
        dataset: Dataset = View(learned_from(config, (data, labels), split, white), classes=())
    else:
        dataset = learned_from(config, "" if data is None else by_input(net, data), split, white)
    if dataset.inputs:
        raise UsageError(
            f"the rows of {dataset.source} have several inputs",
            why="a unit responds to one image",
            fix="give images and labels",
        )
    transform, notes = transform_for(net, recorded, dataset, config)
    suited = adapt_data(dataset, transform, image_input(net))
    return suited.data, suited.transform, (*notes, *suited.notes)


def _responses(values: Array) -> tuple[Array, Array]:
    """The largest value of each map (N, K), and its place in the map, counted row by row; NOWHERE in a flat map.

    values: (N, K) or (N, K, H, W). Of equal values the first one counts.
    """
    flat = values.reshape(*values.shape[:2], -1)
    places = flat.argmax(-1)
    responses = np.take_along_axis(flat, places[..., None], -1)[..., 0]
    if flat.shape[-1] > 1:
        places[flat.min(-1) == responses] = NOWHERE
    return responses, places


class _Ranking:
    """The images with the largest (sign 1) or least (sign -1) responses of each unit, so far; ties by their numbers."""

    def __init__(self, count: int, units: int, sign: int) -> None:
        self.count, self.sign = count, sign
        self.keys = np.empty((units, 0), np.float64)  # responses that the best one has least
        self.places = np.empty((units, 0), np.int64)
        self.ids = np.empty((units, 0), np.int64)
        self.ties = np.zeros(units, np.int64)
        self._best = np.full(units, np.inf)

    def add(self, responses: Array, places: Array, ids: Array) -> None:
        """More images, after those of earlier calls in the order of the data: responses and places (N, K), ids (N,)."""
        fresh = -self.sign * responses.T.astype(np.float64)
        best = np.minimum(self._best, fresh.min(1))
        self.ties = np.where(best == self._best, self.ties, 0) + (fresh == best[:, None]).sum(1)
        self._best = best
        keys = np.concatenate([self.keys, fresh], 1)
        order = np.argsort(keys, axis=1, kind="stable")[:, : self.count]
        every = (
            np.concatenate([self.places, places.T], 1),
            np.concatenate([self.ids, np.broadcast_to(ids, fresh.shape)], 1),
        )
        self.keys = np.take_along_axis(keys, order, 1)
        self.places, self.ids = (np.take_along_axis(one, order, 1) for one in every)

    def rows(self, unit: int) -> Iterator[tuple[int, float, int]]:
        """Number of the image, response and place, the first one first."""
        for index, key, place in zip(self.ids[unit], self.keys[unit], self.places[unit], strict=True):
            yield int(index), float(-self.sign * key) + 0.0, int(place)  # no negative zero


class _Field:
    """What the units of a value see of the network's input."""

    def __init__(self, part: Network, value: str) -> None:
        self.image, self.spatial = part.input, part.specs[value].spatial
        self.fields = receptive_fields(part)[value]

    def __call__(self, place: int) -> tuple[tuple[int, int] | None, dict[str, Extent] | None]:
        """Row and column of a place in the map, and the rows and columns that a unit sees there; None without one."""
        if not self.spatial or place == NOWHERE:
            return None, None
        position = divmod(place, self.spatial[1])
        spans = spans_of(self.fields, self.image, position)
        rows, columns = (
            (max(lo, 0), min(hi, self.image.size(axis) - 1))
            for axis, (lo, hi) in zip(AXES, spans, strict=True)
        )
        padding_only = rows[0] > rows[1] or columns[0] > columns[1]
        return position, None if padding_only else {"h": rows, "w": columns}
