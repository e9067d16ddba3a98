"""One op as a phrase of the notation: `conv 5x5 6 /2 pad same`.

Decides how a field of each kind is read (`Op.phrase` writes it). Knows no op: the words and the order of the fields
come from the op's own declaration (`Op.word`, `Op.aliases`, `Op.positional`, and `kind` and `words` of every field), so
a new op can be written at once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from striate.diagnostics import LimitError, NotationError, OpError, StriateError, suggest
from striate.elsewhere import fold
from striate.formats.cursor import Cursor
from striate.formats.tokens import Kind, Token, tokenize
from striate.geometry import PADDING_POLICIES
from striate.op import Op, registry, spelling

ON = ("on", "true", "yes")
OFF = ("off", "false", "no")
MAX_LIST = 256
"""Maximum length of a list in one field, such as the parts of a split."""

Field = dataclasses.Field[Any]


@functools.cache
def keywords(cls: type[Op]) -> Mapping[str, Field]:
    """All words that introduce a field of an op: its declared words and its name."""
    fields = dataclasses.fields(cls)
    return {f.name: f for f in fields} | {word: f for f in fields for word in f.metadata["words"]}


def usage(word: str) -> str:
    """Usage line of an op, from its declaration: `fc FEATURES [bias on|off] [in N]`."""
    cls = registry()[word]
    by_name = {f.name: f for f in dataclasses.fields(cls)}
    presets = cls.aliases.get(word, {})
    lines = [word]
    for name in cls.positional:
        lines[0] += (
            f" {name.upper()}" if by_name[name].default is dataclasses.MISSING else f" [{name.upper()}]"
        )
    for field in by_name.values():
        if field.name not in cls.positional and field.name not in presets:
            part = f"[{_usage_of_field(field)}]"
            if len(lines[-1]) + len(part) > 78:
                lines.append(" " * len(word))
            lines[-1] += f" {part}"
    return "\n".join(lines)


def _usage_of_field(field: Field) -> str:
    """A field's word and the form of its value: `pad N|T,B,L,R|same`, `/N|NxM`."""
    label = _label(field)
    return f"{label}{'' if label == '/' else ' '}{_FORMS[field.metadata['kind']](field)}"


def _label(field: Field) -> str:
    words = field.metadata["words"]
    return str(words[0]) if words else field.name


# ---------------------------------------------------------------------------------------------------- reading


def read_op(cursor: Cursor) -> Op:
    """Read the op at the cursor, up to the next `->`, `]` or the end; foreign names are added to `cursor.spellings`.

    Raises NotationError for an unknown word, OpError for a value that is not allowed; both point at it.
    """
    first = cursor.token
    ops = registry()
    word = spelling.op_word(first.text, ops)
    if first.kind is not Kind.WORD or word not in ops:
        raise _unknown_op(cursor, ops)
    cursor.take()
    cls = ops[word]
    waiting = list(cls.positional)
    values: dict[str, Any] = {}
    spans: dict[str, tuple[Token, Token]] = {}
    unnamed: dict[str, Token] = {}
    foreign = {} if first.text == word else {first.text: word}
    opening = cursor.token
    order = _call_order(cursor, first.text) if cursor.accept("(") else None
    cursor.in_call = order is not None
    while not _ends(cursor.token):
        start = cursor.token
        placed = _in_order(cursor, word, order)
        field = placed or _next_field(cursor, word, waiting, foreign)
        if cursor.token is start and not placed:
            unnamed[field.name] = start
        elif field.name in unnamed:
            _pass_on(cls, field.name, unnamed, waiting, values, spans)
        if field.name in values:
            raise cursor.fail(
                f"{field.name} of {word} is given twice",
                why=f"it was {_field_text(values[field.name])} before",
                fix="remove one of them",
                first=start,
            )
        values[field.name] = read_field(cursor, field, word)
        spans[field.name] = (start, cursor.last)
        if field.name in waiting:
            waiting.remove(field.name)
        if order is not None and not cursor.accept(",") and not cursor.token.is_(")"):
            raise cursor.fail(
                f"expected ',' or ')', got {cursor.token}",
                "a '(' is open",
                "close it, or write ',' between values",
            )
    cursor.in_call = False
    if order is not None and not cursor.accept(")"):
        raise cursor.fail(
            "a '(' is not closed", "it is opened here", "write ) after the last value", first=opening
        )
    if first.text != word or order is not None:
        _refuse_order(cursor, cls, word, values, unnamed, first)
    cursor.spellings |= foreign
    return _build(cursor, cls, word, values, spans, first)


def _call_order(cursor: Cursor, name: str) -> list[str]:
    """The fields that the values without a name stand for, after the opening bracket of a call."""
    at, count = cursor.at, 1
    while not (token := cursor.tokens[at]).is_(")") and token.kind is not Kind.END:
        if cursor.tokens[at + 1].is_("="):
            count -= 1
            break
        count += token.is_(",")
        at += 1
    return list(spelling.call_order(name, count))


