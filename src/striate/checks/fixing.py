"""Applies computed fixes until no finding with a fix is left."""

from __future__ import annotations

import dataclasses

from striate.checks import check
from striate.checks.report import Report
from striate.diagnostics import Diagnostic, Fix
from striate.network import Network

MAX_PASSES = 100
"""Maximum rounds of fixes: a fix may cause another finding."""


@dataclasses.dataclass(frozen=True)
class FixResult:
    """report: the remaining findings; applied: the fixed findings with their fixes, in order."""

    report: Report
    applied: tuple[tuple[Diagnostic, Fix], ...]


def apply_fixes(report: Report, *, unsafe: bool = False, inputs: bool = True) -> FixResult:
    """Apply the first fix of every finding that has one, and check again, until none is left.

    unsafe: also fixes that change a size or the shape of weights, one for each finding. Of the findings that such a
    change causes, only those that make the check fail are fixed. inputs: also fixes that change the network's input.

    >>> from striate.formats import parse
    >>> result = apply_fixes(check(parse("9x9x8 -> avgpool 3x3 /2 pad 1")))
    >>> [fix.text for _, fix in result.applied], str(result.report.network.nodes[0].op)
    (['countpad off'], 'avgpool 3x3 /2 pad 1 countpad off')
    """
    rounds = _Rounds(unsafe, inputs, {_identity(finding) for finding in report.findings})
    for _ in range(MAX_PASSES):
        network = rounds.once(report)
        if network is report.network:
            break
        report = check(network, report.config, report.source)
    return FixResult(report, tuple(rounds.applied))


def count_unsafe(report: Report, *, inputs: bool = True) -> int:
    """Number of findings that only an unsafe fix cures."""
    return sum(
        _first(finding, False, inputs) is None and _first(finding, True, inputs) is not None
        for finding in report.findings
    )


Identity = tuple[str, str | None, str]


@dataclasses.dataclass
class _Rounds:
    """unsafe, inputs: as in `apply_fixes`; first: the findings at the start; tried: keys of applied fixes; changed:
    findings with an applied unsafe fix."""

    unsafe: bool
    inputs: bool
    first: set[Identity]
    applied: list[tuple[Diagnostic, Fix]] = dataclasses.field(default_factory=list)
    tried: set[str] = dataclasses.field(default_factory=set)
    changed: set[Identity] = dataclasses.field(default_factory=set)

    def once(self, report: Report) -> Network:
        """The network after one fix for each node, or up to the first that changes sizes, because other findings may
        depend on them."""
        network, nodes = report.network, set[str | None]()
        for finding in report.findings:
            identity = _identity(finding)
            allowed = identity in self.first or report.config.fails(finding.severity)
            unsafe = self.unsafe and allowed and identity not in self.changed
            fix = _first(finding, unsafe, self.inputs)
            key = fix and repr((fix.node, sorted(fix.change.items()), fix.input))
            if not fix or not key or key in self.tried or fix.node in nodes:
                continue
            self.tried.add(key)  # never twice: two fixes may undo each other
            nodes.add(fix.node)
            self.applied.append((finding, fix))
            network = apply_fix(network, fix)
            if not fix.safe:
                self.changed.add(identity)
                return network
        return network


def _identity(finding: Diagnostic) -> Identity:
    return finding.code, finding.node, finding.aspect


def _first(finding: Diagnostic, unsafe: bool, inputs: bool) -> Fix | None:
    """The first fix, in the order of the message, that may be applied."""
    return next((fix for fix in finding.fixes if _may_apply(fix, unsafe, inputs)), None)


def _may_apply(fix: Fix, unsafe: bool, inputs: bool) -> bool:
    if fix.input is not None:
        return unsafe and inputs
    return bool(fix.node and fix.change) and (unsafe or fix.safe)


def apply_fix(network: Network, fix: Fix) -> Network:
    """The network with a fix that changes fields of a node, or the input. Raises what the changed network raises."""
    if fix.node is None or fix.input is not None:
        return network.with_input(fix.input or ())
    return network.replace(fix.node, dataclasses.replace(network.node(fix.node).op, **fix.change))
