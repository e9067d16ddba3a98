"""A network beside its controls: a number of a trained network alone says nothing about training."""

import numpy as np
import pytest

import striate as st
from probe import known_units as known
from striate.diagnostics import StriateError
from striate.probe import stimuli
from striate.probe.population import shuffled, sites_of, take

TWO_STAGES = "16x16x1 -> conv 5x5 6 -> relu -> maxpool 2 -> conv 3x3 8 -> relu -> flatten -> fc 2"


def gabors(count=12, size=13):
    """A network whose filters are Gabor functions of all orientations, with one that does nothing."""
    filters = [known.gabor(size, orientation=180 * k / count, phase=k) for k in range(count)]
    return known.linear(np.stack([*filters, 0 * filters[0]]))


@pytest.fixture(scope="module")
def trained():
    return st.population(gabors(), seeds=3)


def test_selective_filters_are_told_from_chance(trained):
    assert [trained.differences[name].sign for name in ("untrained", "shuffled")] == [1, 1]
    assert trained.statement.startswith(
        "The network is more orientation selective than its untrained controls ("
    )
    assert "and more than the same network with shuffled weights (" in trained.statement


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_network_without_training_is_not_called_selective(seed):
    """Its units have an orientation, as those of any small filter: only the controls tell that this is chance."""
    found = st.population(st.Model("20x20x1 -> conv 7x7 24 -> relu", seed=seed), seeds=3, seed=100)
    given = found.nodes[0].group("given")[0].defined("cv")
    assert np.median(1 - given) > 0.2 and len(given) > 20
    assert found.differences["untrained"].sign == 0
    assert found.statement.startswith(
        "The network is not more orientation selective than its untrained controls"
    )


def test_units_without_orientation_are_less_selective_than_chance():
    rings = np.stack([known.center_surround(9) * (k + 1) for k in range(8)])
    found = st.population(known.linear(rings), seeds=8)
    assert found.differences["untrained"].sign == found.differences["shuffled"].sign == -1
    assert "is less orientation selective than its untrained controls" in found.statement


def test_a_silent_unit_is_counted_and_not_measured(trained):
    (node,) = trained.nodes
    given = node.group("given")[0]
    assert given.types[-1] == "none" and given.responding == 12
    assert all(np.isnan(values[-1]) for values in given.measures.values())
    record = trained.to_dict()["nodes"][0]
    assert record["groups"]["given"]["responding"] == 12 and record["groups"]["given"]["units"] == 13
    assert record["groups"]["given"]["measures"]["cv"]["defined"] == 12
    assert record["samples"][0]["cv"][-1] is None


def test_units_are_those_of_the_experiment():
    """One pass over gratings on the whole image says of each unit what its own experiment says."""
    model = st.Model(TWO_STAGES, seed=4)
    found = st.population(model, seeds=1, frequencies=known.LADDER)
    assert [node.value for node in found.nodes] == ["relu1", "maxpool1", "relu2"]
    for node in found.nodes:
        alone = st.probe(model, node.node, frequencies=known.LADDER)
        given = node.group("given")[0]
        assert node.place.screen.rows == alone.field["h"]
        for k, unit in enumerate(alone.units):
            if unit.type == "none":
                assert given.types[k] == "none"
                continue
            assert given.measures["cv"][k] == pytest.approx(unit.cv, abs=0.02)
            assert given.measures["f1_f0"][k] == pytest.approx(unit.f1_f0, abs=0.05)
            turned = given.measures["orientation_deg"][k] - unit.orientation_deg
            assert (turned + 90) % 180 - 90 == pytest.approx(0, abs=2)
        same = [kind == unit.type for kind, unit in zip(given.types, alone.units)]
        assert np.mean(same) >= 0.8


def test_complex_cells_are_found():
    found = st.population(known.energy(), node="conv2", seeds=1)
    assert found.nodes[0].group("given")[0].types == ("complex",)


