"""`striate probe`: the experiment of Hubel and Wiesel on the units of a node."""

from __future__ import annotations

import os
from typing import Any

import click

from striate.cli.options import (
    PAGES,
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    input_option,
    json_option,
    model_argument,
    one_node,
    page,
    save,
    weights_option,
)

PICTURES = (".svg", ".png", ".pdf", ".tex")
"""Endings of files that are pictures."""


@click.command(
    short_help="Find what the units of a node respond to.",
    epilog=examples(
        "striate probe runs/digits --node conv1",
        "striate probe runs/digits --node conv1 --unit 3",
        "striate probe runs/digits --node conv1 -o units.html",
        "striate probe resnet18 --weights resnet18.pth --node conv1 --json",
        "striate probe runs/digits --node conv2 --at corner",
        "striate probe runs/digits --node conv2 --border",
        "striate probe runs/digits --population",
    ),
)
@model_argument
@click.option(
    "--node", "nodes", metavar="NAME", multiple=True,
    help="Node to record from; it has height and width. With --population it may be repeated [all].",
)  # fmt: skip
@click.option("--unit", type=click.IntRange(0), metavar="K", help="Show one channel with its tuning curve.")
@click.option(
    "--at",
    default="center",
    metavar="PLACE",
    help="Unit in the map: center, edge, corner or ROW,COLUMN [center].",
)
@click.option("--photos", metavar="PATH", type=click.Path(), help="Photographs to compare gratings with.")
@click.option(
    "--seed", default=0, metavar="N", type=click.IntRange(0), help="Seed of noise and fresh weights [0]."
)
@click.option("--border", is_flag=True, help="Compare center, edge and corner under each padding mode.")
@click.option(
    "--population", is_flag=True, help="Compare all units of all nodes with untrained and shuffled networks."
)
@click.option(
    "--seeds",
    default=None,
    metavar="N",
    type=click.IntRange(1),
    help="Networks of each control of --population [5].",
)
@input_option
@weights_option
@engine_option
@device_option
@json_option
@click.option(
    "-o", "--output", type=click.Path(), metavar="FILE",
    help="Write a picture (.svg .png .pdf) or a page (.html) to FILE, or with --json the record.",
)  # fmt: skip
def command(
    model: str, nodes: tuple[str, ...], unit: int | None, at: str, photos: str | None, seed: int, border: bool,
    population: bool, seeds: int | None, input: Any, weights: str | None, engine: str, device: str, as_json: bool,
    output: str | None,
) -> None:  # fmt: skip
    """Show gratings, bars, edges, spots and noise to the units of a node, and measure their tuning.

    Prints for each unit the preferred orientation of the bar, its selectivity (circular variance CV and OSI), its
    bandwidth, spatial frequency in cycles per pixel, and whether the unit is simple or complex. A measure that is
    undefined for a unit is a dash (null in JSON). A model without weights gets fresh ones, and the output says so.
    """
    from striate.formats.with_weights import with_weights
    from striate.model import Model
    from striate.terminal import Bar

    if border + population > 1:
        raise click.UsageError("--border and --population cannot be combined: leave out one of them")
    if (border or population) and (photos or at != "center"):
        word = "--population" if population else "--border"
        raise click.UsageError(
            f"{word} records at fixed places and without photographs: leave out --at and --photos"
        )
    if population and unit is not None:
        raise click.UsageError("--population measures all units: leave out --unit")
    if seeds is not None and not population:
        raise click.UsageError("--seeds counts the control networks of --population: add --population")
    ending = "" if as_json else os.path.splitext(output or "")[1].lower()
    if border and ending in (*PAGES, *PICTURES):
        raise click.UsageError(
            f"--border writes text or JSON: name a file that ends in .txt or .json, not {output}"
        )
    loaded = with_weights(model, weights, input=input, seed=seed)
    if not population:
        one_node(nodes, "probe", model, loaded.network, "the electrode is put into one node of the network")
    subject = Model(loaded, engine=engine, device=device)
    with Bar() as bar:

        def watch(shown: int, total: int) -> None:
            bar.count("probing", shown, total)

        found: Any
        if population:
            from striate.probe.population import SEEDS, take

            found = take(
                subject,
                node=nodes,
                seeds=SEEDS if seeds is None else seeds,
                seed=seed,
                trained=loaded.trained,
                watch=watch,
            )
            result = found.to_dict()
        elif border:
            from striate.probe.border import border as compare

            found = compare(subject, nodes[0], seed=seed, trained=loaded.trained, watch=watch)
            result = found.to_dict(unit)
        else:
            from striate.probe.experiment import record

            place: Any = at.split(",") if "," in at else at
            found = record(
                subject, nodes[0], at=place, photos=photos, seed=seed, trained=loaded.trained, watch=watch
            )
            result = found.to_dict(unit)
    if as_json:
        emit_json(result, output)
        return
    if ending in PAGES:
        from striate.views.html import experiment

        emit(experiment.population_page(found) if population else experiment.page(found, unit), output)
        return
    if ending in PICTURES:
        save(found.plot() if population else found.plot(unit), output)
        return
    from striate.views.text import population as crowd
    from striate.views.text import probe as view

    out = page()
    if population:
        crowd.draw(out, result)
    else:
        (view.draw_border if border else view.draw if unit is None else view.draw_unit)(out, result)
    emit(out, output)
