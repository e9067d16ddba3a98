"""A baseline: findings that a project accepts for now, so that only new ones count.

A finding is identified by its network, code, node and aspect, not by the numbers in its message. Two findings of one
code on one node need two entries.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from striate.diagnostics import Diagnostic, FormatError, SourceError
from striate.files import write_aside

SCHEMA = "striate.baseline/1"
Key = tuple[str, str, str | None, str]
"""Network name, code, node name (None: the whole network), aspect."""


def key(network: str, finding: Diagnostic) -> Key:
    """Identity of a finding in a baseline."""
    return network, finding.code, finding.node, finding.aspect


def write(path: Path, findings: Iterable[tuple[str, Iterable[Diagnostic]]]) -> int:
    """Write the findings of each network (its name, its findings) atomically; return their number."""
    counts = collections.Counter(key(name, finding) for name, group in findings for finding in group)
    entries = [
        {"network": network, "code": code, "node": node}
        | ({"aspect": aspect} if aspect else {})
        | {"count": counts[network, code, node, aspect]}
        for network, code, node, aspect in sorted(counts, key=lambda k: (k[0], k[1], k[2] or "", k[3]))
    ]
    text = json.dumps({"schema": SCHEMA, "findings": entries}, indent=1, ensure_ascii=False) + "\n"
    write_aside(path, text.encode())
    return sum(counts.values())


def read(path: Path) -> collections.Counter[Key]:
    """Read a baseline file: finding -> count."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SourceError(
            "the baseline cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="create one with striate check --write-baseline FILE",
        ) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(
            "the baseline is not JSON",
            where=str(path),
            why=str(error),
            fix="write it again with striate check --write-baseline FILE",
        ) from None
    if (
        not isinstance(document, dict)
        or document.get("schema") != SCHEMA
        or not isinstance(document.get("findings"), list)
    ):
        raise FormatError(
            "not a baseline file",
            where=str(path),
            why=f'an object with "schema": "{SCHEMA}" and a list "findings" is expected',
            fix="write it again with striate check --write-baseline FILE",
        )
    counts: collections.Counter[Key] = collections.Counter()
    for number, entry in enumerate(document["findings"]):
        finding, times = _entry(path, number, entry)
        counts[finding] += times
    return counts


def _entry(path: Path, number: int, entry: Any) -> tuple[Key, int]:
    if isinstance(entry, dict):
        network, code, node, times = (entry.get(name) for name in ("network", "code", "node", "count"))
        aspect = entry.get("aspect", "")
        if (
            isinstance(network, str)
            and isinstance(code, str)
            and isinstance(node, str | None)
            and isinstance(aspect, str)
            and isinstance(times, int)
        ):
            return (network, code, node, aspect), times
    raise FormatError(
        f"entry {number} of the baseline is invalid",
        where=str(path),
        why='each entry has "network", "code", "node" and "count"',
        fix="write it again with striate check --write-baseline FILE",
    )


def subtract(
    network: str, findings: Iterable[Diagnostic], baseline: Mapping[Key, int]
) -> tuple[list[Diagnostic], int]:
    """Findings that are not in the baseline, and the number of those that are.

    An entry without an aspect, as in older files, matches a finding of any aspect.
    """
    remaining = dict(baseline)
    new = []
    matches = 0
    for finding in findings:
        entry = key(network, finding)
        entry = entry if remaining.get(entry, 0) > 0 else (*entry[:3], "")
        if remaining.get(entry, 0) > 0:
            remaining[entry] -= 1
            matches += 1
        else:
            new.append(finding)
    return new, matches
