"""`striate tour`: the course on convolutional networks, in the terminal."""

from __future__ import annotations

import click

from striate.cli.options import Names, emit, examples, page


def _topics() -> list[str]:
    from striate.views.text.tour import TOPICS

    return list(TOPICS)


@click.command(epilog=examples("striate tour", "striate tour stride padding", "striate tour | less -R"))
@click.argument("topics", metavar="[TOPIC...]", nargs=-1, type=Names("TOPIC", _topics))
def command(topics: tuple[str, ...]) -> None:
    """Walk through the course: fully connected beside convolution, filter depth, stride, borders, shrinking,
    padding, channels, and a whole network. Every number is computed as you watch.

    TOPIC: fully-connected, depth, stride, borders, shrink, padding, channels, network.
    """
    from striate.views.text import tour

    out = page()
    tour.draw(out, topics)
    emit(out)
