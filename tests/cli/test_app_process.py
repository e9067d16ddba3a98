"""Whole processes: exit codes, streams, terminals, pipes, signals, start-up."""

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cli.run import environment, run, spawn
from cli.terminals import terminal

STRIDE_3 = "7x7x1 -> conv 3x3 /3"
FIVE_PARTS = re.compile(r"\A[A-Z]\d{3}[^\n]*\n(  (where|why|fix) .*\n( {6,}.*\n)*)+\Z")


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["check", "9x9x3 -> conv 3x3 8 pad full"]),
        (1, ["check", STRIDE_3]),
        (0, ["check", STRIDE_3, "--fail-on", "never"]),
        (1, ["check", "lenet5", "--fail-on", "warning"]),
        (0, ["show", STRIDE_3]),
        (0, ["--version"]),
        (0, ["show", "--help"]),
    ],
)
def test_exit_codes(code, arguments):
    done = spawn(*arguments)
    assert (done.code, done.err) == (code, "")
    assert done.out.endswith("\n")


def _junk(folder: Path) -> list[list[str]]:
    (folder / "junk.toml").write_bytes(bytes(range(256)) * 20)
    (folder / "words.toml").write_text("not a network")
    (folder / "folder.toml").mkdir()
    (folder / "circle.toml").write_text(
        '[network]\ninput = "8x8x3"\n'
        '[[node]]\nname = "a"\nop = "relu"\ninputs = ["b"]\n[[node]]\nname = "b"\nop = "relu"\ninputs = ["a"]\n'
    )
    (folder / "dangling.toml").write_text(
        '[network]\ninput = "8x8x3"\n[[node]]\nname = "a"\nop = "relu"\ninputs = ["c"]\n'
    )
    (folder / "raises.py").write_text("raise ValueError('no')\n")
    (folder / "exits.py").write_text("import sys\nsys.exit(0)\n")
    files = sorted(path.name for path in folder.iterdir())
    return [["show", str(folder / name)] for name in (*files, "missing.toml")]


def test_bad_input_of_every_kind(tmp_path):
    """Exit code 2, five parts on stderr, nothing on stdout, never a traceback."""
    cases = [
        *_junk(tmp_path),
        ["show", ""],
        ["show", "7x7x1 ->"],
        ["show", "7x7x1 -> cnv 3"],
        ["show", "7x7x0 -> conv 3"],
        ["show", "7x7x1 -> conv -3"],
        ["show", "7x7x3 -> conv 3 groups 2"],
        ["show", "7x7x1 -> " + "[" * 5000],
        ["show", "99999999999999999999999x7x1 -> conv 3"],
        ["show", "no.such.module:net"],
        ["show", "os:path"],
        ["show", "résumé\x1b[31m"],
        ["check", "lenet5", "--max-params", "many"],
        ["check", "lenet5", "--baseline", str(tmp_path / "missing.json")],
        ["check", "lenet5", "--config", str(tmp_path / "words.toml")],
        ["check"],
        ["shwo"],
    ]
    for arguments in cases:
        done = run(*arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert FIVE_PARTS.match(done.err), (arguments, done.err)
        assert "Traceback" not in done.err
        assert "I000" not in done.err, (arguments, done.err)
        assert "\x1b" not in done.err


@pytest.mark.parametrize(
    "arguments", [["show", "7x7x1 -> cnv"], ["show", "missing.toml"], ["shwo"], ["check"]]
)
def test_bad_input_to_a_process(arguments):
    done = spawn(*arguments)
    assert (done.code, done.out) == (2, "")
    assert FIVE_PARTS.match(done.err)


def test_one_bad_model_does_not_hide_the_others(tmp_path):
    done = spawn("check", "resnt18", STRIDE_3)
    assert done.code == 2
    assert done.out.startswith("== net") or done.out.startswith("G002")
    assert "resnet18" in done.err


def test_a_network_in_a_python_file_and_in_a_module(tmp_path):
    source = "from striate import Builder\nfrom striate.ops import Conv\n\n"
    source += "b = Builder('mine', input=(1, 7, 7))\nnet = b.build(b(Conv(kernel=3, stride=3), b.input))\n"
    (tmp_path / "mine.py").write_text(source)
    file = str(tmp_path / "mine.py")
    concise = spawn("check", file, "--output-format", "concise")
    assert concise.code == 1
    assert concise.out.splitlines()[0].startswith(f"{file}:5: error G002 conv1")
    done = subprocess.run(
        [sys.executable, "-m", "striate", "check", "mine:net", "--json"],
        capture_output=True,
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    first = json.loads(done.stdout)[0]
    assert (done.returncode, first["code"], first["file"], first["line"]) == (1, "G002", "mine.py", 5)


# -- streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["show", "resnet50"], ["models"], ["show", "resnet50", "--json"], ["tour"]]
)
def test_a_reader_that_leaves_is_no_error(arguments):
    read, write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "striate", *arguments], stdout=write, stderr=subprocess.PIPE, env=environment()
    )
    os.close(write)
    os.close(read)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (141, b"")


