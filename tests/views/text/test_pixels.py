"""Counts of paths as text: rounded as decimal arithmetic rounds them."""

from decimal import ROUND_HALF_UP, Context, Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from striate.views.text.pixels import MAX_WRITTEN_COUNT, large


@given(st.integers(0, 10**60) | st.integers(0, 400).map(lambda power: 10**power - 1))
@example(9_616_253_250_768)
@example(9_995 * 10**20)
def test_a_large_count_has_three_rounded_digits(n):
    rounded = Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(n)
    assert Decimal(large(n).replace(",", "")) == (rounded if n >= MAX_WRITTEN_COUNT else n)
