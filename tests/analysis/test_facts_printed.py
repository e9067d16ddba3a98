"""What a terminal or a notebook shows of a result."""

import pytest

import striate as st
from striate.checks import Config
from striate.diagnostics import LimitError, NotationError, StriateError

NET = st.parse("5x5x1 -> conv 3x3 2 -> relu -> flatten -> fc 3", name="tiny")


def test_facts(golden):
    golden("printed.txt", f"{st.analyze(NET)!r}\n\n{st.sizes(NET, near=9)!r}\n\n{st.pixels(NET)!r}\n")


def test_a_part_without_output_is_told():
    assert "no output: conv2: conv has no output" in repr(
        st.analyze(st.parse("5x5x1 -> conv 3x3 -> conv 7x7"))
    )


def test_a_finding_prints_its_five_parts():
    (finding, *_) = st.check(st.parse("7x7x1 -> conv 3x3 /3")).findings
    assert str(finding).startswith("G002 conv1: stride 3 does not fit\n  where   conv1 = conv 3x3 /3")


def test_branches_of_a_huge_input_are_refused_in_words():
    with pytest.raises(LimitError, match="smaller input"):
        st.pixels(st.create("cifar_resnet20", input=(3, 40_000, 40_000)))


def test_an_input_may_be_a_text_as_in_the_shell():
    for text in ("64x64x3", "64x64", "64"):
        assert st.create("resnet18", input=text).input.shape == (1, 3, 64, 64)
    with pytest.raises(NotationError, match="64y"):
        st.create("resnet18", input="64y64")


@pytest.mark.parametrize(
    "settings", [{"fail_on": "infos"}, {"select": ("Q999",)}, {"max_params": "5 elephants"}]
)
def test_settings_are_read_wherever_they_come_from(settings):
    with pytest.raises(StriateError):
        Config(**settings)


def test_settings_take_units():
    assert Config(max_params="5M").max_params == 5_000_000
