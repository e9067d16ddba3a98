"""Which calls run image by image, what they share, and how they are repeated."""

import dataclasses

import pytest

from engine.plan.support import CONTEXT, buffer, call
from striate.engine.plan.kernel_calls import LONG_STEP_FLOPS
from striate.engine.plan.per_image import PerImageSpan, expand, find_spans

IMAGES = 4
SMALL = dataclasses.replace(CONTEXT, cache=4096)
"""A batch of `value`s does not stay in this cache, one image does."""


def value(name, side=4, **more):
    return buffer(name, (IMAGES, 16, side, side), **more)  # 1 KiB an image


IMAGEWISE, PER_PART, BORDER = {"imagewise": True}, {"reads_per_part": True}, {"only_writes": True}
KINDS = {
    "copy in": IMAGEWISE, "direct": IMAGEWISE | PER_PART, "depthwise": IMAGEWISE, "border": IMAGEWISE | BORDER,
    "copy out": {}, "softmax": {}, "norm": {}, "nest": {},
}  # fmt: skip


def chain(*algorithms, side=4, **more):
    """Calls one after another, of which each reads what the one before writes."""
    values = [value(f"v{k}", side) for k in range(len(algorithms) + 1)]
    pairs = zip(algorithms, values, values[1:], strict=False)
    return values, [call([x], [y], name, rows=IMAGES * side, **KINDS[name], **more) for name, x, y in pairs]


def spans(steps, images=IMAGES, context=SMALL):
    return [(span.first, span.end) for span in find_spans(steps, images, context)]


def test_a_chain_that_does_not_stay_in_the_cache():
    values, steps = chain("copy in", "direct", "depthwise", "copy out")
    (span,) = find_spans(steps, IMAGES, SMALL)
    assert span == PerImageSpan(0, 3, frozenset(values[:3]))  # the last is read by the copy out


@pytest.mark.parametrize(
    ("algorithms", "found"),
    [
        (["direct", "softmax", "direct"], [(0, 1), (2, 3)]),  # softmax does not go through images in order
        (["softmax", "norm", "copy out"], []),
        (["direct", "border", "direct"], [(0, 3)]),
        (["border", "direct", "border"], [(1, 2)]),  # a border alone moves nothing
        (["nest", "direct"], [(1, 2)]),
    ],
)
def test_runs_of_calls(algorithms, found):
    assert spans(chain(*algorithms)[1]) == found


def test_one_image_or_a_batch_in_the_cache_needs_no_spans():
    _, steps = chain("direct", "depthwise")
    assert spans(steps, context=dataclasses.replace(SMALL, cache=8191)) == [(0, 2)]  # 4 images in, 4 out
    assert spans(steps, context=dataclasses.replace(SMALL, cache=8192)) == []
    one = [call([buffer()], [buffer("y", shape=(1, 16, 64, 64))], "direct", rows=64, **KINDS["direct"])]
    assert spans(one, images=1) == []


def test_weights_are_read_again_for_every_image():
    """They are worth it up to what stays in the second-level cache, or to what an image moves."""
    assert spans(chain("direct", weights=128 << 10)[1]) == [(0, 1)]
    assert spans(chain("direct", weights=(128 << 10) + 1)[1]) == []
    moved = 2 * ((256 << 10) + 64)  # in and out: a plane, and a line that keeps planes apart
    assert spans(chain("direct", side=64, weights=moved)[1]) == [(0, 1)]
    assert spans(chain("direct", side=64, weights=moved + 1)[1]) == []
    assert spans(chain("direct", side=64, parts=3, weights=1 << 20)[1]) == [(0, 1)]  # read for each panel


def test_rows_and_values_must_be_those_of_all_images():
    _, (step,) = chain("direct")
    assert spans([dataclasses.replace(step, rows=IMAGES * 4 + 1)]) == []
    flat = buffer("flat", (1, IMAGES * 16, 4, 4))
    assert spans([dataclasses.replace(step, reads=[flat])]) == []


def test_a_residual_and_the_sum_share_a_slot_or_neither_does():
    values, steps = chain("direct", "direct", "direct", "copy out")
    steps[1].unit.residual = values[0]
    steps[1] = dataclasses.replace(steps[1], reads=[values[1], values[0]])
    outside = call([values[0]], [value("other")], "softmax", rows=IMAGES)
    (span,) = find_spans([*steps, outside], IMAGES, SMALL)
    assert span.inner == {values[1]}  # v0 is read outside, and so v2, which lies over it, stays whole


def test_every_image_of_a_span_runs_all_its_calls():
    _, steps = chain("softmax", "direct", "depthwise", "copy out", flops=8 * LONG_STEP_FLOPS)
    made, places = expand(steps, [PerImageSpan(1, 3, frozenset())], IMAGES, 2)
    names = [step.algorithm for step in made]
    assert names == ["softmax", *["direct", "depthwise"] * IMAGES, "copy out"]
    assert places == [(1, 3, 9)]
    assert [step.after_all for step in made] == [False, *[True, False] * IMAGES, True]


def test_an_images_tasks_are_its_rows():
    _, steps = chain("direct", flops=8 * LONG_STEP_FLOPS, cycles=100)
    made, _ = expand(steps, [PerImageSpan(0, 1, frozenset())], IMAGES, 2)
    assert [step.tasks for step in made] == [
        [(4 * image + k, 4 * image + k + 1, 0, 1) for k in range(4)] for image in range(IMAGES)
    ]
    assert {(step.flops, step.cycles) for step in made} == {(2 * LONG_STEP_FLOPS, 25)}


def test_without_spans_nothing_is_repeated():
    _, steps = chain("direct", "softmax")
    made, places = expand(steps, [], IMAGES, 1)
    assert [step.record for step in made] == [step.record for step in steps] and places == []
    assert made[0].tasks == [(0, 16, 0, 1)] and steps[0].tasks == []
