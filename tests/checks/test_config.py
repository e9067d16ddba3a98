"""Settings: where they come from, what they select, and what is said about a slip."""

import tomllib

import pytest

from striate.checks import Config, all_rules, check
from striate.diagnostics import FormatError, Severity, SourceError, UnknownNameError, UsageError
from striate.formats import parse

VALID = "32x32x3 -> conv 5x5 6"


def codes(text=VALID, **settings):
    return [finding.code for finding in check(parse(text), Config().replace(**settings)).findings]


def test_longer_selectors_win_and_ignore_wins_a_draw():
    assert codes() == ["P002", "U002"]
    assert codes(select="P") == ["P002"]
    assert codes(ignore="P002") == ["U002"]
    assert codes(ignore="U,P", extend_select="U002") == ["U002"]
    assert codes(select="U002", ignore="U002") == []
    assert codes(select="g", extend_select="output-shrinks") == ["P002"]
    assert codes(select="ALL", ignore="ALL") == []


def test_per_node_ignores_are_counted():
    text = "32x32x3 -> stem: conv 5x5 6 -> conv 5x5 6"
    report = check(parse(text), Config(select=("P",), per_node_ignores={"st*": ("P002",)}))
    assert [finding.node for finding in report.findings] == ["conv1"]
    assert report.ignored == 1 and "1 ignored" in str(report)


def test_fail_on():
    report = {
        level: check(parse(VALID), Config(fail_on=level)).failed
        for level in ("error", "warning", "info", "never")
    }
    assert report == {"error": False, "warning": False, "info": True, "never": False}
    assert Config(fail_on="warning").fails(Severity.ERROR) and not Config(fail_on="never").fails(
        Severity.ERROR
    )


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"select": "P02"}, "no such rule: P02", "did you mean P002?"),
        ({"ignore": "output-shrink"}, "no such rule: output-shrink", "did you mean output-shrinks?"),
        (
            {"fail_on": "warnings"},
            "fail-on must be one of error, warning, info, never",
            "did you mean warning?",
        ),
        ({"fail-onn": "error"}, "no such setting: fail-onn", "did you mean fail-on?"),
        ({"select": [3]}, "select must be a list of codes", "leave out select"),
        ({"per_node_ignores": "P"}, 'must be a table such as { "stem.*" = ["P001"] }', "correct it"),
        ({"object_px": 0}, "object-px must be a whole number of 1 or more (got 0)", "correct it"),
        ({"max_params": "5 apples"}, "max-params must be a number such as 5000000, 5M or 1.2G", "correct it"),
        ({"max_memory": "5M"}, "max-memory must be an amount of memory such as 2GB", "correct it"),
        ({"models": [3]}, "models must be a MODEL, or a list", "leave out models"),
        ({"models": ["resnet18", " "]}, "models must be a MODEL, or a list", "leave out models"),
        ({"input": 224}, 'input must be an input size such as "224x224x3"', "correct it"),
        ({"input": {"left": 8}}, "input must be an input size", "correct it"),
        ({"input": {}}, "input must be an input size", "correct it"),
    ],
)
def test_slips_are_named(settings, what, fix):
    with pytest.raises((UnknownNameError, UsageError)) as error:
        Config().replace(**settings)
    assert what in error.value.what and fix in error.value.fix and error.value.where


