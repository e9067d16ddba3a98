"""Checks: what is wrong or worth knowing in a network, where, why, and the smallest fix.

`check` runs the rules of `striate.checks.rules`; settings are in `Config`, texts in `striate.checks.outputs`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from striate import lazy
from striate.checks.config import Config
from striate.checks.context import Context
from striate.checks.report import Report
from striate.checks.rule import Rule, all_rules
from striate.network import NetworkSource, as_network
from striate.signatures import explain_misuse

CheckConfig = Config
"""Alias of `Config` for the public namespace."""

__all__ = ["CheckConfig", "Config", "Context", "Report", "Rule", "all_rules", "check", "explain"]

sys.modules[__name__].__class__ = lazy.Package


@explain_misuse
def explain(code: str) -> str:
    """Explanation of a code: what, why, an example, the fix and the source.

    code: of a rule or an error, "G002", or its name, "stride-loses-pixels"; the beginning of codes,
    "G", gives a line for each. Raises UnknownNameError, with the nearest.

    >>> import striate as st
    >>> st.explain("G002").splitlines()[0]
    'G002 stride-loses-pixels (error)'
    """
    from striate.checks.reference import text

    return text(code)


@explain_misuse
def check(network: NetworkSource, config: Config | None = None, source: str | None = None) -> Report:
    """Findings about a network: what does not fit, where, why, and the smallest fix.

    network: a network, or what names one, as `striate.load` takes it; config: which rules count and the limits that
    they hold, the defaults where none is given (no file is read); source: the file that the network was read from,
    for outputs that point at files.

    Raises what `striate.load` raises, SourceError and FormatError for a baseline file that cannot be read.

    >>> import striate as st
    >>> [finding.code for finding in st.check("7x7x1 -> conv 3x3 /3").findings]
    ['G002']
    """
    network = as_network(network)
    config = config or Config()
    context = Context(network, config)
    order = {node.name: at for at, node in enumerate(network.nodes)}
    all_findings = [
        finding for rule in all_rules() if config.selects(rule.code) for finding in rule.look(context)
    ]
    findings = [finding for finding in all_findings if not config.ignores(finding.code, finding.node)]
    in_baseline = 0
    if config.baseline is not None:
        from striate.checks import baseline

        findings, in_baseline = baseline.subtract(
            network.name, findings, baseline.read(Path(config.baseline))
        )
    findings.sort(
        key=lambda finding: (-finding.severity.rank, finding.code, order.get(finding.node or "", -1))
    )
    failed = {problem.node for problem in context.inference.problems if problem.node}
    return Report(
        network,
        tuple(findings),
        config,
        skipped=tuple(name for name in context.inference.unknown if name not in failed),
        ignored=len(all_findings) - len(findings) - in_baseline,
        known=in_baseline,
        source=source,
    )
