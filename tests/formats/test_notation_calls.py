"""Calls as in Python, and options that are nearly right: what is certain is read, what is not is named."""

import dataclasses
import inspect
import warnings

import pytest
from hypothesis import given

from network_strategies import chains
from op_cases import entries, op_of
from striate.diagnostics import NotationError
from striate.formats import parse
from striate.formats.cursor import Cursor
from striate.formats.grammar import keywords, read_op, usage
from striate.formats.tokens import tokenize
from striate.op import op_class, registry, spelling


def quietly(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse(text)


def called(op, quote):
    """The op as a call with all of its fields by name, the values as Python writes them; empty if one is a list."""
    parts = []
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        nested = isinstance(value, tuple) and any(isinstance(one, tuple) for one in value)
        if value is None or nested or field.metadata["kind"] == "ints":
            if value != field.default:
                return ""  # it has a form of its own
            continue
        text = f"{quote}{value}{quote}" if isinstance(value, str) else repr(value)
        parts.append(f"{field.name}={text}")
    return f"{op.word}({', '.join(parts)})"


def read(text):
    return read_op(Cursor(text, tokenize(text)))


SAMPLES = [op for word, entry in entries("sample") if called(op := op_of(word, entry), "'")]


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("op", SAMPLES, ids=str)
def test_every_op_is_read_as_a_call(op, quote):
    assert read(called(op, quote)) == op


@given(chains())
def test_brackets_around_nothing_change_nothing(net):
    from striate.formats import to_notation

    text = to_notation(net)
    for word in ("relu", "flatten", "gap", "tanh"):
        text = text.replace(f"-> {word} ->", f"-> {word}() ->")
    assert parse(text) == parse(to_notation(net))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Conv2d(4, 16, 3)", "conv 3x3 16 in 4"),
        (
            "nn.Conv2d(4, 16, kernel_size=(3, 5), padding=(1, 2), bias=False)",
            "conv 3x5 16 pad 1x2 bias off in 4",
        ),
        ("Conv2d(4, 16, 3, 2, 1)", "conv 3x3 16 /2 pad 1 in 4"),
        ("torch.nn.Conv2d(4, 16, 3, padding='same')", "conv 3x3 16 pad same in 4"),
        ("layers.Conv2D(16, (3, 3), padding='same')", "conv 3x3 16 pad same"),
        ("Conv2D(16, 5, 2)", "conv 5x5 16 /2"),
        ("MaxPool2d(3, 2, 1)", "maxpool 3x3 /2 pad 1"),
        ("MaxPooling2D((2, 2))", "maxpool 2x2"),
        ("AdaptiveAvgPool2d((1, 1))", "adaptiveavgpool 1x1"),
        ("Dropout(0.3)", "dropout 0.3"),
        ("LeakyReLU(0.1)", "leakyrelu 0.1"),
        ("leakyrelu alpha=0.1", "leakyrelu 0.1"),
        ("conv(kernel=3, filters=8,)", "conv 3x3 8"),
        ("conv kernel=(3, 3) pad 'same'", "conv 3x3 pad same"),
        ("GlobalAveragePooling2D()", "gap"),
        ("GlobalAvgPool", "gap"),
        ("upsample scale_factor=2 mode='nearest'", "upsample 2 method nearest"),
        ("flatten -> Linear(1024, 10)", "flatten -> fc 10 in 1024"),
        ("flatten -> Dense(10)", "flatten -> fc 10"),
        ("[Conv2d(4, 4, 3, padding=1) -> ReLU()]*2", "[conv 3x3 4 pad 1 in 4 -> relu]*2"),
    ],
)
def test_a_call_is_read_where_its_meaning_is_certain(theirs, ours):
    assert quietly(f"16x16x4 -> {theirs}") == parse(f"16x16x4 -> {ours}")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("conv(16, 3)", "name it: conv kernel 16, or conv filters 16"),
        ("conv2d(3, 16)", "name it: conv kernel 3, or conv filters 3"),
        ("Conv2d(16)", "name it: conv kernel 16, or conv filters 16"),
        ("BatchNorm2d(4)", "leave it out: the number of channels follows from what it reads"),
        ("batchnorm2d num_features=4", "leave it out: the number of channels follows from what it reads"),
        ("softmax dim=1", "name the axis by its letter: axis C is PyTorch's dim=1"),
        ("conv 3x3 padd 1", "did you mean 'pad'?"),
        ("conv 3x3 stides 2", "did you mean 'stride'?"),
        ("conv 3x3 8 s2", "did you mean '/2'?"),
        ("conv k3", "did you mean 'kernel 3'?"),
        ("conv 3x3 p1", "did you mean 'pad 1'?"),
        ("relu foo=3", "leave it out"),
        ("conv foo=3", "write one of these, or leave it out"),
        ("relu(", "write ) after the last value"),
        ("relu)", "write '->' before ')'"),
        ("conv(kernel=3 filters=4)", "close it, or write ',' between values"),
        ("conv 'x", 'write it as "name", with letters, digits and marks only'),
    ],
)
def test_what_is_not_certain_is_named(text, fix):
    with pytest.raises(NotationError) as caught:
        quietly(f"16x16x4 -> {text}")
    assert caught.value.fix == fix


def test_a_shape_in_brackets_is_told_as_a_size():
    with pytest.raises(NotationError) as caught:
        parse("(3, 32, 32) -> relu")
    assert caught.value.fix == "write 32x32x3"


def takes_any_word(cls):
    return any(cls.__dataclass_fields__[name].metadata["kind"] == "text" for name in cls.positional)


@pytest.mark.parametrize("word", sorted(word for word, cls in registry().items() if not takes_any_word(cls)))
def test_a_slip_in_an_option_names_what_the_syntax_lists(word):
    """The last letter doubled, as in padd: the word that stands in the usage line."""
    cls = op_class(word)
    skipped = {*cls.positional, *cls.aliases.get(word, {})}  # what has no word in the usage line
    listed = usage(word).replace("[", " ").replace("]", " ").split()
    for option, field in keywords(cls).items():
        if option == "/" or field.name in skipped or len(option) < 3:
            continue
        with pytest.raises(NotationError, match="has no option") as caught:
            read(f"{word} {option}{option[-1]} 1")
        near = caught.value.fix.removeprefix("did you mean ").strip("'?")
        assert near in listed or near == "stride", (option, caught.value.fix)


# ---------------------------------------------------------------- the order of values in other frameworks
def classes(package):
    for name, (least, order) in spelling.CALLS.items():
        if hasattr(package, name):
            yield getattr(package, name), least, order


def check_orders(package):
    seen = 0
    for cls, least, order in classes(package):
        theirs = [*inspect.signature(cls).parameters][: len(order)]
        ours = [*map(str, order)]
        op = op_class(spelling.op_word(cls.__name__, registry()))
        known = [field.name for field in dataclasses.fields(op)]
        assert [spelling.argument(name, known) for name in theirs] == ours, cls
        required = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
        assert least <= max(2, len(required)) and all(field in known for field in order)
        seen += 1
    return seen


@pytest.mark.torch("torch")
def test_the_order_of_pytorch():
    import torch

    assert check_orders(torch.nn) >= 10


@pytest.mark.keras("keras", "torch")
def test_the_order_of_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    assert check_orders(keras.layers) >= 9
