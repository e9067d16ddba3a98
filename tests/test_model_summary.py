"""`model.summary()`, which people know from Keras, and `st.Model` of a text."""

import pytest

import striate as st


def test_a_summary_is_the_table_of_the_network(capsys):
    model = st.Model("lenet5")
    assert model.summary() is None
    assert capsys.readouterr().out == f"{model.net}\n"
    lines = []
    model.summary(print_fn=lines.append)
    assert lines == [str(model.net)]
    assert "61,706" in lines[0] and "conv1" in lines[0]


def test_a_weight_that_is_not_there_is_told_the_nearest():
    model = st.Model("8x8x1 -> conv 3x3")
    with pytest.raises(KeyError) as caught:
        model.weights["conv1.wieght"]
    assert "'conv1.weight'" in caught.value.fix
    assert "conv1.wieght" not in model.weights and model.weights.get("conv1.wieght") is None


@pytest.mark.parametrize(
    "net",
    ["8x8x1 -> conv 3x3 4 bias off -> bn -> relu", "8x8x1 -> conv 3x3 4 -> flatten -> fc 1000", "lenet5"],
)
def test_parameters_are_counted_in_one_way(net):
    """Running statistics are not parameters: a model says the number that its analysis says."""
    count = st.analyze(net).totals.params
    assert f", {count:,} parameters," in repr(st.Model(net))
