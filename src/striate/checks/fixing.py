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

    unsafe: also those that change a size or the shape of weights; inputs: of these, also another input of the network.

    >>> from striate.formats import parse
    >>> done = fixed(check(parse("9x9x8 -> avgpool 3x3 /2 pad 1")))
    >>> [fix.text for _, fix in done.made], str(done.report.network.nodes[0].op)
    (['countpad off'], 'avgpool 3x3 /2 pad 1 countpad off')
    """
    made: list[tuple[Diagnostic, Fix]] = []
    tried: set[str] = set()
    for _ in range(MAX_PASSES):
        network = _once(report, unsafe, inputs, made, tried)
        if network is report.network:
            break
        report = check(network, report.config, report.source)
    return Fixed(report, tuple(made))


def _once(
    report: Report, unsafe: bool, inputs: bool, made: list[tuple[Diagnostic, Fix]], tried: set[str]
) -> Network:
    """The network after one fix for each node, or up to the first that changes sizes: the others followed from them."""
    network, touched = report.network, set[str | None]()
    for finding in report.findings:
        for fix in finding.fixes:
            key = repr((fix.node, sorted(fix.change.items()), fix.input))
            if key in tried or fix.node in touched or not _suits(fix, unsafe, inputs):
                continue
            tried.add(key)  # never twice: two fixes may undo each other
            touched.add(fix.node)
            made.append((finding, fix))
            network = _changed(network, fix)
            if not fix.safe:
                return network
            break
    return network


def _suits(fix: Fix, unsafe: bool, inputs: bool) -> bool:
    if fix.input is not None:
        return unsafe and inputs
    return bool(fix.node and fix.change) and (unsafe or fix.safe)


def _changed(network: Network, fix: Fix) -> Network:
    if fix.node is None or fix.input is not None:
        return network.with_input(fix.input or ())
    return network.replace(fix.node, dataclasses.replace(network.node(fix.node).op, **fix.change))