def _in_order(cursor: Cursor, word: str, order: list[str] | None) -> Field | None:
    """The field that a value of a call stands for by its place, if the call is of another framework's class."""
    if not order or cursor.ahead().is_("="):
        return None
    name = order.pop(0)
    return next(field for field in dataclasses.fields(registry()[word]) if field.name == name)


def _pass_on(
    cls: type[Op],
    name: str,
    unnamed: dict[str, Token],
    waiting: list[str],
    values: dict[str, Any],
    spans: dict[str, tuple[Token, Token]],
) -> None:
    """Shift a positional number to the next field when its field is named later: `conv 16 kernel 3`."""
    by_name = {f.name: f for f in dataclasses.fields(cls)}
    other = next((n for n in waiting if _fits(unnamed[name], by_name[n])), None)
    if other is not None:
        unnamed[other], values[other], spans[other] = unnamed.pop(name), values.pop(name), spans.pop(name)
        waiting.remove(other)


def _refuse_order(
    cursor: Cursor,
    cls: type[Op],
    word: str,
    values: Mapping[str, Any],
    unnamed: Mapping[str, Token],
    first: Token,
) -> None:
    """Raise if a bare number after a foreign word is ambiguous because that framework orders fields differently."""
    by_name = {f.name: f for f in dataclasses.fields(cls)}
    clear = {*values, *cls.aliases.get(word, {})} - {n for n, t in unnamed.items() if t.kind is Kind.INTEGER}
    for name, token in unnamed.items():
        others = [n for n in cls.positional if n != name and n not in clear and _fits(token, by_name[n])]
        if token.kind is Kind.INTEGER and others:
            raise cursor.fail(
                f"{token} after {first} can mean {name} or {others[0]}",
                why=f"frameworks order these fields differently; the syntax is\n{usage(word)}",
                fix=f"name it: {word} {name} {token.text}, or {word} {others[0]} {token.text}",
                first=token,
            )


def read_field(cursor: Cursor, field: Field, word: str) -> Any:
    """Read the value of a field of op `word`; its keyword has been read. Raises NotationError."""
    return _READ[field.metadata["kind"]](cursor, field, word)


def _ends(token: Token) -> bool:
    return token.kind in (Kind.ARROW, Kind.END) or token.is_("]") or token.is_("[") or token.is_(")")


def _unknown_op(cursor: Cursor, ops: Mapping[str, type[Op]]) -> NotationError:
    token = cursor.token
    if token.kind is not Kind.WORD:
        what = "expected an operation" + (f", got {token}" if token.kind is not Kind.END else " after '->'")
        return cursor.fail(what, why="each stage is an operation", fix="such as conv 3x3 16")
    if fold(token.text) in spelling.DIFFERENT:
        name, why = spelling.DIFFERENT[fold(token.text)]
        return cursor.fail(f"unknown operation {token}", why=why, fix=f"write {name!r}: {usage(name)}")
    if two := _two_words(token.text, cursor.ahead().text, ops):
        return cursor.fail(f"unknown operation {token}", why="an operation is one word", fix=f"write {two!r}")
    near = suggest(token.text[:40], ops)
    # A word glued to its kernel, `conv3x3`, is the commonest slip.
    glued = next((w for w in ops if token.text.startswith(w) and token.text[len(w) :][:1].isdigit()), "")
    if glued or near:
        fix = f"write '{glued} {token.text[len(glued) :]}'" if glued else f"did you mean {near!r}?"
        return cursor.fail(f"unknown operation {token}", why="expected an operation", fix=fix)
    import textwrap

    names = "\n".join(textwrap.wrap(", ".join(sorted(ops)), 78))
    return cursor.fail(
        f"unknown operation {token}", why=f"the known operations are\n{names}", fix="use one of them"
    )


def _two_words(one: str, other: str, ops: Collection[str]) -> str:
    """The op that two words name together, as in `global avgpool` and `conv transpose`; or empty."""
    joined = (spelling.op_word(name, ops) for name in (one + other, other + one) if one and other)
    return next((word for word in joined if word in ops), "")


