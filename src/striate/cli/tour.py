"""`striate tour`: the course on convolutional networks, in the terminal."""

from __future__ import annotations

from dataclasses import replace

import click

from striate.cli.options import Names, emit, examples, page


def _topics() -> list[str]:
    from striate.views.text.tour import TOPICS

    return list(TOPICS)


@click.command(
    short_help="The course in the terminal.",
    epilog=examples("striate tour", "striate tour stride padding", "striate tour | less -R"),
)
@click.argument("topics", metavar="[TOPIC...]", nargs=-1, type=Names("TOPIC", _topics))
@click.option("--list", "only_list", is_flag=True, help="Print the names of the topics.")
def command(topics: tuple[str, ...], only_list: bool) -> None:
    """Walk through the course: fully connected beside convolution, filter depth, stride, borders, shrinking,
    padding, channels, and a whole network. Every number is computed as you watch.

    TOPIC chooses topics by name (--list).
    """
    from striate.views.text import tour

    out = page()
    out.terminal = replace(out.terminal, folds=True)  # prose is wrapped in a pipe as well
    if only_list:
        out.fields([(name, tour.title(topic)) for name, topic in tour.TOPICS.items()], indent=0)
    else:
        tour.draw(out, topics)
    emit(out)
