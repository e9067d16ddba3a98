"""What people type who come from Keras, PyTorch and torchinfo: it is understood, or the error says what to write."""

import copy
import dataclasses
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import striate
from striate import elsewhere
from striate.diagnostics import UnknownNameError, UsageError
from striate.model import Model
from striate.models import catalogue
from striate.network import Network
from striate.train.evaluation import Evaluation
from striate.train.history import History
from striate.train.settings import Settings, options

TEXT = "8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2"
CHOICES = [option for option in options() if option.kind == "choice"]
FACTS = {
    "Analysis": elsewhere.ANALYSIS,
    "Totals": elsewhere.TOTALS,
    "NodeFacts": elsewhere.NODE_FACTS,
    "Report": elsewhere.REPORT,
    "Sizes": elsewhere.FITTING_SIZES,
}
TABLES = {
    **FACTS,
    "Model": elsewhere.MODEL,
    "Network": elsewhere.NETWORK,
    "the package": elsewhere.PACKAGE,
    "Picture": elsewhere.PICTURE,
}


def images(n=32):
    return np.random.default_rng(0).random((n, 1, 8, 8), np.float32), np.arange(n) % 2


def holders():
    model = Model(TEXT, seed=0)
    facts = striate.analyze(model)
    return {
        "Analysis": facts, "Totals": facts.totals, "NodeFacts": facts["conv1"], "Report": striate.check(model),
        "Sizes": striate.sizes(model), "Model": model, "Network": model.net, "the package": striate,
        "Picture": striate.draw(TEXT),
    }  # fmt: skip


def entries():
    of_networks = {*dir(Network), *Network.__dataclass_fields__}
    return [
        (holder, name)
        for holder, table in TABLES.items()
        for name in table
        if holder != "Network" or name not in of_networks
    ]


# ---------------------------------------------------------------- attributes
@pytest.mark.parametrize(("holder", "name"), entries())
def test_an_attribute_of_another_framework_says_what_to_write(holder, name):
    value = holders()[holder]
    assert not hasattr(value, name) and name not in dir(value)
    with pytest.raises(AttributeError) as caught:
        getattr(value, name)
    hint = str(caught.value).partition("; ")[2]
    assert hint == TABLES[holder][name]
    assert hint.startswith(("write ", "run striate ", "leave it out", "name what", "give it to"))


NAMES = {"facts": "Analysis", "node": "NodeFacts", "report": "Report", "sizes": "Sizes"}
"""What answers call a value -> its class."""


def runnable():
    """The code of every answer that has no gaps."""
    tables = (elsewhere.MODEL, elsewhere.NETWORK, elsewhere.MODULES, *FACTS.values())
    for answer in dict.fromkeys(answer for table in tables for answer in table.values()):
        code = answer.removeprefix("write ").replace(", then ", "; ")
        code = re.split(r", (?:or|a|which) | for one| and convert", code)[0]
        ours = r"write (model|net|st|facts|node|report|not report|sizes|\[finding|print)\b"
        if re.match(ours, answer) and not re.search("…|FILE|cuda", answer):
            yield code.replace("epochs=10", "epochs=1, verbose=0")


def test_most_answers_are_code():
    assert len([*runnable()]) >= 40


@pytest.mark.parametrize("code", [*runnable()])
def test_what_is_to_be_written_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (x, y), model = images(), Model(TEXT, seed=0)
    values = holders()
    exec(
        code,
        {"st": striate, "dataclasses": dataclasses, "x": x, "y": y, "images": x, "net": model.net}
        | {word: values[name] for word, name in NAMES.items()}
        | ({} if code.startswith("model = ") else {"model": model}),
    )


@pytest.mark.parametrize(
    ("cls", "names"),
    {
        Model: elsewhere.MODEL, History: {}, Evaluation: elsewhere.RESULTS,
        **{type(value): FACTS[name] for name, value in holders().items() if name in FACTS},
    }.items(),
)  # fmt: skip
def test_no_answer_hides_what_is_there(cls, names):
    assert not {*names} & {*dir(cls)}
    assert not {*elsewhere.PACKAGE} & {*striate.__all__}


def test_nodes_are_named_where_they_are():
    model = Model(TEXT)
    with pytest.raises(AttributeError, match=r'write model\.net\["conv1"\]'):
        model.conv1  # noqa: B018
    with pytest.raises(AttributeError, match=r'write net\["conv1"\]'):
        model.net.conv1  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean predict"):
        model.predikt  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute '_secret'$"):
        model._secret  # noqa: B018


def test_an_attribute_that_would_have_no_effect_is_not_set():
    model = Model(TEXT)
    with pytest.raises(AttributeError, match="trainable"):
        model.trainable = False
    model.classes = ("a", "b")
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.classes == ("a", "b") and twin.net == model.net


