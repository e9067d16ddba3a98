"""Numbers as people read them: 1,234 · 118.0M · 3.1 MiB · HxWxC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.diagnostics import plural


def count(n: int) -> str:
    """All digits, grouped: 1,234,567."""
    return f"{n:,}"


def short(n: int | float) -> str:
    """About four digits: 999, 117.6k, 4.09G."""
    if abs(n) >= 10**15:
        return f"{n:.2e}".replace("e+", "e")
    for unit, scale in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(n) >= scale * 0.99995:
            value = n / scale
            return f"{value:.2f}{unit}" if value < 9.995 else f"{value:.1f}{unit}"
    return str(n)


def digits(value: float) -> str:
    """Three significant digits, for measured times: 0.012, 4.57, 1235.

    >>> digits(0.01234), digits(4.567), digits(1234.6)
    ('0.012', '4.57', '1235')
    """
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def size(n: int) -> str:
    """Bytes in binary units: 18.4 KiB."""
    value: float = n
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1023.95 or unit == "TiB":
            break
        value /= 1024
    return f"{n} B" if unit == "B" else f"{value:.{0 if value >= 99.95 else 1}f} {unit}"


def shape(chw: Sequence[int]) -> str:
    """(C, H, W) as papers write it: HxWxC."""
    return "x".join(str(n) for n in (*chw[1:], chw[0]))


def inputs(record: Mapping[str, Any]) -> str:
    """The inputs of a network's record: `input 32x32x3`, or each by its name."""
    shapes = record["inputs"]
    if len(shapes) == 1:
        return f"input {shape(next(iter(shapes.values())))}"
    return f"inputs {', '.join(f'{name} {shape(sizes)}' for name, sizes in shapes.items())}"


def per_axis(values: Sequence[object], sign: str = "x") -> str:
    """One value if all axes agree, else one per axis: 3, 7x1."""
    texts = [str(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else sign.join(texts)


def unknown(record: Mapping[str, Any], *what: str) -> list[str]:
    """The nodes that make totals of params, macs or memory incomplete.

    record: striate.show/1, or a part of it with totals.
    """
    lost = record["totals"].get("unknown", {})
    return list(dict.fromkeys(name for quantity in what for name in lost.get(quantity, ())))


def lacking(record: Mapping[str, Any], *what: str) -> str:
    """The number of nodes that make these totals incomplete, after a semicolon; empty if they are complete."""
    names = unknown(record, *what)
    return f"; {plural(len(names), 'node')} unknown" if names else ""


def bound(record: Mapping[str, Any], what: str) -> str:
    """Prefix of a total: "at least " if it is incomplete, else empty."""
    return "at least " if unknown(record, what) else ""


def total(record: Mapping[str, Any], what: str) -> str:
    """A total of params or macs; a lower bound if it is incomplete."""
    return f"{bound(record, what)}{count(record['totals'][what])}{lacking(record, what)}"
