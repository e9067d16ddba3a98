"""Read the body of a request: JSON of a limited size, whose parts are what they should be."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from striate.diagnostics import LimitError, StriateError, plural

MIB = 1 << 20


class Refusal(StriateError):
    """A request that is not answered; status: of HTTP."""

    code, title = "I009", "usage"

    def __init__(self, status: int, what: str, **parts: str) -> None:
        super().__init__(what, **parts)
        self.status = status


async def read(declared: str | None, stream: AsyncIterator[bytes], most: int) -> bytes:
    """A body of at most `most` bytes, however it is sent. declared: its header content-length. Raises Refusal."""
    if declared is not None and not (declared.isdecimal() and len(declared) < 20):
        raise Refusal(
            400,
            "content-length is not a number",
            why="it is the number of bytes of the body",
            fix="send the number of bytes, or leave the header out",
        )
    if declared is not None and int(declared) > most:
        raise _too_large(most)
    parts, size = [], 0
    async for part in stream:
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    return Refusal(
        413,
        "the request is too large",
        why=f"it may have at most {most // MIB} MiB",
        fix="send a smaller image or network",
    )


def parse(content: bytes) -> Body:
    """The object in a body. Raises Refusal for what is not JSON, and for numbers that are not finite."""
    try:
        value = json.loads(content.decode(), parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise Refusal(400, "the request is not JSON", why=why, fix="send one JSON object") from None
    if not isinstance(value, dict):
        raise Refusal(
            400,
            "the request is not an object",
            why=f"it is {type(value).__name__}",
            fix="send one JSON object",
        )
    return Body(value)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


class Body:
    """The parts of a request by name. Every method raises Refusal for a part that is missing or not of its kind."""

    def __init__(self, parts: Mapping[str, Any], path: str = "") -> None:
        self._parts, self._path = parts, path

    def has(self, name: str) -> bool:
        return self._parts.get(name) is not None

    def text(self, name: str, most: int = 1000, default: str | None = None) -> str:
        """A text of at most `most` characters that can be written as UTF-8. Raises LimitError for a longer one too."""
        value = self._get(name, str, "a text", default)
        if len(value) > most:
            raise LimitError(
                f"{name} has {plural(len(value), 'character')}",
                where=self._path + name,
                why=f"the page takes at most {most:,}",
                fix="use the command line: striate check FILE",
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._refusal(
                name, "holds half a character", "a lone surrogate is not a character", "remove it"
            ) from None
        return str(value)

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        value = self._get(name, int, "a whole number", default)
        if isinstance(value, bool) or not least <= value <= most:
            raise self._refusal(
                name, "is not allowed", f"it is a whole number from {least:,} to {most:,}", f"send {least}"
            )
        return int(value)

    def texts(self, name: str, most: int) -> list[str]:
        """A list of at most `most` texts."""
        values = self._list(name, most)
        one = Body({str(k): value for k, value in enumerate(values)}, f"{self._path}{name}.")
        return [one.text(str(k)) for k in range(len(values))]

    def wholes(self, name: str, most: int) -> list[int]:
        """A list of at most `most` whole numbers from 0; empty if it is missing."""
        values = self._list(name, most) if self.has(name) else []
        one = Body({str(k): value for k, value in enumerate(values)}, f"{self._path}{name}.")
        return [one.whole(str(k), 0, 10**9) for k in range(len(values))]

    def number(self, name: str, least: float, most: float, default: float | None = None) -> float:
        """A number from `least` to `most`."""
        value = self._get(name, int | float, "a number", default)
        if isinstance(value, bool) or not least <= value <= most:
            raise self._refusal(
                name, "is not allowed", f"it is a number from {least:g} to {most:g}", f"send {least:g}"
            )
        return float(value)

    def parts(self, name: str, most: int) -> list[Body]:
        """A list of at most `most` objects."""
        values = self._list(name, most)
        one = Body({str(k): value for k, value in enumerate(values)}, f"{self._path}{name}.")
        return [one.part(str(k)) for k in range(len(values))]

    def binary(self, name: str) -> bytes:
        """Bytes in base64."""
        try:
            return base64.b64decode(self._get(name, str, "base64", None), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self._refusal(
                name, "is not base64", str(error), "encode the bytes as base64, RFC 4648"
            ) from None

    def part(self, name: str) -> Body:
        """An object."""
        return Body(self._get(name, dict, "an object", None), f"{self._path}{name}.")

    def _refusal(self, name: str, what: str, why: str, fix: str) -> Refusal:
        """A refusal of a part of the body. what: what is wrong with it."""
        return Refusal(422, f"{name} {what}", where=self._path + name, why=why, fix=fix)

    def _list(self, name: str, most: int) -> Sequence[Any]:
        values = self._get(name, list, "a list", None)
        if len(values) > most:
            raise self._refusal(
                name, "is too long", f"it has at most {most}", f"send at most {most} at a time"
            )
        return values  # type: ignore[no-any-return]

    def _get(self, name: str, kind: Any, what: str, default: Any) -> Any:
        value = self._parts.get(name, default)
        value = default if value is None else value
        if not isinstance(value, kind):
            raise self._refusal(
                name,
                f"is {'missing' if value is None else 'not ' + what}",
                f"the request needs {what}",
                f"send {what} as {self._path}{name}",
            )
        return value
