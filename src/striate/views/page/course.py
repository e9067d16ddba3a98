"""The lines of the course, and the addresses of the views that show each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.views.schemas.live import CourseExample, CourseLine


def _examples(*pairs: tuple[str, str]) -> list[CourseExample]:
    return [{"text": text, "route": route} for text, route in pairs]


COURSE: tuple[CourseLine, ...] = (
    {"title": "History and inspiration",
     "text": "Hubel and Wiesel's cells each see a small part of the image; networks copy that, from the "
             "Neocognitron (1980) on.",
     "route": "#history",
     "examples": _examples(
         ("their experiment on this network", "#lab"))},
    {"title": "Fully connected layers",
     "text": "Every output reads every input: from 32x32x3 to 28x28x6, 14,455,392 parameters, where "
             "a convolution has 456.",
     "route": "#layer?n=32&f=5&s=1&p=0&c=3&k=6&show=fc",
     "examples": []},
    {"title": "The convolutional layer",
     "text": "A filter slides over a 32x32x3 image and always extends the full depth of the input: a 5x5 "
             "filter is 5x5x3.",
     "route": "#layer?n=32&f=5&s=1&p=0&c=3&k=2",
     "examples": _examples(
         ("6 filters give 28x28x6", "#layer?n=32&f=5&s=1&p=0&c=3&k=6"))},
    {"title": "Stride",
     "text": "The window moves by the stride, almost always the same in height and width.",
     "route": "#layer?n=7&f=3&s=2&p=0",
     "examples": _examples(
         ("stride 1: 7x7 to 5x5", "#layer?n=7&f=3&s=1&p=0"),
         ("stride 2: 7x7 to 3x3", "#layer?n=7&f=3&s=2&p=0"))},
    {"title": "Output size",
     "text": "(N - F)/S + 1: 3x3 on 7x7 with stride 3 gives 2.33, which does not fit; 13 of 49 pixels are never read.",
     "route": "#layer?n=7&f=3&s=3&p=0",
     "examples": _examples(
         ("stride 1: 5", "#layer?n=7&f=3&s=1&p=0"),
         ("stride 2: 3", "#layer?n=7&f=3&s=2&p=0"),
         ("stride 3: 2.33", "#layer?n=7&f=3&s=3&p=0"))},
    {"title": "Borders get too little attention",
     "text": "A corner pixel of 5x5 is read by one window of 3x3, the center pixel by nine.",
     "route": "#layer?n=5&f=3&s=1&p=0&show=counts",
     "examples": _examples(
         ("2x2 on 3x3: 1 2 1 / 2 4 2 / 1 2 1", "#layer?n=3&f=2&s=1&p=0&show=counts"),
         ("3x3 on 5x5: 1 to 9", "#layer?n=5&f=3&s=1&p=0&show=counts"),
         ("the whole network", "#pixels"))},
    {"title": "Outputs shrink",
     "text": "32x32 becomes 28x28 with a 5x5 filter; every further such layer removes 4 more: seven leave 4x4.",
     "route": "#layer?n=32&f=5&s=1&p=0",
     "examples": _examples(
         ("the next layer: 28x28 to 24x24", "#layer?n=28&f=5&s=1&p=0"))},
    {"title": "Padding",
     "text": "P = (F - 1)/2 with stride 1 keeps the size: (N + 2P - F)/S + 1 = N. With P = 1 a corner pixel is read "
             "4 times, the center 9 times; full or circular padding makes it equal.",
     "route": "#layer?n=7&f=3&s=1&p=1&mode=zeros&show=modes",
     "examples": _examples(
         ("F = 3: P = 1", "#layer?n=7&f=3&s=1&p=1&mode=zeros"),
         ("F = 5: P = 2", "#layer?n=7&f=5&s=1&p=2&mode=zeros"),
         ("F = 7: P = 3", "#layer?n=7&f=7&s=1&p=3&mode=zeros"),
         ("corner 4 of 9", "#layer?n=7&f=3&s=1&p=1&mode=zeros&show=counts"),
         ("full: 9 of 9", "#layer?n=7&f=3&s=1&p=2&mode=zeros&show=counts"),
         ("circular: 9 of 9", "#layer?n=7&f=3&s=1&p=1&mode=circular&show=counts"))},
    {"title": "Channels",
     "text": "N filters give N output channels; a 1x1 convolution mixes channels and nothing else.",
     "route": "#layer?n=8&f=1&s=1&p=0&c=6&k=3",
     "examples": []},
)  # fmt: skip
"""In the order of the course."""
