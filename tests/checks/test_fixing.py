"""Fixes that are made: every finding with a safe one is gone, nothing else changes, and it always ends."""

import dataclasses

import pytest

from striate.checks import Config, all_rules, check
from striate.checks.fixing import apply_fixes, count_unsafe
from striate.diagnostics import Fix
from striate.formats import parse, rewriting, toml
from striate.models import catalogue
from striate.network import Network

POOL = "9x9x8 -> avgpool 3x3 /2 pad 1"
RULES = [rule for rule in all_rules() if type(rule).__module__.startswith("striate.")]


def example(rule) -> Network:
    text = rule.bad
    return toml.parse(text) if "[network]" in text else parse(text)


def report_of(net, **settings):
    return check(net, Config().replace(**settings))


def test_a_safe_fix_is_made_and_its_finding_is_gone():
    before = report_of(parse(POOL), select="P005")
    done = apply_fixes(before)
    assert [finding.code for finding, _ in done.applied] == ["P005"] and done.report.findings == ()
    assert str(done.report.network.nodes[0].op) == "avgpool 3x3 /2 pad 1 countpad off"
    assert before.network == parse(POOL)


def test_an_unsafe_fix_is_made_when_asked_for():
    report = report_of(parse("7x7x1 -> conv 3x3 /3"), select="G")
    assert apply_fixes(report).applied == () and apply_fixes(report).report is report
    done = apply_fixes(report, unsafe=True)
    assert len(done.applied) == 1 and done.report.findings == ()
    assert not done.applied[0][1].safe


def test_another_input_is_an_unsafe_fix_of_its_own():
    report = report_of(parse("8x8x3 -> conv 3x3 8 /2 pad 1"), select="P001")
    inputs = [fix for finding in report.findings for fix in finding.fixes if fix.input]
    assert inputs
    only = dataclasses.replace(
        report, findings=tuple(dataclasses.replace(f, fixes=tuple(inputs[:1])) for f in report.findings)
    )
    assert apply_fixes(only, unsafe=True, inputs=False).applied == ()
    assert apply_fixes(only, unsafe=True).report.network.input.without_batch == inputs[0].input


def test_what_is_ignored_is_not_fixed():
    assert apply_fixes(report_of(parse(POOL), ignore="P005")).applied == ()
    assert apply_fixes(report_of(parse(POOL), per_node_ignores={"avgpool1": ["P"]})).applied == ()


def test_two_fixes_that_undo_each_other_come_to_an_end(monkeypatch):
    from striate.checks.rules.pixels import BorderUnderused

    def look(self, context):
        (node,) = context.nodes
        mode = "circular" if node.op.mode == "zeros" else "zeros"
        fix = Fix(mode, safe=True, node=node.name, change={"mode": mode})
        yield self.finding(context, node, "the other one", fixes=[fix])

    monkeypatch.setattr(BorderUnderused, "look", look)
    done = apply_fixes(report_of(parse("8x8x3 -> conv 3x3 4 pad 1"), select="U002"))
    assert [fix.text for _, fix in done.applied] == ["circular", "zeros"]


@pytest.mark.parametrize("entry", catalogue.entries()[::7], ids=lambda entry: entry.name)
def test_safe_fixes_keep_sizes_weights_and_windows(entry):
    """Of a published network: all shapes stay, nothing gets worse, and no safe fix is left over."""
    before = check(catalogue.create(entry.name))
    after = apply_fixes(before).report
    old, new = before.network, after.network
    assert {name: p.shape for name, p in old.parameters.items()} == {
        name: p.shape for name, p in new.parameters.items()
    }
    assert old.specs == new.specs
    for name, declaration in old.declarations.items():
        reach = [(w.kernel, w.stride, w.dilation) for w in declaration.windows.values()]
        assert reach == [(w.kernel, w.stride, w.dilation) for w in new.declarations[name].windows.values()]
    assert len(after.findings) <= len(before.findings)
    assert apply_fixes(after).applied == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_finding_costs_one_unsafe_fix_the_first_that_it_lists(rule):
    """What a change brings about is reported, and changed in turn only where it fails the check."""
    report = check(example(rule), Config().replace(**rule.settings))
    done = apply_fixes(report, unsafe=True)
    changed = [(finding, fix) for finding, fix in done.applied if not fix.safe]
    identities = [(finding.code, finding.node, finding.aspect) for finding, _ in changed]
    assert len(identities) == len({*identities})
    first = {(finding.code, finding.node, finding.aspect) for finding in report.findings}
    for identity, (finding, fix) in zip(identities, changed, strict=True):
        assert identity in first or report.config.fails(finding.severity)
        assert fix == next(one for one in finding.fixes if one.change or one.input)
    assert count_unsafe(done.report) <= len(done.report.findings)
    assert bool(count_unsafe(apply_fixes(report).report)) >= bool(changed)


def test_one_stride_that_does_not_fit_is_one_change():
    done = apply_fixes(check(parse("7x7x1 -> conv 3x3 /3")), unsafe=True)
    assert [fix.text for _, fix in done.applied] == ["stride 1 (-> 5x5)"]
    assert str(done.report.network.nodes[0].op) == "conv 3x3"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
@pytest.mark.parametrize("unsafe", [False, True])
def test_every_fix_can_be_written_into_a_file_that_keeps_its_comments(rule, unsafe):
    net = example(rule)
    lines = toml.format(net).split("\n")
    text = "\n".join(f"{line}  # {number}" if line else "# alone" for number, line in enumerate(lines))
    report = check(toml.parse(text), Config(select=(rule.code,)).replace(**rule.settings))
    done = apply_fixes(report, unsafe=unsafe)
    written = rewriting.edit(text, done.report.network)
    assert toml.parse(written) == done.report.network
    assert [line.partition("#")[2] for line in written.split("\n") if "#" in line] == [
        line.partition("#")[2] for line in text.split("\n")
    ]


def test_an_input_beyond_the_largest_size_is_never_offered():
    """Sizes that fit may be as far apart as the product of all strides."""
    report = check(parse("3200x3200x3 -> [conv 3x3 3 pad 1 -> maxpool 2 /2 pad 1]*500"))
    assert all(fix.input is None for finding in report for fix in finding.fixes)
