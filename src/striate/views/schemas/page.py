"""docs/json.md, printed from the declared records: a section for each command, a table row for each key."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NotRequired, Required, Union

from striate.views.schemas import (
    attribution,
    facts,
    lists,
    live,
    machines,
    nearest,
    networks,
    probe,
    scene,
    training,
)
from striate.views.schemas.keys import Key

SCHEMAS: dict[str, type] = {
    "striate.show/1": networks.Show,
    "striate.scene/1": scene.Scene,
    "striate.node/1": networks.Detail,
    "striate.cost/1": networks.Costs,
    "striate.sizes/1": networks.Sizes,
    "striate.pixels/1": networks.Pixels,
    "striate.pixels-compare/1": networks.ComparedPixels,
    "striate.diff/1": networks.Diff,
    "striate.diff-scene/1": scene.DiffScene,
    "striate.models/1": lists.ModelList,
    "striate.convert/1": lists.Conversion,
    "striate.rules/1": lists.Rules,
    "striate.train/1": training.Training,
    "striate.find-lr/1": training.RateSearch,
    "striate.eval/1": training.Evaluation,
    "striate.predict/1": training.Prediction,
    "striate.attribute/1": attribution.Attributed,
    "striate.probe/1": probe.Probe,
    "striate.probe-border/1": probe.ProbedBorder,
    "striate.nearest/1": nearest.Nearest,
    "striate.population/1": probe.Population,
    "striate.data/1": training.DataCheck,
    "striate.bench/1": machines.Bench,
    "striate.bench-train/1": machines.TrainingBench,
    "striate.doctor/1": machines.Doctor,
    "striate.page/1": live.LivePage,
    "striate check": lists.CheckFinding,
}
"""Heading of the section to the record. The last is the one without a schema: a list of them is printed."""
EXTENDED: dict[type, type] = {
    networks.Detail: networks.ShownNode,
    scene.Scene: networks.Show,
    scene.DiffScene: networks.Diff,
}
"""Record to one that it extends, whose keys another section spells out."""
FACTS: dict[str, type] = {
    "blocks": facts.GraphFacts,
    "graph": facts.GraphFacts,
    "layer": facts.LayerFacts,
    "fc": facts.Compared,
    "pixels": facts.PixelFacts,
    "field": facts.FieldFacts,
    "filters": facts.FilterFacts,
    "maps": facts.MapFacts,
    "training": facts.TrainingFacts,
    "confusion": facts.ConfusionFacts,
    "calibration": facts.CalibrationFacts,
}
"""Kind of picture to the `facts` of its scene; kinds with the same facts share a section."""

HEAD = """# JSON that Striate prints

