"""Reference of all codes, rules and errors, as text and as Markdown (`make docs`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from striate import diagnostics
from striate.checks.rule import FAMILIES, all_rules
from striate.diagnostics import StriateError, UnknownNameError, suggest


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


def text(code: str) -> str:
    """What, why, example, fix and source of a code or a rule's name. Raises UnknownNameError, with the nearest."""
    rules = {name: rule for rule in all_rules() for name in (rule.code, rule.name)}
    faults = {name: cls for cls in errors() for name in (cls.code, cls.title)}
    for word in (code.upper(), code.lower()):
        if word in rules:
            return rules[word].text()
        if word in faults:
            return _error_text(faults[word])
    nearest = suggest(code, [*rules, *faults])
    raise UnknownNameError(
        f"no such code: {code}",
        why=f"the families are {', '.join(f'{letter} ({theme})' for letter, theme in FAMILIES.items())}",
        fix=f"did you mean {nearest}?" if nearest else "striate explain --all lists them",
    )


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
