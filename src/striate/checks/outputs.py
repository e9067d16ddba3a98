"""The texts of `striate check`: full, concise, json, markdown, sarif, github, junit: functions of the reports.

Names and messages come from users' files: every format escapes them in its own way, and control characters are never
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.diagnostics import Diagnostic, Place, Severity, fix_line, printable, render

if TYPE_CHECKING:
    from striate.checks.report import Report

    Reports = Sequence[Report]
MAX_NAMED_NODES = 4
"""Maximum nodes named in one folded line; the others are counted."""


def full(reports: Reports) -> str:
    """The five-part texts, findings of one code folded into one block, and a summary."""
    return "\n\n".join(blocks(reports))


def blocks(reports: Reports) -> list[str]:
    """The paragraphs of `full`, for a terminal that wraps and colors them itself."""
    paragraphs = []
    for report in reports:
        if len(reports) > 1:
            paragraphs.append(f"== {report.network.name}" + ("" if report.findings else ": nothing found"))
        for _, group in groupby(
            report.findings, key=lambda finding: (finding.code, finding.severity, finding.aspect)
        ):
            first, *rest = group
            also = f"\n  also    {_few([finding.node or 'the network' for finding in rest])}" if rest else ""
            paragraphs.append(render(first) + also)
        if report.skipped:
            follow = "it follows" if len(report.skipped) == 1 else "they follow"
            paragraphs.append(f"not checked: {_few(report.skipped)} ({follow} a node without output)")
    paragraphs.append(_summary(reports))
    return [_printable(block) for block in paragraphs]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED_NODES} more" if len(names) > MAX_NAMED_NODES else ""
    return ", ".join(names[:MAX_NAMED_NODES]) + more


def _summary(reports: Reports) -> str:
    parts = []
    for severity in Severity:
        if n := sum(report.count(severity) for report in reports):
            parts.append(f"{n} {severity.value}" + ("s" if n > 1 and severity is not Severity.INFO else ""))
    text = ", ".join(parts) or "nothing found"
    for n, what in (
        (sum(r.ignored for r in reports), "ignored"),
        (sum(r.known for r in reports), "in the baseline"),
    ):
        text += f", {n} {what}" if n else ""
    worst = next((finding.code for report in reports for finding in report.findings), None)
    return text + (f" (striate explain {worst})" if worst else "")


def concise(reports: Reports) -> str:
    """One line for each finding: where, severity, code, message."""
    lines = []
    for report, finding in _findings(reports):
        place = _place(report, finding)
        spot = f"{place.file}:{place.line}" if place else report.source or report.network.name
        lines.append(_printable(f"{spot}: {finding.severity} {headline(finding)}").replace("\n", " "))
    return "\n".join(lines)


def json_(reports: Reports) -> str:
    """A list of findings of every network; keys as in the documentation of `striate check`."""
    import json

    findings = [
        {
            **finding.to_dict(),
            "network": report.network.name,
            "file": place.file if (place := _place(report, finding)) else report.source,
            "line": place.line if place else None,
        }
        for report, finding in _findings(reports)
    ]
    return json.dumps(findings, indent=1)


def markdown(reports: Reports) -> str:
    """A table for each network, for a comment on a change or the summary of a job."""
    parts = []
    for report in reports:
        parts.append(f"### {_plain(report.network.name)}")
        rows = [
            (
                finding.severity.value,
                f"**{finding.code}**",
                _plain(finding.node or ""),
                _plain(finding.message) + (f"<br>{_plain(finding.why)}" if finding.why else ""),
                _plain(fix_line(finding.fixes)),
            )
            for finding in report.findings
        ]
        if rows:
            table = [("", "rule", "node", "finding", "fix"), ("---",) * 5, *rows]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in table))
    parts.append(_plain(_summary(reports)))
    return "\n\n".join(parts)


def _plain(text: str) -> str:
    """Escape a text for Markdown: no markup, no link, no @-mention, no end of a table cell."""
    text = _printable(text).replace("\n", " ")
    text = "".join(f"\\{c}" if c in "\\`*_[]|#~$" else c for c in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")


def statistics(reports: Reports) -> str:
    """Number of findings per rule, most frequent first; a star marks rules with fixes that `--fix` applies."""
    rows = _counts(reports)
    width = len(str(max((row["count"] for row in rows), default=0)))
    return "\n".join(
        f"{row['count']:>{width}}  {row['code']}  [{'*' if row['fixable'] else ' '}] {row['name']}"
        for row in rows
    )


def statistics_json(reports: Reports) -> str:
    """The same as a list of objects: code, name, severity, count, fixable (findings with a safe fix)."""
    import json

    return json.dumps(_counts(reports), indent=1)


def _counts(reports: Reports) -> list[dict[str, Any]]:
    counts: dict[str, dict[str, Any]] = {}
    for _, finding in _findings(reports):
        row = counts.setdefault(
            finding.code,
            {
                "code": finding.code,
                "name": finding.name,
                "severity": finding.severity.value,
                "count": 0,
                "fixable": 0,
            },
        )
        row["count"] += 1
        row["fixable"] += any(fix.safe for fix in finding.fixes)
    return sorted(counts.values(), key=lambda row: (-row["count"], row["code"]))


def sarif(reports: Reports) -> str:
    """SARIF 2.1.0 (OASIS): rules with their help, results with their nodes and, where known, lines."""
    import json

    from striate.checks.rule import all_rules
    from striate.version import __version__

    rules = all_rules()
    order = {rule.code: number for number, rule in enumerate(rules)}
    driver = {
        "name": "striate",
        "semanticVersion": __version__,
        "rules": [
            {
                "id": rule.code,
                "name": type(rule).__name__,
                "shortDescription": {"text": rule.what.split("\n\n")[0].replace("\n", " ")},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.text(), "markdown": rule.markdown()},
                "defaultConfiguration": {"level": _level(rule.severity)},
                "properties": {"name": rule.name, "source": rule.source},
            }
            for rule in rules
        ],
    }
    results = []
    for report, finding in _findings(reports):
        result: dict[str, Any] = {"ruleId": finding.code}
        if finding.code in order:
            result["ruleIndex"] = order[finding.code]
        result |= {
            "level": _level(finding.severity),
            "message": {"text": ": ".join(filter(None, (headline(finding), finding.why)))},
            "locations": [_location(report, finding)],
            "partialFingerprints": {
                "striate/1": f"{report.network.name}/{finding.node or ''}/{finding.code}"
                + (f"/{finding.aspect}" if finding.aspect else "")
            },
        }
        if finding.fixes:
            result["properties"] = {"fixes": [fix.to_dict() for fix in finding.fixes]}
        results.append(result)
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "results": results,
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1)


def _level(severity: Severity) -> str:
    return "note" if severity is Severity.INFO else severity.value


def _location(report: Report, finding: Diagnostic) -> dict[str, Any]:
    name = finding.node or report.network.name
    full_name = f"{report.network.name}/{finding.node}" if finding.node else report.network.name
    location: dict[str, Any] = {
        "logicalLocations": [
            {"name": name, "fullyQualifiedName": full_name, "kind": "object" if finding.node else "module"}
        ]
    }
    place = _place(report, finding)
    if place or report.source:
        file = place.file if place else str(report.source)
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
        if place:
            physical["region"] = {"startLine": place.line}
        location["physicalLocation"] = physical
    return location


def _uri(file: str) -> str:
    from urllib.parse import quote

    path = Path(_printable(file))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def github(reports: Reports) -> str:
    """Workflow commands of GitHub Actions: one annotation for each finding."""
    level = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    lines = []
    for report, finding in _findings(reports):
        properties = {"title": f"{finding.code} {finding.name}"}
        place = _place(report, finding)
        if place or report.source:
            properties["file"] = place.file if place else str(report.source)
        if place:
            properties["line"] = str(place.line)
        body = render(finding)
        if not place:
            body = f"{report.network.name}: {body}"
        data = _printable(body).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        arguments = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        lines.append(f"::{level[finding.severity]} {arguments}::{data}")
    return "\n".join(lines)


def _property(value: str) -> str:
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        value = value.replace(character, code)
    return _printable(value)


def junit(reports: Reports) -> str:
    """JUnit XML: a suite for each network; findings that fail the check are failures, others notes."""
    suites = []
    total = failures = 0
    for report in reports:
        name = report.network.name
        cases = []
        failed = 0
        for finding in report.findings:
            place = _place(report, finding)
            where = {"file": place.file, "line": str(place.line)} if place else {}
            case = {
                "classname": f"{name}.{finding.node}" if finding.node else name,
                "name": f"{finding.code} {finding.name}" + (f" ({finding.aspect})" if finding.aspect else ""),
                **where,
            }
            if report.config.fails(finding.severity):
                failed += 1
                attributes = {"type": finding.severity.value, "message": headline(finding)}
                inner = f"<failure{_attributes(attributes)}>{_xml(render(finding))}</failure>"
            else:
                inner = f"<system-out>{_xml(render(finding))}</system-out>"
            cases.append(f"  <testcase{_attributes(case)}>{inner}</testcase>")
        if not cases:
            cases.append(f"  <testcase{_attributes({'classname': name, 'name': 'nothing found'})}/>")
        counts = {
            "name": name,
            "tests": str(len(cases)),
            "failures": str(failed),
            "errors": "0",
            "skipped": "0",
        }
        suites += [f" <testsuite{_attributes(counts)}>", *cases, " </testsuite>"]
        total, failures = total + len(cases), failures + failed
    head = _attributes(
        {"name": "striate check", "tests": str(total), "failures": str(failures), "errors": "0"}
    )
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{head}>", *suites, "</testsuites>"]
    )


def _xml(text: str) -> str:
    return _printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(
        f' {key}="{_xml(value).replace(chr(34), "&quot;").replace(chr(10), "&#10;")}"'
        for key, value in values.items()
    )


FORMATS: Mapping[str, Callable[[Reports], str]] = {
    "full": full,
    "concise": concise,
    "json": json_,
    "markdown": markdown,
    "sarif": sarif,
    "github": github,
    "junit": junit,
}
STATISTICS: Mapping[str, Callable[[Reports], str]] = {
    "statistics": statistics,
    "json statistics": statistics_json,
}


def headline(finding: Diagnostic) -> str:
    """Code, node and message on one line."""
    return finding.code + (f" {finding.node}" if finding.node else "") + f": {finding.message}"


def _printable(text: str) -> str:
    return printable(text, keep="\n")


def _findings(reports: Reports) -> Iterator[tuple[Report, Diagnostic]]:
    for report in reports:
        for finding in report.findings:
            yield report, finding


def _place(report: Report, finding: Diagnostic) -> Place | None:
    """The source line of the node; files below the current folder get relative paths."""
    if finding.place is None:
        return None
    path = Path(finding.place.file)
    here = Path.cwd()
    return (
        Place(path.relative_to(here).as_posix(), finding.place.line)
        if path.is_relative_to(here)
        else finding.place
    )