[Documentation](../README.md#documentation)

Every command that prints data takes `--json`. The output is one object with a `schema`, except for the list of `striate
check`. As long as the number of a schema stays, keys are added but never removed. Text is UTF-8, sizes are whole
numbers of any length.

- Shapes are `[C, H, W]` (`[C, L]` in one dimension, `[C, D, H, W]` in three, `[C]` after flatten), without the batch
  axis.
- Axes are named `h` and `w` (`l` in one dimension, `d` `h` `w` in three). `AXIS`, `NAME` and `CONVENTION` below stand
  for such keys.
- Bytes and MACs are for one image.
- Positions count from 0; a `start` in the padding is negative.
- Fractions (such as the `jump` of an upsampled value) are rounded to the nearest double.
- Keys of an object that an earlier table lists are not repeated.

`make docs` writes this page from `striate/views/schemas/`, and `tests/cli/test_json.py` compares the output of commands
with the same declarations.
"""

WORDS = {
    typing.Literal: "text",
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "object",
}


def page() -> str:
    """The text of docs/json.md."""
    records: set[type] = set()
    shared: dict[type, list[str]] = {}
    for kind, record in FACTS.items():
        shared.setdefault(record, []).append(kind)
    text = HEAD + "".join(_section(title, record, records) for title, record in SCHEMAS.items())
    text += "\n## Facts of pictures\n\nThe key `facts` of `striate.scene/1`, by the kind of the picture.\n"
    return text + "".join(
        _section(", ".join(kinds), record, records, "###") for record, kinds in shared.items()
    )


def _section(title: str, record: type, printed: set[type], level: str = "##") -> str:
    command, _, rest = inspect.cleandoc(record.__doc__ or "").partition("\n\n")
    inherited = typing.get_type_hints(EXTENDED[record]) if record in EXTENDED else {}
    path = "[]." if title == "striate check" else ""
    rows = [
        row
        for key, hint in typing.get_type_hints(record, include_extras=True).items()
        if key not in inherited
        for row in _rows(f"{path}{key}", hint, printed)
    ]
    table = "\n".join(dict.fromkeys(rows))  # axes that stand under one word are one row
    after = f"\n\n{rest}" if rest else ""
    return f"\n{level} {title}\n\n{command}\n\n| key | type | meaning |\n|---|---|---|\n{table}{after}\n"


def _rows(path: str, hint: Any, printed: set[type]) -> Iterator[str]:
    """The row of a key, and those of the keys inside it unless they were printed before."""
    plain, meaning, word, optional = unwrap(hint)
    if word:
        path = f"{path.rpartition('.')[0]}.{word}".removeprefix(".")
    options = [option for option in _options(plain) if option is not type(None)]
    records = [option for option in options if typing.is_typeddict(option)]
    null = " or null" if len(options) < len(_options(plain)) else ""
    ends = ", optional" if optional else ""
    if records:
        fresh = [record for record in records if record not in printed]
        if meaning:
            yield f"| `{path}` | object{null}{ends} | {meaning} |"
        printed.update(records)
        if fresh:
            yield from _keys(path, fresh, printed)
        return
    (option, *_) = options
    origin, inner = typing.get_origin(option), typing.get_args(option)
    if origin is list and not null and not _is_row(inner[0]):
        yield from _rows(f"{path}[]", _with(inner[0], meaning, optional), printed)
    elif origin is dict and unwrap(inner[0])[2]:
        yield from _rows(f"{path}.{unwrap(inner[0])[2]}", _with(inner[1], meaning, optional), printed)
    else:
        kinds = " or ".join(WORDS[typing.get_origin(option) or option] for option in options)
        yield f"| `{path}` | {kinds}{null}{ends} | {meaning} |"


def _keys(path: str, records: list[type], printed: set[type]) -> Iterator[str]:
    """Rows of the keys of alternative records: a key that one of them lacks is optional."""
    hints = [typing.get_type_hints(record, include_extras=True) for record in records]
    for key in dict.fromkeys(key for hint in hints for key in hint):
        variants = [hint[key] for hint in hints if key in hint]
        hint = variants[0] if len(variants) == len(hints) else NotRequired[variants[0]]
        yield from _rows(f"{path}.{key}", hint, printed)


def unwrap(hint: Any) -> tuple[Any, str, str, bool]:
    """Take a hint apart: (type, meaning, the word that its key is printed as, whether it may be absent)."""
    meaning, word, optional = "", "", False
    while (origin := typing.get_origin(hint)) in (Annotated, NotRequired, Required):
        if origin is Annotated:
            (note, *_) = hint.__metadata__
            meaning, word = (meaning, str(note)) if isinstance(note, Key) else (str(note), word)
            hint = hint.__origin__
        else:
            optional = optional or origin is NotRequired
            (hint,) = typing.get_args(hint)
    return hint, meaning, word, optional


def _options(plain: Any) -> tuple[Any, ...]:
    return typing.get_args(plain) if typing.get_origin(plain) in (Union, types.UnionType) else (plain,)


def _is_row(hint: Any) -> bool:
    """True if a list of these reads as one value: a shape, or values of any type."""
    return hint in (int, Any)


def _with(hint: Any, meaning: str, optional: bool) -> Any:
    hint = Annotated[hint, meaning] if meaning else hint
    return NotRequired[hint] if optional else hint
