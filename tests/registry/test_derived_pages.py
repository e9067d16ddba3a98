"""Pages in docs/ that the source writes: `make docs` brings them up to date."""

import dataclasses
import inspect
import re
import shlex
import tomllib
from itertools import groupby
from pathlib import Path

import pytest

from cli.run import run
from pages import filled
from striate.checks import Config
from striate.cli.check import command as check
from striate.fields import markdown, options
from striate.formats.grammar import usage
from striate.op import registry, spelling
from striate.views import python_page
from striate.views.page.catalogue import history_text
from striate.views.page.course import COURSE
from striate.views.schemas import typescript
from striate.views.schemas.page import page as json_page

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "striate"


def page(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def test_the_page_of_rules(golden):
    golden("../../docs/rules.md", run("explain", "--all", "--markdown").out)


def test_the_page_of_models(golden):
    golden("../../docs/models.txt", run("models").out)


def test_the_page_of_json(golden):
    golden("../../docs/json.md", json_page())


def test_the_types_of_the_live_page(golden):
    golden("../../web/src/record.ts", typescript.module())


def test_the_page_of_views_lists_the_course(golden):
    rows = [f"| {line['title']} | `{line['route']}` | {line['text']} |" for line in COURSE]
    table = "\n".join(["| line | address | what it says |", "|---|---|---|", *rows])
    golden("../../docs/views.md", filled(page("views.md"), {"course": table}))


def test_the_timeline_of_the_live_page(golden):
    golden("../../src/striate/views/static/history.json", history_text())


def test_the_page_of_the_python_api(golden):
    golden("../../docs/python.md", python_page.markdown())


DRAWN = re.findall(r"^(striate (?:draw|diff) .*) -o (\S+\.svg)$", page("pictures.md"), re.M)


@pytest.mark.parametrize(("command", "name"), DRAWN, ids=[name for _, name in DRAWN])
def test_the_pictures(command, name, golden, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run(*shlex.split(command)[1:], "-o", str(tmp_path / name))
    assert not done.code, done.err
    golden(f"../../docs/pictures/{name}", (tmp_path / name).read_text("utf-8"))


def test_every_picture_has_its_command_and_is_shown():
    shown = re.findall(r"^!\[.+\]\(pictures/(\S+)\)$", page("pictures.md"), re.M)
    assert shown == [name for _, name in DRAWN]
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "pictures").iterdir())


def law(contract_id, source=SOURCE):
    """The layers of an import law, without rooms that do not exist."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == contract_id)
    for layer in layers:
        rooms = [room.strip("() ") for room in re.split("[|:]", layer)]
        there = [room for room in rooms if any((source / name).exists() for name in (room, f"{room}.py"))]
        if there and there != ["__main__"]:
            yield (" : " if ":" in layer else " | ").join(there)


def test_design_prints_the_import_law(golden):
    golden(
        "../../docs/design.md",
        filled(
            page("design.md"),
            {
                "the import law": "\n".join(["```", *law("layers"), "```"]),
                "the engine's import law": "\n".join(["```", *law("engine", SOURCE / "engine"), "```"]),
            },
        ),
    )


def first_sentence(cls):
    paragraph = " ".join(inspect.cleandoc(cls.__doc__).split("\n\n")[0].split())
    return (
        re.split(r"\.? (?:Inputs?|Output|Source):|(?<=[^.A-Z])\. |\.$", paragraph)[0]
        .replace("|", "\\|")
        .replace("``", "`")
    )


def operations():
    """A table for each family of ops: how each word is written, and what it does."""
    words = [word for word in sorted(registry()) if word != "opaque"]
    for family, members in groupby(
        sorted(words, key=lambda word: registry()[word].__module__), lambda w: registry()[w].__module__
    ):
        yield f"### {family.rpartition('.')[2].capitalize()}\n\n| text | what it does |\n|---|---|"
        for word in members:
            form = " ".join(usage(word).split()).replace("|", "\\|")
            yield f"| `{form}` | {first_sentence(registry()[word])} |"
        yield ""


def spellings():
    """Lines: what is also read for our names of ops and arguments, and what is refused. 2d stands for 1d and 3d."""
    ours = {*registry(), *(field.name for cls in registry().values() for field in dataclasses.fields(cls))}
    for title, table in (("op", spelling.OPS), ("argument", spelling.ARGUMENTS)):
        yield from (f"| {title} | also read |", "|---|---|")
        for word in sorted({*table.values()} & ours):
            names = [f"`{name}`" for name in table if table[name] == word and not re.search("[13]d", name)]
            yield f"| `{word}` | {', '.join(names)} |"
        yield ""
    yield from ("These names are refused, because they mean something else:", "")
    for name, (word, why) in spelling.DIFFERENT.items():
        if not re.search("[13]d", name):
            yield f"- `{name}` (`{word}`): {why}"


def test_notation_lists_every_spelling(golden):
    golden("../../docs/notation.md", filled(page("notation.md"), {"the spellings": "\n".join(spellings())}))


def test_notation_lists_every_op(golden):
    golden(
        "../../docs/notation.md",
        filled(page("notation.md"), {"the ops' declarations": "\n".join(operations()).strip()}),
    )


def test_project_lists_every_setting_of_check(golden):
    flags = {flag for param in check.params for flag in param.opts}
    table = markdown(options(Config), Config.SEPARATOR, flags)
    golden("../../docs/project.md", filled(page("project.md"), {"the settings": table}))


def test_files_that_design_names_exist():
    """`plan/fuse.py` and the like: each is the end of a path in the package."""
    paths = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*")}
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", page("design.md")):
        assert any(f"/{path}/".endswith(f"/{name.rstrip('/')}/") for path in paths), name
