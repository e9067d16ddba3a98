"""Declared fields: one line says a field's default, its kind and bounds, what it does and how it is written.

Ops, the settings of training and those of checks are frozen dataclasses of such fields. Reading (Python, TOML, a flag's
text), the check and its message, flags, TOML and pages follow from the declaration. A kind of value that only one room
has is added there with `register`.
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
from striate.fields.settings import Declared, Option, markdown, options, refused, shown, toml

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
    "refused",
    "register",
    "shown",
    "takes",
    "text",
    "toml",
    "whole",
]