def test_layers_and_models_are_named_where_they_are():
    for name, says in {
        "Conv2d": r"st\.ops\.Conv\(",
        "relu": r"st\.ops\.Relu\(",
        "ResNet18": r'st\.create\("resnet18"\)',
    }.items():
        with pytest.raises(AttributeError, match=says):
            getattr(striate, name)
    with pytest.raises(AttributeError, match=r'write st\.create\("resnet18"\)'):
        striate.models.resnet18  # noqa: B018
    assert (
        catalogue.instead("striate", "nothing_of_the_kind")
        == catalogue.instead("striate", "__wrapped__")
        == ""
    )


def test_a_model_is_called():
    model, (x, _) = Model(TEXT, seed=0), images()
    np.testing.assert_array_equal(model(x), model.predict(x))
    np.testing.assert_array_equal(Model(model)(x), model(x))


# ---------------------------------------------------------------- arguments
def functions():
    known = {
        "Model": Model,
        **{name: getattr(striate, name) for name in ("analyze", "check", "create", "draw", "list_models")},
    }
    for name in elsewhere.ARGUMENTS:
        first, _, method = name.partition(".")
        yield name, getattr(known[first], method) if method else known[first]


@pytest.mark.parametrize(("name", "function"), [*functions()])
def test_an_argument_of_another_framework_says_what_to_write(name, function):
    table, parameters = elsewhere.ARGUMENTS[name], inspect.signature(function).parameters
    assert not {*table} & {*parameters}
    assert {answer for answer in table.values() if answer.isidentifier()} <= {*parameters}
    for word, answer in table.items():
        arguments = (
            []
            if name.startswith("list")
            else ["resnet18"]
            if name in ("create", "draw", "analyze", "check")
            else [Model(TEXT)]
        )
        with pytest.raises(UsageError, match=word) as caught:
            function(*arguments, **{word: 1})
        assert caught.value.fix == elsewhere.answer(answer, value=1)


def test_the_answer_has_the_names_and_numbers_of_the_call():
    with pytest.raises(UsageError) as caught:
        Model("lenet5", num_classes=3)
    assert caught.value.fix == 'st.Model(st.create("lenet5", num_classes=3))'
    assert eval(caught.value.fix, {"st": striate}).net.specs["fc3"].shape == (1, 3)


# ---------------------------------------------------------------- habits of Python
def test_what_holds_nodes_and_findings_is_a_collection():
    """A loop, a length, an index and `in`, as for a list or a dict; what they cannot give is an error with the fix."""
    model = Model(TEXT, seed=0)
    report, facts = striate.check(model), striate.analyze(model)
    assert [*report] == [*report.findings] and len(report) == len(report.findings) > 0
    assert report[0] is report.findings[0] and report[-1:] == report.findings[-1:] and report[0] in report
    assert not striate.check("8x8x3 -> conv 3x3 8 pad 1", striate.CheckConfig(select=("G",)))
    assert [*model] == [*model.net] and len(model) == len(model.net) == len(facts) and model and facts
    assert model["conv1"] is model.net["conv1"] and "conv1" in model and "conv9" not in model
    assert [*facts] == [*facts.nodes] and facts["conv1"] is facts.node("conv1") is facts[0]
    for call in (lambda: report["conv1"], lambda: model["conv9"], lambda: model[0], lambda: facts["conv9"]):
        with pytest.raises(striate.StriateError) as caught:
            call()
        assert caught.value.fix
    with pytest.raises(IndexError):
        report[99]


@pytest.mark.parametrize("name", elsewhere.MODULES)
def test_a_package_that_is_taken_for_a_function_says_what_to_write(name):
    importlib.import_module(f"striate.{name}")
    with pytest.raises(UsageError) as caught:
        getattr(striate, name)("*")
    assert caught.value.fix == elsewhere.MODULES[name]
    unloaded = "import striate as st\ntry: st.{0}\nexcept AttributeError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", unloaded.format(name)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"module 'striate' has no attribute {name!r}; {elsewhere.MODULES[name]}"


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (lambda m: m.compile(optimizer="adam", loss="mse", metrics=["acc"]), "model.fit(x, y, optimizer="),
        (lambda m: m.compile("adam", "mse"), "model.fit(x, y, optimizer="),
        (lambda m: m.compile(batch=0), "correct it"),
        (lambda m: m.summary((1, 8, 8)), "model.summary()"),
        (lambda m: m.fit(*images(), resume=True), 'resume="run"'),
        (lambda m: m.fit(*images(), callbacks=["EarlyStopping"]), "patience=5"),
        (lambda m: m.fit(*images(), class_weights={0: 1.0, 1: 2.0}), "did you mean [1.0, 2.0]?"),
        (lambda m: m.fit(*images(), log="wandb"), 'did you mean ["wandb"]?'),
    ],
)
def test_calls_of_other_frameworks_end_with_the_fix(call, fix):
    with pytest.raises(UsageError) as caught:
        call(Model(TEXT))
    assert fix in caught.value.fix


