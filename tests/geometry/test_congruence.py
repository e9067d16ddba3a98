"""Fitting sizes: the congruences against trying every size."""

import dataclasses
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from striate.geometry import Condition, Nearest, SizeLaw, TransposedWindow, Window, solve

EVERY = range(1, 400)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One step of a chain, not yet bound to a size."""

    kernel: int
    stride: int
    dilation: int = 1
    padding: str | tuple[int, int] = (0, 0)
    ceil: bool = False
    scale: Fraction | None = None
    spread: bool = False

    def at(self, n: int):
        if self.scale is not None:
            return Nearest(n, int(n * self.scale), self.scale)
        if self.spread:
            return TransposedWindow(n, self.kernel, self.stride, self.dilation, *self.padding)
        return Window.resolve(n, self.kernel, self.stride, self.dilation, self.padding, self.ceil)

    def fits(self, n: int) -> bool:
        """The definition of an exact fit, spelled out on the axis itself."""
        axis = self.at(n)
        if not axis.output:
            return False
        if self.scale is not None:
            return (n * self.scale).denominator == 1
        if self.spread:
            return True
        if axis.stride == 1:
            return axis.remainder == axis.overhang == 0
        even = axis.before == axis.after or axis.policy not in ("same", "same_lower")
        return axis.remainder == axis.overhang == 0 and axis.output < n and even


pads = st.tuples(st.integers(0, 4), st.integers(0, 4))
policies = st.sampled_from(["same", "same_lower", "valid", "full", "half"])
pools = st.integers(1, 5).flatmap(  # Pools pad by half a kernel at most; only they have a ceil mode.
    lambda k: st.builds(
        Layer,
        st.just(k),
        st.integers(1, 4),
        st.integers(1, 2),
        st.tuples(*[st.integers(0, k // 2)] * 2) | policies,
        st.booleans(),
    )
)
layers = st.one_of(
    pools,
    st.builds(Layer, st.integers(1, 7), st.integers(1, 4), st.integers(1, 2), pads | policies),
    st.builds(Layer, st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), pads, spread=st.just(True)),
    st.builds(
        Layer, st.just(1), st.just(1), scale=st.sampled_from([Fraction(1, 2), Fraction(2), Fraction(3, 2)])
    ),
)


def solved(chain: list[Layer]) -> list[tuple[SizeLaw, Condition]]:
    ways = [(SizeLaw(), Condition())]
    for layer in chain:
        ways = [way for law, condition in ways for way in solve(layer.at(1000), law, condition)]
    return ways


def size_behind(chain: list[Layer], n: int) -> int | None:
    """Size after a chain, None where a layer does not fit."""
    for layer in chain:
        if not layer.fits(n):
            return None
        n = layer.at(n).output
    return n


@given(st.lists(layers, min_size=1, max_size=5))
@example([Layer(7, 2, 1, (3, 3)), Layer(3, 2, 1, (1, 1)), *[Layer(3, 2, 1, (1, 1))] * 3])
@example([Layer(2, 2)] * 5)
def test_every_size_fits_exactly_when_the_congruences_say_so(chain):
    ways = solved(chain)
    for n in EVERY:
        admitting = [law for law, condition in ways if condition.admits(n)]
        size = size_behind(chain, n)
        assert bool(admitting) == (size is not None), n
        assert all(law.at(n) == size for law in admitting), n


@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 30))
def test_a_condition_admits_its_class_from_the_minimum_on(modulus, residue, minimum):
    condition = Condition(modulus, residue % modulus, minimum)
    admitted = [n for n in range(1, 80) if condition.admits(n)]
    assert admitted == [n for n in range(1, 80) if n >= minimum and (n - residue) % modulus == 0]
    assert condition.smallest == admitted[0]


laws = st.builds(
    SizeLaw,
    st.sampled_from([Fraction(1), Fraction(2), Fraction(0), Fraction(-1)]),
    st.integers(-5, 9).map(Fraction),
)
conditions = st.builds(
    lambda m, r, least: Condition(m, r % m if m else r, least),
    st.integers(0, 6),
    st.integers(1, 40),
    st.integers(1, 20),
)


@given(laws, laws, conditions, st.integers(-4, 4), st.integers(1, 6))
def test_conditions_narrow_to_what_was_asked(law, other, condition, shift, modulus):
    def those(*narrowed):
        return [n for n in EVERY if any(c is not None and c.admits(n) for c in narrowed)]

    before = those(condition)
    congruent = condition.congruent(law, shift, modulus)
    assert those(congruent) == [n for n in before if (law.at(n) + shift) % modulus == 0]
    assert those(*condition.at_least(law, shift)) == [n for n in before if law.at(n) >= shift]
    assert those(condition.equal(law, other)) == [n for n in before if law.at(n) == other.at(n)]
