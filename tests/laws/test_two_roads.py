"""The same quantity by two roads on generated networks: by window algebra, and by poking the reference interpreter."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import network_strategies
from laws.networks import networks, poked_paths, poked_reads
from striate.analysis import exact_field, misalignments, pixels, receptive_fields
from striate.engine.numpy_ import reference
from striate.statement import Affine

RANKS = st.sampled_from([1, 2, 2, 3])


# ---------------------------------------------------------------- pixel use
@given(RANKS.flatmap(lambda rank: networks(rank)))
def test_pixel_use_counts_paths(net):
    use = pixels(net)
    poked = poked_paths(net, net.outputs)
    assert np.array_equal(np.array(use.counts, float), poked)
    assert use.unread == (poked == 0).sum()
    assert use.total == poked.sum()
    assert use.most == poked.max()
    assert use.uniform == (poked.min() == poked.max() > 0)
    center = tuple(n // 2 for n in net.input.spatial)
    assert (use.corner, use.center) == (poked.flat[0], poked[center])
    if poked[center]:
        rim = np.ones(poked.shape, bool)
        rim[(slice(1, -1),) * poked.ndim] = False
        assert use.corner_to_center == pytest.approx(poked.flat[0] / poked[center])
        assert use.border_to_center == pytest.approx(poked[rim].mean() / poked[center])


@given(networks(2), st.data())
def test_pixel_use_of_any_value(net, data):
    values = [v for node in net.nodes for v in node.outputs]
    single = [v for v in values if not any(r.op.word in ("split", "pixelshuffle") for r in net.consumers[v])]
    value = data.draw(st.sampled_from(single))
    assert np.array_equal(np.array(pixels(net, value).counts, float), poked_paths(net, (value,)))


# ---------------------------------------------------------------- receptive fields
def hull(flags: np.ndarray) -> tuple[int, int] | None:
    places = np.flatnonzero(flags)
    return (int(places[0]), int(places[-1])) if len(places) else None


@given(networks(1, "local", size=25))
def test_receptive_fields_away_from_the_borders(net):
    """A unit whose whole cone lies inside the maps sees exactly its span."""
    assume(not any(fault.pixels is None for fault in misalignments(net)))
    fields = receptive_fields(net)
    for value in net.outputs:
        reads = poked_reads(net, value)
        field = fields[value]["L"].field
        for i in range(reads.shape[1]):
            if _inside(net, value, i):
                lo, hi = field.span(i)
                assert hull(reads[:, i]) == ((lo, hi) if lo <= hi else None), (value, i)


def _inside(net, value, i) -> bool:
    """Whether nothing that unit i reads, on any path, lies outside a map; joins along the axis count as borders."""
    wanted = {value: {i}}
    for node in reversed(net.nodes):
        for port, name in enumerate(node.outputs):
            if name not in wanted:
                continue
            declaration = net.declarations[node.name]
            if node.op.word == "concat" and node.op.axis == "L":
                return False
            for source, reading in zip(node.inputs, declaration.readings_of(port), strict=True):
                axis_map = reading["L"].map
                touched = set(wanted[name])
                if axis_map is not None:
                    taps = itertools.product(wanted[name], range(axis_map.taps))
                    touched = {x for unit, u in taps if (x := axis_map.raw(unit, u)) is not None}
                    real = {x for unit in wanted[name] for x in axis_map.reads(unit)}
                    if touched != real:
                        return False
                wanted.setdefault(source, set()).update(touched)
    return True


@given(RANKS.flatmap(lambda rank: networks(rank, "context")), st.data())
def test_exact_fields_are_what_the_unit_reacts_to(net, data):
    for value in net.outputs:
        reads = poked_reads(net, value)
        rank = len(net.input.spatial)
        spec = net.specs[value]
        position = tuple(data.draw(st.integers(0, n - 1)) for n in spec.spatial)
        touched = reads[(..., *position)]
        field = exact_field(net, value, position)
        for axis, name in enumerate(net.input.spatial_axes):
            rows = touched.any(axis=tuple(k for k in range(rank) if k != axis)) if rank > 1 else touched
            assert field[name] == tuple(np.flatnonzero(rows)), (value, position, name)


# ---------------------------------------------------------------- cost and shapes
@given(network_strategies.networks())
def test_macs_are_counted_one_by_one(net):
    for node in net.nodes:
        declaration = net.declarations[node.name]
        assume(declaration.macs < 10**6)
        assert declaration.macs == reference.multiplications(declaration), node.op


@given(network_strategies.networks(), st.integers(1, 3))
def test_outputs_are_written_whole(net, times):
    """Every declared element is assigned exactly where the statements' ranges say."""
    for node in net.nodes:
        declaration = net.declarations[node.name]
        assume(declaration.statements)  # An operator known by name only says nothing.
        for port, spec in enumerate(declaration.outputs):
            written = np.zeros(spec.shape, bool)
            for statement in declaration.statements:
                if statement.target == f"y{port}":
                    if all(isinstance(index, Affine) for index in statement.index):
                        written[tuple(_places(statement))] = True
                    else:
                        assert tuple(_bounds(statement)) == spec.shape
                        written[...] = True  # Spread windows write where they land, and start from zero.
            assert written.all(), node.op


def _places(statement):
    free = statement.domain.free
    grid = dict(zip(free, np.indices(tuple(free.values())).reshape(len(free), -1), strict=True))
    for index in statement.index:
        at = sum(
            (grid[name] * factor for name, factor in index.terms),
            np.full_like(next(iter(grid.values())), index.offset),
        )
        at = at // index.divisor
        yield at % index.modulus if index.modulus else at


def _bounds(statement):
    sizes = statement.domain.free
    for index in statement.index:
        if isinstance(index, Affine):
            yield sum(factor * (sizes[name] - 1) for name, factor in index.terms) + index.offset + 1
        else:
            yield index.map.input


@given(networks(2, "counting"))
def test_macs_are_what_running_adds_up(net):
    """All ones, and real pixels under every tap: then each output counts the products that made it."""
    for node in net.nodes:
        op, (x, *_) = node.op, net.declarations[node.name].inputs
        if op.word not in ("conv", "tconv", "fc"):
            continue
        if op.word == "conv":
            op = dataclasses.replace(op, mode="replicate")
        elif op.word == "tconv":
            op = dataclasses.replace(op, padding=0)  # A cropped product is multiplied all the same.
        declaration = op.declare(x)
        weights = {parameter.name: np.ones(parameter.shape) for parameter in declaration.parameters}
        (out,) = reference.run(declaration, [np.ones(x.shape)], weights)
        assert out.sum() == net.declarations[node.name].macs, op
