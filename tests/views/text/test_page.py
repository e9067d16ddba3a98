"""Laws of the text page, on generated text: nothing too wide, nothing lost, plain and colored alike."""

import io
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import plural
from striate.terminal import Terminal, width_of
from striate.views.text.number_format import shape, short, size
from striate.views.text.page import Column, Page, Row

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs", "Cc")), max_size=40)
PLAIN = re.compile(r"\x1b\[[0-9;]*m")


def drawn(page: Page) -> list[str]:
    return str(page).splitlines()


def letters(text: str) -> str:
    return "".join(text.split())


@given(st.lists(WORDS, max_size=12), st.integers(20, 100), st.integers(0, 8))
def test_a_paragraph_fits_and_loses_nothing(words, width, indent):
    page = Page(Terminal(width))
    text = " ".join(words)
    page.line(text, indent, indent + 2)
    assert all(width_of(line) <= width for line in drawn(page))
    assert letters(str(page)) == letters(page.spell(text))


@given(
    st.lists(st.tuples(WORDS, st.sampled_from(["", "bold", "red", "bold cyan"])), max_size=8),
    st.integers(20, 60),
)
def test_color_changes_no_character(pieces, width):
    plain, colored = Page(Terminal(width)), Page(Terminal(width, color=True))
    for page in (plain, colored):
        page.line(pieces)
    stripped = [PLAIN.sub("", line).rstrip() for line in colored.lines]
    assert stripped == [line.rstrip() for line in plain.lines]


@given(st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=5), st.integers(24, 100))
def test_a_table_fits_and_loses_nothing(cells, width):
    page = Page(Terminal(width))
    columns = [Column("a", fold=True), Column("b", "right", fold=True), Column("c", fold=True)]
    page.table(columns, [Row(row) for row in cells])
    assert all(width_of(line) <= width for line in drawn(page))
    for row in cells:
        for cell in row:
            assert sorted(set(letters(page.spell(cell))) - set(letters(str(page)))) == []


@given(WORDS)
def test_ascii_only_where_nothing_else_can_be_shown(text):
    page = Page(Terminal(60, unicode=False))
    page.line(text)
    page.table([Column("x·y")], [Row([text])])
    page.title("≥ 3 × 3")
    assert str(page).isascii()


@given(WORDS)
def test_nothing_that_a_terminal_would_obey_gets_through(text):
    page = Page(Terminal(60))
    page.line(text)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", str(page))


def test_long_names_break_at_their_dots():
    page = Page(Terminal(20))
    page.line("features.denseblock4.denselayer16.conv2")
    assert drawn(page) == ["features.", "denseblock4.", "denselayer16.conv2"]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_command_can_be_pasted(width):
    """A shell reads the lines as the same words, and starts the program that the reader has."""
    page = Page(Terminal(width, program="'/my env/bin/striate'"))
    page.command("striate train --data 'my images' --model '7x7x1 -> conv 3x3' --out runs/mine")
    text = str(page)
    assert shlex.split(text.replace("\\\n", "")) == [
        "/my env/bin/striate", "train", "--data", "my images", "--model", "7x7x1 -> conv 3x3", "--out", "runs/mine",
    ]  # fmt: skip
    for line in drawn(page):
        assert len(line) <= width or len(shlex.split(line.removesuffix("\\"))) == 1, line


def test_wide_characters_count_twice():
    page = Page(Terminal(20))
    page.line("畳み込み層の畳み込み層の畳み込み層")
    assert all(width_of(line) <= 20 for line in drawn(page))
    assert width_of("畳み") == 4


class Screen(io.StringIO):
    encoding = "utf-8"

    def __init__(self, interactive):
        super().__init__()
        self.interactive = interactive

    def isatty(self):
        return self.interactive


@pytest.mark.parametrize(
    ("interactive", "environ", "color"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_when_color_is_written(interactive, environ, color):
    assert Terminal.of(Screen(interactive), environ).color is color


def test_the_width_of_a_page():
    assert Terminal.of(Screen(False), {}).width == 80
    assert Terminal.of(Screen(False), {"COLUMNS": "132"}).width == 132
    assert Terminal.of(Screen(False), {"COLUMNS": "wide"}).width == 80
    assert Terminal.of(Screen(False), {"COLUMNS": "3"}).width == 20


def test_numbers():
    assert [short(n) for n in (0, 999, 1000, 99_960, 117_600, 999_999, 4_089_184_256)] == [
        "0", "999", "1.00k", "100.0k", "117.6k", "1.00M", "4.09G",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 1024, 18_816, 102_400, 10**7)] == [
        "0 B", "1023 B", "1.0 KiB", "18.4 KiB", "100 KiB", "9.5 MiB",
    ]  # fmt: skip
    assert shape((3, 224, 160)) == "224x160x3"
    assert (plural(1, "node"), plural(2, "family", "families")) == ("1 node", "2 families")
