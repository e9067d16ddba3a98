"""Every public name, found by itself: its docstring has arguments, axes, units, errors, a source and an example.

A new name is one line of `striate/__init__.pyi`; nothing here names one.
"""

import builtins
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import warnings

import pytest

import striate
from striate import diagnostics
from striate.views.python_page import members

MODULES = {name: value for name in striate.__all__ if inspect.ismodule(value := getattr(striate, name))}
PUBLIC = {
    f"st.{name}": value
    for name in striate.__all__
    if name not in MODULES and not isinstance(value := getattr(striate, name), str)
} | {
    f"st.{module}.{name}": getattr(value, name)
    for module, value in MODULES.items()
    if module != "ops"  # tests/registry/test_ops.py asks more of them
    for name in value.__all__
}
METHODS = {
    f"{name}.{word}": value.__func__ if isinstance(value, classmethod | staticmethod) else value
    for name, cls in PUBLIC.items()
    if inspect.isclass(cls) and not name.startswith("st.transforms.")
    for word, value in members(cls).items()
}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if not name.startswith("st.transforms.")}
DOCUMENTED = PUBLIC | METHODS
UNITS = {
    "near": "pixels", "stride": "pixels", "kernel": "pixels", "padding": "pixels", "output_padding": "pixels",
    "object_px": "pixels", "max_memory": "bytes", "holdout": "0 to 1", "threads": "number", "batch": "batch",
}  # fmt: skip
"""Arguments that have a unit or a range, and the word that says it."""

each = pytest.mark.parametrize("name", sorted(DOCUMENTED))
each_function = pytest.mark.parametrize("name", sorted(FUNCTIONS))


def text(name):
    return inspect.getdoc(DOCUMENTED[name]) or ""


def parameters(value):
    """Names of what a person may give."""
    if not callable(value):
        return []
    if inspect.isclass(value) and issubclass(value, striate.Settings):
        return []  # each field is documented where it is declared
    return [
        name for name in inspect.signature(value).parameters if name not in ("self", "cls", "args", "kwargs")
    ]


@each
def test_the_first_line_stands_alone(name):
    first = text(name).partition("\n")[0]
    assert 10 < len(first) <= 120 and first.endswith((".", ".)")), first


@pytest.mark.parametrize("name", MODULES["ops"].__all__)
def test_the_first_line_of_an_op_stands_alone(name):
    first = inspect.getdoc(getattr(MODULES["ops"], name)).splitlines()[0]
    assert first.endswith("."), first


@each
def test_every_argument_is_explained(name):
    missing = [word for word in parameters(DOCUMENTED[name]) if not re.search(rf"\b{word}\b", text(name))]
    assert not missing


@each
def test_arguments_with_a_unit_say_it(name):
    for word in parameters(DOCUMENTED[name]):
        if word in UNITS and not name.endswith("avg_pool2d"):  # which refers to max_pool2d
            assert UNITS[word] in text(name), word


@each
def test_arrays_have_their_axes(name):
    value = DOCUMENTED[name]
    hints = getattr(value, "__annotations__", {})
    if any(re.search(r"\b(Array|NDArray)\b", str(hint)) for hint in hints.values()):
        assert re.search(r"\([NKC], |\(N, …\)|\([NK],\)", text(name)), "say the axes: (N, C, H, W)"


@each_function
def test_errors_are_named(name):
    assert "Raises " in text(name), "say what it raises, or that it raises nothing"


@each
def test_what_raises_says_so(name):
    value = DOCUMENTED[name]
    value = value.fget if isinstance(value, property) else getattr(value, "func", value)
    if not inspect.isclass(value) and re.search(
        r"^\s+raise \w*Error\(", inspect.getsource(value), re.MULTILINE
    ):
        assert "Raises " in text(name)


@each
def test_named_errors_exist(name):
    for word in re.findall(r"\b[A-Z]\w+Error\b", text(name)):
        assert hasattr(diagnostics, word) or hasattr(builtins, word), word


@each_function
def test_measures_and_operations_name_their_source(name):
    value = FUNCTIONS[name]
    if inspect.isroutine(value) and value.__module__.startswith(("striate.analysis", "striate.functional")):
        assert "Source: " in text(name)


@each_function
def test_there_is_an_example(name):
    assert ">>> " in text(name)


@pytest.mark.parametrize("name", sorted(name for name in DOCUMENTED if ">>> " in text(name)))
def test_examples_can_be_pasted(name):
    """They run as they stand: what they need they import."""
    if "torch" in text(name) and not importlib.util.find_spec("torch") and "import torch" in text(name):
        pytest.skip("PyTorch is not installed")
    test = doctest.DocTestParser().get_doctest(text(name), {}, name, None, 0)
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert answer.attempted and not answer.failed, "".join(said)


def test_no_submodule_hides_a_public_name():
    """Importing a submodule puts it into its package under its name: no function there may have that name."""
    for package in pkgutil.walk_packages(striate.__path__, "striate."):
        if not package.ispkg or package.name.startswith(("striate.engine.torch", "striate.peers")):
            continue
        module = importlib.import_module(package.name)
        for inside in pkgutil.iter_modules(module.__path__):
            if inside.name in getattr(module, "__all__", ()):
                before = getattr(module, inside.name)
                importlib.import_module(f"{package.name}.{inside.name}")
                assert getattr(module, inside.name) is before, f"{package.name}.{inside.name}"