def _next_field(cursor: Cursor, word: str, waiting: Sequence[str], foreign: dict[str, str]) -> Field:
    """The field that the next token introduces (its keyword is consumed), or the next positional field.

    foreign: receives the keyword and Striate's name for it, if it comes from another framework.
    """
    token = cursor.token
    cls = registry()[word]
    words = keywords(cls)
    word_of_field = spelling.argument(token.text, words) if token.kind is Kind.WORD else token.text
    if (token.kind is Kind.WORD or token.is_("/")) and word_of_field in words:
        cursor.take()
        if word_of_field != token.text:
            foreign[token.text] = word_of_field
        if word_of_field != "/":
            cursor.accept("=")
        return words[word_of_field]
    by_name = {f.name: f for f in dataclasses.fields(cls)}
    for name in waiting:
        if _fits(token, by_name[name]):
            return by_name[name]
        if by_name[name].default is dataclasses.MISSING or token.kind is not Kind.WORD:
            break
    expected = f"the syntax is\n{usage(word)}"
    if token.kind is Kind.WORD:
        if two := _two_words(word, token.text, registry()):
            fix = f"write {two!r}"
        elif token.text in spelling.ELSEWHERE:
            fix = spelling.ELSEWHERE[token.text]
        elif token.text in registry():
            fix = f"write '->' before {token}"
        elif cursor.ahead().is_(":"):
            fix = f"write '->' before the name {token}"
        else:
            fix = _nearest(token, words)
        raise cursor.fail(f"{word} has no option {token}", expected, fix)
    if waiting and token.kind in (Kind.INTEGER, Kind.SIZE, Kind.NUMBER):
        field = by_name[waiting[0]]
        fix = f"give {field.name} as {_FORMS[field.metadata['kind']](field)}"
        if (
            token.kind is Kind.SIZE
            and cursor.last.kind is Kind.INTEGER
            and cls.positional[1:2] == (field.name,)
        ):
            fix = f"write {word} {token.text} {cursor.last.text}: {cls.positional[0]}, then {field.name}"
        raise cursor.fail(f"{field.name} of {word} cannot be {token}", expected, fix)
    fix = "leave it out, or write '->' before the next stage"
    if token.kind is Kind.INTEGER and "eps" in by_name:
        fix = spelling.ELSEWHERE["num_features"]
    raise cursor.fail(f"unexpected {token} after {word}", expected, fix)


def _nearest(token: Token, words: Mapping[str, Field]) -> str:
    """What to write for a word that no field has: the nearest field as the syntax lists it, or the nearest option."""
    number = token.text[1:]
    if number.isdigit():  # k3, s2, p1
        field = next((f for name, f in words.items() if name.startswith(token.text[0].lower())), None)
        if field is not None:
            label = _label(field)
            return f"did you mean '{label}{'' if label == '/' else ' '}{number}'?"
    fields = {field.name: field for field in words.values()}
    near = suggest(
        token.text[:40], [*words, *(option for field in fields.values() for option in _options(field))]
    )
    if near in words:
        label = _label(words[near])
        near = words[near].name if label == "/" else label
    return f"did you mean {near!r}?" if near else f"{'write one of these, or ' if words else ''}leave it out"


def _options(field: Field) -> Sequence[str]:
    """Words that a field accepts as values."""
    meta = field.metadata
    if meta["kind"] == "padding":
        return PADDING_POLICIES if meta["policies"] else ()
    return tuple(meta.get("options", ())) + tuple(meta.get("also", ()))


def _fits(token: Token, field: Field) -> bool:
    """Return whether a token can begin the value of a positional field."""
    kind = field.metadata["kind"]
    if token.kind in (Kind.WORD, Kind.TEXT):
        return token.text in _options(field) or kind == "text"
    if token.kind is Kind.INTEGER:
        return kind not in ("flag", "choice")
    if token.kind is Kind.SIZE:
        return kind in ("sizes", "padding", "ints")
    return token.kind is Kind.NUMBER and kind == "number"


def _wrong_value(cursor: Cursor, field: Field, word: str) -> NotationError:
    token = cursor.token
    form = _FORMS[field.metadata["kind"]](field)
    near = suggest(token.text[:40], _options(field)) if token.kind in (Kind.WORD, Kind.TEXT) else ""
    return cursor.fail(
        f"{field.name} of {word} cannot be {token}",
        why=f"expected {form}" + (f": {field.metadata['doc']}" if field.metadata["doc"] else ""),
        fix=f"did you mean {near!r}?" if near else f"write {_usage_of_field(field)}",
    )


def _read_integer(cursor: Cursor, field: Field, word: str) -> int:
    value = cursor.token.value
    if cursor.token.kind is not Kind.INTEGER or not isinstance(value, int):
        raise _wrong_value(cursor, field, word)
    cursor.take()
    return value


def _read_sizes(cursor: Cursor, field: Field, word: str) -> Any:
    if cursor.token.kind in (Kind.INTEGER, Kind.SIZE):
        return cursor.take().value
    raise _wrong_value(cursor, field, word)


def _read_count(cursor: Cursor, field: Field, word: str) -> Any:
    if cursor.token.kind in (Kind.WORD, Kind.TEXT) and cursor.token.text in _options(field):
        return cursor.take().text
    return _read_integer(cursor, field, word)


