"""The record of `striate explain`, striate.rules/1."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from striate.checks import Config, Rule, check
from striate.checks.reference import look_up
from striate.checks.rule import FAMILIES
from striate.diagnostics import Severity, StriateError, render
from striate.network import Network

if TYPE_CHECKING:
    from striate.views.schemas.lists import CodeEntry, RuleEntry, Rules


def rules_record(codes: Iterable[str]) -> Rules:
    """Rules and errors by code or name, or by the beginning of codes. Raises UnknownNameError, with the nearest."""
    entries = [entry for code in codes for entry in look_up(code)]
    return {
        "schema": "striate.rules/1",
        "rules": [_rule(entry) if isinstance(entry, Rule) else _error(entry) for entry in entries],
    }


def _rule(rule: Rule) -> RuleEntry:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "family": FAMILIES[rule.code[0]],
        "what": rule.what,
        "why": rule.why,
        "fix": rule.fix,
        "source": rule.source,
        "bad": inspect.cleandoc(rule.bad),
        "good": inspect.cleandoc(rule.good),
        "settings": dict(rule.settings),
        "says": "\n".join(_says(rule)),
    }


def _says(rule: Rule) -> Iterator[str]:
    """What `check` reports for the bad example."""
    net = _example(rule.bad)
    for finding in check(net, Config(select=(rule.code,)).replace(**rule.settings)).findings[:1]:
        yield render(finding)


def _example(text: str) -> Network:
    """A rule's example: notation, or `.toml` where it has branches."""
    from striate.formats import notation, toml

    return notation.parse(text) if "->" in text else toml.parse(inspect.cleandoc(text))


def _error(error: type[StriateError]) -> CodeEntry:
    return {
        "code": error.code,
        "name": error.title,
        "severity": Severity.ERROR.value,
        "family": FAMILIES[error.code[0]],
        "what": inspect.cleandoc(error.__doc__ or ""),
    }
