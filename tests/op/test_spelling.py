"""Names of PyTorch and Keras: read as ours, never with another default, and said once."""

import dataclasses
import inspect
import warnings

import numpy as np
import pytest

import striate.functional as F
from cli.run import run
from striate import ops
from striate.diagnostics import NotationError, OpError, UsageError
from striate.formats import parse, to_notation, toml
from striate.op import op_class, registry, spelling
from striate.ops import AvgPool, BatchNorm, Conv, Dropout, Linear, LpPool, MaxPool, Upsample


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(spelling, "_warned", set())


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def op_of_file(word):
    text = (
        f'[network]\nname = "net"\ninput = "8x8x3"\n\n[[node]]\nop = "{word}"\ninputs = ["input", "input"]\n'
    )
    return toml.parse(text).nodes[0].op


# ---------------------------------------------------------------- the tables
def test_every_spelling_leads_to_a_word_or_an_argument_of_ours():
    assert {*spelling.OPS.values(), *(ours for ours, _ in spelling.DIFFERENT.values())} <= registry().keys()
    fields = {field.name for cls in registry().values() for field in dataclasses.fields(cls)}
    assert {*spelling.ARGUMENTS.values()} <= fields | {"x", "w", "b", "dy"}


def test_no_spelling_hides_a_word_of_ours():
    words = {spelling.fold(word) for word in registry()}
    assert not words & ({*spelling.OPS} | {*spelling.DIFFERENT})
    assert not {*spelling.OPS} & {*spelling.DIFFERENT}


@pytest.mark.parametrize("cls", dict.fromkeys(registry().values()), ids=lambda cls: cls.word)
def test_an_ops_own_argument_wins(cls):
    for field in dataclasses.fields(cls):
        assert spelling.argument(field.name, [f.name for f in dataclasses.fields(cls)]) == field.name


@pytest.mark.parametrize("theirs", sorted(spelling.OPS))
def test_a_word_is_the_op_of_ours_with_ours_defaults(theirs):
    """Whatever can be written after our word can be written after theirs, and is the same op."""
    ours = spelling.OPS[theirs]
    rest = {"conv": "3x3 8", "tconv": "2x2 8", "dwconv": "3", "fc": "10", "gn": "2"}.get(ours, "")
    if op_class(ours).arity is None:  # a merge stands in no chain
        assert quietly(op_of_file, theirs) == op_of_file(ours)
    else:
        start = "8x8x4 -> " if ours != "fc" else "8 -> "
        assert quietly(parse, f"{start}{theirs} {rest}") == parse(f"{start}{ours} {rest}")


# ---------------------------------------------------------------- the notation
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv2d kernel_size=3 out_channels=16 padding=1 bias=False", "conv 3x3 16 pad 1 bias off"),
        ("Conv2D 3x3 16 strides=2 padding=same", "conv 3x3 16 /2 pad same"),
        ("conv2d 16 kernel_size=5", "conv 5x5 16"),
        ("conv2d kernel_size=5 16", "conv 5x5 16"),
        ("conv 16 kernel=5", "conv 5x5 16"),
        ("conv kernel_size 5 dilation_rate 2", "conv 5x5 dil 2"),
        ("depthwise_conv2d 3", "dwconv 3x3"),
        ("ReLU", "relu"),
        ("Leaky_ReLU negative_slope=0.2", "leakyrelu 0.2"),
        ("BatchNorm2d epsilon=0.001", "bn eps 0.001"),
        ("MaxPooling2D pool_size=3 strides=2", "maxpool 3x3 /2"),
        ("avg_pool2d 2 ceil_mode=True", "avgpool 2x2 ceil on"),
        ("GlobalAveragePooling2D", "gap"),
        ("dropout p=0.25", "dropout 0.25"),
        ("conv pad=2", "conv pad 2"),
    ],
)  # fmt: skip
def test_the_notation_reads_it_and_prints_ours(theirs, ours):
    net = quietly(parse, f"16x16x4 -> {theirs}")
    assert net == parse(f"16x16x4 -> {ours}")
    assert parse(to_notation(net)) == net and "=" not in to_notation(net)


def test_dense_and_its_units():
    assert quietly(parse, "8 -> Dense units=10 use_bias=False") == parse("8 -> fc 10 bias off")


def test_what_is_read_is_said_once_with_our_words():
    with pytest.warns(UserWarning) as said:
        parse("8x8x3 -> conv2d kernel_size=3 padding=1 -> ReLU -> conv2d 3x3")
    (one,) = said
    text = str(one.message)
    assert "conv for conv2d" in text and "kernel for kernel_size" in text and "relu for ReLU" in text
    assert "8x8x3 -> conv 3x3 pad 1 -> relu -> conv 3x3" in text and "defaults" in text
    assert one.filename == __file__, "the warning points at the line of the user"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse("8x8x3 -> conv2d kernel_size=3")


@pytest.mark.parametrize("text", ["conv2d 16 3", "conv2d 16", "Conv2DTranspose 16 2"])
def test_a_number_that_may_mean_two_things_is_refused(text):
    """Keras says filters first, PyTorch the channels of the input, we the kernel."""
    with pytest.raises(NotationError, match="can mean kernel or filters") as caught:
        parse(f"8x8x3 -> {text}")
    assert "conv filters 16" in caught.value.fix or "conv filters 3" in caught.value.fix


