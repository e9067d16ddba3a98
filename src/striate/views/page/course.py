"""The lines of the course, and the address of the view that shows each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.views.schemas.live import CourseLine

COURSE: tuple[CourseLine, ...] = (
    {"title": "History and inspiration",
     "text": "Hubel and Wiesel's cells each see a small part of the image; the catalogue shows how networks copied it.",
     "route": "#history"},
    {"title": "Fully connected layers",
     "text": "Every output reads every input: the same sizes cost far more weights than a convolution needs.",
     "route": "#layer?n=32&f=5&s=1&p=0&c=3&k=6&show=fc"},
    {"title": "The convolutional layer",
     "text": "A filter slides over a 32x32x3 image and always extends the full depth of the input.",
     "route": "#layer?n=32&f=5&s=1&p=0&c=3&k=2"},
    {"title": "Stride",
     "text": "The window moves by the stride, almost always the same in height and width.",
     "route": "#layer?n=7&f=3&s=2&p=0"},
    {"title": "Output size",
     "text": "(N - F)/S + 1: 3x3 on 7x7 with stride 3 gives 2.33, which does not fit; 13 pixels are never read.",
     "route": "#layer?n=7&f=3&s=3&p=0"},
    {"title": "Borders get too little attention",
     "text": "A corner pixel of 5x5 is read by one window of 3x3, the center pixel by nine.",
     "route": "#layer?n=5&f=3&s=1&p=0&show=counts"},
    {"title": "Outputs shrink",
     "text": "32x32 becomes 28x28 with a 5x5 filter, and every further such layer removes 4 pixels more.",
     "route": "#layer?n=32&f=5&s=1&p=0"},
    {"title": "Padding",
     "text": "P = (F - 1)/2 with stride 1 keeps the size. Full or circular padding alone reads all pixels alike.",
     "route": "#layer?n=7&f=3&s=1&p=1&mode=zeros&show=modes"},
    {"title": "Channels",
     "text": "Each filter gives one output channel; a 1x1 convolution mixes channels and nothing else.",
     "route": "#layer?n=8&f=1&s=1&p=0&c=6&k=3"},
)  # fmt: skip
"""In the order of the course."""
