"""Edit the source of a network: a `.toml` file, changed only where needed, or a notation.

Decides which sources can be changed, and how a `.toml` text keeps its comments, order and spelling; does not know why a
field changes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from striate.diagnostics import FormatError, StriateError
from striate.files import exists
from striate.formats import notation, toml
from striate.formats.cursor import Cursor
from striate.formats.grammar import read_op
from striate.formats.text_files import read_text
from striate.formats.tokens import tokenize
from striate.network import Network, Node

_HEADER = re.compile(r"\s*\[\[?\s*(?P<name>[^\[\],]+?)\s*\]?\]\s*(?:#.*)?")


@dataclasses.dataclass(frozen=True)
class Rewritten:
    """old, new: the texts before and after; path: the file that holds the old one; None for a notation."""

    old: str
    new: str
    path: Path | None = None


def rewrite(source: str, network: Network, input: notation.Size | None = None) -> Rewritten:
    """Rewrite `source`, as `load` takes it, so that it describes `network`.

    network: the source's network with changed fields or another input size; input: as it was loaded. Raises FormatError
    for a source that is neither a `.toml` file nor a notation.
    """
    text = source.strip()
    path_exists = exists(Path(text))
    if notation.is_notation(text) and not path_exists:
        return Rewritten(text, notation.to_notation(network))
    path = Path(text)
    if path_exists and path.suffix.lower() == ".toml":
        old = read_text(path)
        return Rewritten(old, edit(old, network, input), path)
    raise _refusal(text, network, path_exists)


def _refusal(text: str, network: Network, path_exists: bool) -> FormatError:
    module = text.rpartition(":")[0] or text
    if Path(module).suffix == ".py" or (":" in text and not path_exists):
        why, fix = f"{module} is Python code, which is not edited automatically", "change it there"
    elif path_exists:
        why, fix = "it holds weights that match the network as it is", "change it where it was made"
    else:
        why, fix = f"{text} is a catalogue network, which stays as published", ""
    advice = f"striate convert {text} {network.name}.toml, then fix that file"
    return FormatError(
        f"{text} is not changed",
        where=text,
        why=f"{why}; only .toml files and notations are fixed",
        fix=f"{fix}, or {advice}" if fix else advice,
    )


def edit(text: str, network: Network, input: notation.Size | None = None) -> str:
    """Edit a `.toml` text so that it describes `network`; everything else stays as it is.

    If the text has an unusual form, it is written completely new, without its comments.

    >>> text = '[network]\\ninput = "9x9x8"\\n[[node]]  # a mean\\nname = "m"\\nop = "avgpool 3x3 /2 pad 1"\\n'
    >>> net = toml.parse(text)
    >>> op = dataclasses.replace(net.node("m").op, count_include_pad=False)
    >>> print(edit(text, net.replace("m", op)), end="")
    [network]
    input = "9x9x8"
    [[node]]  # a mean
    name = "m"
    op = "avgpool 3x3 /2 pad 1 countpad off"
    """
    old = toml.parse(text, input=input)
    try:
        new = _Lines(text).apply(old, network)
        if toml.parse(new, input=input) == network:
            return new
    except (StriateError, _Unusual):
        pass
    if input is not None:  # the file does not hold it
        network = dataclasses.replace(network, inputs=toml.parse(text).inputs)
    return toml.format(network)


class _Unusual(Exception):
    """A text whose form does not allow editing line by line."""


def _text(value: str) -> str:
    import tomllib

    try:
        text = tomllib.loads(f"text = {value.strip()}")["text"]
    except ValueError:
        raise _Unusual from None
    if not isinstance(text, str):
        raise _Unusual
    return text


class _Lines:
    """The lines of a text, which keep any `\r` but not the `\\n`."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.end = "\r" if self.lines[0].endswith("\r") else ""

    def apply(self, old: Network, new: Network) -> str:
        """Apply the changes from one network to the other, from the last node to the first."""
        for before, after in reversed([*zip(old.nodes, new.nodes, strict=True)]):
            if before.op != after.op:
                self._node(before, after, old)
        for name, spec in new.inputs.items():
            if spec != old.inputs[name]:
                self._input(name, notation.format_size(spec.without_batch))
        return "\n".join(self.lines)

    def _node(self, before: Node, after: Node, network: Network) -> None:
        if before.place is None or type(before.op) is not type(after.op):
            raise _Unusual
        start = before.place.line
        values = {
            field.name: getattr(after.op, field.name)
            for field in dataclasses.fields(after.op)
            if getattr(before.op, field.name) != getattr(after.op, field.name)
        }
        rest = {}
        for name, value in values.items():
            if not self._set(start, name, toml.format_value(value)):
                rest[name] = value
        if not rest:
            return
        at, column = self._find(start, "op")
        end = self._end(at, column)
        phrase = _text(self.lines[at][column:end])
        tokens = tokenize(phrase)
        if len(tokens) == 2:  # the op's word alone: its fields stand below it
            indent = self.lines[at][: len(self.lines[at]) - len(self.lines[at].lstrip())]
            fields = [
                f"{indent}{name} = {toml.format_value(value)}{self.end}" for name, value in rest.items()
            ]
            self.lines[at + 1 : at + 1] = fields
            return
        spec = network.inference.specs.get(before.inputs[0])
        op = dataclasses.replace(read_op(Cursor(phrase, tokens)), **rest)
        self._put(at, column, end, toml.format_value(op.phrase(len(spec.spatial) or 2 if spec else 2)))

    def _input(self, name: str, size: str) -> None:
        headers = {match["name"]: at for at, match in self._headers()}
        for header in ("network", "network.inputs"):
            if header in headers and self._set(headers[header] + 1, name, toml.format_value(size)):
                return
        raise _Unusual

    def _headers(self) -> Iterator[tuple[int, re.Match[str]]]:
        for at, line in enumerate(self.lines):
            if match := _HEADER.fullmatch(line):
                yield at, match

    def _find(self, start: int, key: str) -> tuple[int, int]:
        """Line and column of a key's value in the table below line `start` (counted from 1). _Unusual if absent."""
        for at in range(start, len(self.lines)):
            if _HEADER.fullmatch(self.lines[at]):
                break
            if match := re.match(rf'\s*(?:{re.escape(key)}|"{re.escape(key)}")\s*=\s*', self.lines[at]):
                return at, match.end()
        raise _Unusual

    def _set(self, start: int, key: str, value: str) -> bool:
        """Set a key of a table; return whether the table has it."""
        try:
            at, column = self._find(start, key)
        except _Unusual:
            return False
        self._put(at, column, self._end(at, column), value)
        return True

    def _put(self, at: int, column: int, end: int, value: str) -> None:
        line = self.lines[at]
        space = line[column:end][len(line[column:end].rstrip()) :]
        self.lines[at] = line[:column] + value + space + line[end:]

    def _end(self, at: int, column: int) -> int:
        """Column after a value: at a comment or the end of the line. Raises _Unusual if the value continues on the next
        line.
        """
        line, depth, quote, k = self.lines[at], 0, "", column
        while k < len(line):
            character = line[k]
            if quote:
                k += character == "\\" and quote == '"'
                quote = "" if character == quote else quote
            elif character in "\"'":
                quote = character
            elif character == "#":
                break
            else:
                depth += (character in "[{") - (character in "]}")
            k += 1
        if depth or quote:
            raise _Unusual
        return min(k, len(line))
