"""The colors of a picture, by name, on a light and on a dark background.

A mark names its color by its meaning (`ink`, `conv`, `error`); a theme maps the name to a color. Text is drawn
in `ink`, `muted` and the colors of findings, all of which have a contrast of 4.5:1 or more against `paper` and against
every `*-fill`.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff", "ink": "#1b2027", "muted": "#535c68", "faint": "#dfe3e8", "line": "#7a8491",
    "input": "#e9ecf0", "input-top": "#f6f7f9", "input-side": "#ccd2d9",
    "conv": "#bcd7f5", "conv-top": "#dcebfb", "conv-side": "#8fb9e6",
    "pool": "#f9d3a8", "pool-top": "#fde8cf", "pool-side": "#eab67a",
    "dense": "#cfe8c4", "dense-top": "#e6f4df", "dense-side": "#a5cf95",
    "module": "#d9cff2", "module-top": "#ece7f9", "module-side": "#b8a8e0",
    "merge": "#f4cfe1", "merge-top": "#fae6f0", "merge-side": "#dda6c4",
    "other": "#dfe3e8", "other-top": "#eff1f4", "other-side": "#c3cad2",
    "padding": "#f1f3f5", "window": "#c2570c", "window-fill": "#fde3cf", "filter": "#1f6fbf",
    "error": "#b42318", "warning": "#8a5300", "info": "#535c68",
    "error-fill": "#fdecea", "warning-fill": "#fdf1dc", "info-fill": "#eef0f3",
    "good": "#1a7431", "good-fill": "#e5f5e8",
    "params": "#1f6fbf", "macs": "#c2570c",
}  # fmt: skip
DARK = {
    "paper": "#14181d", "ink": "#e8ebef", "muted": "#a9b3bf", "faint": "#333b45", "line": "#8a95a3",
    "input": "#39424d", "input-top": "#4b5663", "input-side": "#2a313a",
    "conv": "#234e7c", "conv-top": "#326598", "conv-side": "#193a5e",
    "pool": "#6f4717", "pool-top": "#8a5b22", "pool-side": "#533410",
    "dense": "#2f5a2b", "dense-top": "#3f7239", "dense-side": "#22431f",
    "module": "#4a3d7a", "module-top": "#5d4f95", "module-side": "#372d5c",
    "merge": "#6b2f4f", "merge-top": "#863e65", "merge-side": "#50233b",
    "other": "#39424d", "other-top": "#4b5663", "other-side": "#2a313a",
    "padding": "#1e242b", "window": "#f0914a", "window-fill": "#4a2c14", "filter": "#6fb1f2",
    "error": "#ff9187", "warning": "#f2b84b", "info": "#a9b3bf",
    "error-fill": "#47191a", "warning-fill": "#3f2c0a", "info-fill": "#252c34",
    "good": "#7ccf8c", "good-fill": "#17351e",
    "params": "#6fb1f2", "macs": "#f0914a",
}  # fmt: skip

FAMILIES = ("input", "conv", "pool", "dense", "module", "merge", "other")
"""What a block or a box stands for; `conv-top` and `conv-side` are the other faces of a block."""
for _family in FAMILIES:  # a tint is the background of text; a mark stands out from `faint`
    LIGHT[f"{_family}-tint"] = LIGHT[f"{_family}-top"]
    DARK[f"{_family}-tint"] = DARK[f"{_family}-side"]
    LIGHT[f"{_family}-mark"] = LIGHT[f"{_family}-side"]
    DARK[f"{_family}-mark"] = DARK[f"{_family}-top"]
LIGHT |= {"error-tint": LIGHT["error-fill"]}
DARK |= {"error-tint": DARK["error-fill"]}
SERIES = {
    "series-1": ("#1f6fbf", "#6fb1f2"), "series-2": ("#b5500b", "#f0914a"), "series-3": ("#1a7431", "#7ccf8c"),
    "series-4": ("#7a3fb0", "#c3a0f0"), "series-5": ("#a8246b", "#f294c0"), "series-6": ("#5f5a1e", "#d6c96b"),
}  # fmt: skip
"""Curves, and the texts at their ends."""
LIGHT |= {name: light for name, (light, _) in SERIES.items()}
DARK |= {name: dark for name, (_, dark) in SERIES.items()}
CELL_INK = {"cell-dark": "#000000", "cell-pale": "#ffffff"}
LIGHT |= CELL_INK
DARK |= CELL_INK

COUNTS = ("#f3f0e8", "#cfe0d0", "#8fc4b7", "#4a9fa8", "#2b6f96", "#26417a", "#1c1e4f")
"""Few to many: one hue after the other, each darker than the one before."""
SIGNED = ("#1d4f91", "#4f86c6", "#a9c8e8", "#f5f3ef", "#f3c79b", "#d9823b", "#96480b")
"""Below zero, zero, above."""
GRAY = ("#000000", "#ffffff")
PALETTES = {"counts": COUNTS, "signed": SIGNED, "gray": GRAY}


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb", 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mapped(palette: str, level: int) -> str:
    """The color of a level from 0 to 255, between the neighbors that a palette lists; of `rgb`, the level is the color.

    >>> mapped("gray", 128), mapped("rgb", 0x1F6FBF)
    ('#808080', '#1f6fbf')
    """
    if palette == "rgb":
        return f"#{level:06x}"
    colors = PALETTES[palette]
    place = level * (len(colors) - 1) / 255
    left = min(int(place), len(colors) - 2)
    share = place - left
    mixed = (
        round(a + (b - a) * share) for a, b in zip(rgb(colors[left]), rgb(colors[left + 1]), strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def luminance(color: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (c / 255 for c in rgb(color))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colors, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on_cell(palette: str, level: int) -> str:
    """The color of a number in a cell: dark on pale cells, pale on dark ones, the same in both themes."""
    return "cell-dark" if contrast(mapped(palette, level), CELL_INK["cell-dark"]) >= 4.5 else "cell-pale"