def test_color_counts_as_in_the_experiment():
    weights = known.gabor(9)
    filters = np.stack([np.stack([weights, weights, weights]), np.stack([weights, -weights, 0 * weights])])
    model = known.linear(filters, channels=3)
    found = st.population(model, seeds=1)
    alone = st.probe(model, "conv1")
    assert [unit.color for unit in alone.units] == ["luminance", "red-green"]
    assert found.nodes[0].group("given")[0].measures["cv"] == pytest.approx(
        [u.cv for u in alone.units], abs=0.02
    )


def test_one_pass_serves_all_nodes():
    """Another node costs its spots, not another round of gratings."""
    seen = []
    found = take(TWO_STAGES, seeds=2, watch=lambda done, total: seen.append((done, total)))
    sites, _ = sites_of(st.parse(TWO_STAGES), ())
    spots = sum(np.prod(stimuli.Spots(stimuli.Cells.of(one.screen)).shape) for one in sites.values())
    assert found.shown == 5 * (1 + 24 * 8 * 16 + spots)
    assert seen[-1] == (found.shown, found.shown)


def test_controls_have_the_seeds_after_it():
    found = st.population(TWO_STAGES, seeds=2, seed=5)
    assert found.weights == "untrained, seed 5"
    assert [(one.group, one.seed) for one in found.nodes[0].samples] == [
        ("given", None), ("untrained", 6), ("untrained", 7), ("shuffled", 6), ("shuffled", 7),
    ]  # fmt: skip
    again = st.population(TWO_STAGES, seeds=2, seed=5)
    assert again.to_dict() == found.to_dict()


def test_shuffled_weights_are_the_same_numbers_of_each_filter():
    weights = dict(st.Model(TWO_STAGES, seed=1).weights)
    mixed = shuffled(weights, 3)
    for name, values in weights.items():
        flat, other = values.reshape(len(values), -1), mixed[name].reshape(len(values), -1)
        assert np.array_equal(np.sort(flat, axis=1), np.sort(other, axis=1)), name
    assert not np.array_equal(mixed["conv1.weight"], weights["conv1.weight"])
    assert np.array_equal(mixed["conv1.bias"], weights["conv1.bias"])


def test_nodes_can_be_named():
    found = st.population(TWO_STAGES, node=["conv2", "maxpool1"], seeds=1)
    assert [node.node for node in found.nodes] == ["conv2", "maxpool1"]
    with pytest.raises(StriateError, match="no map"):
        st.population(TWO_STAGES, node="fc1", seeds=1)
    with pytest.raises(StriateError, match="no node"):
        st.population(TWO_STAGES, node="conv9", seeds=1)


@pytest.mark.parametrize(
    ("what", "setting", "match"),
    [
        ("8x8x1 -> flatten -> fc 2", {}, "no node to probe"),
        (TWO_STAGES, {"seeds": 0}, "seeds"),
        (TWO_STAGES, {"contrast": 2}, "contrast"),
        (TWO_STAGES, {"frequencies": (0.7,)}, "frequencies"),
    ],
)
def test_what_has_no_population_is_refused_with_a_fix(what, setting, match):
    with pytest.raises(StriateError, match=match) as caught:
        st.population(what, **setting)
    assert caught.value.fix


def test_a_network_that_does_not_respond_is_compared_with_nothing():
    model = gabors()
    model.weights["conv1.bias"][:] = -1e3
    found = st.population(model, seeds=1)
    assert found.differences["shuffled"] is None
    assert found.statement.startswith("No unit responds")


def test_a_population_that_takes_minutes_says_so_before_it_begins():
    """Here it ends at the first images, in place of a person who stops it."""

    class Stop(Exception):
        pass

    def stop(shown, total):
        raise Stop

    with (
        pytest.warns(UserWarning, match=r"[\d,]+ images pass through resnet18, [\d,]+ T multiply"),
        pytest.raises(Stop),
    ):
        take("resnet18", node=["conv1", "layer1.0.conv1"], seeds=10, watch=stop)


def test_one_that_takes_seconds_says_nothing(recwarn):
    st.population(TWO_STAGES, seeds=1)
    assert not recwarn
