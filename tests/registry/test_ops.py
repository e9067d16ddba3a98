"""Every op, found by itself: complete, documented, right about its samples, helpful about its errors.

A new op is its source file and tests/fixtures/ops/<word>.toml; nothing here names one.
"""

import dataclasses
import inspect
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network_strategies import values
from op_cases import CLASSES, FOLDER, RUNNABLE, WORDS, declared, entries, fixture, op_of, spec_of
from striate.diagnostics import LimitError, OpError, StriateError, UnknownNameError
from striate.engine.numpy_.reference import run
from striate.formats.cursor import Cursor
from striate.formats.grammar import read_op
from striate.formats.tokens import tokenize
from striate.op import Op, op_class, registry

each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.word)


def each(kind):
    found = entries(kind)
    words = [word for word, _ in found]
    names = [f"{word}-{words[:at].count(word) + 1}" for at, word in enumerate(words)]
    return pytest.mark.parametrize(("word", "entry"), found, ids=names)


def specs_of(entry):
    return [spec_of(shape, entry.get("axes", "")) for shape in entry["inputs"]]


# ---------------------------------------------------------------- what a source file and its fixture must hold
def test_every_op_has_a_fixture_and_every_fixture_an_op():
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == WORDS


@each_class
def test_the_fixture_is_complete(cls):
    found = fixture(cls.word)
    assert found["sample"] and found["error"]
    if cls.word in RUNNABLE:
        assert found["paper"]
        roads = {road for road, expression in found["oracle"].items() if expression}
        assert roads <= {"numpy", "torch", "onnx"}
        assert "numpy" in roads, "one road has to be open without any optional package"
        assert len(roads) > 1, "two independent roads"


@each_class
def test_the_docstring_says_what_goes_in_and_out_and_whence(cls):
    text = inspect.getdoc(cls)
    summary, _, rest = text.partition(".")
    assert 0 < len(summary) < 150
    assert re.search(r"Inputs?( and output)?: ", rest), "say the axes of the input: Input: (N, C, H, W)."
    assert re.search(r"(Outputs?|Input and output): ", rest), "say the axes of the output"
    assert "Source: " in rest and text.endswith("."), "say the source: paper section, ONNX operator"


@each_class
def test_every_field_is_documented_and_named_once(cls):
    fields = dataclasses.fields(cls)
    assert [field.name for field in fields if not field.metadata["doc"]] == []
    words = [word for field in fields for word in {*field.metadata["words"], field.name}]
    assert len(words) == len(set(words))
    assert set(cls.positional) <= {field.name for field in fields}


@each_class
def test_the_fields_names_are_in_the_fields_own_words(cls):
    """The ONNX operator named in the docstring is the one declared."""
    assert {*re.findall(r"ONNX (\w+)", inspect.getdoc(cls))} - {"operators"} <= {cls.onnx}
    assert re.fullmatch(r"[a-z0-9]+", cls.word)


def test_two_ops_cannot_claim_one_word():
    with pytest.raises(TypeError, match="'relu'"):
        type("Second", (Op,), {"word": "relu", "declare": None})
    assert op_class("relu").__name__ == "Relu"
    words = [word for cls in CLASSES for word in (cls.word, *cls.aliases)]
    assert len(words) == len(set(words))


def test_an_unknown_word_names_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        op_class("maxpol")
    assert "'maxpool'" in caught.value.fix and "conv" in caught.value.why


# ---------------------------------------------------------------- samples, sums for paper, errors
@each("sample")
def test_a_sample(word, entry):
    op = Op.from_dict({"op": entry.get("op", word), **entry.get("fields", {})})
    declaration = declared(op, specs_of(entry))
    outputs = [spec_of(shape, entry.get("output_axes", entry.get("axes", ""))) for shape in entry["outputs"]]
    assert list(declaration.outputs) == outputs
    assert (declaration.params, declaration.macs) == (entry["params"], entry["macs"])
    assert op.output_count == len(outputs)


def number(value):
    return eval(value, vars(math)) if isinstance(value, str) else value


