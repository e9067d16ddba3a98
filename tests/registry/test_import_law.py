"""The import law: which room may import which, and what stays unloaded until it is used.

The law itself stands in pyproject.toml ([tool.importlinter]). Here: it holds, it can fail, and a
process confirms it.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from registry.imports import packages

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "striate"
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}
# Never loaded by `import striate` or `striate check`: they would cost more than the whole start-up budget.
HEAVY = ("llvmlite", "torch", "onnx", "PIL", "jinja2")
CHECK = """
from striate.cli import main
try:
    main()
except SystemExit as end:
    assert end.code in (None, 0, 1), end
"""


def lint(config: Path, source: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the package below `source`, under the contracts of `config`."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as law; law()",
            *("--config", str(config), "--no-cache", "--no-logo"),
        ],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_the_law_holds():
    answer = lint(ROOT / "pyproject.toml", ROOT / "src")
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory):
    """A copy of the package and its settings, free to be spoiled."""
    tree = tmp_path_factory.mktemp("law")
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copytree(SOURCE, tree / "src" / "striate", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def lint_with(tree: Path, file: str, line: str) -> subprocess.CompletedProcess[str]:
    """Lint the copy with one more line at the end of `file`, then put the copy back as it was."""
    path = tree / "src" / "striate" / file
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        with path.open("a", encoding="utf-8") as end:
            end.write(f"\n{line}\n")
        return lint(tree / "pyproject.toml", tree / "src")
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("tensor.py", "from striate.network import Network", "layers"),
        (
            "diagnostics.py",
            "def late():\n    import striate.tensor",
            "layers",
        ),  # inside a function counts too
        ("checks/__init__.py", "import striate.formats", "layers"),  # side by side
        ("engine/__init__.py", "import striate.models", "layers"),  # a room that may not exist yet
        ("cupboard.py", "", "layers"),  # a room without a place
        ("engine/kernels/norm.py", "from striate.engine.plan import units", "engine"),
        ("engine/interface.py", "def late():\n    import striate.engine.numpy_.numpy_engine", "engine"),
        ("engine/plan/arena.py", "from striate.engine.runtime import loaded_plan", "engine"),
        ("op/base.py", "import numpy", "stdlib"),
        ("analysis/__init__.py", "from llvmlite import ir", "llvmlite"),
        ("engine/kernels/dense_conv.py", "from llvmlite import ir", "llvmlite"),  # codegen.ir is for that
        ("models/__init__.py", "def late():\n    import torch.nn", "torch"),
    ],
)
def test_the_linter_reports_a_forbidden_import(copied_tree, file, line, contract):
    answer = lint_with(copied_tree, file, line)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"{CONTRACTS[contract]['name']} BROKEN" in answer.stdout
    assert answer.stdout.count(" BROKEN") == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/codegen/llvm.py", "from llvmlite import binding"),
        ("engine/codegen/ir.py", "from llvmlite import ir"),
        ("formats/torch/tracing.py", "import torch.nn"),
        ("engine/torch/lowering.py", "import torch"),
    ],
)
def test_the_linter_knows_the_exceptions(copied_tree, file, line):
    for package in (folder for folder in Path(file).parents if folder.name):
        (copied_tree / "src" / "striate" / package).mkdir(exist_ok=True)
        (copied_tree / "src" / "striate" / package / "__init__.py").touch()
    answer = lint_with(copied_tree, file, line)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_from_network_down_only_the_standard_library():
    """The linter forbids packages by name; this asks the other way round, and so knows no gaps."""
    allowed = sys.stdlib_module_names | {"striate"}
    for room in CONTRACTS["stdlib"]["source_modules"]:
        path = SOURCE.joinpath(*room.split(".")[1:])
        for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
            assert packages(ast.parse(file.read_text("utf-8"))) <= allowed, file


def test_the_stdlib_contract_covers_every_low_room():
    layers = [name.strip() for layer in CONTRACTS["layers"]["layers"] for name in layer.split("|")]
    low = layers[layers.index("network") :]
    assert {f"striate.{room}" for room in low} == set(CONTRACTS["stdlib"]["source_modules"])


def test_views_neither_lint_nor_read_settings():
    """Findings come from the caller; the tour checks its examples; `str(net)`, `st.draw` and `st.view` have no caller,
    and the lab checks what is typed, with the caller's settings."""
    views = SOURCE / "views"
    asking = {
        p.relative_to(views).as_posix()
        for p in views.rglob("*.py")
        if "striate.checks" in p.read_text("utf-8")
    }
    assert asking == {
        "displays.py",
        "drawing/picture.py",
        "lab/networks.py",
        "notebook.py",
        "rules.py",
        "text/tour.py",
        "text/tour_main_job.py",
    }
    assert not [p.name for p in views.rglob("*.py") if "Config.find" in p.read_text("utf-8")]


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Top-level packages outside the standard library that `code` loads in a new process."""
    report = "\nimport json, sys\nsys.stderr.write('LOADED' + json.dumps(sorted(sys.modules)))"

    def loaded(script: str) -> set[str]:
        answer = subprocess.run(
            [sys.executable, "-c", script + report, *arguments], capture_output=True, text=True, cwd=ROOT
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        modules = json.loads(answer.stderr.rpartition("LOADED")[2])
        return {module.partition(".")[0] for module in modules}

    return loaded(code) - loaded("") - sys.stdlib_module_names


def test_import_striate_loads_the_standard_library_and_numpy_at_most():
    assert loaded_by("import striate") <= {"striate", "numpy"}


@pytest.mark.parametrize("model", ["7x7x1 -> conv 3x3", "resnet50"])
def test_striate_check_loads_nothing_heavy(model):
    loaded = loaded_by(CHECK, "check", model)
    assert "striate" in loaded
    assert not loaded & {*HEAVY}
