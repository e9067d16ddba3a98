"""The page of the Python API, docs/python.md: every public name with its signature and its docstring."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_HEAD = """# Python

[Documentation](../README.md#documentation)

`import striate as st` provides every name on this page; each loads on first use. `make docs` writes the page from the
docstrings. Arrays are numpy arrays, images (N, C, H, W), sizes in pixels. Where a function takes a network, it also
takes what `st.load` takes: `st.check("resnet18")`.

Every error is a `st.StriateError`, also that of an argument of the wrong type or with an unknown name. There are two
exceptions: too few or too many arguments are Python's `TypeError`, a name that an object lacks its `AttributeError`.
Errors that your own functions raise, such as callbacks, arrive as they are.
"""


def markdown() -> str:
    """The page."""
    striate = importlib.import_module("striate")
    values = {name: getattr(striate, name) for name in striate.__all__ if not name.startswith("__")}
    functions = [name for name, value in values.items() if inspect.isroutine(value)]
    classes = [name for name, value in values.items() if inspect.isclass(value)]
    modules = [name for name, value in values.items() if inspect.ismodule(value)]
    lines = [_HEAD, "## Functions\n"]
    for name in functions:
        lines += _entry(f"st.{name}", values[name])
    lines.append("## Classes\n")
    for name in classes:
        lines += _class(f"st.{name}", values[name])
    for name in modules:
        lines += [f"## st.{name}\n", *_text(values[name])]
        lines += _module(f"st.{name}", values[name])
    return "\n".join(lines).rstrip() + "\n"


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties that a class itself defines, and its call."""
    return {
        name: value
        for name, value in vars(cls).items()
        if (not name.startswith("_") or name == "__call__") and _is_documented(value)
    }


def _is_documented(value: Any) -> bool:
    return (
        callable(value) or isinstance(value, property | classmethod | staticmethod) or hasattr(value, "func")
    )


def _module(name: str, module: ModuleType) -> Iterator[str]:
    """The functions of a module; of classes, their first line."""
    rows = []
    for word in module.__all__:
        value = getattr(module, word)
        if inspect.isclass(value):
            first = (inspect.getdoc(value) or "").splitlines()[0]
            rows.append(f"| `{word}{_fields(value)}` | {first} |".replace("|x|", r"\|x\|"))
        else:
            yield from _entry(f"{name}.{word}", value)
    if rows:
        yield from ("| class | what it is |\n|---|---|", *rows, "")


def _fields(cls: type) -> str:
    names = [name for name in inspect.signature(cls).parameters if name not in ("args", "kwargs")]
    return f"({', '.join(names)})"


def _class(name: str, cls: type) -> Iterator[str]:
    yield from _entry(name, cls)
    for word, value in members(cls).items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        call = _signature(plain) if callable(plain) else ""
        yield f"**`{f'{cls.__name__.lower()}{call}' if word == '__call__' else f'.{word}{call}'}`**\n"
        yield from _text(plain)


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### {name}\n"
    call = textwrap.fill(f"{name}{_signature(value)}", 100, subsequent_indent=" " * (len(name) + 1))
    yield f"```text\n{call}\n```\n"
    yield from _text(value)


def _signature(value: Any) -> str:
    """Arguments with their types and defaults, as they stand in the source."""
    signature = inspect.signature(value)
    parameters = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in signature.parameters.values()
        if p.name not in ("self", "cls")
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _text(value: Any) -> Iterator[str]:
    """A docstring as Markdown: its examples as code."""
    block: list[str] = []
    for line in [*(inspect.getdoc(value) or "").splitlines(), ""]:
        if line.startswith((">>> ", "... ")) or (block and line):
            block.append(line)
            continue
        if block:
            yield "```pycon\n" + "\n".join(block) + "\n```"
            block = []
        yield line
