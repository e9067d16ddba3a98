"""Every rule, found by itself: complete, unique, silent on its good example, and right about its bad one."""

import inspect
import re

import pytest

from striate.checks import Config, all_rules, check, explain
from striate.checks.reference import errors, everything, markdown
from striate.checks.rule import FAMILIES
from striate.diagnostics import Severity, UnknownNameError
from striate.formats import parse
from striate.formats.toml import parse as parse_toml

RULES = all_rules()
CONTRACT = (
    "G001 G002 G003 P001 P002 P003 P004 U001 U002 U003 U004 R001 R002 R003 C001 C002 C003 N001 N002 X001 X002"
)


def network_of(text):
    text = inspect.cleandoc(text)
    return parse_toml(text) if text.startswith("[") else parse(text)


def codes_of(text, rule):
    report = check(network_of(text), Config(**rule.settings))
    return {finding.code for finding in report.findings}


def test_the_codes_of_the_contract_are_there():
    assert set(CONTRACT.split()) <= {rule.code for rule in RULES}


def test_codes_and_names_are_unique():
    for words in ([rule.code for rule in RULES], [rule.name for rule in RULES], [e.code for e in errors()]):
        assert len(words) == len(set(words))


def test_former_names_and_beginnings_of_codes_are_explained():
    """What settings take is what can be looked up."""
    assert any(rule.former for rule in RULES)
    for rule in RULES:
        for word in (rule.code, rule.name, *rule.former):
            assert explain(word) == explain(word.upper()) == rule.text()
    for letter in FAMILIES:
        members = [one.code for one in (*RULES, *errors()) if one.code[0] == letter]
        assert [line.split()[0] for line in explain(letter.lower()).splitlines()] == members
    assert explain("P00").startswith("P001 uneven-padding: ")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_is_complete(rule):
    assert re.fullmatch(r"[A-Z]\d{3}", rule.code) and rule.code[0] in FAMILIES
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    assert rule.summary.endswith(".") and len(rule.summary) < 160
    assert isinstance(rule.severity, Severity)
    for text in (rule.why, rule.fix, rule.source, rule.bad, rule.good):
        assert text.strip()
    assert rule.why.endswith(".") and not rule.fix.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_bad_example_shows_exactly_this_fault(rule):
    assert codes_of(rule.bad, rule) == {rule.code, *rule.companions}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_good_example_does_not(rule):
    assert rule.code not in codes_of(rule.good, rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_computed_fixes_cure_and_break_nothing(rule):
    """Every fix that can be made is made here, independently, and the network is checked again."""
    network = network_of(rule.bad)
    before = check(network, Config(**rule.settings))
    for finding in before.findings:
        if finding.code != rule.code:
            continue
        for fix in finding.fixes:
            after = apply(network, fix)
            if after is None:
                continue
            report = check(after, Config(**rule.settings))
            assert (rule.code, finding.node) not in {(f.code, f.node) for f in report.findings}, fix.text
            assert report.count(Severity.ERROR) <= before.count(Severity.ERROR), fix.text
            shape = after.inference.specs[fix.node or network.outputs[0]].without_batch
            assert fix.consequences["macs"] == sum(d.macs for d in after.declarations.values())
            assert fix.consequences["params"] == sum(d.params for d in after.declarations.values())
            if fix.node:
                assert tuple(fix.consequences["output"]) == shape
            if fix.safe:
                assert after.specs == network.specs and after.parameters == network.parameters


def apply(network, fix):
    import dataclasses

    if fix.input is not None:
        return network.with_input(fix.input)
    if fix.change:
        return network.replace(fix.node, dataclasses.replace(network.node(fix.node).op, **fix.change))
    return None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_printed_finding(rule, golden):
    report = check(network_of(rule.bad), Config(**rule.settings, select=(rule.code,)))
    golden(f"rules/{rule.code}.txt", f"{rule.text()}\n\n---\n\n{report}")


def test_the_docs_page_names_everything():
    page = markdown()
    for entry in (*RULES, *errors()):
        assert entry.code in page and entry.code in everything()


def test_explain_takes_codes_and_names_in_any_case():
    assert explain("g002") == explain("G002") == explain("Stride-Loses-Pixels")
    assert "I001" in explain("i001") and "exit code 2" in explain("I001")


def test_explain_names_the_nearest_code():
    with pytest.raises(UnknownNameError, match="did you mean G00"):
        explain("G0002")
