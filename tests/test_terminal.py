"""The progress bar: who sees it, that it never breaks a line, and that it leaves nothing behind."""

import io
import re

import pytest

from striate import terminal
from striate.terminal import Bar, Terminal, width_of

SGR = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A stand-in for a terminal."""

    encoding = "utf-8"

    def __init__(self, interactive=True):
        super().__init__()
        self.interactive = interactive

    def isatty(self):
        return self.interactive


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "REDRAW_S", 0)


def frames(screen):
    """What stood on the line, one after the other."""
    return [SGR.sub("", frame) for frame in screen.getvalue().split("\r")[1:]]


def test_a_bar_grows_and_goes():
    screen = Screen()
    with Bar(screen) as bar:
        for done in range(5):
            bar.update("reading", done, 4, f"{done}/4")
    *drawn, blank, end = frames(screen)
    assert [frame.startswith("reading ━") and frame.endswith(f"{k}/4") for k, frame in enumerate(drawn)] == [
        True
    ] * 5
    painted = [len(re.search(r"\x1b\[36m(━*)", frame)[1]) for frame in screen.getvalue().split("\r")[1:6]]
    assert painted == sorted(set(painted)) and painted[0] == 0
    assert (blank.strip(), end) == ("", "") and len(blank) == len(drawn[-1]) == 79


@pytest.mark.parametrize("columns", [20, 30, 41, 60, 80, 200])
@pytest.mark.parametrize("what", ["", "epoch 1/3", "compiling kernels for this processor, once", "学習"])
def test_every_frame_fills_the_line_and_no_more(monkeypatch, columns, what):
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen()
    bar = Bar(screen)
    for done in (0, 1, 999, 1000):
        bar.update(what, done, 1000, f"loss 0.123  accuracy 12.3%  {done} images/s  3 s left", "3 s left")
        bar.count(what, done, 1000)
    assert {width_of(frame) for frame in frames(screen)} == {columns - 1}
    assert all("3 s left" in frame for frame in frames(screen)[::2])


def test_characters_that_the_stream_cannot_carry():
    screen = Screen()
    screen.encoding = "ascii"
    Bar(screen).update("läuft →", 1, 2, "½")
    assert screen.getvalue().isascii() and "->" in screen.getvalue() and "#" in screen.getvalue()


@pytest.mark.parametrize(
    ("interactive", "environ"),
    [(False, {}), (True, {"NO_COLOR": "1"}), (True, {"TERM": "dumb"}), (False, {"FORCE_COLOR": "1"})],
)
def test_nothing_where_no_bar_can_be_drawn(monkeypatch, interactive, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    screen = Screen(interactive)
    with Bar(screen) as bar:
        bar.count("reading", 1, 2)
        with bar.aside():
            pass
    assert screen.getvalue() == "" and not bar.enabled


def test_a_closed_stream_and_none_are_no_terminals():
    screen = Screen()
    screen.close()
    assert not Bar(io.StringIO()).enabled and not terminal.wants_bar(None)
    closed = io.StringIO()
    closed.close()
    assert not terminal.wants_bar(closed)


def test_lines_are_written_without_the_bar():
    screen = Screen()
    with Bar(screen) as bar:
        bar.count("reading", 1, 2)
        with bar.aside():
            screen.write("a line\n")
        bar.count("reading", 2, 2)
    _, blank, line, again, *_ = frames(screen)
    assert blank.strip() == "" and line == "a line\n" and "2/2" in again


def test_seldom_redrawn_but_at_once_for_another_task(monkeypatch):
    monkeypatch.setattr(terminal, "REDRAW_S", 60)
    screen = Screen()
    bar = Bar(screen)
    for done in range(100):
        bar.count("reading", done, 100)
    bar.count("sorting", 0, 100)
    assert [frame.split()[0] for frame in frames(screen)] == ["reading", "sorting"]


def test_a_short_wait_shows_nothing():
    screen = Screen()
    with Bar(screen, patience=60) as bar:
        bar.count("reading", 1, 2)
        bar.count("sorting", 1, 2)
    assert screen.getvalue() == ""


def test_a_notebook_sees_the_bar():
    output = type("OutStream", (Screen,), {"__module__": "ipykernel.iostream"})(interactive=False)
    with Bar(output) as bar:
        bar.count("reading", 1, 2)
    assert "reading ━" in SGR.sub("", output.getvalue()) and "\x1b[K" not in output.getvalue()


def test_a_reader_who_left_is_no_error():
    class Gone(Screen):
        def write(self, text):
            raise BrokenPipeError

    with Bar(Gone()) as bar:
        bar.count("reading", 1, 2)
        assert not bar.enabled


def test_terminal_without_an_encoding():
    """Streams of editors and test tools may lack one."""
    stream = type("Stream", (), {"isatty": lambda self: True})()
    assert Terminal.of(stream, {}).unicode is False