def test_a_full_disk_is_told():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "striate", "show", "lenet5"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"I005: ")
    assert b"Traceback" not in done.stderr


PRINTING = ["show lenet5", "draw lenet5", "report lenet5", "models --json", "check lenet5 --select all", "--help",
            "--version", "explain P001", "sizes lenet5", "pixels lenet5", "diff lenet5 vgg11", "tour"]  # fmt: skip


@pytest.mark.parametrize("words", PRINTING)
def test_what_cannot_be_printed_is_an_error(words):
    done = in_shell(f"{words} >&-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"I005: standard output is closed") and b"Traceback" not in done.stderr


def test_closed_streams(tmp_path):
    for closed, code in (("2>&-", 0), (">&- 2>&-", 2)):
        done = in_shell(f"show lenet5 {closed}")
        assert (done.returncode, done.stderr) == (code, b"")
    for command, file in (("draw", tmp_path / "a.svg"), ("report", tmp_path / "a.html")):
        for closed in (">&-", ">&- 2>&-"):
            done = in_shell(f"{command} lenet5 -o {file} {closed}")
            assert done.returncode == 0
            told = b"" if "2>&-" in closed else rb"%s: [\d.]+ KiB written\n" % re.escape(str(file)).encode()
            assert re.fullmatch(told, done.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.svg"]


def in_shell(words):
    command = f"{sys.executable} -m striate {words}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, env=environment(), check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_streams_without_unicode(encoding):
    """In one process for all commands; the first is one of its own, as a user starts it."""
    formats = {"json": json.loads, "sarif": json.loads, "junit": ElementTree.fromstring}
    commands = [
        ["tour", "--course"],
        ["show", "resnet18"],
        ["pixels", "resnet18"],
        ["explain", "P001"],
        ["show", "réseau"],
        *(["check", STRIDE_3, "--output-format", kind] for kind in formats),
    ]
    done = spawn("check", STRIDE_3, encoding=encoding, PYTHONIOENCODING=encoding)
    assert (done.code, done.err) == (1, "") and (done.out.isascii() or encoding != "ascii")
    one_by_one = "import json, sys\nfrom striate.cli import main\nfor words in json.loads(sys.argv[1]):\n"
    one_by_one += "    print('\\x1e', main(words), end='\\x1e', flush=True)"
    every = subprocess.run(
        [sys.executable, "-c", one_by_one, json.dumps(commands)], capture_output=True, check=False, timeout=120,
        env=environment(PYTHONIOENCODING=encoding),
    )  # fmt: skip
    assert every.returncode == 0 and every.stderr.isascii() and b"r\\xe9seau" in every.stderr, every.stderr
    assert every.stdout.isascii() or encoding != "ascii"
    parts = every.stdout.decode(encoding).split("\x1e")  # that it can be decoded is the test
    assert [*map(int, parts[1::2])] == [0, 0, 0, 0, 2, 1, 1, 1]
    for read, text in zip(formats.values(), parts[10:16:2], strict=True):
        read(text)


@pytest.mark.usefixtures("interruptible")
def test_interrupted():
    code = "import signal, sys, threading, striate.cli.app as app, os, click\n"
    code += "import striate.cli.doctor as doctor, time\n"
    code += "doctor.command.callback = lambda **_: (print('ready', flush=True), time.sleep(30))\n"
    code += "from striate.cli import main\nsys.exit(main(['doctor']))\n"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err.decode().split() == ["interrupted"]


# -- output files ---------------------------------------------------------------------------------------------


def test_output_goes_to_the_file_and_replaces_it_whole(tmp_path):
    file = tmp_path / "out.json"
    file.write_text("old")
    file.chmod(0o640)
    done = spawn("show", "lenet5", "--json", "-o", str(file))
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{file}: {file.stat().st_size / 1024:.1f} KiB written\n"
    assert json.loads(file.read_text())["name"] == "lenet5"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert spawn("show", "lenet5", "-o", str(tmp_path / "link.txt")).code == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert "conv1" in (tmp_path / "real.txt").read_text()
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    assert spawn("show", "lenet5", "-o", str(tmp_path / "pipe")).code == 0
    assert b"conv1" in reader.communicate(timeout=30)[0]


def test_a_failed_command_leaves_the_old_file(tmp_path):
    file = tmp_path / "out.txt"
    file.write_text("old")
    assert spawn("show", "7x7x1 -> cnv", "-o", str(file)).code == 2
    assert file.read_text() == "old"
    assert spawn("check", STRIDE_3, "--output-format", "sarif", "-o", str(file)).code == 1
    assert json.loads(file.read_text())["version"] == "2.1.0"


# -- terminals ------------------------------------------------------------------------------------------------


PLAIN = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "resnet18"],
        ["show", "lenet5", "--node", "conv1"],
        ["check", "resnet18"],
        ["check", STRIDE_3],
        ["sizes", "alexnet"],
        ["pixels", "resnet18"],
        ["diff", "resnet18", "--input-b", "225"],
        ["models", "vgg*"],
        ["explain", "P001"],
        ["tour", "--course"],
        ["shwo"],
    ],
)
def test_terminals(columns, arguments):
    """Colored, and never wider than the window; what is written is what a pipe gets, but for spaces and folds."""
    seen = terminal(columns, *arguments)
    assert "\x1b[" in seen
    text = PLAIN.sub("", seen)
    assert max(map(len, text.splitlines())) <= columns


