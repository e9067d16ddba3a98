"""Ops, fields and shapes drawn from a seed alone, from the fixtures that hypothesis draws from: for generators."""

import dataclasses
import random
from typing import Any

from op_cases import fixture, spec_of
from striate.diagnostics import StriateError
from striate.geometry import PADDING_POLICIES
from striate.op import Op, registry
from striate.op.fields import tuples
from striate.tensor import SPATIAL, TensorSpec

TEXTS = ("CHW", "HWC", "WHC", "CWH", "CL", "LC", "HCW", "DHWC")
TRIES = 60


def _field(rng: random.Random, field: dataclasses.Field, rank: int, ranges: dict[str, Any]) -> Any:
    """A value of a field, of a fixture's range where there is one; its default every other time it has one."""
    meta = field.metadata
    match ranges.get(field.name):
        case {"from": low, "to": high}:
            return rng.randint(low, high) if rng.randrange(2) else _each(rng, rank, low, high)
        case [*chosen]:
            value = rng.choice(chosen)
            return field.default if value == "default" else tuples(value)
    if field.default is not dataclasses.MISSING and rng.randrange(2):
        return field.default
    match meta["kind"]:
        case "sizes":
            low = meta["least"]
            return rng.randint(low, low + 3) if rng.randrange(2) else _each(rng, rank, low, low + 3)
        case "padding":
            if meta["policies"] and not rng.randrange(3):
                return rng.choice(PADDING_POLICIES)
            return tuple((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(rank))
        case "count":
            low = -3 if meta["least"] is None else meta["least"]
            return rng.choice([*meta.get("also", ()), *range(low, low + 6)])
        case "flag":
            return rng.randrange(2) == 1
        case "choice":
            return rng.choice(meta["options"])
        case "number":
            low, high = meta["least"], meta["most"]
            return round(rng.uniform(-2 if low is None else low, 2 if high is None else high), 2)
        case "ints":
            low = -1 if meta["least"] is None else meta["least"]
            return tuple(rng.randint(low, low + 4) for _ in range(rng.randint(1, 3)))
    return rng.choice(TEXTS)


def _each(rng: random.Random, rank: int, low: int, high: int) -> tuple[int, ...] | int:
    sizes = tuple(rng.randint(low, high) for _ in range(rank))
    return sizes or low


def _other(rng: random.Random, first: list[int], axes: str, how: str) -> list[int]:
    match how:
        case "broadcast":
            return [rng.choice([1, size, size]) for size in first]
        case "smaller":
            return [rng.randint(1, size) for size in first]
        case "product":
            return [*(rng.choice([1, size]) for size in first[:-2]), first[-1], rng.randint(1, 4)]
    return [rng.randint(1, size + 2) if axis == how else size for axis, size in zip(axes, first, strict=True)]


def drawn(
    rng: random.Random, word: str, order: str = "", batch: int = 1
) -> tuple[Op, list[TensorSpec]] | None:
    """An op of a word and what it reads, its axes in `order` or in any; None where no try suits.

    Sizes differ between the axes most of the time, and are equal at times: a wrong axis then has the right length.
    """
    cls, ranges = registry()[word], fixture(word)["generate"]
    for _ in range(TRIES):
        ranks = (
            [len(order) - 1] if order else [*ranges.get("rank", [1, 2, 2, 3]), *ranges.get("rank", [])[1:]]
        )
        rank = rng.choice(ranks)
        low, high = ranges.get("size", [1, 8])
        high = high if rank < 3 else max(low, high - 3)
        sizes = (
            [rng.randint(low, high)] * rank
            if rng.randrange(2)
            else [rng.randint(low, high) for _ in range(rank)]
        )
        channels = rng.choice(ranges.get("channels", [1, 2, 3, 4, 6, 17]))
        named = dict(zip("C" + "".join(SPATIAL[rank]), [channels, *sizes], strict=True))
        if not rng.randrange(3):
            named = dict.fromkeys(named, channels)
        axes = order or "".join(rng.sample(list(named), len(named)))
        shape = [named[axis] for axis in axes]
        name = rng.choice([word, *cls.aliases])
        presets = cls.aliases.get(name, {})
        fields = {
            field.name: _field(rng, field, rank, ranges.get("fields", {}))
            for field in dataclasses.fields(cls)
            if field.name not in presets
        }
        count = cls.arity if cls.arity and cls.arity > 0 else rng.randint(2, 3)
        shapes = [shape, *(_other(rng, shape, axes, ranges["others"]) for _ in range(count - 1))]
        try:
            op = cls(**(presets | fields))
            specs = [spec_of(s, axes, batch) for s in shapes]
            op.declare(*specs)
        except StriateError as error:
            if not error.fix:
                raise
            continue
        return op, specs
    return None
