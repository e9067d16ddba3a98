"""Declared fields: one line gives a field's default, kind, bounds, description and spelling.

Ops, the settings of training and those of checks are frozen dataclasses of such fields. Parsing (Python, TOML, the text
of a flag), validation and its message, flags, TOML and pages are derived from the declaration. A package adds a kind of
value that only it has with `register`.
"""

from striate.fields.declare import (
    MISSING,
    amount,
    choice,
    choices,
    count,
    declare,
    flag,
    memory,
    number,
    numbers,
    path,
    text,
)
from striate.fields.kinds import AUTO, Kind, Meta, Unsuited, bounded, parse, read, register, takes, whole
from striate.fields.settings import Declared, Option, markdown, options, refusal, shown, toml

__all__ = [
    "AUTO",
    "MISSING",
    "Declared",
    "Kind",
    "Meta",
    "Option",
    "Unsuited",
    "amount",
    "bounded",
    "choice",
    "choices",
    "count",
    "declare",
    "flag",
    "markdown",
    "memory",
    "number",
    "numbers",
    "options",
    "parse",
    "path",
    "read",
    "refusal",
    "register",
    "shown",
    "takes",
    "text",
    "toml",
    "whole",
]
