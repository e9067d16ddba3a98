"""Steps of a recorded transformation by their words of now and of earlier versions."""

import pytest

from striate.formats.recorded_steps import OLD_WORDS, word_of
from striate.train.data.transforms import STEPS


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"step": "normalise"}, "normalize"),
        ({"step": "colour_jitter", "hue": 0.1}, "color_jitter"),
        ({"step": "resize"}, "resize"),
        ({"step": ["normalise"]}, ["normalise"]),
        ({}, None),
        ("normalise", None),
    ],
)
def test_the_word_of_an_entry(entry, word):
    assert word_of(entry) == word


def test_old_words_stand_for_steps_that_exist():
    assert {*OLD_WORDS.values()} <= STEPS.keys() and not OLD_WORDS.keys() & STEPS.keys()
