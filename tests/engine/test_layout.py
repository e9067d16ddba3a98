"""Where the numbers of a buffer lie."""

from hypothesis import given
from hypothesis import strategies as some

from striate.engine.layout import Layout

LINE, PAGE = 64, 4096


def test_blocks_of_channels():
    """20 channels in blocks of 16: 2 planes of 3 rows of 5 pixels of 64 bytes."""
    layout = Layout(2, 20, 3, 5, 16)
    assert (layout.blocks, layout.pixel, layout.row, layout.block) == (2, 64, 320, 960)
    assert (layout.image, layout.bytes, layout.origin, layout.elements) == (1920, 3840, 0, 600)


def test_a_border_is_memory_and_moves_the_first_pixel():
    layout = Layout(1, 16, 3, 5, 16, top=1, bottom=2, left=3, right=4)
    assert layout.row == 64 * 12 and layout.block == 64 * 12 * 6
    assert layout.origin == 64 * (12 + 3) and layout.elements == 240
    assert layout.with_border(0, 3, 4, 0).pads == (1, 3, 4, 4)


def test_plain_order_has_no_gaps():
    layout = Layout(2, 3, 5, 7, 1)
    assert (layout.pixel, layout.row, layout.block, layout.image) == (4, 28, 140, 420)


def test_planes_begin_at_cache_lines_and_avoid_each_others_sets():
    assert Layout(1, 6, 3, 3, 3).block == 128  # 108 bytes
    assert Layout(1, 16, 8, 8, 16).block == PAGE + LINE
    assert Layout(1, 64, 1, 1, 16).block == LINE  # a vector of channels, in one piece
    assert Layout(1, 64, 32, 32, 1).block == PAGE  # plain order is the caller's


def test_a_part_of_a_concatenation_has_the_distance_of_the_whole():
    part = Layout(4, 16, 2, 2, 16, apart=4096)
    assert part.image == 4096 and part.block == 256


def test_images_that_share_a_slot():
    layout = Layout(8, 16, 2, 2, 16, shares_image_slot=True)
    assert (layout.image, layout.bytes, layout.elements) == (0, 256, 512)
    assert Layout(0, 16, 2, 2, 16, shares_image_slot=True).bytes == 0


@given(
    some.integers(0, 3), some.integers(1, 70), some.integers(1, 9), some.integers(1, 9),
    some.sampled_from([1, 3, 8, 16]), some.tuples(*[some.integers(0, 3)] * 4),
)  # fmt: skip
def test_a_layout_is_as_long_as_its_last_number(images, channels, height, width, lanes, pads):
    layout = Layout(images, channels, height, width, lanes, *pads)
    last = (layout.blocks - 1) * layout.block + layout.origin + (height - 1) * layout.row
    end = last + (width - 1) * layout.pixel + 4 * lanes
    assert layout.bytes == images * layout.image
    assert end <= layout.image
    pixel = layout.block == layout.pixel
    assert lanes == 1 or pixel or (layout.block % LINE == 0 and layout.block % PAGE != 0)
    wider = layout.with_border(9, 0, 0, 1)
    assert wider.pads == (9, pads[1], pads[2], max(pads[3], 1))