@pytest.mark.parametrize(("text", "ours"), [("BatchNormalization", "bn"), ("upsampling2d 2", "upsample")])
def test_what_means_another_thing_there_is_refused_with_the_reason(text, ours):
    with pytest.raises(NotationError, match="unknown operation") as caught:
        parse(f"8x8x3 -> {text}")
    assert ours in caught.value.fix and f"of {ours}" in caught.value.why


@pytest.mark.parametrize("name", sorted(spelling.ELSEWHERE))
def test_arguments_that_are_said_another_way(name):
    with pytest.raises(NotationError, match=f"has no option '{name}'") as caught:
        parse(f"8x8x3 -> conv2d 3x3 16 {name}=relu")
    assert caught.value.fix == spelling.ELSEWHERE[name]


@pytest.mark.parametrize("text", ["conv 3 3 kernel=3", "conv kernel=3 kernel_size=3"])
def test_one_argument_is_given_once(text):
    with pytest.raises(NotationError, match="kernel of conv is given twice"):
        parse(f"8x8x3 -> {text}")


def test_files_read_it_and_hold_ours():
    text = '[network]\nname = "net"\ninput = "8x8x3"\n\n[[node]]\nop = "Conv2d"\nkernel_size = 3\nout_channels = 4\n'
    net = quietly(toml.parse, text)
    assert net == parse("8x8x3 -> conv 3x3 4")
    assert 'op = "conv 3x3 4"' in toml.format(net) or "kernel" in toml.format(net)
    assert "kernel_size" not in toml.format(net)


def test_the_shell_reads_it_with_a_note():
    shown = run("show", "8x8x3 -> conv2d kernel_size=3 padding=1")
    assert shown.code == 0 and "conv 3x3 pad 1" in shown.out and "conv2d" not in shown.out
    assert "note: Striate's names are conv for conv2d, kernel for kernel_size" in shown.err
    assert run("show", "8x8x3 -> conv2d kernel_size=3").err == ""


# ---------------------------------------------------------------- Python
@pytest.mark.parametrize(
    ("cls", "args", "theirs", "ours"),
    [
        (Conv, (16,), {"kernel_size": 5, "padding_mode": "circular"}, {"kernel": 5, "mode": "circular"}),
        (Conv, (), {"out_channels": 8, "strides": 2}, {"filters": 8, "stride": 2}),
        (Linear, (), {"out_features": 10}, {"features": 10}),
        (Linear, (), {"units": 10, "use_bias": False}, {"features": 10, "bias": False}),
        (MaxPool, (), {"pool_size": 3, "ceil_mode": True}, {"kernel": 3, "ceil": True}),
        (AvgPool, (), {"kernel_size": 3}, {"kernel": 3}),
        (LpPool, (), {"kernel_size": 3, "norm_type": 3}, {"kernel": 3, "p": 3}),
        (LpPool, (), {"p": 3}, {"p": 3}),
        (Dropout, (), {"p": 0.25}, {"rate": 0.25}),
        (BatchNorm, (), {"epsilon": 1e-3}, {"eps": 1e-3}),
        (Upsample, (), {"scale_factor": 2}, {"scale": 2}),
    ],
)  # fmt: skip
def test_arguments_of_ops(cls, args, theirs, ours):
    op = quietly(cls, *args, **theirs)
    assert op == cls(*args, **ours)
    assert dataclasses.replace(op) == op


def test_arguments_of_ops_are_said_once_and_given_once():
    with pytest.warns(UserWarning, match="kernel for kernel_size") as said:
        Conv(16, kernel_size=3)
    assert said[0].filename == __file__
    with pytest.raises(OpError, match="kernel of Conv is given twice"):
        Conv(16, kernel_size=3, kernel=3)
    with pytest.raises(UsageError, match="did you mean kernel"):
        Conv(16, kernl=3)


@pytest.mark.parametrize("cls", dict.fromkeys(registry().values()), ids=lambda cls: cls.word)
def test_an_ops_signature_is_that_of_its_fields(cls):
    assert [*inspect.signature(cls).parameters] == [field.name for field in dataclasses.fields(cls)]
    assert inspect.signature(cls).return_annotation in (None, "None")


def test_classes_of_other_frameworks_are_named_with_our_arguments():
    with pytest.raises(AttributeError, match=r"did you mean Conv\(filters, kernel, stride"):
        ops.Conv2d  # noqa: B018
    with pytest.raises(AttributeError, match=r"did you mean MaxPool\("):
        ops.MaxPol  # noqa: B018


def test_arguments_of_functions():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 2, 2), np.float32)
    same = np.testing.assert_array_equal
    same(quietly(F.conv2d, input=x, weight=w, bias=np.ones(1)), F.conv2d(x, w, np.ones(1)))
    same(quietly(F.max_pool2d, x, kernel_size=2, ceil_mode=True), F.max_pool2d(x, 2, ceil=True))
    dx, _, _ = quietly(F.conv2d_grads, x, w, grad_output=np.ones((1, 1, 3, 3)))
    same(dx, F.conv2d_grads(x, w, np.ones((1, 1, 3, 3)))[0])
    with pytest.raises(OpError, match="kernel of max_pool2d is given twice"):
        F.max_pool2d(x, kernel=2, kernel_size=2)
    with pytest.raises(UsageError, match="did you mean kernel"):
        F.max_pool2d(x, kernl=2)


@pytest.mark.parametrize(("name", "says"), [("relu", "apply(striate.ops.Relu"), ("maxpool2", "max_pool2d")])
def test_functions_that_are_not_there_are_told_another_way(name, says):
    with pytest.raises(AttributeError) as caught:
        getattr(F, name)
    assert says in str(caught.value)