def test_the_nearest_table_upward_is_read(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.striate]
        ignore = ["P002"]
        fail-on = "info"
        max-params = "5M"
        max-memory = "64MiB"
        baseline = "known.json"
        per-node-ignores = { "stem.*" = ["U"] }
        """
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'striate-user'\n")
    config = Config.find(below)
    assert config == Config(
        ignore=("P002",),
        fail_on="info",
        max_params=5_000_000,
        max_memory=2**26,
        baseline=str(tmp_path / "known.json"),
        per_node_ignores={"stem.*": ("U",)},
    )
    assert Config.read(tmp_path / "a" / "pyproject.toml") is None


def test_what_is_printed_is_read():
    config = Config(("P",), (), ("P002",), {"stem.*": ("U",)}, "info", 5, None, 2**26, 32, "known.json",
                    ("resnet18", "nets/*.toml"), {"left": "8x8x1"})  # fmt: skip
    assert Config().with_values(tomllib.loads(config.toml())) == config
    assert Config().with_values(tomllib.loads(Config().toml())) == Config()


def test_models_of_a_project_are_named_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "nets" / "deep").mkdir(parents=True)
    for name in ("nets/b.toml", "nets/a.toml", "nets/deep/c.toml", "net.py", "net.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.striate]
        models = ["resnet18", "nets/**/*.toml", "*.toml", "nets/a.toml", "net.py:built", "some.module:net",
                  "8x8x3 -> [conv 3x3 -> relu]*2", "nets/missing.onnx"]
        input = "64x64x3"
        """
    )
    monkeypatch.chdir(tmp_path / "nets" / "deep")
    config = Config.find()
    assert config.input == "64x64x3"
    assert config.files() == (
        "resnet18", "../a.toml", "../b.toml", "c.toml", "../../net.toml", "../../net.py:built", "some.module:net",
        "8x8x3 -> [conv 3x3 -> relu]*2", "../missing.onnx",
    )  # fmt: skip


def test_a_pattern_without_files_is_an_error_where_it_is_used(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.striate]\nmodels = "nets/*.toml"\ninput = { left = "8x8x1" }\n'
    )
    config = Config.find(tmp_path)
    assert config.input == {"left": "8x8x1"}
    with pytest.raises(SourceError, match="no file matches") as caught:
        config.files()
    assert caught.value.fix and "models" in caught.value.where


def test_somebody_elses_broken_file_is_left_alone(tmp_path):
    (tmp_path / "pyproject.toml").write_text("this is = not [ toml")
    assert Config.find(tmp_path) == Config()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[tool.striate]\nselect = [", FormatError),
        ("[tool]\nstriate = 3", FormatError),
        ("[tool.striate]\nselekt = ['P']", UnknownNameError),
        ("[tool.striate]\nselect = ['Q']", UnknownNameError),
    ],
)
def test_our_broken_table_is_an_error_with_its_file(tmp_path, text, error):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(error) as caught:
        Config.find(tmp_path)
    assert str(tmp_path) in caught.value.where and caught.value.fix


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SourceError):
        Config.read(tmp_path / "none.toml")


def test_budgets():
    text = "32x32x3 -> conv 1x1 8 -> relu -> flatten -> fc 10"
    report = check(parse(text), Config(select=("C001",), max_params=100, max_macs=1000, max_memory=1000))
    assert [finding.message.split(",")[0].split()[-1] for finding in report.findings]
    messages = [finding.message for finding in report.findings]
    assert len(messages) == 3 and report.failed
    assert (
        any("parameters" in m for m in messages)
        and any("MACs" in m for m in messages)
        and any("bytes" in m for m in messages)
    )
    assert not check(
        parse(text), Config(select=("C001",), max_params=10**6, max_macs=10**6, max_memory=10**6)
    ).findings


def test_object_size():
    text = "64x64x3 -> conv 3x3 8 pad 1 -> conv 3x3 8 pad 1"
    assert codes(text, select="R003") == []
    report = check(parse(text), Config(select=("R003",), object_px=9))
    (finding,) = report.findings
    assert finding.severity is Severity.WARNING and finding.message == "units see 5x5 of objects of 9x9"
    assert finding.fixes[0].text.startswith("2 more 3x3 layers")
    assert codes(text, select="R003", object_px="5") == []


def test_former_names_of_rules_are_read():
    """Settings written for an earlier version."""
    rules = [(name, rule.code) for rule in all_rules() for name in rule.former]
    assert rules and not {name for name, _ in rules} & {rule.name for rule in all_rules()}
    assert [Config(ignore=(name,)).ignore for name, _ in rules] == [(code,) for _, code in rules]
