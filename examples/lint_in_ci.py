"""Lint a network in CI, with a rule of your own. Today's findings go into a baseline file, only new ones fail.

The same from a shell: `striate check model.py --write-baseline known.json`, later `--baseline known.json`.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import striate as st
from striate.checks import Config, Context, Rule, baseline, outputs
from striate.diagnostics import Diagnostic, Severity


class TooManyFilters(Rule):
    """Our board takes no more than 64 filters in a layer."""

    code, severity = "C900", Severity.WARNING
    why, fix, source = "More do not fit the accelerator's buffer.", "64 filters", "the board's manual"
    bad, good = "8x8x3 -> conv 3x3 65", "8x8x3 -> conv 3x3 64"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("conv"):
            if (filters := context.spec(node.name).channels) > 64:
                yield self.finding(context, node, f"{filters} filters, 64 are possible")


def network(filters: int) -> st.Network:
    return st.parse(f"30x30x3 -> conv 3x3 {filters} -> relu -> conv 3x3 16 -> gap -> flatten -> fc 10")


with tempfile.TemporaryDirectory() as folder:
    known = Path(folder) / "known.json"
    report = st.check(network(filters=32))
    print(baseline.write(known, [(report.network.name, report.findings)]), "findings are known from now on")
    for filters in (32, 96):
        report = st.check(network(filters), Config(fail_on="warning", baseline=str(known)))
        print(f"{filters} filters: {'FAILED' if report.failed else 'passed'}, {report.known} known")
        print(outputs.FORMATS["concise"]([report]))  # in a test: assert not report.failed, str(report)
