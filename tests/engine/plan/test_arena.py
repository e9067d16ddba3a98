"""Which calls may run at once, how long a buffer lives, and where it lies."""

import pytest

from engine.plan.support import buffer, call
from striate.engine.plan.arena import Arena, allot, epochs, lives, smallest_arena

A, B, C, D = (buffer(name) for name in "abcd")
GIVEN, RESULT = buffer("given", is_input=True), buffer("result", is_result=True)


@pytest.mark.parametrize(
    ("steps", "when"),
    [
        ([call([], [A]), call([A], [B]), call([B], [C])], [0, 1, 2]),
        ([call([], [A]), call([], [B]), call([A, B], [C])], [0, 0, 1]),
        ([call([A], [B]), call([A], [C])], [0, 0]),
        ([call([], [A]), call([], [A])], [0, 0]),  # parts of one buffer
        ([call([A], [B]), call([], [A])], [0, 1]),  # not over what is still read
        ([call([], [A]), call([A], [B]), call([], [C]), call([C], [D])], [0, 1, 1, 2]),
        ([call([GIVEN], [A]), call([GIVEN], [B])], [0, 0]),
        ([call([A], [RESULT]), call([RESULT], [B])], [0, 0]),  # the caller's memory is written once
        ([call([], [A]), call([], [B], after_all=True), call([], [C])], [0, 1, 1]),
        ([call([], [A]), call([A], [A])], [0, 1]),
        ([call([], [A]), call([A], [A], only_writes=True)], [0, 0]),  # a border that nobody else touches
    ],
)
def test_epochs(steps, when):
    assert epochs(steps) == when


def test_an_alias_waits_as_its_root_does():
    part = buffer("part", (1, 16, 4, 4), lanes=0, home=A)
    assert epochs([call([], [A]), call([part], [B])]) == [0, 1]


def test_a_buffer_lives_from_its_first_to_its_last_call():
    steps = [call([GIVEN], [A]), call([A], [B]), call([B], [C]), call([A, C], [RESULT])]
    assert lives(steps, [0, 1, 2, 3]) == {A: (0, 3), B: (1, 2), C: (2, 3)}
    assert lives(steps, [0, 1, 2, 3], lasting=[B]) == {A: (0, 3), B: (1, 3), C: (2, 3)}


def test_buffers_are_in_the_order_of_their_use():
    """Where two fit equally well, the order decides: a plan must be the same in every process."""
    many = [buffer(f"v{k}") for k in range(64)]
    assert list(lives([call(many[32:], many[:32])], [0])) == [*many[32:], *many[:32]]


def test_what_a_span_shares_with_others_lives_through_all_of_it():
    """Two images: a is read by both from outside, b has one slot, c is made for what comes after."""
    own = buffer("own", (2, 16, 4, 4), shares_image_slot=True)
    image = [call([A], [own]), call([own], [C])]
    steps = [call([], [A]), *image, *image, call([C], [D])]
    when = [0, 1, 2, 3, 4, 5]
    found = lives(steps, when, spans=[(1, 3, 5)])
    assert found == {A: (0, 4), own: (1, 2), C: (1, 5), D: (5, 5)}


SIZES = {"large": 512, "middle": 256, "small": 64}
LARGE, MIDDLE, SMALL = (buffer(name, (1, 1, 1, size // 4), lanes=1) for name, size in SIZES.items())


def test_two_that_never_live_at_once_share_memory():
    assert smallest_arena({LARGE: (0, 1), MIDDLE: (1, 2), SMALL: (2, 3)}) == Arena(
        {LARGE: 0, MIDDLE: 512, SMALL: 0}, 768
    )


def test_a_buffer_fills_the_lowest_gap_that_it_fits():
    other = buffer("other", (1, 1, 1, 32), lanes=1)
    life = {LARGE: (0, 9), MIDDLE: (0, 1), other: (0, 9), SMALL: (2, 9)}
    assert smallest_arena(life) == Arena({LARGE: 0, MIDDLE: 512, other: 768, SMALL: 512}, 896)


def test_sizes_are_rounded_up_to_whole_cache_lines():
    odd = buffer("odd", (1, 1, 1, 17), lanes=1)  # 68 bytes
    assert smallest_arena({odd: (0, 0), SMALL: (0, 0)}) == Arena({odd: 0, SMALL: 128}, 192)


def test_more_ways_to_order_can_take_less():
    """By size, the last long one lies under the small one; by end it lies on it, and 3 + 4 lines are all that live."""
    sizes, spans = [3, 4, 2, 4], [(2, 3), (0, 1), (0, 2), (3, 3)]
    life = {buffer(f"v{n}", (1, 1, 1, 16 * k), lanes=1): at for n, (k, at) in enumerate(zip(sizes, spans))}
    one, most = smallest_arena(life), smallest_arena(life, 5)
    assert [at // 64 for at in one.offsets.values()] == [4, 0, 7, 0] and one.bytes == 9 * 64
    assert [at // 64 for at in most.offsets.values()] == [0, 0, 4, 3] and most.bytes == 7 * 64
    assert smallest_arena({}) == Arena({}, 0)


def test_allot_is_by_size():
    steps = [call([], [SMALL]), call([SMALL], [LARGE])]
    assert allot(steps, [0, 1]) == Arena({LARGE: 0, SMALL: 512}, 576)
