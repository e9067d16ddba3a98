"""Reference of all codes, rules and errors, as text and as Markdown (`make docs`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TypeAlias

from striate import diagnostics
from striate.checks.rule import FAMILIES, Rule, all_rules
from striate.diagnostics import StriateError, UnknownNameError, suggest

Entry: TypeAlias = "Rule | type[StriateError]"


def errors() -> tuple[type[StriateError], ...]:
    """The errors that are not rules, by code."""
    classes = (
        cls for _, cls in inspect.getmembers(diagnostics, inspect.isclass) if issubclass(cls, StriateError)
    )
    return tuple(
        sorted(
            (cls for cls in classes if cls.code[0] == "I" and cls is not StriateError),
            key=lambda cls: cls.code,
        )
    )


def look_up(word: str) -> tuple[Entry, ...]:
    """The rules and errors that a code, a name, a former name or the beginning of codes ("G", "P00") stands for.

    Raises UnknownNameError, with the nearest.
    """
    entries: tuple[Entry, ...] = (*all_rules(), *errors())
    by_name = {name: entry for entry in entries for name in _names(entry)}
    for form in (word.upper(), word.lower()):
        if form in by_name:
            return (by_name[form],)
    if word and (group := tuple(entry for entry in entries if entry.code.startswith(word.upper()))):
        return group
    nearest = suggest(word, by_name)
    raise UnknownNameError(
        f"no such code: {word}",
        why=f"the families are {', '.join(f'{letter} ({theme})' for letter, theme in FAMILIES.items())}",
        fix=f"did you mean {nearest}?" if nearest else "striate explain --all lists them",
    )


def _names(entry: Entry) -> tuple[str, ...]:
    return (entry.code, entry.name, *entry.former) if isinstance(entry, Rule) else (entry.code, entry.title)


def text(code: str) -> str:
    """What, why, example, fix and source of a code or a rule's name; of several rules a line each.

    Raises UnknownNameError, with the nearest.
    """
    first, *more = entries = look_up(code)
    if more:
        return "\n".join(f"{' '.join(_names(entry)[:2])}: {_summary(entry)}" for entry in entries)
    return first.text() if isinstance(first, Rule) else _error_text(first)


def _summary(entry: Entry) -> str:
    return entry.summary if isinstance(entry, Rule) else inspect.cleandoc(entry.__doc__ or "")


def _error_text(cls: type[StriateError]) -> str:
    return f"{cls.code} {cls.title} (error, exit code 2)\n\n{inspect.cleandoc(cls.__doc__ or '')}"


def everything() -> str:
    """The texts of all codes, one after the other."""
    return "\n\n\n".join([*(rule.text() for rule in all_rules()), *(_error_text(cls) for cls in errors())])


def markdown() -> str:
    """All codes as one page in Markdown."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    rules = all_rules()
    yield "# Rules\n"
    yield "[Documentation](../README.md#documentation)\n"
    yield "Written by `make docs`. [project.md](project.md) describes how to select and ignore rules.\n"
    yield "| code | name | severity | what |\n|---|---|---|---|"
    for rule in rules:
        yield f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | {rule.severity} | {rule.summary} |"
    for letter, theme in FAMILIES.items():
        members = [rule for rule in rules if rule.code[0] == letter]
        yield f"\n## {letter}: {theme}"
        for rule in members:
            yield f"\n{rule.markdown()}"
        if letter == "I":
            yield "\n| code | name | what |\n|---|---|---|"
            for cls in errors():
                yield f"| {cls.code} | {cls.title} | {inspect.cleandoc(cls.__doc__ or '')} |"
