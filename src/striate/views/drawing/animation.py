"""An animated drawing as GIF or WebP: each step rendered by resvg, encoded by Pillow with one palette for all steps."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate.diagnostics import LimitError, MissingExtraError, warn
from striate.views.drawing.extra import needed, replaced
from striate.views.drawing.motion import still
from striate.views.drawing.raster import FINE, png

if TYPE_CHECKING:
    from striate.views.schemas.scene import Drawing, Motion

MAX_PIXELS = 400_000_000
"""Pixels of all steps together."""
FACTOR = 0.75
"""Size of a step compared with that of a PNG file: files of many steps stay small."""
COLORS = 255
"""Colors of one image, the most frequent ones exactly as they are; GIF writes what does not change with one more."""
APART = 8
"""Levels by which two colors of a palette differ at least in one of red, green and blue."""
GIF_MIN_STEP_MS = 20
"""Browsers slow down GIF images with shorter steps."""


def animation(drawing: Drawing, suffix: str, theme: str = "light", scale: float = 1.0) -> bytes:
    """The bytes of a .gif or .webp file; a drawing that does not move is one image.

    suffix: ".gif" or ".webp"; theme, scale: as `png` takes them. Raises MissingExtraError without resvg, reportlab or
    Pillow's WebP, LimitError for steps of more than 400 million pixels together.
    """
    with needed():
        from PIL import Image, features

    if suffix == ".webp" and not features.check("webp"):
        raise MissingExtraError(
            "this Pillow writes no WebP", why="it was built without libwebp", fix="write a .gif file"
        )
    drawing = replaced(drawing)
    zoom = FACTOR * scale
    motion = drawing.get("motion")
    steps = motion["steps"] if motion else 1
    pixels = steps * drawing["width"] * drawing["height"] * (FINE * zoom) ** 2
    if pixels > MAX_PIXELS:
        raise LimitError(
            f"the {steps} steps would have {round(pixels):,} pixels together",
            why=f"the limit is {MAX_PIXELS:,}",
            fix=f"--scale {scale * (MAX_PIXELS / pixels) ** 0.5:.2g}, or an .svg file, which has no pixels",
        )
    rendered = [png(still(drawing, step), theme, zoom) for step in range(steps)]
    colors = _palette(rendered)
    frames = [_opened(data).quantize(palette=colors, dither=Image.Dither.NONE) for data in rendered]
    kwargs: dict[str, Any] = {}
    if motion:
        kwargs = {
            "save_all": True,
            "append_images": frames[1:],
            "duration": durations(motion, GIF_MIN_STEP_MS if suffix == ".gif" else 1),
            "loop": 0,
        }
    buffer = io.BytesIO()
    if suffix == ".gif":
        frames[0].save(buffer, "GIF", optimize=True, **kwargs)
    else:
        frames[0].save(buffer, "WEBP", lossless=True, method=3, **kwargs)
    return buffer.getvalue()


def durations(motion: Motion, least: int) -> list[int]:
    """Milliseconds of each step, at least `least`; the last one also holds."""
    step = 1000 / motion["speed"]
    if step < least:
        warn(f"a GIF shows at most {1000 // least} steps per second; .webp and .svg show {motion['speed']:g}")
    each = max(round(step), least)
    return [each] * (motion["steps"] - 1) + [each + round(1000 * motion["hold"])]


def _opened(data: bytes) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def _palette(rendered: Sequence[bytes]) -> Any:
    """An image whose palette holds the most frequent colors of all steps."""
    from PIL import Image

    seen: Counter[tuple[int, int, int]] = Counter()
    for data in rendered:
        image = _opened(data)
        seen.update({color: count for count, color in image.getcolors(image.width * image.height)})
    found: list[tuple[int, int, int]] = []
    for color, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        # Pillow takes the nearest color but for a few levels: neighbors would replace the frequent ones.
        if all(max(abs(a - b) for a, b in zip(color, other, strict=True)) >= APART for other in found):
            found.append(color)
        if len(found) == COLORS:
            break
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for color in found for part in color])
    return palette
