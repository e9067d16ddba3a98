"""Messages speak to their reader: arguments in Python, flags in the shell."""

import ast
import re
from pathlib import Path

import pytest

from striate.diagnostics import by_reader, setting, speaking_shell

SOURCE = Path(__file__).parents[2] / "src" / "striate"
SHELL = {"cli", "views", "peers", "__main__.py", "diagnostics.py"}
"""What only the command line shows, and the module that spells flags."""
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")
COMMAND = re.compile(r"\b(striate [a-z]+|torchrun|pip install)\b")
"""A whole command, which may be typed as it stands."""


def flags_in(tree):
    """Lines of text that name a flag, outside of commands, docstrings and what `by_reader` chooses from."""
    exempt = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "by_reader":
            exempt |= {id(inner) for inner in ast.walk(node)}
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else ():
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                exempt.add(id(one.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt:
            for line in node.value.splitlines():
                flag = FLAG.search(line)
                if flag and not COMMAND.search(line[: flag.start()]) and "`--" not in line:
                    yield node.lineno, line


def test_no_text_below_the_command_line_names_a_flag():
    files = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in SHELL]
    assert len(files) > 200
    told = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in files
        if FLAG.search(source := path.read_text("utf-8"))
        for line, text in flags_in(ast.parse(source))
    ]
    assert not told, "use diagnostics.setting or by_reader"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('error(fix="--engine torch")', 1),
        ('error(fix=f"leave --memory out of {name}")', 1),
        ('error(fix="striate convert A B --weights FILE")', 0),
        ('error(fix=by_reader("x=1", "--x 1"))', 0),
        ('"""A page about --engine."""', 0),
    ],
)
def test_the_search_sees_flags(source, count):
    assert len(list(flags_in(ast.parse(source)))) == count


@pytest.mark.parametrize(
    ("name", "value", "python", "shell"),
    [
        ("engine", "torch", 'engine="torch"', "--engine torch"),
        ("batch_size", None, "batch_size", "--batch-size"),
        ("batch_size", 8, "batch_size=8", "--batch-size 8"),
        ("amp", True, "amp=True", "--amp"),
        ("amp", False, "amp=False", "--no-amp"),
        ("out", Path("my run"), 'out="my run"', "--out 'my run'"),
        (
            "input",
            {"left": "16x16x3", "b": "1d 8x2"},
            'input={"left": "16x16x3", "b": "1d 8x2"}',
            "--input left=16x16x3 --input 'b=1d 8x2'",
        ),
    ],
)
def test_a_setting_as_its_reader_types_it(name, value, python, shell):
    assert setting(name, value) == python
    compile(f"f({setting(name, value)})", "", "eval")
    with speaking_shell():
        assert setting(name, value) == shell
        assert by_reader("a", "b") == "b"
    assert setting(name, value) == python and by_reader("a", "b") == "a"


def test_the_command_line_speaks_shell_and_python_speaks_python(tmp_path, capsys):
    import striate as st
    from striate.cli import main

    assert main(["eval", str(tmp_path)]) == 2
    (tmp_path / "w.safetensors").write_bytes(b"")
    model = st.Model(st.parse("8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 10"))
    model.save(tmp_path / "m")
    assert main(["eval", str(tmp_path / "m")]) == 2
    assert "--data PATH" in capsys.readouterr().err
    with pytest.raises(st.StriateError) as refused:
        model.evaluate()
    assert "--" not in str(refused.value) and "evaluate(x, y)" in refused.value.fix


def test_warnings_point_at_the_line_of_the_user(tmp_path):
    """One function gives all of them, so that each names a line that its reader has written."""
    given = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bwarnings\.warn\(", path.read_text("utf-8"))
    ]
    assert given == ["diagnostics.py"]
    import striate as st

    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.ppm").write_bytes(b"P6 8 8 255\n" + bytes(192))
    model = st.Model("8x8x3 -> gap -> flatten -> fc 2", seed=0)
    model.transform = {"steps": [{"step": "normalise", "mean": [0.5] * 3, "std": [0.5] * 3}]}
    with pytest.warns(UserWarning, match="cannot be read") as told:
        assert list(model.classify(tmp_path)) == ["b.ppm"]
    with pytest.warns(UserWarning, match="height x width x channels") as more:
        st.parse("3x32x32 -> relu")
    assert {warning.filename for warning in (*told, *more)} == {__file__}
