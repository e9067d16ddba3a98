"""Split text into tokens, and report errors at a token: line, column, and a caret under the text.

Decides what a word, a number and a size look like; does not know what they mean. One pass without regular expressions,
so that no text is slow.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Sequence

from striate.diagnostics import LimitError, NotationError, plural

MAX_TEXT = 4_000_000
"""Maximum characters of a network description; the longest catalogue network needs some thousands."""

MAX_NUMBER = 10**9
"""The largest size; everything up to it is exact."""

MAX_SIZES = 8
"""Maximum numbers in one size; a volume with channels has four."""

_EXCERPT = 66
_MARKS = "[]()*:,/="


class Kind(enum.Enum):
    """Kind of a token; the value is its name in messages."""

    ARROW = "'->'"
    MARK = "a mark"
    INTEGER = "a whole number"
    NUMBER = "a number"
    SIZE = "a size"
    WORD = "a word"
    TEXT = "a quoted text"
    END = "the end"


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` as read (quoted text without quotes), `value` of numbers and sizes, its place start..end."""

    kind: Kind
    text: str
    start: int
    end: int
    value: int | float | tuple[int, ...] | None = None

    def is_(self, mark: str) -> bool:
        return self.kind is Kind.MARK and self.text == mark

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "the end"
        return repr(self.text if len(self.text) <= 40 else self.text[:37] + "...")


