"""The outcome of a check."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import overload

from striate import elsewhere
from striate.checks.config import Config
from striate.diagnostics import Diagnostic, Severity, UsageError, plural
from striate.hooks import Displayed
from striate.network import Network


@dataclasses.dataclass(frozen=True, repr=False)
class Report(Displayed, elsewhere.Teaching):
    """Findings in one network, as a sequence: a loop gives them, ``len(report)`` is their number.

    findings: by severity, code and position in the network. skipped: nodes that could not be checked, because a node
    before them has no output. ignored: findings left out by per-node ignores; known: those left out by the baseline.
    source: the file it was read from, if any.
    """

    network: Network
    findings: tuple[Diagnostic, ...]
    config: Config = dataclasses.field(default_factory=Config)
    skipped: tuple[str, ...] = ()
    ignored: int = 0
    known: int = 0
    source: str | None = None

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, index: int) -> Diagnostic: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Diagnostic, ...]: ...

    def __getitem__(self, index: int | slice) -> Diagnostic | tuple[Diagnostic, ...]:
        try:
            return self.findings[index]
        except TypeError:
            raise UsageError(
                f"a report has no entry {index!r}",
                where=f"report[{index!r}]",
                why=f"its {plural(len(self), 'finding')} have numbers",
                fix='write [finding for finding in report if finding.code == "G002"], or finding.node',
            ) from None

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def failed(self) -> bool:
        """Whether a finding is at or above the threshold of the configuration."""
        return any(self.config.fails(finding.severity) for finding in self.findings)

    def __str__(self) -> str:
        from striate.checks.outputs import full

        return full([self])

    __repr__ = __str__  # a prompt or notebook shows the findings