def array(nested):
    return np.array([array(x) if isinstance(x, list) else number(x) for x in nested], np.float64)


@each("paper")
def test_a_case_that_a_reader_can_check_on_paper(word, entry):
    inputs = [array(x)[None] for x in entry["inputs"]]
    weights = {name: array(x) for name, x in entry.get("weights", {}).items()}
    declaration = declared(op_of(word, entry), [spec_of(x.shape[1:]) for x in inputs])
    assert {p.name: p.shape for p in declaration.parameters} == {k: w.shape for k, w in weights.items()}
    found = run(declaration, inputs, weights)
    expected = [array(y)[None] for y in entry["outputs"]]
    assert [y.shape for y in found] == [y.shape for y in expected]
    for y, other in zip(found, expected):
        np.testing.assert_allclose(y, other, rtol=1e-12, atol=1e-12)


@each("error")
def test_an_error_tells_the_fix(word, entry):
    with pytest.raises(StriateError) as caught:
        declared(op_of(word, entry), specs_of(entry))
    error = caught.value
    assert error.code == entry["code"]
    assert entry["message"] in error.what
    assert entry["fix"] in error.fix
    assert error.where, "say where"
    assert error.why, "say why, with the numbers"
    assert "\n" not in error.what and not error.what.endswith(".")


# ---------------------------------------------------------------- plain forms
@st.composite
def ops(draw, cls, rank):
    fields = {field.name: draw(values(field, rank)) for field in dataclasses.fields(cls)}
    try:
        return cls(**fields)
    except StriateError:
        return cls(
            **{
                f.name: draw(values(f, rank))
                for f in dataclasses.fields(cls)
                if f.default is dataclasses.MISSING
            }
        )


@each_class
def test_plain_and_written_forms_give_the_op_back(cls):
    @settings(max_examples=25)
    @given(st.integers(1, 3).flatmap(lambda rank: st.tuples(st.just(rank), ops(cls, rank))))
    def holds(drawn):
        rank, op = drawn
        plain = op.to_dict()
        assert Op.from_dict(json.loads(json.dumps(plain))) == op
        assert plain["op"] == cls.word
        text = op.phrase(rank)
        cursor = Cursor(text, tokenize(text))
        assert read_op(cursor) == op and hash(read_op(Cursor(text, tokenize(text)))) == hash(op)
        if rank == 2:
            assert str(op) == text

    holds()


@each_class
def test_ops_are_frozen(cls):
    op = op_of(cls.word, fixture(cls.word)["sample"][0])
    for field in dataclasses.fields(cls):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(op, field.name, 1)
    assert dataclasses.replace(op) == op


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-1, 2) | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**12, 10**13, -1, "same", "depthwise", float("nan")]) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip


@each_class
def test_hostile_fields_are_refused_in_five_parts_or_mean_something(cls):
    names = [field.name for field in dataclasses.fields(cls)]

    @settings(max_examples=25)
    @given(
        st.dictionaries(st.sampled_from([*names, "kernal"]), hostile),
        st.lists(st.sampled_from([1, 3, 8]), min_size=1, max_size=4),
    )
    def holds(fields, shape):
        try:
            op = Op.from_dict({"op": cls.word, **fields})
            count = cls.arity or 2
            assert Op.from_dict(op.to_dict()) == op
            declared(op, [spec_of(shape)] * count)
        except StriateError as error:
            assert error.what and error.fix
            assert error.why
            assert len(str(error)) < 2000

    holds()


@pytest.mark.parametrize("word", [None, 3, "", "conf", ["conv"]])
def test_a_plain_form_without_an_op(word):
    with pytest.raises((OpError, UnknownNameError)) as caught:
        Op.from_dict({"op": word})
    assert caught.value.fix


def test_numbers_beyond_any_meaning():
    with pytest.raises(LimitError):
        Op.from_dict({"op": "conv", "kernel": 10**13})


def test_every_word_of_the_registry_leads_to_its_op():
    for word, cls in registry().items():
        assert word == cls.word or word in cls.aliases