def excerpt(source: str, start: int, end: int) -> str:
    """Format line, column and a caret line under `source[start:end]`; long lines are shortened."""
    line = source.count("\n", 0, start) + 1
    line_start = source.rfind("\n", 0, start) + 1
    line_end = source.find("\n", start)
    line_end = len(source) if line_end < 0 else line_end
    column = start - line_start
    end = min(max(end, start + 1), max(line_end, start + 1))
    left = (
        max(line_start, min(start - _EXCERPT // 2, line_end - _EXCERPT))
        if line_end - line_start > _EXCERPT
        else line_start
    )
    right = min(line_end, left + _EXCERPT)
    before, after = "..." * (left > line_start), "..." * (right < line_end)
    visible = "".join(c if c.isprintable() else " " for c in source[left:right])
    carets = "^" * (min(end, max(right, start + 1)) - start)
    return f"line {line}, column {column + 1}\n{before}{visible}{after}\n{' ' * (len(before) + start - left)}{carets}"


def tokenize(source: str) -> list[Token]:
    """The tokens of a notation, an END token last; spaces, newlines and `#` comments separate them.

    Raises NotationError for an unknown character or word, LimitError for too long a text or too large a number.
    """
    if len(source) > MAX_TEXT:
        raise LimitError(
            f"the text has {plural(len(source), 'character')}",
            why=f"a network description has at most {MAX_TEXT:,}",
            fix="build it with the Python API",
        )
    return [*_with_sizes(_tokens(source)), Token(Kind.END, "", len(source), len(source))]


def _with_sizes(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens with one size for whole numbers in round brackets, `(3, 3)`, where no call can begin."""
    held: list[Token] = []
    before: Token | None = None
    for token in tokens:
        if token.is_("(") and before is not None and before.kind is Kind.MARK:
            yield from held
            held = [token]
        elif held:
            held.append(token)
            if token.is_(")"):
                yield from _size(held)
                held = []
            elif (token.kind is not Kind.INTEGER and not token.is_(",")) or len(held) > 2 * MAX_SIZES:
                yield from held
                held = []
        else:
            yield token
        before = token
    yield from held


def _size(tokens: Sequence[Token]) -> Sequence[Token]:
    """One size for `( 3 , 3 )`, or a whole number for `( 3 )`; other tokens as they are."""
    inner = tokens[1:-2] if tokens[-2].is_(",") else tokens[1:-1]
    numbers = [token.value for token in inner[::2] if isinstance(token.value, int)]
    if len(numbers) != len(inner[::2]) or not numbers or not all(token.is_(",") for token in inner[1::2]):
        return tokens
    text, start, end = "x".join(map(str, numbers)), tokens[0].start, tokens[-1].end
    if len(numbers) == 1:
        return [Token(Kind.INTEGER, text, start, end, numbers[0])]
    return [Token(Kind.SIZE, text, start, end, tuple(numbers))]


def _tokens(source: str) -> Iterator[Token]:
    at, n = 0, len(source)
    while at < n:
        c = source[at]
        if c.isspace():
            at += 1
        elif c == "#":
            newline = source.find("\n", at)
            at = n if newline < 0 else newline
        elif c == "→" or source.startswith("->", at):
            width = 1 if c == "→" else 2
            yield Token(Kind.ARROW, "->", at, at + width)
            at += width
        elif c in _MARKS:
            yield Token(Kind.MARK, c, at, at + 1)
            at += 1
        elif c in "\"'":
            token = _read_quoted(source, at)
            yield token
            at = token.end
        else:
            end = _run(source, at)
            if end == at:
                raise NotationError(
                    f"cannot read the character {c!r}",
                    where=excerpt(source, at, at + 1),
                    why="the notation has words, numbers, sizes such as 3x3, and the marks -> [ ] ( ) * : , / = #",
                    fix="write '->' between stages" if c in "->>|;" else "leave it out",
                )
            yield _classify(source, at, end)
            at = end


def _run(source: str, at: int) -> int:
    """End of the run of letters, digits, '_' and '.' that begins at `at`; '-' joins `1e-5`, `-1` and `stem-conv`."""
    end, n = at, len(source)
    numeric = True
    while end < n:
        c = source[end]
        if c == "-":
            follows = source[end + 1] if end + 1 < n else ""
            exponent = numeric and end > at and source[end - 1] in "eE" and follows.isdigit()
            if not (follows.isdigit() if end == at else exponent or (not numeric and follows.isalnum())):
                break
        elif c == "+":
            if not (numeric and end > at and source[end - 1] in "eE"):
                break
        elif not (c.isalnum() or c in "_.×"):
            break
        elif not (c.isdigit() or c in ".eE") or (c in "eE" and end == at):
            numeric = False
        end += 1
    return end


def _classify(source: str, start: int, end: int) -> Token:
    text = source[start:end]
    if (text[0].isalpha() and text[0] != "×") or text[0] == "_":
        return Token(Kind.WORD, text, start, end)
    parts = text.replace("×", "x").replace("X", "x").split("x")
    if len(parts) <= MAX_SIZES and all(
        part.removeprefix("-").isascii() and part.removeprefix("-").isdigit() for part in parts
    ):
        values = tuple(integer(part, source, start, end) for part in parts)
        if len(values) == 1:
            return Token(Kind.INTEGER, text, start, end, values[0])
        return Token(Kind.SIZE, text, start, end, values)
    if len(text) == 2 and text[0] in "123" and text[1] in "dD":
        return Token(Kind.WORD, text.lower(), start, end)
    try:
        value = float(text) if len(text) <= 40 and text.isascii() and "_" not in text else None
    except ValueError:
        value = None
    if value is None or value in (float("inf"), float("-inf")):
        raise NotationError(
            f"cannot read {Token(Kind.WORD, text, start, end)!s} as a number or a size",
            where=excerpt(source, start, end),
            why="words begin with a letter; numbers look like 3 or 0.5, sizes like 3x3",
            fix="write height x width such as 3x3, or height x width x channels such as 32x32x3",
        )
    return Token(Kind.NUMBER, text, start, end, value)


def integer(text: str, source: str, start: int, end: int) -> int:
    """Parse a whole number. Raises LimitError above MAX_NUMBER."""
    digits = text.lstrip("-").lstrip("0") or "0"
    if len(digits) > 10 or int(digits) > MAX_NUMBER:
        number = digits if len(digits) <= 20 else f"a number of {len(digits)} digits"
        raise LimitError(
            f"{number} is too large",
            where=excerpt(source, start, end),
            why=f"sizes and counts go up to {MAX_NUMBER:,}",
            fix="use a smaller number",
        )
    return -int(digits) if text.startswith("-") else int(digits)


def _single(source: str, at: int) -> int:
    """End of a text in single quotes. Raises ValueError where it has none on the line."""
    end = source.index("'", at + 1) + 1
    if not source[at:end].isprintable():
        raise ValueError
    return end


def _read_quoted(source: str, at: int) -> Token:
    """Read a text in double quotes with JSON escapes, for names that are not words, or in single ones without."""
    import json

    try:
        if source[at] == "'":
            return Token(Kind.TEXT, source[at + 1 : (end := _single(source, at)) - 1], at, end)
        text, end = json.JSONDecoder().raw_decode(source, at)
        problem = "" if text.isprintable() else "it contains a character that cannot be printed"
    except ValueError:
        text, end, problem = "", at + 1, "it has no closing quote on the same line, or an unknown escape"
    if problem:
        raise NotationError(
            "cannot read a quoted text",
            where=excerpt(source, at, end),
            why=problem,
            fix='write it as "name", with letters, digits and marks only',
        )
    return Token(Kind.TEXT, text, at, end)
