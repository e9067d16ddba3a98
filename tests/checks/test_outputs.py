"""What is printed, in every format: exact where people read it, well-formed and escaped where programs do."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from striate import checks
from striate.checks import Config, check, outputs
from striate.diagnostics import Diagnostic, Fix, Place, Severity, fix_line
from striate.formats import parse
from striate.models import create
from striate.network import Builder
from striate.ops import Conv

HOSTILE = "a<b>&\"c'\n::error ::%0A,\x1b[31m\x00\u202e\ud800"
COURSE = "7x7x1 -> conv 3x3 /3"


def report_of(text, **settings):
    return check(parse(text), Config().replace(**settings))


@pytest.fixture
def built():
    """A network built in Python: its nodes know their lines."""
    builder = Builder("built", input=(1, 7, 7))
    return check(
        builder.build(builder(Conv(1, kernel=3, stride=3), builder.input, name="conv")), source="nets.py"
    )


@pytest.fixture
def hostile():
    """A finding whose every text was chosen to break a format."""
    clean = report_of(COURSE)
    finding = Diagnostic(
        "G002",
        "stride-loses-pixels",
        Severity.ERROR,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        (Fix(HOSTILE),),
        HOSTILE,
        Place(HOSTILE, 3),
    )
    return checks.Report(clean.network, (finding,), source=HOSTILE)


# ---------------------------------------------------------------- for people
def test_the_example_of_the_course(golden):
    golden("checks/course.txt", str(report_of(COURSE)))


@pytest.mark.parametrize("name", ["resnet50", "squeezenet1_0", "lenet5"])
def test_a_published_network(name, golden):
    golden(f"checks/{name}.txt", str(check(create(name))))


def test_several_networks(golden):
    reports = [
        report_of(COURSE),
        report_of("7x7x1 -> conv 1x1"),
        report_of("5x5x1 -> conv 7x7 -> relu -> relu"),
    ]
    golden("checks/several.txt", outputs.full(reports))


def test_concise(golden, built):
    reports = [report_of("32x32x3 -> conv 5x5 6 -> conv 3x3 8 /2"), built]
    golden("checks/concise.txt", re.sub(r"\.py:\d+", ".py:LINE", outputs.concise(reports)))


def test_fixes_of_one_kind_share_their_first_word():
    one, other = Fix("stride 1", change={"stride": 1}), Fix("stride 2", change={"stride": 2})
    assert fix_line([one, other, Fix("input 6x6", input=(1, 6, 6))]) == "stride 1 or 2 · input 6x6"
    assert (
        fix_line([Fix("use a larger input"), Fix("use less padding")])
        == "use a larger input · use less padding"
    )
    assert fix_line([]) == ""


def test_nothing_found():
    clean = report_of("7x7x1 -> conv 1x1")
    assert outputs.full([clean]) == "nothing found"
    assert outputs.concise([clean]) == "" == outputs.github([clean])
    assert (
        json.loads(outputs.json_([clean])) == [] == json.loads(outputs.sarif([clean]))["runs"][0]["results"]
    )


# ---------------------------------------------------------------- for programs
def test_json():
    (found,) = json.loads(outputs.json_([report_of(COURSE)]))
    assert list(found)[:3] == ["code", "name", "severity"]
    assert {"code", "name", "severity", "node", "where", "message", "fixes"} <= found.keys()
    assert (found["code"], found["node"], found["severity"]) == ("G002", "conv1", "error")
    assert found["message"] == "stride 3 does not fit"
    assert found["where"] == "conv1 = conv 3x3 /3 after input 7x7x1"
    first, *_, last = found["fixes"]
    assert (
        first["text"] == "stride 1 (-> 5x5)"
        and first["change"] == {"stride": [1, 1]}
        and first["safe"] is False
    )
    assert first["consequences"] == {
        "output": [1, 5, 5],
        "receptive_field": {"h": 3, "w": 3},
        "network_outputs": [[1, 5, 5]],
        "params": 10,
        "macs": 225,
    }
    assert last["input"] == [1, 9, 9]


def test_json_is_ascii_and_has_the_place(built):
    (found,) = json.loads(outputs.json_([built]))
    assert found["line"] == built.findings[0].place.line and found["file"].endswith("test_outputs.py")
    assert outputs.json_([report_of(COURSE)]).isascii()


def test_sarif_has_what_the_standard_asks_for(built):
    """The required properties of SARIF 2.1.0 (OASIS standard, sections 3.13 to 3.49), written out by hand."""
    reports = [report_of("32x32x3 -> conv 5x5 6"), built]
    log = json.loads(outputs.sarif(reports))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "striate" and re.fullmatch(r"\d+\.\d+\.\d+.*", driver["semanticVersion"])
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == [rule.code for rule in checks.all_rules()] and len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["fullDescription"]["text"] and rule["help"]["text"] and rule["help"]["markdown"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        assert re.fullmatch(r"[A-Za-z0-9]+", rule["name"])
    assert len(run["results"]) == sum(len(report.findings) for report in reports)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note") and result["message"]["text"]
        (location,) = result["locations"]
        (logical,) = location["logicalLocations"]
        assert logical["name"] and logical["fullyQualifiedName"].endswith(logical["name"])
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    physical = run["results"][-1]["locations"][0]["physicalLocation"]
    assert "\\" not in physical["artifactLocation"]["uri"] and physical["region"]["startLine"] >= 1
    assert "physicalLocation" not in run["results"][0]["locations"][0]
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels == {"P002": "note", "U002": "note", "G002": "error"}


def test_sarif_names_a_file_without_lines():
    report = check(parse(COURSE), source="my nets/net#1.toml")
    (result,) = json.loads(outputs.sarif([report]))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20nets/net%231.toml"}
    }


def test_github(golden, built):
    text = outputs.github([report_of("32x32x3 -> conv 5x5 6"), built])
    golden("checks/github.txt", re.sub(r"line=\d+", "line=LINE", text))


def test_github_commands_cannot_be_injected(hostile):
    (line,) = outputs.github([hostile]).split("\n")
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert line.count("::") == 2 + 2 * message.count("::error") and "\x1b" not in line
    assert re.fullmatch(r"title=[^:,]*,file=[^:,]*,line=3", properties.replace("%3A", "").replace("%2C", ""))
    assert "%250A" in message and "%0A" in message


def test_junit():
    text = outputs.junit([report_of("33x33x3 -> conv 4x4 6 /2 -> relu"), report_of("7x7x1 -> conv 1x1")])
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites" and root.get("failures") == "1"
    bad, clean = root.findall("testsuite")
    assert int(bad.get("tests")) == len(bad.findall("testcase")) and bad.get("failures") == "1"
    (failure,) = bad.findall("testcase/failure")
    assert failure.get("type") == "error" and "stride 2 does not fit" in failure.get("message")
    assert "fix" in failure.text
    assert [case.get("name") for case in clean] == ["nothing found"]
    assert root.get("tests") == str(len(root.findall("testsuite/testcase")))


def test_junit_fails_where_the_check_fails():
    for level in ("error", "info", "never"):
        report = report_of("32x32x3 -> conv 5x5 6", fail_on=level)
        root = ElementTree.fromstring(outputs.junit([report]))
        assert (int(root.get("failures")) > 0) is report.failed


# ---------------------------------------------------------------- Markdown, counts
def test_markdown_of_several_networks():
    text = outputs.markdown([report_of(COURSE), report_of("7x7x1 -> conv 1x1")])
    assert text.count("### ") == 2
    (row,) = [line for line in text.split("\n") if line.startswith("| error")]
    assert row.count(" | ") == 4 and "**G002**" in row and "(7 + 0 - 3)/3 + 1 = 2.33" in row
    assert text.endswith("1 error (striate explain G002)")


def test_markdown_cannot_be_injected(hostile):
    """Neither a cell more, nor a link, an image, an element or a mention."""
    finding = dataclasses.replace(
        hostile.findings[0], node="a|b", message="[x](http://y) ![z](q) <img> @team `code`\n| new | row |"
    )
    text = outputs.markdown([dataclasses.replace(hostile, findings=(finding,))])
    (row,) = [line for line in text.split("\n") if line.startswith("| error")]
    assert len(re.split(r"(?<!\\)\|", row)) == 7
    assert not re.search(r"(?<!\\)[\[\]`]|<(?!br>)|@", row)


def test_statistics_count_every_finding(built):
    reports = [report_of("9x9x8 -> avgpool 3x3 /2 pad 1 -> avgpool 3x3 /2 pad 1"), report_of(COURSE), built]
    rows = json.loads(outputs.statistics_json(reports))
    assert sum(row["count"] for row in rows) == sum(len(report.findings) for report in reports)
    assert [row["count"] for row in rows] == sorted((row["count"] for row in rows), reverse=True)
    counted = {row["code"]: row for row in rows}
    assert (counted["P005"]["count"], counted["P005"]["fixable"]) == (2, 2)
    assert (counted["G002"]["count"], counted["G002"]["fixable"]) == (2, 0)
    lines = outputs.statistics(reports).split("\n")
    assert [line.split()[1] for line in lines] == [row["code"] for row in rows]
    assert outputs.statistics([report_of("7x7x1 -> conv 1x1")]) == ""


@pytest.mark.parametrize("name", sorted(outputs.FORMATS))
def test_no_format_breaks_on_hostile_names(name, hostile):
    text = outputs.FORMATS[name]([hostile])
    assert "\x1b" not in text and "\x00" not in text and "\u202e" not in text
    text.encode("utf-8")
    if name in ("json", "sarif"):
        assert "a<b>&" in json.dumps(json.loads(text), ensure_ascii=False)
    if name == "junit":
        case = ElementTree.fromstring(text).find("testsuite/testcase")
        assert case.get("classname").endswith("\\ud800") and "a<b>&\"c'" in case.get("classname")
    if name == "concise":
        assert text.count("\n") == 0


def test_every_format_of_the_contract():
    assert list(outputs.FORMATS) == ["full", "concise", "json", "markdown", "sarif", "github", "junit"]


def test_a_prompt_shows_the_findings():
    report = report_of(COURSE)
    assert repr(report) == str(report) == outputs.full([report])


def test_budgets_are_not_folded_into_one():
    report = report_of(
        "32x32x3 -> conv 3x3 64 -> flatten -> fc 10",
        select=("C001",), max_params=10, max_macs=10, max_memory=10,
    )  # fmt: skip
    blocks = outputs.blocks([report])
    assert [re.search(r"parameters|MACs|bytes", block)[0] for block in blocks[:-1]] == [
        "parameters",
        "MACs",
        "bytes",
    ]
    assert not any("also" in block for block in blocks)
    results = json.loads(outputs.sarif([report]))["runs"][0]["results"]
    assert len({result["partialFingerprints"]["striate/1"] for result in results}) == 3
    suite = ElementTree.fromstring(outputs.junit([report]))
    cases = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
    assert len(set(cases)) == len(cases) == 3