def _read_padding(cursor: Cursor, field: Field, word: str) -> Any:
    if cursor.token.kind in (Kind.WORD, Kind.TEXT) and cursor.token.text in _options(field):
        return cursor.take().text
    if cursor.token.kind is Kind.SIZE:
        return cursor.take().value
    first = cursor.token
    sides = _read_list(cursor, field, word)
    if len(sides) == 1:
        return sides[0]
    if len(sides) % 2:
        raise cursor.fail(
            f"{len(sides)} paddings do not make pairs",
            why="each axis needs two: top,bottom,left,right",
            fix="write pad T,B,L,R (or two for a signal, six for a volume)",
            first=first,
            last=cursor.last,
        )
    return tuple(zip(sides[::2], sides[1::2], strict=True))


def _read_list(cursor: Cursor, field: Field, word: str) -> tuple[int, ...]:
    values = [_read_integer(cursor, field, word)]
    while not cursor.in_call and cursor.accept(","):
        if len(values) == MAX_LIST:
            raise LimitError(
                f"{field.name} of {word} has more than {MAX_LIST} numbers",
                where=cursor.where(),
                why="no op needs more",
                fix="shorten the list",
            )
        values.append(_read_integer(cursor, field, word))
    return tuple(values)


def _read_ints(cursor: Cursor, field: Field, word: str) -> Any:
    if cursor.token.kind is Kind.SIZE:
        return cursor.take().value
    return _read_list(cursor, field, word)


def _read_number(cursor: Cursor, field: Field, word: str) -> Any:
    if cursor.token.kind in (Kind.INTEGER, Kind.NUMBER):
        return cursor.take().value
    raise _wrong_value(cursor, field, word)


def _read_flag(cursor: Cursor, field: Field, word: str) -> bool:
    """`bias off`; the bare word means on."""
    token = cursor.token
    if token.kind is Kind.WORD and token.text.lower() in ON + OFF:
        return cursor.take().text.lower() in ON
    cls = registry()[word]
    if _ends(token) or token.text in keywords(cls):
        return True
    raise _wrong_value(cursor, field, word)


def _read_choice(cursor: Cursor, field: Field, word: str) -> str:
    if cursor.token.kind in (Kind.WORD, Kind.TEXT) and cursor.token.text in _options(field):
        return cursor.take().text
    raise _wrong_value(cursor, field, word)


def _read_text(cursor: Cursor, field: Field, word: str) -> str:
    if cursor.token.kind in (Kind.WORD, Kind.TEXT):
        return cursor.take().text
    raise _wrong_value(cursor, field, word)


_READ: dict[str, Callable[[Cursor, Field, str], Any]] = {
    "sizes": _read_sizes, "count": _read_count, "padding": _read_padding, "flag": _read_flag,
    "choice": _read_choice, "number": _read_number, "ints": _read_ints, "text": _read_text,
}  # fmt: skip

_FORMS: dict[str, Callable[[Field], str]] = {
    "sizes": lambda field: "N|NxM",
    "count": lambda field: "|".join(("N", *_options(field))),
    "padding": lambda field: "|".join(("N", "T,B,L,R", *_options(field))),
    "flag": lambda field: "on|off",
    "choice": lambda field: "|".join(_options(field)),
    "number": lambda field: "NUMBER",
    "ints": lambda field: "N,N,…",
    "text": lambda field: "TEXT",
}


def _build(
    cursor: Cursor,
    cls: type[Op],
    word: str,
    values: Mapping[str, Any],
    spans: Mapping[str, tuple[Token, Token]],
    first: Token,
) -> Op:
    fields = {**cls.aliases.get(word, {}), **values}
    last = cursor.last
    missing = [
        f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in fields
    ]
    if missing:
        raise cursor.fail(
            f"{word} needs {' and '.join(missing)}",
            why=f"the syntax is\n{usage(word)}",
            fix=f"give {missing[0]} after {word}",
            first=first,
            last=last,
        )
    try:
        return cls(**fields)
    except OpError as error:
        # An op names the field that it refuses first; point at it.
        span = spans.get(error.what.partition(" ")[0], (first, last))
        error.where = cursor.where(*span)
        raise


def quoted(text: str) -> str:
    """A name as the notation reads it: bare if it is a word, else in quotes."""
    try:
        tokens = tokenize(text)
        bare = len(tokens) == 2 and tokens[0].kind is Kind.WORD and tokens[0].text == text
    except StriateError:
        bare = False
    if bare:
        return text
    import json

    return json.dumps(text, ensure_ascii=False)


def _field_text(value: Any) -> str:
    if isinstance(value, tuple):
        nested = any(isinstance(item, tuple) for item in value)
        return ",".join(str(side) for pair in value for side in pair) if nested else "x".join(map(str, value))
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
