"""Whatever a person passes to a public function, the error says what is wrong: it is a StriateError.

A new name is one line of `striate/__init__.pyi`; only values for its required arguments may have to be added here.
"""

import inspect
import warnings

import numpy as np
import pytest

import striate
from striate import Model
from striate.diagnostics import StriateError

X = np.zeros((2, 1, 8, 8), np.float32)
TEXT = "8x8x1 -> conv 3x3 2 -> relu -> gap -> flatten -> fc 2"
GOOD = {
    "network": TEXT, "net": TEXT, "name": "lenet5", "code": "G002", "text": TEXT, "source": TEXT, "value": "conv1",
    "model": TEXT, "node": "conv1",
    "w": np.zeros((2, 1, 3, 3), np.float32), "op": "relu", "data": (X, np.arange(2)), "train": (X, np.arange(2)),
    "shape": (1, 1, 8, 8), "axes": ("N", "C", "H", "W"), "inputs": {}, "nodes": (), "outputs": (), "size": (8, 8),
}  # fmt: skip
"""Argument -> a value that is none of the wrong ones."""
WRONG = [
    None, 3, -1, 1.5, float("nan"), 10**30, True, "", "nothing of the kind", "a\0b", "\ud800", b"bytes", [], (), {},
    [3], (1, 2), {"a": 1}, {3: None}, {1}, range(3), object(), ..., Exception, len, np.zeros(3), np.zeros((2, 2)),
    striate.parse(TEXT),
]  # fmt: skip
ARRAYS = "st.functional."


def functions():
    for name in striate.__all__:
        value = getattr(striate, name)
        if inspect.ismodule(value):
            yield from ((f"st.{name}.{word}", getattr(value, word)) for word in value.__all__)
        elif callable(value) and name != "StriateError":
            yield f"st.{name}", value
    model = Model(TEXT, seed=0)
    for word in ("predict", "classify", "evaluate", "compile", "fit", "save", "export", "summary"):
        yield f"model.{word}", getattr(model, word)
    yield "st.Model.load", Model.load
    yield "st.Model.for_data", Model.for_data


FUNCTIONS = dict(functions())


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def calls(function):
    """Arguments of calls, each with one that is wrong or that the function does not have."""
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    usual = [GOOD.get(parameter.name, X) for parameter in required]
    yield usual, {"nosuchargument": 3}
    for wrong in WRONG:
        for place in range(len(required)):
            yield [*usual[:place], wrong, *usual[place + 1 :]], {}
        for parameter in parameters:
            if parameter.default is not parameter.empty:
                yield usual, {parameter.name: wrong}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_argument_is_a_striate_error(name):
    function = FUNCTIONS[name]
    for arguments, named in calls(function):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function(*arguments, **named)
            except StriateError as error:
                assert error.what and str(error).isprintable() is not None
            except Exception as error:
                pytest.fail(f"{name}(*{arguments}, **{named}): {type(error).__name__}: {error}")


def named_arguments():
    """Function and first argument of more than three letters, where no other names are taken."""
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters.values()
        words = [
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and len(p.name) > 3
        ]
        if words and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            yield name, words[0]


@pytest.mark.parametrize(("name", "word"), [*named_arguments()])
def test_an_unknown_argument_says_the_nearest(name, word):
    with pytest.raises(StriateError, match=word[:-1]) as caught:
        FUNCTIONS[name](**{word[:-1]: 3})
    assert word in caught.value.fix


def test_only_the_number_of_arguments_is_python_s_matter():
    with pytest.raises(TypeError, match="missing"):
        striate.parse()
    with pytest.raises(TypeError, match="positional"):
        striate.explain("G002", 3, 4)
