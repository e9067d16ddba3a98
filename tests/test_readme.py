"""README and the pages in docs/: they show what commands print and what the Python does, and links lead somewhere.

Fenced blocks of a page run in order, in one empty folder:

    ```console       `$ COMMAND` and what it prints, to the letter; a line `…` stands for any lines
    ```sh            commands that succeed
    ```python        runs; an expression with a literal as its comment has that value
    ```toml net.toml a file of that name

Other blocks, such as a bare ``` or ```sh clone (which `.ci/newcomer` runs in a fresh clone), are only read.
"""

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from striate.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.S | re.M)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


pages = pytest.mark.parametrize("page", PAGES, ids=name_of)
linked = pytest.mark.parametrize("page", LINKED, ids=name_of)


@dataclass
class Block:
    """A fenced block: its language, the file it is (if any), its text, and where it stands."""

    language: str
    file: str
    text: str
    where: str
    line: int


def blocks(page):
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(found[1], found[2], found[3], f"{name_of(page)}, line {line}", line)


# ---------------------------------------------------------------- blocks run
@pytest.fixture
def shell(tmp_path):
    """shell(script): what bash prints in a folder that holds the files of the repository that the script names, and no
    more, where `striate` and `python` are those of this test."""
    folder, programs = tmp_path / "here", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name, what in (("striate", "-m striate"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        (programs / name).chmod(stat.S_IRWXU)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def run(script):
        for name in re.findall(r"(?<![\w/.])(?:examples|docs)/[\w./-]*\w", script):
            source, copy = ROOT / name, folder / name
            if source.exists() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
        return subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, encoding="utf-8", timeout=300,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    run.folder = folder
    return run


@pages
def test_what_a_page_shows_is_true(page, shell, monkeypatch, golden):
    monkeypatch.chdir(shell.folder)
    space: dict[str, object] = {}
    text = page.read_text("utf-8")
    for block in blocks(page):
        if block.language == "console":
            text = text.replace(block.text, typed_and_printed(block, shell))
        elif block.language == "sh" and not block.file:
            done = shell(f"set -eu\n{block.text}")
            assert done.returncode == 0, f"{block.where}\n{done.stdout}"
        elif block.language == "python":
            runs(block, space)
        elif block.file and block.language != "sh":
            (shell.folder / block.file).write_text(block.text, encoding="utf-8")
    golden(f"../../{name_of(page)}", text)


def typed_and_printed(block, shell):
    """The block as it ought to be: each command with what it prints now."""
    assert block.text.startswith("$ "), block.where
    steps = [part.partition("\n") for part in block.text[2:].split("\n$ ")]
    end = "\x01\n"
    done = shell("".join(f"{typed}\n(code=$?; printf '{end}'; exit $code)\n" for typed, _, _ in steps))
    said = [text.rstrip("\n") for text in done.stdout.split(end)[:-1]]
    return "".join(
        f"$ {typed}\n{shown if matches(shown, printed) else printed}".rstrip("\n") + "\n"
        for (typed, _, shown), printed in zip(steps, said, strict=True)
    )


def matches(shown, printed):
    """Whether they are the same; a line `…` stands for any lines."""
    parts = [re.escape(part) for part in re.split(r"^…$\n?", shown.rstrip("\n") + "\n", flags=re.M)]
    return re.fullmatch(r"(?:.*\n)*?".join(parts), printed.rstrip("\n") + "\n") is not None


def runs(block, space):
    lines = ("\n" * (block.line - 1) + block.text).split("\n")
    for statement in ast.parse("\n".join(lines)).body:
        where = f"{block.where}: {ast.unparse(statement)}"
        code = compile(ast.Module([statement], []), where, "exec")
        if not isinstance(statement, ast.Expr):
            exec(code, space)
            continue
        value = eval(compile(ast.Expression(statement.value), where, "eval"), space)
        rest = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode().strip()
        try:
            said = ast.literal_eval(rest.removeprefix("#").strip())
        except (SyntaxError, ValueError):  # a sentence, or no comment
            continue
        assert value == said, f"{where}\n{value!r}"


def test_pages_can_be_followed_in_one_folder():
    """A run is never written over another one, so no two pages write the same."""
    writers: dict[str, set[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.language in ("console", "sh", "python") and not (block.language == "sh" and block.file):
                for run in re.findall(r"""(?:--out |\bout=["'])([\w./-]+)""", block.text):
                    writers.setdefault(run, set()).add(name_of(page))
    assert {"runs/digits", "runs/python"} <= writers.keys()
    assert not {run: names for run, names in writers.items() if len(names) > 1}


def test_a_wrong_line_is_noticed(tmp_path, shell):
    page = ROOT / "README.md"
    assert any(block.language == "console" for block in blocks(page))
    with pytest.raises(AssertionError, match="1 \\+ 1"):
        runs(Block("python", "", "1 + 1  # 3\n", "here", 1), {})
    runs(Block("python", "", "1 + 1  # a sum\n", "here", 1), {})
    three = "$ printf 'a\\nb\\nc\\n'\n"
    for right in (
        "$ echo a; false\na\n$ echo $?\n1\n",
        "$ true\n",
        *(three + x for x in ("a\n…\nc\n", "…\n", "a\n…\n")),
    ):
        assert typed_and_printed(Block("console", "", right, "here", 1), shell) == right
    for wrong in ("$ echo a\nb\n", *(three + x for x in ("…\nb\n", "b\n…\n", "a\n…\nbc\n"))):
        assert typed_and_printed(Block("console", "", wrong, "here", 1), shell) != wrong


# ---------------------------------------------------------------- what text names
def commands_in(text):
    """(command, its flags) of everything on a page that looks like `striate COMMAND … --flag`."""
    spans = re.findall(r"`(striate [^`]+)`", text)
    for block in FENCE.findall(text):
        spans += re.findall(
            r"(?:^|\$ |/|-m |[|;] )(striate [a-z][^\n]*)", block[2].replace("\\\n", " "), re.M
        )
    for span in spans:
        for part in re.split(r"[|;]\s", span):
            words = part.split("  #")[0].split()
            if words[:1] == ["striate"] and len(words) > 1 and words[1].isalpha() and words[1].islower():
                yield words[1], re.findall(r"(?<=\s)--[a-z][a-z-]*", part.split("  #")[0])


@linked
def test_commands_and_flags_exist(page):
    context = click.Context(app)
    for word, flags in commands_in(page.read_text("utf-8")):
        command = app.get_command(context, word)
        assert command is not None, f"{name_of(page)}: striate {word}"
        known = {"--help"}
        for each in (command, *getattr(command, "commands", {}).values()):
            for option in each.get_params(click.Context(each)):
                known.update(option.opts, option.secondary_opts)
        assert set(flags) <= known, f"{name_of(page)}: striate {word} {' '.join(flags)}"


# ---------------------------------------------------------------- links
def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    prose = FENCE.sub("", page.read_text("utf-8"))
    heads = re.findall(r"^#+ +(.+)$", prose, re.M)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", head)).strip().lower().replace(" ", "-")
        for head in heads
    }


def links(page):
    prose = FENCE.sub("", page.read_text("utf-8"))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]


@linked
def test_links_lead_to_headings(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{name_of(page)}: {target}"


def test_every_page_is_found():
    """README links to every page, and every page links back to README's list of them."""
    listed = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / "README.md")}
    for page in sorted((ROOT / "docs").iterdir()):
        if page.suffix in (".md", ".txt"):
            assert page in listed, f"README does not link to {name_of(page)}"
        if page.suffix == ".md":
            assert "../README.md#documentation" in links(page), f"{name_of(page)} does not link back"
