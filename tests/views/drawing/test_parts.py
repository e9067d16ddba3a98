"""What stands as one block: nodes with what follows them, modules with one exit, repeats told once."""

import striate as st
from laws.pictured import SHAPED
from striate.network import Builder
from striate.ops import Add, Conv, Relu
from striate.views.drawing.parts import described, failed_facts, failing, label, parts_of, size_text
from striate.views.json_records import show_record


def of(net, **options):
    return parts_of(show_record(st.create(net) if isinstance(net, str) else net), **options)


def test_vgg16_is_thirteen_parts():
    found = of("vgg16")
    assert [(part.names, part.times, size_text(part.output)) for part in found] == [
        ("features.0-2", 2, "224 x 224 x 64"),
        ("features.4", 1, "112 x 112 x 64"),
        ("features.5-7", 2, "112 x 112 x 128"),
        ("features.9", 1, "56 x 56 x 128"),
        ("features.10-14", 3, "56 x 56 x 256"),
        ("features.16", 1, "28 x 28 x 256"),
        ("features.17-21", 3, "28 x 28 x 512"),
        ("features.23", 1, "14 x 14 x 512"),
        ("features.24-28", 3, "14 x 14 x 512"),
        ("features.30", 1, "7 x 7 x 512"),
        ("flatten", 1, "25088"),
        ("classifier.0-3", 2, "4096"),
        ("classifier.6", 1, "1000"),
    ]
    assert sum(part.params for part in found) == 138_357_544
    assert label(found[0]) == ["conv 3x3", "padding 1", "relu"]
    assert next(described(found)) == "features.0-2: conv 3x3 (2 times), 224 x 224 x 64"


def test_without_folding_every_convolution_stands_alone():
    found = of("vgg16", fold=False)
    assert all(part.times == 1 and not part.scope for part in found)
    assert sum(label(part)[0] == "conv 3x3" for part in found) == 13


def test_modules_open_while_there_is_room():
    assert (len(of("resnet50", most=4)), len(of("resnet50")), len(of("resnet50", fold=False))) == (8, 12, 72)
    assert [part.scope for part in of("googlenet") if part.scope][:2] == ["inception3a", "inception3b"]


def test_shared_weights_are_named():
    b = Builder("shared", input=(4, 8, 8))
    x = b(Conv(4, kernel=3, padding=1), b.input, name="first")
    y = b(Relu(), b(Conv(4, kernel=3, padding=1), x, name="second", shares="first"))
    found = of(b.build(b(Add(), x, y)))
    assert label(found[0]) == ["conv 3x3", "padding 1"]
    assert label(found[1]) == ["conv 3x3", "padding 1", "relu", "weights of first"]
    assert found[1].times == 1


def module(*, exits):
    """A module of two layers, the first of which is read outside where `exits` is 2."""
    b = Builder("net", input=(4, 8, 8))
    x = b.input
    for k in range(5):
        first = b(Conv(4 + k, kernel=3, padding=1), x, name=f"m{k}.a")
        x = b(Conv(4 + k, kernel=1), first, name=f"m{k}.b")
        if exits == 2:
            x = b(Add(), x, first, name=f"sum{k}")
    return b.build(x)


def test_a_module_closes_only_with_one_exit():
    assert [part.scope for part in of(module(exits=1), most=2)] == ["m0", "m1", "m2", "m3", "m4"]
    assert not [part for part in of(module(exits=2), most=2) if part.scope]


def test_a_repeat_is_read_at_its_end_only():
    """conv1 and conv2 do the same, but the sum reads conv1 too: they stay two parts."""
    b = Builder("net", input=(4, 8, 8))
    x = b(Conv(4, kernel=3, padding=1), b.input, name="conv1")
    y = b(Conv(4, kernel=3, padding=1), x, name="conv2")
    found = of(b.build(b(Add(), x, y, name="sum")))
    assert [(part.key, part.times) for part in found] == [("conv1", 1), ("conv2", 1), ("sum", 1)]
    assert found[2].reads == ("conv1", "conv2")


def test_what_follows_stands_with_its_layer_unless_something_else_reads_the_layer():
    b = Builder("net", input=(4, 8, 8))
    x = b(Conv(4, kernel=3, padding=1), b.input, name="conv")
    y = b(Relu(), x, name="relu")
    assert [part.key for part in of(b.build(y))] == ["conv"]
    assert [part.key for part in of(b.build(b(Add(), x, y, name="sum")))] == ["conv", "relu", "sum"]


def test_a_failing_layer_reads_from_the_parts_before_it():
    net = SHAPED["failing merge"]()
    found = of(net)
    facts = {"failed": failed_facts(net)}
    (lost,) = failing(facts, found)
    assert (lost.key, lost.reads, lost.family, size_text(lost.output)) == (
        "concat1",
        ("conv1", "maxpool1"),
        "error",
        "no output",
    )
