"""web/src/record.ts, printed from the declared records: the types of what the live page reads."""

from __future__ import annotations

import inspect
import json
import types
import typing
from typing import Any, Literal, Union

from striate.views.schemas.lab import ANSWERS
from striate.views.schemas.live import LivePage
from striate.views.schemas.page import unwrap

HEAD = """// The record that the page reads. `make docs` writes this file from striate/views/schemas/.
"""
WORDS = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


def module() -> str:
    """The text of web/src/record.ts: an interface for each record that LivePage and answers of the lab lead to."""
    interfaces: dict[str, str] = {}
    for root in (LivePage, *ANSWERS):
        _declare(root, interfaces)
    return HEAD + "".join(f"\n{text}" for text in interfaces.values())


def _declare(record: type, interfaces: dict[str, str]) -> str:
    """Add the interface of a record and those it needs; its name."""
    name = record.__name__.lstrip("_")
    if name not in interfaces:
        interfaces[name] = ""
        rows = []
        for key, hint in typing.get_type_hints(record, include_extras=True).items():
            plain, meaning, _, optional = unwrap(hint)
            text = _type(plain, interfaces)
            mark = "?" if optional else ""
            note = f"  /** {meaning.replace('*/', '* /')} */\n" if meaning else ""
            rows.append(f"{note}  {key}{mark}: {text}")
        about = inspect.cleandoc(record.__doc__ or "").partition("\n")[0]
        head = f"/** {about} */\n" if about and not about.startswith("dict(") else ""
        interfaces[name] = f"{head}export interface {name} {{\n" + "\n".join(rows) + "\n}\n"
    return name


def _type(hint: Any, interfaces: dict[str, str]) -> str:
    """A type in TypeScript."""
    plain = unwrap(hint)[0]
    origin, inner = typing.get_origin(plain), typing.get_args(plain)
    if typing.is_typeddict(plain):
        return _declare(plain, interfaces)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_type(option, interfaces) for option in inner))
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in inner)
    if origin is list:
        item = _type(inner[0], interfaces)
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin is tuple:
        return f"[{', '.join(_type(item, interfaces) for item in inner)}]"
    if origin is dict:
        return f"Record<string, {_type(inner[1], interfaces)}>"
    return WORDS[plain]
