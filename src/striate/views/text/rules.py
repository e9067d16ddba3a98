"""What `striate explain` prints: a rule in full, or the list of all."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, cast

from striate.views.text.page import Page

if TYPE_CHECKING:
    from striate.views.schemas.lists import CodeEntry, RuleEntry, Rules

STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}


def draw(page: Page, record: Rules, brief: bool = False) -> None:
    """record: striate.rules/1; brief: a list with one sentence each, by family."""
    if brief:
        _list(page, record["rules"])
        return
    for number, rule in enumerate(record["rules"]):
        if number:
            page.line()
        _rule(page, rule)


def _rule(page: Page, entry: RuleEntry | CodeEntry) -> None:
    rule = cast("RuleEntry", entry)
    kind = f"  {rule['severity']} · {rule['family']}"
    page.line([(rule["code"], f"bold {STYLES[rule['severity']]}"), f" {rule['name']}", (kind, "dim")])
    page.line()
    _prose(page, rule["what"])
    if "bad" not in entry:  # an error
        page.line()
        page.line("Striate stops with exit code 2 and prints what, where, why and the fix.", 2)
        return
    page.line()
    page.fields([("why", rule["why"]), ("fix", rule["fix"]), ("source", rule["source"])])
    options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in rule["settings"].items())
    for label, text in (("bad", rule["bad"]), ("good", rule["good"])):
        page.line()
        page.line([(label, "bold"), (f"  with{options}" if options else "", "dim")], 2)
        for line in text.splitlines():
            page.line(line, 6, 8)
        if label == "bad" and rule["says"]:
            page.line()
            for line in rule["says"].splitlines():
                indent = len(line) - len(line.lstrip())
                page.line([(line.strip(), "dim" if indent else "")], 6 + indent, 16 if indent else 8)


def _prose(page: Page, text: str) -> None:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            page.line()
        page.line(" ".join(paragraph.split()), 2)


def _list(page: Page, rules: list[RuleEntry | CodeEntry]) -> None:
    for number, (family, members) in enumerate(groupby(rules, key=lambda rule: rule["family"])):
        if number:
            page.line()
        page.line([(family, "bold")])
        for rule in members:
            summary = " ".join(rule["what"].split("\n\n")[0].split())
            page.line([(rule["code"], STYLES[rule["severity"]]), f"  {rule['name']}: {summary}"], 2, 8)
    page.line()
    page.line([("striate explain CODE: an example with its findings, the fix, the source", "dim")])
