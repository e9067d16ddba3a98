"""Checks: what is wrong or worth knowing in a network, where, why, and the smallest fix.

`check` runs the rules of `striate.checks.rules`; settings are in `Config`, texts in `striate.checks.outputs`.
"""

from __future__ import annotations

from pathlib import Path

from striate.checks.config import Config
from striate.checks.context import Context
from striate.checks.report import Report
from striate.checks.rule import Rule, all_rules
from striate.network import Network

__all__ = ["Config", "Context", "Report", "Rule", "all_rules", "check", "explain"]


def explain(code: str) -> str:
    """What, why, example, fix and source behind a code or a name. Raises UnknownNameError, with the nearest."""
    from striate.checks.explain import text

    return text(code)


def check(network: Network, config: Config | None = None, source: str | None = None) -> Report:
    """Run every selected rule on a network.

    `source` names the file that the network was read from, for outputs that point at files.

    >>> from striate.formats import parse
    >>> [finding.code for finding in check(parse("7x7x1 -> conv 3x3 /3")).findings]
    ['G002']
    """
    config = config or Config()
    context = Context(network, config)
    order = {node.name: at for at, node in enumerate(network.nodes)}
    found = [finding for rule in all_rules() if config.selects(rule.code) for finding in rule.look(context)]
    kept = [finding for finding in found if not config.ignores(finding.code, finding.node)]
    known = 0
    if config.baseline is not None:
        from striate.checks import baseline

        kept, known = baseline.subtract(network.name, kept, baseline.read(Path(config.baseline)))
    kept.sort(key=lambda finding: (-finding.severity.rank, finding.code, order.get(finding.node or "", -1)))
    failed = {problem.node for problem in context.inference.problems if problem.node}
    return Report(
        network,
        tuple(kept),
        config,
        skipped=tuple(name for name in context.inference.unknown if name not in failed),
        ignored=len(found) - len(kept) - known,
        known=known,
        source=source,
    )