def test_every_setting_of_another_framework_has_an_answer():
    ours = {option.name for option in options()} | {*inspect.signature(Model.fit).parameters}
    assert not {*elsewhere.SETTINGS} & ours
    assert {answer for answer in elsewhere.SETTINGS.values() if answer.isidentifier()} <= ours
    for name, answer in elsewhere.SETTINGS.items():
        with pytest.raises(UnknownNameError, match=f"no such setting: {name}") as caught:
            Model(TEXT).fit(*images(), **{name: 1})
        assert caught.value.fix == elsewhere.answer(answer)
    with pytest.raises(UnknownNameError) as caught:  # a file cannot do what a call can
        Settings().replace({"validation_split": 0.1}, "train.toml")
    assert "fit(" not in caught.value.fix


def test_one_callback_or_none():
    heard = []
    for callbacks in (heard.append, None, [heard.append]):
        Model(TEXT).fit(*images(), epochs=1, verbose=0, callbacks=callbacks)
    assert len(heard) > 4


# ---------------------------------------------------------------- values
@pytest.mark.parametrize("option", CHOICES, ids=lambda option: option.name)
def test_capitals_and_marks_make_no_difference(option):
    for word in option.choices:
        for spelled in (word.upper(), word.title(), word.replace("_", "-"), word.replace("_", "")):
            assert getattr(Settings().replace({option.name: spelled}), option.name) == word
            assert getattr(Settings().replace_flags({option.name: spelled}), option.name) == word


@pytest.mark.parametrize("theirs", elsewhere.VALUES)
def test_a_word_of_another_framework_means_ours(theirs, monkeypatch):
    ours = elsewhere.VALUES[theirs]
    (option,) = (option for option in CHOICES if ours in option.choices)
    monkeypatch.setattr(elsewhere, "_reported_words", set())
    assert theirs == elsewhere.fold(theirs) and theirs not in map(elsewhere.fold, option.choices)
    with pytest.warns(UserWarning, match=f"Striate says {ours} for {theirs}"):
        assert getattr(Settings().replace({option.name: theirs}), option.name) == ours
    with warnings.catch_warnings():  # it is said once
        warnings.simplefilter("error")
        Settings().replace({option.name: theirs.upper()})


@pytest.mark.parametrize(
    ("name", "spelled", "ours"),
    [
        ("loss", "sparse_categorical_crossentropy", "cross_entropy"),
        ("loss", "CrossEntropyLoss", "cross_entropy"),
        ("loss", "nll_loss", "cross_entropy"),
        ("loss", "BCEWithLogitsLoss", "binary_cross_entropy"),
        ("loss", "binary_crossentropy", "binary_cross_entropy"),
        ("loss", "mse_loss", "mean_squared_error"),
        ("optimizer", "AdamW", "adamw"),
        ("optimizer", "SGD", "sgd"),
        ("schedule", "CosineAnnealingLR", "cosine"),
        ("schedule", "ReduceLROnPlateau", "plateau"),
        ("monitor", "val_loss", "loss"),
        ("monitor", "Accuracy", "accuracy"),
    ],
)
def test_words_as_they_are_written_elsewhere(name, spelled, ours):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert getattr(Settings().replace({name: spelled}), name) == ours


@pytest.mark.parametrize(
    ("name", "word"), [("loss", "huber"), ("optimizer", "rmsprop"), ("schedule", "ExponentialLR")]
)
def test_what_striate_does_not_have_is_refused(name, word):
    with pytest.raises(UsageError, match=f"{name} must be one of"):
        Settings().replace({name: word})


# ---------------------------------------------------------------- results
def test_results_are_read_as_elsewhere():
    model, (x, y) = Model(TEXT, seed=0), images()
    history = model.fit(x, y, epochs=1, verbose=0)
    assert history["val_accuracy"] == history["accuracy"] and history["val_loss"] == history["loss"]
    with pytest.raises(AttributeError, match="train_accuracy"):
        history.history  # noqa: B018
    found = model.evaluate(x, y)
    loss, accuracy = found
    assert (loss, accuracy) == (found[0], found[1]) == (found.loss, found.accuracy)
    assert (found["loss"], found["accuracy"]) == (loss, accuracy)
    with pytest.raises(UnknownNameError, match="accurracy"):
        found["accurracy"]
    with pytest.raises(AttributeError, match=r"write evaluation\.accuracy"):
        found.acc  # noqa: B018


def test_a_network_keeps_its_own_errors():
    """An attribute that exists and fails says why it fails."""
    net = striate.parse("4x4x1 -> conv 3x3 -> conv 3x3 -> conv 3x3")
    with pytest.raises(striate.StriateError, match="no output"):
        net.specs  # noqa: B018
    assert isinstance(net, Network) and copy.deepcopy(net) == net == pickle.loads(pickle.dumps(net))
