"""One image file as an array: (C, H, W), upright, gray or RGB, and notes about changes.

Accepts the formats below (none that runs a program), with at most as many pixels as Pillow's own limit against
decompression bombs. Floating-point pixels are refused, because their scale is unknown.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError
from striate.files import opened, unreadable
from striate.train.data.dataset import Array

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: Pillow's names. No EPS (it starts Ghostscript) and no format that reads other files.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"}
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
MAX_PIXELS = 89_478_485  # Pillow's MAX_IMAGE_PIXELS: a quarter of a gigabyte of RGB
MAX_BYTES = 256 << 20  # of one encoded image
_GRAY = ("1", "L", "LA", "La", "I", "F")
_TURNED = 0x0112  # the EXIF tag Orientation
DEEP = 65535
DEEPER = "pixels of 16 bits, 0..65535, read as [0, 1]"


class Look(NamedTuple):
    """The header of an image. size: (H, W), upright; deep: pixels of more than 8 bits."""

    size: tuple[int, int]
    channels: int
    format: str
    deep: bool = False


def load_image(
    source: Path | str | bytes | BinaryIO, channels: int | None = None, name: str = ""
) -> tuple[Array, tuple[str, ...]]:
    """Read an image as (C, H, W) uint8, and notes about changes. channels: 1, 3, or None for those of the image.

    Pixels of 16 bits are reduced to the upper 8; if none exceeds 4095, to the upper 8 of 12.
    Raises SourceError (missing, unreadable), FormatError (no image, a truncated one), LimitError (too many pixels).
    """
    pixels, notes = read_image(source, channels, name)
    if pixels.dtype == np.uint8:
        return pixels, notes
    integers = np.rint(pixels * np.float32(DEEP)).astype(np.uint16)
    bits = 12 if integers.max() < 1 << 12 else 16
    cut = f"{bits} bits per pixel reduced to 8"
    return (integers >> (bits - 8)).astype(np.uint8), tuple(cut if note == DEEPER else note for note in notes)


def read_image(
    source: Path | str | bytes | BinaryIO, channels: int | None = None, name: str = ""
) -> tuple[Array, tuple[str, ...]]:
    """Read an image as (C, H, W) uint8, or float32 in [0, 1] if its pixels have 16 bits, and notes about changes.

    Pixels of 16 bits are always divided by 65535, so that the images of a set stay comparable. Raises as load_image.
    """
    if isinstance(source, bytes):
        return decode(io.BytesIO(source), name or "image", channels)
    if isinstance(source, str | Path):
        with opened(Path(source)) as stream:
            return decode(stream, name or str(source), channels)
    return decode(source, name or str(getattr(source, "name", "image")), channels)


def look(stream: BinaryIO, name: str) -> Look:
    """Size and channels from the header alone. Raises FormatError, LimitError."""
    try:
        with _open(stream, name) as image:
            turned = image.getexif().get(_TURNED, 1) in (5, 6, 7, 8)
            size = image.size if turned else image.size[::-1]
            return Look(
                size, 1 if _is_gray(image) else 3, image.format or "image", image.mode.startswith("I")
            )
    except StriateError:
        raise
    except Exception as error:
        raise _decoding_error(name, error) from None


def decode(stream: BinaryIO, name: str, channels: int | None) -> tuple[Array, tuple[str, ...]]:
    """See read_image."""
    try:
        with _open(stream, name) as image:
            return convert(image, channels, name)
    except (StriateError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the image
            raise unreadable(name, error) from None
        raise _decoding_error(name, error) from None
    except Exception as error:  # hostile bytes: whatever a decoder raises concerns this image
        raise _decoding_error(name, error) from None


def convert(image: Picture, channels: int | None, name: str) -> tuple[Array, tuple[str, ...]]:
    """A Pillow image as read_image gives it. Raises FormatError, LimitError."""
    _check_size(image, name)
    notes: list[str] = []
    if getattr(image, "format", None) in ("GIF", "WEBP", "TIFF") and getattr(image, "n_frames", 1) > 1:
        notes.append("only the first of several frames is read")
    image = _upright(image, notes)
    natural = 1 if _is_gray(image) else 3
    count = channels or natural
    if count not in (1, 3):
        raise FormatError(
            f"an image file has 1 or 3 channels, not {count}", where=name, fix="channels 1 or 3"
        )
    if image.mode.startswith("I"):
        pixels = _sixteen_bits(np.asarray(image), name)
        notes.append(DEEPER)
        return (pixels[None] if count == 1 else np.stack([pixels] * 3)), tuple(notes)
    if image.mode == "F":
        raise FormatError(
            f"{name} has floating-point pixels", where=name, fix="save it with 8 bits, or use .npz"
        )
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        notes.append("transparent pixels composited over white")
        image = _over_white(image)
    elif image.mode not in ("1", "L", "RGB"):
        notes.append({"P": "palette"}.get(image.mode, image.mode) + " read as RGB")
        image = image.convert("RGB")
    if count != natural:
        notes.append("gray repeated to three channels" if count == 3 else "color converted to gray")
    pixels = np.asarray(image.convert("L" if count == 1 else "RGB"))
    return np.ascontiguousarray(pixels[None] if count == 1 else pixels.transpose(2, 0, 1)), tuple(notes)


def _open(stream: BinaryIO, name: str) -> Picture:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise SourceError("Pillow, which reads images, is not installed", fix="pip install pillow") from None
    try:
        image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise FormatError(
            f"{name} is not an image",
            where=name,
            why=f"it has no signature of {', '.join(FORMATS)}",
            fix="remove it, or save it as PNG",
        ) from None
    except Image.DecompressionBombError as error:
        raise _bomb(name, str(error)) from None
    _check_size(image, name)
    return image


def _check_size(image: Picture, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _bomb(name, f"{width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are decoded")
    if not width * height:
        raise FormatError(f"{name} has no pixels", where=name, why=f"{width} x {height}", fix="remove it")


def _bomb(name: str, why: str) -> LimitError:
    return LimitError(f"{name} has too many pixels", where=name, why=why, fix="remove it, or shrink it")


def _decoding_error(name: str, error: Exception) -> FormatError:
    return FormatError(
        f"{name} cannot be decoded",
        where=name,
        why=(str(error) or type(error).__name__).splitlines()[0][:200],
        fix="replace or remove it",
    )


def _is_gray(image: Picture) -> bool:
    return image.mode in _GRAY or image.mode.startswith("I;16")


def _upright(image: Picture, notes: list[str]) -> Picture:
    from PIL import ImageOps

    try:
        if image.getexif().get(_TURNED, 1) in range(2, 9):
            upright = ImageOps.exif_transpose(image)
            notes.append("rotated upright as in its EXIF data")
            return upright or image
    except OSError:
        raise  # the pixels cannot be read
    except Exception:
        notes.append("EXIF data is unreadable; the image is not rotated")
    return image


def _sixteen_bits(pixels: Array, name: str) -> Array:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > DEEP:
        raise FormatError(
            f"{name} has pixels from {low:,} to {high:,}", where=name, fix="save it with 8 or 16 bits"
        )
    shares = pixels.astype(np.float32)
    shares /= DEEP
    return shares


def _over_white(image: Picture) -> Picture:
    from PIL import Image

    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
