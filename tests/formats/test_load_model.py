"""Every form of MODEL, and what is said when there is none."""

import os
import sys
from pathlib import Path

import pytest

from striate.diagnostics import (
    FormatError,
    LimitError,
    MissingExtraError,
    NotationError,
    OpError,
    SourceError,
    StriateError,
    UnknownNameError,
)
from striate.formats import load, parse, toml
from striate.network import Builder

NET = 'from striate import parse\nnet = parse("8x8x3 -> conv 3x3 16")\n'
FUNCTION = """
from striate import Builder
from striate.ops import Conv

def tiny(filters=4):
    build = Builder("tiny", input=(3, 8, 8))
    return build.build(build(Conv(filters, kernel=3), build.input))
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(name, text) -> name, in the current directory; modules made there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name: str, text: str | bytes) -> str:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    yield write
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        # Only those: packages such as numpy cannot be loaded twice.
        if not Path(file).is_absolute() or Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


def test_notation():
    assert load("8x8x3 -> relu") == parse("8x8x3 -> relu")
    assert load("8x8x3 → relu", input="9x9") == parse("9x9x3 -> relu")


def test_catalogue():
    assert load("resnet18").name == "resnet18"
    assert load("resnet18", input="64").input.without_batch == (3, 64, 64)
    assert load("lenet5", input=(1, 48, 40)).input.without_batch == (1, 48, 40)


def test_toml(write):
    name = write("net.toml", toml.format(parse("8x8x3 -> relu", name="tiny")))
    assert load(name) == load(Path(name)) == parse("8x8x3 -> relu", name="tiny")
    assert load(name, input="9x9").input.without_batch == (3, 9, 9)
    assert load(name).nodes[0].place.file == name


def test_a_byte_order_mark_is_skipped(write):
    assert load(write("net.toml", b"\xef\xbb\xbf" + toml.format(parse("8x8 -> relu")).encode()))


# ---------------------------------------------------------------- Python
@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        (NET, ""),
        (NET.replace("net =", "network ="), ""),
        (NET.replace("net =", "model ="), ""),
        (NET.replace("net =", "anything ="), ""),
        (NET.replace("net =", "anything ="), ":anything"),
        (FUNCTION, ""),
        (FUNCTION, ":tiny"),
        (FUNCTION.replace("def tiny", "def net"), ""),
        (NET + "other = parse('8x8 -> relu')", ""),
        ("class Nets:\n    " + NET.replace("\n", "\n    "), ":Nets.net"),
        (NET + "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    depth: 'int' = 3\n", ""),
        ("from helper import width\n" + NET.replace("16", "{width}").replace('parse("', 'parse(f"'), ""),
    ],
)
def test_a_python_file(write, text, attribute):
    write("folder/helper.py", "width = 16")
    name = write("folder/mine.py", text)
    network = load(name + attribute)
    assert network.node("conv1")
    assert load(name + attribute, input="10").input.without_batch == (3, 10, 10)


def test_a_module_in_the_current_directory(write):
    write("mypackage/__init__.py", "")
    write("mypackage/nets.py", NET + FUNCTION)
    assert load("mypackage.nets:net").node("conv1").op.filters == 16
    assert load("mypackage.nets:tiny").node("conv1").op.filters == 4


def test_the_line_that_made_a_node_is_known(write):
    name = write("mine.py", FUNCTION)
    assert (load(name).nodes[0].place.file, load(name).nodes[0].place.line) == (name, 7)


def test_what_a_file_prints_stays_out_of_the_data(write, capsys):
    load(write("mine.py", "print('hello')\n" + NET))
    assert capsys.readouterr() == ("", "hello\n")


def test_a_builder_with_one_open_end(write):
    text = FUNCTION + "\nnet = Builder('open', input=(3, 8, 8))\nnet(Conv(4, kernel=3), net.input)\n"
    assert load(write("mine.py", text)).outputs == ("conv1",)
    assert isinstance(Builder("x"), Builder)


TORCH = """
import sys, types
module = types.ModuleType("torch.nn.modules.module")
class Module: __module__ = "torch.nn.modules.module"
class Mine(Module): __module__ = "mine"
net = Mine()
"""


@pytest.mark.parametrize(
    ("text", "attribute", "kind", "says"),
    [
        ("", "", SourceError, "defines no network"),
        ("x = 1", ":x", FormatError, "of type int"),
        ("x = 1", ":y", SourceError, "no 'y'"),
        (NET, ":nte", SourceError, "did you mean net?"),
        (NET.replace("net =", "a = b ="), "", SourceError, "mine.py:a or mine.py:b"),
        ("def net(depth): ...", "", SourceError, "depth"),
        ("def net(): return 3", "", FormatError, "of type int"),
        ("def net(): return net", "", FormatError, "function"),
        ("1/0", "", FormatError, "mine.py:1\n          1/0"),
        ("def net():\n    return 1/0", "", FormatError, "mine.py:2"),
        ("import nosuchmodule.part", "", FormatError, "install nosuchmodule"),
        ("raise SystemExit(3)", "", FormatError, "SystemExit"),
        ("def f(): f()\nf()", "", FormatError, "RecursionError"),
        ("net = (", "", FormatError, "syntax error"),
        ("net = '" + "x" * 10 + "\x00'", "", FormatError, "mine.py"),
        ("from striate import parse\nnet = parse('8x8 -> cnov')", "", NotationError, "'conv'"),
        ("from striate.ops import Conv\nConv(kernel=0)", "", OpError, "mine.py:2"),
        ("from striate import Builder\nnet = Builder('x')", "", StriateError, ""),
        (TORCH, "", StriateError, "torch"),
        (TORCH, ":Mine", StriateError, "torch"),
    ],
)
def test_a_python_file_without_a_network(write, text, attribute, kind, says):
    name = write("mine.py", text)
    with pytest.raises(kind) as caught:
        load(name + attribute)
    assert says in str(caught.value).replace("…", "")
    assert "Traceback" not in str(caught.value)
    assert caught.value.fix


# ---------------------------------------------------------------- no model
@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        ("", SourceError, "no model"),
        ("resnet1", UnknownNameError, "resnet18"),
        ("32x32x3", SourceError, "at least one stage"),
        ("net.toml", SourceError, "no file net.toml"),
        ("nets.toml", SourceError, "did you mean near.toml?"),
        ("folder", SourceError, "directory"),
        ("folder/", SourceError, "directory"),
        ("folder.toml", SourceError, "directory"),
        ("folder/nothing", SourceError, "no file"),
        ("notes.txt", FormatError, "not a network file"),
        ("junk.toml", FormatError, "not text"),
        ("junk.py", FormatError, "not text"),
        ("latin.toml", FormatError, "UTF-8"),
        ("empty.toml", FormatError, "[network]"),
        ("huge.toml", LimitError, "9,000,000"),
        ("missing.onnx", SourceError, "no file"),
        ("net.onnx", (FormatError, MissingExtraError), "ONNX"),
        ("net.keras", FormatError, "Keras"),
        ("net.pth", FormatError, "no network"),
        ("nosuchmodule:net", SourceError, "no module nosuchmodule"),
        ("nosuch.module:net", SourceError, "no module nosuch"),
        ("os.nosuch:net", SourceError, "no module os.nosuch"),
        ("not-a-module:net", SourceError, "not a module"),
        ("os.path:join", SourceError, "arguments"),
        ("os.path:sep", FormatError, "of type str"),
        ("mypackage.net", SourceError, "mypackage:net"),
        ("missing.py:net", SourceError, "no file"),
        ("a\0b.toml", SourceError, "cannot read"),
        ("a\0b", StriateError, ""),
        ("x" * 100_000 + ".toml", SourceError, "cannot read"),
        ("x" * 100_000, StriateError, ""),
        ("/dev/zero", StriateError, ""),
        ("pipe.toml", SourceError, "regular"),
        ("loop.toml", SourceError, "cannot read"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_no_model(write, model, kind, says):
    Path("folder").mkdir()
    Path("folder.toml").mkdir()
    os.mkfifo("pipe.toml")
    Path("loop.toml").symlink_to("loop.toml")
    for name in ("near.toml", "notes.txt", "empty.toml", "net.onnx", "net.keras", "net.pth"):
        write(name, "")
    for name in ("junk.toml", "junk.py"):
        write(name, bytes(range(256)))
    write("latin.toml", "name = 'é'".encode("latin-1"))
    write("huge.toml", "#" * 9_000_000)
    if model == "nets.toml":
        Path("empty.toml").unlink()
    with pytest.raises(kind) as caught:
        load(model)
    text = str(caught.value)
    assert says in text and caught.value.fix and len(text) < 2000
    text.encode()


def test_a_file_without_permission(write, monkeypatch):
    """Refused by the system's word, not by the file's mode: root may read everything."""
    name = write("net.toml", "")

    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="Permission denied"):
        load(name)
