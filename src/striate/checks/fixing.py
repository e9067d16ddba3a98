"""Computed fixes, made: the network that is left once every finding that has a fix is cured."""

from __future__ import annotations

import dataclasses

from striate.checks import check
from striate.checks.report import Report
from striate.diagnostics import Diagnostic, Fix
from striate.network import Network

MAX_PASSES = 100
"""Maximum rounds of fixes: a fix may cause another finding."""


@dataclasses.dataclass(frozen=True)
class Fixed:
    """report: what is left; made: the findings that were fixed, each with its fix, in order."""

    report: Report
    made: tuple[tuple[Diagnostic, Fix], ...]


def fixed(report: Report, *, unsafe: bool = False, inputs: bool = True) -> Fixed:
    """Make the first fix of every finding that has one, and check again, until none is left.

    unsafe: also those that change a size or the shape of weights, one for each finding. Of the findings that such a
    change causes, only those that make the check fail are changed in turn. inputs: of these, also another input of the
    network.

    >>> from striate.formats import parse
    >>> done = fixed(check(parse("9x9x8 -> avgpool 3x3 /2 pad 1")))
    >>> [fix.text for _, fix in done.made], str(done.report.network.nodes[0].op)
    (['countpad off'], 'avgpool 3x3 /2 pad 1 countpad off')
    """
    rounds = _Rounds(unsafe, inputs, {_identity(finding) for finding in report.findings})
    for _ in range(MAX_PASSES):
        network = rounds.once(report)
        if network is report.network:
            break
        report = check(network, report.config, report.source)
    return Fixed(report, tuple(rounds.made))


def hidden(report: Report, *, inputs: bool = True) -> int:
    """The number of findings that only an unsafe fix cures."""
    return sum(
        _first(finding, False, inputs) is None and _first(finding, True, inputs) is not None
        for finding in report.findings
    )


Identity = tuple[str, str | None, str]


@dataclasses.dataclass
class _Rounds:
    """unsafe, inputs: as in `fixed`; first: the findings at the start; tried: fixes made; changed: findings with an
    unsafe fix made."""

    unsafe: bool
    inputs: bool
    first: set[Identity]
    made: list[tuple[Diagnostic, Fix]] = dataclasses.field(default_factory=list)
    tried: set[str] = dataclasses.field(default_factory=set)
    changed: set[Identity] = dataclasses.field(default_factory=set)

    def once(self, report: Report) -> Network:
        """The network after one fix for each node, or up to the first that changes sizes: the others followed from
        them."""
        network, touched = report.network, set[str | None]()
        for finding in report.findings:
            identity = _identity(finding)
            meant = identity in self.first or report.config.fails(finding.severity)
            unsafe = self.unsafe and meant and identity not in self.changed
            fix = _first(finding, unsafe, self.inputs)
            key = fix and repr((fix.node, sorted(fix.change.items()), fix.input))
            if not fix or not key or key in self.tried or fix.node in touched:
                continue
            self.tried.add(key)  # never twice: two fixes may undo each other
            touched.add(fix.node)
            self.made.append((finding, fix))
            network = _changed(network, fix)
            if not fix.safe:
                self.changed.add(identity)
                return network
        return network


def _identity(finding: Diagnostic) -> Identity:
    return finding.code, finding.node, finding.aspect


def _first(finding: Diagnostic, unsafe: bool, inputs: bool) -> Fix | None:
    """The first fix, in the order of the message, that may be made."""
    return next((fix for fix in finding.fixes if _suits(fix, unsafe, inputs)), None)


def _suits(fix: Fix, unsafe: bool, inputs: bool) -> bool:
    if fix.input is not None:
        return unsafe and inputs
    return bool(fix.node and fix.change) and (unsafe or fix.safe)


def _changed(network: Network, fix: Fix) -> Network:
    if fix.node is None or fix.input is not None:
        return network.with_input(fix.input or ())
    return network.replace(fix.node, dataclasses.replace(network.node(fix.node).op, **fix.change))
