"""Any network can be checked: no rule fails on it, and what is said about it holds together."""

import json

from hypothesis import assume, given

import network_strategies
from striate.checks import Config, all_rules, check, outputs
from striate.diagnostics import Severity
from striate.formats import parse

CODES = {rule.code for rule in all_rules()}


def sound(network):
    # A scale of many digits repeats only after as many units as its denominator: its field would take forever.
    scales = [getattr(node.op, "scale", None) or 1 for node in network.nodes]
    assume(all(round(scale, 2) == scale for scale in scales))
    report = check(network, Config(object_px=16, max_params=1, max_macs=1, max_memory=1))
    known = {node.name for node in network.nodes}
    ranks = [finding.severity.rank for finding in report.findings]
    assert ranks == sorted(ranks, reverse=True)
    for finding in report.findings:
        assert finding.code in CODES and finding.node in known | {None}
        assert finding.message and finding.where and finding.why and finding.fixes
        for fix in finding.fixes:
            assert fix.text and not (fix.change and fix.input)
            json.dumps(fix.to_dict())
    failed = {finding.node for finding in report.findings if finding.severity is Severity.ERROR}
    assert {problem.node for problem in network.inference.problems} <= failed
    assert outputs.concise([report]).count("\n") == len(report.findings) - 1


@given(network_strategies.chains())
def test_chains(network):
    sound(network)


@given(network_strategies.networks())
def test_branches(network):
    sound(network)


@given(network_strategies.networks())
def test_other_inputs(network):
    """Also where nodes have no output any more."""
    channels, *sizes = network.input.without_batch
    sound(network.with_input((channels, *(max(n // 3, 1) for n in sizes))))


def test_dilation_before_and_behind_another_number_of_axes():
    sound(
        parse(
            "8x8x4 -> conv 3x3 4 pad 2 dil 2 -> reshape 2,2,8,8 -> relu -> reshape 4,8,8 -> conv 3x3 4 pad 2 dil 2"
        )
    )
