"""Settings: one declaration, and everything that is derived from it agrees with it."""

import dataclasses
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError, SourceError, StriateError, UnknownNameError, UsageError
from striate.train.config import Config, Job, markdown, options
from striate.train.settings import Settings

GOOD = st.builds(
    Settings,
    epochs=st.integers(1, 10**6),
    lr=st.none() | st.floats(1e-12, 1e3),
    label_smoothing=st.floats(0, 0.99),
    class_weights=st.just("balanced") | st.lists(st.floats(0, 9), max_size=4).map(tuple),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    nesterov=st.booleans(),
    milestones=st.lists(st.floats(0, 99), max_size=3).map(tuple),
    log=st.lists(st.sampled_from(["wandb", "mlflow"]), max_size=2).map(tuple),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(GOOD, TEXTS)
def test_a_file_gives_the_settings_back(tmp_path_factory, settings, text):
    path = tmp_path_factory.mktemp("config") / "config.toml"
    config = Config(Job(model=text), settings)
    path.write_text(config.toml(), encoding="utf-8")
    assert Config.read(path) == config


@given(GOOD)
def test_flags_say_the_same_as_a_file(settings):
    texts = {}
    for name, value in settings.to_dict().items():
        texts[name] = (
            ",".join(map(str, value)) if isinstance(value, list) else "auto" if value is None else str(value)
        )
    assert Settings().replace_flags(texts) == settings
    assert Settings().replace(settings.to_dict()) == settings


def test_defaults_then_file_then_flags(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('model = "lenet5"\n[train]\nepochs = 3\nlr = 0.5\n')
    config = Config.read(path).replace_flags({"epochs": 7, "data": "there", "optimizer": None})
    assert (config.settings.epochs, config.settings.lr, config.settings.batch_size) == (7, 0.5, 64)
    assert (config.job.model, config.job.data) == ("lenet5", "there")


def test_every_setting_is_documented_and_has_a_flag():
    page, lines = markdown(), Config().toml()
    for option in options():
        assert option.doc and option.takes and option.flag.startswith("--")
        assert f"# {option.doc}" in lines
        assert f"`{option.name}`" in page and option.doc in page
    assert tomllib.loads(lines)["train"] == {
        name: "auto" if value is None else value for name, value in Settings().to_dict().items()
    }


def test_auto_is_resolved_and_said():
    settings = Settings(optimizer="sgd").resolved
    assert settings.lr == 0.05 and settings.weight_decay == 5e-4
    assert settings.resolved == settings
    assert Settings(fast_dev_run=True, epochs=50).resolved.epochs == 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", 0, "whole number of 1 or more"),
        ("epochs", True, "whole number"),
        ("lr", -1, "above 0"),
        ("lr", "fast", '"auto"'),
        ("lr", float("nan"), "a number"),
        ("momentum", 1.0, "less than 1"),
        ("nesterov", "yes", "true or false"),
        ("optimizer", "adamm", "did you mean adam"),
        ("log", "wandb", "a list of words from tensorboard"),
        ("class_weights", "balancd", "did you mean balanced"),
        ("class_weights", ["a"], "a list of numbers"),
    ],
)
def test_values_without_meaning(key, value, expected):
    with pytest.raises(UsageError) as caught:
        Settings().replace({key: value}, "somewhere")
    assert expected in str(caught.value) and key in str(caught.value)
    with pytest.raises(UsageError):
        Settings(**{key: value})


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean batch_size"):
        Settings().replace({"batchsize": 3})


BROKEN = {
    "no toml": ("epochs = = 3", FormatError, "not valid TOML"),
    "not text": (b"\xff\xfe", FormatError, "not valid TOML"),
    "a value for the table": ("train = 3", FormatError, r"write \[train\]"),
    "a setting in the wrong place": ("epochs = 3", UnknownNameError, r"write epochs below \[train\]"),
    "a wrong key": ("modle = 'x'", UnknownNameError, "did you mean model"),
    "a wrong setting": ("[train]\nepoch = 3", UnknownNameError, "did you mean epochs"),
    "a job without meaning": ("model = 3", UsageError, "model must be a text"),
    "a choice": ("on_bad = 'ignore'", UsageError, "one of skip, refuse"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_say_what_to_do(tmp_path, case):
    content, error, expected = BROKEN[case]
    path = tmp_path / "c.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=expected) as caught:
        Config.read(path)
    assert isinstance(caught.value, StriateError) and (
        str(path) in str(caught.value) or "job" in str(caught.value)
    )


def test_a_missing_file(tmp_path):
    with pytest.raises(SourceError):
        Config.read(tmp_path / "none.toml")


def test_settings_cannot_be_changed_behind_the_check():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().epochs = 0


def test_the_page_is_made_from_the_declarations(golden):
    golden("../../docs/settings.md", markdown())


def test_messages(golden):
    """What a person sees who has mistyped something."""
    said = []
    for values in (
        {"epoch": 3},
        {"lr": -1},
        {"optimizer": "adamm"},
        {"class_weights": "some"},
        {"log": ["wandbb"]},
    ):
        with pytest.raises(StriateError) as caught:
            Settings().replace(values, "run.toml [train]")
        said.append(str(caught.value))
    golden("train/settings.txt", "\n\n".join(said))
