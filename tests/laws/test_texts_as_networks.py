"""Texts, paths, models and builders are taken wherever networks are."""

import pytest

import striate as st
from striate.diagnostics import StriateError
from striate.ops import Conv

TEXT = "7x7x1 -> conv 3x3 /3"


def built():
    build = st.Builder("net", input=(1, 7, 7))
    build(Conv(1, kernel=3, stride=3), build.input)
    return build


@pytest.fixture(params=["text", "file", "path", "builder", "function", "model"])
def source(request, tmp_path):
    """The same network in every form that has no weights of another framework."""
    file = tmp_path / "net.toml"
    file.write_text('[network]\nname = "net"\ninput = "7x7x1"\n\n[[node]]\nop = "conv 3x3 /3"\n')
    return {
        "text": TEXT, "file": str(file), "path": file, "builder": built(),
        "function": lambda: st.parse(TEXT), "model": st.Model(TEXT),
    }[request.param]  # fmt: skip


def test_whatever_names_a_network_is_taken_for_it(source):
    net = st.parse(TEXT)
    assert [f.code for f in st.check(source).findings] == [f.code for f in st.check(net).findings]
    assert repr(st.analyze(source)) == repr(st.analyze(net))
    assert st.sizes(source, near=7) == st.sizes(net, near=7)
    assert st.pixels(source) == st.pixels(net)


def test_names_of_the_catalogue_are_taken():
    assert st.analyze("resnet18").totals.params == 11_689_512
    assert st.Model("lenet5").net == st.create("lenet5")
    assert st.sizes("lenet5", near=32).nearest[0] <= 32


@pytest.mark.parametrize("ask", [st.check, st.analyze, st.sizes, st.pixels, st.Model])
@pytest.mark.parametrize(
    ("wrong", "says"), [("resnet81", "resnet18"), ("8x8x1 -> conf 3", "conv"), (7, "int")]
)
def test_what_names_none_is_refused_with_the_nearest(ask, wrong, says):
    with pytest.raises(StriateError) as caught:
        ask(wrong)
    assert says in str(caught.value)