def test_no_color_when_asked():
    assert "\x1b" not in terminal(80, "show", "lenet5", NO_COLOR="1")
    assert "\x1b" not in terminal(80, "show", "lenet5", TERM="dumb")
    assert "\x1b" in spawn("show", "lenet5", FORCE_COLOR="1", NO_COLOR="").out


def test_messages_keep_their_lines_in_a_pipe():
    assert any(len(line) > 80 for line in spawn("check", STRIDE_3).out.splitlines())


# -- completion -----------------------------------------------------------------------------------------------


def completed(line: str) -> list[str]:
    words = line.split(" ")
    done = spawn(_STRIATE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    return [entry.partition(",")[2] for entry in done.out.splitlines()]


def test_completion():
    assert completed("striate sh") == ["show"]
    assert {"resnet18", "resnet152"} <= set(completed("striate show resn"))
    assert {"G001", "G002"} <= set(completed("striate explain g"))
    assert completed("striate show lenet5 --mac-convention th") == ["thop"]
    assert "sarif" in completed("striate check lenet5 --output-format ")
    assert completed("striate tour str") == ["stride"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    assert "_STRIATE_COMPLETE" in spawn("--show-completion", shell).out


# -- start-up -------------------------------------------------------------------------------------------------

HEAVY = ("numpy", "llvmlite", "torch", "onnx", "PIL", "safetensors")


def test_check_loads_nothing_heavy():
    code = "import sys; from striate.cli import main; code = main(['check', 'resnet50']); "
    code += f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=False)
    assert done.stderr.decode().strip() == "[]"


def test_check_loads_little_of_striate():
    """Start-up is what is imported: the families of ops that resnet50 has no use for, training and engines stay out."""
    code = "import sys; from striate.cli import main; main(['check', 'resnet50']); "
    code += "print(*(name for name in sys.modules if name.startswith('striate.')), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=False)
    loaded = set(done.stderr.decode().split())
    assert "striate.ops.conv" in loaded
    rooms = {name.split(".")[1] for name in loaded}
    assert not rooms & {"train", "engine", "model", "weights"}
    assert not loaded & {
        "striate.ops.upsample",
        "striate.ops.opaque",
        "striate.formats.toml",
        "striate.models.vgg",
    }
