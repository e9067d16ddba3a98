"""Steps of an animated picture: the positions of a window, and the style sheet that shows them in SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing, Mark, Motion

PER_AXIS_MAX_POSITIONS = 14
"""Positions along an axis that are shown; of more, as many at equal distances."""
ROW_MAX_POSITIONS = 56
"""The same for a layer with one axis."""


def sampled(rows: int, columns: int) -> list[tuple[int, int]]:
    """Positions (row, column) of the window, row by row."""
    return [
        (i, j)
        for i in _spaced(rows, PER_AXIS_MAX_POSITIONS)
        for j in _spaced(columns, PER_AXIS_MAX_POSITIONS if rows > 1 else ROW_MAX_POSITIONS)
    ]


def _spaced(size: int, most: int) -> list[int]:
    if size <= most:
        return list(range(size))
    return [k * (size - 1) // (most - 1) for k in range(most)]


def last(drawing: Drawing) -> Drawing:
    """The drawing in its last step, without motion."""
    motion = drawing.get("motion")
    return drawing if motion is None else still(drawing, motion["steps"] - 1)


def still(drawing: Drawing, step: int) -> Drawing:
    """The drawing in a step, from 0, without motion."""
    if "motion" not in drawing:
        return drawing
    one = drawing.copy()
    del one["motion"]
    one["marks"] = [mark for mark in drawing["marks"] if seen(mark, step)]
    return one


def seen(mark: Mark, step: int) -> bool:
    """Whether a mark is there in a step, from 0."""
    first, final = mark.get("steps", (step, step))
    return first <= step <= final


def style(motion: Motion, spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    """CSS that shows each span of steps in its time, in a loop, unless the reader prefers no motion."""
    seconds = motion["steps"] / motion["speed"] + motion["hold"]
    frames, rules = [], []
    for span in sorted(set(spans)):
        name = key(motion, span)
        frames.append(f"@keyframes {name}{{{_keyframes(motion, span, seconds)}}}")
        rules.append(f".{name}{{animation:{name} {_short(seconds)}s step-end infinite}}")
    if frames:
        yield f"<style>{''.join(frames)}@media (prefers-reduced-motion:no-preference){{{''.join(rules)}}}</style>"


def key(motion: Motion, span: tuple[int, int]) -> str:
    """The class of the marks of a span: other pictures of the same page have other names or the same frames."""
    rate = _short(motion["speed"]).replace(".", "_")
    return f"s{motion['steps']}-{rate}-{span[0]}-{span[1]}"


def _keyframes(motion: Motion, span: tuple[int, int], seconds: float) -> str:
    """Each frame holds until the next one."""
    first, final = span
    frames = [] if first == 0 else [(0, 0)]
    frames.append((first, 1))
    if final < motion["steps"] - 1:
        frames.append((final + 1, 0))
    share = 100 / (motion["speed"] * seconds)
    text = "".join(f"{_short(step * share)}%{{opacity:{opacity}}}" for step, opacity in frames)
    return f"{text}100%{{opacity:{frames[-1][1]}}}"


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
